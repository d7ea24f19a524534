// Operands of a matrix product in the order in which the kernel reads them, and in the type that it computes in.
#pragma once

#include <algorithm>

#include "cpu/gemm_kernel.h"
#include "device/half.h"

namespace gradus::cpu {

// Transposes the square of as many vectors as each has lanes: first within the 128-bit blocks of the vectors, then the blocks. Each
// step is one of the machine's two-operand shuffles.
template <class A>
GRADUS_INLINE void transpose_lanes(Vec<A> (&row)[lanes_of<A>]) {
  constexpr int kLanesOf = lanes_of<A>, kBlock = 16 / int(sizeof(A)), kBlocks = kLanesOf / kBlock;
  using Index = Vec<std::conditional_t<sizeof(A) == 8, int64_t, int32_t>>;
  // Elements i and j interleaved, by runs of `width` elements: the lower or the upper half of each block.
  auto interleave = [](int width, bool upper) {
    Index index;
#pragma GCC unroll 16
    for (int i = 0; i < kLanesOf; i++) {
      int at = i % kBlock, run = at / width;
      index[i] = i / kBlock * kBlock + (upper ? kBlock / 2 : 0) + run / 2 * width + at % width + (run % 2) * kLanesOf;
    }
    return index;
  };
  if constexpr (kBlock == 4) {
#pragma GCC unroll 16
    for (int i = 0; i < kLanesOf; i += 4) {
      Vec<A> a = __builtin_shuffle(row[i], row[i + 1], interleave(1, false));
      Vec<A> b = __builtin_shuffle(row[i], row[i + 1], interleave(1, true));
      Vec<A> c = __builtin_shuffle(row[i + 2], row[i + 3], interleave(1, false));
      Vec<A> d = __builtin_shuffle(row[i + 2], row[i + 3], interleave(1, true));
      row[i] = __builtin_shuffle(a, c, interleave(2, false));
      row[i + 1] = __builtin_shuffle(a, c, interleave(2, true));
      row[i + 2] = __builtin_shuffle(b, d, interleave(2, false));
      row[i + 3] = __builtin_shuffle(b, d, interleave(2, true));
    }
  } else {
#pragma GCC unroll 16
    for (int i = 0; i < kLanesOf; i += 2) {
      Vec<A> a = row[i], b = row[i + 1];
      row[i] = __builtin_shuffle(a, b, interleave(1, false));
      row[i + 1] = __builtin_shuffle(a, b, interleave(1, true));
    }
  }
  // Block g of vector kBlock l + c is to become block l of vector kBlock g + c.
#pragma GCC unroll 4
  for (int step = 1; step < kBlocks; step *= 2) {
    Index lower, upper;
#pragma GCC unroll 16
    for (int i = 0; i < kLanesOf; i++) {
      bool odd = (i / kBlock & step) != 0;
      lower[i] = odd ? kLanesOf + i - step * kBlock : i;
      upper[i] = odd ? kLanesOf + i : i + step * kBlock;
    }
#pragma GCC unroll 16
    for (int i = 0; i < kLanesOf; i++) {
      if ((i / kBlock & step) != 0) continue;
      Vec<A> a = row[i], b = row[i + step * kBlock];
      row[i] = __builtin_shuffle(a, b, lower);
      row[i + step * kBlock] = __builtin_shuffle(a, b, upper);
    }
  }
}

// out[c][i] = x[i][c] for i below rows and c below columns: x's rows are pitch apart, out's out_pitch, rows to kRows of them.
// What lies in out's rows behind i, up to a vector, is written too, by zeros: out has room for it, also behind the last row.
template <int kRows, class T>
GRADUS_INLINE void pack_transposed(const T* x, int64_t pitch, int rows, int64_t columns, accumulator_t<T>* out, int64_t out_pitch) {
  using A = accumulator_t<T>;
  constexpr int kLanesOf = lanes_of<A>, kParts = (kRows + kLanesOf - 1) / kLanesOf;
  for (int64_t c = 0; c < columns; c += kLanesOf) {
    int lanes = lanes_left<A>(columns - c);
    Vec<A> part[kParts][kLanesOf];
#pragma GCC unroll 4
    for (int p = 0; p < kParts; p++) {
#pragma GCC unroll 16
      for (int i = 0; i < kLanesOf; i++) {
        int r = p * kLanesOf + i;
        const T* from = x + r * pitch + c;
        part[p][i] = r >= rows ? Vec<A>{} : lanes == kLanesOf ? load_wide(from) : load_wide_some(from, lanes);
      }
      transpose_lanes<A>(part[p]);
    }
    // Row by row, since where out's rows are shorter than the vectors each writes over what the previous one had too much.
    A* to = out + c * out_pitch;
#pragma GCC unroll 16
    for (int i = 0; i < kLanesOf; i++) {
      if (i >= lanes) break;
#pragma GCC unroll 4
      for (int p = 0; p < kParts; p++) {
        if (p * kLanesOf < rows) store(to + i * out_pitch + p * kLanesOf, part[p][i]);
      }
    }
  }
}

// An operand in memory: element (line, k) lies at line * pitch + k, or with `across` at k * pitch + line. Lines are the rows of
// op(A) or the columns of op(B).
template <class T>
struct GemmMatrix {
  using A = accumulator_t<T>;

  const T* data;
  int64_t stride, pitch;  // from one matrix of the batch to the next; from one stored row to the next
  int64_t lines;
  bool across;

  const T* at(int64_t batch, int64_t line, int64_t k) const {
    return data + batch * stride + (across ? k * pitch + line : line * pitch + k);
  }

  const A* rows_in_place(int64_t batch, int64_t row, int64_t k, int64_t* to_next) const {
    return across ? nullptr : in_memory(batch, row, k, to_next);
  }
  const A* in_place(int64_t batch, int64_t k, int64_t column, int64_t* to_next) const {
    return across ? in_memory(batch, column, k, to_next) : nullptr;
  }

  // Across, as many lines as a set of the L1 cache has ways: with a pitch that is a power of two they are all in one.
  int64_t pack_depth() const { return across ? 8 : 256; }

  // Panels of A: [depth][rows]. out has room for a vector more.
  void pack_rows(int64_t batch, int64_t row, int rows, int64_t k, int64_t depth, A* out) const {
    if (!across) return pack_transposed<GemmTile<A>::kRows>(at(batch, row, k), pitch, rows, depth, out, rows);
    copy_lines(at(batch, row, k), row, rows, depth, out, rows);
  }

  // Panels of B: [depth][GemmTile::kColumns], with zeros where there are fewer columns.
  void pack_columns(int64_t batch, int64_t column, int columns, int64_t k, int64_t depth, A* out) const {
    constexpr int kColumns = GemmTile<A>::kColumns;
    if (columns < kColumns) std::fill(out, out + depth * kColumns, A(0));
    if (across) return copy_lines(at(batch, column, k), column, columns, depth, out, kColumns);
    for (int c = 0; c < columns; c += lanes_of<A>) {
      int some = lanes_left<A>(columns - c);
      const T* from = at(batch, column + c, k);
      if (some == lanes_of<A>) pack_transposed<lanes_of<A>>(from, pitch, lanes_of<A>, depth, out + c, kColumns);
      else pack_transposed<lanes_of<A>>(from, pitch, some, depth, out + c, kColumns);
    }
  }

 private:
  const A* in_memory(int64_t batch, int64_t line, int64_t k, int64_t* to_next) const {
    if constexpr (std::is_same_v<T, A>) {
      *to_next = pitch;
      return at(batch, line, k);
    }
    return nullptr;
  }

  // `count` lines from `line` on. Whole vectors are read where the matrix has them, and written where out_pitch lines fit into
  // them: what is too much is overwritten by the next row, or lies behind the last one.
  void copy_lines(const T* from, int64_t line, int count, int64_t depth, A* out, int64_t out_pitch) const {
    constexpr int kLanesOf = lanes_of<A>;
    int read = (count + kLanesOf - 1) / kLanesOf * kLanesOf;
    if (count == 2 * kLanesOf) {
      for (int64_t k = 0; k < depth; k++, from += pitch, out += out_pitch) {
        store(out, load_wide(from));
        store(out + kLanesOf, load_wide(from + kLanesOf));
      }
    } else if (line + read <= lines && out_pitch <= read) {
      for (int64_t k = 0; k < depth; k++, from += pitch, out += out_pitch) {
        for (int i = 0; i < count; i += kLanesOf) store(out + i, load_wide(from + i));
      }
    } else {
      for (int64_t k = 0; k < depth; k++, from += pitch, out += out_pitch) {
        for (int i = 0; i < count; i += kLanesOf) {
          int lanes = lanes_left<A>(count - i);
          store_some(out + i, lanes == kLanesOf ? load_wide(from + i) : load_wide_some(from + i, lanes), lanes);
        }
      }
    }
  }
};

}  // namespace gradus::cpu
