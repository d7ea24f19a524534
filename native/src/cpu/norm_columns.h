// The passes of batch, group and instance normalisation over rows of a matrix [rows, channels]: moments of columns, y, sums of
// gradients, gradX. How rows become lines is said in norm_lines.h.
//
// Moments are formed in one pass as sums of distances from a point near the mean, the mean of a part of the rows: where p is that
// part's share, the variance is at least p (1 - p) times the squared distance of the point from the other rows' mean, so that
// no more than a factor 1 / p is lost to cancellation, whatever the data.
// Source: Chan, Golub, LeVeque, "Algorithms for computing the sample variance", 1983.
//
// Sums are formed in the accumulator type over some lines, and of those in double.
#pragma once

#include "cpu/norm_lines.h"

namespace gradus::cpu {

constexpr int64_t kSumLines = 128;  // whose sums are formed in the accumulator type
constexpr int kMomentTogether = 4;  // lines that are read at once
// The rows whose mean is the point: so many elements, or that part of all.
constexpr int64_t kShiftElements = 4096;
constexpr int64_t kShiftShare = 16;

// sums [channels] += the line's, folded: halves are added, in place.
template <class A>
void fold_line(const Lines& lines, A* line, double* sums) {
  for (int64_t half = lines.width() / 2; half >= lines.channels; half /= 2) {
    for (int64_t i = 0; i < half; i++) line[i] += line[half + i];
  }
  for (int64_t k = 0; k < lines.channels; k++) sums[k] += double(line[k]);
}

// Several lines at once are as many streams, each too short to be foreseen: what the next such lines will read is asked for early.
// Long lines are foreseen, but their beginning.
template <int R, class T>
GRADUS_INLINE void prefetch_next(const T* x, int64_t width) {
  constexpr int64_t kLong = 1024, kAhead = 256;
  __builtin_prefetch(x + (width <= kLong ? R * width : kAhead));
}

template <int R, class T>
void add_values(const T* x, int64_t width, accumulator_t<T>* sum) {
  using A = accumulator_t<T>;
  for_vectors<A>(width, [&](int64_t v, auto lanes) {
    Vec<A> total = load_wide_some(sum + v, lanes);
    for (int r = 0; r < R; r++) total += load_wide_some(x + r * width + v, lanes);
    store_wide_some(sum + v, total, lanes);
  });
}

template <int R, class T>
void add_distances(const T* x, int64_t width, const accumulator_t<T>* shift, accumulator_t<T>* sum, accumulator_t<T>* squares) {
  using A = accumulator_t<T>;
  for_vectors<A>(width, [&](int64_t v, auto lanes) {
    Vec<A> center = load(shift + v), total{}, square = load_wide_some(squares + v, lanes);
    for (int r = 0; r < R; r++) {
      const T* from = x + r * width + v;
      prefetch_next<R>(from, width);
      Vec<A> distance = load_wide_some(from, lanes) - center;
      total += distance;
      square = fma(distance, distance, square);
    }
    store_wide_some(sum + v, load_wide_some(sum + v, lanes) + total, lanes);
    store_wide_some(squares + v, square, lanes);
  });
}

// Calls f(number of lines, offset, width) for R lines at a time, for single ones, and for the rows that fill none.
template <int R, class F>
void for_line_groups(const Lines& lines, int64_t begin, int64_t end, F&& f) {
  const int64_t width = lines.width(), whole = begin + (end - begin) / lines.fold * lines.fold;
  int64_t row = begin;
  for (; row + R * lines.fold <= whole; row += R * lines.fold) f(std::integral_constant<int, R>{}, row * lines.channels, width);
  for (; row < whole; row += lines.fold) f(std::integral_constant<int, 1>{}, row * lines.channels, width);
  if (row < end) f(std::integral_constant<int, 1>{}, row * lines.channels, (end - row) * lines.channels);
}

struct MomentLines;

// Mean and sum of squared distances of every column, [channels]; rows at least 1.
template <class T>
void column_moments(const Lines& lines, const T* x, int64_t rows, double* mean, double* squares) {
  using A = accumulator_t<T>;
  const int64_t channels = lines.channels, length = padded<A>(lines.width());
  A* shift = workspace<MomentLines, A>(3 * length);
  A *sum = shift + length, *square = sum + length;
  auto clear = [&] { std::fill(sum, sum + 2 * length, A(0)); };

  int64_t head = std::max(kShiftElements / channels, rows / kShiftShare) / lines.fold * lines.fold;
  head = std::min(rows, std::max(head, lines.fold));
  if (rows - head < head) head = rows;
  clear();
  for_line_groups<kMomentTogether>(lines, 0, head, [&](auto together, int64_t at, int64_t width) {
    add_values<decltype(together)::value>(x + at, width, sum);
  });
  std::fill(mean, mean + channels, 0.0);
  fold_line(lines, sum, mean);
  std::fill(shift, shift + length, A(0));
  for (int64_t k = 0; k < channels; k++) shift[k] = A(mean[k] / double(head));
  repeat(lines, shift);

  std::fill(mean, mean + channels, 0.0);
  std::fill(squares, squares + channels, 0.0);
  const int64_t block = kSumLines * lines.fold;
  for (int64_t row = 0; row < rows; row += block) {
    clear();
    for_line_groups<kMomentTogether>(lines, row, std::min(rows, row + block), [&](auto together, int64_t at, int64_t width) {
      add_distances<decltype(together)::value>(x + at, width, shift, sum, square);
    });
    fold_line(lines, sum, mean);
    fold_line(lines, square, squares);
  }
  for (int64_t k = 0; k < channels; k++) {
    double off = mean[k] / double(rows);
    double rest = squares[k] - mean[k] * off;
    squares[k] = rest < 0 ? 0 : rest;                            // NaN stays
    mean[k] = std::isnan(rest) ? rest : double(shift[k]) + off;  // what has an infinity has no mean
  }
}

// What a column's elements are computed with, as lines: y = (x - mean) scale + shift; gradX = g scale + (x - mean) tilt + shift.
template <class A>
struct Factors {
  Factors(A* memory, int64_t length, bool tilted)
      : mean(memory), scale(memory + length), shift(memory + 2 * length), tilt(tilted ? memory + 3 * length : nullptr) {}
  static constexpr int64_t kLines = 4;
  A *mean, *scale, *shift, *tilt;

  void repeat_all(const Lines& lines) {
    for (A* line : {mean, scale, shift, tilt}) {
      if (line != nullptr) repeat(lines, line);
    }
  }
};

// y = activation((x - mean) scale + shift + residual); a mask has one bit per element, 1 where y > 0.
template <class T>
struct Normalise {
  const T* x;  // y may be x or the residual
  const T* residual;
  T* y;
  uint32_t* mask;
  bool relu;
};

// Appends bits to 32-bit words.
class MaskWriter {
 public:
  explicit MaskWriter(uint32_t* words) : words_(words) {}
  GRADUS_INLINE void add(uint32_t bits, int count) {
    bits_ |= uint64_t(bits) << count_;
    count_ += count;
    if (count_ < 32) return;
    *words_++ = uint32_t(bits_);
    bits_ >>= 32;
    count_ -= 32;
  }
  void finish() {
    if (count_ > 0) *words_ = uint32_t(bits_);
  }

 private:
  uint32_t* words_;
  uint64_t bits_ = 0;
  int count_ = 0;
};

// Operands by value: what is stored might otherwise be taken for one of them.
template <bool Residual, bool Relu, bool Mask, class T>
void normalise_rows_as(const Lines& lines, const Normalise<T> p, const Factors<accumulator_t<T>> factors, int64_t begin,
                       int64_t end) {
  using A = accumulator_t<T>;
  MaskWriter writer(p.mask + begin * lines.channels / 32);
  for_lines(lines, begin, end, [&](int64_t at, int64_t width) {
    for_vectors<A>(width, [&](int64_t v, auto lanes) {
      const int64_t element = at + v;
      Vec<A> value = fma(load_wide_some(p.x + element, lanes) - load(factors.mean + v), load(factors.scale + v),
                         load(factors.shift + v));
      if constexpr (Residual) value += load_wide_some(p.residual + element, lanes);
      if constexpr (Relu) value = select(value <= A(0), Vec<A>{}, value);  // NaN stays
      store_wide_some(p.y + element, value, lanes);
      if constexpr (Mask) {
        if constexpr (sizeof(T) == 2) value = load_wide_some(p.y + element, lanes);  // it may have become 0
        writer.add(bits_of_mask(value > A(0)) & ((1u << lanes) - 1), lanes);
      }
    });
  });
  if constexpr (Mask) writer.finish();
}

// begin is a multiple of the lines' rows, and of 32 where there is a mask.
template <class T>
void normalise_rows(const Lines& lines, const Normalise<T>& p, const Factors<accumulator_t<T>>& factors, int64_t begin,
                    int64_t end) {
  with_flags(
      [&](auto residual, auto relu, auto mask) {
        normalise_rows_as<decltype(residual)::value, decltype(relu)::value, decltype(mask)::value>(lines, p, factors, begin, end);
      },
      p.residual != nullptr, p.relu, p.mask != nullptr);
}

}  // namespace gradus::cpu
