// What the normalisations over columns share: matrices seen as lines, and vectors of weights.
//
// Channels lie along the lanes. Where there are few, several rows together are one line, so that a line is a whole number of
// vectors and long enough for the loops over it: what belongs to a channel (means, weights, sums) is repeated along the line, or
// folded. Inner loops then run over contiguous memory, whatever the number of channels.
#pragma once

#include <algorithm>
#include <numeric>

#include "cpu/parallel.h"
#include "cpu/simd.h"
#include "cpu/workspace.h"
#include "plugin/handle.h"
#include "plugin/types.h"

namespace gradus::cpu {

struct Lines {
  int64_t channels, fold;  // rows of a line
  int64_t width() const { return channels * fold; }
};

template <class A>
Lines lines_of(int64_t channels) {
  constexpr int64_t kShort = 512, kLong = 1024;
  int64_t whole = lanes_of<A> / std::gcd(channels, int64_t(lanes_of<A>));  // rows that fill vectors
  if (channels * whole > kLong) return {channels, 1};                       // each row ends with part of a vector instead
  int64_t fold = whole;
  while (2 * fold * channels <= kShort) fold *= 2;  // a power of two, as `whole` is
  return {channels, fold};
}

// The elements of an array for a line, whole vectors.
template <class A>
int64_t padded(int64_t width) {
  return divide_up(width, lanes_of<A>) * lanes_of<A>;
}

// Calls f(std::bool_constant<flag>{}...).
template <class F>
void with_flags(F&& f) {
  f();
}
template <class F, class... Flags>
void with_flags(F&& f, bool flag, Flags... others) {
  if (flag) {
    with_flags([&](auto... rest) { f(std::true_type{}, rest...); }, others...);
  } else {
    with_flags([&](auto... rest) { f(std::false_type{}, rest...); }, others...);
  }
}

// Calls f(offset, lanes) for the vectors of a line; the type of lanes is that of a constant but for the last.
template <class A, class F>
GRADUS_INLINE void for_vectors(int64_t width, F&& f) {
  constexpr int L = lanes_of<A>;
  int64_t v = 0;
  for (; v + L <= width; v += L) f(v, std::integral_constant<int, L>{});
  if (v < width) f(v, int(width - v));
}

// Calls f(pointer offset, width) for every line of the rows, and for the rest that fills none.
template <class F>
GRADUS_INLINE void for_lines(const Lines& lines, int64_t begin, int64_t end, F&& f) {
  for (int64_t row = begin; row < end; row += lines.fold) {
    f(row * lines.channels, std::min(lines.fold, end - row) * lines.channels);
  }
}

// The first [channels] values of a line, repeated up to its end.
template <class A>
void repeat(const Lines& lines, A* line) {
  const int64_t width = lines.width();
  for (int64_t have = lines.channels; have < width; have *= 2) {
    memcpy(line + have, line, size_t(std::min(have, width - have)) * sizeof(A));
  }
}

// A vector of weights of T or of its accumulator type; absent ones have one value.
template <class T>
struct Weights {
  using A = accumulator_t<T>;
  const void* data;
  bool wide;

  A at(int64_t i, A absent) const {
    if (data == nullptr) return absent;
    return wide ? static_cast<const A*>(data)[i] : A(to_float(static_cast<const T*>(data)[i]));
  }
  Vec<A> load(int64_t i, int lanes, A absent) const {
    if (data == nullptr) return broadcast(absent);
    return wide ? load_wide_some(static_cast<const A*>(data) + i, lanes) : load_wide_some(static_cast<const T*>(data) + i, lanes);
  }
};
// The same for results.
template <class T>
struct WeightsOut {
  using A = accumulator_t<T>;
  void* data;
  bool wide;

  explicit operator bool() const { return data != nullptr; }
  A at(int64_t i) const { return Weights<T>{data, wide}.at(i, 0); }
  void set(int64_t i, A value) const {
    if (data == nullptr) return;
    if (wide) {
      static_cast<A*>(data)[i] = value;
    } else {
      static_cast<T*>(data)[i] = from_accumulator<T>(value);
    }
  }
};

// Weights with their type's code; false where the code is neither T's nor its accumulator's.
template <class T, class W>
bool typed(int64_t address, int32_t dtype, W& out) {
  out = {pointer<void>(address), dtype != dtype_code<T>()};
  return address == 0 || dtype == dtype_code<T>() || dtype == dtype_code<accumulator_t<T>>();
}

// 1 / sqrt(variance + eps).
template <class A>
A inverse_root(double variance, double eps) {
  return A(1 / std::sqrt(variance + eps));
}

// Elements of a chunk: some ten microseconds' worth.
constexpr int64_t kChunkElements = 1 << 14;
// Rows of a chunk of a sum, at least, so that its partial sums are little against what it reads.
constexpr int64_t kChunkRows = 128;

// Rows that chunks of a sum are multiples of, and of an element-wise pass: a mask's word then belongs to one chunk.
inline int64_t sum_grain(const Lines& lines) {
  return divide_up(std::max(kChunkRows, divide_up(kChunkElements, lines.channels)), lines.fold) * lines.fold;
}
inline int64_t pass_grain(const Lines& lines) {
  int64_t whole = std::lcm(lines.fold, int64_t(32));
  return divide_up(kChunkElements, whole * lines.channels) * whole;
}

inline int too_little_scratch(const char* name, int64_t needed, int64_t given) {
  return failed(GR_ERROR, std::string("[") + name + "] needs " + std::to_string(needed) + " bytes of scratch memory, but has " +
                              std::to_string(given));
}

}  // namespace gradus::cpu
