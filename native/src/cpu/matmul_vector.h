// Products with at most kMaxVectors rows or columns: each element of the large operand is read once and used that often, so what
// counts is to read it in long runs. No packing.
//
// Where the large operand lies along k, sums are formed by vectors along k and then over their lanes; where it lies across, by
// vectors of neighbouring lines, eight steps of k at a time so that sums are seldom read back. Long k is cut into parts, whose sums
// are added in their order.
#pragma once

#include <algorithm>

#include "cpu/gemm.h"

namespace gradus::cpu {

constexpr int kMaxVectors = 4;

namespace vector_detail {

struct Sums;
struct Small;
struct Strip;

// sums[s * sums_pitch + i] = large[i] . small[s], i < kLines: vectors along k. small: [S][k].
template <int kLines, int S, class T>
GRADUS_INLINE void dot_lines(const T* large, int64_t pitch, const accumulator_t<T>* small, int64_t small_pitch, int64_t k,
                             accumulator_t<T>* sums, int64_t sums_pitch) {
  using A = accumulator_t<T>;
  constexpr int kLanesOf = lanes_of<A>, kSteps = kLines * S <= 4 ? 2 : 1;
  Vec<A> sum[kSteps][kLines][S];
#pragma GCC unroll 2
  for (int step = 0; step < kSteps; step++) {
#pragma GCC unroll 4
    for (int i = 0; i < kLines; i++) {
#pragma GCC unroll 4
      for (int s = 0; s < S; s++) sum[step][i][s] = Vec<A>{};
    }
  }
  int64_t l = 0;
  for (; l + kSteps * kLanesOf <= k; l += kSteps * kLanesOf) {
#pragma GCC unroll 2
    for (int step = 0; step < kSteps; step++) {
      Vec<A> x[S];
#pragma GCC unroll 4
      for (int s = 0; s < S; s++) x[s] = load(small + s * small_pitch + l + step * kLanesOf);
#pragma GCC unroll 4
      for (int i = 0; i < kLines; i++) {
        Vec<A> y = load_wide(large + i * pitch + l + step * kLanesOf);
#pragma GCC unroll 4
        for (int s = 0; s < S; s++) sum[step][i][s] = fma(x[s], y, sum[step][i][s]);
      }
    }
  }
  for (; l < k; l += kLanesOf) {
    int lanes = lanes_left<A>(k - l);
#pragma GCC unroll 4
    for (int i = 0; i < kLines; i++) {
      Vec<A> y = load_wide_some(large + i * pitch + l, lanes);
#pragma GCC unroll 4
      for (int s = 0; s < S; s++) sum[0][i][s] = fma(load_some(small + s * small_pitch + l, lanes), y, sum[0][i][s]);
    }
  }
#pragma GCC unroll 4
  for (int i = 0; i < kLines; i++) {
#pragma GCC unroll 4
    for (int s = 0; s < S; s++) {
      Vec<A> total = kSteps == 2 ? sum[0][i][s] + sum[kSteps - 1][i][s] : sum[0][i][s];
      sums[s * sums_pitch + i] = gradus::cpu::sum(total);
    }
  }
}

template <int S, class T>
void along(const T* large, int64_t pitch, int64_t lines, const accumulator_t<T>* small, int64_t small_pitch, int64_t k,
           accumulator_t<T>* sums, int64_t sums_pitch) {
  constexpr int kLines = S == 4 && kRegisters == 16 ? 3 : 4;
  int64_t i = 0;
  for (; i + kLines <= lines; i += kLines) {
    dot_lines<kLines, S>(large + i * pitch, pitch, small, small_pitch, k, sums + i, sums_pitch);
  }
  for (; i < lines; i++) dot_lines<1, S>(large + i * pitch, pitch, small, small_pitch, k, sums + i, sums_pitch);
}

// kDepth steps of k added to the sums of `lines` neighbouring lines. small: [depth][S].
template <int kDepth, int S, class T>
GRADUS_INLINE void add_steps(const T* large, int64_t pitch, int64_t lines, const accumulator_t<T>* small, accumulator_t<T>* sums,
                             int64_t sums_pitch) {
  using A = accumulator_t<T>;
  auto add = [&](int64_t i, int lanes) {
    Vec<A> sum[S];
#pragma GCC unroll 4
    for (int s = 0; s < S; s++) sum[s] = load(sums + s * sums_pitch + i);
#pragma GCC unroll 8
    for (int l = 0; l < kDepth; l++) {
      const T* from = large + l * pitch + i;
      Vec<A> y = lanes == lanes_of<A> ? load_wide(from) : load_wide_some(from, lanes);
#pragma GCC unroll 4
      for (int s = 0; s < S; s++) sum[s] = fma(broadcast(small[l * S + s]), y, sum[s]);
    }
#pragma GCC unroll 4
    for (int s = 0; s < S; s++) store(sums + s * sums_pitch + i, sum[s]);
  };
  int64_t i = 0;
  for (; i + lanes_of<A> <= lines; i += lanes_of<A>) add(i, lanes_of<A>);
  if (i < lines) add(i, int(lines - i));
}

// sums has room for whole vectors.
template <int S, class T>
void across(const T* large, int64_t pitch, int64_t lines, const accumulator_t<T>* small, int64_t k, accumulator_t<T>* sums,
            int64_t sums_pitch) {
  constexpr int kDepth = 8;
  for (int s = 0; s < S; s++) std::fill(sums + s * sums_pitch, sums + s * sums_pitch + lines, accumulator_t<T>(0));
  int64_t l = 0;
  for (; l + kDepth <= k; l += kDepth) add_steps<kDepth, S>(large + l * pitch, pitch, lines, small + l * S, sums, sums_pitch);
  for (; l < k; l++) add_steps<1, S>(large + l * pitch, pitch, lines, small + l * S, sums, sums_pitch);
}

// Calls f(integral constant S).
template <class F>
void with_vectors(int s, F&& f) {
  switch (s) {
    case 1: return f(std::integral_constant<int, 1>{});
    case 2: return f(std::integral_constant<int, 2>{});
    case 3: return f(std::integral_constant<int, 3>{});
    default: return f(std::integral_constant<int, 4>{});
  }
}

}  // namespace vector_detail

// lines x vectors results: large is [lines, k] of the batch, small [vectors, k]. With small_is_left the vectors are the rows of C,
// else its columns.
template <class T, class Result>
int multiply_vectors(int64_t batch, int64_t k, const GemmMatrix<T>& large, const GemmMatrix<T>& small, bool small_is_left,
                     const Result& result) {
  using namespace vector_detail;
  using A = accumulator_t<T>;
  constexpr int64_t kTask = 128 << 10;  // elements of the large operand that are worth a task
  constexpr int64_t kAcross = 1024;     // lines whose sums stay in the L1 cache
  int64_t lines = large.lines;
  int vectors = int(small.lines);
  int64_t part = large.across ? std::max<int64_t>(64, kTask / std::min(lines, kAcross) / 8 * 8) : int64_t(64) << 10;
  int64_t parts = std::max<int64_t>(1, k / part);
  int64_t strip = large.across ? kAcross : std::clamp<int64_t>(kTask / std::max<int64_t>(1, k / parts), 12, kAcross) / 12 * 12;
  int64_t strips = (lines + strip - 1) / strip, pitch = parts == 1 ? strip : strips * strip;

  // Small, as the loops read it; sums, [batch][part][vector][pitch], where there are several parts.
  int64_t small_size = k * vectors;
  A* packed = workspace<Small, A>(batch * small_size + 1);
  A* sums = parts == 1 ? nullptr : workspace<Sums, A>(batch * parts * vectors * pitch);
  if (packed == nullptr || (parts > 1 && sums == nullptr)) return GR_OUT_OF_MEMORY;
  for (int64_t b = 0; b < (small.stride == 0 ? 1 : batch); b++) {
    for (int s = 0; s < vectors; s++) {
      const T* from = small.at(b, s, 0);
      int64_t step = small.across ? small.pitch : 1;
      A* to = packed + b * small_size + (large.across ? s : s * k);
      int64_t to_step = large.across ? vectors : 1;
      for (int64_t l = 0; l < k; l++) to[l * to_step] = A(to_float(from[l * step]));
    }
  }

  auto finish = [&](int64_t b, int64_t first, int64_t count, const A* tile) {
    if (small_is_left) return result(b, 0, first, vectors, int(count), tile, pitch);
    constexpr int kRows = 64;
    A turned[kRows * kMaxVectors];
    for (int64_t i = 0; i < count; i += kRows) {
      int rows = int(std::min<int64_t>(kRows, count - i));
      for (int r = 0; r < rows; r++) {
        for (int s = 0; s < vectors; s++) turned[r * vectors + s] = tile[s * pitch + i + r];
      }
      result(b, first + i, 0, rows, vectors, turned, vectors);
    }
  };
  auto compute = [&](int64_t i) {
    int64_t part_of = i % parts, strip_of = i / parts % strips, b = i / parts / strips;
    int64_t begin = part_begin(k, part_of, parts), depth = part_begin(k, part_of + 1, parts) - begin;
    int64_t first = strip_of * strip, count = std::min(strip, lines - first);
    const A* x = packed + (small.stride == 0 ? 0 : b * small_size);
    const T* y = large.at(b, first, begin);
    A* tile = sums != nullptr ? sums + (b * parts + part_of) * vectors * pitch + first : workspace<Strip, A>(vectors * pitch);
    with_vectors(vectors, [&](auto constant) {
      constexpr int S = decltype(constant)::value;
      if (large.across) across<S>(y, large.pitch, count, x + begin * S, depth, tile, pitch);
      else along<S>(y, large.pitch, count, x + begin, k, depth, tile, pitch);
    });
    if (sums == nullptr) finish(b, first, count, tile);
  };
  int64_t tasks = batch * strips * parts, work = std::max<int64_t>(1, std::min(strip, lines) * (k / parts));
  parallel_for(tasks, std::max<int64_t>(1, kTask / 4 / work), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; i++) compute(i);
  });
  if (sums == nullptr) return GR_OK;
  parallel_for(batch * strips, 8, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; i++) {
      int64_t b = i / strips, first = i % strips * strip, count = std::min(strip, lines - first);
      A* to = sums + b * parts * vectors * pitch + first;
      for (int s = 0; s < vectors; s++) {
        for (int64_t from = 1; from < parts; from++) {
          for (int64_t j = 0; j < count; j++) to[s * pitch + j] += to[(from * vectors + s) * pitch + j];
        }
      }
      finish(b, first, count, to);
    }
  });
  return GR_OK;
}

}  // namespace gradus::cpu
