// Softmax and its logarithm, forward and backward, against naive loops in float64.

#include "gradus/softmax.h"

#include <limits>

#include "kernels/arrays.h"

using namespace gradus;
using namespace test;

namespace {

constexpr double kInf = std::numeric_limits<double>::infinity();
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

struct Sizes {
  int64_t outer, n, inner;
};

template <class T>
double tolerance() {
  return sizeof(T) == 8 ? 1e-13 : unit<T>() + 2e-6;
}

std::vector<double> naive_line(const std::vector<double>& x, bool logarithm) {
  double top = -kInf, sum = 0;
  for (double v : x) top = std::isnan(v) || std::isnan(top) ? kNan : std::max(top, v);
  double shift = top == -kInf ? 0 : top;
  for (double v : x) sum += std::exp(v - shift);
  if (sum == 0) sum = 1;
  std::vector<double> y;
  for (double v : x) y.push_back(logarithm ? v - shift - std::log(sum) : std::exp(v - shift) / sum);
  return y;
}

// `offset` elements before the data spoil its alignment.
template <class T>
void check_forward(const Sizes& s, const Array<T>& x, bool logarithm, int64_t offset) {
  Array<T> from(x.size() + offset, kNan), y(x.size() + offset, 9);
  for (int64_t i = 0; i < x.size(); i++) from.set(i + offset, x[i]);
  Array<T> in_place = from;
  int64_t skip = offset * int64_t(sizeof(T));
  CALL(gr_softmax_forward(from.address() + skip, y.address() + skip, s.outer, s.n, s.inner, logarithm, x.dtype(), 0));
  CALL(gr_softmax_forward(in_place.address() + skip, in_place.address() + skip, s.outer, s.n, s.inner, logarithm, x.dtype(), 0));
  // A logarithm is a difference; a small float16 is subnormal.
  double absolute = sizeof(T) == 8 ? 1e-14 : logarithm ? 2e-6 : std::is_same_v<T, float16> ? 0x1p-24 : 1e-30;
  for (int64_t o = 0; o < s.outer; o++) {
    for (int64_t j = 0; j < s.inner; j++) {
      std::vector<double> line;
      for (int64_t i = 0; i < s.n; i++) line.push_back(x[(o * s.n + i) * s.inner + j]);
      std::vector<double> expected = naive_line(line, logarithm);
      for (int64_t i = 0; i < s.n; i++) {
        int64_t at = (o * s.n + i) * s.inner + j + offset;
        CHECK_NEAR(y[at], expected[size_t(i)], tolerance<T>(), absolute);
        CHECK(y[at] == in_place[at] || (std::isnan(y[at]) && std::isnan(in_place[at])));
      }
    }
  }
  for (int64_t i = 0; i < offset; i++) CHECK_EQUAL(y[i], 9.0);
}

template <class T>
void check_backward(const Sizes& s, bool logarithm, int64_t offset) {
  int64_t count = s.outer * s.n * s.inner, skip = offset * int64_t(sizeof(T));
  auto grad_y = Array<T>::random(count + offset, 31), x = Array<T>::random(count + offset, 32, -3, 3);
  Array<T> y(count + offset), grad_x(count + offset, 9);
  CALL(gr_softmax_forward(x.address() + skip, y.address() + skip, s.outer, s.n, s.inner, logarithm, x.dtype(), 0));
  CALL(gr_softmax_backward(grad_y.address() + skip, y.address() + skip, grad_x.address() + skip, s.outer, s.n, s.inner,
                           logarithm, x.dtype(), 0));
  Array<T> over_grad = grad_y, over_y = y;
  CALL(gr_softmax_backward(over_grad.address() + skip, y.address() + skip, over_grad.address() + skip, s.outer, s.n, s.inner,
                           logarithm, x.dtype(), 0));
  CALL(gr_softmax_backward(grad_y.address() + skip, over_y.address() + skip, over_y.address() + skip, s.outer, s.n, s.inner,
                           logarithm, x.dtype(), 0));
  for (int64_t o = 0; o < s.outer; o++) {
    for (int64_t j = 0; j < s.inner; j++) {
      auto at = [&](int64_t i) { return (o * s.n + i) * s.inner + j + offset; };
      double sum = 0, scale = 0;
      for (int64_t i = 0; i < s.n; i++) {
        double share = logarithm ? grad_y[at(i)] : grad_y[at(i)] * y[at(i)];
        sum += share;
        scale += std::fabs(share);
      }
      for (int64_t i = 0; i < s.n; i++) {
        double g = grad_y[at(i)], p = y[at(i)], share = logarithm ? std::exp(p) : p;
        double expected = logarithm ? g - share * sum : p * (g - sum);
        double of_sum = (sizeof(T) == 8 ? 1e-14 : 1e-6) * share * scale;
        double absolute = tolerance<T>() * 1e-2 * std::fabs(p) + of_sum + (sizeof(T) == 4 ? 1e-7 : 0);
        CHECK_NEAR(grad_x[at(i)], expected, tolerance<T>(), absolute + (std::is_same_v<T, float16> ? 0x1p-25 : 0));
        CHECK_EQUAL(over_grad[at(i)], grad_x[at(i)]);
        CHECK_EQUAL(over_y[at(i)], grad_x[at(i)]);
      }
    }
  }
}

// Rows: one lane, part of a warp, packs in registers, a block, a long row with its cache, and beyond the cache. Columns: each
// height of a block.
const Sizes kSizes[] = {{1, 1, 1},  {5, 1, 1}, {40, 3, 1}, {7, 10, 1},   {3, 33, 1},  {3, 130, 1}, {2, 510, 1},
                        {2, 999, 1}, {1, 1, 3}, {3, 2, 5},  {1, 50, 2},  {2, 40, 33}, {1, 300, 3}};

template <class T>
void check_all() {
  for (const Sizes& s : kSizes) {
    auto x = Array<T>::random(s.outer * s.n * s.inner, 29, -8, 8);
    for (bool logarithm : {false, true}) {
      for (int64_t offset : {0, 1}) check_forward<T>(s, x, logarithm, offset);
      check_backward<T>(s, logarithm, s.n % 2);
    }
  }
}
TEST(softmax_of_float32) { check_all<float>(); }
TEST(softmax_of_float64) { check_all<double>(); }
TEST(softmax_of_bfloat16) { check_all<bfloat16>(); }
TEST(softmax_of_float16) { check_all<float16>(); }

TEST(long_rows) {
  for (int64_t n : {int64_t(3001), int64_t(9001), int64_t(26001)}) {
    auto x = Array<float>::random(n, 41, -8, 8);
    check_forward<float>({1, n, 1}, x, n == 9001, 0);
    check_backward<float>({1, n, 1}, n == 9001, 0);
  }
  auto half = Array<bfloat16>::random(2 * 4100, 42, -8, 8);
  check_forward<bfloat16>({2, 4100, 1}, half, false, 0);
  check_backward<bfloat16>({2, 4100, 1}, false, 0);
  auto wide = Array<double>::random(13001, 43, -8, 8);
  check_forward<double>({1, 13001, 1}, wide, true, 1);
  check_backward<double>({1, 7001, 1}, true, 1);
}

TEST(masked_and_not_finite) {
  for (const Sizes& s : {Sizes{5, 10, 1}, Sizes{5, 300, 1}, Sizes{5, 1500, 1}, Sizes{1, 30, 5}, Sizes{1, 400, 5}}) {
    auto x = Array<float>::random(5 * s.n, 47, -90, 90);  // line by line: masked, with minus infinity, NaN, plus infinity, large
    auto set = [&](int64_t line, int64_t i, double value) { x.set(s.inner == 1 ? line * s.n + i : i * s.inner + line, value); };
    for (int64_t i = 0; i < s.n; i++) {
      set(0, i, -kInf);
      if (i % 2 == 0) set(1, i, -kInf);
      set(4, i, 1e38 * (i % 2 == 0 ? 1 : -1));
    }
    set(2, s.n / 2, kNan);
    set(3, s.n - 1, kInf);
    for (bool logarithm : {false, true}) check_forward<float>(s, x, logarithm, 0);
  }
}

TEST(order_does_not_depend_on_alignment) {
  int64_t n = 777;
  auto x = Array<float>::random(n, 53);
  Array<float> moved(n + 1), y(n), moved_y(n + 1);
  for (int64_t i = 0; i < n; i++) moved.set(i + 1, x[i]);
  CALL(gr_softmax_forward(x.address(), y.address(), 1, n, 1, 0, GR_FLOAT32, 0));
  CALL(gr_softmax_forward(moved.address() + 4, moved_y.address() + 4, 1, n, 1, 0, GR_FLOAT32, 0));
  for (int64_t i = 0; i < n; i++) CHECK_EQUAL(moved_y[i + 1], y[i]);
}

TEST(nothing_and_unknown_types) {
  for (int64_t inner : {int64_t(1), int64_t(3)}) {
    CALL(gr_softmax_forward(0, 0, 0, 4, inner, 0, GR_FLOAT32, 0));
    CALL(gr_softmax_backward(0, 0, 0, 3, 0, inner, 1, GR_BFLOAT16, 0));
  }
  CHECK_EQUAL(gr_softmax_forward(0, 0, 1, 4, 1, 0, GR_INT32, 0), int(GR_UNSUPPORTED));
}

}  // namespace
