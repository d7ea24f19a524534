// Launchers of the direct way, for depthwise problems; see conv_depthwise.h.
#pragma once

#include "kernels/conv_call.h"
#include "kernels/conv_depthwise.h"

namespace gradus::conv {

inline bool is_depthwise(const Sizes& s) {
  return s.cg == 1 && s.groups > 1 && s.og >= 1 && s.og <= kMultiplierLimit && s.taps() <= 128;
}

// Packs of channels that lie side by side in a block, of V channels; 0 where the weights of four do not fit.
inline int depthwise_lanes(const Sizes& s, int64_t channels, int v, int64_t weights_bytes) {
  int lanes = 32;
  while (lanes > 1 && lanes / 2 * v >= channels) lanes /= 2;
  while (lanes >= 4 && lanes * v * s.taps() * weights_bytes > kStagedBytes) lanes /= 2;
  return lanes * v * s.taps() * weights_bytes > kStagedBytes ? 0 : lanes;
}

// Three adjacent taps a row, from left to right: windows are turned around where they step to the left.
inline void face_right(Window& v) {
  if (v.step_w >= 0) return;
  int last = v.taps_w.divisor() - 1;
  v.origin_w += last * v.step_w;
  v.step_w = -v.step_w;
  v.tap_w += last * v.tap_stride_w;
  v.tap_stride_w = -v.tap_stride_w;
}

template <class T, int V, bool kBackward>
int launch_depthwise(Depthwise<T>& p, const Sizes& s, int classes, stream_t stream) {
  using Acc = accumulator_t<T>;
  int64_t items = 0;
  int taps = 0;
  bool three = true;
  for (int i = 0; i < classes; i++) {
    Window& v = p.window[i];
    face_right(v);
    int blocks = int(divide_up(v.columns.divisor(), kPixels));
    int rows = v.area.divisor() / v.columns.divisor();
    p.blocks[i] = FastDivide(blocks), p.rows[i] = FastDivide(rows);
    p.items[i] = v.pixels == 0 ? 0 : int64_t(s.n) * rows * blocks;
    items = std::max(items, p.items[i]);
    taps = std::max(taps, v.taps());
    three = three && v.taps_w.divisor() == 3 && v.step_w == 1 && v.stride_w <= 2;
  }
  int sources = kBackward ? p.multiplier : 1;
  int lanes = depthwise_lanes(s, p.channels, V, int64_t(sizeof(Acc)) * sources);
  dim3 block{unsigned(lanes), unsigned(kDepthwiseThreads / lanes)};
  int64_t tiles = divide_up(p.channels, int64_t(lanes) * V);
  if (tiles > kGridLimit || items == 0) return items == 0 ? GR_OK : GR_UNSUPPORTED;
  // Several items per thread where there are many, so that staging the weights is paid once for them.
  int64_t enough = std::max<int64_t>(kFullDevice * 8 / (tiles * classes), divide_up(items, block.y * 4));
  int64_t across = std::min(divide_up(items, block.y), enough);
  LaunchConfig config(dim3(unsigned(std::max<int64_t>(1, across)), unsigned(tiles), unsigned(classes)), block);
  config.shared(size_t(lanes) * V * size_t(taps) * size_t(sources) * sizeof(Acc)).stream(stream);
  if (three && p.window[0].stride_w == 1) return finish(GRADUS_LAUNCH((conv_depthwise_kernel<T, V, 3, 1, kBackward>), config, p));
  if constexpr (!kBackward) {
    if (three) return finish(GRADUS_LAUNCH((conv_depthwise_kernel<T, V, 3, 2, kBackward>), config, p));
  }
  return finish(GRADUS_LAUNCH((conv_depthwise_kernel<T, V, 0, 0, kBackward>), config, p));
}

template <class T>
constexpr int kDepthwisePack = sizeof(T) == 8 ? 1 : kPackSize<T>;

template <class T>
int depthwise_forward(const Sizes& s, const T* x, const T* w, const Epilogue<T>& epilogue, stream_t stream) {
  Depthwise<T> p{};
  p.source = x, p.w = w, p.epilogue = epilogue;
  p.window[0] = forward_window(s);
  p.channels = s.o, p.pitch = s.c, p.multiplier = s.og, p.kernel_w = s.kw, p.kernel_area = s.taps();
  constexpr int V = kDepthwisePack<T>;
  bool whole = s.og == 1 && s.c % V == 0 && aligned<T>({x, epilogue.result});
  if (V > 1 && whole) return launch_depthwise<T, V, false>(p, s, 1, stream);
  return launch_depthwise<T, 1, false>(p, s, 1, stream);
}

template <class T>
int depthwise_backward_input(const Sizes& s, const T* grad_y, const T* w, const Epilogue<T>& epilogue, stream_t stream) {
  return each_class(s, [&](const Window* windows, int count) {
    Depthwise<T> p{};
    p.source = grad_y, p.w = w, p.epilogue = epilogue;
    for (int i = 0; i < count; i++) p.window[i] = windows[i];
    p.channels = s.c, p.pitch = s.o, p.multiplier = s.og, p.kernel_w = s.kw, p.kernel_area = s.taps();
    constexpr int V = kDepthwisePack<T>;
    bool whole = s.og == 1 && s.c % V == 0 && aligned<T>({grad_y, epilogue.result});
    if (V > 1 && whole) return launch_depthwise<T, V, true>(p, s, count, stream);
    return launch_depthwise<T, 1, true>(p, s, count, stream);
  });
}

// Pixels are split so that the device is full; blocks of 8 packs of channels.
constexpr int kWeightLanes = 8;
template <class T>
int depthwise_pack(const Sizes& s) {
  return s.og == 1 && s.c % kDepthwisePack<T> == 0 ? kDepthwisePack<T> : 1;
}
inline int64_t depthwise_chunks(const Sizes& s, int pack) {
  int64_t blocks = divide_up(s.o, kWeightLanes * pack) * divide_up(s.taps(), kTapBlock);
  return std::max<int64_t>(1, std::min({divide_up(2 * kSplitBlocks, blocks), s.out_pixels() / 256, int64_t(512)}));
}

template <class T, int V>
int launch_depthwise_weight(const Sizes& s, const T* x, const T* grad_y, accumulator_t<T>* partial, int64_t chunks,
                            stream_t stream) {
  DepthwiseWeight<T> p{x, grad_y, partial, forward_window(s), s.o, s.c, s.og, int(divide_up(s.out_pixels(), chunks))};
  int64_t tiles = divide_up(s.o, kWeightLanes * V);
  if (tiles > kGridLimit) return GR_UNSUPPORTED;
  dim3 grid(unsigned(chunks), unsigned(tiles), unsigned(divide_up(s.taps(), kTapBlock)));
  dim3 block(kWeightLanes, kDepthwiseThreads / kWeightLanes);
  return finish(GRADUS_LAUNCH((conv_depthwise_weight_kernel<T, V>), LaunchConfig(grid, block).stream(stream), p));
}

template <class T>
int forward_depthwise(const Sizes& s, const Operands& a, stream_t stream) {
  using Acc = accumulator_t<T>;
  Epilogue<T> epilogue = epilogue_of<T>(s, a, true);
  if (a.statistics == 0) return depthwise_forward(s, pointer<const T>(a.in), pointer<const T>(a.other), epilogue, stream);
  // The statistics are those of y before the activation, so that this comes in a pass of its own.
  if (s.accumulate) return GR_UNSUPPORTED;
  epilogue.relu = 0;
  int status = depthwise_forward(s, pointer<const T>(a.in), pointer<const T>(a.other), epilogue, stream);
  if (status != GR_OK) return status;
  int64_t rows = s.out_pixels(), parts = divide_up(rows, kStatisticsRows);
  auto partial = pointer<Acc>(a.scratch);
  auto y = pointer<T>(a.out);
  for (int64_t first = 0; first < parts; first += kGridLimit) {
    dim3 grid(unsigned(divide_up(s.o, 32)), unsigned(std::min(parts - first, kGridLimit)));
    int64_t skip = first * kStatisticsRows;
    status = finish(GRADUS_LAUNCH((conv_statistics_kernel<T>), LaunchConfig(grid, dim3(32, kLanes)).stream(stream),
                                  y + skip * s.o, partial + first * 2 * s.o, rows - skip, s.o));
    if (status != GR_OK) return status;
  }
  status = merge_statistics(partial, pointer<Acc>(a.statistics), parts, kStatisticsRows, rows, s.o, stream);
  if (status != GR_OK || !s.relu) return status;
  int64_t n = rows * s.o;
  LaunchConfig config(blocks_for(n, kSupportThreads), kSupportThreads);
  return finish(GRADUS_LAUNCH((conv_relu_kernel<T>), config.stream(stream), y, n));
}

template <class T>
int backward_weight_depthwise(const Sizes& s, const Operands& a, stream_t stream) {
  auto x = pointer<const T>(a.in), grad_y = pointer<const T>(a.other);
  auto partial = pointer<accumulator_t<T>>(a.scratch);
  constexpr int V = kDepthwisePack<T>;
  int64_t chunks = depthwise_chunks(s, depthwise_pack<T>(s));
  bool whole = depthwise_pack<T>(s) > 1 && aligned<T>({x, grad_y});
  int status = whole ? launch_depthwise_weight<T, V>(s, x, grad_y, partial, chunks, stream)
                     : launch_depthwise_weight<T, 1>(s, x, grad_y, partial, chunks, stream);
  return status != GR_OK ? status : sum_splits<T>(s, a, partial, chunks, stream);
}

}  // namespace gradus::conv
