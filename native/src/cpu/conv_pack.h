// Weights as the register tiles read them, and results turned back: for every group and block of channels [depth][vectors of
// channels], with zeros in the lanes that hold none.
#pragma once

#include "cpu/conv_strip.h"
#include "cpu/parallel.h"

namespace gradus::cpu::conv {

// Rows become columns. Source: Eklundh, "A fast computer method for matrix transposing", IEEE Trans. Computers C-21, 1972.
template <class A>
GRADUS_INLINE void transpose(Vec<A> (&rows)[lanes_of<A>]) {
  constexpr int L = lanes_of<A>;
  using Mask = Vec<std::conditional_t<sizeof(A) == 8, int64_t, int32_t>>;
#pragma GCC unroll 4
  for (int s = 1; s < L; s *= 2) {
    Mask low{}, high{};
#pragma GCC unroll 16
    for (int i = 0; i < L; i++) low[i] = (i & s) != 0 ? L + (i ^ s) : i, high[i] = (i & s) != 0 ? L + i : (i | s);
#pragma GCC unroll 16
    for (int i = 0; i < L; i++) {
      if ((i & s) != 0) continue;
      Vec<A> a = rows[i], b = rows[i | s];
      rows[i] = __builtin_shuffle(a, b, low);
      rows[i | s] = __builtin_shuffle(a, b, high);
    }
  }
}

constexpr int64_t kPackGrain = 1 << 14;  // elements that a thread packs at a time

// to [depth][width] from rows from [results][depth] for one vector of channels, of which `lanes` are there.
template <class T>
void pack_vector(const T* from, int64_t depth, int lanes, accumulator_t<T>* to, int64_t width) {
  using A = accumulator_t<T>;
  constexpr int L = lanes_of<A>;
  int64_t k = 0;
  for (; k + L <= depth; k += L) {
    Vec<A> rows[L];
    for (int i = 0; i < L; i++) rows[i] = i < lanes ? load_wide(from + i * depth + k, L) : Vec<A>{};
    transpose<A>(rows);
    for (int i = 0; i < L; i++) store(to + (k + i) * width, rows[i]);
  }
  for (; k < depth; k++) {
    for (int i = 0; i < L; i++) to[k * width + i] = i < lanes ? A(to_float(from[i * depth + k])) : A(0);
  }
}

// f(group, first channel within it, where its vector lies in packed weights of such a depth, elements between their rows) for
// every vector of channels.
template <class A, class F>
void for_each_vector(int64_t groups, int64_t results, int64_t depth, F&& f) {
  constexpr int L = lanes_of<A>;
  const Blocks<A> blocks(results);
  parallel_for(groups * blocks.count, divide_up(kPackGrain, depth * Blocks<A>::kMost * L + 1), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; i++) {
      const int64_t group = i / blocks.count, block = i % blocks.count;
      const int64_t first = blocks.first(block), width = blocks.width(block) * L;
      const int64_t at = (group * blocks.padded() + first * L) * depth;
      for (int64_t v = 0; v < blocks.width(block); v++) f(group, (first + v) * L, at + v * L, width);
    }
  });
}

// From weights [o, depth] to those of the product forward.
template <class T>
void pack_forward(const T* w, int64_t groups, int64_t results, int64_t depth, accumulator_t<T>* to) {
  using A = accumulator_t<T>;
  for_each_vector<A>(groups, results, depth, [&](int64_t group, int64_t channel, int64_t at, int64_t width) {
    const int lanes = lanes_left<A>(results - channel);
    pack_vector(w + (group * results + channel) * depth, depth, lanes, to + at, width);
  });
}

// From weights [o, kh, kw, cg] to those of a class of the product backward to the input: [taps, og][channels].
template <class T>
void pack_backward(const T* w, const Sizes& s, const BackwardClass& c, accumulator_t<T>* to) {
  using A = accumulator_t<T>;
  for_each_vector<A>(s.groups, s.cg, c.window.depth(), [&](int64_t group, int64_t channel, int64_t at, int64_t width) {
    const int lanes = lanes_left<A>(s.cg - channel);
    A* row = to + at;
    for (int64_t k = 0; k < c.window.taps(); k++) {
      const T* from = w + (group * s.og * s.taps() + c.tap(s, k)) * s.cg + channel;
      for (int64_t o = 0; o < s.og; o++, row += width, from += s.taps() * s.cg) store(row, load_wide(from, lanes));
    }
  });
}

// Channels in whole vectors a group; zeros where there are none, and all of them where `from` is null.
template <class T>
void pack_channels(const T* from, int64_t groups, int64_t results, accumulator_t<T>* to) {
  using A = accumulator_t<T>;
  const int64_t padded = Blocks<A>(results).padded();
  for (int64_t i = 0; i < groups * padded; i++) {
    const bool there = from != nullptr && i % padded < results;
    to[i] = there ? A(to_float(from[i / padded * results + i % padded])) : A(0);
  }
}

}  // namespace gradus::cpu::conv
