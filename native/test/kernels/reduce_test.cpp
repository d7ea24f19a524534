// Reductions, positions of extremes, prefix sums, sum of squares and the check for finite numbers against naive loops.

#include "gradus/reduce.h"

#include <limits>

#include "kernels/arrays.h"

using namespace gradus;
using namespace test;

namespace {

enum Op { kSum, kMax, kMin, kProd };
constexpr double kInf = std::numeric_limits<double>::infinity();
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

// Elements behind one that is aligned to nothing but its own size.
template <class T>
Array<T> shifted(const Array<T>& x) {
  Array<T> out(x.size() + 1);
  for (int64_t i = 0; i < x.size(); i++) out.set(i + 1, x[i]);
  return out;
}

double naive(int op, double a, double b) {
  if (op == kSum) return a + b;
  if (op == kProd) return a * b;
  if (std::isnan(a) || std::isnan(b)) return kNan;
  return op == kMax ? std::max(a, b) : std::min(a, b);
}

template <class T>
void check_reduce(int op, int64_t outer, int64_t n, int64_t inner, const Array<T>& x, double start, double tolerance) {
  Array<T> out(outer * inner, 77), again(outer * inner, 78), moved = shifted(x);
  Array<uint8_t> scratch(gr_reduce_scratch(outer, n, inner, x.dtype(), 0));
  CALL(gr_reduce(op, x.address(), out.address(), scratch.address(), scratch.bytes(), outer, n, inner, x.dtype(), 0));
  CALL(gr_reduce(op, moved.address() + int64_t(sizeof(T)), again.address(), scratch.address(), scratch.bytes(), outer, n, inner,
                 x.dtype(), 0));
  for (int64_t o = 0; o < outer; o++) {
    for (int64_t j = 0; j < inner; j++) {
      double expected = start, scale = 0;
      for (int64_t i = 0; i < n; i++) {
        double element = x[(o * n + i) * inner + j];
        expected = naive(op, expected, element);
        scale += std::fabs(element);
      }
      int64_t at = o * inner + j;
      CHECK_NEAR(out[at], expected, tolerance, op == kSum ? tolerance * scale : 0);
      CHECK(out[at] == again[at] || (std::isnan(out[at]) && std::isnan(again[at])));  // alignment does not change the order
    }
  }
}

struct Sizes {
  int64_t outer, n, inner;
};
// One lane, part of a warp, a warp, a block, parts of a row; one column, few and many columns, parts of columns.
const Sizes kSizes[] = {{1, 1, 1},   {3, 2, 1},    {40, 3, 1},  {9, 50, 1},  {3, 700, 1},  {2, 3001, 1}, {1, 20003, 1},
                        {1, 1, 5},   {2, 7, 3},    {1, 5, 40},  {3, 40, 9},  {1, 700, 4},  {1, 1500, 1}, {2, 600, 3}};

template <class T>
void check_floats() {
  double one = unit<T>();
  for (const Sizes& s : kSizes) {
    auto x = Array<T>::random(s.outer * s.n * s.inner, 5, -1, 2);
    double in_order = sizeof(T) == 8 ? 0x1p-48 : 0x1p-21;  // of float32 sums, relative to the sum of absolutes
    check_reduce<T>(kSum, s.outer, s.n, s.inner, x, 0, one + in_order);
    check_reduce<T>(kMax, s.outer, s.n, s.inner, x, -kInf, 0);
    check_reduce<T>(kMin, s.outer, s.n, s.inner, x, kInf, 0);
    if (s.n > 100) continue;
    auto near_one = Array<T>::random(s.outer * s.n * s.inner, 6, 0.9, 1.1);
    check_reduce<T>(kProd, s.outer, s.n, s.inner, near_one, 1, one * 2 + in_order);
  }
}
TEST(float32_reductions) { check_floats<float>(); }
TEST(float64_reductions) { check_floats<double>(); }
TEST(bfloat16_reductions) { check_floats<bfloat16>(); }
TEST(float16_reductions) { check_floats<float16>(); }

template <class T>
void check_integers(double least, double greatest) {
  for (const Sizes& s : kSizes) {
    if (s.n > 5000) continue;
    auto x = Array<T>::random(s.outer * s.n * s.inner, 7, least, greatest);
    check_reduce<T>(kMax, s.outer, s.n, s.inner, x, least, 0);
    check_reduce<T>(kMin, s.outer, s.n, s.inner, x, greatest, 0);
    auto small = Array<T>::random(s.outer * s.n * s.inner, 8, 0, 240.0 / double(s.n));
    check_reduce<T>(kSum, s.outer, s.n, s.inner, small, 0, 0);
    if (s.n < 8) check_reduce<T>(kProd, s.outer, s.n, s.inner, Array<T>::random(s.outer * s.n * s.inner, 9, 0, 2.2), 1, 0);
  }
}
TEST(integer_reductions) {
  check_integers<int32_t>(-2147483648.0, 2147483647);
  check_integers<int64_t>(-1e15, 1e15);
  check_integers<uint8_t>(0, 255);
}

TEST(integers_wrap) {
  Array<int32_t> x(3, 2147483647), out(1);
  CALL(gr_reduce(kSum, x.address(), out.address(), 0, 0, 1, 3, 1, GR_INT32, 0));
  CHECK_EQUAL(out.raw(0), 2147483645);
  Array<uint8_t> bytes(300, 1), sum(1);
  CALL(gr_reduce(kSum, bytes.address(), sum.address(), 0, 0, 1, 300, 1, GR_UINT8, 0));
  CHECK_EQUAL(int(sum.raw(0)), 44);
  Array<int64_t> wide(2), product(1);
  wide.set(0, 0x1p62);
  wide.set(1, 4);
  CALL(gr_reduce(kProd, wide.address(), product.address(), 0, 0, 1, 2, 1, GR_INT64, 0));
  CHECK_EQUAL(product.raw(0), int64_t(0));
}

TEST(bool_reductions) {
  Array<uint8_t> x(512, 1), out(1, 9);
  auto reduced = [&](int op) {
    CALL(gr_reduce(op, x.address(), out.address(), 0, 0, 1, 512, 1, GR_BOOL, 0));
    return int(out.raw(0));
  };
  CHECK_EQUAL(reduced(kSum), 1);  // 512 wraps to 0 as a byte, but is not 0
  CHECK_EQUAL(reduced(kMin), 1);
  x.set(400, 0);
  CHECK_EQUAL(reduced(kMin), 0);
  CHECK_EQUAL(reduced(kProd), 0);
  CHECK_EQUAL(reduced(kMax), 1);
}

template <class T>
void check_nothing(int32_t dtype, double least, double greatest) {
  for (int64_t inner = 1; inner < 4; inner += 2) {
    const double expected[] = {0, least, greatest, 1};
    for (int op = kSum; op <= kProd; op++) {
      Array<T> out(2 * inner, 3);
      CALL(gr_reduce(op, 0, out.address(), 0, 0, 2, 0, inner, dtype, 0));
      for (int64_t i = 0; i < 2 * inner; i++) CHECK_EQUAL(out[i], expected[op]);
    }
    CALL(gr_reduce(kSum, 0, 0, 0, 0, 0, 5, inner, dtype, 0));
    CALL(gr_reduce(kSum, 0, 0, 0, 0, 5, 5, 0, dtype, 0));
    CALL(gr_argreduce(1, 0, 0, 0, 0, 0, 5, inner, dtype, 0));
  }
}
TEST(of_nothing) {
  check_nothing<float>(GR_FLOAT32, -kInf, kInf);
  check_nothing<double>(GR_FLOAT64, -kInf, kInf);
  check_nothing<bfloat16>(GR_BFLOAT16, -kInf, kInf);
  check_nothing<float16>(GR_FLOAT16, -kInf, kInf);
  check_nothing<int32_t>(GR_INT32, -2147483648.0, 2147483647);
  check_nothing<int64_t>(GR_INT64, double(INT64_MIN), double(INT64_MAX));
  check_nothing<uint8_t>(GR_UINT8, 0, 255);
  check_nothing<uint8_t>(GR_BOOL, 0, 1);
}

TEST(nan_and_infinity) {
  for (const Sizes& s : {Sizes{3, 50, 1}, Sizes{3, 1500, 1}, Sizes{1, 9000, 1}, Sizes{1, 40, 3}, Sizes{1, 900, 3}}) {
    auto x = Array<float>::random(s.outer * s.n * s.inner, 11);
    x.set(s.n * s.inner / 2, kNan);
    x.set(3, -kInf);
    x.set(4, kInf);
    for (int op : {kSum, kMax, kMin}) {
      check_reduce<float>(op, s.outer, s.n, s.inner, x, op == kSum ? 0 : op == kMax ? -kInf : kInf, 1e-5);
    }
  }
}

TEST(float32_sums_keep_their_digits) {
  // A running sum would lose the ones behind 2^24.
  int64_t n = 20000;
  Array<float> x(n, 1), out(1);
  x.set(0, 0x1p24);
  Array<uint8_t> scratch(gr_reduce_scratch(1, n, 1, GR_FLOAT32, 0));
  CALL(gr_reduce(kSum, x.address(), out.address(), scratch.address(), scratch.bytes(), 1, n, 1, GR_FLOAT32, 0));
  CHECK_NEAR(out[0], 0x1p24 + double(n) - 1, 1e-6, 0);
}

template <class T>
void check_argreduce(bool max, const Sizes& s, const Array<T>& x) {
  Array<int64_t> index(s.outer * s.inner, -5);
  Array<uint8_t> scratch(gr_argreduce_scratch(s.outer, s.n, s.inner, x.dtype(), 0));
  CALL(gr_argreduce(max, x.address(), index.address(), scratch.address(), scratch.bytes(), s.outer, s.n, s.inner, x.dtype(), 0));
  for (int64_t o = 0; o < s.outer; o++) {
    for (int64_t j = 0; j < s.inner; j++) {
      int64_t best = 0;
      auto at = [&](int64_t i) { return x[(o * s.n + i) * s.inner + j]; };
      for (int64_t i = 1; i < s.n; i++) {
        if (std::isnan(at(best))) break;
        if (std::isnan(at(i)) || (max ? at(i) > at(best) : at(i) < at(best))) best = i;
      }
      CHECK_EQUAL(index.raw(o * s.inner + j), best);
    }
  }
}
template <class T>
void check_argreduces() {
  for (const Sizes& s : kSizes) {
    auto x = Array<T>::random(s.outer * s.n * s.inner, 13, 0, 30);
    for (int64_t i = 0; i < x.size(); i++) x.set(i, std::floor(x[i]));  // many equals
    for (bool max : {false, true}) check_argreduce<T>(max, s, x);
    if constexpr (!std::is_integral_v<T>) {
      for (int64_t i = 0; i < x.size(); i += 5) x.set(i, i % 3 == 0 ? kInf : -kInf);
      for (bool max : {false, true}) check_argreduce<T>(max, s, x);
      for (int64_t i = s.n / 2; i < x.size(); i += 7) x.set(i, kNan);
      for (bool max : {false, true}) check_argreduce<T>(max, s, x);
    }
  }
}
TEST(argreduce_of_floats) {
  check_argreduces<float>();
  check_argreduces<double>();
  check_argreduces<bfloat16>();
  check_argreduces<float16>();
}
TEST(argreduce_of_integers) {
  check_argreduces<int32_t>();
  check_argreduces<int64_t>();
  check_argreduces<uint8_t>();
  Array<uint8_t> x(40, 0);
  Array<int64_t> index(1);
  x.set(33, 1);
  x.set(39, 1);
  CALL(gr_argreduce(1, x.address(), index.address(), 0, 0, 1, 40, 1, GR_BOOL, 0));
  CHECK_EQUAL(index.raw(0), int64_t(33));
}
TEST(argreduce_of_infinities) {
  Array<float> x(100, -kInf);
  Array<int64_t> index(1);
  CALL(gr_argreduce(1, x.address(), index.address(), 0, 0, 1, 100, 1, GR_FLOAT32, 0));
  CHECK_EQUAL(index.raw(0), int64_t(0));
}

template <class T>
void check_sum_of_squares() {
  for (int64_t n : {int64_t(0), int64_t(1), int64_t(77), int64_t(1030), int64_t(20003)}) {
    auto x = Array<T>::random(n, 17, -3, 3);
    Array<double> out(1, 5);
    Array<uint8_t> scratch(gr_sum_of_squares_scratch(n, x.dtype(), 0));
    CALL(gr_sum_of_squares(x.address(), out.address(), scratch.address(), scratch.bytes(), n, x.dtype(), 0));
    double expected = 0;
    for (int64_t i = 0; i < n; i++) expected += x[i] * x[i];
    CHECK_NEAR(out[0], expected, 1e-13, 0);
  }
}
TEST(sum_of_squares) {
  check_sum_of_squares<float>();
  check_sum_of_squares<double>();
  check_sum_of_squares<bfloat16>();
  check_sum_of_squares<float16>();
  Array<float> large(3, 1e30f);
  Array<double> out(1);
  CALL(gr_sum_of_squares(large.address(), out.address(), 0, 0, 3, GR_FLOAT32, 0));
  CHECK_NEAR(out[0], 3e60, 1e-6, 0);
}

template <class T>
void check_cumsum(const Sizes& s, bool reverse) {
  auto x = Array<T>::random(s.outer * s.n * s.inner, 19, std::is_integral_v<T> ? -1000 : -1, std::is_integral_v<T> ? 1000 : 1);
  Array<T> y(x.size(), 3), in_place = x, moved = shifted(x);
  Array<uint8_t> scratch(gr_cumsum_scratch(s.outer, s.n, s.inner, x.dtype(), 0));
  auto run = [&](int64_t from, int64_t to) {
    CALL(gr_cumsum(from, to, scratch.address(), scratch.bytes(), s.outer, s.n, s.inner, reverse, x.dtype(), 0));
  };
  run(x.address(), y.address());
  run(in_place.address(), in_place.address());
  run(moved.address() + int64_t(sizeof(T)), moved.address() + int64_t(sizeof(T)));
  double in_order = sizeof(T) == 8 ? 0x1p-48 : 0x1p-21;
  for (int64_t o = 0; o < s.outer; o++) {
    for (int64_t j = 0; j < s.inner; j++) {
      double sum = 0, scale = 0;
      for (int64_t k = 0; k < s.n; k++) {
        int64_t at = (o * s.n + (reverse ? s.n - 1 - k : k)) * s.inner + j;
        sum += x[at];
        scale += std::fabs(x[at]);
        CHECK_NEAR(y[at], sum, std::is_integral_v<T> ? 0 : unit<T>(), std::is_integral_v<T> ? 0 : in_order * scale);
        CHECK_EQUAL(in_place[at], y[at]);
        CHECK_EQUAL(moved[at + 1], y[at]);
      }
    }
  }
}
template <class T>
void check_cumsums() {
  for (const Sizes& s : kSizes) {
    for (bool reverse : {false, true}) check_cumsum<T>(s, reverse);
  }
}
TEST(cumsum_of_float32) { check_cumsums<float>(); }
TEST(cumsum_of_float64) { check_cumsums<double>(); }
TEST(cumsum_of_half) {
  check_cumsums<bfloat16>();
  check_cumsums<float16>();
}
TEST(cumsum_of_integers) {
  check_cumsums<int32_t>();
  check_cumsums<int64_t>();
  CHECK_EQUAL(gr_cumsum(0, 0, 0, 0, 1, 4, 1, 0, GR_UINT8, 0), int(GR_UNSUPPORTED));
  CALL(gr_cumsum(0, 0, 0, 0, 3, 0, 1, 0, GR_INT32, 0));
}

template <class T>
void check_all_finite() {
  for (int64_t n : {int64_t(1), int64_t(9), int64_t(1001), int64_t(5000)}) {
    for (int64_t at : {int64_t(0), n / 2, n - 1}) {
      for (double value : {1.0, kInf, -kInf, kNan}) {
        auto x = Array<T>::random(n + 1, 23);
        x.set(0, kNan);  // before the first element
        x.set(1 + at, value);
        Array<int32_t> flag(1, 0);
        CALL(gr_all_finite(x.address() + int64_t(sizeof(T)), flag.address(), n, x.dtype(), 0));
        CHECK_EQUAL(flag.raw(0), int32_t(value != 1));
      }
    }
  }
  Array<T> x(3, 1);
  Array<int32_t> flag(1, 1);
  CALL(gr_all_finite(x.address(), flag.address(), 3, x.dtype(), 0));
  CALL(gr_all_finite(0, flag.address(), 0, x.dtype(), 0));
  CHECK_EQUAL(flag.raw(0), 1);
}
TEST(all_finite) {
  check_all_finite<float>();
  check_all_finite<double>();
  check_all_finite<bfloat16>();
  check_all_finite<float16>();
}

TEST(same_bits_in_every_thread_order) {
  emulator::Options before = emulator::options();
  for (const Sizes& s : {Sizes{3, 200, 1}, Sizes{1, 20003, 1}, Sizes{1, 700, 4}}) {
    auto x = Array<float>::random(s.outer * s.n * s.inner, 29);
    Array<uint8_t> scratch(gr_reduce_scratch(s.outer, s.n, s.inner, GR_FLOAT32, 0)),
        scan_scratch(gr_cumsum_scratch(s.outer, s.n, s.inner, GR_FLOAT32, 0));
    std::vector<double> first;
    constexpr emulator::Order kOrders[] = {emulator::Order::forward, emulator::Order::reverse, emulator::Order::random};
    for (uint64_t seed = 0; seed < 4; seed++) {
      emulator::options().order = kOrders[std::min<uint64_t>(seed, 2)];
      emulator::options().seed = seed;
      Array<float> out(s.outer * s.inner), y(x.size());
      CALL(gr_reduce(kSum, x.address(), out.address(), scratch.address(), scratch.bytes(), s.outer, s.n, s.inner, GR_FLOAT32, 0));
      CALL(gr_cumsum(x.address(), y.address(), scan_scratch.address(), scan_scratch.bytes(), s.outer, s.n, s.inner, 0,
                     GR_FLOAT32, 0));
      std::vector<double> all;
      for (int64_t i = 0; i < out.size(); i++) all.push_back(out[i]);
      for (int64_t i = 0; i < y.size(); i++) all.push_back(y[i]);
      if (seed == 0) first = all;
      CHECK(all == first);
    }
  }
  emulator::options() = before;
}

TEST(too_little_scratch_is_an_error) {
  Array<float> x(20000, 1), out(1);
  int64_t needed = gr_reduce_scratch(1, 20000, 1, GR_FLOAT32, 0);
  CHECK(needed > 0);
  CHECK_EQUAL(gr_reduce(kSum, x.address(), out.address(), 0, needed - 1, 1, 20000, 1, GR_FLOAT32, 0), int(GR_ERROR));
  CHECK_CONTAINS(error_text(), "[reduce]");
  CHECK_EQUAL(gr_reduce(9, x.address(), out.address(), 0, 0, 1, 3, 1, GR_FLOAT32, 0), int(GR_UNSUPPORTED));
}

}  // namespace
