// Pooling against loops over windows in float64.

#include "gradus/pool.h"

#include <algorithm>

#include "arrays.h"

using namespace test;
using gradus::bfloat16;
using gradus::float16;

namespace {

int64_t host(const gr_pool_shape& s) { return int64_t(reinterpret_cast<uintptr_t>(&s)); }

gr_pool_shape regular(int64_t n, int64_t h, int64_t w, int64_t c, int64_t kh, int64_t kw, int64_t sh, int64_t sw, int64_t ph,
                      int64_t pw) {
  return {n, h, w, c, (h + 2 * ph - kh) / sh + 1, (w + 2 * pw - kw) / sw + 1, kh, kw, sh, sw, ph, pw};
}

struct Range {
  int64_t from, to;
};
Range window(int64_t i, int64_t size, int64_t windows, int64_t kernel, int64_t stride, int64_t pad) {
  if (stride == 0) return {i * size / windows, ((i + 1) * size + windows - 1) / windows};
  return {std::max<int64_t>(0, i * stride - pad), std::min(size, i * stride - pad + kernel)};
}
Range rows(const gr_pool_shape& s, int64_t i) { return window(i, s.h, s.oh, s.kh, s.stride_h, s.pad_h); }
Range columns(const gr_pool_shape& s, int64_t j) { return window(j, s.w, s.ow, s.kw, s.stride_w, s.pad_w); }

gr_pool_shape adaptive(int64_t n, int64_t h, int64_t w, int64_t c, int64_t oh, int64_t ow) {
  gr_pool_shape s{n, h, w, c, oh, ow, 0, 0, 0, 0, 0, 0};
  for (int64_t i = 0; i < oh; i++) s.kh = std::max(s.kh, rows(s, i).to - rows(s, i).from);
  for (int64_t j = 0; j < ow; j++) s.kw = std::max(s.kw, columns(s, j).to - columns(s, j).from);
  return s;
}

// Calls f(output, input position row w + column, image) for every pixel of every window, in order; channel 0 of each.
template <class F>
void each(const gr_pool_shape& s, F&& f) {
  for (int64_t n = 0, o = 0; n < s.n; n++) {
    for (int64_t i = 0; i < s.oh; i++) {
      for (int64_t j = 0; j < s.ow; j++, o++) {
        Range r = rows(s, i), c = columns(s, j);
        double divisor = double((r.to - r.from) * (c.to - c.from));
        for (int64_t row = r.from; row < r.to; row++) {
          for (int64_t column = c.from; column < c.to; column++) f(n, o, row * s.w + column, divisor);
        }
      }
    }
  }
}

template <class T>
struct Max {
  std::vector<double> y;
  std::vector<int64_t> index;
};
template <class T>
Max<T> max_reference(const gr_pool_shape& s, const Array<T>& x, int64_t offset) {
  size_t outputs = size_t(s.n * s.oh * s.ow * s.c);
  Max<T> out{std::vector<double>(outputs), std::vector<int64_t>(outputs, -1)};
  each(s, [&](int64_t n, int64_t o, int64_t position, double) {
    for (int64_t k = 0; k < s.c; k++) {
      double v = x[offset + (n * s.h * s.w + position) * s.c + k];
      auto at = size_t(o * s.c + k);
      if (out.index[at] < 0 || v > out.y[at] || (std::isnan(v) && !std::isnan(out.y[at]))) {
        out.y[at] = v;
        out.index[at] = position;
      }
    }
  });
  return out;
}

template <class T>
void check_max(const gr_pool_shape& s, int64_t offset = 0, bool special = false) {
  int64_t inputs = s.n * s.h * s.w * s.c, outputs = s.n * s.oh * s.ow * s.c, shift = offset * int64_t(sizeof(T));
  Array<T> x = Array<T>::random(inputs + offset, 3), y(outputs + offset), grad_x(inputs + offset);
  for (int64_t i = 0; i < inputs + offset; i++) {
    if (i % 3 == 0) x.set(i, 0.5);  // many equals
    if (special && i % 17 == 0) x.set(i, NAN);
    if (special && i % 5 == 0) x.set(i, -INFINITY);
  }
  Array<int32_t> index(outputs);
  Max<T> expected = max_reference(s, x, offset);
  CALL(gr_max_pool2d_forward(x.address() + shift, y.address() + shift, index.address(), host(s), x.dtype(), 0));
  for (int64_t o = 0; o < outputs; o++) {
    CHECK_NEAR(y[offset + o], expected.y[size_t(o)], 0, 0);
    CHECK_EQUAL(int64_t(index[o]), expected.index[size_t(o)]);
  }
  Array<T> alone(outputs + offset);
  CALL(gr_max_pool2d_forward(x.address() + shift, alone.address() + shift, 0, host(s), x.dtype(), 0));
  for (int64_t o = 0; o < outputs; o++) CHECK_NEAR(alone[offset + o], y[offset + o], 0, 0);

  Array<T> grad_y = Array<T>::random(outputs + offset, 4);
  CALL(gr_max_pool2d_backward(grad_y.address() + shift, index.address(), grad_x.address() + shift, host(s), x.dtype(), 0));
  std::vector<double> sum(size_t(inputs), 0), size(size_t(inputs), 0);
  for (int64_t o = 0; o < outputs; o++) {
    auto at = size_t((o / (s.oh * s.ow * s.c) * s.h * s.w + expected.index[size_t(o)]) * s.c + o % s.c);
    sum[at] += grad_y[offset + o];
    size[at] += std::fabs(grad_y[offset + o]);
  }
  for (int64_t i = 0; i < inputs; i++) {
    CHECK_NEAR(grad_x[offset + i], sum[size_t(i)], 2 * unit<T>(), 8 * std::min(unit<T>(), 0x1p-24) * size[size_t(i)]);
  }
}

template <class T>
void check_avg(const gr_pool_shape& s, bool count_padding, int64_t offset = 0) {
  int64_t inputs = s.n * s.h * s.w * s.c, outputs = s.n * s.oh * s.ow * s.c, shift = offset * int64_t(sizeof(T));
  Array<T> x = Array<T>::random(inputs + offset, 5), y(outputs + offset), grad_y = Array<T>::random(outputs + offset, 6);
  Array<T> grad_x(inputs + offset);
  std::vector<double> average(size_t(outputs), 0), gradient(size_t(inputs), 0), size(size_t(inputs), 0);
  each(s, [&](int64_t n, int64_t o, int64_t position, double divisor) {
    if (count_padding && s.stride_h != 0) divisor = double(s.kh * s.kw);
    for (int64_t k = 0; k < s.c; k++) {
      auto from = size_t((n * s.h * s.w + position) * s.c + k), to = size_t(o * s.c + k);
      average[to] += x[offset + int64_t(from)] / divisor;
      gradient[from] += grad_y[offset + int64_t(to)] / divisor;
      size[from] += std::fabs(grad_y[offset + int64_t(to)] / divisor);
    }
  });
  CALL(gr_avg_pool2d_forward(x.address() + shift, y.address() + shift, host(s), count_padding, x.dtype(), 0));
  CALL(gr_avg_pool2d_backward(grad_y.address() + shift, grad_x.address() + shift, host(s), count_padding, x.dtype(), 0));
  double fine = std::min(unit<T>(), 0x1p-24) * 8;
  for (int64_t o = 0; o < outputs; o++) CHECK_NEAR(y[offset + o], average[size_t(o)], 2 * unit<T>(), fine);
  for (int64_t i = 0; i < inputs; i++) {
    CHECK_NEAR(grad_x[offset + i], gradient[size_t(i)], 2 * unit<T>(), fine * size[size_t(i)]);
  }
}

std::vector<gr_pool_shape> shapes() {
  return {
      regular(1, 1, 1, 1, 1, 1, 1, 1, 0, 0),  regular(2, 6, 6, 8, 2, 2, 2, 2, 0, 0),  regular(2, 7, 5, 3, 3, 3, 2, 2, 1, 1),
      regular(1, 9, 8, 16, 3, 2, 1, 3, 1, 0), regular(1, 5, 11, 5, 1, 3, 2, 4, 0, 1), regular(3, 4, 4, 24, 3, 3, 1, 1, 1, 1),
      adaptive(2, 7, 5, 8, 3, 2),             adaptive(1, 5, 7, 3, 1, 1),             adaptive(1, 3, 4, 8, 5, 7),
      adaptive(2, 9, 9, 16, 9, 2)};
}

template <class T>
void check_all() {
  for (const gr_pool_shape& s : shapes()) {
    check_max<T>(s);
    check_max<T>(s, 0, true);
    check_avg<T>(s, false);
    check_avg<T>(s, true);
  }
}

TEST(float32_pools) { check_all<float>(); }
TEST(float64_pools) { check_all<double>(); }
TEST(bfloat16_pools) { check_all<bfloat16>(); }
TEST(float16_pools) { check_all<float16>(); }

TEST(unaligned_addresses) {
  check_max<float>(regular(1, 6, 6, 8, 3, 3, 2, 2, 1, 1), 1);
  check_avg<float>(regular(1, 6, 6, 8, 3, 3, 2, 2, 1, 1), false, 1);
  check_avg<bfloat16>(regular(1, 6, 6, 8, 3, 3, 2, 2, 1, 1), true, 3);
}

TEST(a_block_shares_a_large_window) {
  for (const gr_pool_shape& s : {adaptive(2, 8, 9, 40, 1, 1), adaptive(1, 17, 13, 3, 1, 1), adaptive(1, 20, 16, 264, 1, 2),
                                 regular(1, 9, 9, 4, 7, 7, 2, 2, 3, 3)}) {
    check_max<float>(s);
    check_max<float>(s, 0, true);
    check_max<bfloat16>(s, 0, true);
    check_avg<float>(s, false);
    check_avg<bfloat16>(s, true);
    check_avg<double>(s, false);
  }
}

TEST(a_window_of_nothing_but_minus_infinity) {
  gr_pool_shape s = adaptive(1, 8, 8, 1, 1, 1);
  Array<float> x(64, -INFINITY), y(1);
  Array<int32_t> index(1, 7);
  CALL(gr_max_pool2d_forward(x.address(), y.address(), index.address(), host(s), GR_FLOAT32, 0));
  CHECK_EQUAL(y[0], -INFINITY);
  CHECK_EQUAL(index[0], 0);
}

TEST(no_images_and_foreign_types) {
  gr_pool_shape s = regular(0, 6, 6, 8, 2, 2, 2, 2, 0, 0);
  CALL(gr_max_pool2d_forward(0, 0, 0, host(s), GR_FLOAT32, 0));
  CALL(gr_max_pool2d_backward(0, 0, 0, host(s), GR_FLOAT32, 0));
  CALL(gr_avg_pool2d_forward(0, 0, host(s), 0, GR_FLOAT16, 0));
  CALL(gr_avg_pool2d_backward(0, 0, host(s), 0, GR_FLOAT64, 0));
  CHECK_EQUAL(gr_avg_pool2d_forward(0, 0, host(s), 0, GR_INT32, 0), int(GR_UNSUPPORTED));
  gr_pool_shape huge = regular(1, int64_t(1) << 20, int64_t(1) << 20, 1, 2, 2, 2, 2, 0, 0);
  CHECK_EQUAL(gr_avg_pool2d_forward(0, 0, host(huge), 0, GR_FLOAT32, 0), int(GR_UNSUPPORTED));
}

}  // namespace
