// Convolution: which way a problem goes, and the launchers.
//
// Depthwise problems go the direct way (conv_depthwise.h). All others are implicit matrix products (conv_geometry.h) on the
// pipeline of device/mma_pipeline.h (conv_product.h): of 16-bit numbers (conv_half.cu), of float32 on tensor cores
// (conv_tf32.cu), of float32 and float64 exactly (conv_simt.cu). On devices of capability 9.0 those of 16-bit numbers are fed by
// TMA and computed by wgmma where it can read the operands (conv_hopper.h, conv_hopper_plan.h). Memory traffic: each operand once per tile of the other, most
// of it from the second-level cache, the result once. A sum runs over ascending depth in one accumulator, or over ascending
// splits of such sums.
#include "gradus/conv.h"

#include "kernels/conv_depthwise.h"
#include "kernels/conv_hopper_plan.h"
#include "kernels/conv_parts.h"
#include "kernels/conv_support.h"
#include "kernels/launcher.h"

namespace gradus::conv {
namespace {

constexpr int64_t kFullDevice = 132;   // blocks below which a smaller tile spreads the work better
constexpr int64_t kSplitBlocks = 264;  // blocks that a product over pixels is split into
constexpr int kSplitDepth = 256;       // pixels that a split has at least
constexpr int kSplitUnit = 32;         // a split is of whole slices
constexpr int64_t kGridLimit = 65535;

// By the shape alone, as all that decides about the order of sums.
Tile choose_tile(int64_t rows, int64_t columns, int64_t z) {
  int64_t row_tiles = divide_up(rows, 128);
  if (rows <= 64) return Tile::small;
  if (columns > 64 && row_tiles * divide_up(columns, 128) * z >= kFullDevice) return Tile::large;
  return row_tiles * divide_up(columns, 64) * z >= kFullDevice ? Tile::tall : Tile::small;
}

// Tile and splits of the product over pixels. Its tiles are few, so that splits fill the device.
struct WeightPlan {
  Tile tile;
  int splits, split_depth;

  explicit WeightPlan(const Sizes& s) {
    int64_t columns = int64_t(s.taps()) * s.cg, pixels = std::max<int64_t>(1, s.out_pixels());
    int64_t most = std::min<int64_t>(256, std::max<int64_t>(1, pixels / kSplitDepth));
    tile = choose_tile(s.og, columns, s.groups * most);
    int64_t tiles = divide_up(s.og, tile_rows(tile)) * divide_up(columns, tile == Tile::large ? 128 : 64) * s.groups;
    int64_t wanted = std::max<int64_t>(1, std::min(most, kSplitBlocks / std::max<int64_t>(1, tiles)));
    split_depth = int(divide_up(divide_up(pixels, wanted), kSplitUnit) * kSplitUnit);
    splits = int(divide_up(pixels, split_depth));
  }
};

template <class T>
bool aligned(std::initializer_list<const T*> operands) {
  for (const T* p : operands) {
    if (!is_aligned(p, 16)) return false;
  }
  return true;
}

// --- depthwise

// Packs of channels that lie side by side in a block, of V channels; 0 where the weights of four do not fit.
int depthwise_lanes(const Sizes& s, int64_t channels, int v, int64_t weights_bytes) {
  int lanes = 32;
  while (lanes > 1 && lanes / 2 * v >= channels) lanes /= 2;
  while (lanes >= 4 && lanes * v * s.taps() * weights_bytes > kStagedBytes) lanes /= 2;
  return lanes * v * s.taps() * weights_bytes > kStagedBytes ? 0 : lanes;
}
bool is_depthwise(const Sizes& s) {
  return s.cg == 1 && s.groups > 1 && s.og >= 1 && s.og <= kMultiplierLimit && s.taps() <= 128;
}

// Three adjacent taps a row, from left to right: windows are turned around where they step to the left.
void face_right(Window& v) {
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

// Calls f(windows, how many) for the residue classes of the product backward to the input, kClasses at a time.
template <class F>
int each_class(const Sizes& s, F&& f) {
  Window windows[kClasses];
  int count = 0;
  for (int h = 0; h < s.stride_h; h++) {
    for (int w = 0; w < s.stride_w; w++) {
      Window v = backward_window(s, h, w);
      if (v.pixels > 0) windows[count++] = v;
      bool last = h == s.stride_h - 1 && w == s.stride_w - 1;
      if (count == kClasses || (last && count > 0)) {
        int status = f(windows, count);
        if (status != GR_OK) return status;
        count = 0;
      }
    }
  }
  return GR_OK;
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
int64_t depthwise_chunks(const Sizes& s, int pack) {
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

// --- products

struct Operands {
  int64_t in, other, bias, residual, out, statistics, scratch;
  int hopper;      // multiprocessors, where conv_hopper.h runs, or 0
  int64_t device;  // the handle that the call was given
};

template <class T>
Epilogue<T> epilogue_of(const Sizes& s, const Operands& a, bool forward) {
  return {pointer<const T>(a.bias), pointer<const T>(a.residual), pointer<T>(a.out), forward ? s.relu : 0, s.accumulate};
}

template <class T, class Problem>
int launch(const Sizes& s, const Problem& problem, const Grid& grid, PartialStatistics<accumulator_t<T>> statistics) {
  if constexpr (sizeof(T) == 2) {
    return launch_half(problem, grid, statistics);
  } else if constexpr (std::is_same_v<T, float>) {
    if (s.precision == GR_PRECISION_TF32) return launch_tf32<Multiply::tf32>(problem, grid, statistics);
    if (s.precision == GR_PRECISION_TF32X3) return launch_tf32<Multiply::tf32x3>(problem, grid, statistics);
    return launch_exact(problem, grid, statistics);
  } else {
    return launch_exact(problem, grid, statistics);
  }
}

// Channels of a group as the products read them. The 16-bit types need whole chunks of 8, which other numbers of channels get in
// a copy; images of up to 4 channels, as first layers have, are read by 4. The wider types are read by elements instead.
int padded_image(int channels, bool half) { return !half ? channels : channels <= 4 ? 4 : (channels + 7) / 8 * 8; }
int padded(int channels, bool half) { return half ? (channels + 7) / 8 * 8 : channels; }
bool is_half(int32_t dtype) { return dtype == GR_BFLOAT16 || dtype == GR_FLOAT16; }

int64_t rounded(int64_t bytes) { return divide_up(bytes, 256) * 256; }
int64_t copy_bytes(int64_t rows, int channels, int to) { return channels == to ? 0 : rounded(rows * to * 2); }

// An operand [rows, channels] with its channels padded: itself, or a copy at `scratch`, which moves on behind it.
template <class T>
struct PaddedOperand {
  const T* data;
  int status;

  PaddedOperand(const T* from, int64_t rows, int channels, int to, int64_t& scratch, stream_t stream)
      : data(from), status(GR_OK) {
    if (channels == to || rows == 0) return;
    auto copy = pointer<T>(scratch);
    scratch += copy_bytes(rows, channels, to);
    data = copy;
    LaunchConfig config(blocks_for(rows, kSupportThreads), kSupportThreads);
    config.stream(stream);
    status = finish(to % 8 == 0 ? GRADUS_LAUNCH((conv_pad_kernel<T, 8>), config, from, copy, rows, channels, FastDivide(to / 8))
                                : GRADUS_LAUNCH((conv_pad_kernel<T, 4>), config, from, copy, rows, channels, FastDivide(to / 4)));
  }
};

template <class T>
Access access_of(std::initializer_list<const T*> operands, std::initializer_list<int> channels, bool quarter) {
  constexpr bool kHalf = sizeof(T) == 2;
  bool whole = aligned<T>(operands) && sizeof(T) < 8;
  for (int c : channels) whole = whole && (kHalf || c % 4 == 0);
  return !whole ? Access::element : quarter ? Access::quarter : Access::whole;
}

int64_t statistics_bytes(const Sizes& s, int rows, int64_t element) {
  return rounded(statistics_elements(divide_up(s.out_pixels(), rows), s.o) * element);
}

// The products on Hopper's tensor cores, where hopper_takes them.

bool on_hopper(const Sizes& s, const Operands& a, const HopperGeometry& g) {
  return a.hopper > 0 && hopper_takes(s, g, {pointer<const void>(a.in), pointer<const void>(a.other)});
}

// A result without gaps that TMA can write, with bias and activation at most.
template <class T>
bool written_by_tma(const Epilogue<T>& epilogue) {
  return epilogue.residual == nullptr && !epilogue.accumulate && is_aligned(epilogue.result, 16);
}

template <class T>
int forward_hopper(const Sizes& s, const Operands& a, const HopperGeometry& g, stream_t stream) {
  constexpr int64_t kPartRows = 64;  // of the statistics
  Forward<T> problem{};
  problem.x = pointer<const T>(a.in), problem.w = pointer<const T>(a.other), problem.epilogue = epilogue_of<T>(s, a, true);
  problem.window = forward_window(s), problem.outputs = problem.out_pitch = s.o;
  problem.vector = aligned<T>({pointer<T>(a.out), pointer<T>(a.residual)});
  PartialStatistics<float> statistics{a.statistics != 0 ? pointer<float>(a.scratch) : nullptr, s.o};
  bool by_tma = a.statistics == 0 && written_by_tma(problem.epilogue);
  int status = launch_conv_hopper(problem, g, hopper_plan(g, 1), statistics, by_tma, a.hopper, a.device);
  if (status != GR_OK || a.statistics == 0) return status;
  return merge_statistics(statistics.partial, pointer<float>(a.statistics), divide_up(s.out_pixels(), kPartRows), kPartRows,
                          s.out_pixels(), s.o, stream);
}

template <class T>
int forward_product(const Sizes& s, const Operands& a, stream_t stream) {
  using Acc = accumulator_t<T>;
  constexpr bool kHalf = sizeof(T) == 2;
  if constexpr (kHalf) {
    HopperGeometry g = pixel_geometry(s, forward_window(s), s.c, s.o);
    if (on_hopper(s, a, g)) return forward_hopper<T>(s, a, g, stream);
  }
  int channels = padded_image(s.cg, kHalf);
  int64_t scratch = a.scratch;
  PaddedOperand<T> x(pointer<const T>(a.in), s.in_pixels() * s.groups, s.cg, channels, scratch, stream);
  PaddedOperand<T> w(pointer<const T>(a.other), int64_t(s.o) * s.taps(), s.cg, channels, scratch, stream);
  if (x.status != GR_OK || w.status != GR_OK) return std::max(x.status, w.status);
  Access access = access_of({x.data, w.data}, {channels}, kHalf && channels == 4);
  Tile tile = access == Access::element ? Tile::small : choose_tile(s.out_pixels(), s.og, s.groups);
  Forward<T> problem{x.data, w.data, epilogue_of<T>(s, a, true), forward_window(s), FastDivide(std::max(1, channels)),
                     channels * s.groups, s.og, s.o, s.taps() * channels,
                     s.og % 8 == 0 && aligned<T>({pointer<T>(a.out), pointer<T>(a.residual)})};
  PartialStatistics<Acc> statistics{a.statistics != 0 ? pointer<Acc>(scratch) : nullptr, s.o};
  int status = launch<T>(s, problem, {s.out_pixels(), s.og, s.groups, tile, access, stream}, statistics);
  if (status != GR_OK || a.statistics == 0) return status;
  int64_t rows = tile_rows(tile), parts = divide_up(s.out_pixels(), rows);
  return merge_statistics(statistics.partial, pointer<Acc>(a.statistics), parts, rows, s.out_pixels(), s.o, stream);
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

// One residue class.
template <class T>
int backward_input_hopper(const Sizes& s, const Operands& a, const Window& window, const HopperGeometry& g) {
  BackwardInput<T> problem{};
  problem.grad_y = pointer<const T>(a.in), problem.w = pointer<const T>(a.other), problem.epilogue = epilogue_of<T>(s, a, false);
  problem.window[0] = window;
  problem.channels = problem.kept = problem.out_pitch = s.c, problem.present = s.o;
  problem.vector = aligned<T>({pointer<T>(a.out)});
  bool by_tma = s.stride_h == 1 && s.stride_w == 1 && written_by_tma(problem.epilogue);
  return launch_conv_hopper(problem, g, hopper_plan(g, 1), by_tma, a.hopper, a.device);
}

template <class T>
int backward_input_product(const Sizes& s, const Operands& a, stream_t stream) {
  constexpr bool kHalf = sizeof(T) == 2;
  int outputs = padded(s.og, kHalf), channels = padded(s.cg, kHalf);
  int64_t scratch = a.scratch;
  PaddedOperand<T> grad_y(pointer<const T>(a.in), s.out_pixels() * s.groups, s.og, outputs, scratch, stream);
  PaddedOperand<T> w(pointer<const T>(a.other), int64_t(s.o) * s.taps(), s.cg, channels, scratch, stream);
  if (grad_y.status != GR_OK || w.status != GR_OK) return std::max(grad_y.status, w.status);
  Access access = access_of({grad_y.data, w.data}, {outputs, channels}, false);
  return each_class(s, [&](const Window* all, int all_count) {
    Window windows[kClasses];
    int count = 0;
    for (int i = 0; i < all_count; i++) {
      if constexpr (kHalf) {
        HopperGeometry g = pixel_geometry(s, all[i], s.o, s.c);
        if (on_hopper(s, a, g)) {
          int status = backward_input_hopper<T>(s, a, all[i], g);
          if (status != GR_OK) return status;
          continue;
        }
      }
      windows[count++] = all[i];
    }
    if (count == 0) return int(GR_OK);
    BackwardInput<T> problem{};
    problem.grad_y = grad_y.data, problem.w = w.data, problem.epilogue = epilogue_of<T>(s, a, false);
    int64_t rows = 0;
    for (int i = 0; i < count; i++) {
      problem.window[i] = windows[i];
      if (s.og == 0) problem.window[i].taps_h = 0;
      rows = std::max<int64_t>(rows, windows[i].pixels);
    }
    problem.classes = FastDivide(count), problem.outputs = FastDivide(std::max(1, outputs));
    problem.pitch = outputs * s.groups, problem.channels = channels, problem.kept = s.cg, problem.out_pitch = s.c;
    problem.present = s.og, problem.kernel_w = s.kw, problem.kernel_area = s.taps();
    problem.vector = s.cg % 8 == 0 && aligned<T>({pointer<T>(a.out)});
    int64_t z = int64_t(s.groups) * count;
    Tile tile = access == Access::element ? Tile::small : choose_tile(rows, s.cg, z);
    return launch<T>(s, problem, {rows, s.cg, z, tile, access, stream}, {});
  });
}

// Where the products of the weights' gradient leave their sums: parts, which are added up afterwards; a wide result itself; or
// nowhere but through the epilogue.
template <class T>
struct WeightSums {
  bool parts;
  accumulator_t<T>* partial;

  WeightSums(const Sizes& s, const Operands& a, int64_t splits, int64_t scratch) : parts(has_parts(s, splits)), partial(nullptr) {
    if (parts) {
      partial = pointer<accumulator_t<T>>(scratch);
    } else if (sizeof(T) == 2 && s.wide_weights) {
      partial = pointer<accumulator_t<T>>(a.out);
    }
  }

  static bool has_parts(const Sizes& s, int64_t splits) {
    return splits > 1 || (sizeof(T) == 2 && s.wide_weights && s.accumulate != 0);
  }
};

template <class T>
int sum_splits(const Sizes& s, const Operands& a, const accumulator_t<T>* partial, int64_t splits, stream_t stream) {
  LaunchConfig config(blocks_for(s.weights(), kSupportThreads), kSupportThreads);
  config.stream(stream);
  if constexpr (sizeof(T) == 2) {
    if (s.wide_weights) {
      return finish(GRADUS_LAUNCH((conv_splits_kernel<float>), config, partial, pointer<float>(a.out), int(splits), s.weights(),
                                  s.accumulate));
    }
  }
  return finish(GRADUS_LAUNCH((conv_splits_kernel<T>), config, partial, pointer<T>(a.out), int(splits), s.weights(), s.accumulate));
}

template <class T>
int backward_weight_hopper(const Sizes& s, const Operands& a, const HopperGeometry& g, stream_t stream) {
  MatmulPlan plan = hopper_plan(g, kMaxSplits);
  BackwardWeight<T> problem{};
  problem.x = pointer<const T>(a.in), problem.grad_y = pointer<const T>(a.other), problem.epilogue = epilogue_of<T>(s, a, false);
  WeightSums<T> sums(s, a, plan.splits, a.scratch);
  problem.partial = sums.partial;
  problem.window = forward_window(s);
  problem.channels = FastDivide(g.patches.channel_boxes.divisor() * 64), problem.splits = FastDivide(plan.splits);
  problem.outputs = s.o, problem.kept = s.c, problem.weights = s.weights();
  problem.vector = aligned<T>({pointer<T>(a.out)});
  int status = launch_conv_hopper(problem, g, plan, a.hopper, a.device);
  return status != GR_OK || !sums.parts ? status : sum_splits<T>(s, a, sums.partial, plan.splits, stream);
}

// Bytes of its parts. Whether the addresses allow it is not known yet.
int64_t hopper_split_bytes(const Sizes& s, int32_t dtype, int64_t stream) {
  HopperGeometry g = tap_geometry(s);
  if (!is_half(dtype) || hopper_processors(stream) == 0 || !hopper_takes(s, g, {})) return 0;
  int64_t splits = hopper_plan(g, kMaxSplits).splits;
  return WeightSums<bfloat16>::has_parts(s, splits) ? splits * s.weights() * 4 : 0;
}

template <class T>
int backward_weight_product(const Sizes& s, const Operands& a, stream_t stream) {
  constexpr bool kHalf = sizeof(T) == 2;
  if constexpr (kHalf) {
    HopperGeometry g = tap_geometry(s);
    if (on_hopper(s, a, g)) return backward_weight_hopper<T>(s, a, g, stream);
  }
  int channels = padded_image(s.cg, kHalf), outputs = padded(s.og, kHalf);
  int64_t scratch = a.scratch;
  PaddedOperand<T> x(pointer<const T>(a.in), s.in_pixels() * s.groups, s.cg, channels, scratch, stream);
  PaddedOperand<T> grad_y(pointer<const T>(a.other), s.out_pixels() * s.groups, s.og, outputs, scratch, stream);
  if (x.status != GR_OK || grad_y.status != GR_OK) return std::max(x.status, grad_y.status);
  WeightPlan plan(s);
  BackwardWeight<T> problem{};
  problem.x = x.data, problem.grad_y = grad_y.data, problem.epilogue = epilogue_of<T>(s, a, false);
  WeightSums<T> sums(s, a, plan.splits, scratch);
  problem.partial = sums.partial;
  problem.window = forward_window(s);
  problem.channels = FastDivide(channels), problem.splits = FastDivide(plan.splits);
  problem.pitch = channels * s.groups, problem.grad_pitch = outputs * s.groups;
  problem.grad_channels = outputs, problem.outputs = s.og, problem.kept = s.cg;
  problem.split_depth = plan.split_depth;
  problem.weights = s.weights();
  problem.vector = s.cg % 8 == 0 && aligned<T>({pointer<T>(a.out)});
  int64_t columns = int64_t(s.taps()) * channels, z = int64_t(s.groups) * plan.splits;
  if (z > kGridLimit) return GR_UNSUPPORTED;
  Access access = access_of({x.data, grad_y.data}, {channels, outputs}, kHalf && channels == 4);
  int status = launch<T>(s, problem, {s.og, columns, z, plan.tile, access, stream}, {});
  return status != GR_OK || !sums.parts ? status : sum_splits<T>(s, a, sums.partial, plan.splits, stream);
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

int64_t sum_bytes(int32_t dtype) { return dtype == GR_FLOAT64 ? 8 : 4; }

// The sizes are checked, then the scratch memory and the type; f(Type<T>, sizes) does the rest.
template <class F>
int checked(int64_t shape, int32_t dtype, int64_t scratch_bytes, int64_t needed, F&& f) {
  Sizes s(*pointer<const gr_conv>(shape));
  if (!s.fits || s.groups > kGridLimit / kClasses) return GR_UNSUPPORTED;
  if (scratch_bytes < needed) return failed(GR_ERROR, "too little scratch memory for a convolution");
  return with_floating(dtype, [&](auto type) { return f(type, s); });
}

}  // namespace
}  // namespace gradus::conv

using namespace gradus;
using namespace gradus::conv;

extern "C" int64_t gr_conv2d_forward_scratch(int64_t shape, int32_t dtype, int64_t) {
  Sizes s(*pointer<const gr_conv>(shape));
  if (!s.fits) return 0;
  int64_t statistics = statistics_bytes(s, tile_rows(Tile::small), sum_bytes(dtype));  // the least rows make the most parts
  if (is_depthwise(s)) return statistics;
  int channels = padded_image(s.cg, is_half(dtype));
  return copy_bytes(s.in_pixels() * s.groups, s.cg, channels) + copy_bytes(int64_t(s.o) * s.taps(), s.cg, channels) + statistics;
}

extern "C" int64_t gr_conv2d_backward_input_scratch(int64_t shape, int32_t dtype, int64_t) {
  Sizes s(*pointer<const gr_conv>(shape));
  if (!s.fits || is_depthwise(s)) return 0;
  bool half = is_half(dtype);
  return copy_bytes(s.out_pixels() * s.groups, s.og, padded(s.og, half)) +
         copy_bytes(int64_t(s.o) * s.taps(), s.cg, padded(s.cg, half));
}

extern "C" int64_t gr_conv2d_backward_weight_scratch(int64_t shape, int32_t dtype, int64_t stream) {
  Sizes s(*pointer<const gr_conv>(shape));
  if (!s.fits) return 0;
  if (is_depthwise(s)) {
    int pack = dtype == GR_FLOAT64   ? depthwise_pack<double>(s)
               : dtype == GR_FLOAT32 ? depthwise_pack<float>(s)
                                     : depthwise_pack<bfloat16>(s);
    return depthwise_chunks(s, pack) * s.weights() * sum_bytes(dtype);
  }
  bool half = is_half(dtype);
  WeightPlan plan(s);
  bool parts = half ? WeightSums<bfloat16>::has_parts(s, plan.splits) : plan.splits > 1;
  int64_t partial = parts ? plan.splits * s.weights() * sum_bytes(dtype) : 0;
  int64_t portable = copy_bytes(s.in_pixels() * s.groups, s.cg, padded_image(s.cg, half)) +
                     copy_bytes(s.out_pixels() * s.groups, s.og, padded(s.og, half)) + partial;
  return std::max(portable, hopper_split_bytes(s, dtype, stream));
}

extern "C" int gr_conv2d_forward(int64_t x, int64_t w, int64_t bias, int64_t residual, int64_t y, int64_t statistics,
                                 int64_t scratch, int64_t scratch_bytes, int64_t shape, int32_t dtype, int64_t stream) {
  int64_t needed = gr_conv2d_forward_scratch(shape, dtype, stream);
  return checked(shape, dtype, scratch_bytes, needed, [&](auto type, const Sizes& s) {
    using T = typename decltype(type)::type;
    if (s.out_pixels() == 0 || s.o == 0) return int(GR_OK);
    Operands a{x, w, bias, residual, y, statistics, scratch, hopper_processors(stream), stream};
    return is_depthwise(s) ? forward_depthwise<T>(s, a, stream_of(stream)) : forward_product<T>(s, a, stream_of(stream));
  });
}

extern "C" int gr_conv2d_backward_input(int64_t grad_y, int64_t w, int64_t grad_x, int64_t scratch, int64_t scratch_bytes,
                                        int64_t shape, int32_t dtype, int64_t stream) {
  int64_t needed = gr_conv2d_backward_input_scratch(shape, dtype, stream);
  return checked(shape, dtype, scratch_bytes, needed, [&](auto type, const Sizes& s) {
    using T = typename decltype(type)::type;
    if (s.in_pixels() == 0 || s.c == 0) return int(GR_OK);
    Operands a{grad_y, w, 0, 0, grad_x, 0, scratch, hopper_processors(stream), stream};
    if (!is_depthwise(s)) return backward_input_product<T>(s, a, stream_of(stream));
    return depthwise_backward_input(s, pointer<const T>(grad_y), pointer<const T>(w), epilogue_of<T>(s, a, false),
                                    stream_of(stream));
  });
}

extern "C" int gr_conv2d_backward_weight(int64_t x, int64_t grad_y, int64_t grad_w, int64_t scratch, int64_t scratch_bytes,
                                         int64_t shape, int32_t dtype, int64_t stream) {
  int64_t needed = gr_conv2d_backward_weight_scratch(shape, dtype, stream);
  return checked(shape, dtype, scratch_bytes, needed, [&](auto type, const Sizes& s) {
    using T = typename decltype(type)::type;
    if (s.weights() == 0) return int(GR_OK);
    Operands a{x, grad_y, 0, 0, grad_w, 0, scratch, hopper_processors(stream), stream};
    if (is_depthwise(s)) return backward_weight_depthwise<T>(s, a, stream_of(stream));
    return backward_weight_product<T>(s, a, stream_of(stream));
  });
}
