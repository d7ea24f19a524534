// Walking along the columns of dense [rows, channels] matrices, a batch of them at a time: who reads what, eight neighbouring
// elements a thread, and the merging of what the threads of a block found about the same columns.
//
// Rows are joined to lines whose width is a multiple of eight (`fold` rows a line, 1 where eight divides the channels), so that
// any number of channels is read by 16-byte accesses; a channel then has `fold` columns. A block covers a strip of at most 64
// columns (128 bytes of 16-bit elements, whole cache lines) and `slots` lines at a time: wide matrices get many strips instead of
// many partial results, narrow ones many lines, and one channel is as quick as a thousand.
#pragma once

#include <cstring>
#include <type_traits>

#include "device/block.h"
#include "device/half.h"
#include "device/math.h"
#include "device/vector.h"
#include "device/warp.h"

namespace gradus {

constexpr int kOctet = 8;
constexpr int kColumnThreads = 256;
constexpr int kStripLanes = 8;

// Eight elements as they lie in memory: 16-bit ones stay two in a register until they are used.
template <class T>
struct Octet {
  using Word = std::conditional_t<sizeof(T) == 2, uint32_t, T>;
  static constexpr int kWords = kOctet * int(sizeof(T)) / int(sizeof(Word));
  Word word[kWords];

  GRADUS_DEVICE T get(int j) const {
    if constexpr (sizeof(T) == 2) {
      uint16_t bits = uint16_t(word[j / 2] >> (j % 2 * 16));
      T value;
      memcpy(&value, &bits, 2);
      return value;
    } else {
      return word[j];
    }
  }
  GRADUS_DEVICE void set_zero() {
    GRADUS_UNROLL
    for (int i = 0; i < kWords; i++) word[i] = Word(0);
  }
  // In the order of j, after set_zero().
  GRADUS_DEVICE void set(int j, T value) {
    if constexpr (sizeof(T) == 2) {
      uint16_t bits;
      memcpy(&bits, &value, 2);
      word[j / 2] |= uint32_t(bits) << (j % 2 * 16);
    } else {
      word[j] = value;
    }
  }
  // Keeps element j, or makes it 0.
  GRADUS_DEVICE void keep_if(int j, bool keep) {
    if constexpr (sizeof(T) == 2) {
      if (!keep) word[j / 2] &= j % 2 == 0 ? 0xFFFF0000u : 0x0000FFFFu;
    } else {
      if (!keep) word[j] = T(0);
    }
  }
};

template <bool Aligned, class T>
GRADUS_DEVICE Octet<T> load_octet(const T* p) {
  Octet<T> out;
  if constexpr (Aligned) {
    constexpr int kSize = kPackSize<T>, kWordsOfPack = Octet<T>::kWords * kSize / kOctet;
    GRADUS_UNROLL
    for (int i = 0; i < kOctet / kSize; i++) {
      Pack<T, kSize> part = load_pack<T, kSize>(p + i * kSize);
      memcpy(&out.word[i * kWordsOfPack], &part, 16);
    }
  } else {
    out.set_zero();
    GRADUS_UNROLL
    for (int j = 0; j < kOctet; j++) out.set(j, p[j]);
  }
  return out;
}

template <bool Aligned, class T>
GRADUS_DEVICE void store_octet(T* p, const Octet<T>& octet) {
  if constexpr (Aligned) {
    constexpr int kSize = kPackSize<T>, kWordsOfPack = Octet<T>::kWords * kSize / kOctet;
    GRADUS_UNROLL
    for (int i = 0; i < kOctet / kSize; i++) {
#if GRADUS_EMULATED
      Pack<T, kSize> part;
      memcpy(&part, &octet.word[i * kWordsOfPack], 16);
      store_pack(p + i * kSize, part);
#else
      // The intrinsic, because the compiler takes plain vector stores apart where the same elements may be stored singly.
      uint4 part;
      memcpy(&part, &octet.word[i * kWordsOfPack], 16);
      __stwb(reinterpret_cast<uint4*>(p + i * kSize), part);
#endif
    }
  } else {
    GRADUS_UNROLL
    for (int j = 0; j < kOctet; j++) p[j] = octet.get(j);
  }
}

// The first `count` elements; the others are 0.
template <bool Aligned, class T>
GRADUS_DEVICE Octet<T> load_octet(const T* p, int64_t count) {
  if (count >= kOctet) return load_octet<Aligned>(p);
  Octet<T> out;
  out.set_zero();
  GRADUS_UNROLL
  for (int j = 0; j < kOctet; j++) {
    if (j < count) out.set(j, p[j]);
  }
  return out;
}

template <bool Aligned, class T>
GRADUS_DEVICE void store_octet(T* p, const Octet<T>& octet, int64_t count) {
  if (count >= kOctet) {
    store_octet<Aligned>(p, octet);
    return;
  }
  GRADUS_UNROLL
  for (int j = 0; j < kOctet; j++) {
    if (j < count) p[j] = octet.get(j);
  }
}

// A vector of weights, of the elements' type or, `wide`, of their accumulator type; may be absent.
struct Weights {
  const void* data;
  bool wide;
};

template <class T>
GRADUS_DEVICE accumulator_t<T> weight_at(Weights weights, int64_t i, accumulator_t<T> absent) {
  if (weights.data == nullptr) return absent;
  if (weights.wide) return static_cast<const accumulator_t<T>*>(weights.data)[i];
  return to_float(static_cast<const T*>(weights.data)[i]);
}

// The same for results.
struct WeightsOut {
  void* data;
  bool wide;
};

template <class T>
GRADUS_DEVICE void store_weight(WeightsOut out, int64_t i, accumulator_t<T> value) {
  if (out.data == nullptr) return;
  if (out.wide) {
    static_cast<accumulator_t<T>*>(out.data)[i] = value;
  } else {
    static_cast<T*>(out.data)[i] = from_accumulator<T>(value);
  }
}

// A tile is `slots` times `unroll` lines of a strip. The blocks of a strip share its tiles: block `split` takes every splits-th
// (reductions: all blocks move through memory together) or `rounds` neighbouring ones (element-wise passes).
struct ColumnTiles {
  int64_t batch, rows, channels;
  int64_t elements;  // of a matrix
  int64_t width;     // of a line: fold * channels
  int64_t lines, tiles, rounds;
  int fold, lanes, slots, unroll, strips, splits, longer;  // the first `longer` blocks of a reduction have a tile more

  int64_t blocks() const { return batch * splits * strips; }
  // Entries per channel when every block leaves one for each of its columns.
  int64_t entries() const { return int64_t(splits) * fold; }
};

// Whole lines only, for what has to count them: less than a line remains.
enum class LastLine { whole, ragged };

inline ColumnTiles column_tiles(int64_t batch, int64_t rows, int64_t channels, int unroll, LastLine last) {
  ColumnTiles t{};
  t.batch = batch;
  t.rows = rows;
  t.channels = channels;
  t.elements = rows * channels;
  t.fold = kOctet;
  while (t.fold > 1 && channels * t.fold / 2 % kOctet == 0) t.fold /= 2;
  t.width = channels * t.fold;
  t.lines = last == LastLine::whole ? rows / t.fold : (rows + t.fold - 1) / t.fold;
  int64_t octets = t.width / kOctet;
  t.strips = int((octets + kStripLanes - 1) / kStripLanes);
  t.lanes = t.strips == 0 ? 1 : int((octets + t.strips - 1) / t.strips);
  t.slots = kColumnThreads / t.lanes;
  t.unroll = unroll;
  t.tiles = (t.lines + t.slots * unroll - 1) / (t.slots * unroll);
  return t;
}

// For reductions: about as many blocks as fill the 132 multiprocessors of an H200 once, with so many on each. The number depends
// on the shape alone, so that the order of sums does too.
inline ColumnTiles split_for_reduction(ColumnTiles t, int resident) {
  int64_t wanted = 132 * resident / (t.batch * t.strips > 0 ? t.batch * t.strips : 1);
  wanted = wanted < 1 ? 1 : wanted < t.tiles ? wanted : t.tiles;
  if (wanted == 0) return t;  // no line: no block
  t.rounds = (t.tiles + wanted - 1) / wanted;
  t.splits = int((t.tiles + t.rounds - 1) / t.rounds);
  t.longer = int(t.tiles % t.splits);
  return t;
}

// For element-wise passes: a few tiles a block, so that what belongs to the columns is read seldom, but enough blocks.
inline ColumnTiles split_for_elements(ColumnTiles t) {
  constexpr int64_t kBlocks = 1056, kRounds = 8;
  int64_t rounds = t.tiles * t.batch * t.strips / kBlocks;
  t.rounds = rounds < 1 ? 1 : rounds < kRounds ? rounds : kRounds;
  t.splits = int((t.tiles + t.rounds - 1) / t.rounds);
  return t;
}

// Where a thread stands.
struct ColumnPlace {
  int64_t matrix, column;  // the first of its eight columns
  int split, lane, slot;
  bool active;
};

GRADUS_DEVICE ColumnPlace column_place(const ColumnTiles& t, unsigned block) {
  ColumnPlace at;
  unsigned strip = block % unsigned(t.strips), rest = block / unsigned(t.strips);
  at.split = int(rest % unsigned(t.splits));
  at.matrix = rest / unsigned(t.splits);
  at.lane = int(threadIdx.x) % t.lanes;
  at.slot = int(threadIdx.x) / t.lanes;
  at.column = (int64_t(strip) * t.lanes + at.lane) * kOctet;
  at.active = at.slot < t.slots && at.column < t.width;
  return at;
}

// The lines that block `split` of a reduction has seen.
GRADUS_DEVICE int64_t lines_of_split(const ColumnTiles& t, int split) {
  int64_t tile_lines = int64_t(t.slots) * t.unroll;
  int64_t count = (t.rounds - (t.longer != 0 && split >= t.longer)) * tile_lines;
  bool has_last_tile = split == (t.longer == 0 ? t.splits : t.longer) - 1;
  return has_last_tile ? count - (t.tiles * tile_lines - t.lines) : count;
}

// x / y for counts of elements: two units in the last place, and no call of a subroutine.
GRADUS_DEVICE float share(float x, float y) { return __fdividef(x, y); }
GRADUS_DEVICE double share(double x, double y) { return x / y; }

GRADUS_DEVICE float inverse_root(float x) { return rsqrtf(x); }
GRADUS_DEVICE double inverse_root(double x) { return rsqrt(x); }

// Mean, sum of squared distances from it, and count of two sets, put together.
// Source: Chan, Golub, LeVeque, "Updating formulae and a pairwise algorithm for computing sample variances", 1979.
struct MergeMoments {
  template <class A>
  GRADUS_DEVICE void operator()(A& mean, A& squares, A count, A mean2, A squares2, A count2) const {
    if (count2 == A(0)) return;
    A part = share(count2, count + count2);
    A distance = mean2 - mean;
    mean += distance * part;
    squares += squares2 + distance * distance * count * part;
  }
};

struct MergeSums {
  template <class A>
  GRADUS_DEVICE void operator()(A& first, A& second, A, A first2, A second2, A) const {
    first += first2;
    second += second2;
  }
};

// Merges the slots of a block: thread slot * lanes + lane holds N pairs; slot 0 ends with those of all. The tree is fixed. All
// Threads threads of the block come here.
template <int N, int Threads, class A, class Merge>
GRADUS_DEVICE void merge_slots(A (&first)[N], A (&second)[N], A& count, int lanes, int slots, Merge merge) {
  GRADUS_SHARED(A, parts, [2 * N][Threads / 2]);
  GRADUS_SHARED(A, counts, [Threads / 2]);
  int thread = int(threadIdx.x), lane = thread % lanes, slot = thread / lanes;
  int reach = 1;
  while (reach * 2 < slots) reach *= 2;
  if (slots < 2) reach = 0;
  for (; reach > 0; reach /= 2) {
    int at = (slot - reach) * lanes + lane;
    if (slot >= reach && slot < 2 * reach && slot < slots) {
      GRADUS_UNROLL
      for (int j = 0; j < N; j++) {
        parts[j][at] = first[j];
        parts[N + j][at] = second[j];
      }
      counts[at] = count;
    }
    __syncthreads();  // the upper half is there before the lower half takes it
    if (slot < reach && slot + reach < slots) {
      int from = slot * lanes + lane;
      A other = counts[from];
      GRADUS_UNROLL
      for (int j = 0; j < N; j++) merge(first[j], second[j], count, parts[j][from], parts[N + j][from], other);
      count += other;
    }
    __syncthreads();  // everybody has read before the next round overwrites
  }
}

}  // namespace gradus
