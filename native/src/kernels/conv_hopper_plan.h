// Which products of a convolution the Hopper kernels take (conv_hopper.h), and where they find their patches: decided by sizes,
// type and device, and, since TMA copies whole pieces of 16 bytes, by the alignment of operands.
#pragma once

#include "device/half.h"
#include "device/ptx/tensor_map.h"
#include "kernels/conv_parts.h"
#include "kernels/matmul_hopper_plan.h"

namespace gradus::conv {

// Where the patches of a window begin in the image, and what taps and channels come in which order: box of channels after box
// (128 bytes: 64 channels of 16 bits, 32 of float32), then tap after tap, rows of taps from the top of the image down. Where
// windows step upwards, as those of gradients do, taps go backwards in the weights.
struct HopperPatches {
  FastDivide area, columns;         // of the pixels of the result
  FastDivide taps_w, channel_boxes;
  int taps, images;
  int origin_w, origin_h, stride_w, stride_h;  // of the first tap of the first pixel, in the image
  int step_w, step_h;                          // from tap to tap
  int weight, weight_w, weight_h;              // number of the first tap in the kernel, and from there to the next

  struct Place {
    int w, h, n;
  };
  GRADUS_DEVICE Place place(int pixel) const {
    int rest, column;
    int n = area.divide(pixel, rest);
    int row = columns.divide(rest, column);
    return {column * stride_w + origin_w, row * stride_h + origin_h, n};
  }
};

// A product as matrices, and the image that its patches are of.
struct HopperGeometry {
  Multiply kind;
  HopperPatches patches;
  Im2colBox box;             // but for its pixels, which are those of a tile
  uint64_t image[2];         // w, h
  int channels, kernel;      // of the image; taps of the weights
  int64_t rows, columns, slices;

  int bytes() const { return kind == Multiply::tensor ? 2 : 4; }  // of an element
  int wide() const { return 128 / bytes(); }                      // channels of a box
};

// Patches as `v` describes them, of an image of so many channels.
inline HopperGeometry hopper_geometry(const Sizes& s, const Window& v, int channels, Multiply kind) {
  HopperGeometry g{};
  g.kind = kind;
  HopperPatches& p = g.patches;
  const int extent[2] = {v.width, v.height}, taps[2] = {v.taps_w.divisor(), v.taps_h};
  const int origin[2] = {v.origin_w, v.origin_h}, stride[2] = {v.stride_w, v.stride_h}, step[2] = {v.step_w, v.step_h};
  const int tap[2] = {v.tap_w, v.tap_h}, tap_step[2] = {v.tap_stride_w, v.tap_stride_h}, lines[2] = {1, s.kw};
  const int places[2] = {v.columns.divisor(), v.area.divisor() / v.columns.divisor()};
  int first[2], weight_step[2];
  for (int d = 0; d < 2; d++) {
    bool back = step[d] < 0;  // offsets of im2col loads are not negative
    first[d] = origin[d] + (back ? (taps[d] - 1) * step[d] : 0);
    p.weight += (tap[d] + (back ? (taps[d] - 1) * tap_step[d] : 0)) * lines[d];
    weight_step[d] = (back ? -tap_step[d] : tap_step[d]) * lines[d];
    g.image[d] = uint64_t(extent[d]);
    g.box.lower[d] = first[d];
    g.box.upper[d] = first[d] + (places[d] - 1) * stride[d] + 1 - extent[d];
    g.box.step[d] = uint32_t(stride[d]);
  }
  g.box.channels = uint32_t(g.wide());
  g.channels = channels;
  g.kernel = s.taps();
  p.area = v.area, p.columns = v.columns, p.taps_w = v.taps_w, p.channel_boxes = FastDivide(int(divide_up(channels, g.wide())));
  p.taps = v.taps(), p.images = s.n;
  p.origin_w = first[0], p.origin_h = first[1], p.stride_w = stride[0], p.stride_h = stride[1];
  p.step_w = std::abs(step[0]), p.step_h = std::abs(step[1]);
  p.weight_w = weight_step[0], p.weight_h = weight_step[1];
  return g;
}

// The product over taps and channels: rows are the window's pixels.
inline HopperGeometry pixel_geometry(const Sizes& s, const Window& v, int channels, int columns, Multiply kind = Multiply::tensor) {
  HopperGeometry g = hopper_geometry(s, v, channels, kind);
  g.rows = v.pixels, g.columns = columns;
  g.slices = int64_t(v.taps()) * g.patches.channel_boxes.divisor();
  return g;
}

// The product over pixels: columns are boxes of channels, tap after tap.
inline HopperGeometry tap_geometry(const Sizes& s, Multiply kind = Multiply::tensor) {
  HopperGeometry g = hopper_geometry(s, forward_window(s), s.c, kind);
  g.rows = s.o, g.columns = int64_t(s.taps()) * g.patches.channel_boxes.divisor() * g.wide();
  g.slices = divide_up(s.out_pixels(), g.wide());
  return g;
}

// Whether the device and the operands' addresses and sizes allow it, and it should pay. With less than half a box of channels more
// than half of the multiplications would be by zeros, which the portable kernel does not make; this is an estimate.
inline bool hopper_takes(const Sizes& s, const HopperGeometry& g, std::initializer_list<const void*> operands) {
  const int least_channels = g.wide() / 2, piece = 16 / g.bytes();
  constexpr int64_t kMaxTiles = INT32_MAX / kMaxSplits;
  const MatmulForced& forced = matmul_forced();
  if (g.kind == Multiply::simt || forced.hopper < 0 || (forced.hopper == 0 && g.channels < least_channels)) return false;
  for (const void* p : operands) {
    if (!is_aligned(p, 16)) return false;
  }
  const int reach[2] = {(g.patches.taps_w.divisor() - 1) * g.patches.step_w,
                        (g.patches.taps / g.patches.taps_w.divisor() - 1) * g.patches.step_h};
  Im2colBox box = g.box;
  box.pixels = 64;
  const double reached = double(g.image[0]) * double(g.image[1]) * g.channels, weights = double(g.kernel) * std::max(s.c, s.o);
  return s.groups == 1 && s.c % piece == 0 && s.o % piece == 0 && g.slices > 0 && g.slices <= INT32_MAX / 64 &&
         box.fits(g.image, reach) && std::max(reached, weights) * g.bytes() < 0x1p40 &&
         divide_up(g.rows, 64) * divide_up(g.columns, 64) <= kMaxTiles;
}

// Tile, cluster and parts of K as for the product of matrices of the same sizes.
inline MatmulPlan hopper_plan(const HopperGeometry& g, int64_t most_splits) {
  gr_matmul_problem p{};
  p.batch = 1, p.m = g.rows, p.n = g.columns, p.k = g.slices * g.wide();
  p.trans_b = 1;  // operands of tf32 lie along K
  return plan_hopper(p, g.kind, most_splits);
}

// Multiprocessors where these kernels can run, 0 elsewhere.
inline int hopper_processors(int64_t stream) { return is_hopper(stream) ? device_traits(stream).processors : 0; }

// Compiled in conv_hopper_bf16.cu and conv_hopper_fp16.cu. `by_tma`: the result is aligned, without gaps, and bias and activation
// are all that follows the product.
#define GRADUS_CONV_HOPPER_OF(T)                                                                                          \
  int launch_conv_hopper(const Forward<T>& problem, const HopperGeometry& g, const MatmulPlan& plan,                     \
                         PartialStatistics<float> statistics, bool by_tma, int processors, int64_t stream);              \
  int launch_conv_hopper(const BackwardInput<T>& problem, const HopperGeometry& g, const MatmulPlan& plan, bool by_tma,  \
                         int processors, int64_t stream);                                                                \
  int launch_conv_hopper(const BackwardWeight<T>& problem, const HopperGeometry& g, const MatmulPlan& plan,              \
                         int processors, int64_t stream);                                                                \
  int launch_conv_hopper(const Normalised<Forward<T>>& problem, const HopperGeometry& g, const MatmulPlan& plan,         \
                         PartialStatistics<float> statistics, bool by_tma, int processors, int64_t stream);              \
  int launch_conv_hopper(const Normalised<BackwardWeight<T>>& problem, const HopperGeometry& g, const MatmulPlan& plan,  \
                         int processors, int64_t stream)
GRADUS_CONV_HOPPER_OF(bfloat16);
GRADUS_CONV_HOPPER_OF(float16);

// Of float32, compiled in conv_hopper_tf32.cu and conv_hopper_tf32x3.cu, BackwardWeight for 3xTF32 alone. The weights of
// BackwardInput are transposed, [channel, tap, o].
template <Multiply kKind, class Problem>
int launch_conv_hopper_float(const Problem& problem, const HopperGeometry& g, const MatmulPlan& plan,
                             PartialStatistics<float> statistics, bool by_tma, int processors, int64_t stream);

}  // namespace gradus::conv
