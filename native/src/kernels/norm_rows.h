// The kernels of layer and root-mean-square normalisation: statistics by row, weights by column. The second is the first without
// a mean.
//
// A row stays in registers: a warp has it up to 1024 columns, a block above, eight neighbouring columns a thread. Forward reads x
// once and writes y once; mean first, then the sum of squared distances, both from the registers.
// Backward reads gradY and x once and writes gradX once: threads keep their columns from row to row, so that gradWeight and
// gradBias gather in registers while gradX is made; the next row is on its way meanwhile. A fixed number of blocks (it depends on
// the shape alone) leaves partial sums in scratch memory, a second kernel adds them up.
// Rows that are longer, not a multiple of eight, or not aligned are read element by element, more than once (the caches hold
// them), and gradWeight and gradBias come from a pass of their own. FLOAT64 takes this way always.
#pragma once

#include "kernels/norm_launch.h"

namespace gradus {
namespace {

// Sums over the `Threads` threads of a row, for each of them; several rows share a block. One barrier a call: the calls alternate
// between two buffers.
template <int Threads, int Values, class A>
GRADUS_DEVICE void row_sums(A (&value)[Values], int& turn) {
  constexpr int kWarps = Threads / 32, kMostWarps = 16;
  GRADUS_SHARED(A, part, [2][Values][kMostWarps]);
  GRADUS_UNROLL
  for (int k = 0; k < Values; k++) value[k] = warp_sum(value[k]);
  if (kWarps == 1) return;
  int lane = int(threadIdx.x) % 32, warp = int(threadIdx.x) / 32;
  if (lane == 0) {
    GRADUS_UNROLL
    for (int k = 0; k < Values; k++) part[turn][k][warp] = value[k];
  }
  // The parts are there before they are read; and whoever read the other buffer is done before the next call writes it.
  __syncthreads();
  GRADUS_UNROLL
  for (int k = 0; k < Values; k++) value[k] = warp_sum(lane < kWarps ? part[turn][k][warp / kWarps * kWarps + lane] : A(0));
  turn ^= 1;
}

template <class T>
GRADUS_DEVICE void load_weights(Weights weights, int64_t column, accumulator_t<T> absent, accumulator_t<T> (&out)[kOctet]) {
  using A = accumulator_t<T>;
  if (weights.data == nullptr) {
    GRADUS_UNROLL
    for (int j = 0; j < kOctet; j++) out[j] = absent;
  } else if (weights.wide) {
    Octet<A> in = load_octet<true>(static_cast<const A*>(weights.data) + column);
    GRADUS_UNROLL
    for (int j = 0; j < kOctet; j++) out[j] = in.get(j);
  } else {
    Octet<T> in = load_octet<true>(static_cast<const T*>(weights.data) + column);
    GRADUS_UNROLL
    for (int j = 0; j < kOctet; j++) out[j] = to_float(in.get(j));
  }
}

template <class T>
struct RowForward {
  using A = accumulator_t<T>;
  const T* x;
  Weights weight, bias;
  T* y;     // may be x
  A* mean;  // absent: root-mean-square normalisation
  A* inv_std;
  int64_t rows, cols;
  A per_col, eps;  // 1 / cols
};

// Threads of a block whose rows have so many each.
template <int Threads>
constexpr int kBlockOf = Threads < 128 ? 128 : Threads;
// How many of them leave enough registers to each thread.
template <int Threads>
constexpr int kResidentBlocks = 768 / kBlockOf<Threads>;

template <class T, int Threads, int Packs>
__global__ void __launch_bounds__(kBlockOf<Threads>, kResidentBlocks<Threads>)
    layer_norm_forward_kernel_registers(RowForward<T> p) {
  using A = accumulator_t<T>;
  constexpr int kRows = kBlockOf<Threads> / Threads;
  int thread = int(threadIdx.x) % Threads, turn = 0;
  for (int64_t row = int64_t(blockIdx.x) * kRows + int(threadIdx.x) / Threads; row < p.rows; row += int64_t(gridDim.x) * kRows) {
    const T* x = p.x + row * p.cols;
    Octet<T> in[Packs];
    GRADUS_UNROLL
    for (int i = 0; i < Packs; i++) {
      int64_t column = (i * Threads + thread) * kOctet;
      if (column < p.cols) in[i] = load_octet<true>(x + column);
      else in[i].set_zero();
    }
    A mean = 0;
    if (p.mean != nullptr) {
      A sum[1] = {};
      GRADUS_UNROLL
      for (int i = 0; i < Packs; i++) {
        GRADUS_UNROLL
        for (int j = 0; j < kOctet; j++) sum[0] += to_float(in[i].get(j));
      }
      row_sums<Threads>(sum, turn);
      mean = sum[0] * p.per_col;
    }
    A squares[1] = {};
    GRADUS_UNROLL
    for (int i = 0; i < Packs; i++) {
      if ((i * Threads + thread) * kOctet >= p.cols) break;
      GRADUS_UNROLL
      for (int j = 0; j < kOctet; j++) {
        A distance = to_float(in[i].get(j)) - mean;
        squares[0] += distance * distance;
      }
    }
    row_sums<Threads>(squares, turn);
    A inv_std = inverse_root(squares[0] * p.per_col + p.eps);
    if (thread == 0) {
      if (p.mean != nullptr) p.mean[row] = mean;
      p.inv_std[row] = inv_std;
    }
    GRADUS_UNROLL
    for (int i = 0; i < Packs; i++) {
      int64_t column = (i * Threads + thread) * kOctet;
      if (column >= p.cols) break;
      A weight[kOctet], bias[kOctet];
      load_weights<T>(p.weight, column, A(1), weight);
      load_weights<T>(p.bias, column, A(0), bias);
      Octet<T> out;
      out.set_zero();
      GRADUS_UNROLL
      for (int j = 0; j < kOctet; j++) {
        out.set(j, from_accumulator<T>((to_float(in[i].get(j)) - mean) * inv_std * weight[j] + bias[j]));
      }
      store_octet<true>(p.y + row * p.cols + column, out);
    }
  }
}

// Any row.
template <class T, int Threads>
__global__ void __launch_bounds__(kBlockOf<Threads>, kResidentBlocks<Threads>)
    layer_norm_forward_kernel_streaming(RowForward<T> p) {
  using A = accumulator_t<T>;
  constexpr int kRows = kBlockOf<Threads> / Threads;
  int thread = int(threadIdx.x) % Threads, turn = 0;
  for (int64_t row = int64_t(blockIdx.x) * kRows + int(threadIdx.x) / Threads; row < p.rows; row += int64_t(gridDim.x) * kRows) {
    const T* x = p.x + row * p.cols;
    A mean = 0;
    if (p.mean != nullptr) {
      A sum[1] = {};
      for (int64_t i = thread; i < p.cols; i += Threads) sum[0] += to_float(x[i]);
      row_sums<Threads>(sum, turn);
      mean = sum[0] * p.per_col;
    }
    A squares[1] = {};
    for (int64_t i = thread; i < p.cols; i += Threads) {
      A distance = to_float(x[i]) - mean;
      squares[0] += distance * distance;
    }
    row_sums<Threads>(squares, turn);
    A inv_std = inverse_root(squares[0] * p.per_col + p.eps);
    if (thread == 0) {
      if (p.mean != nullptr) p.mean[row] = mean;
      p.inv_std[row] = inv_std;
    }
    for (int64_t i = thread; i < p.cols; i += Threads) {
      A normal = (to_float(x[i]) - mean) * inv_std;
      p.y[row * p.cols + i] = from_accumulator<T>(normal * weight_at<T>(p.weight, i, A(1)) + weight_at<T>(p.bias, i, A(0)));
    }
  }
}

template <class T>
struct RowBackward {
  using A = accumulator_t<T>;
  const T* grad_y;
  const T* x;
  const A* mean;  // absent: root-mean-square normalisation
  const A* inv_std;
  Weights weight;
  T* grad_x;
  A* partial_bias;    // sums of g, [blocks, cols]; absent where not wanted
  A* partial_weight;  // sums of g n
  int64_t rows, cols;
  A per_col;  // 1 / cols
};

// Threads of a block of backward, and how many such blocks a multiprocessor holds; 132 is the number of an H200's.
template <int Threads>
constexpr int kBackwardBlockOf = Threads < 256 ? 256 : Threads;
template <class T, int Threads>
constexpr int kBackwardResident = Threads > 256 ? 1 : (sizeof(T) == 2 ? 3 : 2);
template <class T, int Threads>
constexpr int64_t kBackwardBlocks = kBackwardResident<T, Threads> * 132;

template <class T, int Packs>
struct GradientRow {
  Octet<T> grad[Packs], x[Packs];
  accumulator_t<T> mean, inv_std;
};

// What lies outside of the matrix is 0 and changes no sum.
template <int Threads, class T, int Packs>
GRADUS_DEVICE void load_row(const RowBackward<T>& p, int64_t row, int thread, GradientRow<T, Packs>& out) {
  bool inside = row < p.rows;
  out.mean = inside && p.mean != nullptr ? p.mean[row] : 0;
  out.inv_std = inside ? p.inv_std[row] : 0;
  GRADUS_UNROLL
  for (int i = 0; i < Packs; i++) {
    int64_t column = (i * Threads + thread) * kOctet;
    if (inside && column < p.cols) {
      out.grad[i] = load_octet<true>(p.grad_y + row * p.cols + column);
      out.x[i] = load_octet<true>(p.x + row * p.cols + column);
    } else {
      out.grad[i].set_zero();
      out.x[i].set_zero();
    }
  }
}

template <class T, int Threads, int Packs>
__global__ void __launch_bounds__(kBackwardBlockOf<Threads>, kBackwardResident<T, Threads>)
    layer_norm_backward_kernel_registers(RowBackward<T> p) {
  using A = accumulator_t<T>;
  constexpr int kSlots = kBackwardBlockOf<Threads> / Threads;
  constexpr bool kAhead = Packs == 1;  // registers for the next row
  int thread = int(threadIdx.x) % Threads, slot = int(threadIdx.x) / Threads, turn = 0;
  A sum[Packs][kOctet] = {}, along[Packs][kOctet] = {}, weight[Packs][kOctet] = {};
  GRADUS_UNROLL
  for (int i = 0; i < Packs; i++) {
    int64_t column = (i * Threads + thread) * kOctet;
    if (column < p.cols) load_weights<T>(p.weight, column, A(1), weight[i]);
  }
  int64_t stride = int64_t(gridDim.x) * kSlots;
  GradientRow<T, Packs> in, next;
  if (kAhead) load_row<Threads>(p, int64_t(blockIdx.x) * kSlots + slot, thread, next);
  // The same number of rounds for every slot: there is a barrier in them.
  for (int64_t first = int64_t(blockIdx.x) * kSlots; first < p.rows; first += stride) {
    int64_t row = first + slot;
    if (kAhead) {
      in = next;
      load_row<Threads>(p, row + stride, thread, next);
    } else {
      load_row<Threads>(p, row, thread, in);
    }
    A total[2] = {};  // of h, of h n
    GRADUS_UNROLL
    for (int i = 0; i < Packs; i++) {
      GRADUS_UNROLL
      for (int j = 0; j < kOctet; j++) {
        A grad = to_float(in.grad[i].get(j)), normal = (to_float(in.x[i].get(j)) - in.mean) * in.inv_std;
        sum[i][j] += grad;
        along[i][j] += grad * normal;
        total[0] += grad * weight[i][j];
        total[1] += grad * weight[i][j] * normal;
      }
    }
    if (p.grad_x == nullptr) continue;
    row_sums<Threads>(total, turn);
    A level = p.mean != nullptr ? total[0] * p.per_col : A(0), slope = total[1] * p.per_col;
    if (row >= p.rows) continue;
    GRADUS_UNROLL
    for (int i = 0; i < Packs; i++) {
      int64_t column = (i * Threads + thread) * kOctet;
      if (column >= p.cols) break;
      Octet<T> out;
      out.set_zero();
      GRADUS_UNROLL
      for (int j = 0; j < kOctet; j++) {
        A normal = (to_float(in.x[i].get(j)) - in.mean) * in.inv_std;
        out.set(j, from_accumulator<T>((to_float(in.grad[i].get(j)) * weight[i][j] - level - normal * slope) * in.inv_std));
      }
      store_octet<true>(p.grad_x + row * p.cols + column, out);
    }
  }
  if (p.partial_bias == nullptr) return;
  GRADUS_UNROLL
  for (int i = 0; i < Packs; i++) {
    A count = 0;
    merge_slots<kOctet, kBackwardBlockOf<Threads>>(sum[i], along[i], count, Threads, kSlots, MergeSums{});
    int64_t column = (i * Threads + thread) * kOctet;
    if (slot != 0 || column >= p.cols) continue;
    GRADUS_UNROLL
    for (int j = 0; j < kOctet; j++) {
      p.partial_bias[int64_t(blockIdx.x) * p.cols + column + j] = sum[i][j];
      p.partial_weight[int64_t(blockIdx.x) * p.cols + column + j] = along[i][j];
    }
  }
}

// gradX of any row.
template <class T, int Threads>
__global__ void __launch_bounds__(kBlockOf<Threads>, kResidentBlocks<Threads>)
    layer_norm_gradient_kernel_streaming(RowBackward<T> p) {
  using A = accumulator_t<T>;
  constexpr int kRows = kBlockOf<Threads> / Threads;
  int thread = int(threadIdx.x) % Threads, turn = 0;
  for (int64_t row = int64_t(blockIdx.x) * kRows + int(threadIdx.x) / Threads; row < p.rows; row += int64_t(gridDim.x) * kRows) {
    const T* x = p.x + row * p.cols;
    const T* grad_y = p.grad_y + row * p.cols;
    A mean = p.mean != nullptr ? p.mean[row] : A(0), inv_std = p.inv_std[row];
    A total[2] = {};
    for (int64_t i = thread; i < p.cols; i += Threads) {
      A h = to_float(grad_y[i]) * weight_at<T>(p.weight, i, A(1));
      total[0] += h;
      total[1] += h * ((to_float(x[i]) - mean) * inv_std);
    }
    row_sums<Threads>(total, turn);
    A level = p.mean != nullptr ? total[0] * p.per_col : A(0), slope = total[1] * p.per_col;
    for (int64_t i = thread; i < p.cols; i += Threads) {
      A h = to_float(grad_y[i]) * weight_at<T>(p.weight, i, A(1));
      p.grad_x[row * p.cols + i] = from_accumulator<T>((h - level - (to_float(x[i]) - mean) * inv_std * slope) * inv_std);
    }
  }
}

// Partial sums of g and g n of every column over the lines of a block, [splits, width] each.
template <class T, bool Aligned>
__global__ void __launch_bounds__(kColumnThreads) layer_norm_weight_kernel(RowBackward<T> p, ColumnTiles t) {
  using A = accumulator_t<T>;
  ColumnPlace at = column_place(t, blockIdx.x);
  A sum[kOctet] = {}, along[kOctet] = {}, count = 0;
  if (at.active) {
    for (int64_t tile = at.split; tile < t.tiles; tile += t.splits) {
      int64_t line = tile * t.slots + at.slot, element = line * t.width + at.column;
      if (element >= t.elements) break;
      int64_t left = t.elements - element;
      Octet<T> grad = load_octet<Aligned>(p.grad_y + element, left), x = load_octet<Aligned>(p.x + element, left);
      A mean = 0, inv_std = 0;
      GRADUS_UNROLL
      for (int j = 0; j < kOctet; j++) {
        if (j == 0 || t.fold > 1) {  // a line of one row has one mean
          int64_t row = t.fold == 1 ? line : line * t.fold + (unsigned(at.column) + unsigned(j)) / unsigned(t.channels);
          if (row >= t.rows) break;
          mean = p.mean != nullptr ? p.mean[row] : A(0);
          inv_std = p.inv_std[row];
        }
        A value = to_float(grad.get(j));
        sum[j] += value;
        along[j] += value * ((to_float(x.get(j)) - mean) * inv_std);
      }
    }
  }
  merge_slots<kOctet, kColumnThreads>(sum, along, count, t.lanes, t.slots, MergeSums{});
  if (at.active && at.slot == 0) {
    int64_t to = at.split * t.width + at.column;
    GRADUS_UNROLL
    for (int j = 0; j < kOctet; j++) {
      p.partial_bias[to + j] = sum[j];
      p.partial_weight[to + j] = along[j];
    }
  }
}

}  // namespace
}  // namespace gradus
