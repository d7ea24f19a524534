// Batch normalisation against loops in double precision: what the tests of its kernels share.
#pragma once

#include "gradus/norm.h"

#include "kernels/arrays.h"

namespace test {

using namespace gradus;

// An operand that may be absent or begin past a 16-byte boundary.
template <class T>
class Operand {
 public:
  Operand(int64_t n, bool present, int64_t skip, uint64_t seed, double low = -1, double high = 1)
      : skip_(skip), present_(present), data_(Array<T>::random(present ? n + skip : 0, seed, low, high)) {}
  int64_t address() const { return present_ ? data_.address() + skip_ * int64_t(sizeof(T)) : 0; }
  bool present() const { return present_; }
  double operator[](int64_t i) const { return data_[i + skip_]; }
  void set(int64_t i, double x) { data_.set(i + skip_, x); }

 private:
  int64_t skip_;
  bool present_;
  Array<T> data_;
};

// Exactly as many bytes as asked for, so that AddressSanitizer sees the first one too many.
class ScratchBytes {
 public:
  explicit ScratchBytes(int64_t bytes) : data_(bytes, 255) {}
  int64_t address() const { return data_.size() == 0 ? 0 : data_.address(); }
  int64_t bytes() const { return data_.bytes(); }

 private:
  Array<uint8_t> data_;
};

template <class T>
constexpr double kTiny = sizeof(T) == 8 ? 1e-12 : 1e-5;  // of sums in the accumulator type

struct Moments {
  std::vector<double> mean, variance;
};

// Of the elements of each group: index(group, i) of `count` elements.
template <class X, class F>
Moments moments(const X& x, int64_t groups, int64_t count, F index) {
  Moments m;
  for (int64_t g = 0; g < groups; g++) {
    double sum = 0, squares = 0;
    for (int64_t i = 0; i < count; i++) sum += x[index(g, i)];
    double mean = sum / double(count);
    for (int64_t i = 0; i < count; i++) squares += (x[index(g, i)] - mean) * (x[index(g, i)] - mean);
    m.mean.push_back(mean);
    m.variance.push_back(squares / double(count));
  }
  return m;
}

struct BatchCase {
  int64_t rows, channels;
  bool weights = true, residual = false, relu = false, mask = false;
  int64_t skip = 0;
  double center = 0;
};

inline bool bit(const Array<uint8_t>& mask, int64_t i) { return (mask.raw(i / 8) >> i % 8 & 1) != 0; }

template <class T, class W>
void check_batch_forward(const BatchCase& c) {
  using A = accumulator_t<T>;
  constexpr double kEps = 1e-3, kMomentum = 0.3;
  int64_t n = c.rows * c.channels;
  Operand<T> x(n, true, c.skip, 1, c.center - 1, c.center + 1), residual(n, c.residual, c.skip, 2), y(n, true, c.skip, 3);
  Operand<W> weight(c.channels, c.weights, 0, 4), bias(c.channels, c.weights, 0, 5), running_mean(c.channels, true, 0, 6),
      running_var(c.channels, true, 0, 7, 1, 2);
  Operand<W> old_mean = running_mean, old_var = running_var;
  Array<A> mean(c.channels), inv_std(c.channels);
  Array<uint8_t> mask((n + 31) / 32 * 4, 255);
  ScratchBytes scratch(gr_batch_norm_forward_scratch(c.rows, c.channels, dtype_code<T>(), 0));
  CALL(gr_batch_norm_forward(x.address(), weight.address(), bias.address(), residual.address(), y.address(),
                             c.mask ? mask.address() : 0, mean.address(), inv_std.address(), running_mean.address(),
                             running_var.address(), scratch.address(), scratch.bytes(), c.rows, c.channels, kMomentum, kEps,
                             c.relu ? GR_ACTIVATION_RELU : GR_ACTIVATION_NONE, dtype_code<T>(), dtype_code<W>(), dtype_code<W>(),
                             dtype_code<W>(), 0));
  Moments m = moments(x, c.channels, c.rows, [&](int64_t g, int64_t i) { return i * c.channels + g; });
  double tiny = kTiny<T> * (1 + std::fabs(c.center));
  for (int64_t k = 0; k < c.channels; k++) {
    size_t s = size_t(k);
    CHECK_NEAR(mean[k], m.mean[s], tiny, tiny);
    CHECK_NEAR(inv_std[k], 1 / std::sqrt(m.variance[s] + kEps), tiny * 10, 0);
    CHECK_NEAR(running_mean[k], 0.7 * old_mean[k] + 0.3 * m.mean[s], unit<W>() + tiny, tiny);
    CHECK_NEAR(running_var[k], 0.7 * old_var[k] + 0.3 * m.variance[s] * double(c.rows) / double(c.rows - 1),
               unit<W>() + 10 * tiny, tiny);
  }
  for (int64_t i = 0; i < n; i++) {
    size_t k = size_t(i % c.channels);
    double value = (x[i] - m.mean[k]) / std::sqrt(m.variance[k] + kEps);
    if (c.weights) value = value * weight[int64_t(k)] + bias[int64_t(k)];
    if (c.residual) value += residual[i];
    if (c.relu) value = std::max(value, 0.0);
    CHECK_NEAR(y[i], value, 1.01 * unit<T>(), 20 * tiny);
  }
  if (c.mask) {
    for (int64_t i = 0; i < mask.size() * 8; i++) CHECK_EQUAL(bit(mask, i), i < n && y[i] > 0);
  }
}

// What masks the gradient.
enum class By { nothing, output, bits };

template <class T, class W>
void check_batch_backward(const BatchCase& c, By by, bool training, bool residual_gradient, bool in_place = false) {
  using A = accumulator_t<T>;
  int64_t n = c.rows * c.channels;
  Operand<T> grad_y(n, true, c.skip, 11), x(n, true, c.skip, 12, c.center - 1, c.center + 1), y(n, by == By::output, c.skip, 13);
  Operand<T> grad_x(n, true, c.skip, 14), grad_residual(n, residual_gradient, c.skip, 15);
  Operand<W> weight(c.channels, c.weights, 0, 16, 0.5, 2), grad_weight(c.channels, c.weights, 0, 17),
      grad_bias(c.channels, c.weights, 0, 18);
  Array<A> mean(c.channels), inv_std(c.channels);
  Moments m = moments(x, c.channels, c.rows, [&](int64_t g, int64_t i) { return i * c.channels + g; });
  for (int64_t k = 0; k < c.channels; k++) {
    mean.set(k, m.mean[size_t(k)]);
    inv_std.set(k, 1 / std::sqrt(m.variance[size_t(k)] + 1e-3));
  }
  Array<uint8_t> mask((n + 31) / 32 * 4);
  Numbers numbers(19);
  for (int64_t i = 0; i < mask.size(); i++) mask.set(i, double(int(numbers.next() * 128) + 128));
  if (by == By::output) {
    for (int64_t i = 0; i < n; i++) y.set(i, std::max(0.0, y[i]));
  }
  std::vector<double> g(static_cast<size_t>(n)), sum(size_t(c.channels)), along(size_t(c.channels));
  double tiny = kTiny<T> * (1 + std::fabs(c.center)) * 4;
  for (int64_t i = 0; i < n; i++) {
    bool pass = by == By::nothing || (by == By::output ? y[i] > 0 : bit(mask, i));
    int64_t k = i % c.channels;
    g[size_t(i)] = pass ? grad_y[i] : 0;
    sum[size_t(k)] += g[size_t(i)];
    along[size_t(k)] += g[size_t(i)] * (x[i] - mean[k]) * inv_std[k];
  }
  ScratchBytes scratch(gr_batch_norm_backward_scratch(c.rows, c.channels, dtype_code<T>(), 0));
  const Operand<T>& out = in_place ? grad_y : grad_x;
  CALL(gr_batch_norm_backward(grad_y.address(), x.address(), y.address(), by == By::bits ? mask.address() : 0, mean.address(),
                              inv_std.address(), weight.address(), out.address(), grad_weight.address(), grad_bias.address(),
                              grad_residual.address(), scratch.address(), scratch.bytes(), c.rows, c.channels, training ? 1 : 0,
                              dtype_code<T>(), dtype_code<W>(), dtype_code<W>(), 0));
  double rows = double(c.rows), long_sum = tiny * std::sqrt(rows);
  for (int64_t k = 0; k < c.channels && c.weights; k++) {
    CHECK_NEAR(grad_bias[k], sum[size_t(k)], 1.01 * unit<W>() + tiny, long_sum);
    CHECK_NEAR(grad_weight[k], along[size_t(k)], 1.01 * unit<W>() + tiny, 4 * long_sum);
  }
  for (int64_t i = 0; i < n; i++) {
    int64_t k = i % c.channels;
    double value = g[size_t(i)];
    if (residual_gradient) CHECK_EQUAL(grad_residual[i], value);
    if (training) value -= sum[size_t(k)] / rows + (x[i] - mean[k]) * inv_std[k] * along[size_t(k)] / rows;
    value *= inv_std[k] * (c.weights ? weight[k] : 1);
    CHECK_NEAR(out[i], value, 1.01 * unit<T>(), 10 * tiny);
  }
}

template <class T, class W>
void check_batch(const BatchCase& c) {
  check_batch_forward<T, W>(c);
  check_batch_backward<T, W>(c, c.mask ? By::bits : c.relu ? By::output : By::nothing, true, c.residual);
}

}  // namespace test
