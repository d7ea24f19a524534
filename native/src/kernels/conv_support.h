// What the products leave to be done: copies with padded channels, transposed weights, the sum over splits, the statistics of
// channels.
#pragma once

#include "device/block.h"
#include "device/vector.h"
#include "kernels/conv_geometry.h"

namespace gradus::conv {

constexpr int kSupportThreads = 256;

// out [rows, padded] = in [rows, channels] and zeros: V divides padded, and a thread writes V of them at once.
template <class T, int V>
__global__ void __launch_bounds__(kSupportThreads)
    conv_pad_kernel(const T* in, T* out, int64_t rows, int channels, FastDivide packs) {
  for (int64_t r0 = int64_t(blockIdx.x) * kSupportThreads; r0 < rows; r0 += int64_t(gridDim.x) * kSupportThreads) {
    // So many rows a block: the number of their packs stays within the range of the division.
    int present = int(min(int64_t(kSupportThreads), rows - r0));
    for (int i = int(threadIdx.x); i < present * packs.divisor(); i += kSupportThreads) {
      int pack;
      int row = packs.divide(i, pack);
      const T* from = in + (r0 + row) * channels;
      Pack<T, V> values;
      GRADUS_UNROLL
      for (int q = 0; q < V; q++) values.value[q] = pack * V + q < channels ? from[pack * V + q] : from_float<T>(0);
      store_pack(out + ((r0 + row) * packs.divisor() + pack) * V, values);
    }
  }
}

// out [channels, taps, o] = in [o, taps, channels]: each element is read and written once, in lines of 128 bytes. Blocks: tiles of
// 32 x 32 of a tap, `tiles_c` in a row of channels, `tiles_o` rows; threads (32, 8).
template <class T>
__global__ void __launch_bounds__(kSupportThreads)
    conv_transpose_kernel(const T* in, T* out, int outputs, int taps, int channels, FastDivide tiles_c, FastDivide tiles_o) {
  constexpr int kEdge = 32, kThreadRows = kSupportThreads / kEdge;
  GRADUS_SHARED(T, tile, [kEdge][kEdge + 1]);  // a column of a tile has no two elements in a bank
  int column, row;
  int tap = tiles_o.divide(tiles_c.divide(int(blockIdx.x), column), row);
  const int channel = column * kEdge, o = row * kEdge, x = int(threadIdx.x);
  GRADUS_UNROLL
  for (int i = int(threadIdx.y); i < kEdge; i += kThreadRows) {
    bool inside = o + i < outputs && channel + x < channels;
    tile[i][x] = inside ? in[(int64_t(o + i) * taps + tap) * channels + channel + x] : from_float<T>(0);
  }
  __syncthreads();  // the tile is complete before others read its columns
  GRADUS_UNROLL
  for (int i = int(threadIdx.y); i < kEdge; i += kThreadRows) {
    if (channel + i < channels && o + x < outputs) out[(int64_t(channel + i) * taps + tap) * outputs + o + x] = tile[x][i];
  }
}

// result[i] = sum over ascending splits of partial[split][i] (+ result[i]). Reads each partial sum once.
template <class T>
__global__ void __launch_bounds__(kSupportThreads)
    conv_splits_kernel(const accumulator_t<T>* partial, T* result, int splits, int64_t n, int accumulate) {
  using Acc = accumulator_t<T>;
  for (int64_t i = int64_t(blockIdx.x) * kSupportThreads + threadIdx.x; i < n; i += int64_t(gridDim.x) * kSupportThreads) {
    Acc sum = 0;
    GRADUS_UNROLL
    for (int s = 0; s < splits; s++) sum += partial[int64_t(s) * n + i];
    if (accumulate) sum += to_float(result[i]);
    result[i] = from_accumulator<T>(sum);
  }
}

constexpr int kStatisticsRows = 256;   // of an image, in a part of the statistics
constexpr int kStatisticsParts = 256;  // that one block merges
constexpr int kLanes = 8;              // threads that share a channel

// Adds over the threads that share a channel, in a fixed order; every one of them gets the sum.
template <class Acc>
GRADUS_DEVICE Acc sum_of_lanes(Acc value, Acc (&shared)[kLanes][32]) {
  shared[threadIdx.y][threadIdx.x] = value;
  __syncthreads();  // every lane's part is there before they are added up
  Acc sum = 0;
  GRADUS_UNROLL
  for (int i = 0; i < kLanes; i++) sum += shared[i][threadIdx.x];
  __syncthreads();  // the parts were read before the next sum overwrites them
  return sum;
}

// Mean and sum of squared differences of each channel over kStatisticsRows rows of y [rows, channels]: two passes, the second
// from the caches. Block: (32 channels, kLanes); grid: (channels, parts). partial: [part][2][channels].
template <class T>
__global__ void __launch_bounds__(kSupportThreads)
    conv_statistics_kernel(const T* y, accumulator_t<T>* partial, int64_t rows, int channels) {
  using Acc = accumulator_t<T>;
  GRADUS_SHARED(Acc, shared, [kLanes][32]);
  const int channel = int(blockIdx.x) * 32 + int(threadIdx.x);
  const int64_t first = int64_t(blockIdx.y) * kStatisticsRows;
  const int present = int(min(int64_t(kStatisticsRows), rows - first));
  const T* column = y + first * channels + channel;
  const int mine = channel < channels ? present : 0;
  Acc sum = 0;
  for (int i = int(threadIdx.y); i < mine; i += kLanes) sum += to_float(column[int64_t(i) * channels]);
  const Acc mean = sum_of_lanes(sum, shared) / Acc(present);
  Acc squares = 0;
  for (int i = int(threadIdx.y); i < mine; i += kLanes) {
    Acc difference = to_float(column[int64_t(i) * channels]) - mean;
    squares += difference * difference;
  }
  squares = sum_of_lanes(squares, shared);
  if (channel >= channels || threadIdx.y != 0) return;
  Acc* to = partial + int64_t(blockIdx.y) * 2 * channels + channel;
  to[0] = mean;
  to[channels] = squares;
}

// Merges up to kStatisticsParts parts, part i over rows [i part_rows, (i + 1) part_rows) of `rows`. The last merge divides: it
// leaves mean and variance. Means are added as differences from the first, squares around the merged mean.
// Source: Chan, Golub, LeVeque, "Algorithms for computing the sample variance", The American Statistician 37, 1983.
template <class Acc>
__global__ void __launch_bounds__(kSupportThreads)
    conv_statistics_merge_kernel(const Acc* partial, Acc* merged, int64_t parts, int64_t part_rows, int64_t rows, int channels,
                                 int last_merge) {
  GRADUS_SHARED(Acc, shared, [kLanes][32]);
  const int channel = int(blockIdx.x) * 32 + int(threadIdx.x);
  const int64_t first = int64_t(blockIdx.y) * kStatisticsParts;
  const int count = int(min(int64_t(kStatisticsParts), parts - first));
  const int mine = channel < channels ? count : 0;
  const Acc* from = partial + first * 2 * channels + channel;
  const Acc total = Acc(min(rows - first * part_rows, count * part_rows));
  const Acc shift = channel < channels ? from[0] : Acc(0);
  Acc sum = 0;
  for (int i = int(threadIdx.y); i < mine; i += kLanes) {
    Acc n = Acc(min(part_rows, rows - (first + i) * part_rows));
    sum += n * (from[int64_t(i) * 2 * channels] - shift);
  }
  const Acc mean = shift + sum_of_lanes(sum, shared) / total;
  Acc squares = 0;
  for (int i = int(threadIdx.y); i < mine; i += kLanes) {
    Acc n = Acc(min(part_rows, rows - (first + i) * part_rows));
    Acc difference = from[int64_t(i) * 2 * channels] - mean;
    squares += from[(int64_t(i) * 2 + 1) * channels] + n * difference * difference;
  }
  squares = sum_of_lanes(squares, shared);
  if (channel >= channels || threadIdx.y != 0) return;
  Acc* to = merged + int64_t(blockIdx.y) * 2 * channels + channel;
  to[0] = mean;
  to[channels] = last_merge ? squares / total : squares;
}

template <class T>
__global__ void __launch_bounds__(kSupportThreads) conv_relu_kernel(T* y, int64_t n) {
  for (int64_t i = int64_t(blockIdx.x) * kSupportThreads + threadIdx.x; i < n; i += int64_t(gridDim.x) * kSupportThreads) {
    y[i] = from_accumulator<T>(Epilogue<T>::relu_of(to_float(y[i])));
  }
}

// Elements of the partial statistics of `parts` parts, with those of the merges.
inline int64_t statistics_elements(int64_t parts, int64_t channels) {
  int64_t total = 0;
  for (; parts > 1; parts = divide_up(parts, kStatisticsParts)) total += parts;
  return std::max<int64_t>(total, 1) * 2 * channels;
}

// From the partial statistics at `partial` (statistics_elements) to mean and variance at `statistics`.
template <class Acc>
int merge_statistics(Acc* partial, Acc* statistics, int64_t parts, int64_t part_rows, int64_t rows, int channels,
                     stream_t stream) {
  for (;;) {
    int64_t merges = divide_up(parts, kStatisticsParts);
    Acc* to = merges == 1 ? statistics : partial + parts * 2 * channels;
    dim3 grid(unsigned(divide_up(channels, 32)), unsigned(merges));
    int status = finish(GRADUS_LAUNCH((conv_statistics_merge_kernel<Acc>), LaunchConfig(grid, dim3(32, kLanes)).stream(stream),
                                      partial, to, parts, part_rows, rows, channels, merges == 1));
    if (status != GR_OK || merges == 1) return status;
    partial = to, part_rows *= kStatisticsParts, parts = merges;
  }
}

}  // namespace gradus::conv
