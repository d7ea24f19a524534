// The functions are those of the kernels, and so are the tests; here is what vectors, lines and threads add.
#include "kernels/norm_test.cpp"

#include "cpu/threads.h"

TEST(channels_around_the_width_of_vectors) {
  for (int64_t channels : {2, 5, 6, 7, 9, 12, 15, 17, 31, 32, 33, 63, 64, 65, 96, 127, 129, 511, 1024}) {
    BatchCase c{19, channels};
    c.relu = c.residual = c.mask = true;
    check_batch<float, float>(c);
    check_group<float, float>(2, 11, channels, 1);
    check_rows<float, float>({6, channels});
  }
  for (int64_t channels : {3, 9, 17, 65, 601}) {
    BatchCase c{35, channels};
    c.relu = c.mask = true;
    check_batch<double, double>(c);
    check_batch<float16, float>(c);
    check_batch<bfloat16, bfloat16>(c);
  }
}

TEST(rows_that_fill_no_line) {
  for (int64_t rows : {2, 3, 8, 31, 64, 127, 128, 129, 255, 513, 700}) {
    BatchCase c{rows, 6};
    c.relu = c.mask = true;
    check_batch<float, float>(c);
    c.mask = false;
    check_batch<float, float>(c);
  }
}

TEST(many_chunks) {
  BatchCase c{40'003, 3};
  c.relu = c.mask = true;
  check_batch<float, float>(c);
  check_batch<float, float>({9'001, 40});
  check_batch<float, float>({300, 1030});
  check_group<float, float>(2, 6'007, 8, 4);
  check_group<float, float>(70, 25, 24, 24);
  check_rows<float, float>({1'100, 40});
}

// Moments are formed around the mean of the first rows; here that is far from where the others are.
TEST(the_first_rows_are_like_no_other) {
  int64_t rows = 20'000, channels = 2;
  Operand<float> x(rows * channels, true, 0, 71);
  for (int64_t i = 0; i < 40; i++) x.set(i, 5000 + x[i]);
  Array<float> mean(channels), inv_std(channels);
  ScratchBytes scratch(gr_batch_norm_statistics_scratch(rows, channels, GR_FLOAT32, 0));
  CALL(gr_batch_norm_statistics(x.address(), mean.address(), inv_std.address(), 0, 0, scratch.address(), scratch.bytes(), rows,
                                channels, 0.1, 1e-5, GR_FLOAT32, GR_FLOAT32, 0));
  Moments m = moments(x, channels, rows, [&](int64_t g, int64_t i) { return i * channels + g; });
  for (int64_t k = 0; k < channels; k++) {
    CHECK_NEAR(mean[k], m.mean[size_t(k)], 1e-5, 0);
    CHECK_NEAR(inv_std[k], 1 / std::sqrt(m.variance[size_t(k)] + 1e-5), 1e-5, 0);
  }
}

TEST(a_refused_batch_leaves_the_running_statistics) {
  const int64_t rows = 4, channels = 8;
  auto x = Array<float>::random(rows * channels, 80);
  Array<float> y(rows * channels), mean(channels), inv_std(channels), weight(channels), running_mean(channels, 3),
      running_var(channels, 3);
  ScratchBytes scratch(gr_batch_norm_forward_scratch(rows, channels, GR_FLOAT32, 0));
  int status = gr_batch_norm_forward(x.address(), weight.address(), 0, 0, y.address(), 0, mean.address(), inv_std.address(),
                                     running_mean.address(), running_var.address(), scratch.address(), scratch.bytes(), rows,
                                     channels, 0.1, 1e-5, GR_ACTIVATION_NONE, GR_FLOAT32, GR_INT32, GR_FLOAT32, GR_FLOAT32, 0);
  CHECK_EQUAL(status, GR_UNSUPPORTED);
  for (int64_t k = 0; k < channels; k++) {
    CHECK_EQUAL(running_mean[k], 3.0);
    CHECK_EQUAL(running_var[k], 3.0);
  }
}

namespace {

using Bytes = std::vector<uint8_t>;

void append(Bytes& out, const Array<float>& array) {
  Bytes more = test::bytes_of(array);
  out.insert(out.end(), more.begin(), more.end());
}

Bytes batch_bytes() {
  const int64_t rows = 30'011, channels = 12, n = rows * channels;
  auto x = Array<float>::random(n, 81), grad = Array<float>::random(n, 82);
  Array<float> y(n), grad_x(n), mean(channels), inv_std(channels), grad_weight(channels), grad_bias(channels);
  Array<uint8_t> mask((n + 31) / 32 * 4);
  ScratchBytes scratch(gr_batch_norm_backward_scratch(rows, channels, GR_FLOAT32, 0));
  CALL(gr_batch_norm_forward(x.address(), 0, 0, 0, y.address(), mask.address(), mean.address(), inv_std.address(), 0, 0,
                             scratch.address(), scratch.bytes(), rows, channels, 0.1, 1e-5, GR_ACTIVATION_RELU, GR_FLOAT32,
                             GR_FLOAT32, GR_FLOAT32, GR_FLOAT32, 0));
  CALL(gr_batch_norm_backward(grad.address(), x.address(), 0, mask.address(), mean.address(), inv_std.address(), 0,
                              grad_x.address(), grad_weight.address(), grad_bias.address(), 0, scratch.address(), scratch.bytes(),
                              rows, channels, 1, GR_FLOAT32, GR_FLOAT32, GR_FLOAT32, 0));
  Bytes out = test::bytes_of(mask);
  for (const auto* array : {&y, &grad_x, &mean, &inv_std, &grad_weight, &grad_bias}) append(out, *array);
  return out;
}

Bytes group_bytes(int64_t samples, int64_t positions) {
  const int64_t channels = 12, groups = 4, n = samples * positions * channels;
  auto x = Array<float>::random(n, 83), grad = Array<float>::random(n, 84);
  Array<float> y(n), grad_x(n), mean(samples * groups), inv_std(samples * groups), grad_weight(channels), grad_bias(channels);
  ScratchBytes scratch(gr_group_norm_backward_scratch(samples, positions, channels, groups, GR_FLOAT32, 0));
  CALL(gr_group_norm_forward(x.address(), 0, 0, y.address(), mean.address(), inv_std.address(), scratch.address(),
                             scratch.bytes(), samples, positions, channels, groups, 1e-5, GR_FLOAT32, GR_FLOAT32, GR_FLOAT32, 0));
  CALL(gr_group_norm_backward(grad.address(), x.address(), mean.address(), inv_std.address(), 0, grad_x.address(),
                              grad_weight.address(), grad_bias.address(), scratch.address(), scratch.bytes(), samples, positions,
                              channels, groups, GR_FLOAT32, GR_FLOAT32, GR_FLOAT32, 0));
  Bytes out;
  for (const auto* array : {&y, &grad_x, &mean, &inv_std, &grad_weight, &grad_bias}) append(out, *array);
  return out;
}

Bytes row_bytes() {
  const int64_t rows = 3'001, cols = 100, n = rows * cols;
  auto x = Array<float>::random(n, 85), grad = Array<float>::random(n, 86);
  Array<float> y(n), grad_x(n), mean(rows), inv_std(rows), grad_weight(cols), grad_bias(cols);
  ScratchBytes scratch(gr_layer_norm_backward_scratch(rows, cols, GR_FLOAT32, 0));
  CALL(gr_layer_norm_forward(x.address(), 0, 0, y.address(), mean.address(), inv_std.address(), rows, cols, 1e-5, GR_FLOAT32,
                             GR_FLOAT32, GR_FLOAT32, 0));
  CALL(gr_layer_norm_backward(grad.address(), x.address(), mean.address(), inv_std.address(), 0, grad_x.address(),
                              grad_weight.address(), grad_bias.address(), scratch.address(), scratch.bytes(), rows, cols,
                              GR_FLOAT32, GR_FLOAT32, GR_FLOAT32, 0));
  Bytes out;
  for (const auto* array : {&y, &grad_x, &mean, &inv_std, &grad_weight, &grad_bias}) append(out, *array);
  return out;
}

}  // namespace

TEST(norms_do_not_depend_on_threads) {
  CHECK(test::same_for_all_threads(batch_bytes));
  CHECK(test::same_for_all_threads([] { return group_bytes(2, 7'001); }));
  CHECK(test::same_for_all_threads([] { return group_bytes(300, 50); }));
  CHECK(test::same_for_all_threads(row_bytes));
}
