// Normalisations against loops in double precision.

#include <limits>

#include "kernels/norm_batch.h"

using namespace gradus;
using namespace test;

namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

TEST(batch_norm_shapes) {
  check_batch<float, float>({2, 1});
  check_batch<float, float>({9, 3});
  check_batch<float, float>({1000, 1});
  check_batch<float, float>({700, 3});
  check_batch<float, float>({37, 4});
  check_batch<float, float>({65, 8});
  check_batch<float, float>({40, 72});  // two strips, the second not full
  check_batch<float, float>({5, 100});
  check_batch<float, float>({3, 1025});   // wide, odd
  check_batch<float, float>({2500, 16});  // several blocks of a strip
}

TEST(batch_norm_types) {
  for (BatchCase c : {BatchCase{37, 3}, BatchCase{130, 16}, BatchCase{11, 72}}) {
    c.relu = c.residual = c.mask = true;
    check_batch<float, float>(c);
    check_batch<double, double>(c);
    check_batch<bfloat16, bfloat16>(c);
    check_batch<bfloat16, float>(c);
    check_batch<float16, float16>(c);
    check_batch<float16, float>(c);
  }
}

TEST(batch_norm_operands) {
  BatchCase c{53, 24};
  for (int i = 0; i < 16; i++) {
    c.weights = (i & 1) != 0;
    c.residual = (i & 2) != 0;
    c.relu = (i & 4) != 0;
    c.mask = (i & 8) != 0;
    check_batch<float, float>(c);
  }
}

TEST(batch_norm_unaligned) {
  for (BatchCase c : {BatchCase{37, 3}, BatchCase{41, 16}}) {
    c.skip = 1;
    c.relu = c.residual = c.mask = true;
    check_batch<float, float>(c);
    check_batch<double, double>(c);
    check_batch<bfloat16, float>(c);
    check_batch<float16, float>(c);
  }
}

TEST(batch_norm_far_from_zero) {
  BatchCase c{600, 5};
  c.center = 1000;
  check_batch<double, double>(c);
  // E[x^2] - E[x]^2 would have lost the variance of 1/3 in 1e6.
  Operand<float> x(3000, true, 0, 21, 999, 1001);
  Array<float> mean(5), inv_std(5);
  ScratchBytes scratch(gr_batch_norm_statistics_scratch(600, 5, GR_FLOAT32, 0));
  CALL(gr_batch_norm_statistics(x.address(), mean.address(), inv_std.address(), 0, 0, scratch.address(), scratch.bytes(), 600, 5,
                                0.1, 1e-5, GR_FLOAT32, GR_FLOAT32, 0));
  Moments m = moments(x, 5, 600, [&](int64_t g, int64_t i) { return i * 5 + g; });
  for (int64_t k = 0; k < 5; k++) {
    CHECK_NEAR(mean[k], m.mean[size_t(k)], 1e-6, 0);
    CHECK_NEAR(inv_std[k], 1 / std::sqrt(m.variance[size_t(k)] + 1e-5), 1e-4, 0);
  }
}

// Several rounds a block, and blocks with a round more than others.
TEST(batch_norm_uneven_blocks) {
  check_batch_backward<double, double>({150, 2816}, By::nothing, true, false);
  int64_t rows = 150, channels = 11264;
  Operand<double> x(rows * channels, true, 0, 22);
  Array<double> mean(channels), inv_std(channels);
  ScratchBytes scratch(gr_batch_norm_statistics_scratch(rows, channels, GR_FLOAT64, 0));
  CALL(gr_batch_norm_statistics(x.address(), mean.address(), inv_std.address(), 0, 0, scratch.address(), scratch.bytes(), rows,
                                channels, 0.1, 1e-5, GR_FLOAT64, GR_FLOAT64, 0));
  for (int64_t k = 0; k < channels; k += 37) {
    Moments m = moments(x, 1, rows, [&](int64_t, int64_t i) { return i * channels + k; });
    CHECK_NEAR(mean[k], m.mean[0], 1e-12, 1e-12);
    CHECK_NEAR(inv_std[k], 1 / std::sqrt(m.variance[0] + 1e-5), 1e-12, 0);
  }
}

// With 16-bit x the mean is taken off elsewhere.
TEST(batch_norm_backward_off_center) {
  BatchCase c{64, 16};
  c.center = 5;
  check_batch_backward<bfloat16, float>(c, By::nothing, true, false);
  check_batch_backward<float16, float>(c, By::nothing, true, false);
  check_batch_backward<float, float>(c, By::nothing, true, false);
}

TEST(batch_norm_backward_modes) {
  BatchCase c{75, 16};
  for (bool training : {false, true}) {
    for (bool residual : {false, true}) {
      for (By by : {By::nothing, By::output, By::bits}) {
        check_batch_backward<float, float>(c, by, training, residual);
        check_batch_backward<bfloat16, float>(c, by, training, residual);
      }
    }
    check_batch_backward<float, float>(c, By::bits, training, false, true);
    check_batch_backward<float16, float16>(c, By::output, training, false, true);
  }
  c.weights = false;
  check_batch_backward<float, float>(c, By::bits, false, true);  // no sums at all
  check_batch_backward<float, float>(c, By::bits, true, true);
}

TEST(batch_norm_inference_and_finish) {
  int64_t rows = 21, channels = 12, n = rows * channels;
  Operand<float> x(n, true, 0, 31), y(n, true, 0, 32), weight(channels, true, 0, 33), bias(channels, true, 0, 34);
  Operand<float> mean(channels, true, 0, 35), variance(channels, true, 0, 36, 0.5, 2), running_mean(channels, true, 0, 37),
      running_var(channels, true, 0, 38);
  Operand<float> old_mean = running_mean, old_var = running_var;
  Array<float> inv_std(channels);
  CALL(gr_batch_norm_finish(mean.address(), variance.address(), inv_std.address(), running_mean.address(), running_var.address(),
                            rows, channels, 0.1, 1e-5, GR_FLOAT32, GR_FLOAT32, 0));
  CALL(gr_batch_norm_apply(x.address(), mean.address(), inv_std.address(), weight.address(), bias.address(), 0, y.address(), 0,
                           rows, channels, GR_ACTIVATION_NONE, GR_FLOAT32, GR_FLOAT32, GR_FLOAT32, 0));
  for (int64_t k = 0; k < channels; k++) {
    CHECK_NEAR(running_mean[k], 0.9 * old_mean[k] + 0.1 * mean[k], 1e-5, 1e-6);
    CHECK_NEAR(running_var[k], 0.9 * old_var[k] + 0.1 * variance[k] * 21 / 20, 1e-5, 1e-6);
  }
  for (int64_t i = 0; i < n; i++) {
    int64_t k = i % channels;
    CHECK_NEAR(y[i], (x[i] - mean[k]) / std::sqrt(variance[k] + 1e-5) * weight[k] + bias[k], 1e-5, 1e-5);
  }
  // In place, over the residual and over x.
  Operand<float> over = y;
  CALL(gr_batch_norm_apply(x.address(), mean.address(), inv_std.address(), 0, 0, over.address(), over.address(), 0, rows,
                           channels, GR_ACTIVATION_RELU, GR_FLOAT32, GR_FLOAT32, GR_FLOAT32, 0));
  for (int64_t i = 0; i < n; i++) {
    int64_t k = i % channels;
    CHECK_NEAR(over[i], std::max(0.0, (x[i] - mean[k]) / std::sqrt(variance[k] + 1e-5) + y[i]), 1e-5, 1e-5);
  }
}

TEST(batch_norm_special_values) {
  int64_t rows = 20, channels = 3;
  Operand<float> x(60, true, 0, 41), y(60, true, 0, 42);
  x.set(3 * 7 + 1, kNaN);
  x.set(3 * 9 + 2, kInfinity);
  Array<float> mean(3), inv_std(3);
  Array<uint8_t> mask(8, 255);
  ScratchBytes scratch(gr_batch_norm_forward_scratch(rows, channels, GR_FLOAT32, 0));
  CALL(gr_batch_norm_forward(x.address(), 0, 0, 0, y.address(), mask.address(), mean.address(), inv_std.address(), 0, 0,
                             scratch.address(), scratch.bytes(), rows, channels, 0.1, 1e-5, GR_ACTIVATION_RELU, GR_FLOAT32,
                             GR_FLOAT32, GR_FLOAT32, GR_FLOAT32, 0));
  for (int64_t i = 0; i < 60; i++) {
    CHECK_EQUAL(std::isnan(y[i]), i % 3 != 0);  // ReLU keeps NaN
    CHECK_EQUAL(bit(mask, i), y[i] > 0);
  }
  CHECK(std::isfinite(mean[0]) && std::isnan(inv_std[1]) && std::isnan(inv_std[2]));
  // A constant channel: variance 0 exactly, y 0.
  Array<float> constant(60, 0.1);
  CALL(gr_batch_norm_forward(constant.address(), 0, 0, 0, y.address(), 0, mean.address(), inv_std.address(), 0, 0,
                             scratch.address(), scratch.bytes(), rows, channels, 0.1, 1e-5, GR_ACTIVATION_NONE, GR_FLOAT32,
                             GR_FLOAT32, GR_FLOAT32, GR_FLOAT32, 0));
  for (int64_t k = 0; k < 3; k++) CHECK_NEAR(inv_std[k], 1 / std::sqrt(1e-5), 1e-6, 0);
  for (int64_t i = 0; i < 60; i++) CHECK_EQUAL(y[i], 0.0);
  // A gradient that the mask holds back is 0, whatever it is.
  Operand<float> grad_y(60, true, 0, 43), grad_x(60, true, 0, 44), grad_residual(60, true, 0, 45);
  Array<uint8_t> none(8, 0);
  for (int64_t i = 0; i < 60; i += 4) grad_y.set(i, kNaN);
  for (int64_t k = 0; k < 3; k++) inv_std.set(k, 1);
  CALL(gr_batch_norm_backward(grad_y.address(), constant.address(), 0, none.address(), mean.address(), inv_std.address(), 0,
                              grad_x.address(), 0, 0, grad_residual.address(), 0,
                              gr_batch_norm_backward_scratch(rows, channels, GR_FLOAT32, 0), rows, channels, 0, GR_FLOAT32,
                              GR_FLOAT32, GR_FLOAT32, 0));
  for (int64_t i = 0; i < 60; i++) {
    CHECK_EQUAL(grad_x[i], 0.0);
    CHECK_EQUAL(grad_residual[i], 0.0);
  }
}

TEST(batch_norm_refuses) {
  Array<float> x(8), statistics(4);
  CHECK_EQUAL(gr_batch_norm_statistics(x.address(), statistics.address(), statistics.address(), 0, 0, 0, 0, 1, 8, 0.1, 1e-5,
                                       GR_FLOAT32, GR_FLOAT32, 0),
              int(GR_ERROR));
  CHECK_CONTAINS(error_text(), "[batchNorm] 1 values per channel");
  CHECK_EQUAL(gr_batch_norm_statistics(x.address(), statistics.address(), statistics.address(), 0, 0, 0, 0, 800, 1, 0.1, 1e-5,
                                       GR_FLOAT32, GR_FLOAT32, 0),
              int(GR_ERROR));
  CHECK_CONTAINS(error_text(), "scratch");
  CHECK_EQUAL(gr_batch_norm_apply(x.address(), 0, 0, 0, 0, 0, x.address(), 0, 2, 4, 0, GR_INT32, 0, 0, 0), int(GR_UNSUPPORTED));
  CHECK_EQUAL(gr_batch_norm_apply(x.address(), 0, 0, 8, 0, 0, x.address(), 0, 2, 4, 0, GR_FLOAT32, GR_BFLOAT16, 0, 0),
              int(GR_UNSUPPORTED));
}

TEST(empty_sizes) {
  CALL(gr_batch_norm_statistics(0, 0, 0, 0, 0, 0, 0, 5, 0, 0.1, 1e-5, GR_FLOAT32, GR_FLOAT32, 0));
  CALL(gr_batch_norm_apply(0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, GR_FLOAT32, GR_FLOAT32, GR_FLOAT32, 0));
  CALL(gr_group_norm_forward(0, 0, 0, 0, 0, 0, 0, 0, 0, 5, 4, 2, 1e-5, GR_FLOAT32, GR_FLOAT32, GR_FLOAT32, 0));
  CALL(gr_layer_norm_forward(0, 0, 0, 0, 0, 0, 0, 8, 1e-5, GR_FLOAT32, GR_FLOAT32, GR_FLOAT32, 0));
  CALL(gr_rms_norm_forward(0, 0, 0, 0, 0, 8, 1e-5, GR_FLOAT32, GR_FLOAT32, 0));
  // Sums of nothing are 0.
  for (int which = 0; which < 3; which++) {
    Array<float> grad_weight(4, 7), grad_bias(4, 7);
    int64_t bytes = which == 0   ? gr_batch_norm_backward_scratch(0, 4, GR_FLOAT32, 0)
                    : which == 1 ? gr_group_norm_backward_scratch(0, 5, 4, 2, GR_FLOAT32, 0)
                                 : gr_layer_norm_backward_scratch(0, 4, GR_FLOAT32, 0);
    ScratchBytes scratch(bytes);
    if (which == 0) {
      CALL(gr_batch_norm_backward(0, 0, 0, 0, 0, 0, 0, 0, grad_weight.address(), grad_bias.address(), 0, scratch.address(), bytes,
                                  0, 4, 1, GR_FLOAT32, GR_FLOAT32, GR_FLOAT32, 0));
    } else if (which == 1) {
      CALL(gr_group_norm_backward(0, 0, 0, 0, 0, 0, grad_weight.address(), grad_bias.address(), scratch.address(), bytes, 0, 5, 4,
                                  2, GR_FLOAT32, GR_FLOAT32, GR_FLOAT32, 0));
    } else {
      CALL(gr_layer_norm_backward(0, 0, 0, 0, 0, 0, grad_weight.address(), grad_bias.address(), scratch.address(), bytes, 0, 4,
                                  GR_FLOAT32, GR_FLOAT32, GR_FLOAT32, 0));
    }
    for (int64_t k = 0; k < 4; k++) {
      CHECK_EQUAL(grad_weight[k], 0.0);
      CHECK_EQUAL(grad_bias[k], 0.0);
    }
  }
}

template <class T, class W>
void check_group(int64_t samples, int64_t positions, int64_t channels, int64_t groups, int64_t skip = 0, bool weights = true) {
  using A = accumulator_t<T>;
  int64_t size = channels / groups, matrix = positions * channels, n = samples * matrix, count = positions * size;
  Operand<T> x(n, true, skip, 51), y(n, true, skip, 52), grad_y(n, true, skip, 53), grad_x(n, true, skip, 54);
  Operand<W> weight(channels, weights, 0, 55, 0.5, 2), bias(channels, weights, 0, 56), grad_weight(channels, weights, 0, 57),
      grad_bias(channels, weights, 0, 58);
  Array<A> mean(samples * groups), inv_std(samples * groups);
  ScratchBytes forward(gr_group_norm_forward_scratch(samples, positions, channels, groups, dtype_code<T>(), 0));
  CALL(gr_group_norm_forward(x.address(), weight.address(), bias.address(), y.address(), mean.address(), inv_std.address(),
                             forward.address(), forward.bytes(), samples, positions, channels, groups, 1e-3, dtype_code<T>(),
                             dtype_code<W>(), dtype_code<W>(), 0));
  auto unit_of = [&](int64_t i) { return i / matrix * groups + i % channels / size; };
  Moments m = moments(x, samples * groups, count, [&](int64_t u, int64_t i) {
    return u / groups * matrix + i / size * channels + u % groups * size + i % size;
  });
  for (int64_t u = 0; u < samples * groups; u++) {
    CHECK_NEAR(mean[u], m.mean[size_t(u)], kTiny<T>, kTiny<T>);
    CHECK_NEAR(inv_std[u], 1 / std::sqrt(m.variance[size_t(u)] + 1e-3), 10 * kTiny<T>, 0);
    mean.set(u, m.mean[size_t(u)]);
    inv_std.set(u, 1 / std::sqrt(m.variance[size_t(u)] + 1e-3));
  }
  ScratchBytes backward(gr_group_norm_backward_scratch(samples, positions, channels, groups, dtype_code<T>(), 0));
  CALL(gr_group_norm_backward(grad_y.address(), x.address(), mean.address(), inv_std.address(), weight.address(),
                              grad_x.address(), grad_weight.address(), grad_bias.address(), backward.address(), backward.bytes(),
                              samples, positions, channels, groups, dtype_code<T>(), dtype_code<W>(), dtype_code<W>(), 0));
  std::vector<double> level(size_t(samples * groups)), slope(size_t(samples * groups)), sum(static_cast<size_t>(channels)),
      along(static_cast<size_t>(channels));
  auto normal = [&](int64_t i) { return (x[i] - mean[unit_of(i)]) * inv_std[unit_of(i)]; };
  auto scale = [&](int64_t i) { return weights ? weight[i % channels] : 1.0; };
  for (int64_t i = 0; i < n; i++) {
    CHECK_NEAR(y[i], normal(i) * scale(i) + (weights ? bias[i % channels] : 0), 1.01 * test::unit<T>(), 30 * kTiny<T>);
    level[size_t(unit_of(i))] += grad_y[i] * scale(i) / double(count);
    slope[size_t(unit_of(i))] += grad_y[i] * scale(i) * normal(i) / double(count);
    sum[size_t(i % channels)] += grad_y[i];
    along[size_t(i % channels)] += grad_y[i] * normal(i);
  }
  for (int64_t i = 0; i < n; i++) {
    size_t u = size_t(unit_of(i));
    CHECK_NEAR(grad_x[i], inv_std[int64_t(u)] * (grad_y[i] * scale(i) - level[u] - normal(i) * slope[u]), 1.01 * test::unit<T>(),
               60 * kTiny<T>);
  }
  for (int64_t k = 0; k < channels && weights; k++) {
    CHECK_NEAR(grad_bias[k], sum[size_t(k)], 1.01 * test::unit<W>(), 30 * kTiny<T>);
    CHECK_NEAR(grad_weight[k], along[size_t(k)], 1.01 * test::unit<W>(), 100 * kTiny<T>);
  }
}

TEST(group_norm_shapes) {
  check_group<float, float>(1, 1, 4, 2);
  check_group<float, float>(3, 25, 8, 2);
  check_group<float, float>(2, 9, 6, 3);     // two matrices, the second not aligned
  check_group<float, float>(2, 30, 80, 8);   // two strips
  check_group<float, float>(2, 7, 15, 1);    // one group
  check_group<float, float>(5, 16, 24, 24);  // instance normalisation
  check_group<float, float>(3, 11, 3, 3);
  check_group<float, float>(2, 1, 8, 8);  // one value: y is the bias
  check_group<float, float>(1, 1500, 8, 4);
  check_group<float, float>(40, 2, 8, 2);
}

TEST(group_norm_types) {
  for (int64_t groups : {2, 16}) {
    check_group<double, double>(2, 19, 16, groups);
    check_group<bfloat16, bfloat16>(2, 19, 16, groups);
    check_group<bfloat16, float>(2, 19, 16, groups, 1);
    check_group<float16, float16>(2, 19, 16, groups, 0, false);
    check_group<float16, float>(2, 19, 16, groups);
    check_group<float, float>(2, 19, 16, groups, 1);
  }
}

struct RowCase {
  int64_t rows, cols;
  bool weights = true;
  int64_t skip = 0;
  bool center = true;  // a mean: layer, not root-mean-square normalisation
};

template <class T, class W>
void check_rows(const RowCase& c) {
  using A = accumulator_t<T>;
  int64_t n = c.rows * c.cols;
  Operand<T> x(n, true, c.skip, 61, -1, 1.5), y(n, true, c.skip, 62), grad_y(n, true, c.skip, 63), grad_x(n, true, c.skip, 64);
  Operand<W> weight(c.cols, c.weights, 0, 65, 0.5, 2), bias(c.cols, c.weights && c.center, 0, 66),
      grad_weight(c.cols, c.weights, 0, 67);
  Operand<W> grad_bias(c.cols, c.weights && c.center, 0, 68);
  Array<A> mean(c.rows), inv_std(c.rows);
  if (c.center) {
    CALL(gr_layer_norm_forward(x.address(), weight.address(), bias.address(), y.address(), mean.address(), inv_std.address(),
                               c.rows, c.cols, 1e-3, dtype_code<T>(), dtype_code<W>(), dtype_code<W>(), 0));
  } else {
    CALL(gr_rms_norm_forward(x.address(), weight.address(), y.address(), inv_std.address(), c.rows, c.cols, 1e-3, dtype_code<T>(),
                             dtype_code<W>(), 0));
  }
  Moments m = moments(x, c.rows, c.cols, [&](int64_t g, int64_t i) { return g * c.cols + i; });
  for (int64_t r = 0; r < c.rows; r++) {
    double average = m.mean[size_t(r)], square = m.variance[size_t(r)] + (c.center ? 0 : average * average);
    if (c.center) CHECK_NEAR(mean[r], average, kTiny<T>, kTiny<T>);
    CHECK_NEAR(inv_std[r], 1 / std::sqrt(square + 1e-3), 10 * kTiny<T>, 0);
    mean.set(r, c.center ? average : 0);
    inv_std.set(r, 1 / std::sqrt(square + 1e-3));
  }
  auto bytes_of = c.center ? gr_layer_norm_backward_scratch : gr_rms_norm_backward_scratch;
  ScratchBytes scratch(bytes_of(c.rows, c.cols, dtype_code<T>(), 0));
  if (c.center) {
    CALL(gr_layer_norm_backward(grad_y.address(), x.address(), mean.address(), inv_std.address(), weight.address(),
                                grad_x.address(), grad_weight.address(), grad_bias.address(), scratch.address(), scratch.bytes(),
                                c.rows, c.cols, dtype_code<T>(), dtype_code<W>(), dtype_code<W>(), 0));
  } else {
    CALL(gr_rms_norm_backward(grad_y.address(), x.address(), inv_std.address(), weight.address(), grad_x.address(),
                              grad_weight.address(), scratch.address(), scratch.bytes(), c.rows, c.cols, dtype_code<T>(),
                              dtype_code<W>(), 0));
  }
  std::vector<double> sum(static_cast<size_t>(c.cols)), along(static_cast<size_t>(c.cols));
  for (int64_t r = 0; r < c.rows; r++) {
    double level = 0, slope = 0;
    auto normal = [&](int64_t k) { return (x[r * c.cols + k] - mean[r]) * inv_std[r]; };
    auto h = [&](int64_t k) { return grad_y[r * c.cols + k] * (c.weights ? weight[k] : 1); };
    for (int64_t k = 0; k < c.cols; k++) {
      CHECK_NEAR(y[r * c.cols + k], normal(k) * (c.weights ? weight[k] : 1) + (bias.present() ? bias[k] : 0),
                 1.01 * test::unit<T>(), 30 * kTiny<T>);
      if (c.center) level += h(k) / double(c.cols);
      slope += h(k) * normal(k) / double(c.cols);
      sum[size_t(k)] += grad_y[r * c.cols + k];
      along[size_t(k)] += grad_y[r * c.cols + k] * normal(k);
    }
    for (int64_t k = 0; k < c.cols; k++) {
      CHECK_NEAR(grad_x[r * c.cols + k], inv_std[r] * (h(k) - level - normal(k) * slope), 1.01 * test::unit<T>(), 60 * kTiny<T>);
    }
  }
  for (int64_t k = 0; k < c.cols; k++) {
    if (grad_bias.present()) CHECK_NEAR(grad_bias[k], sum[size_t(k)], 1.01 * test::unit<W>(), 30 * kTiny<T>);
    if (grad_weight.present()) CHECK_NEAR(grad_weight[k], along[size_t(k)], 1.01 * test::unit<W>(), 60 * kTiny<T>);
  }
}

TEST(layer_norm_shapes) {
  for (bool center : {true, false}) {
    for (RowCase c : {RowCase{1, 1}, RowCase{3, 10}, RowCase{5, 8}, RowCase{19, 256}, RowCase{3, 300}, RowCase{9, 512},
                      RowCase{6, 768}, RowCase{2, 1001}, RowCase{3, 1600}, RowCase{2, 1201}, RowCase{2, 2600}, RowCase{1, 4104},
                      RowCase{1, 8200}, RowCase{70, 16}, RowCase{500, 3}}) {
      c.center = center;
      check_rows<float, float>(c);
    }
  }
}

TEST(layer_norm_types) {
  for (RowCase c : {RowCase{7, 64}, RowCase{4, 520}, RowCase{5, 33}, RowCase{2, 1100}}) {
    for (int i = 0; i < 2; i++) {
      c.center = i == 0;
      c.skip = i;
      check_rows<double, double>(c);
      check_rows<bfloat16, bfloat16>(c);
      check_rows<float16, float>(c);
      c.skip = 0;
      check_rows<bfloat16, float>(c);
      check_rows<float16, float16>(c);
      c.weights = false;
      check_rows<float, float>(c);
      c.weights = true;
    }
  }
}

TEST(layer_norm_many_rows) {
  check_rows<bfloat16, float>({1700, 8});  // more rows than blocks take at once
  check_rows<float, float>({600, 1});
  check_rows<float, float>({600, 264});
  check_rows<bfloat16, float>({140, 2056});
}

TEST(layer_norm_special_values) {
  Operand<float> x(3 * 16, true, 0, 71), y(3 * 16, true, 0, 72);
  x.set(16 + 3, kNaN);
  x.set(32 + 3, kInfinity);
  Array<float> mean(3), inv_std(3);
  CALL(gr_layer_norm_forward(x.address(), 0, 0, y.address(), mean.address(), inv_std.address(), 3, 16, 1e-5, GR_FLOAT32,
                             GR_FLOAT32, GR_FLOAT32, 0));
  for (int64_t i = 0; i < 48; i++) CHECK_EQUAL(std::isnan(y[i]), i >= 16);
  CHECK_EQUAL(mean[2], kInfinity);
  // Far from 0.
  Operand<float> far(64, true, 0, 73, 9999, 10001);
  CALL(gr_layer_norm_forward(far.address(), 0, 0, far.address(), mean.address(), inv_std.address(), 1, 48, 1e-5, GR_FLOAT32,
                             GR_FLOAT32, GR_FLOAT32, 0));
  double sum = 0, squares = 0;
  for (int64_t i = 0; i < 48; i++) {
    sum += far[i];
    squares += far[i] * far[i];
  }
  CHECK_NEAR(sum / 48, 0.0, 0, 2e-3);
  CHECK_NEAR(squares / 48, 1.0, 1e-3, 0);
}

TEST(gradients_not_wanted) {
  int64_t rows = 6, cols = 16;
  Operand<float> x(96, true, 0, 81), grad_y(96, true, 0, 82), grad_x(96, true, 0, 83), weight(16, true, 0, 84),
      grad_weight(16, true, 0, 85), mean(6, true, 0, 86), inv_std(6, true, 0, 87);
  ScratchBytes scratch(gr_layer_norm_backward_scratch(rows, cols, GR_FLOAT32, 0));
  CALL(gr_layer_norm_backward(grad_y.address(), x.address(), mean.address(), inv_std.address(), weight.address(), 0,
                              grad_weight.address(), 0, scratch.address(), scratch.bytes(), rows, cols, GR_FLOAT32, GR_FLOAT32,
                              GR_FLOAT32, 0));
  for (int64_t k = 0; k < cols; k++) {
    double along = 0;
    for (int64_t r = 0; r < rows; r++) along += grad_y[r * cols + k] * (x[r * cols + k] - mean[r]) * inv_std[r];
    CHECK_NEAR(grad_weight[k], along, 1e-5, 1e-5);
  }
  CALL(gr_layer_norm_backward(grad_y.address(), x.address(), mean.address(), inv_std.address(), 0, grad_x.address(), 0, 0,
                              scratch.address(), scratch.bytes(), rows, cols, GR_FLOAT32, GR_FLOAT32, GR_FLOAT32, 0));
  CHECK(grad_x[5] == grad_x[5]);
  Operand<float> column_mean(16, true, 0, 88), column_inv_std(16, true, 0, 89);
  ScratchBytes batch(gr_batch_norm_backward_scratch(rows, cols, GR_FLOAT32, 0));
  CALL(gr_batch_norm_backward(grad_y.address(), x.address(), 0, 0, column_mean.address(), column_inv_std.address(), 0, 0, 0,
                              grad_weight.address(), 0, batch.address(), batch.bytes(), rows, cols, 1, GR_FLOAT32, GR_FLOAT32,
                              GR_FLOAT32, 0));
  for (int64_t k = 0; k < cols; k++) {
    double sum = 0;
    for (int64_t r = 0; r < rows; r++) sum += grad_y[r * cols + k];
    CHECK_NEAR(grad_weight[k], sum, 1e-5, 1e-5);
  }
}

TEST(same_bits_every_time) {
  int64_t rows = 3000, channels = 8, n = rows * channels;
  Operand<float> x(n, true, 0, 91), grad_y(n, true, 0, 92);
  std::vector<double> first;
  for (int turn = 0; turn < 2; turn++) {
    Operand<float> y(n, true, 0, 93), grad_x(n, true, 0, 94), grad_weight(channels, true, 0, 95),
        grad_bias(channels, true, 0, 96);
    Array<float> mean(channels), inv_std(channels);
    ScratchBytes scratch(std::max(gr_batch_norm_forward_scratch(rows, channels, GR_FLOAT32, 0),
                                  gr_batch_norm_backward_scratch(rows, channels, GR_FLOAT32, 0)));
    CALL(gr_batch_norm_forward(x.address(), 0, 0, 0, y.address(), 0, mean.address(), inv_std.address(), 0, 0, scratch.address(),
                               scratch.bytes(), rows, channels, 0.1, 1e-5, GR_ACTIVATION_NONE, GR_FLOAT32, GR_FLOAT32, GR_FLOAT32,
                               GR_FLOAT32, 0));
    CALL(gr_batch_norm_backward(grad_y.address(), x.address(), 0, 0, mean.address(), inv_std.address(), 0, grad_x.address(),
                                grad_weight.address(), grad_bias.address(), 0, scratch.address(), scratch.bytes(), rows, channels,
                                1, GR_FLOAT32, GR_FLOAT32, GR_FLOAT32, 0));
    std::vector<double> all;
    for (int64_t k = 0; k < channels; k++) {
      for (double v : {mean[k], inv_std[k], grad_weight[k], grad_bias[k], y[k * rows], grad_x[k * rows]}) all.push_back(v);
    }
    if (turn == 0) first = all;
    else CHECK(first == all);
  }
}

}  // namespace
