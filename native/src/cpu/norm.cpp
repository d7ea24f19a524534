// Batch normalisation. Traffic per element: forward one read for the statistics, then one read and one write; backward two reads
// for the sums, two reads and one write for gradX, and what masks the gradient.
#include "gradus/norm.h"

#include "cpu/norm_totals.h"

namespace gradus::cpu {
namespace {

int check_rows(int64_t rows) {
  return rows >= 2
             ? GR_OK
             : failed(GR_ERROR, "[batchNorm] " + std::to_string(rows) + " values per channel have no variance: give at least 2");
}

template <class F>
int64_t scratch_of(int32_t dtype, F&& doubles) {
  int64_t bytes = 0;
  with_floating(dtype, [&](auto type) {
    bytes = doubles(type) * int64_t(sizeof(double));
    return int(GR_OK);
  });
  return bytes;
}

template <class T>
int64_t statistics_doubles(int64_t rows, int64_t channels) {
  return channels == 0 ? 0 : 2 * channels * (SumChunks(lines_of<accumulator_t<T>>(channels), rows).count + 1);
}

// Moves running statistics, of one column, towards the batch's.
template <class T>
struct Running {
  using A = accumulator_t<T>;
  WeightsOut<T> mean, variance;
  double momentum;

  void move(int64_t k, double batch_mean, double unbiased_variance) const {
    move(mean, k, A(batch_mean));
    move(variance, k, A(unbiased_variance));
  }

 private:
  void move(const WeightsOut<T>& running, int64_t k, A batch) const {
    if (running) running.set(k, A(1 - momentum) * running.at(k) + A(momentum) * batch);
  }
};

template <class T>
void statistics(const T* x, accumulator_t<T>* mean, accumulator_t<T>* inv_std, const Running<T>& running, double* scratch,
                int64_t rows, int64_t channels, double eps) {
  using A = accumulator_t<T>;
  const Lines lines = lines_of<A>(channels);
  const SumChunks chunks(lines, rows);
  double *total_mean = scratch, *total_squares = scratch + channels, *parts = scratch + 2 * channels;
  parallel_chunks(chunks.count, [&](int64_t chunk) {
    double* part = parts + chunk * 2 * channels;
    column_moments(lines, x + chunks.begin(chunk) * channels, chunks.rows_of(chunk), part, part + channels);
  });
  parallel_for(channels, kTotalColumns, [&](int64_t first, int64_t last) {
    total_moments(parts, chunks, channels, first, last, total_mean, total_squares);
    for (int64_t k = first; k < last; k++) {
      mean[k] = A(total_mean[k]);
      inv_std[k] = inverse_root<A>(total_squares[k] / double(rows), eps);
      running.move(k, total_mean[k], total_squares[k] / double(rows - 1));
    }
  });
}

struct BatchFactors;

template <class T>
Factors<accumulator_t<T>> factors_of(const Lines& lines, bool tilted) {
  using A = accumulator_t<T>;
  const int64_t length = padded<A>(lines.width());
  return {workspace<BatchFactors, A>(Factors<A>::kLines * length), length, tilted};
}

template <class T>
void apply(const Normalise<T>& p, const accumulator_t<T>* mean, const accumulator_t<T>* inv_std, const Weights<T>& weight,
           const Weights<T>& bias, int64_t rows, int64_t channels) {
  using A = accumulator_t<T>;
  const Lines lines = lines_of<A>(channels);
  auto factors = factors_of<T>(lines, false);
  for_vectors<A>(channels, [&](int64_t k, auto lanes) {
    store_some(factors.mean + k, load_some(mean + k, lanes), lanes);
    store_some(factors.scale + k, load_some(inv_std + k, lanes) * weight.load(k, lanes, A(1)), lanes);
    store_some(factors.shift + k, bias.load(k, lanes, A(0)), lanes);
  });
  factors.repeat_all(lines);
  parallel_back(rows, pass_grain(lines), [&](int64_t begin, int64_t end) { normalise_rows(lines, p, factors, begin, end); });
}

template <class T>
struct Backward {
  using A = accumulator_t<T>;
  InputGradient<T> pass;
  const A* mean;
  const A* inv_std;
  Weights<T> weight;
  WeightsOut<T> grad_weight, grad_bias;
  bool training;

  // Sums of g and g n, [2][channels], and the weights' gradients from them.
  void sum(const Lines& lines, const A* mean_line, const SumChunks& chunks, double* sums, double* parts) const {
    const int64_t channels = lines.channels;
    parallel_chunks(chunks.count, [&](int64_t chunk) {
      double* part = parts + chunk * 2 * channels;
      gradient_sums(lines, pass.gradient, pass.x, mean_line, pass.grad_residual, chunks.begin(chunk), chunks.end(chunk), part,
                    part + channels);
    });
    parallel_for(channels, kTotalColumns, [&](int64_t first, int64_t last) {
      total_sums(parts, chunks.count, channels, first, last, sums);
      for (int64_t k = first; k < last; k++) {
        if (chunks.rows > 0) sums[channels + k] *= double(inv_std[k]);
        grad_bias.set(k, A(sums[k]));
        grad_weight.set(k, A(sums[channels + k]));
      }
    });
  }

  void run(double* scratch, int64_t rows, int64_t channels) {
    const Lines lines = lines_of<A>(channels);
    auto factors = factors_of<T>(lines, training);
    const bool tilted = training && pass.grad_x != nullptr;
    const double* sums = scratch;
    if (grad_weight || grad_bias || tilted) {
      if (rows > 0) std::copy(mean, mean + channels, factors.mean);
      repeat(lines, factors.mean);
      sum(lines, factors.mean, SumChunks(lines, rows), scratch, scratch + 2 * channels);
      if (pass.grad_residual != nullptr) {  // it holds the masked gradient: one operand less to read
        pass.gradient = {pass.grad_residual, nullptr, nullptr};
        pass.grad_residual = nullptr;
      }
    }
    if (rows == 0 || (pass.grad_x == nullptr && pass.grad_residual == nullptr)) return;
    if (pass.grad_x != nullptr) {
      for (int64_t k = 0; k < channels; k++) {
        const double scale = double(inv_std[k]) * double(weight.at(k, A(1)));
        factors.scale[k] = A(scale);
        if (!tilted) continue;
        factors.tilt[k] = A(-sums[channels + k] / double(rows) * scale * double(inv_std[k]));
        factors.shift[k] = A(-sums[k] / double(rows) * scale);
      }
      repeat(lines, factors.scale);
      if (tilted) repeat(lines, factors.tilt), repeat(lines, factors.shift);
    }
    parallel_back(rows, pass_grain(lines), [&](int64_t begin, int64_t end) { input_gradient(lines, pass, factors, begin, end); });
  }
};

}  // namespace
}  // namespace gradus::cpu

using namespace gradus;
using namespace gradus::cpu;

extern "C" int64_t gr_batch_norm_statistics_scratch(int64_t rows, int64_t channels, int32_t dtype, int64_t) {
  return scratch_of(dtype, [&](auto type) { return statistics_doubles<typename decltype(type)::type>(rows, channels); });
}

extern "C" int64_t gr_batch_norm_forward_scratch(int64_t rows, int64_t channels, int32_t dtype, int64_t stream) {
  return gr_batch_norm_statistics_scratch(rows, channels, dtype, stream);
}

extern "C" int64_t gr_batch_norm_backward_scratch(int64_t rows, int64_t channels, int32_t dtype, int64_t stream) {
  return gr_batch_norm_statistics_scratch(rows, channels, dtype, stream);
}

extern "C" int gr_batch_norm_statistics(int64_t x, int64_t mean, int64_t inv_std, int64_t running_mean, int64_t running_var,
                                        int64_t scratch, int64_t scratch_bytes, int64_t rows, int64_t channels, double momentum,
                                        double eps, int32_t dtype, int32_t running_dtype, int64_t) {
  if (channels == 0) return GR_OK;
  if (int status = check_rows(rows); status != GR_OK) return status;
  return with_floating(dtype, [&](auto type) {
    using T = typename decltype(type)::type;
    using A = accumulator_t<T>;
    const int64_t needed = statistics_doubles<T>(rows, channels) * int64_t(sizeof(double));
    if (scratch_bytes < needed) return too_little_scratch("batchNorm", needed, scratch_bytes);
    Running<T> running{{}, {}, momentum};
    if (!typed<T>(running_mean, running_dtype, running.mean) || !typed<T>(running_var, running_dtype, running.variance))
      return int(GR_UNSUPPORTED);
    statistics(pointer<const T>(x), pointer<A>(mean), pointer<A>(inv_std), running, pointer<double>(scratch), rows, channels, eps);
    return int(GR_OK);
  });
}

extern "C" int gr_batch_norm_finish(int64_t mean, int64_t variance, int64_t inv_std, int64_t running_mean, int64_t running_var,
                                    int64_t rows, int64_t channels, double momentum, double eps, int32_t dtype,
                                    int32_t running_dtype, int64_t) {
  if (channels == 0) return GR_OK;
  if (int status = check_rows(rows); status != GR_OK) return status;
  return with_floating(dtype, [&](auto type) {
    using T = typename decltype(type)::type;
    using A = accumulator_t<T>;
    Running<T> running{{}, {}, momentum};
    if (!typed<T>(running_mean, running_dtype, running.mean) || !typed<T>(running_var, running_dtype, running.variance))
      return int(GR_UNSUPPORTED);
    for (int64_t k = 0; k < channels; k++) {
      const auto biased = double(pointer<const A>(variance)[k]);
      running.move(k, double(pointer<const A>(mean)[k]), biased * (double(rows) / double(rows - 1)));
      pointer<A>(inv_std)[k] = inverse_root<A>(biased, eps);
    }
    return int(GR_OK);
  });
}

extern "C" int gr_batch_norm_apply(int64_t x, int64_t mean, int64_t inv_std, int64_t weight, int64_t bias, int64_t residual,
                                   int64_t y, int64_t mask, int64_t rows, int64_t channels, int32_t activation, int32_t dtype,
                                   int32_t weight_dtype, int32_t bias_dtype, int64_t) {
  if (rows * channels == 0) return GR_OK;
  if (activation < GR_ACTIVATION_NONE || activation > GR_ACTIVATION_RELU) return GR_UNSUPPORTED;
  return with_floating(dtype, [&](auto type) {
    using T = typename decltype(type)::type;
    using A = accumulator_t<T>;
    Weights<T> scales{}, shifts{};
    if (!typed<T>(weight, weight_dtype, scales) || !typed<T>(bias, bias_dtype, shifts)) return int(GR_UNSUPPORTED);
    const Normalise<T> p{pointer<const T>(x), pointer<const T>(residual), pointer<T>(y), pointer<uint32_t>(mask),
                         activation == GR_ACTIVATION_RELU};
    apply(p, pointer<const A>(mean), pointer<const A>(inv_std), scales, shifts, rows, channels);
    return int(GR_OK);
  });
}

extern "C" int gr_batch_norm_forward(int64_t x, int64_t weight, int64_t bias, int64_t residual, int64_t y, int64_t mask,
                                     int64_t mean, int64_t inv_std, int64_t running_mean, int64_t running_var, int64_t scratch,
                                     int64_t scratch_bytes, int64_t rows, int64_t channels, double momentum, double eps,
                                     int32_t activation, int32_t dtype, int32_t weight_dtype, int32_t bias_dtype,
                                     int32_t running_dtype, int64_t stream) {
  // What the second half refuses is refused before the first has moved the running statistics.
  if (activation < GR_ACTIVATION_NONE || activation > GR_ACTIVATION_RELU) return GR_UNSUPPORTED;
  int status = with_floating(dtype, [&](auto type) {
    using T = typename decltype(type)::type;
    Weights<T> scales{}, shifts{};
    return typed<T>(weight, weight_dtype, scales) && typed<T>(bias, bias_dtype, shifts) ? int(GR_OK) : int(GR_UNSUPPORTED);
  });
  if (status != GR_OK) return status;
  status = gr_batch_norm_statistics(x, mean, inv_std, running_mean, running_var, scratch, scratch_bytes, rows, channels,
                                        momentum, eps, dtype, running_dtype, stream);
  if (status != GR_OK) return status;
  return gr_batch_norm_apply(x, mean, inv_std, weight, bias, residual, y, mask, rows, channels, activation, dtype, weight_dtype,
                             bias_dtype, stream);
}

extern "C" int gr_batch_norm_backward(int64_t grad_y, int64_t x, int64_t y, int64_t mask, int64_t mean, int64_t inv_std,
                                      int64_t weight, int64_t grad_x, int64_t grad_weight, int64_t grad_bias,
                                      int64_t grad_residual, int64_t scratch, int64_t scratch_bytes, int64_t rows,
                                      int64_t channels, int32_t training, int32_t dtype, int32_t weight_dtype, int32_t bias_dtype,
                                      int64_t) {
  if (channels == 0) return GR_OK;
  return with_floating(dtype, [&](auto type) {
    using T = typename decltype(type)::type;
    using A = accumulator_t<T>;
    const int64_t needed = statistics_doubles<T>(rows, channels) * int64_t(sizeof(double));
    if (scratch_bytes < needed) return too_little_scratch("batchNorm", needed, scratch_bytes);
    Backward<T> p{};
    p.pass = {{pointer<const T>(grad_y), pointer<const T>(mask != 0 ? 0 : y), pointer<const uint32_t>(mask)},
              pointer<const T>(x),
              pointer<T>(grad_x),
              pointer<T>(grad_residual)};
    p.mean = pointer<const A>(mean);
    p.inv_std = pointer<const A>(inv_std);
    p.training = training != 0;
    if (!typed<T>(weight, weight_dtype, p.weight) || !typed<T>(grad_weight, weight_dtype, p.grad_weight) ||
        !typed<T>(grad_bias, bias_dtype, p.grad_bias)) {
      return int(GR_UNSUPPORTED);
    }
    p.run(pointer<double>(scratch), rows, channels);
    return int(GR_OK);
  });
}
