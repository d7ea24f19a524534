// A convolution's sizes for tests, and every product of it.
#pragma once

#include <string>

#include "gradus/conv.h"

namespace test {

struct Shape : gr_conv {
  Shape(int64_t n_, int64_t h_, int64_t w_, int64_t c_, int64_t o_, int64_t kh_, int64_t kw_) : gr_conv{} {
    n = n_, h = h_, w = w_, c = c_, o = o_, kh = kh_, kw = kw_;
    stride_h = stride_w = dilation_h = dilation_w = groups = 1;
    sized();
  }
  Shape& stride(int64_t a, int64_t b) { return stride_h = a, stride_w = b, sized(); }
  Shape& pad(int64_t a, int64_t b) { return pad_h = a, pad_w = b, sized(); }
  Shape& dilate(int64_t a, int64_t b) { return dilation_h = a, dilation_w = b, sized(); }
  Shape& grouped(int64_t g) { return groups = g, *this; }
  Shape& with(gr_precision p) { return precision = p, *this; }
  Shape& sized() {
    auto extent = [](int64_t size, int64_t kernel, int64_t stride, int64_t pad, int64_t dilation) {
      int64_t room = size + 2 * pad - dilation * (kernel - 1) - 1;
      return room < 0 ? 0 : room / stride + 1;
    };
    oh = extent(h, kh, stride_h, pad_h, dilation_h);
    ow = extent(w, kw, stride_w, pad_w, dilation_w);
    return *this;
  }
  int64_t address() const { return int64_t(reinterpret_cast<uintptr_t>(static_cast<const gr_conv*>(this))); }
  int64_t cg() const { return c / groups; }
  int64_t x_size() const { return n * h * w * c; }
  int64_t y_size() const { return n * oh * ow * o; }
  int64_t w_size() const { return o * kh * kw * cg(); }
  std::string name() const {
    auto t = [](int64_t v) { return std::to_string(v); };
    std::string x = t(n) + "x" + t(h) + "x" + t(w) + "x" + t(c), kernel = t(o) + "x" + t(kh) + "x" + t(kw);
    return "x " + x + " w " + kernel + " stride " + t(stride_h) + " " + t(stride_w) + " groups " + t(groups);
  }

  // f(index of y, index of x, index of w) for every product of the convolution.
  template <class F>
  void each(F f) const {
    const int64_t og = o / groups;
    for (int64_t pixel = 0; pixel < n * oh * ow; pixel++) {
      const int64_t image = pixel / (oh * ow), i = pixel / ow % oh, j = pixel % ow;
      for (int64_t tap = 0; tap < kh * kw; tap++) {
        const int64_t row = i * stride_h + tap / kw * dilation_h - pad_h, column = j * stride_w + tap % kw * dilation_w - pad_w;
        if (row < 0 || row >= h || column < 0 || column >= w) continue;
        const int64_t x = ((image * h + row) * w + column) * c;
        for (int64_t a = 0; a < o; a++)
          for (int64_t k = 0; k < cg(); k++) f(pixel * o + a, x + a / og * cg() + k, (a * kh * kw + tap) * cg() + k);
      }
    }
  }
};

}  // namespace test
