// Convolution forward and backward to the input. Both are products of windows and weights (conv_product.h, or for kernels of
// 3 x 3 with stride 1 conv_winograd_product.h): backward, the windows lie in gradY, one product for each residue of the pixels
// modulo the stride; taps run in rising order there too.
#include "gradus/conv.h"

#include "cpu/conv_call.h"
#include "cpu/conv_depthwise.h"
#include "cpu/conv_pack.h"
#include "cpu/conv_product.h"
#include "cpu/conv_winograd_product.h"

namespace gradus::cpu::conv {
namespace {

// What a product needs besides its operands.
template <class A>
struct Parts {
  A *weights, *bias, *statistics;
  int32_t* taps;

  Parts(Scratch& scratch, const Sizes& s, const Window& w, bool winograd, int64_t statistics_chunks) {
    const int64_t padded = s.depthwise() ? Blocks<A>(w.results).padded() : w.groups * Blocks<A>(w.group_results()).padded();
    weights = scratch.take<A>(winograd ? WinogradPlan<A>::weights(w) : w.depth() * padded);
    bias = scratch.take<A>(padded);
    taps = scratch.take<int32_t>(s.depthwise() || winograd ? 0 : w.depth());
    statistics = scratch.take<A>(statistics_chunks * kStatisticsParts * w.results);
  }
};

template <class T, class A = accumulator_t<T>>
Parts<A> forward_parts(Scratch& scratch, const Sizes& s) {
  const Window w = forward_window(s);
  if (winograd_serves<T>(w)) return Parts<A>(scratch, s, w, true, WinogradPlan<A>(w).chunks);
  return Parts<A>(scratch, s, w, false, s.depthwise() ? RowChunks(w).count : ProductPlan<A>(w).band_chunks);
}

template <class T, class A = accumulator_t<T>>
Parts<A> backward_parts(Scratch& scratch, const Sizes& s) {
  Window w = BackwardClass(s, 0, 0).window;
  const bool winograd = winograd_serves<T>(w);
  w.taps_h = s.kh, w.taps_w = s.kw;  // at least as deep as that of any class
  return Parts<A>(scratch, s, w, winograd, 0);
}

struct ForwardOperands {
  int64_t x, w, bias, residual, y, statistics;
};

template <class T>
int forward(const Sizes& s, const ForwardOperands& a, int64_t memory) {
  using A = accumulator_t<T>;
  const Window window = forward_window(s);
  Scratch scratch(memory);
  const Parts<A> parts = forward_parts<T>(scratch, s);
  auto w = pointer<const T>(a.w), x = pointer<const T>(a.x), bias = pointer<const T>(a.bias);
  A* partial = a.statistics == 0 ? nullptr : parts.statistics;
  const Output<T> output{pointer<T>(a.y), pointer<const T>(a.residual), s.activation == GR_ACTIVATION_RELU, s.accumulate != 0};
  if (s.depthwise()) {
    pack_depthwise(w, s.c, s.taps(), s.taps(), parts.weights, [](int64_t k) { return k; });
    pack_channels(bias, 1, s.o, parts.bias);
    const int status = Depthwise<T>(window, x, parts.weights, parts.bias, output).run(partial);
    if (status != GR_OK || partial == nullptr) return status;
    const RowChunks chunks(window);
    merge_statistics(partial, pointer<A>(a.statistics), chunks.count, s.o,
                     [&](int64_t chunk) { return (chunks.end(chunk) - chunks.begin(chunk)) * window.columns; });
    return GR_OK;
  }
  pack_channels(bias, s.groups, s.og, parts.bias);
  if (winograd_serves<T>(window)) {
    transform_forward_kernels(w, window, parts.weights);
    const int status = WinogradProduct<T>{window, x, parts.weights, parts.bias, output}.run(partial);
    if (status != GR_OK || partial == nullptr) return status;
    const WinogradPlan<A> plan(window);
    merge_statistics(partial, pointer<A>(a.statistics), plan.chunks, s.o, [&](int64_t chunk) { return plan.pixels(chunk); });
    return GR_OK;
  }
  pack_forward(w, s.groups, s.og, window.depth(), parts.weights);
  const int status = Product<T>{window, x, parts.weights, parts.bias, output, parts.taps}.run(partial);
  if (status != GR_OK || partial == nullptr) return status;
  const ProductPlan<A> plan(window);
  merge_statistics(partial, pointer<A>(a.statistics), plan.band_chunks, s.o, [&](int64_t chunk) { return plan.pixels(chunk); });
  return GR_OK;
}

template <class T>
int backward_input(const Sizes& s, int64_t grad_y, int64_t weights, int64_t grad_x, int64_t memory) {
  using A = accumulator_t<T>;
  Scratch scratch(memory);
  const Parts<A> parts = backward_parts<T>(scratch, s);
  auto source = pointer<const T>(grad_y), w = pointer<const T>(weights);
  s.depthwise() ? pack_channels<T>(nullptr, 1, s.c, parts.bias) : pack_channels<T>(nullptr, s.groups, s.cg, parts.bias);
  const Output<T> output{pointer<T>(grad_x), nullptr, false, s.accumulate != 0};
  for (int64_t h = 0; h < s.stride_h; h++) {
    for (int64_t v = 0; v < s.stride_w; v++) {
      const BackwardClass c(s, h, v);
      if (c.window.pixels() == 0) continue;
      int status;
      if (winograd_serves<T>(c.window)) {
        transform_backward_kernels(w, c.window, parts.weights);
        status = WinogradProduct<T>{c.window, source, parts.weights, parts.bias, output}.run(nullptr);
      } else if (s.depthwise()) {
        pack_depthwise(w, s.c, s.taps(), c.window.taps(), parts.weights, [&](int64_t k) { return c.tap(s, k); });
        status = Depthwise<T>(c.window, source, parts.weights, parts.bias, output).run(nullptr);
      } else {
        pack_backward(w, s, c, parts.weights);
        status = Product<T>{c.window, source, parts.weights, parts.bias, output, parts.taps}.run(nullptr);
      }
      if (status != GR_OK) return status;
    }
  }
  return GR_OK;
}

}  // namespace
}  // namespace gradus::cpu::conv

using namespace gradus;
using namespace gradus::cpu::conv;

extern "C" int64_t gr_conv2d_forward_scratch(int64_t shape, int32_t dtype, int64_t) {
  return scratch_bytes_of(shape, dtype, [](auto type, const Sizes& s, Scratch& scratch) {
    forward_parts<typename decltype(type)::type>(scratch, s);
  });
}

extern "C" int64_t gr_conv2d_backward_input_scratch(int64_t shape, int32_t dtype, int64_t) {
  return scratch_bytes_of(shape, dtype, [](auto type, const Sizes& s, Scratch& scratch) {
    backward_parts<typename decltype(type)::type>(scratch, s);
  });
}

extern "C" int64_t gr_conv2d_normalises(int64_t, int32_t, int64_t) { return 0; }

extern "C" int gr_conv2d_forward(int64_t x, int64_t w, int64_t bias, int64_t residual, int64_t y, int64_t statistics,
                                 int64_t scratch, int64_t scratch_bytes, int64_t shape, int32_t dtype, int64_t stream) {
  const int64_t needed = gr_conv2d_forward_scratch(shape, dtype, stream);
  return checked(shape, dtype, scratch_bytes, needed, [&](auto type, const Sizes& s) {
    if (s.norm_mean != 0) return int(GR_UNSUPPORTED);
    if (s.out_pixels() == 0 || s.o == 0) return int(GR_OK);
    return forward<typename decltype(type)::type>(s, {x, w, bias, residual, y, statistics}, scratch);
  });
}

extern "C" int gr_conv2d_backward_input(int64_t grad_y, int64_t w, int64_t grad_x, int64_t scratch, int64_t scratch_bytes,
                                        int64_t shape, int32_t dtype, int64_t stream) {
  const int64_t needed = gr_conv2d_backward_input_scratch(shape, dtype, stream);
  return checked(shape, dtype, scratch_bytes, needed, [&](auto type, const Sizes& s) {
    if (s.n * s.h * s.w * s.c == 0) return int(GR_OK);
    return backward_input<typename decltype(type)::type>(s, grad_y, w, grad_x, scratch);
  });
}
