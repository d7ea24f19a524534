#include "gradus/matmul.h"

#include <limits>
#include <tuple>

#include "cpu/gemm.h"
#include "cpu/parallel.h"
#include "device/philox.h"
#include "kernels/arrays.h"

using namespace gradus;
using test::Array;

namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

gr_matmul_problem problem(int64_t m, int64_t n, int64_t k, bool trans_a = false, bool trans_b = false) {
  gr_matmul_problem p{};
  p.batch = 1;
  p.m = m;
  p.n = n;
  p.k = k;
  p.trans_a = trans_a;
  p.trans_b = trans_b;
  p.bias_axis = 1;
  return p;
}

// A product with its operands, offset by some elements from the aligned start of their memory.
template <class T>
struct Product {
  gr_matmul_problem p;
  int64_t offset;
  int64_t lda, ldb, ldc, stride_c;
  Array<T> a, b, c, before;
  Array<T> bias{0}, residual{0};
  bool with_bias = false, with_residual = false, with_dropout = false;
  test::Memory<int64_t> rng{77, 5};

  explicit Product(const gr_matmul_problem& problem, int64_t offset = 0)
      : p(problem), offset(offset), lda(p.lda != 0 ? p.lda : p.trans_a != 0 ? p.m : p.k),
        ldb(p.ldb != 0 ? p.ldb : p.trans_b != 0 ? p.k : p.n), ldc(p.ldc != 0 ? p.ldc : p.n),
        stride_c(p.stride_c != 0 ? p.stride_c : p.m * ldc),
        a(Array<T>::random(offset + extent(p.stride_a, p.trans_a != 0 ? p.k : p.m, p.trans_a != 0 ? p.m : p.k, lda), 1)),
        b(Array<T>::random(offset + extent(p.stride_b, p.trans_b != 0 ? p.n : p.k, p.trans_b != 0 ? p.k : p.n, ldb), 2)),
        c(Array<T>::random(offset + extent(stride_c, p.m, p.n, ldc), 3)), before(c) {}

  // Elements from the first to the last of a batch of matrices.
  int64_t extent(int64_t stride, int64_t rows, int64_t columns, int64_t pitch) const {
    return rows * columns * p.batch == 0 ? 0 : (p.batch - 1) * stride + (rows - 1) * pitch + columns;
  }
  void add_bias(int64_t axis) {
    with_bias = true;
    p.bias_axis = axis;
    bias = Array<T>::random(offset + (axis == 1 ? p.n : p.m), 4);
  }
  void add_residual() {
    with_residual = true;
    residual = Array<T>::random(c.size(), 5);
  }

  int call() {
    auto address = [this](const Array<T>& x) { return x.address() + offset * int64_t(sizeof(T)); };
    int64_t random = with_dropout ? reinterpret_cast<int64_t>(rng.data()) : 0;
    return gr_matmul(address(a), address(b), with_bias ? address(bias) : 0, with_residual ? address(residual) : 0, random,
                     address(c), 0, 0, reinterpret_cast<int64_t>(&p), Array<T>::dtype(), 0);
  }

  double left(int64_t batch, int64_t i, int64_t l) const {
    return a[offset + batch * p.stride_a + (p.trans_a != 0 ? l * lda + i : i * lda + l)];
  }
  double right(int64_t batch, int64_t l, int64_t j) const {
    return b[offset + batch * p.stride_b + (p.trans_b != 0 ? j * ldb + l : l * ldb + j)];
  }

  // The largest error in units of what the type and the sum's length allow.
  double worst() const {
    double worst = 0;
    double sums = sizeof(T) == 8 ? 0x1p-52 : 0x1p-23;
    for (int64_t batch = 0; batch < p.batch; batch++) {
      for (int64_t i = 0; i < p.m; i++) {
        for (int64_t j = 0; j < p.n; j++) {
          double y = 0, size = 0;
          for (int64_t l = 0; l < p.k; l++) {
            double term = left(batch, i, l) * right(batch, l, j);
            y += term;
            size += std::fabs(term);
          }
          if (with_bias) y += bias[offset + (p.bias_axis == 1 ? j : i)];
          if (p.activation == GR_ACTIVATION_RELU && y < 0) y = 0;
          if (with_dropout) {
            auto index = uint64_t((batch * p.m + i) * p.n + j);
            auto threshold = uint32_t(std::nearbyint(p.dropout_p * 65536));
            bool keeps = dropout_keeps(uint64_t(rng[0]), uint64_t(rng[1] + p.dropout_number), index, threshold);
            y = keeps ? y / (1 - p.dropout_p) : 0;
            size /= 1 - p.dropout_p;
          }
          int64_t at = offset + batch * stride_c + i * ldc + j;
          if (with_residual) y += residual[at];
          if (p.accumulate != 0) y += before[at];
          double rounding = test::unit<T>() * 1.01 * (std::fabs(y) + size * sums);
          double allowed = size * sums * (1 + std::sqrt(double(p.k))) + rounding + 8 * sums;
          double error = std::fabs(c[at] - y) / allowed;
          worst = error <= worst ? worst : error;  // NaN becomes the worst
          if (std::isnan(error)) return kInfinity;
        }
      }
    }
    return worst;
  }

  // What lies between rows and before the first is as it was.
  bool gaps_untouched() const {
    std::vector<bool> inside(size_t(c.size()));
    for (int64_t batch = 0; batch < p.batch; batch++) {
      for (int64_t i = 0; i < p.m; i++) {
        for (int64_t j = 0; j < p.n; j++) inside[size_t(offset + batch * stride_c + i * ldc + j)] = true;
      }
    }
    for (int64_t i = 0; i < c.size(); i++) {
      if (!inside[size_t(i)] && c[i] != before[i]) return false;
    }
    return true;
  }
};

template <class T>
void check(Product<T>& product, const char* file, int line) {
  int status = product.call();
  if (status != GR_OK) {
    test::report(file, line, "status " + std::to_string(status) + ": " + error_text());
    return;
  }
  double worst = product.worst();
  if (!(worst <= 1)) {
    const gr_matmul_problem& p = product.p;
    auto text = [](int64_t x) { return std::to_string(x); };
    std::string sizes = text(p.m) + "x" + text(p.n) + "x" + text(p.k) + (p.trans_a ? " T" : " N") + (p.trans_b ? "T" : "N");
    test::report(file, line, "error " + test::text(worst) + " of what is allowed: dtype " + text(Array<T>::dtype()) + " " + sizes);
  }
  if (!product.gaps_untouched()) test::report(file, line, "wrote between the rows of C");
}
#define CHECK_PRODUCT(product) check(product, __FILE__, __LINE__)

template <class F>
void for_floating(F f) {
  f(float{});
  f(double{});
  f(bfloat16{});
  f(float16{});
}

template <class F>
void for_transposes(F f) {
  for (bool trans_a : {false, true}) {
    for (bool trans_b : {false, true}) f(trans_a, trans_b);
  }
}

}  // namespace

// Around the sizes of tiles and vectors of all widths.
TEST(sizes) {
  for_floating([](auto zero) {
    using T = decltype(zero);
    for (auto [m, n, k] : {std::tuple<int, int, int>{1, 1, 1}, {1, 3, 2}, {3, 1, 17}, {2, 8, 64}, {5, 5, 5}, {6, 16, 8}, {7, 17, 9},
                           {13, 15, 16}, {14, 32, 31}, {15, 33, 33}, {29, 65, 40}, {65, 17, 3}, {127, 30, 65}}) {
      for_transposes([&](bool trans_a, bool trans_b) {
        Product<T> product(problem(m, n, k, trans_a, trans_b));
        CHECK_PRODUCT(product);
      });
    }
  });
}

// Several blocks of rows, columns and k, with results that go straight to C and that do not.
TEST(blocks) {
  for_transposes([](bool trans_a, bool trans_b) {
    for (bool relu : {false, true}) {
      auto p = problem(301, 79, 1100, trans_a, trans_b);
      p.activation = relu ? GR_ACTIVATION_RELU : GR_ACTIVATION_NONE;
      Product<float> float32(p);
      CHECK_PRODUCT(float32);
    }
  });
  auto p = problem(150, 563, 70, true, false);
  p.accumulate = 1;
  Product<float> wide(p);
  CHECK_PRODUCT(wide);
  Product<double> float64(problem(130, 40, 1030, true, true));
  CHECK_PRODUCT(float64);
  Product<bfloat16> half(problem(40, 50, 1030, false, true));
  CHECK_PRODUCT(half);
}

// Long sums of few elements are cut into parts.
TEST(parts_of_k) {
  CHECK(cpu::plan_gemm({1, 30, 40, 9001}, 4).splits > 1);
  for_transposes([](bool trans_a, bool trans_b) {
    Product<float> plain(problem(30, 40, 9001, trans_a, trans_b));
    CHECK_PRODUCT(plain);
  });
  auto p = problem(19, 37, 7001, true, false);
  p.batch = 2;
  p.stride_a = 19 * 7001;
  p.stride_b = 37 * 7001;
  p.accumulate = 1;
  p.activation = GR_ACTIVATION_RELU;
  Product<float> product(p);
  product.add_bias(1);
  product.add_residual();
  CHECK_PRODUCT(product);
}

TEST(empty) {
  for_floating([](auto zero) {
    using T = decltype(zero);
    for (auto [m, n, k] : {std::tuple<int, int, int>{0, 3, 4}, {3, 0, 4}, {0, 0, 0}}) {
      Product<T> product(problem(m, n, k));
      CALL(product.call());
    }
    auto p = problem(3, 9, 0);
    Product<T> zeros(p);
    CHECK_PRODUCT(zeros);
    CHECK_EQUAL(zeros.c[5], 0.0);
    p.accumulate = 1;
    Product<T> unchanged(p);
    CHECK_PRODUCT(unchanged);
    CHECK_EQUAL(unchanged.c[5], unchanged.before[5]);
    p = problem(3, 9, 4);
    p.batch = 0;
    Product<T> none(p);
    CALL(none.call());
  });
}

TEST(batches_share_operands) {
  for_floating([](auto zero) {
    using T = decltype(zero);
    auto p = problem(9, 24, 40);
    p.batch = 3;
    p.stride_a = 9 * 40;
    Product<T> shared_b(p);
    CHECK_PRODUCT(shared_b);
    p.stride_a = 0;
    p.stride_b = 24 * 40;
    p.trans_b = 1;
    p.accumulate = 1;
    Product<T> shared_a(p);
    CHECK_PRODUCT(shared_a);
  });
}

TEST(pitches_and_offsets) {
  for_floating([](auto zero) {
    using T = decltype(zero);
    for_transposes([&](bool trans_a, bool trans_b) {
      auto p = problem(20, 36, 24, trans_a, trans_b);
      p.batch = 2;
      p.lda = 40;
      p.ldb = 48;
      p.ldc = 56;
      p.stride_a = 40 * 24;
      p.stride_b = 48 * 36;
      p.stride_c = 56 * 20 + 8;
      Product<T> aligned(p);
      CHECK_PRODUCT(aligned);
      Product<T> offset(p, 1);  // of the address: the 16-byte paths must not be taken
      offset.add_bias(1);
      offset.add_residual();
      CHECK_PRODUCT(offset);
      p.ldc = 37;
      p.stride_c = 0;
      Product<T> odd(p);
      CHECK_PRODUCT(odd);
    });
  });
}

TEST(epilogues) {
  for_floating([](auto zero) {
    using T = decltype(zero);
    for (int64_t n : {40, 37}) {
      for (int options = 0; options < 32; options++) {
        auto p = problem(19, n, 24);
        p.batch = 2;
        p.stride_a = 19 * 24;
        p.activation = options & 1 ? GR_ACTIVATION_RELU : GR_ACTIVATION_NONE;
        p.accumulate = options >> 1 & 1;
        p.dropout_number = 3;
        p.dropout_p = 0.3;
        Product<T> product(p);
        if (options >> 2 & 1) product.add_bias(options >> 3 & 1);
        if (options >> 3 & 1) product.add_residual();
        product.with_dropout = options >> 4 & 1;
        CHECK_PRODUCT(product);
      }
    }
  });
}

TEST(dropout_of_everything) {
  auto p = problem(5, 16, 8);
  p.dropout_p = 1;
  Product<float> product(p);
  product.with_dropout = true;
  CALL(product.call());
  for (int64_t i = 0; i < product.c.size(); i++) CHECK_EQUAL(product.c[i], 0.0);
}

// Also where parts of k are summed elsewhere before.
TEST(residual_may_be_c) {
  for (int64_t m : {2, 9}) {
    auto p = problem(m, 24, 1500);
    Product<float> product(p);
    product.with_residual = true;
    product.residual = product.c;
    int64_t a = product.a.address(), b = product.b.address(), c = product.c.address();
    CALL(gr_matmul(a, b, 0, c, 0, c, 0, 0, reinterpret_cast<int64_t>(&p), GR_FLOAT32, 0));
    CHECK(product.worst() <= 1);
  }
}

// A few rows or columns, the other operand along k and across it; several parts of k, several strips of lines.
TEST(vectors) {
  for_floating([](auto zero) {
    using T = decltype(zero);
    for (int64_t width : {1, 2, 3, 4}) {
      for_transposes([&](bool trans_a, bool trans_b) {
        auto p = problem(265, width, 131, trans_a, trans_b);
        p.activation = GR_ACTIVATION_RELU;
        Product<T> columns(p);
        columns.add_bias(width % 2);
        CHECK_PRODUCT(columns);
        p = problem(width, 265, 131, trans_a, trans_b);
        p.batch = 3;
        p.stride_a = width * 131;
        Product<T> rows(p);
        CHECK_PRODUCT(rows);
      });
    }
  });
  for_transposes([&](bool trans_a, bool trans_b) {
    Product<float> long_k(problem(3, 7, 140001, trans_a, trans_b));
    CHECK_PRODUCT(long_k);
    Product<float> many(problem(2, 2100, 301, trans_a, trans_b));
    CHECK_PRODUCT(many);
  });
}

// The same bits for every number of threads and every alignment.
TEST(deterministic) {
  for (auto [m, n, k] : {std::tuple<int, int, int>{300, 300, 400}, {30, 40, 9001}, {2, 3000, 300}, {3, 5, 140001}}) {
    for_transposes([&, m = m, n = n, k = k](bool trans_a, bool trans_b) {
      auto p = problem(m, n, k, trans_a, trans_b);
      Product<float> first(p), shifted(p, 1);
      for (int64_t i = 0; i < first.a.size(); i++) shifted.a.set(i + 1, first.a[i]);
      for (int64_t i = 0; i < first.b.size(); i++) shifted.b.set(i + 1, first.b[i]);
      cpu::set_threads(1);
      CALL(first.call());
      for (int threads : {2, 3, 8}) {
        cpu::set_threads(threads);
        CALL(shifted.call());
        bool same = true;
        for (int64_t i = 0; i < first.c.size(); i++) same = same && shifted.c.raw(i + 1) == first.c.raw(i);
        CHECK(same);
      }
      cpu::set_threads(0);
    });
  }
}

TEST(not_finite) {
  for_floating([](auto zero) {
    using T = decltype(zero);
    for (int64_t m : {4, 17}) {
      auto p = problem(m, 24, 40);
      p.activation = GR_ACTIVATION_RELU;
      Product<T> product(p);
      product.a.set(0 * 40 + 7, kInfinity);
      product.a.set(1 * 40 + 9, kNaN);
      product.a.set(2 * 40 + 39, -kInfinity);
      for (int64_t j = 0; j < 24; j++) product.b.set(7 * 24 + j, 2);
      for (int64_t j = 0; j < 24; j++) product.b.set(39 * 24 + j, 2);
      CALL(product.call());
      for (int64_t j = 0; j < 24; j++) {
        CHECK_EQUAL(product.c[0 * 24 + j], kInfinity);
        CHECK(std::isnan(product.c[1 * 24 + j]));
        CHECK_EQUAL(product.c[2 * 24 + j], 0.0);
        CHECK(std::isfinite(product.c[3 * 24 + j]));
      }
    }
  });
}

template <class T>
void check_integers() {
  for_transposes([](bool trans_a, bool trans_b) {
    auto p = problem(17, 19, 35, trans_a, trans_b);
    p.batch = 2;
    p.stride_a = 17 * 35;
    p.accumulate = trans_a;
    Product<T> product(p);
    for (int64_t i = 0; i < product.a.size(); i++) product.a.set(i, double(i % 13) - (std::is_signed_v<T> ? 6 : 0));
    for (int64_t i = 0; i < product.b.size(); i++) product.b.set(i, double(i % 7) - (std::is_signed_v<T> ? 3 : 0));
    product.a.set(0, std::is_signed_v<T> ? -(1 << 30) : 255);  // wraps around in 32 bits
    CALL(product.call());
    for (int64_t batch = 0; batch < 2; batch++) {
      for (int64_t i = 0; i < 17; i++) {
        for (int64_t j = 0; j < 19; j++) {
          int64_t at = (batch * 17 + i) * 19 + j;
          uint64_t sum = p.accumulate != 0 ? uint64_t(int64_t(product.before[at])) : 0;
          for (int64_t l = 0; l < 35; l++) {
            sum += uint64_t(int64_t(product.left(batch, i, l)) * int64_t(product.right(batch, l, j)));
          }
          CHECK_EQUAL(int64_t(product.c.raw(at)), int64_t(T(sum)));
        }
      }
    }
  });
}

TEST(integers) {
  check_integers<int32_t>();
  check_integers<int64_t>();
  check_integers<uint8_t>();
  Product<int32_t> zeros(problem(3, 4, 0));
  CALL(zeros.call());
  CHECK_EQUAL(zeros.c[3], 0.0);
  Product<int32_t> fused(problem(3, 4, 2));
  fused.add_bias(1);
  CHECK_EQUAL(fused.call(), int(GR_UNSUPPORTED));
}

TEST(refuses) {
  auto p = problem(3, -4, 2);
  CHECK_EQUAL(gr_matmul(0, 0, 0, 0, 0, 0, 0, 0, reinterpret_cast<int64_t>(&p), GR_FLOAT32, 0), int(GR_UNSUPPORTED));
  p = problem(3, 4, 2);
  CHECK_EQUAL(gr_matmul(0, 0, 0, 0, 0, 0, 0, 0, reinterpret_cast<int64_t>(&p), GR_BOOL, 0), int(GR_UNSUPPORTED));
}
