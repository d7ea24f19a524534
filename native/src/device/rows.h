// Rows of a dense matrix [rows, n] shared among lanes: a power of two of them up to a warp, or the whole block.
//
// A row is cut at the 16-byte borders of the matrix, so that n need not be a multiple of anything: its first and last pack may
// be partial, all others are one access. The cut, and with it the order of every sum, follows from the row's number and n alone:
// a matrix that is not aligned itself is read element by element, but in the same packs.
#pragma once

#include <type_traits>

#include "device/block.h"
#include "device/half.h"
#include "device/math.h"
#include "device/vector.h"
#include "device/warp.h"

namespace gradus {

// Elements of a pack: 16 bytes, or 8 elements where that would be more.
template <class T>
constexpr int kRowPack = kPackSize<T> < 8 ? kPackSize<T> : 8;
template <class T>
using RowPack = Pack<T, kRowPack<T>>;

// The most packs that a row of n elements touches.
template <class T>
GRADUS_HOST_DEVICE int64_t row_packs(int64_t n) {
  constexpr int kWidth = kRowPack<T>;
  return n % kWidth == 0 ? n / kWidth : (n + 2 * kWidth - 2) / kWidth;
}

// I: the type that counts within a row.
template <class T, class I = int>
struct RowCut {
  static constexpr int kWidth = kRowPack<T>;
  int64_t begin;  // element of the matrix at which pack 0 starts, up to kWidth - 1 before the row
  int first;      // element of the row, counted from begin
  I end;          // of the row, counted from begin
  I packs;

  GRADUS_DEVICE RowCut(int64_t row, int64_t n) {
    int64_t start = row * n;
    first = int(start & (kWidth - 1));
    begin = start - first;
    end = I(first + n);
    packs = (end + kWidth - 1) / kWidth;
  }
  GRADUS_DEVICE bool whole(I pack) const { return pack * kWidth >= first && (pack + 1) * kWidth <= end; }
  GRADUS_DEVICE bool holds(I pack, int i) const { return pack * kWidth + i >= first && pack * kWidth + i < end; }
  // The column of a pack's element 0; negative in a partial first pack.
  GRADUS_DEVICE I column(I pack) const { return pack * kWidth - first; }

  // `aligned`: x is aligned to packs.
  GRADUS_DEVICE RowPack<T> load_whole(const T* x, I pack, bool aligned) const {
    const T* p = x + (begin + pack * int64_t(kWidth));
    if (aligned) return load_pack<T, kWidth>(p);
    RowPack<T> result;
    GRADUS_UNROLL
    for (int i = 0; i < kWidth; i++) result.value[i] = p[i];
    return result;
  }
  // The elements outside the row are 0.
  GRADUS_DEVICE RowPack<T> load(const T* x, I pack, bool aligned) const {
    if (whole(pack)) return load_whole(x, pack, aligned);
    const T* p = x + (begin + pack * int64_t(kWidth));
    RowPack<T> result;
    GRADUS_UNROLL
    for (int i = 0; i < kWidth; i++) result.value[i] = holds(pack, i) ? p[i] : T{};
    return result;
  }
  GRADUS_DEVICE void store(T* y, I pack, const RowPack<T>& values, bool aligned) const {
    T* p = y + (begin + pack * int64_t(kWidth));
    bool all = whole(pack);
    if (aligned && all) {
      store_pack(p, values);
      return;
    }
    GRADUS_UNROLL
    for (int i = 0; i < kWidth; i++) {
      if (all || holds(pack, i)) p[i] = values.value[i];
    }
  }
};

// The longest row that int counts.
constexpr int64_t kLongestRow = INT32_MAX - 64;

// The packs that a lane has read of its row, kept in shared memory for its second pass: slot j of every thread in one line, so
// that no banks conflict. A thread only ever touches its own slots, which needs no barrier. Packs beyond the slots are read
// again.
template <class T>
struct RowCache {
  RowPack<T>* slot;
  int slots;

  GRADUS_DEVICE void keep(int step, const RowPack<T>& pack) {
    if (step < slots) slot[step * int(blockDim.x) + int(threadIdx.x)] = pack;
  }
  GRADUS_DEVICE RowPack<T> load(int step, const RowCut<T>& row, const T* x, int pack, bool aligned) const {
    return step < slots ? slot[step * int(blockDim.x) + int(threadIdx.x)] : row.load(x, pack, aligned);
  }
};

// f(step, pack, values, whole) for the packs of a lane, in order; `whole` is a constant where all elements are known to lie in
// the row, and then several loads are in flight.
template <class T, class F>
GRADUS_DEVICE void for_each_pack(const RowCut<T>& row, const T* x, int lane, int lanes, bool aligned, F f) {
  constexpr int kAhead = 4;
  int whole_from = row.first > 0 ? 1 : 0, whole_to = row.end / RowCut<T>::kWidth;
  for (int step = 0, pack = lane; pack < row.packs;) {
    if (pack >= whole_from && pack + (kAhead - 1) * lanes < whole_to) {
      RowPack<T> values[kAhead];
      GRADUS_UNROLL
      for (int i = 0; i < kAhead; i++) values[i] = row.load_whole(x, pack + i * lanes, aligned);
      GRADUS_UNROLL
      for (int i = 0; i < kAhead; i++) f(step + i, pack + i * lanes, values[i], std::true_type());
      pack += kAhead * lanes;
      step += kAhead;
    } else {
      f(step, pack, row.load(x, pack, aligned), std::false_type());
      pack += lanes;
      step++;
    }
  }
}

template <class T>
GRADUS_DEVICE T shuffle_xor(T value, int distance, Site site) {
  (void)site;
  return __shfl_xor_sync(kFullWarp, value, distance, 32 GRADUS_AT(site));
}

// Every lane of a row gets combine over all of them. All threads of the block must come here; the tree is fixed.
template <class T, class F>
GRADUS_DEVICE T lanes_reduce(T value, int lanes, T neutral, F combine, Site site = Site::here()) {
  GRADUS_UNROLL
  for (int distance = 16; distance > 0; distance /= 2) {
    if (distance < lanes) value = combine(value, shuffle_xor(value, distance, site));
  }
  if (lanes <= 32) return value;
  GRADUS_SHARED(T, partial, [32]);
  int lane = int(threadIdx.x) % 32;
  if (lane == 0) partial[threadIdx.x / 32] = value;
  __syncthreads();  // every warp's part is there before it is combined
  value = lane < int(blockDim.x) / 32 ? partial[lane] : neutral;
  GRADUS_UNROLL
  for (int distance = 16; distance > 0; distance /= 2) value = combine(value, shuffle_xor(value, distance, site));
  __syncthreads();  // everybody has read before the next reduction overwrites
  return value;
}

template <class A>
GRADUS_DEVICE A lanes_sum(A value, int lanes, Site site = Site::here()) {
  return lanes_reduce(value, lanes, A(0), [](A a, A b) { return a + b; }, site);
}

// The larger number; a NaN is passed over.
GRADUS_DEVICE float larger(float a, float b) { return fmaxf(a, b); }
GRADUS_DEVICE double larger(double a, double b) { return fmax(a, b); }
template <class A>
GRADUS_DEVICE A lanes_max(A value, int lanes, Site site = Site::here()) {
  return lanes_reduce(value, lanes, A(-INFINITY), [](A a, A b) { return larger(a, b); }, site);
}

// The exponential to the precision of a type: the fast one's error is far below a 16-bit rounding.
template <class T>
GRADUS_DEVICE accumulator_t<T> exponential(accumulator_t<T> x) {
  if constexpr (sizeof(T) == 8) return exp(x);
  else if constexpr (sizeof(T) == 4) return expf(x);
  else return __expf(x);
}

// What is subtracted before exponentials are taken: the maximum, but 0 where all are minus infinity, which would give NaN.
template <class A>
GRADUS_DEVICE A softmax_shift(A top) {
  return top == A(-INFINITY) ? A(0) : top;
}

// The running maximum and sum of exp(x - maximum) of one pass; NaN and plus infinity make the sum NaN.
// Source: Milakov, Gimelshein, "Online normalizer calculation for softmax", 2018.
template <class T>
struct OnlineSoftmax {
  using A = accumulator_t<T>;
  A top = -INFINITY;
  A sum = 0;

  template <int N>
  GRADUS_DEVICE void take(const A (&x)[N]) {
    A highest = top;
    GRADUS_UNROLL
    for (int i = 0; i < N; i++) highest = larger(highest, x[i]);
    if (highest > top) {
      sum *= exponential<T>(top - highest);
      top = highest;
    }
    A shift = softmax_shift(top), part = 0;
    GRADUS_UNROLL
    for (int i = 0; i < N; i++) part += exponential<T>(x[i] - shift);
    sum += part;
  }
  // The sum about a maximum that is not below this one.
  GRADUS_DEVICE A about(A highest) const { return sum * exponential<T>(top - softmax_shift(highest)); }
};

// A pack as accumulators, minus infinity outside the row; `whole` as for_each_pack gives it.
template <class T, class Whole>
GRADUS_DEVICE void unpack_scores(const RowCut<T>& row, int pack, const RowPack<T>& values, Whole,
                                 accumulator_t<T> (&x)[kRowPack<T>]) {
  GRADUS_UNROLL
  for (int i = 0; i < kRowPack<T>; i++) {
    x[i] = Whole::value || row.holds(pack, i) ? to_float(values.value[i]) : accumulator_t<T>(-INFINITY);
  }
}

}  // namespace gradus
