// The Hopper convolutions, forced for shapes that they would not be given: every product, tile and type, ragged in every direction.
#include "kernels/conv_hopper_plan.h"
#include "kernels/conv_products.h"
#include "kernels/hopper_device.h"

using namespace gradus;
using namespace gradus::conv;
using namespace test;

namespace {

constexpr int kTiles = 3;  // rows of kHopperTiles that do not prepare operands

// Which of the products are taken, as hopper_takes says: forward, backward input (all residue classes with taps), backward weight.
std::string taken(const Shape& shape) {
  Sizes s(shape);
  bool input = true;
  for (int h = 0; h < s.stride_h; h++) {
    for (int w = 0; w < s.stride_w; w++) {
      Window v = backward_window(s, h, w);
      if (v.pixels > 0 && v.taps() > 0) input = input && conv::hopper_takes(s, pixel_geometry(s, v, s.o, s.c), {});
    }
  }
  return std::string(conv::hopper_takes(s, pixel_geometry(s, forward_window(s), s.c, s.o), {}) ? "f" : "-") + (input ? "i" : "-") +
         (conv::hopper_takes(s, tap_geometry(s), {}) ? "w" : "-");
}

template <class T>
void check_all(const Shape& s, bool fused) {
  if (!has_hopper()) return;
  CHECK_EQUAL(taken(s), std::string("fiw"));
  all_of<T>(s, fused);
}

}  // namespace

TEST(conv_hopper_small_and_odd_sizes) {
  for (int tile = 0; tile < kTiles; tile++) {
    Hopper hopper(tile);
    check_all<bfloat16>(Shape(2, 6, 5, 8, 16, 3, 3).pad(1, 1), false);
    check_all<float16>(Shape(1, 5, 4, 16, 8, 1, 1), true);
    check_all<bfloat16>(Shape(1, 1, 1, 8, 8, 1, 1), true);
  }
}

TEST(conv_hopper_windows) {
  Hopper hopper(2);
  check_all<bfloat16>(Shape(1, 7, 9, 16, 8, 3, 3).pad(1, 1).stride(2, 2), true);
  check_all<float16>(Shape(2, 5, 4, 8, 8, 1, 1).stride(2, 2), true);  // most pixels of gradX are reached by nothing
  check_all<bfloat16>(Shape(1, 9, 8, 8, 8, 3, 3).pad(2, 2).dilate(2, 2), false);
  check_all<bfloat16>(Shape(1, 11, 10, 8, 8, 3, 2).pad(2, 1).dilate(2, 3).stride(2, 2), false);
  check_all<float16>(Shape(2, 3, 17, 8, 16, 1, 5).pad(0, 2).stride(1, 3), true);
  check_all<bfloat16>(Shape(1, 3, 4, 8, 8, 3, 3).pad(4, 5), true);  // more padding than taps
  check_all<bfloat16>(Shape(1, 14, 13, 8, 16, 7, 7).pad(3, 3).stride(2, 2), false);
  check_all<bfloat16>(Shape(1, 9, 9, 8, 8, 2, 2).stride(3, 4), false);  // pixels that no window reads
}

// Several tiles in each direction, the last of them cut; more than one box of channels; more slices than stages.
TEST(conv_hopper_tiles) {
  for (int tile = 0; tile < kTiles; tile++) {
    Hopper hopper(tile);
    int m = kHopperTiles[tile].m, n = kHopperTiles[tile].n;
    Shape s = Shape(3, 7, m / 14, 72, n + 8, 1, 3).pad(0, 1);
    forward<bfloat16>(s, true, true);
    forward<bfloat16>(s, false, false);
    Shape narrow = Shape(2, 9, m / 12, 8, 16, 3, 3).pad(1, 1);
    forward<float16>(narrow, false, true);
    backward_input<bfloat16>(Shape(3, 7, m / 14, n + 8, 72, 1, 2), true);
    backward_input<float16>(narrow, false);
    backward_weight<bfloat16>(Shape(1, 9, 8, n / 2 - 8, m + 8, 1, 3), true);
  }
}

// Pairs of blocks that share the columns of B; the last pair reaches below the result.
TEST(conv_hopper_clusters) {
  for (int tile : {0, 1}) {
    Hopper hopper(tile, 2);
    int m = kHopperTiles[tile].m, n = kHopperTiles[tile].n;
    Shape s = Shape(1, 2, m + 9, 8, n + 8, 1, 3).pad(0, 1);
    forward<bfloat16>(s, true, true);
    forward<float16>(s, false, false);
    backward_input<bfloat16>(Shape(1, 2, m + 9, n - 64, 8, 2, 1).pad(1, 0), false);
    backward_weight<float16>(Shape(1, 9, 8, 72, m + 8, 1, 2), false);
  }
}

TEST(conv_hopper_parts_of_pixels) {
  for (int tile = 0; tile < kTiles; tile++) {
    Hopper hopper(tile, tile == 0 ? 2 : 1, 3);
    Shape s = Shape(3, 11, 13, 16, 24, 3, 3).pad(1, 1);
    if (has_hopper()) CHECK_EQUAL(gr_conv2d_backward_weight_scratch(s.address(), GR_BFLOAT16, 0), 3 * s.w_size() * 4);
    backward_weight<bfloat16>(s, false);
    backward_weight<float16>(s, true);
    forward<bfloat16>(s, false, true);  // has no parts
  }
}

// As the plan has it, without force.
TEST(conv_hopper_by_default) {
  Hopper hopper(-1, 0, 0);
  check_all<bfloat16>(Shape(1, 5, 6, 64, 32, 3, 3).pad(1, 1).stride(1, 2), true);
}

// Numbers that are not finite reach what the definition says, and nothing but that, where TMA makes up zeros: behind the last
// channel and the last pixel.
TEST(conv_hopper_not_finite) {
  if (!has_hopper()) return;
  Hopper hopper(2);
  Shape s(2, 3, 3, 8, 8, 2, 2);
  auto x = Array<bfloat16>::random(s.x_size(), 1), w = Array<bfloat16>::random(s.w_size(), 2);
  auto g = Array<bfloat16>::random(s.y_size(), 3);
  Array<bfloat16> y(s.y_size()), grad_x(s.x_size()), grad_w(s.w_size());
  auto expect = [](const Array<bfloat16>& actual, const std::vector<double>& expected) {
    for (int64_t i = 0; i < actual.size(); i++) CHECK_EQUAL(std::isfinite(actual[i]), std::isfinite(expected[size_t(i)]));
  };
  std::vector<double> ey(size_t(s.y_size())), ex(size_t(s.x_size())), ew(size_t(s.w_size()));
  g.set(3, NAN);
  g.set(s.y_size() - 1, INFINITY);
  s.each([&](int64_t a, int64_t b, int64_t c) { ex[size_t(b)] += g[a] * w[c]; });
  CALL(gr_conv2d_backward_input(g.address(), w.address(), grad_x.address(), 0, 1 << 20, s.address(), GR_BFLOAT16, 0));
  expect(grad_x, ex);
  x.set(s.x_size() - 1, NAN);
  x.set(5, INFINITY);
  w.set(s.w_size() - 1, NAN);
  s.each([&](int64_t a, int64_t b, int64_t c) {
    ey[size_t(a)] += x[b] * w[c];
    ew[size_t(c)] += g[a] * x[b];
  });
  CALL(gr_conv2d_forward(x.address(), w.address(), 0, 0, y.address(), 0, 0, 1 << 20, s.address(), GR_BFLOAT16, 0));
  expect(y, ey);
  CALL(gr_conv2d_backward_weight(x.address(), g.address(), grad_w.address(), 0, 1 << 20, s.address(), GR_BFLOAT16, 0));
  expect(grad_w, ew);
}

// What TMA cannot read stays with the portable kernels, and by default what would multiply mostly zeros.
TEST(conv_hopper_takes_what_it_can) {
  {
    Hopper hopper(2);
    CHECK_EQUAL(taken(Shape(1, 9, 9, 8, 8, 3, 3)), std::string("fiw"));
    CHECK_EQUAL(taken(Shape(1, 9, 9, 12, 8, 3, 3)), std::string("---"));
    CHECK_EQUAL(taken(Shape(1, 9, 9, 8, 12, 3, 3)), std::string("---"));
    CHECK_EQUAL(taken(Shape(1, 9, 9, 16, 16, 3, 3).grouped(2)), std::string("---"));
    CHECK_EQUAL(taken(Shape(1, 19, 19, 8, 8, 1, 1).stride(8, 8)), std::string("fiw"));
    CHECK_EQUAL(taken(Shape(1, 19, 19, 8, 8, 1, 1).stride(9, 1)), std::string("-i-"));  // steps of at most 8
    CHECK_EQUAL(taken(Shape(1, 129, 9, 8, 8, 129, 1)), std::string("fiw"));
    CHECK_EQUAL(taken(Shape(1, 130, 9, 8, 8, 130, 1)), std::string("---"));  // corners of -128 to 127
    CHECK_EQUAL(taken(Shape(1, 129, 9, 8, 8, 3, 1).pad(128, 0)), std::string("fiw"));
    CHECK_EQUAL(taken(Shape(1, 129, 9, 8, 8, 3, 1).pad(129, 0)), std::string("---"));
    Sizes s(Shape(1, 9, 9, 8, 8, 3, 3));
    HopperGeometry g = tap_geometry(s);
    auto odd = reinterpret_cast<const void*>(uintptr_t(24)), even = reinterpret_cast<const void*>(uintptr_t(32));
    CHECK(conv::hopper_takes(s, g, {even, even}));
    CHECK(!conv::hopper_takes(s, g, {even, odd}));
    matmul_forced().hopper = -1;
    CHECK_EQUAL(taken(Shape(1, 9, 9, 64, 64, 3, 3)), std::string("---"));
  }
  CHECK_EQUAL(taken(Shape(1, 9, 9, 64, 64, 3, 3)), std::string("fiw"));
  CHECK_EQUAL(taken(Shape(1, 9, 9, 24, 64, 3, 3)), std::string("-i-"));
  CHECK_EQUAL(taken(Shape(1, 9, 9, 64, 24, 3, 3)), std::string("f-w"));
}
