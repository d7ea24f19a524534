// A matrix product with its operands, and what it must come to: for the tests of every plug-in.
#pragma once

#include <limits>

#include "device/philox.h"
#include "gradus/matmul.h"
#include "kernels/arrays.h"

namespace test {

using gradus::bfloat16;
using gradus::float16;

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

inline gr_matmul_problem problem(int64_t m, int64_t n, int64_t k, bool trans_a = false, bool trans_b = false) {
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

// The sum of products, and of their magnitudes. Most of a test's time is spent here, so ThreadSanitizer need not look.
#if defined(__SANITIZE_THREAD__)
__attribute__((no_sanitize("thread"), noinline))
#endif
inline double dot(const double* x, const double* y, int64_t n, double* size) {
  double sum = 0;
  for (int64_t i = 0; i < n; i++) {
    sum += x[i] * y[i];
    *size += std::fabs(x[i] * y[i]);
  }
  return sum;
}

// A product with its operands, offset by some elements from the aligned start of their memory. C: the type of its result.
template <class T, class C = T>
struct Product {
  gr_matmul_problem p;
  int64_t offset;
  int64_t lda, ldb, ldc, stride_c;
  Array<T> a, b;
  Array<C> c, before;
  Array<T> bias{0};
  Array<C> residual{0};
  bool with_bias = false, with_residual = false, with_dropout = false;
  Memory<int64_t> rng{77, 5};

  explicit Product(const gr_matmul_problem& problem, int64_t offset = 0)
      : p(problem), offset(offset), lda(p.lda != 0 ? p.lda : p.trans_a != 0 ? p.m : p.k),
        ldb(p.ldb != 0 ? p.ldb : p.trans_b != 0 ? p.k : p.n), ldc(p.ldc != 0 ? p.ldc : p.n),
        stride_c(p.stride_c != 0 ? p.stride_c : p.m * ldc),
        a(Array<T>::random(offset + extent(p.stride_a, p.trans_a != 0 ? p.k : p.m, p.trans_a != 0 ? p.m : p.k, lda), 1)),
        b(Array<T>::random(offset + extent(p.stride_b, p.trans_b != 0 ? p.n : p.k, p.trans_b != 0 ? p.k : p.n, ldb), 2)),
        c(Array<C>::random(offset + extent(stride_c, p.m, p.n, ldc), 3)), before(c) {
    p.wide = std::is_same_v<T, C> ? 0 : 1;
  }

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
    residual = Array<C>::random(c.size(), 5);
  }

  int call(int64_t missing_scratch = 0) {
    int64_t at = reinterpret_cast<int64_t>(&p);
    int64_t bytes = gr_matmul_scratch(at, Array<T>::dtype(), 0);
    Array<uint8_t> scratch(bytes);
    auto address = [this](const auto& x) { return x.address() + offset * int64_t(sizeof(x.raw(0))); };
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
    std::vector<double> rows(size_t(p.m * p.k)), columns(size_t(p.n * p.k));  // widened once: this is most of a test's time
    for (int64_t batch = 0; batch < p.batch; batch++) {
      for (int64_t i = 0; i < p.m * p.k; i++) rows[size_t(i)] = left(batch, i / p.k, i % p.k);
      for (int64_t i = 0; i < p.n * p.k; i++) columns[size_t(i)] = right(batch, i % p.k, i / p.k);
      for (int64_t i = 0; i < p.m; i++) {
        for (int64_t j = 0; j < p.n; j++) {
          double size = 0;
          double y = dot(rows.data() + i * p.k, columns.data() + j * p.k, p.k, &size);
          if (with_bias) y += bias[offset + (p.bias_axis == 1 ? j : i)];
          if (p.activation == GR_ACTIVATION_RELU && y < 0) y = 0;
          if (with_dropout) {
            auto index = uint64_t((batch * p.m + i) * p.n + j);
            auto threshold = uint32_t(std::nearbyint(p.dropout_p * 65536));
            bool keeps = gradus::dropout_keeps(uint64_t(rng[0]), uint64_t(rng[1] + p.dropout_number), index, threshold);
            y = keeps ? y / (1 - p.dropout_p) : 0;
            size /= 1 - p.dropout_p;
          }
          int64_t at = offset + batch * stride_c + i * ldc + j;
          if (with_residual) y += residual[at];
          if (p.accumulate != 0) y += before[at];
          double rounding = unit<C>() * 1.01 * (std::fabs(y) + size * sums);
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

template <class T, class C>
void check(Product<T, C>& product, const char* file, int line) {
  int status = product.call();
  if (status != GR_OK) {
    report(file, line, "status " + std::to_string(status) + ": " + gradus::error_text());
    return;
  }
  double worst = product.worst();
  if (!(worst <= 1)) {
    const gr_matmul_problem& p = product.p;
    auto text = [](int64_t x) { return std::to_string(x); };
    std::string sizes = text(p.m) + "x" + text(p.n) + "x" + text(p.k) + (p.trans_a ? " T" : " N") + (p.trans_b ? "T" : "N");
    report(file, line, "error " + test::text(worst) + " of what is allowed: dtype " + text(Array<T>::dtype()) + " " +
                                 sizes + " precision " + text(p.precision));
  }
  if (!product.gaps_untouched()) report(file, line, "wrote between the rows of C");
}
#define CHECK_PRODUCT(product) test::check(product, __FILE__, __LINE__)

// Infinities and NaN in rows 0 to 2 of a come through ReLU, into these rows alone. Rows of the result are ldc apart; 0: dense.
template <class T>
void check_not_finite(int64_t m, int64_t ldc = 0) {
  gr_matmul_problem p = problem(m, 24, 40);
  p.ldc = ldc;
  p.activation = GR_ACTIVATION_RELU;
  Product<T> product(p);
  product.a.set(0 * 40 + 7, kInfinity);
  product.a.set(1 * 40 + 9, kNaN);
  product.a.set(2 * 40 + 39, -kInfinity);
  for (int64_t j = 0; j < 24; j++) product.b.set(7 * 24 + j, 2);
  for (int64_t j = 0; j < 24; j++) product.b.set(39 * 24 + j, 2);
  CALL(product.call());
  for (int64_t j = 0; j < 24; j++) {
    CHECK_EQUAL(product.c[0 * product.ldc + j], kInfinity);
    CHECK(std::isnan(product.c[1 * product.ldc + j]));
    CHECK_EQUAL(product.c[2 * product.ldc + j], 0.0);
    CHECK(std::isfinite(product.c[3 * product.ldc + j]));
  }
}

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

}  // namespace test
