// The kernels of batch, group and instance normalisation: statistics and sums of columns, and the element-wise passes that use
// them. x is [batch, rows, channels], normalised over the rows and `group_size` neighbouring channels of each matrix of the
// batch; batch normalisation has one matrix, it and instance normalisation have groups of one channel.
//
// Statistics: Welford's update in every thread (eight columns, lines apart), Chan's merge over the threads of a block, one
// partial result per block and column in scratch memory, merged by a second kernel. Memory traffic per element: forward one read
// for the statistics, one read and one write to apply them; backward two reads for the sums, two reads and one write for gradX
// (one read more in each for a ReLU mask taken from y). The second pass goes backwards through memory, where the first one ended:
// what the L2 cache still holds is not read again. norm_resident.h has kernels for batch normalisation that read everything once.
// Source: Welford, "Note on a method for calculating corrected sums of squares and products", Technometrics 4(3), 1962.
#pragma once

#include "kernels/norm_launch.h"
#include "kernels/norm_value.h"

namespace gradus {
namespace {

// Lines in flight per thread.
template <class T>
constexpr int kMomentLines = 8 / sizeof(T);
template <class T>
constexpr int kPassLines = sizeof(T) == 2 ? 2 : 1;
// Blocks per multiprocessor that the passes leave registers for: enough loads in flight to hide the memory's latency.
template <class T>
constexpr int kPassBlocks = sizeof(T) == 8 ? 1 : 3;

// Welford's update of eight columns' means and sums of squared distances.
template <class T, class A>
GRADUS_DEVICE void take_moments(const Octet<T>& in, A& count, A (&mean)[kOctet], A (&squares)[kOctet]) {
  count += A(1);
  A part = share(A(1), count);
  GRADUS_UNROLL
  for (int j = 0; j < kOctet; j++) {
    A value = to_float(in.get(j));
    A distance = value - mean[j];
    mean[j] += distance * part;
    squares[j] += distance * (value - mean[j]);
  }
}

// Mean and sum of squared distances of every column over the whole lines of a block; [batch, splits, width] each.
template <class T, bool Aligned>
__global__ void __launch_bounds__(kColumnThreads)
    column_moments_kernel(const T* __restrict__ x, accumulator_t<T>* __restrict__ partial_mean,
                          accumulator_t<T>* __restrict__ partial_squares, ColumnTiles t) {
  using A = accumulator_t<T>;
  constexpr int kLines = kMomentLines<T>;
  ColumnPlace at = column_place(t, blockIdx.x);
  A mean[kOctet] = {}, squares[kOctet] = {}, count = 0;
  if (at.active) {
    const T* column = x + at.matrix * t.elements + at.column;
    for (int64_t tile = at.split; tile < t.tiles; tile += t.splits) {
      int64_t line = tile * (t.slots * kLines) + at.slot;
      Octet<T> in[kLines];
      GRADUS_UNROLL
      for (int u = 0; u < kLines; u++) {
        if (line + u * t.slots < t.lines) in[u] = load_octet<Aligned>(column + (line + u * t.slots) * t.width);
      }
      GRADUS_UNROLL
      for (int u = 0; u < kLines; u++) {
        if (line + u * t.slots >= t.lines) break;
        take_moments(in[u], count, mean, squares);
      }
    }
  }
  merge_slots<kOctet, kColumnThreads>(mean, squares, count, t.lanes, t.slots, MergeMoments{});
  if (at.active && at.slot == 0) {
    int64_t to = (at.matrix * t.splits + at.split) * t.width + at.column;
    GRADUS_UNROLL
    for (int j = 0; j < kOctet; j++) {
      partial_mean[to + j] = mean[j];
      partial_squares[to + j] = squares[j];
    }
  }
}

// mean and 1 / sqrt(variance + eps) of every matrix and group, [batch, groups], from the partial results and the rows that fill
// no line. The running statistics, where given, move on by those of the first matrix.
template <class T>
struct MomentsTotal {
  using A = accumulator_t<T>;
  const T* x;
  const A* partial_mean;
  const A* partial_squares;
  A* mean;
  A* inv_std;
  WeightsOut running_mean, running_var;
  int group_size;
  A momentum, keep, eps;
};

template <class T>
GRADUS_DEVICE void move_running(WeightsOut running, int64_t i, accumulator_t<T> keep, accumulator_t<T> momentum,
                                accumulator_t<T> batch) {
  if (running.data == nullptr) return;
  accumulator_t<T> before = weight_at<T>(Weights{running.data, running.wide}, i, 0);
  store_weight<T>(running, i, keep * before + momentum * batch);
}

template <class T>
__global__ void __launch_bounds__(kTotalThreads) moments_total_kernel(MomentsTotal<T> p, ColumnTiles t) {
  using A = accumulator_t<T>;
  // Neighbouring threads take neighbouring columns: of several groups where a group is one channel.
  int lanes = p.group_size == 1 ? kTotalLanes : 1, slots = int(blockDim.x) / lanes;
  int slot = int(threadIdx.x) / lanes;
  unsigned groups = unsigned(t.channels) / unsigned(p.group_size), units = unsigned(t.batch) * groups;
  unsigned unit = blockIdx.x * unsigned(lanes) + threadIdx.x % unsigned(lanes);
  int64_t matrix = unit / groups, group = unit % groups;
  A mean[1] = {}, squares[1] = {}, count = 0;
  if (unit < units) {
    int64_t from = matrix * t.splits * t.fold * t.channels + group * p.group_size;
    int entries = t.splits * t.fold * p.group_size;
    for (int e = slot; e < entries; e += slots) {
      int entry = p.group_size == 1 ? e : e / p.group_size;
      int64_t column = from + int64_t(entry) * t.channels + (e - entry * p.group_size);
      A lines = A(lines_of_split(t, entry / t.fold));
      MergeMoments{}(mean[0], squares[0], count, p.partial_mean[column], p.partial_squares[column], lines);
      count += lines;
    }
    int64_t line_rows = t.lines * t.fold;
    int rest = int(t.rows - line_rows) * p.group_size;
    const T* x = p.x + matrix * t.elements + line_rows * t.channels + group * p.group_size;
    for (int e = slot; e < rest; e += slots) {
      int row = e / p.group_size;
      MergeMoments{}(mean[0], squares[0], count, A(to_float(x[row * t.channels + (e - row * p.group_size)])), A(0), A(1));
      count += A(1);
    }
  }
  merge_slots<1, kTotalThreads>(mean, squares, count, lanes, slots, MergeMoments{});
  if (slot == 0 && unit < units) {
    A values = A(t.rows * p.group_size);
    p.mean[unit] = values == A(0) ? squares[0] / values : mean[0];  // of nothing: NaN
    p.inv_std[unit] = inverse_root(squares[0] / values + p.eps);
    if (unit < groups) {
      move_running<T>(p.running_mean, unit, p.keep, p.momentum, mean[0]);
      move_running<T>(p.running_var, unit, p.keep, p.momentum, squares[0] / (values - A(1)));
    }
  }
}

// y = activation((x - mean) invStd weight + bias + residual); a mask has one bit per element, 1 where y > 0.
template <class T>
struct NormApply {
  using A = accumulator_t<T>;
  const T* x;  // y may be x or the residual
  const A* mean;
  const A* inv_std;
  Weights weight, bias;
  const T* residual;
  T* y;
  uint8_t* mask;
  int group_size;
  bool relu;
};

// The statistics' index of each of a thread's columns, [batch, groups], and the columns' channels.
struct ColumnIndex {
  int64_t first;  // the matrix's groups
  int group[kOctet], channel[kOctet];
};
GRADUS_DEVICE ColumnIndex column_index(const ColumnPlace& at, const ColumnTiles& t, int group_size) {
  ColumnIndex index;
  unsigned channels = unsigned(t.channels), size = unsigned(group_size);
  index.first = at.matrix * (channels / size);
  GRADUS_UNROLL
  for (int j = 0; j < kOctet; j++) {
    unsigned channel = unsigned(at.column) + unsigned(j);
    if (t.fold > 1) channel %= channels;
    index.channel[j] = int(channel);
    index.group[j] = int(size == 1 ? channel : channel / size);
  }
  return index;
}

// Eight elements of y; bit j of `positive` says whether the j-th is above 0.
template <class T, class A>
GRADUS_DEVICE Octet<T> normalized(const NormApply<T>& p, const Octet<T>& in, const Octet<T>& add, const A (&mean)[kOctet],
                                  const A (&scale)[kOctet], const A (&shift)[kOctet], unsigned& positive) {
  Octet<T> out;
  out.set_zero();
  positive = 0;
  GRADUS_UNROLL
  for (int j = 0; j < kOctet; j++) {
    A value = norm_value<A>(to_float(in.get(j)), mean[j], scale[j], shift[j]);
    if (p.residual != nullptr) value += to_float(add.get(j));
    if (p.relu) value = norm_relu(value);
    T rounded = from_accumulator<T>(value);
    out.set(j, rounded);
    if (to_float(rounded) > A(0)) positive |= 1u << j;
  }
  return out;
}

template <class T, bool Aligned>
__global__ void __launch_bounds__(kColumnThreads, kPassBlocks<T>) norm_apply_kernel(NormApply<T> p, ColumnTiles t) {
  using A = accumulator_t<T>;
  constexpr int kLines = kPassLines<T>;
  ColumnPlace at = column_place(t, gridDim.x - 1 - blockIdx.x);
  if (!at.active) return;
  A mean[kOctet], scale[kOctet], shift[kOctet];
  ColumnIndex index = column_index(at, t, p.group_size);
  GRADUS_UNROLL
  for (int j = 0; j < kOctet; j++) {
    mean[j] = p.mean[index.first + index.group[j]];
    scale[j] = p.inv_std[index.first + index.group[j]] * weight_at<T>(p.weight, index.channel[j], A(1));
    shift[j] = weight_at<T>(p.bias, index.channel[j], A(0));
  }
  int64_t base = at.matrix * t.elements, stride = t.slots * t.width;
  int64_t next = (at.split * t.rounds * kLines * t.slots + at.slot) * t.width + at.column;  // within the matrix
  for (int round = 0; round < int(t.rounds) && next < t.elements; round++, next += kLines * stride) {
    int64_t element[kLines];
    Octet<T> in[kLines], add[kLines];
    GRADUS_UNROLL
    for (int u = 0; u < kLines; u++) {
      element[u] = next + u * stride;
      if (element[u] < t.elements) in[u] = load_octet<Aligned>(p.x + base + element[u], t.elements - element[u]);
    }
    if (p.residual != nullptr) {
      GRADUS_UNROLL
      for (int u = 0; u < kLines; u++) {
        if (element[u] < t.elements) add[u] = load_octet<Aligned>(p.residual + base + element[u], t.elements - element[u]);
      }
    }
    GRADUS_UNROLL
    for (int u = 0; u < kLines; u++) {
      if (element[u] >= t.elements) break;
      int64_t count = t.elements - element[u];
      unsigned positive;
      Octet<T> out = normalized(p, in[u], add[u], mean, scale, shift, positive);
      store_octet<Aligned>(p.y + base + element[u], out, count);
      if (count < kOctet) positive &= (1u << count) - 1;
      if (p.mask != nullptr) store_mask(p.mask, element[u], t.elements, positive);
    }
  }
}

// What backward reads: the gradient g, masked by y > 0 or a mask of bits where given.
template <class T>
struct MaskedGradient {
  const T* grad_y;
  const T* y;
  const uint8_t* mask;
};

// Eight gradients and what masks them, on their way from memory.
template <class T>
struct GradientOctet {
  Octet<T> grad;
  union {
    Octet<T> y;
    unsigned mask;
  };
};

template <bool Aligned, class T>
GRADUS_DEVICE void load_masking(const MaskedGradient<T>& p, int64_t element, int64_t count, GradientOctet<T>& out) {
  if (p.mask != nullptr) {
    out.mask = p.mask[element / 8];
  } else if (p.y != nullptr) {
    out.y = load_octet<Aligned>(p.y + element, count);
  }
}

template <bool Aligned, class T>
GRADUS_DEVICE void load_gradient(const MaskedGradient<T>& p, int64_t element, int64_t count, GradientOctet<T>& out) {
  out.grad = load_octet<Aligned>(p.grad_y + element, count);
  load_masking<Aligned>(p, element, count, out);
}

template <class T>
GRADUS_DEVICE Octet<T> masked(const MaskedGradient<T>& p, const GradientOctet<T>& in) {
  Octet<T> out = in.grad;
  if (p.mask != nullptr) {
    GRADUS_UNROLL
    for (int j = 0; j < kOctet; j++) out.keep_if(j, (in.mask >> j & 1) != 0);
  } else if (p.y != nullptr) {
    GRADUS_UNROLL
    for (int j = 0; j < kOctet; j++) out.keep_if(j, to_float(in.y.get(j)) > 0);
  }
  return out;
}

template <class T, class A>
GRADUS_DEVICE void take_gradient(const Octet<T>& grad, const Octet<T>& x, const A (&mean)[kOctet], A (&sum)[kOctet],
                                 A (&along)[kOctet]) {
  GRADUS_UNROLL
  for (int j = 0; j < kOctet; j++) {
    A value = to_float(grad.get(j));
    sum[j] += value;
    along[j] += value * (to_float(x.get(j)) - mean[j]);
  }
}

// sum(g) and sum(g (x - mean) invStd) of every column over the lines of a block, [batch, splits, width] each; the masked g is
// kept as the residual's gradient where wanted.
template <class T>
struct GradientSums {
  using A = accumulator_t<T>;
  MaskedGradient<T> gradient;
  const T* x;
  const A* mean;
  const A* inv_std;
  T* grad_residual;  // may be grad_y
  A* partial_grad;
  A* partial_along;
  int group_size;
};

template <class T, bool Aligned>
__global__ void __launch_bounds__(kColumnThreads, kPassBlocks<T>) column_gradient_sums_kernel(GradientSums<T> p, ColumnTiles t) {
  using A = accumulator_t<T>;
  constexpr int kLines = kPassLines<T>;
  ColumnPlace at = column_place(t, blockIdx.x);
  A sum[kOctet] = {}, along[kOctet] = {}, count = 0;
  if (at.active) {
    A mean[kOctet];
    ColumnIndex index = column_index(at, t, p.group_size);
    GRADUS_UNROLL
    for (int j = 0; j < kOctet; j++) mean[j] = p.mean[index.first + index.group[j]];
    int64_t base = at.matrix * t.elements, stride = t.slots * t.width;
    int64_t next = (int64_t(at.split) * kLines * t.slots + at.slot) * t.width + at.column;  // within the matrix
    for (; next < t.elements; next += t.splits * kLines * stride) {
      GradientOctet<T> g[kLines];
      Octet<T> x[kLines];
      GRADUS_UNROLL
      for (int u = 0; u < kLines; u++) {
        int64_t element = next + u * stride;
        if (element >= t.elements) break;
        load_gradient<Aligned>(p.gradient, base + element, t.elements - element, g[u]);
        x[u] = load_octet<Aligned>(p.x + base + element, t.elements - element);
      }
      GRADUS_UNROLL
      for (int u = 0; u < kLines; u++) {
        int64_t element = next + u * stride, left = t.elements - element;
        if (left <= 0) break;
        Octet<T> grad = masked(p.gradient, g[u]);
        if (p.grad_residual != nullptr) store_octet<Aligned>(p.grad_residual + base + element, grad, left);
        take_gradient(grad, x[u], mean, sum, along);  // elements past the last one are 0 and change nothing
      }
    }
  }
  merge_slots<kOctet, kColumnThreads>(sum, along, count, t.lanes, t.slots, MergeSums{});
  if (at.active && at.slot == 0) {
    int64_t to = (at.matrix * t.splits + at.split) * t.width + at.column;
    ColumnIndex index = column_index(at, t, p.group_size);
    GRADUS_UNROLL
    for (int j = 0; j < kOctet; j++) {
      p.partial_grad[to + j] = sum[j];
      p.partial_along[to + j] = along[j] * p.inv_std[index.first + index.group[j]];
    }
  }
}

// mean(h) and mean(h n) of every matrix and group, h = g weight, from the columns' sums. A warp a group.
template <class T>
__global__ void __launch_bounds__(kColumnThreads)
    group_levels_kernel(const accumulator_t<T>* sum, const accumulator_t<T>* along, Weights weight, accumulator_t<T>* level,
                        accumulator_t<T>* slope, int64_t units, int64_t groups, int group_size, accumulator_t<T> values) {
  using A = accumulator_t<T>;
  int64_t unit = (int64_t(blockIdx.x) * kColumnThreads + threadIdx.x) / 32;
  if (unit >= units) return;  // whole warps
  int lane = int(threadIdx.x) % 32;
  int64_t channel = unit % groups * group_size;
  A first = 0, second = 0;
  for (int i = lane; i < group_size; i += 32) {
    A w = weight_at<T>(weight, channel + i, A(1));
    first += w * sum[unit * group_size + i];
    second += w * along[unit * group_size + i];
  }
  first = warp_sum(first);
  second = warp_sum(second);
  if (lane == 0) {
    level[unit] = first / values;
    slope[unit] = second / values;
  }
}

// gradX = invStd (g weight - level - n slope), n = (x - mean) invStd, with level and slope of the group; where groups are single
// channels, `level` and `slope` are the channels' sums of g and g n, still to be scaled by weight / rows. Without statistics of
// the batch (level absent): gradX = invStd weight g.
template <class T>
struct NormGradient {
  using A = accumulator_t<T>;
  MaskedGradient<T> gradient;
  const T* x;
  const A* mean;
  const A* inv_std;
  Weights weight;
  const A* level;
  const A* slope;
  T* grad_x;         // may be grad_y
  T* grad_residual;  // the masked g, where the sums did not leave it
  int group_size;
};

// gradX of a column = scale g + tilt (x - mean) + shift. With 16-bit x the mean goes into the shift, which saves registers: what is
// lost where the mean is large is far below the rounding of x itself.
template <class T>
struct GradientLine {
  using A = accumulator_t<T>;
  static constexpr bool kShifted = sizeof(T) == 2;
  A mean, scale, tilt, shift;

  GRADUS_DEVICE void lean(A level, A slope, A about) {
    mean = kShifted ? A(0) : about;
    tilt = -slope;
    shift = -level;
    if (kShifted) shift -= tilt * about;
  }
  GRADUS_DEVICE A at(A grad, A x) const { return scale * grad + (tilt * (x - (kShifted ? A(0) : mean)) + shift); }
};

template <class T>
GRADUS_DEVICE Octet<T> gradient_octet(const GradientLine<T> (&line)[kOctet], const Octet<T>& grad, const Octet<T>& x) {
  Octet<T> out;
  out.set_zero();
  GRADUS_UNROLL
  for (int j = 0; j < kOctet; j++) out.set(j, from_accumulator<T>(line[j].at(to_float(grad.get(j)), to_float(x.get(j)))));
  return out;
}

template <class T, bool Aligned>
__global__ void __launch_bounds__(kColumnThreads, kPassBlocks<T>) norm_gradient_kernel(NormGradient<T> p, ColumnTiles t) {
  using A = accumulator_t<T>;
  constexpr int kLines = kPassLines<T>;
  ColumnPlace at = column_place(t, gridDim.x - 1 - blockIdx.x);
  if (!at.active) return;
  GradientLine<T> line[kOctet] = {};
  if (p.grad_x != nullptr) {
    ColumnIndex index = column_index(at, t, p.group_size);
    A per_row = A(t.channels) / A(t.elements);
    GRADUS_UNROLL
    for (int j = 0; j < kOctet; j++) {
      A inv_std = p.inv_std[index.first + index.group[j]], weight = weight_at<T>(p.weight, index.channel[j], A(1));
      line[j].scale = inv_std * weight;
      if (p.level != nullptr) {
        int64_t group = index.first + index.group[j];
        A factor = p.group_size == 1 ? inv_std * weight * per_row : inv_std;
        line[j].lean(p.level[group] * factor, p.slope[group] * factor * inv_std, p.mean[group]);
      }
    }
  }
  int64_t base = at.matrix * t.elements, stride = t.slots * t.width;
  int64_t next = (at.split * t.rounds * kLines * t.slots + at.slot) * t.width + at.column;  // within the matrix
  for (int round = 0; round < int(t.rounds) && next < t.elements; round++, next += kLines * stride) {
    GradientOctet<T> g[kLines];
    Octet<T> x[kLines];
    GRADUS_UNROLL
    for (int u = 0; u < kLines; u++) {
      int64_t element = next + u * stride;
      if (element >= t.elements) break;
      load_gradient<Aligned>(p.gradient, base + element, t.elements - element, g[u]);
      if (p.level != nullptr) x[u] = load_octet<Aligned>(p.x + base + element, t.elements - element);
    }
    GRADUS_UNROLL
    for (int u = 0; u < kLines; u++) {
      int64_t element = next + u * stride, left = t.elements - element;
      if (left <= 0) break;
      Octet<T> grad = masked(p.gradient, g[u]);
      if (p.grad_residual != nullptr) store_octet<Aligned>(p.grad_residual + base + element, grad, left);
      if (p.grad_x == nullptr) continue;
      if (p.level == nullptr) x[u].set_zero();
      store_octet<Aligned>(p.grad_x + base + element, gradient_octet(line, grad, x[u]), left);
    }
  }
}

}  // namespace
}  // namespace gradus
