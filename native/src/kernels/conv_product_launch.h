// Launchers of the implicit products: their tiles, copies of operands with padded channels, and which kernels take them.
#pragma once

#include "kernels/conv_hopper_launch.h"
#include "kernels/conv_parts.h"

namespace gradus::conv {

constexpr int kSplitDepth = 256;  // pixels that a split has at least
constexpr int kSplitUnit = 32;    // a split is of whole slices

// By the shape alone, as all that decides about the order of sums.
inline Tile choose_tile(int64_t rows, int64_t columns, int64_t z) {
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
inline int padded_image(int channels, bool half) { return !half ? channels : channels <= 4 ? 4 : (channels + 7) / 8 * 8; }
inline int padded(int channels, bool half) { return half ? (channels + 7) / 8 * 8 : channels; }

inline int64_t rounded(int64_t bytes) { return divide_up(bytes, 256) * 256; }
inline int64_t copy_bytes(int64_t rows, int channels, int to) { return channels == to ? 0 : rounded(rows * to * 2); }

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

template <class T>
int forward_product(const Sizes& s, const Operands& a, stream_t stream) {
  using Acc = accumulator_t<T>;
  constexpr bool kHalf = sizeof(T) == 2;
  if constexpr (sizeof(T) <= 4) {
    HopperGeometry g = pixel_geometry(s, forward_window(s), s.c, s.o, tensor_kind<T>(s));
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
int backward_input_product(const Sizes& s, const Operands& a, stream_t stream) {
  constexpr bool kHalf = sizeof(T) == 2;
  int outputs = padded(s.og, kHalf), channels = padded(s.cg, kHalf);
  int64_t scratch = a.scratch;
  PaddedOperand<T> grad_y(pointer<const T>(a.in), s.out_pixels() * s.groups, s.og, outputs, scratch, stream);
  PaddedOperand<T> w(pointer<const T>(a.other), int64_t(s.o) * s.taps(), s.cg, channels, scratch, stream);
  if (grad_y.status != GR_OK || w.status != GR_OK) return std::max(grad_y.status, w.status);
  Access access = access_of({grad_y.data, w.data}, {outputs, channels}, false);
  auto hopper_w = pointer<const T>(a.other);
  if constexpr (std::is_same_v<T, float>) {
    if (a.hopper > 0 && needs_transposed(s, {grad_y.data, w.data})) {
      int status = transpose_weights(s, hopper_w, pointer<float>(a.scratch), stream);
      if (status != GR_OK) return status;
      hopper_w = pointer<float>(a.scratch);
    }
  }
  return each_class(s, [&](const Window* all, int all_count) {
    Window windows[kClasses];
    int count = 0;
    for (int i = 0; i < all_count; i++) {
      if constexpr (sizeof(T) <= 4) {
        HopperGeometry g = pixel_geometry(s, all[i], s.o, s.c, tensor_kind<T>(s));
        if (on_hopper(s, a, g)) {
          int status = backward_input_hopper<T>(s, a, hopper_w, all[i], g);
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

template <class T>
int backward_weight_product(const Sizes& s, const Operands& a, stream_t stream) {
  constexpr bool kHalf = sizeof(T) == 2;
  if constexpr (sizeof(T) <= 4) {
    HopperGeometry g = tap_geometry(s, weight_kind<T>(s));
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

}  // namespace gradus::conv
