// Augmentation and normalisation of images against a loop that follows the header word by word.

#include "gradus/image.h"

#include "device/philox.h"
#include "kernels/arrays.h"

using gradus::bfloat16;
using gradus::float16;
using gradus::philox;
using test::Array;

namespace {

constexpr int64_t kSeed = 0x1234567890ABCDEF, kBase = 77;

Array<uint8_t> pixels(int64_t n) {
  Array<uint8_t> out(n);
  for (int64_t i = 0; i < n; i++) out.set(i, double((i * 151 + i / 7 * 13) % 256));
  return out;
}

float value(int pixel, float mean, float inv_std) {
  volatile float quotient = float(pixel) / 255.0f;
  volatile float centred = quotient - mean;
  return centred * inv_std;
}

int64_t below(uint32_t word, int64_t n) { return int64_t(uint64_t(word) * uint64_t(n) >> 32); }

// Reflection one step at a time.
int64_t reflected(int64_t i, int64_t extent) {
  if (extent == 1) return 0;
  while (i < 0 || i >= extent) i = i < 0 ? -i : 2 * (extent - 1) - i;
  return i;
}

template <class T>
void check_augment(gr_augment a, int64_t count, bool scaling = true, int64_t shift = 0) {
  auto images = pixels(count * a.height * a.width * a.channels);
  Array<int64_t> index(a.batch), rng(2);
  for (int64_t s = 0; s < a.batch; s++) index.set(s, double((s * 5 + 1) % count));
  reinterpret_cast<int64_t*>(rng.address())[0] = kSeed;
  rng.set(1, kBase);
  auto mean = Array<float>::random(a.channels, 1, 0.3, 0.6), inv_std = Array<float>::random(a.channels, 2, 2, 5);
  int64_t elements = a.out_height * a.out_width * a.channels;
  Array<T> y(a.batch * elements + shift, 9);
  bool random = a.crop || a.flip || a.translate || a.cutout;
  CALL(gr_image_augment(images.address(), index.address(), scaling ? mean.address() : 0, scaling ? inv_std.address() : 0,
                        random ? rng.address() : 0, y.address() + shift * int64_t(sizeof(T)),
                        int64_t(reinterpret_cast<uintptr_t>(&a)), y.dtype(), 0));
  for (int64_t s = 0; s < a.batch; s++) {
    auto low = philox(kSeed, uint64_t(kBase + a.number), uint64_t(2 * s));
    auto high = philox(kSeed, uint64_t(kBase + a.number), uint64_t(2 * s + 1));
    int64_t spare_h = a.height + 2 * a.padding - a.out_height, spare_w = a.width + 2 * a.padding - a.out_width;
    int64_t top = a.crop ? below(low.word[0], spare_h + 1) : spare_h / 2;
    int64_t left = a.crop ? below(low.word[1], spare_w + 1) : spare_w / 2;
    int64_t down = a.translate ? below(low.word[2], 2 * a.translate + 1) - a.translate : 0;
    int64_t right = a.translate ? below(low.word[3], 2 * a.translate + 1) - a.translate : 0;
    bool mirrored = a.flip && high.word[0] >> 31;
    int64_t centre_row = below(high.word[1], a.out_height), centre_column = below(high.word[2], a.out_width);
    for (int64_t e = 0; e < elements; e++) {
      int64_t c = e % a.channels, j = e / a.channels % a.out_width, i = e / a.channels / a.out_width;
      int64_t row = i + top - a.padding - down, column = (mirrored ? a.out_width - 1 - j : j) + left - a.padding - right;
      if (a.reflect) {
        row = reflected(row, a.height);
        column = reflected(column, a.width);
      }
      bool inside = row >= 0 && row < a.height && column >= 0 && column < a.width;
      int pixel = inside ? images.raw(((int64_t(index[s]) * a.height + row) * a.width + column) * a.channels + c) : 0;
      double expected = scaling ? value(pixel, float(mean[c]), float(inv_std[c])) : value(pixel, 0, 1);
      int64_t r = i - (centre_row - a.cutout / 2), q = j - (centre_column - a.cutout / 2);
      if (a.cutout && r >= 0 && r < a.cutout && q >= 0 && q < a.cutout) expected = 0;
      CHECK_EQUAL(y[shift + s * elements + e], test::wide(test::narrow<T>(expected)));
    }
  }
  if (shift > 0) CHECK_EQUAL(y[0], 9.0);
}

gr_augment sizes(int64_t batch, int64_t h, int64_t w, int64_t c, int64_t out_h, int64_t out_w, int64_t padding) {
  gr_augment a{};
  a.batch = batch;
  a.height = h;
  a.width = w;
  a.channels = c;
  a.out_height = out_h;
  a.out_width = out_w;
  a.padding = padding;
  a.number = 11;
  return a;
}

template <class T>
void check_augments() {
  for (int reflect : {0, 1}) {
    for (int parts = 0; parts < 16; parts++) {
      gr_augment a = sizes(3, 10, 8, 3, 9, 12, 3);
      a.reflect = reflect;
      a.crop = parts & 1;
      a.flip = parts >> 1 & 1;
      a.translate = parts & 4 ? 4 : 0;
      a.cutout = parts & 8 ? 5 : 0;
      check_augment<T>(a, 4);
    }
  }
  gr_augment large = sizes(2, 40, 36, 3, 40, 36, 4);  // several blocks of a sample
  large.crop = large.flip = large.reflect = 1;
  large.cutout = 8;
  check_augment<T>(large, 3);
  gr_augment grey = sizes(5, 7, 5, 1, 7, 5, 0);  // no whole packs
  grey.flip = 1;
  check_augment<T>(grey, 2, false);
  gr_augment one = sizes(1, 1, 1, 1, 3, 3, 1);
  one.reflect = 1;
  check_augment<T>(one, 1);
  gr_augment far = sizes(4, 3, 2, 4, 11, 12, 5);  // reflected to and fro
  far.reflect = far.crop = 1;
  far.translate = 9;
  check_augment<T>(far, 2);
  check_augment<T>(sizes(2, 8, 8, 4, 8, 8, 0), 2, true, 1);
}

TEST(augment_float32) { check_augments<float>(); }
TEST(augment_bfloat16) { check_augments<bfloat16>(); }
TEST(augment_float16) { check_augments<float16>(); }

template <class T>
void check_normalise(int64_t n, int64_t channels, int64_t image_shift = 0, int64_t shift = 0) {
  auto images = pixels(n * channels + image_shift);
  auto mean = Array<float>::random(channels, 1, 0.3, 0.6), inv_std = Array<float>::random(channels, 2, 2, 5);
  Array<T> y(n * channels + shift, 9);
  CALL(gr_image_normalise(images.address() + image_shift, mean.address(), inv_std.address(),
                          y.address() + shift * int64_t(sizeof(T)), n, channels, y.dtype(), 0));
  for (int64_t i = 0; i < n * channels; i++) {
    float expected = value(images.raw(i + image_shift), float(mean[i % channels]), float(inv_std[i % channels]));
    CHECK_EQUAL(y[i + shift], test::wide(test::narrow<T>(double(expected))));
  }
}

template <class T>
void check_normalises() {
  check_normalise<T>(1, 1);
  check_normalise<T>(5, 3);
  check_normalise<T>(1024, 3);
  check_normalise<T>(301, 4);
  check_normalise<T>(64, 1, 1);
  check_normalise<T>(64, 3, 0, 1);
}

TEST(normalise) {
  check_normalises<float>();
  check_normalises<bfloat16>();
  check_normalises<float16>();
}

// The division by 255 is correctly rounded for every byte.
TEST(every_byte) {
  auto images = Array<uint8_t>(256);
  for (int i = 0; i < 256; i++) images.set(i, i);
  Array<float> y(256);
  CALL(gr_image_normalise(images.address(), 0, 0, y.address(), 256, 1, GR_FLOAT32, 0));
  for (int i = 0; i < 256; i++) CHECK_EQUAL(y[i], double(float(i) / 255.0f));
}

TEST(nothing_to_do_and_nothing_for_it) {
  gr_augment none = sizes(0, 4, 4, 3, 4, 4, 0);
  auto address = int64_t(reinterpret_cast<uintptr_t>(&none));
  CALL(gr_image_augment(0, 0, 0, 0, 0, 0, address, GR_FLOAT32, 0));
  CALL(gr_image_normalise(0, 0, 0, 0, 0, 3, GR_FLOAT32, 0));
  none.batch = 1;
  CHECK_EQUAL(gr_image_augment(0, 0, 0, 0, 0, 0, address, GR_INT32, 0), int(GR_UNSUPPORTED));
  none.height = int64_t(1) << 28;
  CHECK_EQUAL(gr_image_augment(0, 0, 0, 0, 0, 0, address, GR_FLOAT32, 0), int(GR_UNSUPPORTED));
}

}  // namespace
