// Element-wise functions, broadcasting, copies, casts and fills against loops over float64 and int64.

#include "gradus/elementwise.h"

#include <functional>
#include <numeric>

#include "kernels/arrays.h"
#include "kernels/layout.h"

using gradus::bfloat16;
using gradus::float16;
using test::Array;

namespace {

constexpr double kInfinity = INFINITY;

int64_t host(const void* p) { return int64_t(reinterpret_cast<uintptr_t>(p)); }

double sigmoid(double x) { return x >= 0 ? 1 / (1 + std::exp(-x)) : std::exp(x) / (1 + std::exp(x)); }

// In the order of UnaryOp.
const std::vector<std::function<double(double)>> kUnary = {
    [](double x) { return -x; },
    [](double x) { return std::fabs(x); },
    [](double x) { return x > 0 ? 1 : x < 0 ? -1 : x; },
    [](double x) { return std::exp(x); },
    [](double x) { return std::expm1(x); },
    [](double x) { return std::log(x); },
    [](double x) { return std::log1p(x); },
    [](double x) { return std::sqrt(x); },
    [](double x) { return 1 / std::sqrt(x); },
    [](double x) { return 1 / x; },
    [](double x) { return std::sin(x); },
    [](double x) { return std::cos(x); },
    [](double x) { return std::erf(x); },
    sigmoid,
    [](double x) { return std::tanh(x); },
    [](double x) { return x <= 0 ? 0 : x; },
    [](double x) { return x * 0.5 * std::erfc(-x * std::sqrt(0.5)); },
    [](double x) { return x * sigmoid(2 * std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)); },
    [](double x) { return x * sigmoid(x); },
    [](double x) { return (x <= 0 ? 0 : x) + std::log1p(std::exp(-std::fabs(x))); },
    [](double x) { return std::floor(x); },
    [](double x) { return std::ceil(x); },
    [](double x) { return std::rint(x); },
    [](double x) { return x <= 0 ? 0 : 1; },
};
enum Unary { NEG, ABS, SIGN, EXP, RELU = 15, GELU, GELU_TANH, FLOOR = 20, CEIL, ROUND, STEP };
enum Binary { ADD, SUB, MUL, DIV, POW, MAX, MIN, GATE };
enum Compare { EQ, NE, LT, LE, GT, GE };

// Java's Math.max: NaN when either is, -0 below +0.
double java_max(double a, double b) {
  if (std::isnan(a) || std::isnan(b)) return NAN;
  if (a == b) return std::signbit(a) ? b : a;
  return a > b ? a : b;
}
double java_min(double a, double b) { return -java_max(-a, -b); }
double java_pow(double a, double b) {
  if (std::isnan(b) || (std::fabs(a) == 1 && std::isinf(b))) return NAN;
  return std::pow(a, b);
}
double binary(int op, double a, double b) {
  switch (op) {
    case ADD: return a + b;
    case SUB: return a - b;
    case MUL: return a * b;
    case DIV: return a / b;
    case POW: return java_pow(a, b);
    case MAX: return java_max(a, b);
    case MIN: return java_min(a, b);
    default: return b <= 0 ? 0 : a;
  }
}
bool compare(int op, double a, double b) {
  bool all[] = {a == b, a != b, a < b, a <= b, a > b, a >= b};
  return all[op];
}

// A few units in the last place; where results are subnormal, of the smallest number.
template <class T>
double relative() {
  return sizeof(T) == 2 ? 2.1 * test::unit<T>() : 12 * test::unit<T>();
}
template <class T>
double absolute() {
  return std::is_same_v<T, float16> ? 0x1p-24 : sizeof(T) == 8 ? 1e-300 : 1e-37;
}
template <class T>
double rounded(double x) {
  return test::wide(test::narrow<T>(x));
}

template <class T>
void check_unary() {
  const double special[] = {0.0, -0.0, 1, -1, 0.5, 2.5, -2.5, kInfinity, -kInfinity, NAN, 100, -100, 1e-3};
  for (int64_t n : {int64_t(1), int64_t(13), int64_t(4500)}) {
    auto x = Array<T>::random(n, 7, -4, 4);
    for (int64_t i = 0; i < std::min<int64_t>(n, 13); i++) x.set(i, special[i]);
    for (int op = 0; op < int(kUnary.size()); op++) {
      Array<T> y(n, 77);
      CALL(gr_unary(op, x.address(), y.address(), n, x.dtype(), 0));
      for (int64_t i = 0; i < n; i++) {
        double expected = rounded<T>(kUnary[size_t(op)](x[i]));
        // In the lower tail the error of the exponent counts.
        double tail = (op == GELU || op == GELU_TANH) && x[i] < 0 ? 5 : 1;
        CHECK_NEAR(y[i], expected, tail * relative<T>(), absolute<T>());
      }
    }
  }
  // Not aligned, and onto itself.
  constexpr int64_t kN = 2100;
  auto x = Array<T>::random(kN, 8, -2, 2);
  Array<T> y(kN, 3);
  CALL(gr_unary(ABS, x.address() + int64_t(sizeof(T)), y.address(), kN - 1, x.dtype(), 0));
  for (int64_t i = 0; i + 1 < kN; i++) CHECK_EQUAL(y[i], std::fabs(x[i + 1]));
  CHECK_EQUAL(y[kN - 1], 3.0);
  CALL(gr_unary(NEG, y.address(), y.address(), kN, y.dtype(), 0));
  for (int64_t i = 0; i + 1 < kN; i++) CHECK_EQUAL(y[i], -std::fabs(x[i + 1]));
}

TEST(unary_float32) { check_unary<float>(); }
TEST(unary_float64) { check_unary<double>(); }
TEST(unary_bfloat16) { check_unary<bfloat16>(); }
TEST(unary_float16) { check_unary<float16>(); }

TEST(unary_keeps_signs_of_zero_as_java_does) {
  Array<float> x(2), y(2);
  x.set(1, -0.0);
  CALL(gr_unary(RELU, x.address(), y.address(), 2, GR_FLOAT32, 0));
  CHECK(!std::signbit(y[1]));
  CALL(gr_unary(SIGN, x.address(), y.address(), 2, GR_FLOAT32, 0));
  CHECK(std::signbit(y[1]) && !std::signbit(y[0]));
  CALL(gr_unary(ROUND, x.address(), y.address(), 2, GR_FLOAT32, 0));
  CHECK(std::signbit(y[1]));
}

template <class T>
void check_integer_unary(int32_t dtype, std::vector<int64_t> values) {
  for (int op = 0; op < int(kUnary.size()); op++) {
    auto n = int64_t(values.size());
    Array<T> x(n), y(n);
    for (int64_t i = 0; i < n; i++) reinterpret_cast<T*>(x.address())[i] = T(values[size_t(i)]);
    bool defined = op == NEG || op == ABS || op == SIGN || op == RELU || op == FLOOR || op == CEIL || op == ROUND || op == STEP;
    int status = gr_unary(op, x.address(), y.address(), n, dtype, 0);
    CHECK_EQUAL(status, int(defined ? GR_OK : GR_UNSUPPORTED));
    if (!defined) continue;
    for (int64_t i = 0; i < n; i++) {
      int64_t v = x.raw(i);
      int64_t e = v;
      if (op == NEG || (op == ABS && v < 0)) e = int64_t(0 - uint64_t(v));
      if (op == SIGN) e = (v > 0) - (v < 0);
      if (op == RELU) e = v > 0 ? v : 0;
      if (op == STEP) e = v > 0;
      CHECK(y.raw(i) == (dtype == GR_BOOL ? T(e != 0) : T(e)));
    }
  }
}

TEST(unary_integers) {
  check_integer_unary<int32_t>(GR_INT32, {0, 1, -1, INT32_MAX, INT32_MIN, 12345, -54321});
  check_integer_unary<int64_t>(GR_INT64, {0, 1, -1, INT64_MAX, INT64_MIN, int64_t(1) << 53, -54321});
  check_integer_unary<uint8_t>(GR_UINT8, {0, 1, 255, 128, 127, 3, 4, 5, 6, 7, 8, 9, 10});
  check_integer_unary<uint8_t>(GR_BOOL, {0, 1, 1, 0, 1});
}

// Shapes with strides, and what an element-wise kernel reads for output element i.
struct Shape {
  gr_layout layout{};

  Shape(std::vector<int64_t> shape, std::vector<std::vector<int64_t>> strides) {
    layout.rank = int64_t(shape.size());
    std::copy(shape.begin(), shape.end(), layout.shape);
    for (size_t k = 0; k < strides.size(); k++) std::copy(strides[k].begin(), strides[k].end(), layout.strides[k]);
  }
  int64_t address() const { return host(&layout); }
  int64_t elements() const { return std::accumulate(layout.shape, layout.shape + layout.rank, int64_t(1), std::multiplies<>()); }
  int64_t offset(int k, int64_t i) const {
    int64_t at = 0;
    for (int64_t axis = layout.rank - 1; axis >= 0; axis--) {
      at += i % layout.shape[axis] * layout.strides[k][axis];
      i /= layout.shape[axis];
    }
    return at;
  }
  // Elements that operand k needs.
  int64_t extent(int k) const {
    int64_t most = 0;
    for (int64_t axis = 0; axis < layout.rank; axis++) most += (layout.shape[axis] - 1) * layout.strides[k][axis];
    return most + 1;
  }
};

const std::vector<Shape>& broadcasts() {
  static const std::vector<Shape> all = {
      {{}, {{}, {}, {}}},                                                                // one element
      {{1}, {{1}, {0}, {1}}},
      {{4103}, {{1}, {1}, {1}}},                                                         // dense with a rest
      {{2051}, {{1}, {0}, {1}}},                                                         // scalar
      {{2048}, {{0}, {1}, {0}}},
      {{9, 64}, {{64, 1}, {0, 1}, {0, 1}}},                                              // row
      {{9, 64}, {{1, 0}, {64, 1}, {1, 0}}},                                              // column
      {{7, 10}, {{10, 1}, {0, 1}, {1, 0}}},                                              // row that is no whole number of packs
      {{33, 40}, {{1, 33}, {40, 1}, {40, 1}}},                                           // transposed
      {{3, 4, 16}, {{64, 16, 1}, {16, 0, 1}, {0, 16, 1}}},
      {{2, 3, 1, 5}, {{15, 5, 5, 1}, {0, 1, 7, 0}, {0, 1, 7, 0}}},
      {{2, 1, 2, 2, 1, 2, 2, 3}, {{96, 9, 0, 24, 4, 12, 3, 1}, {0, 5, 2, 4, 1, 0, 1, 0}, {1, 0, 0, 0, 0, 2, 0, 4}}},
      {{5, 8}, {{16, 1}, {9, 1}, {8, 1}}},                                               // pitches
      {{12}, {{2}, {1}, {3}}},
  };
  return all;
}

template <class T>
void check_binary() {
  for (const Shape& shape : broadcasts()) {
    int64_t n = shape.elements();
    auto a = Array<T>::random(shape.extent(0), 3, -3, 3), b = Array<T>::random(shape.extent(1), 4, -3, 3);
    if (a.size() > 2) a.set(2, NAN);
    for (int op = ADD; op <= GATE; op++) {
      Array<T> out(n, 55);
      CALL(gr_binary(op, a.address(), b.address(), out.address(), shape.address(), a.dtype(), 0));
      for (int64_t i = 0; i < n; i++) {
        double expected = rounded<T>(binary(op, a[shape.offset(0, i)], b[shape.offset(1, i)]));
        CHECK_NEAR(out[i], expected, op == POW ? relative<T>() * 2 : test::unit<T>() * 2.01, absolute<T>());
      }
    }
    for (int op = EQ; op <= GE; op++) {
      Array<uint8_t> out(n, 55);
      auto c = a;
      if (c.size() > 1) c.set(1, b[0]);
      CALL(gr_compare(op, c.address(), b.address(), out.address(), shape.address(), a.dtype(), 0));
      for (int64_t i = 0; i < n; i++) {
        bool expected = compare(op, c[shape.offset(0, i)], b[shape.offset(1, i)]);
        CHECK_EQUAL(out[i], double(expected));
      }
    }
  }
}

TEST(binary_float32) { check_binary<float>(); }
TEST(binary_float64) { check_binary<double>(); }
TEST(binary_bfloat16) { check_binary<bfloat16>(); }
TEST(binary_float16) { check_binary<float16>(); }

TEST(binary_edges) {
  const double values[] = {0.0, -0.0, 1, -1, kInfinity, -kInfinity, NAN, 2, 0.5, 3};
  Array<float> a(100), b(100);
  for (int i = 0; i < 100; i++) {
    a.set(i, values[i / 10]);
    b.set(i, values[i % 10]);
  }
  Shape dense({100}, {{1}, {1}});
  for (int op = ADD; op <= GATE; op++) {
    Array<float> out(100);
    CALL(gr_binary(op, a.address(), b.address(), out.address(), dense.address(), GR_FLOAT32, 0));
    for (int i = 0; i < 100; i++) {
      double expected = binary(op, a[i], b[i]);
      CHECK_NEAR(out[i], expected, 4 * test::unit<float>(), 0);
      if (expected == 0 && op >= MAX) CHECK_EQUAL(std::signbit(out[i]), std::signbit(expected));
    }
  }
  for (int op = EQ; op <= GE; op++) {
    Array<uint8_t> out(100);
    CALL(gr_compare(op, a.address(), b.address(), out.address(), dense.address(), GR_FLOAT32, 0));
    for (int i = 0; i < 100; i++) CHECK_EQUAL(out[i], double(compare(op, a[i], b[i])));
  }
}

TEST(binary_onto_an_operand_and_not_aligned) {
  auto a = Array<float>::random(1001, 1), b = Array<float>::random(1001, 2);
  auto sum = a;
  Shape dense({1000}, {{1}, {1}});
  CALL(gr_binary(ADD, sum.address(), b.address(), sum.address(), dense.address(), GR_FLOAT32, 0));
  for (int64_t i = 0; i < 1000; i++) CHECK_EQUAL(sum[i], double(float(a[i]) + float(b[i])));
  CHECK_EQUAL(sum[1000], a[1000]);
  CALL(gr_binary(MUL, a.address() + 4, b.address(), sum.address(), dense.address(), GR_FLOAT32, 0));
  for (int64_t i = 0; i < 1000; i++) CHECK_EQUAL(sum[i], double(float(a[i + 1]) * float(b[i])));
}

int64_t floor_div(int64_t a, int64_t b) {
  if (b == 0) return 0;
  if (b == -1) return int64_t(0 - uint64_t(a));
  auto q = int64_t(std::floor(static_cast<long double>(a) / static_cast<long double>(b)));
  return q;
}
int64_t to_long(double x) { return std::isnan(x) ? 0 : x >= 0x1p63 ? INT64_MAX : x <= -0x1p63 ? INT64_MIN : int64_t(x); }

template <class T>
void check_integers(int32_t dtype, const std::vector<int64_t>& values) {
  auto m = int64_t(values.size());
  Array<T> v(m);
  for (int64_t i = 0; i < m; i++) reinterpret_cast<T*>(v.address())[i] = T(values[size_t(i)]);
  Shape pairs({m, m}, {{1, 0}, {0, 1}});
  for (int op = ADD; op <= GATE; op++) {
    Array<T> out(m * m);
    CALL(gr_binary(op, v.address(), v.address(), out.address(), pairs.address(), dtype, 0));
    for (int64_t i = 0; i < m * m; i++) {
      int64_t a = v.raw(i / m), b = v.raw(i % m), e = 0;
      if (op == ADD) e = int64_t(uint64_t(a) + uint64_t(b));
      if (op == SUB) e = int64_t(uint64_t(a) - uint64_t(b));
      if (op == MUL) e = int64_t(uint64_t(a) * uint64_t(b));
      if (op == DIV) e = floor_div(a, b);
      if (op == POW) e = to_long(std::pow(double(a), double(b)));
      if (op == MAX) e = std::max(a, b);
      if (op == MIN) e = std::min(a, b);
      if (op == GATE) e = b <= 0 ? 0 : a;
      bool same = out.raw(i) == (dtype == GR_BOOL ? T(e != 0) : T(e));
      if (!same) printf("  op %d of %s and %s:\n", op, std::to_string(a).c_str(), std::to_string(b).c_str());
      CHECK(same);
    }
  }
  for (int op = EQ; op <= GE; op++) {
    Array<uint8_t> out(m * m);
    CALL(gr_compare(op, v.address(), v.address(), out.address(), pairs.address(), dtype, 0));
    for (int64_t i = 0; i < m * m; i++) {
      int64_t a = v.raw(i / m), b = v.raw(i % m);
      bool all[] = {a == b, a != b, a < b, a <= b, a > b, a >= b};
      CHECK_EQUAL(out[i], double(all[op]));
    }
  }
}

TEST(binary_integers) {
  check_integers<int32_t>(GR_INT32, {0, 1, -1, 2, -2, 3, 7, -7, 10, 31, 62, -1000003, INT32_MAX, INT32_MIN});
  check_integers<int64_t>(GR_INT64, {0, 1, -1, 2, -2, 3, 5, 7, -7, 13, 20, 0x20000000000001, INT64_MAX, INT64_MIN});
  check_integers<uint8_t>(GR_UINT8, {0, 1, 2, 3, 5, 8, 16, 100, 200, 255});
  check_integers<uint8_t>(GR_BOOL, {0, 1});
}

template <class T>
void check_where() {
  for (const Shape& shape : broadcasts()) {
    int64_t n = shape.elements();
    Array<uint8_t> condition(shape.extent(0));
    for (int64_t i = 0; i < condition.size(); i++) condition.set(i, i * 7 % 3 == 0 ? i % 2 + 1 : 0);
    auto a = Array<T>::random(shape.extent(1), 5, 0, 100), b = Array<T>::random(shape.extent(2), 6, 0, 100);
    Array<T> out(n, 55);
    CALL(gr_where(condition.address(), a.address(), b.address(), out.address(), shape.address(), a.dtype(), 0));
    for (int64_t i = 0; i < n; i++) {
      CHECK_EQUAL(out[i], condition[shape.offset(0, i)] != 0 ? a[shape.offset(1, i)] : b[shape.offset(2, i)]);
    }
  }
}

TEST(where_of_every_width) {
  check_where<float>();
  check_where<double>();
  check_where<bfloat16>();
  check_where<uint8_t>();
  check_where<int64_t>();
}

// Copies numbered elements and looks at every byte of the destination.
template <class T>
void check_copy(const Shape& shape, int64_t src_shift = 0, int64_t dst_shift = 0) {
  Array<T> src(shape.extent(0) + src_shift), dst(shape.extent(1) + dst_shift, 100);
  for (int64_t i = 0; i < src.size(); i++) src.set(i, double((i * 37 + 11) % 97));
  std::vector<double> expected(size_t(dst.size()), 100);
  int64_t n = shape.elements();
  for (int64_t i = 0; i < n; i++) expected[size_t(dst_shift + shape.offset(1, i))] = src[src_shift + shape.offset(0, i)];
  int64_t bytes = sizeof(T);
  CALL(gr_copy(src.address() + src_shift * bytes, dst.address() + dst_shift * bytes, shape.address(), int32_t(bytes), 0));
  for (int64_t i = 0; i < dst.size(); i++) CHECK_EQUAL(dst[i], expected[size_t(i)]);
}

template <class T>
void check_copies() {
  check_copy<T>({{}, {{}, {}}});
  check_copy<T>({{5000}, {{1}, {1}}});
  for (int64_t shift = 1; shift <= 3; shift++) {
    check_copy<T>({{1111}, {{1}, {1}}}, shift, 0);
    check_copy<T>({{1111}, {{1}, {1}}}, shift, shift);
  }
  check_copy<T>({{70, 101}, {{1, 70}, {101, 1}}});                            // a transposition
  check_copy<T>({{70, 101}, {{101, 1}, {1, 70}}});
  check_copy<T>({{3, 17, 2, 33}, {{1122, 1, 561, 17}, {1122, 66, 33, 1}}});   // of several planes
  check_copy<T>({{16, 2, 16}, {{1, 300, 17}, {40, 1000, 1}}});
  check_copy<T>({{2, 3, 40}, {{120, 1, 3}, {120, 40, 1}}});                   // NHWC to NCHW
  check_copy<T>({{2, 40, 3}, {{120, 1, 40}, {120, 3, 1}}});
  check_copy<T>({{4, 5, 2, 16}, {{160, 16, 80, 1}, {160, 32, 16, 1}}});       // heads
  check_copy<T>({{6, 24}, {{64, 1}, {32, 1}}}, 8, 8);                         // slices
  check_copy<T>({{6, 10}, {{64, 1}, {10, 1}}}, 3, 0);
  check_copy<T>({{300}, {{0}, {1}}});                                         // a repeated element
  check_copy<T>({{5, 30}, {{1, 0}, {30, 1}}});
  check_copy<T>({{200}, {{2}, {3}}});
  check_copy<T>({{2, 1, 2, 3, 1, 2, 2, 3}, {{72, 5, 1, 2, 9, 12, 6, 24}, {72, 0, 36, 12, 0, 6, 3, 1}}});
}

TEST(copy_of_1_byte) { check_copies<uint8_t>(); }
TEST(copy_of_2_bytes) { check_copies<bfloat16>(); }
TEST(copy_of_4_bytes) { check_copies<int32_t>(); }
TEST(copy_of_8_bytes) { check_copies<double>(); }

TEST(copy_runs_backwards) {
  Array<float> src(60), dst(60);
  for (int64_t i = 0; i < 60; i++) src.set(i, double(i));
  Shape shape({3, 20}, {{-20, -1}, {20, 1}});
  CALL(gr_copy(src.address() + 59 * 4, dst.address(), shape.address(), 4, 0));
  for (int64_t i = 0; i < 60; i++) CHECK_EQUAL(dst[i], double(59 - i));
}

// The nearest number of a 16-bit type, ties to even, by comparing neighbours in the order of their bits.
template <class T>
double nearest(double x) {
  if (std::isnan(x) || std::isinf(x)) return x;
  auto value = [](uint16_t bits) { return double(gradus::to_float(T{bits})); };
  uint16_t infinity = std::is_same_v<T, bfloat16> ? 0x7F80 : 0x7C00;
  double m = std::fabs(x);
  uint16_t low = 0, high = infinity;
  while (high - low > 1) {
    auto middle = uint16_t((low + high) / 2);
    (value(middle) <= m ? low : high) = middle;
  }
  double step = value(low) - value(uint16_t(low - 1));
  double above = high == infinity ? value(low) + step : value(high);
  bool up = m - value(low) > above - m || (m - value(low) == above - m && low % 2 == 1);
  return std::copysign(value(up ? high : low), x);
}

template <class T>
double as(double x) {
  if constexpr (sizeof(T) == 2) {
    return nearest<T>(x);
  } else if constexpr (std::is_integral_v<T>) {
    if (std::isnan(x)) return 0;
    if (x >= double(std::numeric_limits<T>::max())) return double(std::numeric_limits<T>::max());
    if (x <= double(std::numeric_limits<T>::min())) return double(std::numeric_limits<T>::min());
    return std::trunc(x);
  } else {
    return double(T(x));
  }
}

template <class S, class D>
void check_cast(int32_t from = gradus::dtype_code<S>(), int32_t to = gradus::dtype_code<D>()) {
  const double special[] = {0, 1, -1, 0.5, -0.5, 1.5, 255, 256, 300, -300, 1e10, -1e10, 1e20, -1e20, 1e300, kInfinity, -kInfinity,
                            NAN, 1e-40, 65519.9, 65520, 3e-8, 6e-8, 0x1p-25, 1 + 0x1p-8 + 0x1p-40, 1 + 0x1p-11 + 0x1p-50,
                            1 + 0x1p-11, 1 + 0x1p-8, 0x1p-133, 0x1.8p-134, 2147483647.0, -2147483648.0,
                            2147483648.0, 9.3e18, 16777217};
  constexpr int64_t kSpecial = sizeof special / sizeof *special;
  for (int64_t n : {kSpecial, int64_t(1200)}) {
    for (int shift : {0, 1}) {
      auto src = Array<S>::random(n + shift, 9, 0, 120);
      for (int64_t i = 0; i < kSpecial; i++) {
        if constexpr (std::is_integral_v<S>) reinterpret_cast<S*>(src.address())[i + shift] = S(int64_t(as<int64_t>(special[i])));
        else src.set(i + shift, special[i]);
      }
      if (from == GR_BOOL) {
        for (int64_t i = 0; i < src.size(); i++) src.set(i, double(i % 3 == 0));
      }
      Array<D> dst(n, 99);
      CALL(gr_cast(src.address() + shift * int64_t(sizeof(S)), dst.address(), n, from, to, 0));
      for (int64_t i = 0; i < n; i++) {
        S s = src.raw(i + shift);
        if (to == GR_BOOL) {
          CHECK_EQUAL(dst[i], double(test::wide(s) != 0));
        } else if constexpr (std::is_integral_v<S> && std::is_integral_v<D>) {
          CHECK(dst.raw(i) == D(s));
        } else {
          CHECK_NEAR(dst[i], as<D>(test::wide(s)), 0, 0);
        }
      }
    }
  }
}

template <class S>
void check_casts(int32_t from = gradus::dtype_code<S>()) {
  check_cast<S, float>(from);
  check_cast<S, double>(from);
  check_cast<S, bfloat16>(from);
  check_cast<S, float16>(from);
  check_cast<S, int32_t>(from);
  check_cast<S, int64_t>(from);
  check_cast<S, uint8_t>(from);
  check_cast<S, uint8_t>(from, GR_BOOL);
}

TEST(cast_every_pair) {
  check_casts<float>();
  check_casts<double>();
  check_casts<bfloat16>();
  check_casts<float16>();
  check_casts<int32_t>();
  check_casts<int64_t>();
  check_casts<uint8_t>();
  check_casts<uint8_t>(GR_BOOL);
}

// Rounding a large integer to double first would put it on a tie.
TEST(cast_rounds_large_integers_once) {
  Array<int64_t> x(1);
  Array<bfloat16> y(1);
  reinterpret_cast<int64_t*>(x.address())[0] = (int64_t(257) << 54) + 1;
  CALL(gr_cast(x.address(), y.address(), 1, GR_INT64, GR_BFLOAT16, 0));
  CHECK_EQUAL(y[0], 258 * 0x1p54);
}

template <class T>
void check_fill(int32_t dtype, double value, double expected) {
  for (int64_t n : {1, 3, 50, 9000}) {
    for (int shift : {0, 1}) {
      Array<T> y(n + 1, 9);
      CALL(gr_fill(y.address() + shift * int64_t(sizeof(T)), n, value, dtype, 0));
      for (int64_t i = 0; i <= n; i++) CHECK_NEAR(y[i], (i >= shift && i < n + shift) ? expected : 9, 0, 0);
    }
  }
}

TEST(fill_every_type) {
  check_fill<float>(GR_FLOAT32, 0.1, double(0.1f));
  check_fill<double>(GR_FLOAT64, 0.1, 0.1);
  check_fill<bfloat16>(GR_BFLOAT16, 1 + 0x1p-8 + 0x1p-40, 1 + 0x1p-7);
  check_fill<float16>(GR_FLOAT16, NAN, NAN);
  check_fill<int32_t>(GR_INT32, -1e10, INT32_MIN);
  check_fill<int64_t>(GR_INT64, -7.9, -7);
  check_fill<uint8_t>(GR_UINT8, 300, 255);
  check_fill<uint8_t>(GR_BOOL, 0.5, 1);
}

TEST(nothing_to_do_and_nothing_for_it) {
  Shape none({3, 0}, {{0, 1}, {0, 1}, {0, 1}});
  CALL(gr_unary(EXP, 0, 0, 0, GR_FLOAT32, 0));
  CALL(gr_binary(ADD, 0, 0, 0, none.address(), GR_FLOAT32, 0));
  CALL(gr_compare(EQ, 0, 0, 0, none.address(), GR_INT64, 0));
  CALL(gr_where(0, 0, 0, 0, none.address(), GR_FLOAT32, 0));
  CALL(gr_copy(0, 0, none.address(), 4, 0));
  CALL(gr_cast(0, 0, 0, GR_FLOAT32, GR_INT32, 0));
  CALL(gr_fill(0, 0, 1, GR_FLOAT32, 0));
  Shape one({1}, {{1}, {1}, {1}});
  Array<float> x(4);
  CHECK_EQUAL(gr_unary(24, x.address(), x.address(), 1, GR_FLOAT32, 0), int(GR_UNSUPPORTED));
  CHECK_EQUAL(gr_unary(EXP, x.address(), x.address(), 1, 8, 0), int(GR_UNSUPPORTED));
  CHECK_EQUAL(gr_binary(8, x.address(), x.address(), x.address(), one.address(), GR_FLOAT32, 0), int(GR_UNSUPPORTED));
  CHECK_EQUAL(gr_where(x.address(), x.address(), x.address(), x.address(), one.address(), 8, 0), int(GR_UNSUPPORTED));
  CHECK_EQUAL(gr_copy(x.address(), x.address(), one.address(), 3, 0), int(GR_UNSUPPORTED));
}

// What is too long for 31-bit indices is launched in parts that cover it once.
TEST(layouts_in_parts) {
  gradus::Layout<2> layout;
  layout.rank = 3;
  int64_t shape[] = {3, 5, 130}, a[] = {650, 130, 1}, b[] = {1, 0, 3};
  std::copy(shape, shape + 3, layout.shape);
  std::copy(a, a + 3, layout.stride[0]);
  std::copy(b, b + 3, layout.stride[1]);
  layout.address[0] = 0;
  layout.address[1] = 0;
  layout.bytes[0] = 4;
  layout.bytes[1] = 2;
  layout.collapse();
  CHECK_EQUAL(layout.rank, 3);
  std::vector<int> seen(1950);
  int launches = 0;
  CHECK_EQUAL(gradus::in_parts(layout, [&](const gradus::Layout<2>& part) {
    launches++;
    int64_t n = part.elements();
    CHECK(n <= 100);
    for (int64_t i = 0; i < n; i++) {
      int64_t rest = i, at[2] = {0, 0};
      for (int axis = part.rank - 1; axis >= 0; axis--) {
        for (int k = 0; k < 2; k++) at[k] += rest % part.shape[axis] * part.stride[k][axis] * part.bytes[k];
        rest /= part.shape[axis];
      }
      int64_t element = (part.address[0] + at[0]) / 4;
      seen[size_t(element)]++;
      CHECK_EQUAL(part.address[1] + at[1], 2 * (element / 650 + element % 130 * 3));
    }
    return int(GR_OK);
  }, 100), int(GR_OK));
  CHECK(launches > 19);
  for (int count : seen) CHECK_EQUAL(count, 1);

  // Axes that lie evenly become one.
  int64_t dense[] = {650, 130, 1};
  layout.rank = 3;
  std::copy(shape, shape + 3, layout.shape);
  for (auto& stride : layout.stride) std::copy(dense, dense + 3, stride);
  layout.collapse();
  CHECK_EQUAL(layout.rank, 1);
  CHECK_EQUAL(layout.shape[0], int64_t(1950));
}

}  // namespace
