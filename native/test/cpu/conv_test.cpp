// Convolution against loops in float64: every product of every shape, and the same bits for any number of threads.
#include "gradus/conv.h"

#include <functional>

#include "cpu/parallel.h"
#include "kernels/arrays.h"
#include "kernels/conv_shape.h"

using namespace gradus;
using test::Array;
using test::Shape;

namespace {

// Scratch of exactly the bytes asked for, so that a sanitizer sees an overrun.
struct Scratch {
  explicit Scratch(int64_t bytes) : memory((size_t(bytes) + 15) / 16), bytes(bytes) {}
  struct alignas(16) Unit {
    unsigned char bytes[16];
  };
  std::vector<Unit> memory;
  int64_t bytes;
  int64_t address() const { return memory.empty() ? 0 : int64_t(reinterpret_cast<uintptr_t>(memory.data())); }
};

// An array behind so many elements: an address that is aligned to elements only.
template <class T>
struct Operand {
  Array<T> all;
  int64_t skip, n;
  Operand(int64_t n, int64_t seed, int64_t skip) : all(Array<T>::random(n + skip, uint64_t(seed))), skip(skip), n(n) {}
  int64_t address() const { return all.address() + skip * int64_t(sizeof(T)); }
  double operator[](int64_t i) const { return all[i + skip]; }
};

struct Fused {
  bool bias = false, residual = false, relu = false, accumulate = false, statistics = false;
  int64_t skip = 0;  // elements before every operand
};

// A sum with the sum of its magnitudes, which says how far off it may be.
struct Sums {
  std::vector<double> value, magnitude;
  explicit Sums(int64_t n) : value(size_t(n)), magnitude(size_t(n)) {}
  void add(int64_t i, double x) { value[size_t(i)] += x, magnitude[size_t(i)] += std::fabs(x); }
};

// Of a sum's magnitude. Winograd's algorithm takes sums of larger numbers.
template <class T>
double rounding(const Shape& s) {
  const bool winograd = s.kh == 3 && s.kw == 3 && s.c >= 16 && s.o >= 16 && s.groups == 1;
  return sizeof(T) == 8 ? 0x1p-51 : winograd ? 0x1p-19 : 0x1p-21;
}

template <class T>
void compare(const char* what, const Shape& s, const Operand<T>& actual, const Sums& expected) {
  for (int64_t i = 0; i < actual.n; i++) {
    const double e = expected.value[size_t(i)], a = actual[i], sum = rounding<T>(s);
    double limit = test::unit<T>() * std::fabs(e) * 1.01 + sum * expected.magnitude[size_t(i)] + 1e-300;
    if (std::is_same_v<T, float16>) limit += 0x1p-24;
    if (std::fabs(a - e) <= limit) continue;
    const std::string where = " [" + std::to_string(i) + "] of " + s.name() + " dtype " + std::to_string(dtype_code<T>());
    test::report(__FILE__, __LINE__, what + where + " is " + std::to_string(a) + ", not " + std::to_string(e));
    return;
  }
}

// Calls f for the result `out` with 1, 2, 3 and 8 threads: all must leave the same bits in it and in `more`.
template <class T, class A>
void on_threads(const char* what, const Shape& s, Operand<T>& out, Array<A>& more, const std::function<void()>& f) {
  const Operand<T> before = out;
  auto same = [](const auto& a, const auto& b) {
    for (int64_t i = 0; i < a.size(); i++) {
      auto x = a.raw(i), y = b.raw(i);
      if (memcmp(&x, &y, sizeof x) != 0) return false;
    }
    return true;
  };
  cpu::set_threads(1);
  f();
  const Operand<T> one = out;
  const Array<A> more_of_one = more;
  for (int threads : {2, 3, 8}) {
    cpu::set_threads(threads);
    memcpy(reinterpret_cast<void*>(out.all.address()), reinterpret_cast<void*>(before.all.address()), size_t(out.all.bytes()));
    f();
    if (same(out.all, one.all) && same(more, more_of_one)) continue;
    test::report(__FILE__, __LINE__, what + (" of " + s.name()) + " differs with " + std::to_string(threads) + " threads");
  }
}

template <class T>
void forward(Shape s, const Fused& with) {
  using A = accumulator_t<T>;
  s.activation = with.relu ? GR_ACTIVATION_RELU : GR_ACTIVATION_NONE;
  s.accumulate = with.accumulate;
  Operand<T> x(s.x_size(), 1, with.skip), w(s.w_size(), 2, with.skip), bias(s.o, 3, with.skip), residual(s.y_size(), 4, with.skip);
  Operand<T> y(s.y_size(), 5, with.skip);
  Sums expected(s.y_size());
  s.each([&](int64_t a, int64_t b, int64_t c) { expected.add(a, x[b] * w[c]); });
  std::vector<double> mean(size_t(s.o)), variance(size_t(s.o));
  const double pixels = double(s.n * s.oh * s.ow);
  for (int64_t i = 0; i < s.y_size(); i++) {
    if (with.bias) expected.add(i, bias[i % s.o]);
    if (with.residual) expected.add(i, residual[i]);
    mean[size_t(i % s.o)] += expected.value[size_t(i)] / pixels;
  }
  for (int64_t i = 0; i < s.y_size(); i++) {
    double& value = expected.value[size_t(i)];
    variance[size_t(i % s.o)] += (value - mean[size_t(i % s.o)]) * (value - mean[size_t(i % s.o)]) / pixels;
    if (with.relu) value = std::max(value, 0.0);
    if (with.accumulate) expected.add(i, y[i]);
  }
  Scratch scratch(gr_conv2d_forward_scratch(s.address(), dtype_code<T>(), 0));
  Array<A> statistics(2 * s.o, 77);
  on_threads<T, A>("forward", s, y, statistics, [&] {
    CALL(gr_conv2d_forward(x.address(), w.address(), with.bias ? bias.address() : 0, with.residual ? residual.address() : 0,
                           y.address(), with.statistics ? statistics.address() : 0, scratch.address(), scratch.bytes, s.address(),
                           dtype_code<T>(), 0));
  });
  compare("forward", s, y, expected);
  for (int64_t i = 0; with.statistics && i < s.o; i++) {
    const double off = 8 * test::unit<T>() / std::sqrt(pixels) + (sizeof(T) == 8 ? 1e-12 : 3e-6);
    CHECK_NEAR(statistics[i], mean[size_t(i)], off, off);
    CHECK_NEAR(statistics[s.o + i], variance[size_t(i)], off * 4, off * 4);
  }
}

template <class T>
void backward_input(Shape s, const Fused& with) {
  s.accumulate = with.accumulate;
  Operand<T> g(s.y_size(), 6, with.skip), w(s.w_size(), 7, with.skip), out(s.x_size(), 8, with.skip);
  Sums expected(s.x_size());
  s.each([&](int64_t a, int64_t b, int64_t c) { expected.add(b, g[a] * w[c]); });
  for (int64_t i = 0; with.accumulate && i < s.x_size(); i++) expected.add(i, out[i]);
  Scratch scratch(gr_conv2d_backward_input_scratch(s.address(), dtype_code<T>(), 0));
  Array<T> none(0);
  on_threads<T, T>("backward input", s, out, none, [&] {
    CALL(gr_conv2d_backward_input(g.address(), w.address(), out.address(), scratch.address(), scratch.bytes, s.address(),
                                  dtype_code<T>(), 0));
  });
  compare("backward input", s, out, expected);
}

template <class T>
void backward_weight(Shape s, const Fused& with) {
  s.accumulate = with.accumulate;
  Operand<T> x(s.x_size(), 9, with.skip), g(s.y_size(), 10, with.skip), out(s.w_size(), 11, with.skip);
  Sums expected(s.w_size());
  s.each([&](int64_t a, int64_t b, int64_t c) { expected.add(c, g[a] * x[b]); });
  for (int64_t i = 0; with.accumulate && i < s.w_size(); i++) expected.add(i, out[i]);
  Scratch scratch(gr_conv2d_backward_weight_scratch(s.address(), dtype_code<T>(), 0));
  Array<T> none(0);
  on_threads<T, T>("backward weight", s, out, none, [&] {
    CALL(gr_conv2d_backward_weight(x.address(), g.address(), out.address(), scratch.address(), scratch.bytes, s.address(),
                                   dtype_code<T>(), 0));
  });
  compare("backward weight", s, out, expected);
}

template <class T>
void products(const Shape& s, const Fused& with) {
  forward<T>(s, with);
  backward_input<T>(s, with);
  backward_weight<T>(s, with);
}

const Fused kPlain, kStatistics{true, true, true, false, true, 0}, kAll{true, true, true, true, false, 1};

void all_types(const Shape& s) {
  products<float>(s, kPlain);
  products<float>(s, kAll);
  forward<float>(s, kStatistics);
  products<double>(s, kAll);
  products<bfloat16>(s, kPlain);
  products<float16>(s, kAll);
  forward<double>(s, kStatistics);
  forward<bfloat16>(s, kStatistics);
}

TEST(conv_numbers_of_channels) {
  for (int64_t c : {1, 3, 7, 8, 9, 16, 17, 33}) products<float>(Shape(2, 4, 5, c, 8, 3, 3).pad(1, 1), kPlain);
  for (int64_t o : {1, 2, 7, 9, 15, 16, 17, 24, 31, 33, 50, 64, 65}) {
    products<float>(Shape(1, 4, 5, 4, o, 3, 3).pad(1, 1), kPlain);
    products<double>(Shape(1, 3, 4, 5, o, 2, 2), kAll);
    forward<float>(Shape(1, 4, 3, 2, o, 2, 2), kStatistics);
  }
  all_types(Shape(2, 5, 4, 19, 21, 3, 3).pad(1, 1));
}

TEST(conv_one_by_one) {
  all_types(Shape(3, 5, 3, 8, 16, 1, 1));
  all_types(Shape(1, 1, 1, 1, 1, 1, 1));
  all_types(Shape(2, 5, 4, 8, 9, 1, 1).stride(2, 2));  // most pixels of gradX are reached by nothing
  products<float>(Shape(5, 1, 1, 40, 24, 1, 1), kAll);
}

TEST(conv_strides_and_kernels) {
  all_types(Shape(2, 7, 9, 16, 8, 3, 3).pad(1, 1).stride(2, 2));
  all_types(Shape(1, 9, 7, 5, 7, 3, 3).pad(1, 0).stride(2, 1));
  all_types(Shape(1, 6, 7, 4, 6, 5, 5).pad(2, 2));
  all_types(Shape(1, 14, 13, 3, 16, 7, 7).pad(3, 3).stride(2, 2));
  all_types(Shape(2, 3, 17, 8, 10, 1, 5).pad(0, 2).stride(1, 3));
  products<float>(Shape(2, 8, 8, 3, 12, 4, 4).stride(4, 4), kAll);  // patches
}

TEST(conv_borders) {
  all_types(Shape(1, 3, 4, 8, 8, 3, 3).pad(4, 5));  // some windows see nothing but the border
  all_types(Shape(1, 2, 2, 8, 8, 1, 1).pad(2, 1).stride(3, 2));
  all_types(Shape(1, 4, 5, 6, 8, 4, 5));  // one window, the whole image
}

TEST(conv_dilation) {
  all_types(Shape(1, 9, 8, 8, 8, 3, 3).pad(2, 2).dilate(2, 2));
  all_types(Shape(1, 11, 10, 8, 5, 3, 2).pad(2, 1).dilate(2, 3).stride(2, 2));  // dilation and stride have a common divisor
  all_types(Shape(1, 9, 9, 3, 5, 3, 3).pad(1, 1).dilate(2, 2).stride(4, 3));
}

TEST(conv_groups) {
  all_types(Shape(2, 5, 5, 16, 32, 3, 3).pad(1, 1).grouped(2));
  all_types(Shape(1, 5, 4, 6, 9, 3, 3).pad(1, 1).grouped(3));
  all_types(Shape(1, 5, 4, 2, 12, 3, 3).grouped(2).stride(2, 1));
  all_types(Shape(1, 6, 6, 8, 16, 3, 3).pad(1, 1).grouped(8));
}

TEST(conv_depthwise) {
  all_types(Shape(2, 7, 9, 16, 16, 3, 3).pad(1, 1).grouped(16));
  all_types(Shape(2, 9, 8, 24, 24, 3, 3).pad(1, 1).stride(2, 2).grouped(24));
  all_types(Shape(1, 7, 6, 5, 5, 3, 3).pad(1, 1).grouped(5));
  all_types(Shape(1, 9, 11, 8, 8, 5, 4).pad(2, 3).stride(3, 2).dilate(1, 2).grouped(8));
  all_types(Shape(1, 12, 21, 19, 19, 5, 5).pad(2, 2).grouped(19));
  products<float>(Shape(1, 6, 12, 40, 40, 2, 2).stride(2, 2).grouped(40), kPlain);
  products<float>(Shape(1, 7, 33, 16, 16, 3, 7).pad(1, 3).grouped(16), kPlain);
  products<float>(Shape(1, 2, 3, 8, 8, 3, 3).pad(3, 4).grouped(8), kAll);
  products<float>(Shape(1, 3, 2, 16, 16, 1, 1).grouped(16), kAll);
}

TEST(conv_many_chunks) {
  const Shape s = Shape(5, 20, 21, 16, 16, 3, 3).pad(1, 1), depthwise = Shape(4, 30, 40, 24, 24, 3, 3).pad(1, 1).grouped(24);
  products<float>(s, kPlain);
  forward<float>(s, kStatistics);
  products<float>(Shape(9, 6, 6, 24, 40, 3, 3).pad(1, 1), kPlain);  // bands of several images
  products<float>(Shape(1, 2, 700, 6, 8, 1, 3).pad(0, 1), kPlain);  // bands of some columns
  products<bfloat16>(Shape(1, 2, 600, 5, 9, 2, 2), kAll);
  products<float>(depthwise, kPlain);
  forward<float>(depthwise, kStatistics);
  products<bfloat16>(depthwise, kAll);
}

TEST(conv_deep_windows) {  // weights in several parts; few pixels, so that channels are split
  products<float>(Shape(1, 5, 4, 150, 40, 3, 3).pad(1, 1), kPlain);
  products<float>(Shape(1, 4, 4, 130, 37, 3, 3).pad(1, 1), kAll);
  forward<float>(Shape(1, 4, 4, 130, 37, 3, 3).pad(1, 1), kStatistics);
  products<bfloat16>(Shape(1, 3, 4, 150, 20, 3, 3), kPlain);
  products<float>(Shape(1, 7, 7, 96, 160, 3, 3).pad(1, 1), kPlain);
}

TEST(conv_winograd) {  // as many channels and tiles as it takes, whole tiles and cut ones
  all_types(Shape(2, 12, 13, 16, 32, 3, 3).pad(1, 1));
  all_types(Shape(3, 9, 15, 48, 16, 3, 3).pad(0, 2));
  products<float>(Shape(1, 17, 16, 32, 80, 3, 3).pad(2, 0), kAll);
  forward<float>(Shape(7, 7, 9, 32, 48, 3, 3).pad(1, 1), kStatistics);
  products<float>(Shape(2, 12, 12, 96, 160, 3, 3).pad(1, 1), kPlain);  // results in slices, gradients of few splits
  products<bfloat16>(Shape(1, 15, 33, 16, 16, 3, 3).pad(3, 3), kAll);  // tiles that see nothing but the border
}

TEST(conv_winograd_special_values) {  // an infinity stays within the tiles that read it, here four, and a NaN passes the rectifier
  Shape s = Shape(1, 16, 16, 16, 16, 3, 3).pad(1, 1);
  s.activation = GR_ACTIVATION_RELU;
  Array<float> x(s.x_size(), 1), w(s.w_size(), 1), y(s.y_size());
  x.set((4 * 16 + 4) * 16, INFINITY);
  Scratch scratch(gr_conv2d_forward_scratch(s.address(), GR_FLOAT32, 0));
  CALL(gr_conv2d_forward(x.address(), w.address(), 0, 0, y.address(), 0, scratch.address(), scratch.bytes, s.address(), GR_FLOAT32,
                         0));
  for (int64_t i = 0; i < 16; i++) {
    for (int64_t j = 0; j < 16; j++) {
      const double value = y[(i * 16 + j) * 16];
      if (std::abs(i - 4) <= 1 && std::abs(j - 4) <= 1) CHECK(!std::isfinite(value));
      if (i >= 8 || j >= 8) CHECK(std::isfinite(value));
    }
  }
}

TEST(conv_of_nothing) {
  const Shape none(0, 4, 4, 8, 8, 3, 3), no_y(1, 2, 2, 8, 8, 3, 3), no_channels(2, 4, 4, 0, 3, 3, 3);
  Array<float> w(none.w_size(), 1), x(no_y.x_size(), 1);
  for (const Shape& s : {none, no_y, Shape(no_y).grouped(8)}) {
    for (int64_t accumulate : {0, 1}) {
      Shape with = s;
      with.accumulate = accumulate;
      Array<float> grad_w(s.w_size(), 2), grad_x(s.x_size(), 2);
      Scratch a(gr_conv2d_backward_weight_scratch(with.address(), GR_FLOAT32, 0));
      Scratch b(gr_conv2d_backward_input_scratch(with.address(), GR_FLOAT32, 0));
      Scratch c(gr_conv2d_forward_scratch(with.address(), GR_FLOAT32, 0));
      CALL(gr_conv2d_forward(x.address(), w.address(), 0, 0, 0, 0, c.address(), c.bytes, with.address(), GR_FLOAT32, 0));
      CALL(gr_conv2d_backward_weight(x.address(), 0, grad_w.address(), a.address(), a.bytes, with.address(), GR_FLOAT32, 0));
      CALL(gr_conv2d_backward_input(0, w.address(), grad_x.address(), b.address(), b.bytes, with.address(), GR_FLOAT32, 0));
      for (int64_t i = 0; i < grad_w.size(); i++) CHECK_EQUAL(grad_w[i], 2.0 * double(accumulate));
      for (int64_t i = 0; i < grad_x.size(); i++) CHECK_EQUAL(grad_x[i], 2.0 * double(accumulate));
    }
  }
  // No channels to sum over: what is left is the bias.
  Array<float> bias(3, 5), y(no_channels.y_size(), 1);
  Scratch scratch(gr_conv2d_forward_scratch(no_channels.address(), GR_FLOAT32, 0));
  CALL(gr_conv2d_forward(0, 0, bias.address(), 0, y.address(), 0, scratch.address(), scratch.bytes, no_channels.address(),
                         GR_FLOAT32, 0));
  for (int64_t i = 0; i < y.size(); i++) CHECK_EQUAL(y[i], 5.0);
}

// NaN passes the rectifier, on every way to the result.
TEST(conv_special_values) {
  for (int64_t groups : {1, 8}) {
    for (int64_t residual : {0, 1}) {
      Shape s = Shape(1, 4, 4, 8, 8, 3, 3).pad(1, 1).grouped(groups);
      s.activation = GR_ACTIVATION_RELU;
      Array<float> x(s.x_size(), 1), w(s.w_size(), 1), y(s.y_size()), more(s.y_size());
      x.set(0, NAN);
      x.set((4 * 3 + 3) * 8 + 1, -INFINITY);
      Scratch scratch(gr_conv2d_forward_scratch(s.address(), GR_FLOAT32, 0));
      CALL(gr_conv2d_forward(x.address(), w.address(), 0, residual != 0 ? more.address() : 0, y.address(), 0, scratch.address(),
                             scratch.bytes, s.address(), GR_FLOAT32, 0));
      CHECK(std::isnan(y[0]) && std::isnan(y[(4 * 1 + 1) * 8]));
      CHECK_EQUAL(y[2 * 8], 6.0 * double(s.cg()));
      CHECK_EQUAL(y[(4 * 3 + 3) * 8 + 1], 0.0);
    }
  }
}

TEST(conv_statistics_far_from_zero) {  // mean 4000, variance 1/3: sums of squares would lose it
  for (int64_t groups : {1, 4}) {
    Shape s = Shape(3, 40, 30, 4, 4, 1, 1).grouped(groups);
    Array<float> x(s.x_size()), w(s.w_size()), y(s.y_size()), statistics(2 * s.o);
    test::Numbers numbers(1);
    const int64_t pixels = s.n * s.h * s.w;
    double mean = 0, squares = 0;
    for (int64_t i = 0; i < pixels; i++) {
      const double value = 4000 + numbers.next();
      for (int64_t c = 0; c < s.c; c++) x.set(4 * i + c, value);
    }
    for (int64_t o = 0; o < s.o; o++) w.set(o * s.cg(), 1);
    for (int64_t i = 0; i < pixels; i++) mean += x[4 * i] / double(pixels);
    for (int64_t i = 0; i < pixels; i++) squares += (x[4 * i] - mean) * (x[4 * i] - mean) / double(pixels);
    Scratch scratch(gr_conv2d_forward_scratch(s.address(), GR_FLOAT32, 0));
    CALL(gr_conv2d_forward(x.address(), w.address(), 0, 0, y.address(), statistics.address(), scratch.address(), scratch.bytes,
                           s.address(), GR_FLOAT32, 0));
    for (int64_t i = 0; i < s.o; i++) {
      CHECK_NEAR(statistics[i], mean, 1e-7, 0);
      CHECK_NEAR(statistics[s.o + i], squares, 1e-5, 0);
    }
  }
}

TEST(conv_refused) {
  const Shape s(1, 4, 4, 8, 8, 3, 3);
  Array<float> a(4096);
  auto call = [&](const Shape& shape, int32_t dtype, int64_t bytes) {
    return gr_conv2d_backward_input(a.address(), a.address(), a.address(), a.address(), bytes, shape.address(), dtype, 0);
  };
  CHECK_EQUAL(call(Shape(s).grouped(3), GR_FLOAT32, 1 << 14), int(GR_UNSUPPORTED));
  CHECK_EQUAL(call(s, GR_INT32, 1 << 14), int(GR_UNSUPPORTED));
  CHECK_EQUAL(call(Shape(70000, 256, 256, 8, 8, 3, 3), GR_FLOAT32, 1 << 14), int(GR_UNSUPPORTED));
  CHECK_EQUAL(call(s, GR_FLOAT32, 0), int(GR_ERROR));
  CHECK_CONTAINS(error_text(), "scratch");
}

}  // namespace
