// What a band of results reads of the source image, as elements of the type that is computed with and with its border of zeros:
// copied, or where that would change nothing the image itself.
#pragma once

#include <cstring>
#include <type_traits>

#include "cpu/conv_shape.h"

namespace gradus::cpu::conv {

// Vectors of the type that T is computed in.
template <class T>
GRADUS_INLINE Vec<accumulator_t<T>> load_wide(const T* p, int lanes) {
  if constexpr (sizeof(T) == 8) {
    return lanes == lanes_of<T> ? load(p) : load_some(p, lanes);
  } else {
    return load_floats_some(p, lanes);
  }
}
template <class T>
GRADUS_INLINE void store_narrow(T* p, Vec<accumulator_t<T>> v, int lanes) {
  if constexpr (sizeof(T) == 8) {
    if (lanes == lanes_of<T>) return store(p, v);
    store_some(p, v, lanes);
  } else {
    store_floats_some(p, v, lanes);
  }
}

template <class T>
inline void widen(const T* from, accumulator_t<T>* to, int64_t n) {
  using A = accumulator_t<T>;
  constexpr int L = lanes_of<A>;
  int64_t i = 0;
  for (; i + L <= n; i += L) store(to + i, load_wide(from + i, L));
  for (; i < n; i++) to[i] = A(to_float(from[i]));
}

template <class T>
class Strip {
 public:
  using A = accumulator_t<T>;

  // For bands of at most so many images, rows and columns. `spread`: pixels lie apart so that those of a column of elements are
  // in different sets of the cache, which many pixels of 2, 4, 8... lines are not.
  Strip(const Window& window, const T* source, const Band& largest, bool spread = false) : window_(window), source_(source) {
    constexpr int64_t kLine = 64 / int64_t(sizeof(A));
    pitch_ = window.channels;
    if (spread && pitch_ % (2 * kLine) == 0) pitch_ += kLine;
    direct_ = std::is_same_v<T, A> && pitch_ == window.channels && window.taps() > 0 && window.inside();
    row_ = (direct_ ? window.width : window.wide(largest.columns)) * pitch_;
    image_ = (direct_ ? window.height : window.high(largest.rows)) * row_;
    elements_ = direct_ ? 0 : largest.images * image_;
  }

  // Elements of memory that `of` wants.
  int64_t elements() const { return elements_; }

  // Where the window of result (image, row, column) of a band begins, counted from what `of` returns.
  int64_t place(int64_t image, int64_t row, int64_t column) const {
    return image * image_ + row * window_.stride_h * row_ + column * window_.stride_w * pitch_;
  }
  int64_t tap(int64_t u, int64_t v, int64_t channel) const {
    return u * window_.step_h * row_ + v * window_.step_w * pitch_ + channel;
  }

  const A* of(const Band& band, A* memory) const {
    int64_t top = band.row * window_.stride_h + window_.origin_h, left = band.column * window_.stride_w + window_.origin_w;
    const int64_t high = window_.high(band.rows), wide = window_.wide(band.columns), channels = window_.channels;
    if constexpr (std::is_same_v<T, A>) {
      if (direct_) return source_ + ((band.image * window_.height + top) * window_.width + left) * channels;
    }
    int64_t begin = std::min(std::max<int64_t>(0, -left), wide);
    int64_t end = std::max(begin, std::min(wide, window_.width - left));
    for (int64_t n = 0; n < band.images; n++) {
      for (int64_t r = 0; r < high; r++) {
        A* to = memory + n * image_ + r * row_;
        if (top + r < 0 || top + r >= window_.height) {
          memset(to, 0, size_t(wide * pitch_) * sizeof(A));
          continue;
        }
        const T* from = source_ + (((band.image + n) * window_.height + top + r) * window_.width + left + begin) * channels;
        memset(to, 0, size_t(begin * pitch_) * sizeof(A));
        if (pitch_ == channels) {
          widen(from, to + begin * channels, (end - begin) * channels);
        } else {
          for (int64_t i = begin; i < end; i++, from += channels) widen(from, to + i * pitch_, channels);
        }
        memset(to + end * pitch_, 0, size_t((wide - end) * pitch_) * sizeof(A));
      }
    }
    return memory;
  }

 private:
  Window window_;
  const T* source_;
  bool direct_;
  int64_t pitch_, row_, image_, elements_;  // pitch: from pixel to pixel
};

}  // namespace gradus::cpu::conv
