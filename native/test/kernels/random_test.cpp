// Random numbers and dropout: the bits that every backend draws, and what is made of them.

#include "gradus/random.h"

#include "device/philox.h"
#include "kernels/arrays.h"

using gradus::bfloat16;
using gradus::float16;
using gradus::philox;
using gradus::PhiloxWords;
using test::Array;

namespace {

constexpr uint64_t kSeed = 0xF123456789ABCDEFull;
constexpr int64_t kBase = (int64_t(7) << 33) + 5, kNumber = 3;
enum Kind { UNIFORM, NORMAL, INTEGER };

Array<int64_t> rng() {
  Array<int64_t> state(2);
  auto* p = reinterpret_cast<int64_t*>(state.address());
  p[0] = int64_t(kSeed);
  p[1] = kBase;
  return state;
}
PhiloxWords words(uint64_t block) { return philox(kSeed, uint64_t(kBase + kNumber), block); }

// Word of element i, four to a block.
uint32_t word(int64_t i) { return words(uint64_t(i / 4)).word[i % 4]; }

double uniform(int64_t i, double a, double b) {
  volatile double product = (b - a) * (double(word(i) >> 8) * 0x1p-24);
  return a + product;
}

template <class T>
void check_random(int kind, double a, double b, int64_t n, int64_t shift, double expected(int64_t, double, double),
                  double tolerance) {
  auto state = rng();
  Array<T> y(n + shift, 9);
  CALL(gr_random(kind, y.address() + shift * int64_t(sizeof(T)), state.address(), n, kNumber, a, b, y.dtype(), 0));
  if (shift > 0) CHECK_EQUAL(y[0], 9.0);
  for (int64_t i = 0; i < n; i++) {
    double e = expected(i, a, b);
    CHECK_NEAR(y[i + shift], tolerance == 0 ? test::wide(test::narrow<T>(e)) : e, 0, tolerance);
  }
}

TEST(uniforms_are_exact) {
  for (int64_t n : {1, 3, 4, 5, 1030, 4100}) {
    for (int64_t shift : {0, 1}) {
      check_random<float>(UNIFORM, 0, 1, n, shift, uniform, 0);
      check_random<float>(UNIFORM, -0.3, 1.7, n, shift, uniform, 0);
      check_random<int32_t>(UNIFORM, -50, 50, n, shift, uniform, 0);
    }
  }
  auto doubles = [](int64_t i, double a, double b) {
    PhiloxWords w = words(uint64_t(i / 2));
    uint32_t high = w.word[i % 2 * 2], low = w.word[i % 2 * 2 + 1];
    volatile double product = (b - a) * (double((uint64_t(high >> 5) << 26) | (low >> 6)) * 0x1p-53);
    return a + product;
  };
  check_random<double>(UNIFORM, -0.3, 1.7, 1031, 0, doubles, 0);
  check_random<double>(UNIFORM, 0, 1, 7, 1, doubles, 0);
}

template <class T>
void check_below_bound(double a, double b) {
  auto state = rng();
  constexpr int64_t kN = 3000;
  Array<T> y(kN);
  CALL(gr_random(UNIFORM, y.address(), state.address(), kN, kNumber, a, b, y.dtype(), 0));
  double below = 0;
  for (int64_t i = 0; i < kN; i++) {
    CHECK(y[i] >= test::wide(test::narrow<T>(a)) && y[i] < b);
    double e = test::wide(test::narrow<T>(uniform(i, a, b)));
    if (e < b) CHECK_EQUAL(y[i], e);
    else below = y[i];
  }
  // The largest number below the bound was put in the place of the bound itself.
  CHECK(below != 0);
}

TEST(uniforms_stay_below_their_bound) {
  check_below_bound<bfloat16>(0, 1);
  check_below_bound<float16>(-4, -3);
  check_below_bound<bfloat16>(-2, -1);
  check_below_bound<float16>(100, 101);
  check_below_bound<float>(1e6, 1e6 + 1);
}

double normal(int64_t i, double a, double b) {
  PhiloxWords w = words(uint64_t(i / 4));
  int pair = int(i % 4 / 2 * 2);
  double radius = std::sqrt(-2 * std::log((double(w.word[pair]) + 0.5) * 0x1p-32));
  double angle = 2 * M_PI * ((double(w.word[pair + 1]) + 0.5) * 0x1p-32);
  return a + b * (radius * (i % 2 == 0 ? std::cos(angle) : std::sin(angle)));
}

TEST(normals) {
  for (int64_t n : {1, 2, 3, 2051}) {
    check_random<float>(NORMAL, 0, 1, n, 0, normal, 1e-6);
    check_random<double>(NORMAL, 0, 1, n, 0, normal, 1e-14);
  }
  check_random<float>(NORMAL, 5, 0.25, 1027, 1, normal, 1e-6);
  check_random<bfloat16>(NORMAL, 0, 1, 1027, 0, normal, 0.01);
  check_random<float16>(NORMAL, 0, 1, 1027, 1, normal, 2e-3);
}

int64_t integer(int64_t i, double a, double b) {
  return int64_t(a) + int64_t(uint64_t(word(i)) * uint64_t(int64_t(b) - int64_t(a)) >> 32);
}

TEST(integers_are_exact) {
  auto expected = [](int64_t i, double a, double b) { return double(integer(i, a, b)); };
  check_random<int64_t>(INTEGER, 0, 0x1p32, 1030, 0, expected, 0);
  check_random<int64_t>(INTEGER, -5, 12, 1030, 1, expected, 0);
  check_random<int32_t>(INTEGER, -1000, 1000, 5, 0, expected, 0);
  check_random<uint8_t>(INTEGER, 0, 256, 4099, 0, expected, 0);
  check_random<float>(INTEGER, 0, 10, 1030, 0, expected, 0);
  check_random<bfloat16>(INTEGER, 0, 10, 17, 1, expected, 0);
  auto state = rng();
  Array<uint8_t> bits(2000);
  CALL(gr_random(INTEGER, bits.address(), state.address(), 2000, kNumber, 0, 2, GR_BOOL, 0));
  for (int64_t i = 0; i < 2000; i++) CHECK_EQUAL(bits[i], double(integer(i, 0, 2)));
  CALL(gr_random(INTEGER, bits.address(), state.address(), 2000, kNumber, -100, 400, GR_UINT8, 0));
  for (int64_t i = 0; i < 2000; i++) {
    CHECK_EQUAL(bits[i], double(std::min<int64_t>(255, std::max<int64_t>(0, integer(i, -100, 400)))));
  }
}

bool keeps(int64_t i, double p) {
  PhiloxWords w = words(uint64_t(i / 8));
  uint32_t half = w.word[i % 8 / 2] >> (16 * (i % 2)) & 0xFFFF;
  return half >= uint32_t(std::rint(p * 65536));
}
double scale(double p) { return p == 1 ? 0 : 1 / (1 - p); }

// One rounding of the factor, one of the product.
template <class T>
double scaled(double x, double p) {
  double factor = test::wide(test::narrow<T>(scale(p)));
  return test::wide(test::narrow<T>(sizeof(T) == 4 ? double(float(x) * float(factor)) : x * factor));
}

template <class T>
void check_dropout(int64_t n, double p, int64_t shift) {
  auto state = rng();
  auto x = Array<T>::random(n + shift, 21, -3, 3);
  if (n > 2) {
    x.set(shift + 1, INFINITY);
    x.set(shift + 2, NAN);
  }
  Array<T> y(n + shift, 9);
  int64_t at = shift * int64_t(sizeof(T));
  CALL(gr_dropout(x.address() + at, state.address(), y.address() + at, n, kNumber, p, x.dtype(), 0));
  Array<uint32_t> mask((n + 31) / 32, 12345);
  CALL(gr_dropout_mask(state.address(), mask.address(), n, kNumber, p, 0));
  Array<T> applied = x;
  CALL(gr_dropout_apply(applied.address() + at, mask.address(), applied.address() + at, n, p, x.dtype(), 0));
  if (shift > 0) CHECK_EQUAL(y[0], 9.0);
  for (int64_t i = 0; i < n; i++) {
    double expected = keeps(i, p) ? scaled<T>(x[i + shift], p) : 0;
    CHECK_NEAR(y[i + shift], expected, 0, 0);
    CHECK_NEAR(applied[i + shift], expected, 0, 0);
    CHECK_EQUAL(mask.raw(i / 32) >> (i % 32) & 1, uint32_t(keeps(i, p)));
  }
  if (n % 32 != 0) CHECK_EQUAL(mask.raw(n / 32) >> (n % 32), 0u);
}

template <class T>
void check_dropouts() {
  for (int64_t n : {1, 3, 7, 8, 255, 257, 4111}) {
    check_dropout<T>(n, 0.3, 0);
    check_dropout<T>(n, 0.5, 1);
  }
  for (double p : {0.0, 1.0, 0.9, 1e-6}) check_dropout<T>(600, p, 0);
}

TEST(dropout_float32) { check_dropouts<float>(); }
TEST(dropout_float64) { check_dropouts<double>(); }
TEST(dropout_bfloat16) { check_dropouts<bfloat16>(); }
TEST(dropout_float16) { check_dropouts<float16>(); }

// More than the emulated device's blocks take at once.
TEST(dropout_in_several_rounds) {
  check_dropout<bfloat16>(90001, 0.25, 0);
  check_dropout<float>(35003, 0.25, 0);
}

template <class T>
void check_channels(int64_t samples, int64_t positions, int64_t channels, int64_t shift = 0) {
  constexpr double kP = 0.4;
  auto state = rng();
  int64_t n = samples * positions * channels;
  auto x = Array<T>::random(n + shift, 22, -3, 3);
  Array<T> y(n + shift);
  int64_t at = shift * int64_t(sizeof(T));
  CALL(gr_dropout_channels(x.address() + at, state.address(), y.address() + at, samples, positions, channels, kNumber,
                           kP, x.dtype(), 0));
  for (int64_t i = 0; i < n; i++) {
    int64_t element = i / (positions * channels) * channels + i % channels;
    CHECK_NEAR(y[i + shift], keeps(element, kP) ? scaled<T>(x[i + shift], kP) : 0, 0, 0);
  }
}

template <class T>
void check_all_channels() {
  check_channels<T>(1, 1, 1);
  check_channels<T>(3, 5, 3);
  check_channels<T>(3, 7, 16);
  check_channels<T>(5, 9, 12);
  check_channels<T>(2, 33, 40);
  check_channels<T>(2, 3, 16, 1);
}

TEST(dropout_of_channels) {
  check_all_channels<float>();
  check_all_channels<double>();
  check_all_channels<bfloat16>();
  check_all_channels<float16>();
}

template <class T>
void check_bias_dropout_residual(int64_t rows, int64_t cols, bool with_bias, bool with_residual) {
  constexpr double kP = 0.25;
  auto state = rng();
  int64_t n = rows * cols;
  auto x = Array<T>::random(n, 23), bias = Array<T>::random(cols, 24), residual = Array<T>::random(n, 25);
  Array<T> y(n);
  CALL(gr_bias_dropout_residual(x.address(), with_bias ? bias.address() : 0, with_residual ? residual.address() : 0,
                                state.address(), y.address(), rows, cols, kNumber, kP, x.dtype(), 0));
  double factor = test::wide(test::narrow<gradus::accumulator_t<T>>(scale(kP)));
  for (int64_t i = 0; i < n; i++) {
    double h = x[i] + (with_bias ? bias[i % cols] : 0);
    double expected = (keeps(i, kP) ? h * factor : 0) + (with_residual ? residual[i] : 0);
    CHECK_NEAR(y[i], expected, test::unit<T>() * 1.01, 4 * (sizeof(T) == 8 ? 0x1p-53 : 0x1p-24));
  }
}

template <class T>
void check_all_bias_dropout_residual() {
  for (bool bias : {false, true}) {
    for (bool residual : {false, true}) {
      check_bias_dropout_residual<T>(1, 1, bias, residual);
      check_bias_dropout_residual<T>(7, 9, bias, residual);
      check_bias_dropout_residual<T>(33, 40, bias, residual);
    }
  }
}

TEST(bias_dropout_residual) {
  check_all_bias_dropout_residual<float>();
  check_all_bias_dropout_residual<double>();
  check_all_bias_dropout_residual<bfloat16>();
  check_all_bias_dropout_residual<float16>();
}

TEST(the_base_moves_every_draw) {
  auto state = rng();
  Array<float> first(100), second(100);
  CALL(gr_random(UNIFORM, first.address(), state.address(), 100, kNumber + 1, 0, 1, GR_FLOAT32, 0));
  reinterpret_cast<int64_t*>(state.address())[1]++;
  CALL(gr_random(UNIFORM, second.address(), state.address(), 100, kNumber, 0, 1, GR_FLOAT32, 0));
  for (int64_t i = 0; i < 100; i++) CHECK_EQUAL(first[i], second[i]);
}

TEST(nothing_to_do_and_nothing_for_it) {
  CALL(gr_random(UNIFORM, 0, 0, 0, 0, 0, 1, GR_FLOAT32, 0));
  CALL(gr_dropout(0, 0, 0, 0, 0, 0.5, GR_FLOAT32, 0));
  CALL(gr_dropout_mask(0, 0, 0, 0, 0.5, 0));
  CALL(gr_dropout_apply(0, 0, 0, 0, 0.5, GR_FLOAT32, 0));
  CALL(gr_dropout_channels(0, 0, 0, 3, 0, 4, 0, 0.5, GR_FLOAT32, 0));
  CALL(gr_bias_dropout_residual(0, 0, 0, 0, 0, 0, 4, 0, 0.5, GR_FLOAT32, 0));
  CHECK_EQUAL(gr_random(3, 0, 0, 5, 0, 0, 1, GR_FLOAT32, 0), int(GR_UNSUPPORTED));
  CHECK_EQUAL(gr_dropout(0, 0, 0, 5, 0, 0.5, GR_INT32, 0), int(GR_UNSUPPORTED));
}

}  // namespace
