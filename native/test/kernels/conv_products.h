// The products of a convolution against loops in float64. One declaration of a shape runs forward with every epilogue and both
// backward products.
#pragma once

#include "gradus/conv.h"
#include "kernels/arrays.h"
#include "kernels/conv_shape.h"

namespace test {

template <class T>
std::vector<double> doubles(const Array<T>& a) {
  std::vector<double> out(size_t(a.size()));
  for (int64_t i = 0; i < a.size(); i++) out[size_t(i)] = a[i];
  return out;
}

// Relative error of a product of two operands of the type.
template <class T>
double product_unit(const gr_conv& s) {
  if (sizeof(T) == 4 && s.precision == GR_PRECISION_TF32) return 0x1p-10;
  return sizeof(T) == 8 ? 0x1p-51 : 0x1p-21;
}

// What one rounding to the type costs, relatively: half a unit of the last of 8, 11, 24 or 53 digits.
template <class T>
constexpr double rounding() {
  return std::is_same_v<T, gradus::bfloat16> ? 0x1p-8 : std::is_same_v<T, gradus::float16> ? 0x1p-11 : sizeof(T) == 4 ? 0x1p-24 : 0x1p-53;
}

// Compares with a tolerance of so many units of the sum of magnitudes, and one rounding of the result.
template <class T>
void compare(const char* what, const Shape& s, const Array<T>& actual, const std::vector<double>& expected,
             const std::vector<double>& magnitude) {
  for (int64_t i = 0; i < actual.size(); i++) {
    double e = expected[size_t(i)], a = actual[i];
    double limit = rounding<T>() * std::fabs(e) * 1.01 + product_unit<T>(s) * magnitude[size_t(i)] + 1e-300;
    if (std::is_same_v<T, gradus::float16>) limit += 0x1p-24;
    if (std::fabs(a - e) <= limit) continue;
    const std::string where = " [" + std::to_string(i) + "] of " + s.name() + " dtype " + std::to_string(actual.dtype());
    report(__FILE__, __LINE__, what + where + " is " + std::to_string(a) + ", not " + std::to_string(e));
    return;
  }
}

// Scratch of exactly the bytes asked for, so that the sanitizer sees an overrun.
struct Scratch {
  explicit Scratch(int64_t bytes) : memory((size_t(bytes) + 15) / 16), bytes(bytes) {}
  struct alignas(16) Unit {
    unsigned char bytes[16];
  };
  Memory<Unit> memory;
  int64_t bytes;
  int64_t address() const { return memory.empty() ? 0 : int64_t(reinterpret_cast<uintptr_t>(memory.data())); }
};

// Arrays with 0 or more elements before the first: an unaligned address.
template <class T>
struct Operand {
  Array<T> all;
  int64_t skip;
  Operand(const Array<T>& a, int64_t skip) : all(a.size() + skip), skip(skip) {
    for (int64_t i = 0; i < a.size(); i++) all.set(i + skip, a[i]);
  }
  int64_t address() const { return all.address() + skip * int64_t(sizeof(T)); }
  Array<T> read() const {
    Array<T> out(all.size() - skip);
    for (int64_t i = 0; i < out.size(); i++) out.set(i, all[i + skip]);
    return out;
  }
};

// epilogue: bias, residual, activation, accumulation all at once, or nothing.
template <class T>
void forward(Shape s, bool epilogue, bool statistics, int64_t skip = 0) {
  using Acc = gradus::accumulator_t<T>;
  auto x = Array<T>::random(s.x_size(), 1), w = Array<T>::random(s.w_size(), 2), bias = Array<T>::random(s.o, 3);
  auto residual = Array<T>::random(s.y_size(), 4), old = Array<T>::random(s.y_size(), 5);
  std::vector<double> y(size_t(s.y_size())), magnitude(size_t(s.y_size()));
  s.each([&](int64_t a, int64_t b, int64_t c) {
    y[size_t(a)] += x[b] * w[c];
    magnitude[size_t(a)] += std::fabs(x[b] * w[c]);
  });
  std::vector<double> mean(size_t(s.o)), variance(size_t(s.o));
  for (int64_t i = 0; epilogue && i < s.y_size(); i++) {
    y[size_t(i)] += bias[i % s.o] + residual[i];
    magnitude[size_t(i)] += 3;
  }
  double rows = double(s.n * s.oh * s.ow);
  for (int64_t i = 0; i < s.y_size(); i++) mean[size_t(i % s.o)] += y[size_t(i)] / rows;
  for (int64_t i = 0; i < s.y_size(); i++) variance[size_t(i % s.o)] += std::pow(y[size_t(i)] - mean[size_t(i % s.o)], 2) / rows;
  bool accumulate = epilogue && !statistics;
  s.activation = epilogue ? GR_ACTIVATION_RELU : GR_ACTIVATION_NONE;
  s.accumulate = accumulate;
  for (int64_t i = 0; epilogue && i < s.y_size(); i++) y[size_t(i)] = std::max(y[size_t(i)], 0.0) + (accumulate ? old[i] : 0);

  Operand<T> ox(x, skip), ow(w, skip), oy(old, skip), oresidual(residual, skip);
  Array<Acc> found(2 * s.o, NAN);
  Scratch scratch(gr_conv2d_forward_scratch(s.address(), x.dtype(), 0));
  auto call = [&](Operand<T>& out) {
    CALL(gr_conv2d_forward(ox.address(), ow.address(), epilogue ? bias.address() : 0, epilogue ? oresidual.address() : 0,
                           out.address(),
                           statistics ? found.address() : 0, scratch.address(), scratch.bytes, s.address(), x.dtype(), 0));
  };
  Operand<T> again = oy;
  call(oy);
  compare("forward", s, oy.read(), y, magnitude);
  for (int64_t i = 0; statistics && i < s.o; i++) {
    double tolerance = product_unit<T>(s) * 64 + rounding<T>() * 2;
    CHECK_NEAR(found[i], mean[size_t(i)], tolerance, tolerance);
    CHECK_NEAR(found[s.o + i], variance[size_t(i)], tolerance * 4, tolerance);
  }
  if (statistics && epilogue) {  // the same bits again
    Array<Acc> before = found;
    call(again);
    CHECK(doubles(again.read()) == doubles(oy.read()));
    CHECK(doubles(before) == doubles(found));
  }
}

template <class T>
void backward_input(Shape s, bool accumulate, int64_t skip = 0) {
  auto g = Array<T>::random(s.y_size(), 6), w = Array<T>::random(s.w_size(), 7), old = Array<T>::random(s.x_size(), 8);
  std::vector<double> expected(size_t(s.x_size())), magnitude(size_t(s.x_size()));
  s.each([&](int64_t a, int64_t b, int64_t c) {
    expected[size_t(b)] += g[a] * w[c];
    magnitude[size_t(b)] += std::fabs(g[a] * w[c]);
  });
  s.accumulate = accumulate;
  for (int64_t i = 0; accumulate && i < s.x_size(); i++) expected[size_t(i)] += old[i], magnitude[size_t(i)] += 1;
  Operand<T> og(g, skip), ow(w, skip), ox(old, skip);
  Scratch scratch(gr_conv2d_backward_input_scratch(s.address(), g.dtype(), 0));
  CALL(gr_conv2d_backward_input(og.address(), ow.address(), ox.address(), scratch.address(), scratch.bytes, s.address(),
                                g.dtype(), 0));
  compare("backward input", s, ox.read(), expected, magnitude);
}

// C: the type of gradW.
template <class T, class C = T>
void backward_weight(Shape s, bool accumulate, int64_t skip = 0) {
  auto x = Array<T>::random(s.x_size(), 9), g = Array<T>::random(s.y_size(), 10);
  auto old = Array<C>::random(s.w_size(), 11);
  std::vector<double> expected(size_t(s.w_size())), magnitude(size_t(s.w_size()));
  s.each([&](int64_t a, int64_t b, int64_t c) {
    expected[size_t(c)] += g[a] * x[b];
    magnitude[size_t(c)] += std::fabs(g[a] * x[b]);
  });
  s.accumulate = accumulate;
  s.wide_weights = std::is_same_v<T, C> ? 0 : 1;
  for (int64_t i = 0; accumulate && i < s.w_size(); i++) expected[size_t(i)] += old[i], magnitude[size_t(i)] += 1;
  Operand<T> ox(x, skip), og(g, skip);
  Operand<C> ow(old, skip);
  Scratch scratch(gr_conv2d_backward_weight_scratch(s.address(), x.dtype(), 0));
  CALL(gr_conv2d_backward_weight(ox.address(), og.address(), ow.address(), scratch.address(), scratch.bytes, s.address(),
                                 x.dtype(), 0));
  Array<C> first = ow.read();
  compare("backward weight", s, first, expected, magnitude);
  if (accumulate) return;
  CALL(gr_conv2d_backward_weight(ox.address(), og.address(), ow.address(), scratch.address(), scratch.bytes, s.address(),
                                 x.dtype(), 0));
  CHECK(doubles(ow.read()) == doubles(first));
}

template <class T>
void all_of(const Shape& s, bool fused, int64_t skip = 0) {
  forward<T>(s, fused, false, skip);
  forward<T>(s, fused, true, skip);
  backward_input<T>(s, fused, skip);
  backward_weight<T>(s, fused, skip);
  if constexpr (sizeof(T) == 2) backward_weight<T, float>(s, !fused, skip);
}

}  // namespace test
