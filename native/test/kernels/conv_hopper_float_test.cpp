// The Hopper convolutions of float32, forced for shapes that they would not be given: forward and backward to the input as tf32,
// all products as 3xTF32, in every tile, ragged in every direction.
#include "kernels/conv_hopper_plan.h"
#include "kernels/conv_products.h"
#include "kernels/hopper_device.h"

using namespace gradus;
using namespace gradus::conv;
using namespace test;

namespace {

// Rows of kHopperTiles: the first three for tf32, which lies along K, the others, which prepare operands, for 3xTF32.
constexpr gr_precision precision_of(int tile) { return kHopperTiles[tile].prepares ? GR_PRECISION_TF32X3 : GR_PRECISION_TF32; }
constexpr Multiply kind_of(gr_precision precision) {
  return precision == GR_PRECISION_TF32 ? Multiply::tf32 : precision == GR_PRECISION_TF32X3 ? Multiply::tf32x3 : Multiply::simt;
}

// As conv_hopper_test.cpp: forward, backward input (how many of its residue classes), backward weight.
std::string taken(const Shape& shape) {
  Sizes s(shape);
  Multiply kind = kind_of(gr_precision(shape.precision));
  int classes = 0;
  for (int h = 0; h < s.stride_h; h++) {
    for (int w = 0; w < s.stride_w; w++) {
      Window v = backward_window(s, h, w);
      classes += v.pixels > 0 && conv::hopper_takes(s, pixel_geometry(s, v, s.o, s.c, kind), {}) ? 1 : 0;
    }
  }
  bool forward = conv::hopper_takes(s, pixel_geometry(s, forward_window(s), s.c, s.o, kind), {});
  bool weight = conv::hopper_takes(s, tap_geometry(s, kind), {}) && kind == Multiply::tf32x3;
  return (forward ? "f" : "-") + std::to_string(classes) + (weight ? "w" : "-");
}

void check(const Shape& s, const char* expected, bool fused) {
  if (!has_hopper()) return;
  bool weight = s.precision == GR_PRECISION_TF32X3;
  CHECK_EQUAL(taken(s), expected + std::string(weight ? "w" : "-"));
  if (weight) backward_weight<float>(s, fused);
  forward<float>(s, fused, false);
  forward<float>(s, !fused, true);
  backward_input<float>(s, fused);
}

}  // namespace

TEST(conv_hopper_float_small_and_odd_sizes) {
  for (int tile = 0; tile < kHopperTileCount; tile++) {
    Hopper hopper(tile);
    gr_precision p = precision_of(tile);
    check(Shape(2, 4, 5, 4, 12, 3, 3).pad(1, 1).with(p), "f1", false);  // a piece of eight columns is cut
    check(Shape(1, 5, 4, 12, 8, 1, 1).with(p), "f1", true);
    check(Shape(1, 1, 1, 4, 4, 1, 1).with(p), "f1", true);
  }
}

TEST(conv_hopper_float_windows) {
  for (int tile : {2, 4}) {
    Hopper hopper(tile);
    gr_precision p = precision_of(tile);
    check(Shape(1, 7, 9, 12, 8, 3, 3).pad(1, 1).stride(2, 2).with(p), "f4", true);
    check(Shape(2, 5, 4, 8, 4, 1, 1).stride(2, 2).with(p), "f1", true);  // three classes have no taps
    check(Shape(1, 9, 8, 4, 8, 3, 3).pad(2, 2).dilate(2, 2).with(p), "f1", false);
    check(Shape(1, 11, 10, 8, 8, 3, 2).pad(2, 1).dilate(2, 3).stride(2, 2).with(p), "f2", false);
    check(Shape(1, 3, 4, 8, 8, 3, 3).pad(4, 5).with(p), "f1", true);  // more padding than taps
  }
}

// Several tiles in each direction, the last of them cut; more than one box of channels; more slices than stages.
TEST(conv_hopper_float_tiles) {
  for (int tile = 0; tile < kHopperTileCount; tile++) {
    Hopper hopper(tile);
    gr_precision p = precision_of(tile);
    int m = kHopperTiles[tile].m, n = kHopperTiles[tile].n;
    forward<float>(Shape(2, 7, m / 12, 36, n + 8, 1, 3).pad(0, 1).with(p), true, true);
    forward<float>(Shape(1, 1, m + 8, 4, n + 4, 1, 9).pad(0, 4).with(p), false, false);
    backward_input<float>(Shape(2, 7, m / 12, n + 8, 36, 1, 2).with(p), false);
    backward_input<float>(Shape(1, 1, m + 8, n + 4, 4, 1, 5).pad(0, 2).with(p), true);
  }
}

TEST(conv_hopper_float_weights) {
  for (int tile : {3, 4}) {
    int m = kHopperTiles[tile].m, n = kHopperTiles[tile].n;
    for (int parts : {1, 3}) {
      Hopper hopper(tile, tile == 3 && parts == 3 ? 2 : 1, parts);
      Shape s = Shape(1, 9, 8, n / 2 + 4, m + 4, 1, 3).with(GR_PRECISION_TF32X3);
      int64_t bytes = parts == 1 ? 0 : 2 * s.w_size() * 4;  // K has two slices
      if (has_hopper()) CHECK_EQUAL(gr_conv2d_backward_weight_scratch(s.address(), GR_FLOAT32, 0), bytes);
      backward_weight<float>(s, parts == 1);
      backward_weight<float>(Shape(3, 7, 9, 8, 12, 3, 3).pad(1, 1).stride(2, 1).with(GR_PRECISION_TF32X3), parts == 3);
    }
  }
}

// Pairs of blocks that share the columns of B; the last pair reaches below the result.
TEST(conv_hopper_float_clusters) {
  for (int tile : {0, 1, 3}) {
    Hopper hopper(tile, 2);
    gr_precision p = precision_of(tile);
    int m = kHopperTiles[tile].m, n = kHopperTiles[tile].n;
    forward<float>(Shape(1, 2, m + 9, 4, n + 8, 1, 3).pad(0, 1).with(p), false, false);
    backward_input<float>(Shape(1, 2, m + 9, n - 64, 8, 2, 1).pad(1, 0).with(p), false);
  }
}

// As the plan has it, without force; and what it costs.
TEST(conv_hopper_float_by_default) {
  Hopper hopper(-1, 0, 0);
  for (gr_precision p : {GR_PRECISION_TF32, GR_PRECISION_TF32X3}) {
    Shape s = Shape(1, 5, 6, 16, 32, 3, 3).pad(1, 1).stride(1, 2).with(p);
    check(s, "f2", true);
    if (has_hopper()) CHECK_EQUAL(gr_conv2d_backward_input_scratch(s.address(), GR_FLOAT32, 0), s.w_size() * 4);
  }
  CHECK_EQUAL(gr_conv2d_backward_input_scratch(Shape(1, 5, 6, 16, 32, 3, 3).address(), GR_FLOAT32, 0), int64_t(0));
}

// Numbers that are not finite reach what the definition says, and nothing but that, where TMA makes up zeros.
TEST(conv_hopper_float_not_finite) {
  if (!has_hopper()) return;
  Hopper hopper(2);
  Shape s = Shape(2, 3, 3, 4, 8, 2, 2).with(GR_PRECISION_TF32);
  auto x = Array<float>::random(s.x_size(), 1), w = Array<float>::random(s.w_size(), 2), g = Array<float>::random(s.y_size(), 3);
  Array<float> y(s.y_size()), grad_x(s.x_size());
  auto expect = [](const Array<float>& actual, const std::vector<double>& expected) {
    for (int64_t i = 0; i < actual.size(); i++) CHECK_EQUAL(std::isfinite(actual[i]), std::isfinite(expected[size_t(i)]));
  };
  std::vector<double> ey(size_t(s.y_size())), ex(size_t(s.x_size()));
  g.set(3, NAN);
  g.set(s.y_size() - 1, INFINITY);
  s.each([&](int64_t a, int64_t b, int64_t c) { ex[size_t(b)] += g[a] * w[c]; });
  Scratch scratch(gr_conv2d_backward_input_scratch(s.address(), GR_FLOAT32, 0));
  CALL(gr_conv2d_backward_input(g.address(), w.address(), grad_x.address(), scratch.address(), scratch.bytes, s.address(),
                                GR_FLOAT32, 0));
  expect(grad_x, ex);
  x.set(s.x_size() - 1, NAN);
  x.set(5, INFINITY);
  w.set(s.w_size() - 1, NAN);
  s.each([&](int64_t a, int64_t b, int64_t c) { ey[size_t(a)] += x[b] * w[c]; });
  Scratch forward_scratch(gr_conv2d_forward_scratch(s.address(), GR_FLOAT32, 0));
  CALL(gr_conv2d_forward(x.address(), w.address(), 0, 0, y.address(), 0, forward_scratch.address(), forward_scratch.bytes,
                         s.address(), GR_FLOAT32, 0));
  expect(y, ey);
}

// Exact products, and what TMA cannot read, stay with the portable kernels, and by default what would multiply mostly zeros.
TEST(conv_hopper_float_takes_what_it_can) {
  {
    Hopper hopper(2);
    CHECK_EQUAL(taken(Shape(1, 9, 9, 4, 4, 3, 3).with(GR_PRECISION_TF32)), std::string("f1-"));
    CHECK_EQUAL(taken(Shape(1, 9, 9, 4, 4, 3, 3).with(GR_PRECISION_TF32X3)), std::string("f1w"));
    CHECK_EQUAL(taken(Shape(1, 9, 9, 4, 4, 3, 3)), std::string("-0-"));
    CHECK_EQUAL(taken(Shape(1, 9, 9, 6, 8, 3, 3).with(GR_PRECISION_TF32)), std::string("-0-"));
    CHECK_EQUAL(taken(Shape(1, 9, 9, 8, 6, 3, 3).with(GR_PRECISION_TF32)), std::string("-0-"));
    CHECK_EQUAL(taken(Shape(1, 9, 9, 8, 8, 3, 3).grouped(2).with(GR_PRECISION_TF32)), std::string("-0-"));
    Shape s = Shape(1, 6, 6, 4, 4, 3, 3).with(GR_PRECISION_TF32);
    forward<float>(s, false, false, 1);  // addresses that are no multiples of 16
    backward_input<float>(s, false, 1);
  }
  CHECK_EQUAL(taken(Shape(1, 9, 9, 32, 64, 3, 3).stride(2, 2).with(GR_PRECISION_TF32)), std::string("f4-"));
  CHECK_EQUAL(taken(Shape(1, 9, 9, 12, 64, 3, 3).with(GR_PRECISION_TF32)), std::string("-1-"));
  CHECK_EQUAL(taken(Shape(1, 9, 9, 12, 64, 3, 3).with(GR_PRECISION_TF32X3)), std::string("-1-"));
  CHECK_EQUAL(taken(Shape(1, 9, 9, 64, 12, 3, 3).with(GR_PRECISION_TF32)), std::string("f0-"));
}
