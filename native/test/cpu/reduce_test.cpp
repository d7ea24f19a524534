#include "gradus/reduce.h"

#include "cpu/threads.h"
#include "kernels/arrays.h"

using namespace gradus;
using test::Array;

namespace {

enum { kSum, kMax, kMin, kProd };

struct Sizes {
  int64_t outer, n, inner;
};
// Empty ones, around the width of vectors, cut into parts, with several blocks of columns.
const Sizes kSizes[] = {{0, 3, 1},       {2, 0, 3},  {1, 1, 1},   {3, 7, 1},   {5, 8, 1},     {4, 33, 1},   {2, 1000, 1},
                        {1, 100'003, 1}, {1, 70, 3}, {3, 129, 2}, {2, 65, 17}, {1, 3000, 33}, {2, 5, 1500}, {1, 40'000, 5},
                        {1, 9, 2500}};

template <class F>
void for_types(F f) {
  f(float{}), f(double{}), f(bfloat16{}), f(float16{}), f(int32_t{}), f(int64_t{}), f(uint8_t{});
}
template <class T>
constexpr bool is_float = Array<T>::dtype() <= GR_FLOAT16;

template <class T>
Array<T> numbers(const Sizes& s, double low = -3, double high = 3) {
  return Array<T>::random(s.outer * s.n * s.inner, uint64_t(s.n), std::is_same_v<T, uint8_t> ? 0 : low, high);
}

template <class T>
Array<T> reduced(int op, const Sizes& s, const Array<T>& x, int32_t dtype = Array<T>::dtype()) {
  Array<T> out(s.outer * s.inner + 1, 99);
  Array<uint8_t> scratch(gr_reduce_scratch(s.outer, s.n, s.inner, dtype, 0));
  CALL(gr_reduce(op, x.address(), out.address(), scratch.address(), scratch.bytes(), s.outer, s.n, s.inner, dtype, 0));
  CHECK(out[s.outer * s.inner] == 99);
  return out;
}

double combined(int op, double a, double b) {
  switch (op) {
    case kSum: return a + b;
    case kProd: return a * b;
    default: return a != a ? a : b != b ? b : op == kMax ? std::max(a, b) : std::min(a, b);
  }
}

template <class T>
double neutral(int op) {
  if (op == kSum) return 0;
  if constexpr (is_float<T>) return op == kMax ? -INFINITY : INFINITY;
  else return double(op == kMax ? std::numeric_limits<T>::min() : std::numeric_limits<T>::max());
}

}  // namespace

TEST(reductions_of_all_types) {
  for_types([](auto type) {
    using T = decltype(type);
    for (const Sizes& s : kSizes) {
      for (int op : {kSum, kMax, kMin, kProd}) {
        // Products of integers stay exact in double precision where most factors are 1.
        auto x = op == kProd ? numbers<T>(s, is_float<T> ? 0.99 : 1, is_float<T> ? 1.01 : 2) : numbers<T>(s);
        auto out = reduced(op, s, x);
        for (int64_t o = 0; o < s.outer; o++) {
          for (int64_t j = 0; j < s.inner; j++) {
            double expected = op == kProd ? 1 : neutral<T>(op), size = 0;
            for (int64_t i = 0; i < s.n; i++) {
              double value = x[(o * s.n + i) * s.inner + j];
              expected = combined(op, expected, value);
              size += std::fabs(value);
            }
            if constexpr (!is_float<T>) {
              bool empty = s.n == 0 && (op == kMax || op == kMin);
              T least = std::numeric_limits<T>::min(), most = std::numeric_limits<T>::max();
              CHECK(out.raw(o * s.inner + j) == (empty ? (op == kMax ? least : most) : T(int64_t(expected))));
            } else {
              double allowed = op == kSum ? size * 3e-7 : op == kProd ? std::fabs(expected) * 1e-7 * double(s.n + 4) : 0;
              CHECK_NEAR(out[o * s.inner + j], expected, test::unit<T>(), sizeof(T) == 8 ? allowed * 1e-8 : allowed);
            }
          }
        }
      }
    }
  });
}

TEST(a_nan_is_the_extreme_and_bool_stays_bool) {
  for (const Sizes& s : {Sizes{1, 100, 1}, {2, 70'000, 1}, {2, 50, 40}, {1, 41, 3}}) {
    auto x = numbers<float>(s);
    int64_t where = s.n / 2 * s.inner;
    x.set(where, NAN);
    for (int op : {kMax, kMin, kSum}) {
      auto out = reduced(op, s, x);
      CHECK(std::isnan(out[0]));
      for (int64_t i = 1; i < s.outer * s.inner; i++) CHECK(!std::isnan(out[i]));
    }
    Array<uint8_t> truth(s.outer * s.n * s.inner, 1);
    CHECK_EQUAL(reduced(kSum, s, truth, GR_BOOL)[0], 1.0);
  }
  CHECK(gr_reduce(4, 0, 0, 0, 0, 1, 1, 1, GR_FLOAT32, 0) == GR_UNSUPPORTED);
}

TEST(float_sums_keep_their_digits) {
  Sizes s{1, 3'000'000, 1};
  Array<float> x(s.n, 1);
  x.set(0, 0x1p24);
  CHECK_NEAR(reduced(kSum, s, x)[0], 0x1p24 + double(s.n) - 1, 4e-6, 0);
  Sizes columns{1, 100'000, 3};
  Array<float> y(columns.n * 3, 0.1);
  CHECK_NEAR(reduced(kSum, columns, y)[1], 0.1 * 100'000, 1e-6, 0);
}

TEST(positions_of_extremes) {
  for_types([](auto type) {
    using T = decltype(type);
    for (const Sizes& s : kSizes) {
      if (s.n == 0) continue;
      auto x = numbers<T>(s);
      bool with_nan = is_float<T> && s.n > 30;
      for (int64_t i = 0; with_nan && i < x.size(); i += 701) x.set(i, NAN);
      for (bool max : {true, false}) {
        Array<int64_t> index(s.outer * s.inner + 1, -7);
        Array<uint8_t> scratch(gr_argreduce_scratch(s.outer, s.n, s.inner, x.dtype(), 0));
        CALL(gr_argreduce(max, x.address(), index.address(), scratch.address(), scratch.bytes(), s.outer, s.n, s.inner, x.dtype(),
                          0));
        for (int64_t line = 0; line < s.outer * s.inner; line++) {
          auto at = [&](int64_t i) { return x[(line / s.inner * s.n + i) * s.inner + line % s.inner]; };
          int64_t best = 0;
          for (int64_t i = 1; i < s.n && !std::isnan(at(best)); i++) {
            if (std::isnan(at(i)) || (max ? at(i) > at(best) : at(i) < at(best))) best = i;
          }
          CHECK(index.raw(line) == best);
        }
        CHECK(index.raw(s.outer * s.inner) == -7);
      }
    }
  });
}

TEST(prefix_sums) {
  for_types([](auto type) {
    using T = decltype(type);
    if (std::is_same_v<T, uint8_t>) return;
    for (const Sizes& s : kSizes) {
      for (bool reverse : {false, true}) {
        auto x = numbers<T>(s);
        Array<T> y(x.size() + 1, 5);
        Array<uint8_t> scratch(gr_cumsum_scratch(s.outer, s.n, s.inner, x.dtype(), 0));
        CALL(gr_cumsum(x.address(), y.address(), scratch.address(), scratch.bytes(), s.outer, s.n, s.inner, reverse, x.dtype(), 0));
        for (int64_t line = 0; line < s.outer * s.inner; line++) {
          double sum = 0;
          for (int64_t step = 0; step < s.n; step++) {
            int64_t i = reverse ? s.n - 1 - step : step, at = (line / s.inner * s.n + i) * s.inner + line % s.inner;
            sum += x[at];
            if (is_float<T>) CHECK_NEAR(y[at], sum, test::unit<T>(), 1e-9);
            else CHECK(y[at] == sum);
          }
        }
        CHECK(y[x.size()] == 5);
        CALL(gr_cumsum(x.address(), x.address(), scratch.address(), scratch.bytes(), s.outer, s.n, s.inner, reverse, x.dtype(), 0));
        bool same = true;
        for (int64_t i = 0; i < x.size(); i++) same = same && x[i] == y[i];
        CHECK(same);
      }
    }
  });
}

TEST(sums_of_squares_and_finite_numbers) {
  for_types([](auto type) {
    using T = decltype(type);
    if constexpr (is_float<T>) {
      for (int64_t n : {0, 1, 9, 63, 64, 130, 100'001}) {
        auto x = Array<T>::random(n, 4);
        Array<double> out(1, 7);
        CALL(gr_sum_of_squares(x.address(), out.address(), 0, gr_sum_of_squares_scratch(n, x.dtype(), 0), n, x.dtype(), 0));
        double expected = 0;
        for (int64_t i = 0; i < n; i++) expected += x[i] * x[i];
        CHECK_NEAR(out[0], expected, 1e-13, 0);
        Array<int32_t> flag(1, 0);
        CALL(gr_all_finite(x.address(), flag.address(), n, x.dtype(), 0));
        CHECK(flag[0] == 0);
        for (int64_t bad : {int64_t(0), n / 2, n - 1}) {
          if (n == 0) continue;
          auto y = x;
          y.set(bad, bad % 2 == 0 ? -INFINITY : NAN);
          flag.set(0, 0);
          CALL(gr_all_finite(y.address(), flag.address(), n, x.dtype(), 0));
          CHECK(flag[0] == 1);
        }
        CALL(gr_all_finite(x.address(), flag.address(), n, x.dtype(), 0));
        CHECK(flag[0] == (n == 0 ? 0 : 1));
      }
    }
  });
}

TEST(reductions_are_the_same_for_all_threads) {
  for (const Sizes& s : {Sizes{1, 300'000, 1}, {1, 3000, 100}, {100, 3000, 1}, {3, 500, 200}}) {
    auto x = numbers<float>(s);
    CHECK(test::same_for_all_threads([&] { return test::bytes_of(reduced(kSum, s, x)); }));
    CHECK(test::same_for_all_threads([&] {
      Array<float> y(x.size());
      Array<uint8_t> scratch(gr_cumsum_scratch(s.outer, s.n, s.inner, GR_FLOAT32, 0));
      CALL(gr_cumsum(x.address(), y.address(), scratch.address(), scratch.bytes(), s.outer, s.n, s.inner, 0, GR_FLOAT32, 0));
      return test::bytes_of(y);
    }));
  }
}

TEST(too_little_scratch_memory_is_an_error) {
  int64_t needed = gr_reduce_scratch(1, 1'000'000, 1, GR_FLOAT32, 0);
  CHECK(needed > 0);
  CHECK_EQUAL(gr_reduce(kSum, 0, 0, 0, needed - 1, 1, 1'000'000, 1, GR_FLOAT32, 0), int(GR_ERROR));
  CHECK_CONTAINS(error_text(), "[reduce]");
}
