#include "gradus/random.h"

#include "cpu/simd_philox.h"
#include "cpu/threads.h"
#include "device/convert.h"
#include "kernels/arrays.h"

using namespace gradus;
using test::Array;

namespace {

constexpr int64_t kSeed = 0x123456789ABCDEF, kBase = 0x7FFFFFFF0, kNumber = 17;

Array<int64_t> key() {
  Array<int64_t> rng(2);
  auto* p = reinterpret_cast<int64_t*>(uintptr_t(rng.address()));
  p[0] = kSeed;
  p[1] = kBase;
  return rng;
}
PhiloxWords block(int64_t i) { return philox(uint64_t(kSeed), uint64_t(kBase + kNumber), uint64_t(i)); }
bool keeps(int64_t i, double p) {
  return dropout_keeps(uint64_t(kSeed), uint64_t(kBase + kNumber), uint64_t(i), uint32_t(std::rint(p * 65536)));
}

template <class F>
void for_floats(F f) {
  f(float{}), f(double{}), f(bfloat16{}), f(float16{});
}

template <class T>
double scale_of(double p) {
  return test::wide(convert<T>(p == 1 ? 0 : 1 / (1 - p)));
}

constexpr int64_t kSizes[] = {0, 1, 3, 8, 17, 1000, 1025, 40'003};

}  // namespace

TEST(vectors_of_philox_are_philox) {
  auto rng = key();
  cpu::PhiloxKey vector_key(reinterpret_cast<const int64_t*>(uintptr_t(rng.address())), kNumber);
  for (uint64_t first : {uint64_t(0), uint64_t(3), uint64_t(0xFFFFFFFE), ~uint64_t(0) - 5}) {
    uint32_t words[4 * (21 + cpu::kPhiloxBlocks)];
    cpu::philox_words(vector_key, first, 21, words);
    for (int i = 0; i < 21; i++) {
      PhiloxWords w = philox(vector_key.seed, vector_key.counter, first + uint64_t(i));
      CHECK(memcmp(w.word, words + 4 * i, 16) == 0);
    }
  }
}

TEST(uniform_numbers_and_integers_are_those_of_the_definition) {
  auto rng = key();
  auto run = [&](auto type) {
    using T = decltype(type);
    for (int64_t n : kSizes) {
      for (double high : {1.0, 2.75}) {
        double low = high == 1 ? 0 : -1.3;
        Array<T> y(n + 1, 9), z(n + 1, 9);
        CALL(gr_random(0, y.address(), rng.address(), n, kNumber, low, high, y.dtype(), 0));
        CALL(gr_random(2, z.address(), rng.address(), n, kNumber, 3, 11.5, y.dtype(), 0));
        bool same = y[n] == 9 && z[n] == 9;
        for (int64_t i = 0; i < n; i++) {
          PhiloxWords w = block(i / 4), half = block(i / 2);
          double u = double(philox_uniform(w.word[i % 4]));
          if (sizeof(T) == 8 && kIsFloating<T>) u = philox_uniform(half.word[i % 2 * 2], half.word[i % 2 * 2 + 1]);
          volatile double product = (high - low) * u;
          double expected = test::wide(convert<T>(low + product));
          bool reached = kIsFloating<T> && expected >= high;  // the upper bound is excluded
          same = same && (reached ? y[i] < high && y[i] > high * 0.99 : y[i] == expected);
          same = same && z[i] == 3 + double(philox_below(w.word[i % 4], 8));
        }
        CHECK(same);
      }
    }
  };
  for_floats(run);
  run(int32_t{}), run(int64_t{}), run(uint8_t{});
  CHECK(gr_random(3, 0, rng.address(), 4, 0, 0, 1, GR_FLOAT32, 0) == GR_UNSUPPORTED);
}

TEST(normal_numbers_are_those_of_box_and_muller) {
  auto rng = key();
  for_floats([&](auto type) {
    using T = decltype(type);
    for (int64_t n : kSizes) {
      Array<T> y(n + 1, 9);
      CALL(gr_random(1, y.address(), rng.address(), n, kNumber, 0.5, 2, y.dtype(), 0));
      for (int64_t i = 0; i < n; i++) {
        PhiloxWords w = block(i / 4);
        int pair = int(i % 4 / 2) * 2;
        double radius = std::sqrt(-2 * std::log((double(w.word[pair]) + 0.5) * 0x1p-32));
        double angle = (double(int32_t(w.word[pair + 1])) + 0.5) * 0x1p-31 * 3.14159265358979323846;
        CHECK_NEAR(y[i], 0.5 + 2 * radius * (i % 2 == 0 ? std::cos(angle) : std::sin(angle)), 2 * test::unit<T>(),
                   sizeof(T) == 8 ? 1e-13 : 3e-6);
      }
      CHECK(y[n] == 9);
    }
  });
}

TEST(dropout_its_mask_and_what_is_applied) {
  auto rng = key();
  for_floats([&](auto type) {
    using T = decltype(type);
    for (int64_t n : kSizes) {
      for (double p : {0.0, 0.3, 1.0}) {
        auto x = Array<T>::random(n, 5);
        if (n > 2) x.set(1, INFINITY);
        Array<T> y(n + 1, 9), z(n + 1, 9);
        Array<int32_t> mask((n + 31) / 32 + 1, 5);
        CALL(gr_dropout(x.address(), rng.address(), y.address(), n, kNumber, p, x.dtype(), 0));
        CALL(gr_dropout_mask(rng.address(), mask.address(), n, kNumber, p, 0));
        CALL(gr_dropout_apply(x.address(), mask.address(), z.address(), n, p, x.dtype(), 0));
        bool same = y[n] == 9 && z[n] == 9 && mask[(n + 31) / 32] == 5;
        for (int64_t i = 0; i < n; i++) {
          double expected = keeps(i, p) ? test::wide(convert<T>(x[i] * scale_of<T>(p))) : 0;
          same = same && y[i] == expected && z[i] == expected;
          same = same && (uint32_t(mask.raw(i / 32)) >> (i % 32) & 1) == (keeps(i, p) ? 1u : 0u);
        }
        for (int64_t i = n; i < (n + 31) / 32 * 32; i++) same = same && (uint32_t(mask.raw(i / 32)) >> (i % 32) & 1) == 0;
        CHECK(same);
      }
    }
  });
}

TEST(dropout_of_channels) {
  auto rng = key();
  struct Sizes {
    int64_t samples, positions, channels;
  };
  for_floats([&](auto type) {
    using T = decltype(type);
    for (const Sizes& s : {Sizes{0, 3, 4}, {3, 5, 1}, {2, 7, 13}, {3, 2, 1500}, {2, 900, 40}}) {
      int64_t n = s.samples * s.positions * s.channels;
      auto x = Array<T>::random(n, 5);
      CALL(gr_dropout_channels(x.address(), rng.address(), x.address(), s.samples, s.positions, s.channels, kNumber, 0.4,
                               x.dtype(), 0));
      auto before = Array<T>::random(n, 5);
      bool same = true;
      for (int64_t i = 0; i < n; i++) {
        int64_t element = i / s.channels / s.positions * s.channels + i % s.channels;
        same = same && x[i] == (keeps(element, 0.4) ? test::wide(convert<T>(before[i] * scale_of<T>(0.4))) : 0);
      }
      CHECK(same);
    }
  });
}

TEST(bias_dropout_and_residual) {
  auto rng = key();
  for_floats([&](auto type) {
    using T = decltype(type);
    for (int64_t cols : {1, 5, 64, 1500}) {
      for (int what = 0; what < 4; what++) {
        int64_t rows = 7, n = rows * cols;
        auto x = Array<T>::random(n, 5), bias = Array<T>::random(cols, 6), residual = Array<T>::random(n, 7);
        Array<T> y(n + 1, 9);
        CALL(gr_bias_dropout_residual(x.address(), what & 1 ? bias.address() : 0, what & 2 ? residual.address() : 0, rng.address(),
                                      y.address(), rows, cols, kNumber, 0.25, x.dtype(), 0));
        for (int64_t i = 0; i < n; i++) {
          double h = keeps(i, 0.25) ? (x[i] + (what & 1 ? bias[i % cols] : 0)) / 0.75 : 0;
          CHECK_NEAR(y[i], h + (what & 2 ? residual[i] : 0), test::unit<T>(), 1e-6);
        }
        CHECK(y[n] == 9);
      }
    }
  });
}

TEST(random_numbers_are_the_same_for_all_threads) {
  auto rng = key();
  int64_t n = 200'003;
  auto x = Array<float>::random(n, 5);
  CHECK(test::same_for_all_threads([&] {
    Array<float> y(2 * n);
    CALL(gr_random(1, y.address(), rng.address(), n, kNumber, 0, 1, GR_FLOAT32, 0));
    CALL(gr_dropout(x.address(), rng.address(), y.address() + 4 * n, n, kNumber, 0.5, GR_FLOAT32, 0));
    return test::bytes_of(y);
  }));
}
