// Convolutions as the kernels see them: sums over windows of a source image, and the bands that the results are cut into.
#pragma once

#include <algorithm>
#include <cstdint>

#include "cpu/simd.h"
#include "gradus/conv.h"
#include "plugin/types.h"

namespace gradus::cpu::conv {

// The sizes of a call; `fits` tells whether the kernels can count with them.
struct Sizes : gr_conv {
  bool fits;
  int64_t cg = 0, og = 0;  // channels of a group

  explicit Sizes(const gr_conv& s) : gr_conv(s) {
    constexpr int64_t kLargest = int64_t(1) << 30;
    fits = true;
    for (int64_t v : {n, h, w, c, o, pad_h, pad_w, oh, ow}) fits = fits && v >= 0 && v < kLargest;
    for (int64_t v : {kh, kw, stride_h, stride_w, dilation_h, dilation_w, groups}) fits = fits && v >= 1 && v < kLargest;
    fits = fits && (activation == GR_ACTIVATION_NONE || activation == GR_ACTIVATION_RELU);
    fits = fits && groups <= 16383 && c % groups == 0 && o % groups == 0;
    if (!fits) return;
    cg = c / groups, og = o / groups;
    // Places within an image with its border are counted in 31 bits, and so are pixels and weights, as on every plug-in.
    double high = double(std::max(h, oh)) + 2 * double(pad_h) + double(kh) * double(dilation_h);
    double wide = double(std::max(w, ow)) + 2 * double(pad_w) + double(kw) * double(dilation_w);
    double in = double(n) * double(h) * double(w), out = double(n) * double(oh) * double(ow);
    double weights = double(o + 8 * groups) * double(kh) * double(kw) * double(cg + 8);
    for (double size : {high * wide * double(std::max(c, o)), in, out, weights}) fits = fits && size < 0x1p31 - 0x1p20;
  }

  int64_t taps() const { return kh * kw; }
  int64_t weights() const { return o * taps() * cg; }
  int64_t out_pixels() const { return n * oh * ow; }
  bool depthwise() const { return cg == 1 && og == 1 && groups > 1; }
};

// Result (i, j) of a grid rows x columns sums over taps (u, v): it reads the source, 0 outside of its borders, at
// (origin + i stride + u step), and goes to (place + i place_step) of an image place_height x place_width.
struct Window {
  int64_t images, groups;
  int64_t height, width, channels;  // of the source; a group has channels / groups
  int64_t taps_h, taps_w, step_h, step_w, origin_h, origin_w, stride_h, stride_w;
  int64_t rows, columns;
  int64_t results;  // a pixel has; a group has results / groups
  int64_t place_height, place_width, place_h, place_w, place_step_h, place_step_w;

  int64_t taps() const { return taps_h * taps_w; }
  int64_t group_channels() const { return channels / groups; }
  int64_t group_results() const { return results / groups; }
  int64_t depth() const { return taps() * group_channels(); }
  int64_t pixels() const { return images * rows * columns; }
  // Source rows under so many rows of the grid.
  int64_t high(int64_t n) const { return taps_h == 0 ? 0 : (n - 1) * stride_h + (taps_h - 1) * step_h + 1; }
  int64_t wide(int64_t n) const { return taps_w == 0 ? 0 : (n - 1) * stride_w + (taps_w - 1) * step_w + 1; }
  // No window leaves the source.
  bool inside() const {
    return origin_h >= 0 && origin_w >= 0 && origin_h + high(rows) <= height && origin_w + wide(columns) <= width;
  }
};

inline Window forward_window(const Sizes& s) {
  Window v{};
  v.images = s.n, v.groups = s.groups;
  v.height = s.h, v.width = s.w, v.channels = s.c;
  v.taps_h = s.kh, v.taps_w = s.kw, v.step_h = s.dilation_h, v.step_w = s.dilation_w;
  v.origin_h = -s.pad_h, v.origin_w = -s.pad_w, v.stride_h = s.stride_h, v.stride_w = s.stride_w;
  v.rows = s.oh, v.columns = s.ow, v.results = s.o;
  v.place_height = s.oh, v.place_width = s.ow, v.place_step_h = v.place_step_w = 1;
  return v;
}

// One dimension of the rows i of gradX with (i + pad) % stride == residue. They read the taps u with
// u dilation % stride == residue, one in every stride / gcd(stride, dilation), from row (i + pad - u dilation) / stride of gradY.
// Taps are counted from the last one here, so that they step upwards.
struct Residue {
  int64_t first, count;                  // rows of gradX
  int64_t taps, last_tap, tap_step;      // rows of the kernel
  int64_t origin, step;                  // rows of gradY: of the first row of gradX under the last tap, and from tap to tap

  Residue(int64_t residue, int64_t size, int64_t kernel, int64_t stride, int64_t pad, int64_t dilation) {
    first = ((residue - pad) % stride + stride) % stride;
    count = first < size ? (size - 1 - first) / stride + 1 : 0;
    int64_t a = stride, b = dilation;
    while (b != 0) {
      int64_t rest = a % b;
      a = b, b = rest;
    }
    tap_step = stride / a;
    int64_t tap = 0;
    while (tap < kernel && tap < tap_step && tap * dilation % stride != residue) tap++;
    taps = tap < kernel && tap < tap_step ? (kernel - 1 - tap) / tap_step + 1 : 0;
    last_tap = tap + (taps - 1) * tap_step;
    origin = taps == 0 ? 0 : (first + pad - last_tap * dilation) / stride;  // exact
    step = tap_step * dilation / stride;
  }
};

// The windows of one residue class of the product backward to the input.
struct BackwardClass {
  Residue h, w;
  Window window;

  BackwardClass(const Sizes& s, int64_t residue_h, int64_t residue_w)
      : h(residue_h, s.h, s.kh, s.stride_h, s.pad_h, s.dilation_h), w(residue_w, s.w, s.kw, s.stride_w, s.pad_w, s.dilation_w) {
    Window v{};
    v.images = s.n, v.groups = s.groups;
    v.height = s.oh, v.width = s.ow, v.channels = s.o;
    bool any = h.taps > 0 && w.taps > 0;
    v.taps_h = any ? h.taps : 0, v.taps_w = any ? w.taps : 0, v.step_h = h.step, v.step_w = w.step;
    v.origin_h = h.origin, v.origin_w = w.origin, v.stride_h = v.stride_w = 1;
    v.rows = h.count, v.columns = w.count, v.results = s.c;
    v.place_height = s.h, v.place_width = s.w, v.place_h = h.first, v.place_w = w.first;
    v.place_step_h = s.stride_h, v.place_step_w = s.stride_w;
    window = v;
  }

  // Which tap of the kernel the window's tap k is.
  int64_t tap(const Sizes& s, int64_t k) const {
    const int64_t u = h.last_tap - k / window.taps_w * h.tap_step, v = w.last_tap - k % window.taps_w * w.tap_step;
    return u * s.kw + v;
  }
};

// A rectangle of a grid, of one image or of several whole ones.
struct Band {
  int64_t image, row, column, images, rows, columns;

  int64_t pixels() const { return images * rows * columns; }
  bool same_size(const Band& b) const { return images == b.images && rows == b.rows && columns == b.columns; }
};

// The bands of all images, each of about so many pixels.
class Bands {
 public:
  Bands(const Window& w, int64_t pixels) : window_(w) {
    int64_t columns = std::max<int64_t>(1, w.columns), rows = std::max<int64_t>(1, w.rows);
    across_ = divide_up(columns, std::max<int64_t>(pixels, 16));
    columns_ = divide_up(columns, across_);
    across_ = divide_up(columns, columns_);
    down_ = divide_up(rows, std::max<int64_t>(1, pixels / columns_));
    rows_ = divide_up(rows, down_);
    down_ = divide_up(rows, rows_);
    images_ = 1;
    if (across_ * down_ > 1) return;
    int64_t elements = std::max<int64_t>(1, (w.height + w.high(rows)) * (w.width + w.wide(columns)) * w.channels);
    images_ = std::max<int64_t>(1, std::min({pixels / (rows_ * columns_), kMostElements / elements, w.images}));
  }

  int64_t count() const { return window_.pixels() == 0 ? 0 : divide_up(window_.images, images_) * down_ * across_; }
  int64_t pixels() const { return images_ * rows_ * columns_; }  // of a band, at most
  bool whole_rows() const { return across_ == 1; }
  Band operator[](int64_t i) const {
    Band b;
    b.column = i % across_ * columns_;
    b.row = i / across_ % down_ * rows_;
    b.image = i / across_ / down_ * images_;
    b.images = std::min(images_, window_.images - b.image);
    b.rows = std::min(rows_, window_.rows - b.row);
    b.columns = std::min(columns_, window_.columns - b.column);
    return b;
  }

 private:
  static constexpr int64_t kMostElements = 1 << 22;  // of the images of a band

  Window window_;
  int64_t across_, down_, columns_, rows_, images_;
};

// The channels of results as blocks of vectors, as many as a register tile has; the last vector may be part filled.
template <class A>
struct Blocks {
  static constexpr int kMost = kRegisters >= 32 ? 4 : 2;
  int64_t results, vectors, count;

  explicit Blocks(int64_t n) : results(n), vectors(divide_up(n, lanes_of<A>)), count(divide_up(vectors, kMost)) {}
  int64_t first(int64_t block) const { return vectors * block / count; }  // vector
  int width(int64_t block) const { return int(first(block + 1) - first(block)); }
  // Lanes of a block that hold results.
  int64_t lanes(int64_t block) const { return std::min(results, first(block + 1) * lanes_of<A>) - first(block) * lanes_of<A>; }
  int64_t padded() const { return vectors * lanes_of<A>; }
};

}  // namespace gradus::cpu::conv
