// Depthwise convolution: every group has one input channel and `multiplier` output channels. No products to share between
// channels, so it is direct: threads lie along channels, kPixels neighbouring pixels of a row each; the memory's traffic is x
// and y once, the overlap of windows comes from the first-level cache and, for three taps a row, from registers.
//
// Forward and backward to the input are one kernel over a Window (see conv_geometry.h). Backward to the weights sums per block
// over a chunk of pixels in registers, then over the block in a fixed order, and leaves a partial sum per chunk.
#pragma once

#include "device/block.h"
#include "device/vector.h"
#include "kernels/conv_geometry.h"

namespace gradus::conv {

constexpr int kPixels = 4;           // of a row, per thread
constexpr int kMultiplierLimit = 4;  // more output channels of a group are a matter for the products
constexpr int kDepthwiseThreads = 256;
constexpr int kStagedBytes = 32 * 1024;

template <class T>
struct Depthwise {
  const T* source;  // the image that is read, [n, height, width, source channels]
  const T* w;       // [weight channels, kernel]
  Epilogue<T> epilogue;
  Window window[kClasses];
  FastDivide blocks[kClasses];  // of kPixels pixels in a row of the result
  FastDivide rows[kClasses];
  int64_t items[kClasses];      // such blocks of all images
  int channels;                 // of the result
  int pitch;                    // channels of the source
  int multiplier, kernel_w, kernel_area;
};

// kBackward: the result is gradX, and a channel of it reads `multiplier` channels of the source; otherwise `multiplier` channels
// of the result read one. kTaps 3: three adjacent taps a row, kStride columns from pixel to pixel; 0: any. Threads: (packs of
// channels, items).
template <class T, int V, int kTaps, int kStride, bool kBackward>
__global__ void __launch_bounds__(kDepthwiseThreads, 2) conv_depthwise_kernel(const __grid_constant__ Depthwise<T> p) {
  using Acc = accumulator_t<T>;
  GRADUS_DYNAMIC_SHARED(Acc, weights);  // [source channel of a result channel][tap][channel of this block]
  const int z = int(blockIdx.z);
  const Window& window = p.window[z];
  const int width = int(blockDim.x) * V, taps = window.taps(), taps_w = window.taps_w.divisor();
  const int sources = kBackward ? p.multiplier : 1;
  const int channel0 = int(blockIdx.y) * width, channel = channel0 + int(threadIdx.x) * V;
  for (int i = int(threadIdx.y * blockDim.x + threadIdx.x); i < sources * taps * width; i += kDepthwiseThreads) {
    int c = channel0 + i % width, tap = i / width % taps, j = i / width / taps;
    int kernel = (window.tap_h + tap / taps_w * window.tap_stride_h) * p.kernel_w + window.tap_w +
        tap % taps_w * window.tap_stride_w;
    weights[i] = c < p.channels ? Acc(to_float(p.w[(int64_t(c) * sources + j) * p.kernel_area + kernel])) : Acc(0);
  }
  __syncthreads();  // the weights are complete before they are read
  if (channel >= p.channels) return;
  const int from = kBackward ? channel * p.multiplier : V > 1 ? channel : channel / p.multiplier;

  const int64_t first = int64_t(blockIdx.x) * blockDim.y + threadIdx.y, jump = int64_t(gridDim.x) * blockDim.y;
  for (int64_t item = first; item < p.items[z]; item += jump) {
    int block, row;
    int image = p.rows[z].divide(p.blocks[z].divide(int(item), block), row);
    const int column0 = block * kPixels, columns = min(kPixels, window.columns.divisor() - column0);
    const int source_row = row * window.stride_h + window.origin_h, source_column = column0 * window.stride_w + window.origin_w;
    const T* source = p.source + int64_t(image) * window.height * window.width * p.pitch + from;
    Acc sum[kPixels][V] = {};
    for (int j = 0; j < sources; j++) {
      for (int u = 0; u < window.taps_h; u++) {
        int at_row = source_row + u * window.step_h;
        if (unsigned(at_row) >= unsigned(window.height)) continue;
        const T* line = source + int64_t(at_row) * window.width * p.pitch + j;
        const Acc* weight = weights + ((j * window.taps_h + u) * taps_w * width + int(threadIdx.x) * V);
        if constexpr (kTaps > 0) {
          Acc w[kTaps][V];
          GRADUS_UNROLL
          for (int v = 0; v < kTaps; v++) {
            GRADUS_UNROLL
            for (int q = 0; q < V; q++) w[v][q] = weight[v * width + q];
          }
          GRADUS_UNROLL
          for (int c = 0; c < (kPixels - 1) * kStride + kTaps; c++) {
            int at_column = source_column + c;
            if (unsigned(at_column) >= unsigned(window.width)) continue;
            auto x = load_pack<T, V>(line + int64_t(at_column) * p.pitch);
            GRADUS_UNROLL
            for (int i = 0; i < kPixels; i++) {
              if (c < i * kStride || c >= i * kStride + kTaps) continue;
              GRADUS_UNROLL
              for (int q = 0; q < V; q++) sum[i][q] += Acc(to_float(x.value[q])) * w[c - i * kStride][q];
            }
          }
        } else {
          for (int v = 0; v < taps_w; v++) {
            GRADUS_UNROLL
            for (int i = 0; i < kPixels; i++) {
              int at_column = source_column + i * window.stride_w + v * window.step_w;
              if (unsigned(at_column) >= unsigned(window.width)) continue;
              auto x = load_pack<T, V>(line + int64_t(at_column) * p.pitch);
              GRADUS_UNROLL
              for (int q = 0; q < V; q++) sum[i][q] += Acc(to_float(x.value[q])) * weight[v * width + q];
            }
          }
        }
      }
    }
    const int64_t placed_row = int64_t(image) * window.place_height + window.place_h + row * window.place_stride_h;
    const int64_t result_row = placed_row * window.place_width;
    GRADUS_UNROLL
    for (int i = 0; i < kPixels; i++) {
      if (i >= columns) continue;
      int64_t at = (result_row + window.place_w + (column0 + i) * window.place_stride_w) * p.channels + channel;
      Pack<T, V> out;
      GRADUS_UNROLL
      for (int q = 0; q < V; q++) {
        out.value[q] = p.epilogue.finished(sum[i][q], at + q, channel + q);
      }
      store_pack(p.epilogue.result + at, out);
    }
  }
}

constexpr int kTapBlock = 9;  // taps that a block sums at a time: all of a 3 x 3 kernel

template <class T>
struct DepthwiseWeight {
  const T* x;
  const T* grad_y;
  accumulator_t<T>* partial;  // [chunk, o, kernel]
  Window window;
  int outputs, pitch, multiplier, chunk;  // chunk: pixels of a block
};

// Block: (packs of channels, pixels); grid: (chunk of pixels, channels, block of taps).
template <class T, int V>
__global__ void __launch_bounds__(kDepthwiseThreads, 2)
    conv_depthwise_weight_kernel(const __grid_constant__ DepthwiseWeight<T> p) {
  using Acc = accumulator_t<T>;
  GRADUS_SHARED(Acc, sums, [kDepthwiseThreads * V]);
  const Window& window = p.window;
  const int taps = window.taps(), tap0 = int(blockIdx.z) * kTapBlock;
  const int channel = (int(blockIdx.y * blockDim.x) + int(threadIdx.x)) * V;
  const int from = V > 1 ? channel : channel / p.multiplier;
  Acc sum[kTapBlock][V] = {};
  int first = int(blockIdx.x) * p.chunk, last = min(window.pixels - first, p.chunk);
  for (int i = channel < p.outputs ? int(threadIdx.y) : last; i < last; i += int(blockDim.y)) {
    int rest, column;
    int image = window.area.divide(first + i, rest);
    int row = window.columns.divide(rest, column) * window.stride_h + window.origin_h;
    column = column * window.stride_w + window.origin_w;
    auto g = load_pack<T, V>(p.grad_y + int64_t(first + i) * p.outputs + channel);
    const T* source = p.x + int64_t(image) * window.height * window.width * p.pitch + from;
    GRADUS_UNROLL
    for (int t = 0; t < kTapBlock; t++) {
      int v;
      int u = window.taps_w.divide(tap0 + t, v);
      int at_row = row + u * window.step_h, at_column = column + v * window.step_w;
      bool inside = unsigned(at_row) < unsigned(window.height) && unsigned(at_column) < unsigned(window.width);
      if (u >= window.taps_h || !inside) continue;
      auto x = load_pack<T, V>(source + (int64_t(at_row) * window.width + at_column) * p.pitch);
      GRADUS_UNROLL
      for (int q = 0; q < V; q++) sum[t][q] += Acc(to_float(g.value[q])) * Acc(to_float(x.value[q]));
    }
  }
  const int width = int(blockDim.x) * V, thread = int(threadIdx.y * blockDim.x + threadIdx.x);
  GRADUS_UNROLL
  for (int t = 0; t < kTapBlock; t++) {
    if (tap0 + t >= taps) break;
    GRADUS_UNROLL
    for (int q = 0; q < V; q++) sums[(int(threadIdx.y) * int(blockDim.x) + int(threadIdx.x)) * V + q] = sum[t][q];
    __syncthreads();  // every thread's sum of this tap is there before they are added up
    for (int i = thread; i < width; i += kDepthwiseThreads) {
      int c = int(blockIdx.y) * width + i;
      Acc total = 0;
      for (int y = 0; y < int(blockDim.y); y++) total += sums[y * width + i];
      if (c < p.outputs) p.partial[(int64_t(blockIdx.x) * p.outputs + c) * taps + tap0 + t] = total;
    }
    __syncthreads();  // the sums were read before those of the next tap overwrite them
  }
}

}  // namespace gradus::conv
