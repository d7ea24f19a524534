// Convolution in every type, layout and precision.
#include "kernels/conv_products.h"

using namespace test;
using gradus::bfloat16;
using gradus::float16;

namespace {

// Every type and precision.
void all_types(Shape s, bool fused = false) {
  all_of<double>(s, fused);
  all_of<bfloat16>(s, fused);
  all_of<float16>(s, !fused);
  for (auto p : {GR_PRECISION_EXACT, GR_PRECISION_TF32, GR_PRECISION_TF32X3}) all_of<float>(s.with(p), fused);
}

TEST(one_by_one) {
  all_types(Shape(2, 5, 3, 8, 16, 1, 1), true);
  all_types(Shape(1, 1, 1, 1, 1, 1, 1));
  all_types(Shape(2, 5, 4, 8, 8, 1, 1).stride(2, 2), true);  // most pixels of gradX are reached by nothing
}

TEST(three_by_three) {
  all_types(Shape(2, 6, 5, 8, 16, 3, 3).pad(1, 1));
  all_types(Shape(1, 7, 9, 16, 8, 3, 3).pad(1, 1).stride(2, 2), true);
  all_types(Shape(2, 9, 7, 5, 7, 3, 3).pad(1, 0).stride(2, 1), true);
}

TEST(five_by_five) { all_types(Shape(1, 6, 7, 4, 6, 5, 5).pad(2, 2)); }

TEST(first_layer) {
  all_types(Shape(1, 14, 13, 3, 16, 7, 7).pad(3, 3).stride(2, 2));
  all_types(Shape(2, 6, 6, 1, 8, 5, 5));
}

TEST(wide_padding) {
  all_types(Shape(1, 3, 4, 8, 8, 3, 3).pad(4, 5), true);
  all_types(Shape(1, 2, 2, 8, 8, 1, 1).pad(2, 1).stride(3, 2));
}

TEST(dilation) {
  all_types(Shape(1, 9, 8, 8, 8, 3, 3).pad(2, 2).dilate(2, 2), true);
  all_types(Shape(1, 11, 10, 8, 5, 3, 2).pad(2, 1).dilate(2, 3).stride(2, 2));  // dilation and stride have a common divisor
  all_types(Shape(1, 9, 9, 3, 5, 3, 3).pad(1, 1).dilate(2, 2).stride(4, 3));
}

TEST(groups) {
  all_types(Shape(2, 5, 5, 16, 16, 3, 3).pad(1, 1).grouped(2), true);
  all_types(Shape(1, 5, 4, 6, 9, 3, 3).pad(1, 1).grouped(3));
  all_types(Shape(1, 5, 4, 2, 12, 3, 3).grouped(2).stride(2, 1));  // one channel, many results: not the depthwise way
}

TEST(not_square) { all_types(Shape(2, 3, 17, 8, 10, 1, 5).pad(0, 2).stride(1, 3), true); }

TEST(depthwise) {
  all_types(Shape(2, 7, 9, 16, 16, 3, 3).pad(1, 1).grouped(16), true);
  all_types(Shape(2, 9, 8, 24, 24, 3, 3).pad(1, 1).stride(2, 2).grouped(24));
  all_types(Shape(1, 7, 6, 5, 5, 3, 3).pad(1, 1).grouped(5), true);
  all_types(Shape(1, 6, 6, 8, 16, 3, 3).pad(1, 1).grouped(8), true);  // multiplier 2
  all_types(Shape(1, 9, 11, 8, 8, 5, 4).pad(2, 3).stride(3, 2).dilate(1, 2).grouped(8));
  all_types(Shape(1, 6, 7, 3, 6, 3, 3).stride(2, 2).grouped(3));
}

TEST(unaligned) {
  Shape s = Shape(1, 6, 5, 8, 8, 3, 3).pad(1, 1);
  for (const Shape& shape : {s, Shape(1, 6, 5, 8, 8, 3, 3).pad(1, 1).grouped(8)}) {
    all_of<float>(shape, true, 1);
    all_of<bfloat16>(shape, false, 1);
    all_of<float>(Shape(shape).with(GR_PRECISION_TF32), true, 1);
  }
}

TEST(empty) {
  Shape none(0, 4, 4, 8, 8, 3, 3), no_y(1, 2, 2, 8, 8, 3, 3);
  Array<float> w(none.w_size(), 1), y(1), x(no_y.x_size(), 1), statistics(16, 7);
  CALL(gr_conv2d_forward(0, w.address(), 0, 0, 0, statistics.address(), y.address(), 1 << 20, none.address(), GR_FLOAT32, 0));
  CALL(gr_conv2d_backward_input(0, w.address(), 0, 0, 0, none.address(), GR_FLOAT32, 0));
  // Nothing of y: gradients are 0, or what they were.
  for (const Shape& s : {none, no_y}) {
    for (int accumulate : {0, 1}) {
      Shape with = s;
      with.accumulate = accumulate;
      Array<float> grad_w(s.w_size(), 2), grad_x(s.x_size(), 2);
      Scratch scratch(gr_conv2d_backward_weight_scratch(with.address(), GR_FLOAT32, 0));
      CALL(gr_conv2d_backward_weight(x.address(), 0, grad_w.address(), scratch.address(), scratch.bytes, with.address(),
                                     GR_FLOAT32, 0));
      for (int64_t i = 0; i < grad_w.size(); i++) CHECK_EQUAL(grad_w[i], 2.0 * accumulate);
      CALL(gr_conv2d_backward_input(0, w.address(), grad_x.address(), 0, 0, with.address(), GR_FLOAT32, 0));
      for (int64_t i = 0; i < grad_x.size(); i++) CHECK_EQUAL(grad_x[i], 2.0 * accumulate);
    }
  }
}

// Enough blocks for the larger tiles: of many groups with few products, or of many pixels.
Shape many(int64_t h, int64_t w, int64_t cg, int64_t og) { return Shape(1, h, w, 132 * cg, 132 * og, 1, 1).grouped(132); }

TEST(large_tiles) {
  forward<bfloat16>(many(11, 6, 8, 72), true, true);
  backward_input<float>(many(11, 6, 72, 8), true);
  backward_weight<float16>(many(4, 2, 72, 72), true);
#if !defined(__SANITIZE_THREAD__)  // there a product of so many blocks takes seconds
  forward<float>(many(11, 6, 8, 72), true, true);
  forward<float16>(many(11, 6, 8, 16), true, false);
  forward<bfloat16>(many(11, 6, 3, 16), false, true);
  forward<float>(many(11, 6, 8, 72).with(GR_PRECISION_TF32), false, true);
  backward_input<bfloat16>(many(11, 6, 72, 8), false);
  backward_input<float>(many(11, 6, 72, 8).with(GR_PRECISION_TF32X3), false);
  backward_weight<float>(many(4, 2, 72, 72).with(GR_PRECISION_TF32), false);
#endif
}

TEST(statistics_of_many_tiles) {
  forward<bfloat16>(Shape(1, 130, 131, 8, 24, 1, 1), false, true);
  forward<float>(Shape(1, 130, 131, 1, 3, 1, 1), false, true);  // so many parts that they are merged in two steps
  forward<float>(Shape(1, 70, 70, 4, 4, 1, 1).grouped(4), false, true);
}

TEST(splits) {
  Shape s = Shape(1, 40, 40, 8, 8, 3, 3).pad(1, 1);
  backward_weight<float>(s, false);
  backward_weight<bfloat16>(s, true);
  backward_weight<float16>(Shape(1, 40, 41, 3, 9, 2, 2), false);
  backward_weight<double>(Shape(1, 40, 41, 3, 9, 2, 2).stride(1, 2), true);
  backward_weight<float>(Shape(s).with(GR_PRECISION_TF32), false);
  Shape depthwise = Shape(1, 40, 41, 16, 16, 3, 3).pad(1, 1).grouped(16);
  backward_weight<float>(depthwise, false);
  backward_weight<bfloat16>(depthwise, true);
}

// NaN passes the rectifier, and infinities meet no zero of the border.
TEST(special_values) {
  Shape s = Shape(1, 4, 4, 8, 8, 3, 3).pad(1, 1);
  s.activation = GR_ACTIVATION_RELU;
  Array<float> x(s.x_size(), 1), w(s.w_size(), 1), y(s.y_size());
  x.set(0, NAN);
  w.set(0, INFINITY);  // output channel 0, tap (0, 0), channel 0: off the image for pixel (0, 0)
  Scratch scratch(gr_conv2d_forward_scratch(s.address(), GR_FLOAT32, 0));
  CALL(gr_conv2d_forward(x.address(), w.address(), 0, 0, y.address(), 0, scratch.address(), scratch.bytes, s.address(),
                         GR_FLOAT32, 0));
  CHECK(std::isnan(y[0]));
  CHECK(std::isnan(y[8]));
  CHECK_EQUAL(y[2 * 8 + 1], 48.0);
  CHECK(std::isinf(y[(4 * 1 + 2) * 8]));
}

TEST(statistics_far_from_zero) {
  Shape s(3, 40, 30, 4, 5, 1, 1);  // mean 4000, variance 1: sums of squares would lose it
  Array<float> x(s.x_size()), w(s.w_size(), 1), y(s.y_size()), statistics(2 * s.o);
  test::Numbers numbers(1);
  double mean = 0, squares = 0;
  int64_t pixels = s.n * s.h * s.w;
  for (int64_t i = 0; i < pixels; i++) x.set(4 * i, 4000 + numbers.next());
  for (int64_t i = 0; i < pixels; i++) mean += x[4 * i] / double(pixels);
  for (int64_t i = 0; i < pixels; i++) squares += (x[4 * i] - mean) * (x[4 * i] - mean) / double(pixels);
  Scratch scratch(gr_conv2d_forward_scratch(s.address(), GR_FLOAT32, 0));
  CALL(gr_conv2d_forward(x.address(), w.address(), 0, 0, y.address(), statistics.address(), scratch.address(), scratch.bytes,
                         s.address(), GR_FLOAT32, 0));
  for (int64_t i = 0; i < s.o; i++) {
    CHECK_NEAR(statistics[i], mean, 1e-7, 0);
    CHECK_NEAR(statistics[s.o + i], squares, 1e-4, 0);
  }
}

TEST(refused) {
  Shape s(1, 4, 4, 8, 8, 3, 3);
  Array<float> a(4096);
  Shape odd = s;
  odd.groups = 3;
  CHECK_EQUAL(gr_conv2d_backward_input(a.address(), a.address(), a.address(), 0, 0, odd.address(), GR_FLOAT32, 0),
              int(GR_UNSUPPORTED));
  CHECK_EQUAL(gr_conv2d_backward_input(a.address(), a.address(), a.address(), 0, 0, s.address(), GR_INT32, 0),
              int(GR_UNSUPPORTED));
  Shape large(70000, 256, 256, 8, 8, 3, 3);
  CHECK_EQUAL(gr_conv2d_backward_input(a.address(), a.address(), a.address(), 0, 0, large.address(), GR_FLOAT32, 0),
              int(GR_UNSUPPORTED));
  Shape split(1, 40, 40, 8, 8, 3, 3);
  CHECK(gr_conv2d_backward_weight_scratch(split.address(), GR_FLOAT32, 0) > 0);
  CHECK_EQUAL(gr_conv2d_backward_weight(a.address(), a.address(), a.address(), 0, 0, split.address(), GR_FLOAT32, 0),
              int(GR_ERROR));
  CHECK_CONTAINS(gradus::error_text(), "scratch");
}

}  // namespace
