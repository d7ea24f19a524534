#include "gradus/softmax.h"

#include "cpu/threads.h"
#include "kernels/arrays.h"

using namespace gradus;
using test::Array;

namespace {

struct Sizes {
  int64_t outer, n, inner;
};
const Sizes kSizes[] = {{0, 4, 1}, {3, 1, 1}, {5, 7, 1}, {4, 8, 1}, {3, 33, 1}, {2, 5000, 1}, {2, 5, 3}, {3, 9, 70}, {1, 600, 17}};

template <class F>
void for_floats(F f) {
  f(float{}), f(double{}), f(bfloat16{}), f(float16{});
}

// Calls f(element(i), the line's sum of exponentials about its maximum, maximum) for every line.
template <class T, class F>
void for_lines(const Sizes& s, const Array<T>& x, F f) {
  for (int64_t line = 0; line < s.outer * s.inner; line++) {
    auto at = [=](int64_t i) { return (line / s.inner * s.n + i) * s.inner + line % s.inner; };
    double top = -INFINITY, sum = 0;
    for (int64_t i = 0; i < s.n; i++) top = std::max(top, x[at(i)]);
    for (int64_t i = 0; i < s.n; i++) sum += std::exp(x[at(i)] - top);
    f(at, sum, top);
  }
}

}  // namespace

TEST(softmax_forward_and_backward) {
  for_floats([](auto type) {
    using T = decltype(type);
    for (const Sizes& s : kSizes) {
      int64_t n = s.outer * s.n * s.inner;
      auto x = Array<T>::random(n, 3, -9, 9);
      for (int logarithm : {0, 1}) {
        Array<T> y(n + 1, 9);
        CALL(gr_softmax_forward(x.address(), y.address(), s.outer, s.n, s.inner, logarithm, x.dtype(), 0));
        CHECK(y[n] == 9);
        for_lines(s, x, [&](auto at, double sum, double top) {
          for (int64_t i = 0; i < s.n; i++) {
            double expected = logarithm ? x[at(i)] - top - std::log(sum) : std::exp(x[at(i)] - top) / sum;
            constexpr double kExact = sizeof(T) == 8 ? 1e-14 : 4e-6;  // the rounding of a distance of up to 18
            CHECK_NEAR(y[at(i)], expected, test::unit<T>() + kExact, logarithm ? kExact : 1e-7 * (sizeof(T) == 2));
          }
        });
        auto g = Array<T>::random(n, 4), before = g;
        CALL(gr_softmax_backward(g.address(), y.address(), g.address(), s.outer, s.n, s.inner, logarithm, x.dtype(), 0));
        for_lines(s, x, [&](auto at, double, double) {
          double total = 0, size = 0;
          for (int64_t i = 0; i < s.n; i++) {
            total += logarithm ? before[at(i)] : before[at(i)] * y[at(i)];
            size += std::fabs(logarithm ? before[at(i)] : before[at(i)] * y[at(i)]);
          }
          for (int64_t i = 0; i < s.n; i++) {
            double share = logarithm ? std::exp(y[at(i)]) : y[at(i)];
            double expected = logarithm ? before[at(i)] - share * total : share * (before[at(i)] - total);
            CHECK_NEAR(g[at(i)], expected, test::unit<T>(), share * (size + 1) * (sizeof(T) == 8 ? 1e-14 : 1e-6) + 1e-7);
          }
        });
        CALL(gr_softmax_forward(x.address(), before.address(), s.outer, s.n, s.inner, logarithm, x.dtype(), 0));
        auto in_place = x;
        CALL(gr_softmax_forward(in_place.address(), in_place.address(), s.outer, s.n, s.inner, logarithm, x.dtype(), 0));
        for (int64_t i = 0; i < n; i++) CHECK(in_place[i] == before[i]);
      }
    }
  });
}

TEST(softmax_of_infinities) {
  for_floats([](auto type) {
    using T = decltype(type);
    for (int64_t inner : {1, 3}) {
      int64_t n = 21;
      Array<T> none(n * inner, -INFINITY), y(n * inner);
      CALL(gr_softmax_forward(none.address(), y.address(), 1, n, inner, 0, y.dtype(), 0));
      for (int64_t i = 0; i < n * inner; i++) CHECK(y[i] == 0);
      CALL(gr_softmax_forward(none.address(), y.address(), 1, n, inner, 1, y.dtype(), 0));
      for (int64_t i = 0; i < n * inner; i++) CHECK(y[i] == -INFINITY);
      for (double bad : {double(INFINITY), double(NAN)}) {
        Array<T> x(n * inner, 1);
        x.set(4 * inner, bad);
        for (int logarithm : {0, 1}) {
          CALL(gr_softmax_forward(x.address(), y.address(), 1, n, inner, logarithm, y.dtype(), 0));
          for (int64_t i = 0; i < n * inner; i++) CHECK(std::isnan(y[i]) == (i % inner == 0));
        }
      }
    }
  });
}

TEST(softmax_is_the_same_for_all_threads) {
  for (const Sizes& s : {Sizes{500, 200, 1}, {3, 300, 200}}) {
    auto x = Array<float>::random(s.outer * s.n * s.inner, 4);
    CHECK(test::same_for_all_threads([&] {
      Array<float> y(x.size());
      CALL(gr_softmax_forward(x.address(), y.address(), s.outer, s.n, s.inner, 0, GR_FLOAT32, 0));
      CALL(gr_softmax_backward(x.address(), y.address(), y.address(), s.outer, s.n, s.inner, 0, GR_FLOAT32, 0));
      return test::bytes_of(y);
    }));
  }
}
