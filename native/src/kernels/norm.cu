// Launchers of batch, group and instance normalisation; the kernels and their method are in norm_columns.h. All three are one
// problem: a batch of matrices, normalised over rows and groups of neighbouring channels. Batch normalisation has one matrix; in
// training the kernels of norm_resident.h do it where what they read fits on the chip.
#include "gradus/norm.h"
#include "kernels/norm_resident.h"

namespace gradus {
namespace {

struct Extent {
  int64_t batch, rows, channels, groups;
  int group_size() const { return int(channels / groups); }
  int64_t elements() const { return batch * rows * channels; }
  int64_t units() const { return batch * groups; }
  bool supported() const { return channels <= kMostChannels && units() <= kMostBlocks && batch * channels <= kMostBlocks; }
};

// 16-byte accesses need every matrix of the batch to begin at a multiple of 16 bytes.
template <class T, class... P>
bool vectors(const Extent& e, const T* first, const P*... others) {
  return all_aligned(first, others...) && (e.batch == 1 || e.rows * e.channels * int64_t(sizeof(T)) % 16 == 0);
}

template <class T>
struct MomentsScratch {
  using A = accumulator_t<T>;
  MomentsScratch(const Extent& e, int64_t scratch)
      : tiles(split_for_reduction(column_tiles(e.batch, e.rows, e.channels, kMomentLines<T>, LastLine::whole), 4)),
        parts(scratch) {
    mean = parts.take<A>(e.batch * tiles.splits * tiles.width);
    squares = parts.take<A>(e.batch * tiles.splits * tiles.width);
  }
  ColumnTiles tiles;
  Scratch parts;
  A* mean;
  A* squares;
};

template <class T>
int launch_statistics(const Extent& e, const T* x, MomentsTotal<T> total, int64_t scratch, int64_t stream) {
  MomentsScratch<T> s(e, scratch);
  if (s.tiles.blocks() > kMostBlocks) return GR_UNSUPPORTED;
  if (s.tiles.blocks() > 0) {
    int status = with_alignment(vectors(e, x), [&](auto aligned) {
      return finish(GRADUS_LAUNCH((column_moments_kernel<T, decltype(aligned)::value>),
                                  LaunchConfig(unsigned(s.tiles.blocks()), kColumnThreads).stream(stream_of(stream)),
                                  x, s.mean, s.squares, s.tiles));
    });
    if (status != GR_OK) return status;
  }
  total.x = x;
  total.partial_mean = s.mean;
  total.partial_squares = s.squares;
  total.group_size = e.group_size();
  int lanes = total.group_size == 1 ? kTotalLanes : 1;
  int64_t blocks = divide_up(e.units(), lanes), entries = (s.tiles.entries() + s.tiles.fold - 1) * total.group_size;
  LaunchConfig config(unsigned(blocks), unsigned(total_threads(entries, lanes)));
  return finish(GRADUS_LAUNCH((moments_total_kernel<T>), config.stream(stream_of(stream)), total, s.tiles));
}

template <class T>
int launch_apply(const Extent& e, NormApply<T> p, int64_t stream) {
  if (e.elements() == 0) return GR_OK;
  ColumnTiles t = split_for_elements(column_tiles(e.batch, e.rows, e.channels, kPassLines<T>, LastLine::ragged));
  if (t.blocks() > kMostBlocks) return GR_UNSUPPORTED;
  p.group_size = e.group_size();
  return with_alignment(vectors(e, p.x, p.y, p.residual), [&](auto fast) {
    return finish(GRADUS_LAUNCH((norm_apply_kernel<T, decltype(fast)::value>),
                                LaunchConfig(unsigned(t.blocks()), kColumnThreads).stream(stream_of(stream)), p, t));
  });
}

template <class T>
struct BackwardScratch {
  using A = accumulator_t<T>;
  BackwardScratch(const Extent& e, int64_t scratch)
      : tiles(split_for_reduction(column_tiles(e.batch, e.rows, e.channels, kPassLines<T>, LastLine::ragged), kPassBlocks<T>)),
        parts(scratch) {
    partial_grad = parts.take<A>(e.batch * tiles.splits * tiles.width);
    partial_along = parts.take<A>(e.batch * tiles.splits * tiles.width);
    grad = parts.take<A>(e.batch * e.channels);
    along = parts.take<A>(e.batch * e.channels);
    level = e.groups == e.channels ? grad : parts.take<A>(e.units());
    slope = e.groups == e.channels ? along : parts.take<A>(e.units());
  }
  ColumnTiles tiles;
  Scratch parts;
  A *partial_grad, *partial_along;  // [batch, entries, channels]
  A *grad, *along;                  // [batch, channels]
  A *level, *slope;                 // [batch, groups]
};

// gradWeight, gradBias, and in training gradX, of statistics by group; g is masked and the residual's gradient kept on the way.
template <class T>
int launch_backward(const Extent& e, NormGradient<T> p, WeightsOut grad_weight, WeightsOut grad_bias, bool training,
                    int64_t scratch, int64_t stream) {
  using A = accumulator_t<T>;
  BackwardScratch<T> s(e, scratch);
  if (s.tiles.blocks() > kMostBlocks) return GR_UNSUPPORTED;
  p.group_size = e.group_size();
  bool aligned = vectors(e, p.gradient.grad_y, p.gradient.y, p.x, p.grad_x, p.grad_residual);
  bool sums = grad_weight.data != nullptr || grad_bias.data != nullptr || (training && p.grad_x != nullptr);
  if (sums) {
    if (s.tiles.blocks() > 0) {
      GradientSums<T> first{p.gradient, p.x, p.mean, p.inv_std, p.grad_residual, s.partial_grad, s.partial_along, p.group_size};
      int status = with_alignment(aligned, [&](auto fast) {
        return finish(GRADUS_LAUNCH((column_gradient_sums_kernel<T, decltype(fast)::value>),
                                    LaunchConfig(unsigned(s.tiles.blocks()), kColumnThreads).stream(stream_of(stream)), first,
                                    s.tiles));
      });
      if (status != GR_OK) return status;
      if (p.grad_residual != nullptr) {  // it holds the masked gradient: one operand less to read
        p.gradient = {p.grad_residual, nullptr, nullptr};
        p.grad_residual = nullptr;
      }
    }
    int status = e.batch == 0 ? int(GR_OK)
                              : launch_totals<T>({s.partial_grad, s.partial_along, s.grad, s.along, grad_bias, grad_weight,
                                                  e.batch, s.tiles.entries(), e.channels},
                                                 stream);
    if (status != GR_OK) return status;
    if (e.batch != 1 && (grad_weight.data != nullptr || grad_bias.data != nullptr)) {
      status = launch_totals<T>({s.grad, s.along, nullptr, nullptr, grad_bias, grad_weight, 1, e.batch, e.channels}, stream);
      if (status != GR_OK) return status;
    }
  }
  if (e.elements() == 0 || (p.grad_x == nullptr && p.grad_residual == nullptr)) return GR_OK;
  if (training && p.grad_x != nullptr) {
    if (e.groups != e.channels) {
      int64_t blocks = divide_up(e.units(), kColumnThreads / 32);
      int status = finish(GRADUS_LAUNCH((group_levels_kernel<T>),
                                        LaunchConfig(unsigned(blocks), kColumnThreads).stream(stream_of(stream)), s.grad, s.along,
                                        p.weight, s.level, s.slope, e.units(), e.groups, p.group_size, A(e.rows * p.group_size)));
      if (status != GR_OK) return status;
    }
    p.level = s.level;
    p.slope = s.slope;
  }
  ColumnTiles t = split_for_elements(column_tiles(e.batch, e.rows, e.channels, kPassLines<T>, LastLine::ragged));
  if (t.blocks() > kMostBlocks) return GR_UNSUPPORTED;
  return with_alignment(aligned, [&](auto fast) {
    return finish(GRADUS_LAUNCH((norm_gradient_kernel<T, decltype(fast)::value>),
                                LaunchConfig(unsigned(t.blocks()), kColumnThreads).stream(stream_of(stream)), p, t));
  });
}

template <class T>
__global__ void __launch_bounds__(kColumnThreads)
    moments_finish_kernel(const accumulator_t<T>* mean, const accumulator_t<T>* variance, accumulator_t<T>* inv_std,
                          WeightsOut running_mean, WeightsOut running_var, accumulator_t<T> unbiased, accumulator_t<T> keep,
                          accumulator_t<T> momentum, accumulator_t<T> eps, int64_t channels) {
  using A = accumulator_t<T>;
  int64_t i = int64_t(blockIdx.x) * kColumnThreads + threadIdx.x;
  if (i >= channels) return;
  A value = variance[i];
  move_running<T>(running_mean, i, keep, momentum, mean[i]);
  move_running<T>(running_var, i, keep, momentum, value * unbiased);
  inv_std[i] = inverse_root(value + eps);
}

int check_rows(int64_t rows) {
  return rows >= 2
             ? GR_OK
             : failed(GR_ERROR, "[batchNorm] " + std::to_string(rows) + " values per channel have no variance: give at least 2");
}

bool known(int32_t activation) { return activation == GR_ACTIVATION_NONE || activation == GR_ACTIVATION_RELU; }

// Of the kernels on the chip where they are chosen, and of the others, which unaligned operands need.
template <class T>
int64_t forward_scratch(const Extent& e, int64_t stream) {
  ResidentPlan plan{};
  int64_t bytes = MomentsScratch<T>(e, 0).parts.bytes();
  return plan_resident<T, 1>(e.rows, e.channels, stream, plan) ? std::max(bytes, resident_scratch<T>(plan)) : bytes;
}

template <class T>
int64_t backward_scratch(const Extent& e, int64_t stream) {
  ResidentPlan plan{};
  int64_t bytes = BackwardScratch<T>(e, 0).parts.bytes();
  return plan_resident<T, 2>(e.rows, e.channels, stream, plan) ? std::max(bytes, resident_scratch<T>(plan)) : bytes;
}

template <class F>
int64_t scratch_bytes(const Extent& e, int32_t dtype, F&& bytes_of) {
  int64_t bytes = 0;
  if (e.batch * e.channels != 0) with_floating(dtype, [&](auto type) { return bytes = bytes_of(type), GR_OK; });
  return bytes;
}
int64_t statistics_scratch(const Extent& e, int32_t dtype) {
  return scratch_bytes(e, dtype, [&](auto type) { return MomentsScratch<typename decltype(type)::type>(e, 0).parts.bytes(); });
}

}  // namespace
}  // namespace gradus

using namespace gradus;

extern "C" int64_t gr_batch_norm_statistics_scratch(int64_t rows, int64_t channels, int32_t dtype, int64_t) {
  return statistics_scratch({1, rows, channels, channels}, dtype);
}

extern "C" int64_t gr_batch_norm_forward_scratch(int64_t rows, int64_t channels, int32_t dtype, int64_t stream) {
  Extent e{1, rows, channels, channels};
  return scratch_bytes(e, dtype, [&](auto type) { return forward_scratch<typename decltype(type)::type>(e, stream); });
}

extern "C" int64_t gr_batch_norm_backward_scratch(int64_t rows, int64_t channels, int32_t dtype, int64_t stream) {
  Extent e{1, rows, channels, channels};
  return scratch_bytes(e, dtype, [&](auto type) { return backward_scratch<typename decltype(type)::type>(e, stream); });
}

extern "C" int64_t gr_group_norm_forward_scratch(int64_t samples, int64_t positions, int64_t channels, int64_t groups,
                                                 int32_t dtype, int64_t) {
  return statistics_scratch({samples, positions, channels, groups}, dtype);
}

extern "C" int64_t gr_group_norm_backward_scratch(int64_t samples, int64_t positions, int64_t channels, int64_t groups,
                                                  int32_t dtype, int64_t) {
  Extent e{samples, positions, channels, groups};
  return scratch_bytes(e, dtype, [&](auto type) { return BackwardScratch<typename decltype(type)::type>(e, 0).parts.bytes(); });
}

extern "C" int gr_batch_norm_statistics(int64_t x, int64_t mean, int64_t inv_std, int64_t running_mean, int64_t running_var,
                                        int64_t scratch, int64_t scratch_bytes, int64_t rows, int64_t channels, double momentum,
                                        double eps, int32_t dtype, int32_t running_dtype, int64_t stream) {
  Extent e{1, rows, channels, channels};
  if (channels == 0) return GR_OK;
  if (!e.supported()) return GR_UNSUPPORTED;
  if (int status = check_rows(rows); status != GR_OK) return status;
  return with_floating(dtype, [&](auto type) {
    using T = typename decltype(type)::type;
    using A = accumulator_t<T>;
    int64_t needed = MomentsScratch<T>(e, 0).parts.bytes();
    if (scratch_bytes < needed) return too_little_scratch("batchNorm", needed, scratch_bytes);
    MomentsTotal<T> total{};
    total.mean = pointer<A>(mean);
    total.inv_std = pointer<A>(inv_std);
    if (!typed<T>(running_mean, running_dtype, total.running_mean) || !typed<T>(running_var, running_dtype, total.running_var))
      return int(GR_UNSUPPORTED);
    total.keep = A(1 - momentum);
    total.momentum = A(momentum);
    total.eps = A(eps);
    return launch_statistics<T>(e, pointer<const T>(x), total, scratch, stream);
  });
}

extern "C" int gr_batch_norm_finish(int64_t mean, int64_t variance, int64_t inv_std, int64_t running_mean, int64_t running_var,
                                    int64_t rows, int64_t channels, double momentum, double eps, int32_t dtype,
                                    int32_t running_dtype, int64_t stream) {
  if (channels == 0) return GR_OK;
  if (channels > kMostChannels) return GR_UNSUPPORTED;
  if (int status = check_rows(rows); status != GR_OK) return status;
  return with_floating(dtype, [&](auto type) {
    using T = typename decltype(type)::type;
    using A = accumulator_t<T>;
    WeightsOut out_mean{}, out_var{};
    if (!typed<T>(running_mean, running_dtype, out_mean) || !typed<T>(running_var, running_dtype, out_var))
      return int(GR_UNSUPPORTED);
    return finish(GRADUS_LAUNCH((moments_finish_kernel<T>),
                                LaunchConfig(blocks_for(channels, kColumnThreads), kColumnThreads).stream(stream_of(stream)),
                                pointer<const A>(mean), pointer<const A>(variance), pointer<A>(inv_std), out_mean, out_var,
                                A(double(rows) / double(rows - 1)), A(1 - momentum), A(momentum), A(eps), channels));
  });
}

extern "C" int gr_batch_norm_apply(int64_t x, int64_t mean, int64_t inv_std, int64_t weight, int64_t bias, int64_t residual,
                                   int64_t y, int64_t mask, int64_t rows, int64_t channels, int32_t activation, int32_t dtype,
                                   int32_t weight_dtype, int32_t bias_dtype, int64_t stream) {
  Extent e{1, rows, channels, channels};
  if (e.elements() == 0) return GR_OK;
  if (!e.supported() || !known(activation)) return GR_UNSUPPORTED;
  return with_floating(dtype, [&](auto type) {
    using T = typename decltype(type)::type;
    using A = accumulator_t<T>;
    NormApply<T> p{};
    p.x = pointer<const T>(x);
    p.mean = pointer<const A>(mean);
    p.inv_std = pointer<const A>(inv_std);
    p.residual = pointer<const T>(residual);
    p.y = pointer<T>(y);
    p.mask = pointer<uint8_t>(mask);
    p.relu = activation == GR_ACTIVATION_RELU;
    if (!typed<T>(weight, weight_dtype, p.weight) || !typed<T>(bias, bias_dtype, p.bias)) return int(GR_UNSUPPORTED);
    return launch_apply<T>(e, p, stream);
  });
}

extern "C" int gr_batch_norm_forward(int64_t x, int64_t weight, int64_t bias, int64_t residual, int64_t y, int64_t mask,
                                     int64_t mean, int64_t inv_std, int64_t running_mean, int64_t running_var, int64_t scratch,
                                     int64_t scratch_bytes, int64_t rows, int64_t channels, double momentum, double eps,
                                     int32_t activation, int32_t dtype, int32_t weight_dtype, int32_t bias_dtype,
                                     int32_t running_dtype, int64_t stream) {
  Extent e{1, rows, channels, channels};
  if (channels == 0) return GR_OK;
  if (!e.supported() || !known(activation)) return GR_UNSUPPORTED;
  if (int status = check_rows(rows); status != GR_OK) return status;
  return with_floating(dtype, [&](auto type) {
    using T = typename decltype(type)::type;
    using A = accumulator_t<T>;
    int64_t needed = forward_scratch<T>(e, stream);
    if (scratch_bytes < needed) return too_little_scratch("batchNorm", needed, scratch_bytes);
    NormApply<T> apply{};
    apply.x = pointer<const T>(x);
    apply.mean = pointer<const A>(mean);
    apply.inv_std = pointer<const A>(inv_std);
    apply.residual = pointer<const T>(residual);
    apply.y = pointer<T>(y);
    apply.mask = pointer<uint8_t>(mask);
    apply.relu = activation == GR_ACTIVATION_RELU;
    WeightsOut moved_mean{}, moved_var{};
    if (!typed<T>(weight, weight_dtype, apply.weight) || !typed<T>(bias, bias_dtype, apply.bias) ||
        !typed<T>(running_mean, running_dtype, moved_mean) || !typed<T>(running_var, running_dtype, moved_var)) {
      return int(GR_UNSUPPORTED);
    }
    ResidentPlan plan{};
    if constexpr (sizeof(T) != 8) {
      if (all_aligned(apply.x, apply.y, apply.residual) && plan_resident<T, 1>(rows, channels, stream, plan)) {
        return launch_resident<T>({apply, pointer<A>(mean), pointer<A>(inv_std), moved_mean, moved_var, A(momentum),
                                   A(1 - momentum), A(eps), pointer<A>(scratch)},
                                  plan, stream);
      }
    }
    MomentsTotal<T> total{};
    total.mean = pointer<A>(mean);
    total.inv_std = pointer<A>(inv_std);
    total.running_mean = moved_mean;
    total.running_var = moved_var;
    total.keep = A(1 - momentum);
    total.momentum = A(momentum);
    total.eps = A(eps);
    int status = launch_statistics<T>(e, apply.x, total, scratch, stream);
    return status != GR_OK ? status : launch_apply<T>(e, apply, stream);
  });
}

extern "C" int gr_batch_norm_backward(int64_t grad_y, int64_t x, int64_t y, int64_t mask, int64_t mean, int64_t inv_std,
                                      int64_t weight, int64_t grad_x, int64_t grad_weight, int64_t grad_bias,
                                      int64_t grad_residual, int64_t scratch, int64_t scratch_bytes, int64_t rows,
                                      int64_t channels, int32_t training, int32_t dtype, int32_t weight_dtype, int32_t bias_dtype,
                                      int64_t stream) {
  Extent e{1, rows, channels, channels};
  if (channels == 0) return GR_OK;
  if (!e.supported()) return GR_UNSUPPORTED;
  return with_floating(dtype, [&](auto type) {
    using T = typename decltype(type)::type;
    using A = accumulator_t<T>;
    int64_t needed = backward_scratch<T>(e, stream);
    if (scratch_bytes < needed) return too_little_scratch("batchNorm", needed, scratch_bytes);
    NormGradient<T> p{};
    p.gradient = {pointer<const T>(grad_y), pointer<const T>(mask != 0 ? 0 : y), pointer<const uint8_t>(mask)};
    p.x = pointer<const T>(x);
    p.mean = pointer<const A>(mean);
    p.inv_std = pointer<const A>(inv_std);
    p.grad_x = pointer<T>(grad_x);
    p.grad_residual = pointer<T>(grad_residual);
    WeightsOut out_weight{}, out_bias{};
    if (!typed<T>(weight, weight_dtype, p.weight) || !typed<T>(grad_weight, weight_dtype, out_weight) ||
        !typed<T>(grad_bias, bias_dtype, out_bias)) {
      return int(GR_UNSUPPORTED);
    }
    ResidentPlan plan{};
    if constexpr (sizeof(T) != 8) {
      if (training != 0 && grad_x != 0 && all_aligned(p.gradient.grad_y, p.gradient.y, p.x, p.grad_x, p.grad_residual) &&
          plan_resident<T, 2>(rows, channels, stream, plan)) {
        return launch_resident<T>({p, out_weight, out_bias, pointer<A>(scratch)}, plan, stream);
      }
    }
    return launch_backward<T>(e, p, out_weight, out_bias, training != 0, scratch, stream);
  });
}

extern "C" int gr_group_norm_forward(int64_t x, int64_t weight, int64_t bias, int64_t y, int64_t mean, int64_t inv_std,
                                     int64_t scratch, int64_t scratch_bytes, int64_t samples, int64_t positions, int64_t channels,
                                     int64_t groups, double eps, int32_t dtype, int32_t weight_dtype, int32_t bias_dtype,
                                     int64_t stream) {
  if (samples * channels == 0) return GR_OK;
  Extent e{samples, positions, channels, groups};
  if (!e.supported()) return GR_UNSUPPORTED;
  return with_floating(dtype, [&](auto type) {
    using T = typename decltype(type)::type;
    using A = accumulator_t<T>;
    int64_t needed = MomentsScratch<T>(e, 0).parts.bytes();
    if (scratch_bytes < needed) return too_little_scratch("groupNorm", needed, scratch_bytes);
    NormApply<T> p{};
    p.x = pointer<const T>(x);
    p.mean = pointer<A>(mean);
    p.inv_std = pointer<A>(inv_std);
    p.y = pointer<T>(y);
    if (!typed<T>(weight, weight_dtype, p.weight) || !typed<T>(bias, bias_dtype, p.bias)) return int(GR_UNSUPPORTED);
    MomentsTotal<T> total{};
    total.mean = pointer<A>(mean);
    total.inv_std = pointer<A>(inv_std);
    total.eps = A(eps);
    int status = launch_statistics<T>(e, pointer<const T>(x), total, scratch, stream);
    return status != GR_OK ? status : launch_apply<T>(e, p, stream);
  });
}

extern "C" int gr_group_norm_backward(int64_t grad_y, int64_t x, int64_t mean, int64_t inv_std, int64_t weight, int64_t grad_x,
                                      int64_t grad_weight, int64_t grad_bias, int64_t scratch, int64_t scratch_bytes,
                                      int64_t samples, int64_t positions, int64_t channels, int64_t groups, int32_t dtype,
                                      int32_t weight_dtype, int32_t bias_dtype, int64_t stream) {
  if (channels == 0) return GR_OK;
  Extent e{samples, positions, channels, groups};
  if (!e.supported()) return GR_UNSUPPORTED;
  return with_floating(dtype, [&](auto type) {
    using T = typename decltype(type)::type;
    using A = accumulator_t<T>;
    int64_t needed = BackwardScratch<T>(e, 0).parts.bytes();
    if (scratch_bytes < needed) return too_little_scratch("groupNorm", needed, scratch_bytes);
    NormGradient<T> p{};
    p.gradient = {pointer<const T>(grad_y), nullptr, nullptr};
    p.x = pointer<const T>(x);
    p.mean = pointer<const A>(mean);
    p.inv_std = pointer<const A>(inv_std);
    p.grad_x = pointer<T>(grad_x);
    WeightsOut out_weight{}, out_bias{};
    if (!typed<T>(weight, weight_dtype, p.weight) || !typed<T>(grad_weight, weight_dtype, out_weight) ||
        !typed<T>(grad_bias, bias_dtype, out_bias)) {
      return int(GR_UNSUPPORTED);
    }
    return launch_backward<T>(e, p, out_weight, out_bias, true, scratch, stream);
  });
}
