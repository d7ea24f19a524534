#include "gradus/matmul.h"

#include <limits>

#include "device/philox.h"
#include "kernels/arrays.h"
#include "kernels/matmul_plan.h"

using namespace gradus;
using test::Array;

namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

// Plans are forced while it lives.
struct Forced {
  Forced(int64_t tile, int64_t splits) { matmul_forced() = {tile, splits}; }
  ~Forced() { matmul_forced() = {}; }
};

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

  int call(int64_t missing_scratch = 0) {
    int64_t at = reinterpret_cast<int64_t>(&p);
    int64_t bytes = gr_matmul_scratch(at, Array<T>::dtype(), 0);
    Array<uint8_t> scratch(bytes);
    auto address = [this](const Array<T>& x) { return x.address() + offset * int64_t(sizeof(T)); };
    int64_t random = with_dropout ? reinterpret_cast<int64_t>(rng.data()) : 0;
    return gr_matmul(address(a), address(b), with_bias ? address(bias) : 0, with_residual ? address(residual) : 0, random,
                     address(c), scratch.address(), bytes - missing_scratch, at, Array<T>::dtype(), 0);
  }

  double left(int64_t batch, int64_t i, int64_t l) const {
    return a[offset + batch * p.stride_a + (p.trans_a != 0 ? l * lda + i : i * lda + l)];
  }
  double right(int64_t batch, int64_t l, int64_t j) const {
    return b[offset + batch * p.stride_b + (p.trans_b != 0 ? j * ldb + l : l * ldb + j)];
  }

  // The largest error in units of what the type, the precision and the sum's length allow.
  double worst() const {
    double worst = 0;
    double product = p.precision == GR_PRECISION_TF32 ? 0x1p-10 : p.precision == GR_PRECISION_TF32X3 ? 0x1p-21 : 0;
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
          double allowed = size * (product + sums * (1 + std::sqrt(double(p.k)))) + rounding + 8 * sums;
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
    test::report(file, line, "error " + test::text(worst) + " of what is allowed: dtype " + text(Array<T>::dtype()) + " " +
                                 sizes + " tile " + text(matmul_forced().tile) + " precision " + text(p.precision));
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

// Each kernel of a type: element-wise loads (odd pitch), 64 x 64 and 128 x 128 tiles, ragged in every direction.
template <class T>
void check_tiles(int64_t precision) {
  for_transposes([&](bool trans_a, bool trans_b) {
    auto p = problem(17, 65, 33, trans_a, trans_b);
    p.precision = precision;
    Product<T> odd(p);
    CHECK_PRODUCT(odd);
    p = problem(18, 66, 34, trans_a, trans_b);  // pitches that are multiples of 4 bytes
    p.precision = precision;
    Product<T> even(p);
    CHECK_PRODUCT(even);
    p = problem(72, 40, 136, trans_a, trans_b);
    p.precision = precision;
    Product<T> small(p);
    CHECK_PRODUCT(small);
    p = problem(136, 72, 88, trans_a, trans_b);
    p.precision = precision;
    Forced forced(128, 0);
    Product<T> large(p);
    CHECK_PRODUCT(large);
  });
}

}  // namespace

TEST(float32_tiles) { check_tiles<float>(GR_PRECISION_EXACT); }
TEST(float64_tiles) { check_tiles<double>(GR_PRECISION_EXACT); }
TEST(bfloat16_tiles) { check_tiles<bfloat16>(GR_PRECISION_EXACT); }
TEST(float16_tiles) { check_tiles<float16>(GR_PRECISION_EXACT); }
TEST(tf32_tiles) { check_tiles<float>(GR_PRECISION_TF32); }
TEST(tf32x3_tiles) { check_tiles<float>(GR_PRECISION_TF32X3); }

TEST(small_and_odd_sizes) {
  for_floating([](auto zero) {
    using T = decltype(zero);
    for (auto [m, n, k] : {std::tuple<int, int, int>{1, 1, 1}, {1, 3, 2}, {3, 1, 17}, {2, 8, 64}, {65, 17, 3}}) {
      for_transposes([&](bool trans_a, bool trans_b) {
        Product<T> product(problem(m, n, k, trans_a, trans_b));
        CHECK_PRODUCT(product);
      });
    }
  });
}

TEST(ragged_127x130x70) {
  Product<float> float32(problem(127, 130, 70));
  CHECK_PRODUCT(float32);
  Product<bfloat16> half(problem(127, 130, 70, false, true));
  CHECK_PRODUCT(half);
}

TEST(several_tiles_in_groups) {
  auto p = problem(64 * 9 + 8, 72, 16);  // more rows of tiles than a group has
  Forced forced(64, 0);
  Product<float16> product(p);
  CHECK_PRODUCT(product);
}

// 3xTF32 errs about as much as float32; TF32 a thousand times more.
TEST(precisions) {
  double error[3];
  for (int64_t precision : {GR_PRECISION_EXACT, GR_PRECISION_TF32, GR_PRECISION_TF32X3}) {
    auto p = problem(24, 40, 512);
    p.precision = precision;
    Forced forced(0, 1);
    Product<float> product(p);
    CALL(product.call());
    double sum = 0;
    for (int64_t i = 0; i < p.m; i++) {
      for (int64_t j = 0; j < p.n; j++) {
        double y = 0;
        for (int64_t l = 0; l < p.k; l++) y += product.left(0, i, l) * product.right(0, l, j);
        sum += (product.c[i * p.n + j] - y) * (product.c[i * p.n + j] - y);
      }
    }
    error[precision] = std::sqrt(sum / double(p.m * p.n));
  }
  CHECK(error[GR_PRECISION_EXACT] < 1e-5);
  CHECK(error[GR_PRECISION_TF32X3] < 2 * error[GR_PRECISION_EXACT]);
  CHECK(error[GR_PRECISION_TF32] > 50 * error[GR_PRECISION_EXACT]);
  CHECK(error[GR_PRECISION_TF32] < 1e-2);
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

TEST(residual_may_be_c) {
  auto p = problem(9, 24, 16);
  Product<bfloat16> product(p);
  product.with_residual = true;
  product.residual = product.c;
  auto at = reinterpret_cast<int64_t>(&p);
  int64_t a = product.a.address(), b = product.b.address(), c = product.c.address();
  CALL(gr_matmul(a, b, 0, c, 0, c, 0, 0, at, GR_BFLOAT16, 0));
  CHECK(product.worst() <= 1);
}

TEST(parts_of_k) {
  for_floating([](auto zero) {
    using T = decltype(zero);
    for (int64_t n : {40, 37}) {
      auto p = problem(19, n, 300, false, true);
      p.batch = 2;
      p.stride_a = 19 * 300;
      p.stride_b = n * 300;
      Forced forced(0, 5);
      p.accumulate = 1;
      p.activation = GR_ACTIVATION_RELU;
      Product<T> product(p);
      product.add_bias(1);
      product.add_residual();
      CHECK(gr_matmul_scratch(reinterpret_cast<int64_t>(&product.p), Array<T>::dtype(), 0) > 0);
      CHECK_PRODUCT(product);
      CHECK_EQUAL(product.call(1), int(GR_ERROR));
      CHECK_CONTAINS(error_text(), "scratch");
    }
  });
  auto p = problem(8, 16, 4096, true, false);  // chosen, not asked for
  CHECK(gr_matmul_scratch(reinterpret_cast<int64_t>(&p), GR_BFLOAT16, 0) > 8 * 16 * 4);
  Product<bfloat16> chosen(p);
  CHECK_PRODUCT(chosen);
}

// One to four rows or columns, the other operand along K and across it, by 16 bytes and by elements.
TEST(vectors) {
  for_floating([](auto zero) {
    using T = decltype(zero);
    for (int64_t width : {1, 3}) {
      for_transposes([&](bool trans_a, bool trans_b) {
        int64_t k = trans_a ? 265 : 264;  // the pitch of one operand is odd
        auto p = problem(264, width, k, trans_a, trans_b);
        p.activation = GR_ACTIVATION_RELU;
        Product<T> columns(p);
        columns.add_bias(1);
        CHECK_PRODUCT(columns);
        Product<T> rows(problem(width, 264, k, trans_a, trans_b));
        CHECK_PRODUCT(rows);
      });
    }
  });
  auto p = problem(1, 600, 3000, false, true);  // several parts along K
  Product<bfloat16> along(p);
  CHECK(gr_matmul_scratch(reinterpret_cast<int64_t>(&p), GR_BFLOAT16, 0) > 600 * 4);
  CHECK_PRODUCT(along);
}

// The sum has one order, whatever kernel is taken for the operands' alignment.
TEST(deterministic) {
  for_floating([](auto zero) {
    using T = decltype(zero);
    for (int64_t m : {1, 40}) {
      auto p = problem(m, 256, 264, false, true);
      Product<T> first(p), again(p), shifted(p, 1);
      for (int64_t i = 0; i < first.a.size(); i++) shifted.a.set(i + 1, first.a[i]);
      for (int64_t i = 0; i < first.b.size(); i++) shifted.b.set(i + 1, first.b[i]);
      CALL(first.call());
      CALL(again.call());
      CALL(shifted.call());
      for (int64_t i = 0; i < first.c.size(); i++) {
        CHECK_EQUAL(again.c[i], first.c[i]);
        CHECK_EQUAL(shifted.c[i + 1], first.c[i]);
      }
    }
  });
}

TEST(not_finite) {
  for_floating([](auto zero) {
    using T = decltype(zero);
    for (int64_t tile : {0, 128}) {
      auto p = problem(17, 24, 40);
      Forced forced(tile, 0);
      p.activation = GR_ACTIVATION_RELU;
      Product<T> product(p);
      product.a.set(3 * 40 + 7, kInfinity);
      product.a.set(5 * 40 + 9, kNaN);
      product.a.set(6 * 40 + 39, -kInfinity);
      for (int64_t j = 0; j < 24; j++) product.b.set(7 * 24 + j, 2);
      for (int64_t j = 0; j < 24; j++) product.b.set(39 * 24 + j, 2);
      CALL(product.call());
      for (int64_t j = 0; j < 24; j++) {
        CHECK_EQUAL(product.c[3 * 24 + j], kInfinity);
        CHECK(std::isnan(product.c[5 * 24 + j]));
        CHECK_EQUAL(product.c[6 * 24 + j], 0.0);
        CHECK(std::isfinite(product.c[4 * 24 + j]));
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
