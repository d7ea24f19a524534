#include "gradus/elementwise.h"

#include <algorithm>
#include <numeric>

#include "cpu/threads.h"
#include "device/convert.h"
#include "kernels/arrays.h"
#include "kernels/elementwise_functions.h"

using namespace gradus;
using test::Array;

namespace {

template <class F>
void for_types(F f) {
  f(float{}), f(double{}), f(bfloat16{}), f(float16{}), f(int32_t{}), f(int64_t{}), f(uint8_t{});
}
constexpr bool is_float(int32_t dtype) { return dtype <= GR_FLOAT16; }

int64_t host(const gr_layout& layout) { return int64_t(reinterpret_cast<uintptr_t>(&layout)); }

// As the scalar functions of the kernels, but in double: floats may differ by a few units.
template <class T, class F>
void check_unary(int op, int64_t n, int64_t skip) {
  auto x = Array<T>::random(n + skip, uint64_t(n + op), std::is_same_v<T, uint8_t> ? 0 : -6, 6);
  const double special[] = {0, -0.0, double(INFINITY), -double(INFINITY), double(NAN), 1, -1, 0.5, 2.5, -2.5};
  for (int64_t i = 0; i < 10 && is_float(x.dtype()) && i + skip < n; i++) x.set(skip + i, special[i]);
  Array<T> y(n + skip + 1, 77);
  int64_t bytes = skip * int64_t(sizeof(T));
  CALL(gr_unary(op, x.address() + bytes, y.address() + bytes, n, x.dtype(), 0));
  for (int64_t i = skip; i < n + skip; i++) {
    if constexpr (kIsFloating<T>) {
      double expected = test::wide(convert<T>(F{}(x[i])));
      bool same = y[i] == expected || (std::isnan(y[i]) && std::isnan(expected));
      // The tanh form of gelu has the rounding of its exponent in the lower tail.
      double units = std::is_same_v<F, GeluTanh> ? 40 : 8;
      bool near = std::fabs(y[i] - expected) <= units * test::unit<T>() * std::fabs(expected) + 1e-44;
      if (!same && !near) test::report(__FILE__, __LINE__, "op " + std::to_string(op) + " of " + std::to_string(x[i]));
    } else if constexpr (F::on_integers) {
      CHECK(y.raw(i) == convert<T>(F{}(int64_t(x.raw(i)))));
    }
  }
  for (int64_t i = 0; i < skip; i++) CHECK(y[i] == 77);
  CHECK(y[n + skip] == 77);
}

}  // namespace

TEST(unary_of_all_functions_and_types) {
  for_types([](auto type) {
    using T = decltype(type);
    for (int op = 0; op < 24; op++) {
      int status = with_function(UnaryFunctions{}, op, [&](auto f) -> int {
        using F = decltype(f);
        if constexpr (!kIsFloating<T> && !F::on_integers) return gr_unary(op, 0, 0, 4, Array<T>::dtype(), 0);
        else for (int64_t n : {0, 1, 3, 7, 8, 17, 33, 100}) check_unary<T, F>(op, n, n % 3);
        return GR_OK;
      });
      CHECK(status == (is_float(Array<T>::dtype()) || op < 3 || op == 15 || op > 19 ? GR_OK : GR_UNSUPPORTED));
    }
  });
  CHECK(gr_unary(24, 0, 0, 4, GR_FLOAT32, 0) == GR_UNSUPPORTED);
}

TEST(unary_of_much_goes_past_the_cache_and_leaves_neighbours) {
  int64_t n = (int64_t(4) << 20) + 5;
  auto x = Array<float>::random(n, 3);
  Array<float> y(n + 2, 9);
  CALL(gr_unary(0, x.address(), y.address() + 4, n, GR_FLOAT32, 0));
  int64_t wrong = 0;
  for (int64_t i = 0; i < n; i++) wrong += y[i + 1] != -x[i];
  CHECK(wrong == 0 && y[0] == 9 && y[n + 1] == 9);
}

namespace {

struct Shapes {
  std::vector<int64_t> shape;
  std::vector<std::vector<int64_t>> strides;  // of the operands
};

// Broadcast and transposed layouts of some shapes.
std::vector<Shapes> layouts() {
  return {
      {{}, {{}, {}, {}}},
      {{0}, {{1}, {1}, {1}}},
      {{1}, {{1}, {0}, {1}}},
      {{67}, {{1}, {1}, {0}}},
      {{2050}, {{1}, {0}, {1}}},
      {{5, 67}, {{67, 1}, {0, 1}, {1, 0}}},
      {{5, 67}, {{0, 0}, {67, 1}, {1, 5}}},
      {{300, 3}, {{3, 1}, {0, 1}, {1, 0}}},
      {{300, 3}, {{1, 0}, {1, 300}, {0, 0}}},
      {{3, 5, 40}, {{200, 40, 1}, {0, 1, 0}, {40, 0, 1}}},
      {{2, 3, 4, 5}, {{60, 20, 5, 1}, {20, 0, 5, 1}, {0, 20, 1, 4}}},
      {{700, 50}, {{50, 1}, {1, 700}, {0, 1}}},
  };
}
gr_layout layout_of(const Shapes& s, int operands) {
  gr_layout out{};
  out.rank = int64_t(s.shape.size());
  for (int64_t axis = 0; axis < out.rank; axis++) {
    out.shape[axis] = s.shape[size_t(axis)];
    for (int k = 0; k < operands; k++) out.strides[k][axis] = s.strides[size_t(k)][size_t(axis)];
  }
  return out;
}
int64_t offset_of(const gr_layout& layout, int k, int64_t index) {
  int64_t offset = 0;
  for (int64_t axis = layout.rank - 1; axis >= 0; axis--) {
    offset += index % layout.shape[axis] * layout.strides[k][axis];
    index /= layout.shape[axis];
  }
  return offset;
}
int64_t elements(const gr_layout& layout) {
  return std::accumulate(layout.shape, layout.shape + layout.rank, int64_t(1), std::multiplies<int64_t>());
}

constexpr int64_t kNumbers = 40'000;

template <class T>
Array<T> numbers(uint64_t seed) {
  auto out = Array<T>::random(kNumbers, seed, std::is_same_v<T, uint8_t> ? 0 : -5, 5);
  for (int64_t i = 0; i < kNumbers && is_float(out.dtype()); i += 5) out.set(i, double(i % 7) - 3);
  if (is_float(out.dtype())) {
    out.set(11, NAN);
    out.set(12, -0.0);
  }
  return out;
}

}  // namespace

TEST(binary_compare_and_where_of_all_types_with_broadcasting) {
  for_types([](auto type) {
    using T = decltype(type);
    auto a = numbers<T>(1), b = numbers<T>(2);
    auto condition = Array<uint8_t>::random(kNumbers, 3, 0, 3);
    for (const Shapes& s : layouts()) {
      gr_layout layout = layout_of(s, 3);
      int64_t n = elements(layout);
      for (int op = 0; op < 8; op++) {
        Array<T> out(n + 1, 99);
        CALL(gr_binary(op, a.address(), b.address(), out.address(), host(layout), a.dtype(), 0));
        with_function(BinaryFunctions{}, op, [&](auto f) {
          for (int64_t i = 0; i < n; i++) {
            auto l = a.raw(offset_of(layout, 0, i)), r = b.raw(offset_of(layout, 1, i));
            if constexpr (kIsFloating<T>) {
              double expected = test::wide(convert<T>(f(double(to_float(l)), double(to_float(r)))));
              CHECK_NEAR(out[i], expected, 4 * test::unit<T>(), 1e-40);
              if ((op == 5 || op == 6) && expected == 0) CHECK(std::signbit(out[i]) == std::signbit(expected));
            } else {
              CHECK(out.raw(i) == convert<T>(f(int64_t(l), int64_t(r))));
            }
          }
          return GR_OK;
        });
        CHECK(out[n] == 99);
      }
      for (int op = 0; op < 6; op++) {
        Array<uint8_t> out(n + 1, 99);
        CALL(gr_compare(op, a.address(), b.address(), out.address(), host(layout), a.dtype(), 0));
        with_function(CompareFunctions{}, op, [&](auto f) {
          for (int64_t i = 0; i < n; i++) CHECK(out[i] == f(a[offset_of(layout, 0, i)], b[offset_of(layout, 1, i)]));
          return GR_OK;
        });
        CHECK(out[n] == 99);
      }
      Array<T> out(n + 1, 99);
      CALL(gr_where(condition.address(), a.address(), b.address(), out.address(), host(layout), a.dtype(), 0));
      for (int64_t i = 0; i < n; i++) {
        bool yes = condition[offset_of(layout, 0, i)] != 0;
        double expected = yes ? a[offset_of(layout, 1, i)] : b[offset_of(layout, 2, i)];
        CHECK(out[i] == expected || (std::isnan(out[i]) && std::isnan(expected)));
      }
      CHECK(out[n] == 99);
    }
  });
}

TEST(squares_are_exact_and_results_may_lie_over_operands) {
  auto a = Array<float>::random(1000, 1);
  auto before = a;
  Array<float> two(1, 2);
  gr_layout layout{1, {1000}, {{1}, {0}}};
  CALL(gr_binary(4, a.address(), two.address(), a.address(), host(layout), GR_FLOAT32, 0));
  for (int64_t i = 0; i < 1000; i++) CHECK(a[i] == double(float(before[i] * before[i])));
}

TEST(copies_between_layouts) {
  const std::vector<std::vector<int64_t>> shapes = {{}, {7}, {33, 65}, {3, 17, 40}, {4, 9, 5, 31}, {2, 64, 3, 16}, {130, 2}};
  for (const auto& shape : shapes) {
    std::vector<int64_t> order(shape.size());
    std::iota(order.begin(), order.end(), 0);
    do {
      for (bool transposed_source : {true, false}) {
        gr_layout layout{};
        layout.rank = int64_t(shape.size());
        int64_t dense = 1, permuted = 1;
        for (int64_t axis = layout.rank - 1; axis >= 0; axis--) {
          auto from = size_t(axis), to = size_t(order[from]);
          layout.shape[axis] = shape[from];
          layout.strides[transposed_source ? 1 : 0][axis] = dense;
          dense *= shape[from];
          layout.strides[transposed_source ? 0 : 1][to] = permuted;
          permuted *= shape[to];
        }
        for (int bytes : {1, 2, 4, 8}) {
          int64_t n = elements(layout);
          auto src = Array<uint8_t>::random(n * bytes, 5, 0, 256);
          Array<uint8_t> dst(n * bytes + 1, 7);
          CALL(gr_copy(src.address(), dst.address(), host(layout), bytes, 0));
          bool same = dst[n * bytes] == 7;
          for (int64_t i = 0; i < n; i++) {
            int64_t from = offset_of(layout, 0, i) * bytes, to = offset_of(layout, 1, i) * bytes;
            for (int byte = 0; byte < bytes; byte++) same = same && src[from + byte] == dst[to + byte];
          }
          CHECK(same);
        }
      }
    } while (std::next_permutation(order.begin(), order.end()));
  }
}

TEST(casts_of_all_pairs_and_fills) {
  for_types([](auto from) {
    using S = decltype(from);
    auto x = numbers<S>(4);
    for (int64_t i = 0; i < 8 && is_float(x.dtype()); i++) x.set(100 + i, std::ldexp(i % 2 == 0 ? 1.3 : -1.3, int(20 * i)));
    for_types([&](auto to) {
      using D = decltype(to);
      for (int64_t n : {0, 1, 9, 1000}) {
        Array<D> y(n + 1, 5);
        CALL(gr_cast(x.address(), y.address(), n, x.dtype(), y.dtype(), 0));
        for (int64_t i = 0; i < n; i++) {
          double expected = test::wide(convert<D>(x.raw(i)));
          CHECK(y[i] == expected || (std::isnan(y[i]) && std::isnan(expected)));
        }
        CHECK(y[n] == 5);
        CALL(gr_fill(y.address(), n, 3.7, y.dtype(), 0));
        for (int64_t i = 0; i < n; i++) CHECK(y[i] == test::wide(convert<D>(3.7)));
        CHECK(y[n] == 5);
      }
    });
    Array<uint8_t> truth(1000);
    CALL(gr_cast(x.address(), truth.address(), 1000, x.dtype(), GR_BOOL, 0));
    for (int64_t i = 0; i < 1000; i++) CHECK(truth[i] == (x[i] != 0));
  });
}

TEST(elementwise_is_the_same_for_all_threads) {
  int64_t n = 400'003;
  auto x = Array<float>::random(n, 1), b = Array<float>::random(n, 2);
  gr_layout layout{1, {n}, {{1}, {1}}};
  CHECK(test::same_for_all_threads([&] {
    Array<float> y(n);
    CALL(gr_unary(14, x.address(), y.address(), n, GR_FLOAT32, 0));
    CALL(gr_binary(3, y.address(), b.address(), y.address(), host(layout), GR_FLOAT32, 0));
    return test::bytes_of(y);
  }));
}
