// Reduction of rows and of columns. Sums of floats are formed in vectors over some hundred elements, and those sums added up in
// a second level, so that errors do not grow with the length.
#pragma once

#include "cpu/reduce_states.h"

namespace gradus::cpu {

// A row of neighbouring elements.
template <class R, class T>
typename R::State reduce_row(const T* x, int64_t n) {
  using S = typename R::State;
  constexpr int kCount = lanes_of<S>;
  constexpr int64_t kPiece = 64 * kCount;
  S state = R::neutral();
  int64_t i = 0;
  if (n >= kCount) {
    Vec<S> neutral = broadcast(R::neutral()), total = neutral;
    while (i + 4 * kCount <= n) {
      Vec<S> a = neutral, b = neutral, c = neutral, d = neutral;
      for (int64_t end = n - i < kPiece ? n : i + kPiece; i + 4 * kCount <= end; i += 4 * kCount) {
        a = R::combine(a, load_states(x + i));
        b = R::combine(b, load_states(x + i + kCount));
        c = R::combine(c, load_states(x + i + 2 * kCount));
        d = R::combine(d, load_states(x + i + 3 * kCount));
      }
      total = R::combine(total, R::combine(R::combine(a, b), R::combine(c, d)));
    }
    for (; i + kCount <= n; i += kCount) total = R::combine(total, load_states(x + i));
    state = R::fold(total);
  }
  for (; i < n; i++) state = R::combine(state, to_state(x[i]));
  return state;
}

constexpr int64_t kColumns = 1024;  // of a block whose states are in the first-level cache

// Adds `rows` rows, `stride` apart, to the states of at most kColumns columns.
template <class R, class T>
void add_rows(const T* x, int64_t rows, int64_t stride, int64_t columns, typename R::State* state) {
  using S = typename R::State;
  constexpr int kCount = lanes_of<S>;
  int64_t row = 0;
  for (; row + 4 <= rows; row += 4) {
    const T *p = x + row * stride, *q = p + stride, *r = q + stride, *s = r + stride;
    int64_t i = 0;
    for (; i + kCount <= columns; i += kCount) {
      Vec<S> upper = R::combine(load_states(p + i), load_states(q + i));
      Vec<S> lower = R::combine(load_states(r + i), load_states(s + i));
      store(state + i, R::combine(load(state + i), R::combine(upper, lower)));
    }
    for (; i < columns; i++) {
      S upper = R::combine(to_state(p[i]), to_state(q[i])), lower = R::combine(to_state(r[i]), to_state(s[i]));
      state[i] = R::combine(state[i], R::combine(upper, lower));
    }
  }
  for (; row < rows; row++) {
    const T* p = x + row * stride;
    int64_t i = 0;
    for (; i + kCount <= columns; i += kCount) store(state + i, R::combine(load(state + i), load_states(p + i)));
    for (; i < columns; i++) state[i] = R::combine(state[i], to_state(p[i]));
  }
}

// The states of at most kColumns columns over `rows` rows.
template <class R, class T>
void reduce_columns(const T* x, int64_t rows, int64_t stride, int64_t columns, typename R::State* out) {
  using S = typename R::State;
  constexpr int64_t kPiece = 1024;  // rows
  std::fill(out, out + columns, R::neutral());
  S first_level[kColumns];
  // Short rows that follow each other are taken several as one.
  int64_t together = stride == columns && columns < 32 ? 64 / columns : 1;
  int64_t wide = columns * together, groups = rows / together;
  for (int64_t group = 0; group < groups; group += kPiece) {
    std::fill(first_level, first_level + wide, R::neutral());
    add_rows<R>(x + group * together * stride, std::min(kPiece, groups - group), together * stride, wide, first_level);
    for (int64_t g = 0; g < together; g++) {
      for (int64_t i = 0; i < columns; i++) out[i] = R::combine(out[i], first_level[g * columns + i]);
    }
  }
  add_rows<R>(x + groups * together * stride, rows - groups * together, stride, columns, out);
}

// How lines of [outer, n, inner] are cut; it follows from the sizes alone. Units are computed one by one; where a line has more
// than one part, their states are combined afterwards.
struct LinePlan {
  int64_t outer, n, inner;
  int64_t block, blocks;  // columns
  int64_t part, parts;    // of n
  int64_t grain;          // units worth a chunk

  LinePlan(int64_t outer, int64_t n, int64_t inner, int64_t widest = kColumns) : outer(outer), n(n), inner(inner) {
    constexpr int64_t kWork = 1 << 15;  // elements worth a chunk
    constexpr int64_t kEnough = 32;     // units
    block = std::min(inner, widest);
    blocks = block == 0 ? 0 : divide_up(inner, block);
    int64_t units = std::max<int64_t>(1, outer * blocks);
    parts = units >= kEnough ? 1 : std::min(divide_up(n * std::max<int64_t>(1, block), kWork), divide_up(2 * kEnough, units));
    parts = std::max<int64_t>(1, parts);
    part = std::max<int64_t>(1, divide_up(n, parts));
    parts = std::max<int64_t>(1, divide_up(n, part));
    grain = std::max<int64_t>(1, kWork / std::max<int64_t>(1, part * block));
  }

  int64_t states() const { return outer * parts * inner; }

  // Calls f(o, number of the part, first row, rows, first column, columns) for every unit.
  template <class F>
  void for_each_unit(F&& f) const {
    parallel_for(outer * parts * blocks, grain, [&](int64_t begin, int64_t end) {
      for (int64_t unit = begin; unit < end; unit++) {
        int64_t column = unit % blocks * block, line = unit / blocks;
        int64_t o = line / parts, number = line % parts, row = number * part;
        f(o, number, row, std::max<int64_t>(0, std::min(part, n - row)), column, std::min(block, inner - column));
      }
    });
  }
};

inline int scratch_too_small(const char* op, int64_t have, int64_t need) {
  return failed(GR_ERROR, std::string("[") + op + "] " + std::to_string(have) + " bytes of scratch memory were given, " +
                              std::to_string(need) + " are needed");
}

}  // namespace gradus::cpu
