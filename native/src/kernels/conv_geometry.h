// Convolution as matrix multiplication without the matrix: how rows, columns and depths of the three products become addresses.
//
//   forward         y[pixel, o]            = sum over (tap, channel) of x[window(pixel, tap), channel] w[o, (tap, channel)]
//   backward input  gradX[pixel, channel]  = sum over (tap, o) of gradY[window(pixel, tap), o] w[(tap, o), channel]
//   backward weight gradW[o, (tap, channel)] = sum over pixels of gradY[pixel, o] x[window(pixel, tap), channel]
//
// With a stride, the pixels of gradX fall into residue classes modulo the stride; those of one class read the same taps, densely,
// from consecutive pixels of gradY. Each class is a product of its own, and all of them together multiply no inserted zeros.
//
// An operand is an object with two kinds of state, decoded apart: row(r) once per block, depth(k) once per slice; at(row, depth)
// is then the address of an element, or null where the operand is 0. kMajor says along which of the two neighbours lie in memory.
#pragma once

#include <algorithm>
#include <cstdint>
#include <initializer_list>

#include "device/fast_divide.h"
#include "device/mma_pipeline.h"
#include "gradus/conv.h"
#include "kernels/launcher.h"

namespace gradus::conv {

// A coordinate that no offset brings back into an image; the sum of two of them does not overflow.
constexpr int kOutside = -(1 << 30);

// Which pixels of an image a pixel of the result reads, and where that pixel lies in the result.
struct Window {
  int height, width;         // of the image that is read
  int stride_h, stride_w;    // its rows from one result pixel to the next
  int origin_h, origin_w;    // its row that tap 0 of result pixel 0 reads
  int step_h, step_w;        // its rows from one tap to the next
  int taps_h;
  FastDivide taps_w;
  int pixels;                // result pixels of all images
  FastDivide area, columns;  // of one image; of one row
  // Result row i is row place_h + i place_stride_h.
  int place_height, place_width, place_h, place_w, place_stride_h, place_stride_w;
  int tap_h, tap_w, tap_stride_h, tap_stride_w;  // tap i is row tap_h + i tap_stride_h of the kernel

  GRADUS_HOST_DEVICE int taps() const { return taps_h * taps_w.divisor(); }
  // Number of a result pixel among all pixels of the result.
  GRADUS_DEVICE int64_t place(int pixel) const {
    int rest, column;
    int image = area.divide(pixel, rest);
    int row = columns.divide(rest, column);
    return (int64_t(image) * place_height + place_h + row * place_stride_h) * place_width + place_w + column * place_stride_w;
  }
};

// Patches of an image [n, height, width, pitch]: pixels against (tap, channel). The group starts at `image`.
template <class T>
struct Patches {
  struct Pixel {
    int index, row, column;  // of what tap 0 reads
  };
  struct Tap {
    const T* from;
    int index, row, column;
  };

  const T* image;
  int pitch, depth;     // depth: taps times channels
  FastDivide channels;  // of the group
  const Window& window;
  const Window& common;  // the same in what residue classes share: known without an index to the compiler

  GRADUS_DEVICE const T* base() const { return image; }
  GRADUS_DEVICE Pixel pixel(int p) const {
    if (p >= window.pixels) return {0, kOutside, kOutside};
    int rest, column;
    int i = window.area.divide(p, rest);
    int row = window.columns.divide(rest, column) * common.stride_h + window.origin_h;
    column = column * common.stride_w + window.origin_w;
    return {(i * common.height + row) * common.width + column, row, column};
  }
  GRADUS_DEVICE Tap tap(int k) const {
    if (k >= depth) return {image, 0, kOutside, kOutside};
    int channel, column;
    int row = window.taps_w.divide(channels.divide(k, channel), column) * common.step_h;
    column *= common.step_w;
    return {image + channel, row * common.width + column, row, column};
  }
  GRADUS_DEVICE const T* at(const Pixel& p, const Tap& t) const {
    bool inside = unsigned(p.row + t.row) < unsigned(common.height) && unsigned(p.column + t.column) < unsigned(common.width);
    return inside ? t.from + int64_t(p.index + t.index) * pitch : nullptr;
  }
};

template <class T>
struct PatchesByPixel : Patches<T> {  // rows are pixels
  static constexpr Major kMajor = Major::k;
  using Row = typename Patches<T>::Pixel;
  using Depth = typename Patches<T>::Tap;
  GRADUS_DEVICE Row row(int r) const { return this->pixel(r); }
  GRADUS_DEVICE Depth depth(int k) const { return this->tap(k); }
};

template <class T>
struct PatchesByTap : Patches<T> {  // rows are (tap, channel)
  static constexpr Major kMajor = Major::mn;
  using Row = typename Patches<T>::Tap;
  using Depth = typename Patches<T>::Pixel;
  GRADUS_DEVICE Row row(int r) const { return this->tap(r); }
  GRADUS_DEVICE Depth depth(int k) const { return this->pixel(k); }
  GRADUS_DEVICE const T* at(const Row& t, const Depth& p) const { return Patches<T>::at(p, t); }
};

// Weights [o, (tap, channel)] of a group: rows are output channels.
template <class T>
struct WeightsByOutput {
  static constexpr Major kMajor = Major::k;
  using Row = int;
  using Depth = int;
  const T* w;
  int rows, depths;
  GRADUS_DEVICE const T* base() const { return w; }
  GRADUS_DEVICE Row row(int r) const { return r; }  // rows a constant apart need one register
  GRADUS_DEVICE Depth depth(int k) const { return k; }
  GRADUS_DEVICE const T* at(Row r, Depth k) const { return r < rows && k < depths ? w + (r * depths + k) : nullptr; }
};

// The same, rows are input channels, depths (tap, output channel). `outputs` divides depths, `present` of them exist.
template <class T>
struct WeightsByInput {
  static constexpr Major kMajor = Major::mn;
  using Row = int;
  using Depth = const T*;
  const T* w;
  int rows, depths, present, kernel_w, kernel_area;
  FastDivide outputs;
  const Window& window;
  const Window& common;
  GRADUS_DEVICE const T* base() const { return w; }
  GRADUS_DEVICE Row row(int r) const { return r < rows ? r : -1; }
  GRADUS_DEVICE Depth depth(int k) const {
    int o, column;
    int row = window.taps_w.divide(outputs.divide(k, o), column) * common.tap_stride_h + window.tap_h;
    column = column * common.tap_stride_w + window.tap_w;
    return k < depths && o < present ? w + (int64_t(o) * kernel_area + row * kernel_w + column) * rows : nullptr;
  }
  GRADUS_DEVICE const T* at(Row r, Depth k) const { return r >= 0 && k != nullptr ? k + r : nullptr; }
};

// An image as the matrix [pixel, channel]: rows are channels of the group, depths pixels.
template <class T>
struct Channels {
  static constexpr Major kMajor = Major::mn;
  using Row = int;
  using Depth = const T*;
  const T* image;
  int rows, pitch, pixels;
  GRADUS_DEVICE const T* base() const { return image; }
  GRADUS_DEVICE Row row(int r) const { return r < rows ? r : -1; }
  GRADUS_DEVICE Depth depth(int k) const { return k < pixels ? image + int64_t(k) * pitch : nullptr; }
  GRADUS_DEVICE const T* at(Row r, Depth k) const { return r >= 0 && k != nullptr ? k + r : nullptr; }
};

// What happens to the elements of a product.
template <class T>
struct Epilogue {
  using Acc = accumulator_t<T>;
  const T* bias;      // of a column
  const T* residual;  // like the result
  T* result;
  int relu, accumulate;

  GRADUS_DEVICE static Acc relu_of(Acc v) { return v <= Acc(0) ? Acc(0) : v; }  // NaN stays

  // Of one element.
  GRADUS_DEVICE T finished(Acc sum, int64_t index, int64_t column) const {
    if (bias != nullptr) sum += to_float(bias[column]);
    if (residual != nullptr) sum += to_float(residual[index]);
    if (relu) sum = relu_of(sum);
    if (accumulate) sum += to_float(result[index]);
    return from_accumulator<T>(sum);
  }
};

// Products of this many residue classes run in one launch: all of them for a stride of 2.
constexpr int kClasses = 4;

// The three products. Block z of the grid is (group, class) or (group, split). pitch is that of a pixel, `channels` those of a
// group: more than the tensor's own where the operand is a copy padded with zeros.
template <class T>
struct Forward {
  using A = PatchesByPixel<T>;
  using B = WeightsByOutput<T>;
  using Element = T;
  using Acc = accumulator_t<T>;
  static constexpr bool kStatistics = true, kSplits = false, kReadsImage = true;
  const T* x;
  const T* w;
  Epilogue<T> epilogue;
  Window window;
  FastDivide channels;
  int pitch, outputs, out_pitch, depths;
  bool vector;  // eight neighbouring columns from a multiple of eight on are neighbours in an aligned result

  GRADUS_DEVICE int rows(int) const { return window.pixels; }
  GRADUS_DEVICE int columns() const { return outputs; }
  GRADUS_DEVICE int first_depth(int) const { return 0; }
  GRADUS_DEVICE int last_depth(int) const { return depths; }
  GRADUS_DEVICE A a(int z) const { return {{x + int64_t(z) * channels.divisor(), pitch, depths, channels, window, window}}; }
  GRADUS_DEVICE B b(int z) const { return {w + int64_t(z) * outputs * depths, outputs, depths}; }
  // Offsets into the result; a negative one is not stored.
  GRADUS_DEVICE int64_t row_offset(int r, int) const { return r < window.pixels ? int64_t(r) * out_pitch : -1; }
  GRADUS_DEVICE int column_offset(int c, int z) const { return c < outputs ? z * outputs + c : -1; }
};

template <class T>
struct BackwardInput {
  using A = PatchesByPixel<T>;
  using B = WeightsByInput<T>;
  using Element = T;
  using Acc = accumulator_t<T>;
  static constexpr bool kStatistics = false, kSplits = false, kReadsImage = false;
  const T* grad_y;
  const T* w;
  Epilogue<T> epilogue;
  Window window[kClasses];
  FastDivide classes, outputs;
  int pitch, channels, kept, out_pitch, present, kernel_w, kernel_area;  // kept: channels of the result
  bool vector;

  GRADUS_DEVICE int group(int z) const { return classes.quotient(z); }
  GRADUS_DEVICE const Window& at(int z) const { return window[z - group(z) * classes.divisor()]; }
  GRADUS_DEVICE int rows(int z) const { return at(z).pixels; }
  GRADUS_DEVICE int columns() const { return kept; }
  GRADUS_DEVICE int first_depth(int) const { return 0; }
  GRADUS_DEVICE int last_depth(int z) const { return at(z).taps() * outputs.divisor(); }
  GRADUS_DEVICE A a(int z) const {
    return {{grad_y + int64_t(group(z)) * outputs.divisor(), pitch, last_depth(z), outputs, at(z), window[0]}};
  }
  GRADUS_DEVICE B b(int z) const {
    const T* weights = w + int64_t(group(z)) * present * kernel_area * channels;
    return {weights, channels, last_depth(z), present, kernel_w, kernel_area, outputs, at(z), window[0]};
  }
  GRADUS_DEVICE int64_t row_offset(int r, int z) const { return r < at(z).pixels ? at(z).place(r) * out_pitch : -1; }
  GRADUS_DEVICE int column_offset(int c, int z) const { return c < kept ? group(z) * kept + c : -1; }
};

template <class T>
struct BackwardWeight {
  using A = Channels<T>;
  using B = PatchesByTap<T>;
  using Element = T;
  using Acc = accumulator_t<T>;
  static constexpr bool kStatistics = false, kSplits = true, kReadsImage = true;
  const T* x;
  const T* grad_y;
  Epilogue<T> epilogue;
  accumulator_t<T>* partial;  // [split, o, kernel, channels], or null with a single split
  Window window;
  FastDivide channels, splits;
  int pitch, grad_pitch, grad_channels, outputs, kept, split_depth;  // kept: channels of the result
  int64_t weights;  // elements of the result
  bool vector;

  GRADUS_DEVICE int group(int z) const { return splits.quotient(z); }
  GRADUS_DEVICE int split(int z) const { return z - group(z) * splits.divisor(); }
  GRADUS_DEVICE int rows(int) const { return outputs; }
  GRADUS_DEVICE int columns() const { return window.taps() * channels.divisor(); }
  GRADUS_DEVICE int first_depth(int z) const { return split(z) * split_depth; }
  GRADUS_DEVICE int last_depth(int z) const { return min(window.pixels, first_depth(z) + split_depth); }
  GRADUS_DEVICE A a(int z) const {
    return {grad_y + int64_t(group(z)) * grad_channels, grad_channels, grad_pitch, last_depth(z)};
  }
  GRADUS_DEVICE B b(int z) const {
    return {{x + int64_t(group(z)) * channels.divisor(), pitch, columns(), channels, window, window}};
  }
  GRADUS_DEVICE int64_t row_offset(int r, int z) const {
    return r < outputs ? (int64_t(group(z)) * outputs + r) * window.taps() * kept : -1;
  }
  GRADUS_DEVICE int column_offset(int c, int) const {
    int channel;
    int tap = channels.divide(c, channel);
    return c < columns() && channel < kept ? tap * kept + channel : -1;
  }
};

// Sizes as the kernels count them; `fits` tells whether they do.
struct Sizes {
  int n, h, w, c, o, kh, kw, stride_h, stride_w, pad_h, pad_w, dilation_h, dilation_w, groups, oh, ow;
  int relu, precision, accumulate;
  bool wide_weights;
  int cg, og;  // channels of a group
  bool fits;

  explicit Sizes(const gr_conv& s) {
    fits = true;
    auto size = [&](int64_t v, int64_t least) {
      fits = fits && v >= least && v < (1 << 30);
      return int(v);
    };
    n = size(s.n, 0), h = size(s.h, 0), w = size(s.w, 0), c = size(s.c, 0);
    o = size(s.o, 0), kh = size(s.kh, 1), kw = size(s.kw, 1);
    stride_h = size(s.stride_h, 1), stride_w = size(s.stride_w, 1), pad_h = size(s.pad_h, 0), pad_w = size(s.pad_w, 0);
    dilation_h = size(s.dilation_h, 1), dilation_w = size(s.dilation_w, 1), groups = size(s.groups, 1);
    oh = size(s.oh, 0), ow = size(s.ow, 0);
    relu = s.activation == GR_ACTIVATION_RELU, precision = int(s.precision), accumulate = s.accumulate != 0;
    wide_weights = s.wide_weights != 0;
    fits = fits && (s.activation == GR_ACTIVATION_NONE || relu != 0) && c % groups == 0 && o % groups == 0;
    if (!fits) return;
    cg = c / groups, og = o / groups;
    // Pixels (with those that windows reach beyond the border) and weights (with room for channels padded to 8) are counted in 31
    // bits, less the overhang of tiles and splits; elements are not.
    auto product = [](std::initializer_list<int64_t> factors) {
      double p = 1;
      for (int64_t f : factors) p *= double(f);
      return p;
    };
    int64_t wide = int64_t(w) + pad_w + int64_t(kw) * dilation_w, high = int64_t(pad_h) + int64_t(kh) * dilation_h;
    for (double p : {product({n, h, w}) + product({high, wide}), product({n, oh, ow}) + product({high, wide}),
                     product({o + 8 * int64_t(groups), kh, kw, cg + 8})}) {
      fits = fits && p < 0x1p31 - 0x1p20;
    }
  }

  int64_t in_pixels() const { return int64_t(n) * h * w; }
  int64_t out_pixels() const { return int64_t(n) * oh * ow; }
  int taps() const { return kh * kw; }
  int64_t weights() const { return int64_t(o) * taps() * cg; }
};

// The window of the forward product.
inline Window forward_window(const Sizes& s) {
  Window v{};
  v.height = s.h, v.width = s.w;
  v.stride_h = s.stride_h, v.stride_w = s.stride_w;
  v.origin_h = -s.pad_h, v.origin_w = -s.pad_w;
  v.step_h = s.dilation_h, v.step_w = s.dilation_w;
  v.taps_h = s.kh, v.taps_w = FastDivide(s.kw);
  v.pixels = int(s.out_pixels());
  v.area = FastDivide(std::max(1, s.oh * s.ow)), v.columns = FastDivide(std::max(1, s.ow));
  v.place_height = s.oh, v.place_width = s.ow, v.place_stride_h = v.place_stride_w = 1;
  v.tap_stride_h = v.tap_stride_w = 1;
  return v;
}

// One dimension of the residue class of the rows i with (i + pad) % stride == residue. They read the taps u with
// u dilation % stride == residue, of which there is one in every stride / gcd(stride, dilation), from row
// (i + pad - u dilation) / stride.
struct Residue {
  int first, count;          // rows of the result
  int tap, tap_step, taps;   // rows of the kernel
  int origin, step;          // rows of gradY: of the first tap and row, and from tap to tap
};

inline Residue residue_of(int residue, int size, int kernel, int stride, int pad, int dilation) {
  Residue r{};
  r.first = ((residue - pad) % stride + stride) % stride;
  r.count = r.first < size ? (size - 1 - r.first) / stride + 1 : 0;
  int a = stride, b = dilation;
  while (b != 0) {
    int rest = a % b;
    a = b, b = rest;
  }
  r.tap_step = stride / a;
  while (r.tap < kernel && r.tap < r.tap_step && int64_t(r.tap) * dilation % stride != residue) r.tap++;
  r.taps = r.tap < kernel && r.tap < r.tap_step ? (kernel - 1 - r.tap) / r.tap_step + 1 : 0;
  r.origin = int((r.first + pad - int64_t(r.tap) * dilation) / stride);
  r.step = -int(int64_t(r.tap_step) * dilation / stride);
  return r;
}

// The window of a residue class of the product backward to the input.
inline Window backward_window(const Sizes& s, int residue_h, int residue_w) {
  Residue a = residue_of(residue_h, s.h, s.kh, s.stride_h, s.pad_h, s.dilation_h);
  Residue b = residue_of(residue_w, s.w, s.kw, s.stride_w, s.pad_w, s.dilation_w);
  Window v{};
  v.height = s.oh, v.width = s.ow;
  v.stride_h = v.stride_w = 1;
  v.origin_h = a.origin, v.origin_w = b.origin;
  v.step_h = a.step, v.step_w = b.step;
  v.taps_h = b.taps == 0 ? 0 : a.taps, v.taps_w = FastDivide(std::max(1, b.taps));
  v.pixels = s.n * a.count * b.count;
  v.area = FastDivide(std::max(1, a.count * b.count)), v.columns = FastDivide(std::max(1, b.count));
  v.place_height = s.h, v.place_width = s.w;
  v.place_h = a.first, v.place_w = b.first, v.place_stride_h = s.stride_h, v.place_stride_w = s.stride_w;
  v.tap_h = a.tap, v.tap_w = b.tap, v.tap_stride_h = a.tap_step, v.tap_stride_w = b.tap_step;
  return v;
}

}  // namespace gradus::conv
