// Convolutions that normalise and rectify x where they read it, against batch normalisation and a convolution one after the other:
// the same bits, as the sums have the same order.
#include "gradus/norm.h"
#include "kernels/conv_products.h"
#include "kernels/hopper_device.h"

using namespace gradus;
using namespace test;

namespace {

constexpr int kTiles = 3;  // rows of kHopperTiles that do not prepare operands

enum class Vectors { absent, like_x, wide };  // weight and bias of the normalisation

template <class T>
bool same_bits(const Array<T>& a, const Array<T>& b) {
  bool same = a.size() == b.size();
  for (int64_t i = 0; same && i < a.size(); i++) {
    T x = a.raw(i), y = b.raw(i);
    same = memcmp(&x, &y, sizeof x) == 0;
  }
  return same;
}

// The operands, z as gr_batch_norm_apply leaves it, and its mask.
template <class T>
struct Fused {
  Shape shape, fused;
  Array<T> x, w, gradient, z, like_weight, like_bias;
  Array<float> mean, inv_std, wide_weight, wide_bias;
  Array<uint32_t> mask, fused_mask;

  Fused(const Shape& s, Vectors vectors)
      : shape(s), fused(s), x(Array<T>::random(s.x_size(), 1)), w(Array<T>::random(s.w_size(), 2)),
        gradient(Array<T>::random(s.y_size(), 3)), z(s.x_size()), like_weight(Array<T>::random(s.c, 4)),
        like_bias(Array<T>::random(s.c, 5)), mean(Array<float>::random(s.c, 6)), inv_std(Array<float>::random(s.c, 7, 0.5, 2)),
        wide_weight(Array<float>::random(s.c, 8)), wide_bias(Array<float>::random(s.c, 9)),
        mask((s.x_size() + 31) / 32), fused_mask(mask.size(), 4294967295.0) {
    bool wide = vectors == Vectors::wide, absent = vectors == Vectors::absent;
    fused.norm_mean = mean.address(), fused.norm_inv_std = inv_std.address(), fused.norm_mask = fused_mask.address();
    fused.norm_weight = absent ? 0 : wide ? wide_weight.address() : like_weight.address();
    fused.norm_bias = absent ? 0 : wide ? wide_bias.address() : like_bias.address();
    fused.norm_weight_dtype = fused.norm_bias_dtype = wide ? int64_t(GR_FLOAT32) : x.dtype();
  }

  void apply() {
    CALL(gr_batch_norm_apply(x.address(), fused.norm_mean, fused.norm_inv_std, fused.norm_weight, fused.norm_bias, 0, z.address(),
                             mask.address(), shape.n * shape.h * shape.w, shape.c, GR_ACTIVATION_RELU, x.dtype(),
                             int32_t(fused.norm_weight_dtype), int32_t(fused.norm_bias_dtype), 0));
  }

  int forward(const Shape& s, const Array<T>& image, Array<T>& y, Array<float>* statistics) {
    Scratch scratch(gr_conv2d_forward_scratch(s.address(), x.dtype(), 0));
    return gr_conv2d_forward(image.address(), w.address(), 0, 0, y.address(), statistics == nullptr ? 0 : statistics->address(),
                             scratch.address(), scratch.bytes, s.address(), x.dtype(), 0);
  }
  template <class C>
  int backward_weight(const Shape& s, const Array<T>& image, Array<C>& grad_w) {
    Scratch scratch(gr_conv2d_backward_weight_scratch(s.address(), x.dtype(), 0));
    return gr_conv2d_backward_weight(image.address(), gradient.address(), grad_w.address(), scratch.address(), scratch.bytes,
                                     s.address(), x.dtype(), 0);
  }

  void check_forward(bool with_statistics) {
    Array<T> expected(shape.y_size()), actual(shape.y_size(), NAN);
    Array<float> moments(2 * shape.o), found(2 * shape.o, NAN);
    CALL(forward(shape, z, expected, with_statistics ? &moments : nullptr));
    CALL(forward(fused, x, actual, with_statistics ? &found : nullptr));
    CHECK(same_bits(actual, expected));
    CHECK(!with_statistics || same_bits(found, moments));
    CHECK(same_bits(fused_mask, mask));
  }
  template <class C>
  void check_weight() {
    shape.wide_weights = fused.wide_weights = std::is_same_v<C, T> ? 0 : 1;
    Array<C> expected(shape.w_size()), actual(shape.w_size(), NAN);
    CALL(backward_weight(shape, z, expected));
    CALL(backward_weight(fused, x, actual));
    CHECK(same_bits(actual, expected));
  }
};

// Both products, with statistics and without, and gradients of both types.
template <class T>
void check(const Shape& s, Vectors vectors) {
  if (!has_hopper()) return;
  Fused<T> c(s, vectors);
  c.apply();
  c.check_forward(false);
  c.check_forward(true);
  c.template check_weight<T>();
  c.template check_weight<float>();
}

}  // namespace

TEST(conv_normalised_small_and_odd_sizes) {
  for (int tile = 0; tile < kTiles; tile++) {
    Hopper hopper(tile);
    check<bfloat16>(Shape(1, 1, 1, 8, 8, 1, 1), Vectors::wide);
    check<float16>(Shape(1, 5, 3, 24, 16, 1, 1), Vectors::like_x);
    check<bfloat16>(Shape(3, 7, 5, 72, 8, 1, 1), Vectors::absent);
  }
}

// Several tiles in each direction, the last of them cut; more slices than stages; K in parts.
TEST(conv_normalised_tiles) {
  if (!has_hopper()) return;
  for (int tile = 0; tile < kTiles; tile++) {
    int m = kHopperTiles[tile].m, n = kHopperTiles[tile].n;
    {
      Hopper hopper(tile);
      Fused<bfloat16> c(Shape(1, 1, m + 9, 72, n + 8, 1, 1), Vectors::wide);
      c.apply();
      c.check_forward(true);
    }
    Hopper hopper(tile, 1, 2);
    Fused<bfloat16> c(Shape(3, 7, 31, n + 8, m + 8, 1, 1), Vectors::like_x);
    c.apply();
    c.check_weight<bfloat16>();
  }
  Hopper hopper(2);
  check<float16>(Shape(2, 9, 4, 72 * 8, 8, 1, 1), Vectors::wide);
}

// Pairs of blocks that share the columns of B; the last pair reaches below the result.
TEST(conv_normalised_clusters) {
  for (int tile : {0, 1}) {
    Hopper hopper(tile, 2);
    check<bfloat16>(Shape(1, 3, 43, 8, kHopperTiles[tile].m + 8, 1, 1), Vectors::wide);
  }
}

// Made-up pixels behind the last are no pixels: what the channel's vectors would make of a zero, here an infinity, meets the zeros
// of gradY otherwise. NaN reaches what it should.
TEST(conv_normalised_not_finite) {
  if (!has_hopper()) return;
  for (int tile = 0; tile < kTiles; tile++) {
    Hopper hopper(tile);
    Shape s(1, 5, 3, 8, 16, 1, 1);
    Fused<bfloat16> c(s, Vectors::wide);
    for (int64_t i = 2; i < s.x_size(); i += s.c) c.x.set(i, 1e30);
    c.mean.set(2, c.x[2]), c.inv_std.set(2, 1e10), c.wide_weight.set(2, -1), c.wide_bias.set(2, 1);
    c.apply();
    CHECK_EQUAL(c.z[2], 1.0);
    c.check_forward(true);
    c.check_weight<bfloat16>();
    Array<float> grad_w(s.w_size());
    c.fused.wide_weights = 1;
    CALL(c.backward_weight(c.fused, c.x, grad_w));
    for (int64_t i = 0; i < s.w_size(); i++) CHECK(std::isfinite(grad_w[i]));

    c.x.set(s.x_size() - 8, NAN), c.x.set(9, INFINITY), c.inv_std.set(5, NAN);
    c.apply();
    c.check_forward(false);
    c.check_weight<bfloat16>();
  }
}

// Anything else is refused, and nothing is written.
TEST(conv_normalised_is_refused_where_it_is_not_supported) {
  auto refused = [](const Shape& s, auto zero, int32_t weight_dtype, int64_t skip) {
    using T = decltype(zero);
    Fused<T> c(s, Vectors::wide);
    c.fused.norm_weight_dtype = weight_dtype;
    Array<T> y(s.y_size() + 8, 7), grad_w(s.w_size() + 8, 7);
    Scratch scratch(gr_conv2d_forward_scratch(c.fused.address(), c.x.dtype(), 0));
    Operand<T> x(c.x, skip);
    CHECK_EQUAL(gr_conv2d_forward(x.address(), c.w.address(), 0, 0, y.address(), 0, scratch.address(), scratch.bytes,
                                  c.fused.address(), c.x.dtype(), 0),
                int(GR_UNSUPPORTED));
    Scratch parts(gr_conv2d_backward_weight_scratch(c.fused.address(), c.x.dtype(), 0));
    CHECK_EQUAL(gr_conv2d_backward_weight(x.address(), c.gradient.address(), grad_w.address(), parts.address(), parts.bytes,
                                          c.fused.address(), c.x.dtype(), 0),
                int(GR_UNSUPPORTED));
    CHECK_EQUAL(y[0], 7.0);
    CHECK_EQUAL(grad_w[0], 7.0);
    CHECK_EQUAL(c.fused_mask[0], 4294967295.0);
  };
  const Shape good(1, 4, 4, 8, 8, 1, 1);
  if (has_hopper()) {
    Hopper hopper(2);
    bfloat16 half{};
    refused(Shape(1, 4, 4, 8, 8, 3, 3).pad(1, 1), half, GR_FLOAT32, 0);
    refused(Shape(1, 4, 4, 8, 8, 1, 1).pad(1, 0), half, GR_FLOAT32, 0);
    refused(Shape(1, 4, 4, 8, 8, 1, 1).stride(1, 2), half, GR_FLOAT32, 0);
    refused(Shape(1, 4, 4, 16, 16, 1, 1).grouped(2), half, GR_FLOAT32, 0);
    refused(Shape(1, 4, 4, 8, 8, 1, 1).grouped(8), half, GR_FLOAT32, 0);
    refused(Shape(1, 4, 4, 12, 8, 1, 1), half, GR_FLOAT32, 0);
    refused(Shape(1, 4, 4, 8, 12, 1, 1), half, GR_FLOAT32, 0);
    refused(good, half, GR_FLOAT16, 0);
    refused(good, half, GR_FLOAT32, 1);
    refused(good, 0.0f, GR_FLOAT32, 0);
    refused(good, 0.0, GR_FLOAT32, 0);
  }
#if GRADUS_EMULATED
  refused(good, bfloat16{}, GR_FLOAT32, 0);  // a device of another kind
#endif
}

// The first two stages of ResNet-50, not those whose second product has many tiles, nor what is too small to tell.
TEST(conv_normalised_where_it_pays) {
  auto asked = [](const Shape& s, int32_t dtype) { return gr_conv2d_normalises(s.address(), dtype, 0); };
  Shape first(256, 56, 56, 64, 256, 1, 1), second(256, 28, 28, 128, 512, 1, 1), third(256, 14, 14, 256, 1024, 1, 1);
  if (has_hopper()) {
    Hopper hopper(-1, 0, 0);
    CHECK_EQUAL(asked(first, GR_BFLOAT16), 1);
    CHECK_EQUAL(asked(second, GR_FLOAT16), 1);
    CHECK_EQUAL(asked(third, GR_BFLOAT16), 0);
    CHECK_EQUAL(asked(first, GR_FLOAT32), 0);
    CHECK_EQUAL(asked(Shape(256, 56, 56, 64, 64, 3, 3).pad(1, 1), GR_BFLOAT16), 0);
    CHECK_EQUAL(asked(Shape(2, 9, 9, 64, 256, 1, 1), GR_BFLOAT16), 0);
  }
#if GRADUS_EMULATED
  CHECK_EQUAL(asked(first, GR_BFLOAT16), 0);
#endif
}
