// Convolutions that normalise and rectify the image where they read it (gr_conv's norm_mean): which there are, where they should
// pay, the vectors that their kernels (conv_hopper_prologue.h) read, and their launchers.
#pragma once

#include "kernels/conv_hopper_launch.h"
#include "kernels/norm_launch.h"

namespace gradus::conv {

// [3, channels]: mean, invStd weight, bias. They are made once for all blocks, and aligned as blocks read them.
template <class T>
__global__ void __launch_bounds__(kColumnThreads)
    conv_norm_vectors_kernel(const float* mean, const float* inv_std, Weights weight, Weights bias, float* vectors, int channels) {
  int i = int(blockIdx.x) * kColumnThreads + int(threadIdx.x);
  if (i >= channels) return;
  vectors[i] = mean[i];
  vectors[channels + i] = inv_std[i] * weight_at<T>(weight, i, 1.0f);
  vectors[2 * channels + i] = weight_at<T>(bias, i, 0.0f);
}

inline int64_t norm_bytes(const gr_conv& given) { return given.norm_mean == 0 ? 0 : divide_up(given.c * 12, 256) * 256; }

// Writes the vectors to `scratch`.
template <class T>
int image_norm(const gr_conv& given, const Sizes& s, int64_t scratch, stream_t stream, ImageNorm* norm) {
  Weights weight{}, bias{};
  if (!typed<T>(given.norm_weight, int32_t(given.norm_weight_dtype), weight) ||
      !typed<T>(given.norm_bias, int32_t(given.norm_bias_dtype), bias)) {
    return GR_UNSUPPORTED;
  }
  auto vectors = pointer<float>(scratch);
  *norm = {vectors, pointer<uint8_t>(given.norm_mask), s.c, int(s.in_pixels())};
  LaunchConfig config(blocks_for(s.c, kColumnThreads), kColumnThreads);
  return finish(GRADUS_LAUNCH((conv_norm_vectors_kernel<T>), config.stream(stream), pointer<const float>(given.norm_mean),
                              pointer<const float>(given.norm_inv_std), weight, bias, vectors, s.c));
}

// Pixels that are read once, and no made-up ones between them.
inline bool is_pointwise(const Sizes& s) {
  return s.kh == 1 && s.kw == 1 && s.stride_h == 1 && s.stride_w == 1 && s.pad_h == 0 && s.pad_w == 0 && s.groups == 1;
}

// Whether the kernels exist for these sizes, on a device of capability 9.0.
inline bool can_normalise(const Sizes& s) {
  return is_pointwise(s) && s.in_pixels() > 0 && hopper_takes(s, pixel_geometry(s, forward_window(s), s.c, s.o), {}) &&
         hopper_takes(s, tap_geometry(s), {});
}

// Whether a step of training should gain by it. Spared: a pass that reads x and writes it normalised, 4 bytes of memory an element.
// Paid: 4 bytes of shared memory an element for each tile of the other operand, in both products, as far as they show; a product
// takes the longer of its memory traffic and its multiplications, and what it rewrites adds to these. Rates are those of an H200, a
// clock and multiprocessor. An estimate: nothing of it has been measured.
inline bool normalising_pays(const Sizes& s) {
  constexpr double kProcessors = 132, kMemoryBytes = 18.6, kSharedBytes = 128, kMultiplied = 1800;
  constexpr double kStart = 2500;  // clocks of the kernel that makes the vectors
  const double pixels = double(s.in_pixels()), image = pixels * s.c * 4;
  const double memory = pixels * (s.c + s.o) * 2 / kMemoryBytes, multiply = pixels * s.c * s.o / kMultiplied;
  auto shows = [&](int64_t tiles) { return std::max(memory, multiply + double(tiles) * image / kSharedBytes) - std::max(memory, multiply); };
  const HopperTile& forward = kHopperTiles[hopper_plan(pixel_geometry(s, forward_window(s), s.c, s.o), 1).tile];
  const HopperTile& weight = kHopperTiles[hopper_plan(tap_geometry(s), kMaxSplits).tile];
  const double paid = shows(divide_up(s.o, forward.n)) + shows(divide_up(s.o, weight.m));
  return image / kMemoryBytes > paid + 2 * kStart * kProcessors;
}

// The products of an image that is normalised as norm_mean and its like say, which the kernels of conv_hopper.h alone can.
// Prepares the call: the vectors take the first of its scratch memory.
template <class T>
int normalise(const gr_conv& given, const Sizes& s, const HopperGeometry& g, stream_t stream, Operands& a, ImageNorm* norm) {
  if (!can_normalise(s) || !on_hopper(s, a, g)) return GR_UNSUPPORTED;
  int status = image_norm<T>(given, s, a.scratch, stream, norm);
  a.scratch += norm_bytes(given);
  return status;
}

template <class T>
int forward_normalised(const gr_conv& given, const Sizes& s, Operands a, stream_t stream) {
  if constexpr (sizeof(T) == 2) {
    HopperGeometry g = pixel_geometry(s, forward_window(s), s.c, s.o);
    Normalised<Forward<T>> problem{};
    int status = normalise<T>(given, s, g, stream, a, &problem.norm);
    return status != GR_OK ? status : forward_hopper<T>(s, a, g, stream, problem);
  } else {
    return GR_UNSUPPORTED;
  }
}

template <class T>
int backward_weight_normalised(const gr_conv& given, const Sizes& s, Operands a, stream_t stream) {
  if constexpr (sizeof(T) == 2) {
    HopperGeometry g = tap_geometry(s);
    Normalised<BackwardWeight<T>> problem{};
    int status = normalise<T>(given, s, g, stream, a, &problem.norm);
    return status != GR_OK ? status : backward_weight_hopper<T>(s, a, g, stream, problem);
  } else {
    return GR_UNSUPPORTED;
  }
}

}  // namespace gradus::conv
