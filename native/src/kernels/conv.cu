// Convolution: which way a problem goes, and the launchers.
//
// Depthwise problems go the direct way (conv_depthwise.h). All others are implicit matrix products (conv_geometry.h) on the
// pipeline of device/mma_pipeline.h (conv_product.h): of 16-bit numbers (conv_half.cu), of float32 on tensor cores
// (conv_tf32.cu), of float32 and float64 exactly (conv_simt.cu). On devices of capability 9.0 those on tensor cores are fed by TMA
// and computed by wgmma where it can read the operands (conv_hopper.h, conv_hopper_plan.h). Each way has its launchers in a
// header of its own: conv_depthwise_launch.h, conv_product_launch.h, conv_hopper_launch.h, and conv_normalised.h for images that are
// normalised on the way; conv_call.h is what they share.
//
// Memory traffic: each operand once per tile of the other, most of it from the second-level cache, the result once. A sum runs over
// ascending depth in one accumulator, or over ascending splits of such sums.
#include "gradus/conv.h"
#include "kernels/conv_depthwise_launch.h"
#include "kernels/conv_normalised.h"
#include "kernels/conv_product_launch.h"

namespace gradus::conv {
namespace {

int64_t statistics_bytes(const Sizes& s, int rows, int64_t element) {
  return rounded(statistics_elements(divide_up(s.out_pixels(), rows), s.o) * element);
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
  statistics += norm_bytes(*pointer<const gr_conv>(shape));
  return copy_bytes(s.in_pixels() * s.groups, s.cg, channels) + copy_bytes(int64_t(s.o) * s.taps(), s.cg, channels) + statistics;
}

extern "C" int64_t gr_conv2d_backward_input_scratch(int64_t shape, int32_t dtype, int64_t stream) {
  Sizes s(*pointer<const gr_conv>(shape));
  if (!s.fits || is_depthwise(s)) return 0;
  bool half = is_half(dtype);
  int64_t copies = copy_bytes(s.out_pixels() * s.groups, s.og, padded(s.og, half)) +
                   copy_bytes(int64_t(s.o) * s.taps(), s.cg, padded(s.cg, half));
  return std::max(copies, transposed_bytes(s, dtype, stream));
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
  return std::max(portable, norm_bytes(*pointer<const gr_conv>(shape)) + hopper_split_bytes(s, dtype, stream));
}

extern "C" int64_t gr_conv2d_normalises(int64_t shape, int32_t dtype, int64_t stream) {
  Sizes s(*pointer<const gr_conv>(shape));
  if (!s.fits || !is_half(dtype) || hopper_processors(stream) == 0 || !can_normalise(s)) return 0;
  return matmul_forced().hopper > 0 || normalising_pays(s) ? 1 : 0;
}

extern "C" int gr_conv2d_forward(int64_t x, int64_t w, int64_t bias, int64_t residual, int64_t y, int64_t statistics,
                                 int64_t scratch, int64_t scratch_bytes, int64_t shape, int32_t dtype, int64_t stream) {
  int64_t needed = gr_conv2d_forward_scratch(shape, dtype, stream);
  return checked(shape, dtype, scratch_bytes, needed, [&](auto type, const Sizes& s) {
    using T = typename decltype(type)::type;
    if (s.out_pixels() == 0 || s.o == 0) return int(GR_OK);
    Operands a{x, w, bias, residual, y, statistics, scratch, hopper_processors(stream), stream};
    const gr_conv& given = *pointer<const gr_conv>(shape);
    if (given.norm_mean != 0) return forward_normalised<T>(given, s, a, stream_of(stream));
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
    const gr_conv& given = *pointer<const gr_conv>(shape);
    if (given.norm_mean != 0) return backward_weight_normalised<T>(given, s, a, stream_of(stream));
    if (is_depthwise(s)) return backward_weight_depthwise<T>(s, a, stream_of(stream));
    return backward_weight_product<T>(s, a, stream_of(stream));
  });
}
