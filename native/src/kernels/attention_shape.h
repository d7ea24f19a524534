// What the attention kernels of both directions share: the problem as a kernel takes it, which keys a query sees, the dropout
// mask, and the checks of the launchers.
//
// Probabilities are formed in base 2: exp(scale s - lse) = 2^(logit_scale s - lse log2(e)), logit_scale = scale log2(e).
#pragma once

#include <cmath>
#include <string>

#include "device/fragments.h"
#include "device/math.h"
#include "device/philox.h"
#include "device/warp.h"
#include "gradus/attention.h"
#include "kernels/launcher.h"

namespace gradus {

constexpr double kLog2E = 1.4426950408889634074;
constexpr double kLn2 = 0.69314718055994530942;

// One operand [batch, heads, rows, dim].
template <class T>
struct AttentionOperand {
  T* data;
  int64_t batch, head, row;
  int32_t rows, dim;

  GRADUS_DEVICE MatrixView<T> at(int b, int h) const { return {data + b * batch + h * head, row, rows, dim}; }
};

// Rows or columns from first on, before last.
struct AttentionRange {
  int first, last;
};

struct AttentionShape {
  int32_t heads, group;  // group: query heads to one head of k and v
  int32_t queries, keys, dim;
  int32_t offset;       // query i stands at i + offset
  int32_t left, right;  // key j is seen where -left <= j - position <= right
  double scale, logit_scale;
  const int64_t* rng;
  int64_t dropout_number;
  uint32_t dropout_threshold;
  double keep_scale;  // 1 / (1 - p), or 1 without dropout

  // The columns that a row sees, first to last (inclusive): keys of a query, or transposed, queries of a key.
  template <bool Transposed>
  GRADUS_DEVICE AttentionRange seen(int row) const {
    if (Transposed) return {row - offset - right, min(queries - 1, row - offset + left)};
    return {row + offset - left, min(keys - 1, row + offset + right)};
  }

  // The tiles of columns that some row of [row, row + rows) sees; empty ranges have last <= first.
  template <bool Transposed>
  GRADUS_DEVICE AttentionRange tiles(int row, int rows, int tile) const {
    int last_row = min(row + rows, Transposed ? keys : queries) - 1;
    int first = max(0, seen<Transposed>(row).first);
    return {first / tile * tile, seen<Transposed>(last_row).last + 1};
  }

  // Whether rows [row, row + rows) see all columns [column, column + columns).
  template <bool Transposed>
  GRADUS_DEVICE bool sees_all(int row, int rows, int column, int columns) const {
    return column >= seen<Transposed>(row + rows - 1).first && column + columns - 1 <= seen<Transposed>(row).last;
  }
};

// Where the block works: its tile of rows, its batch and its head.
struct AttentionPlace {
  int tile, batch, head;
};

// Tiles of a head come one after another, so that they find its other operand in L2.
GRADUS_DEVICE AttentionPlace attention_place(int tiles, int heads) {
  int head = int(blockIdx.x) / tiles;
  return {int(blockIdx.x) % tiles, head / heads, head % heads};
}

// The mask of one head: elements (query, key) are counted densely over [batch, heads, queries, keys].
struct AttentionDropout {
  uint64_t seed, counter, base;
  uint32_t threshold;
  int keys;

  GRADUS_DEVICE AttentionDropout(const AttentionShape& shape, int batch, int head)
      : seed(uint64_t(shape.rng[0])),
        counter(uint64_t(shape.rng[1]) + uint64_t(shape.dropout_number)),
        base(uint64_t(int64_t(batch) * shape.heads + head) * uint64_t(shape.queries) * uint64_t(shape.keys)),
        threshold(shape.dropout_threshold),
        keys(shape.keys) {}

  // Bits of keys key to key + 7 of a query: 1 is kept. One Philox block where they lie in one, else two.
  GRADUS_DEVICE uint32_t bits(int query, int key) const {
    uint64_t index = base + uint64_t(query) * uint64_t(keys) + uint64_t(key);
    auto shift = int(index % kDropoutValues);
    uint32_t kept = block_bits(index / kDropoutValues);
    if (shift != 0) kept |= block_bits(index / kDropoutValues + 1) << kDropoutValues;
    return kept >> shift & 0xFF;
  }

  GRADUS_DEVICE uint32_t block_bits(uint64_t block) const {
    PhiloxWords words = philox(seed, counter, block);
    uint32_t kept = 0;
    GRADUS_UNROLL
    for (int i = 0; i < kDropoutValues; i++) kept |= uint32_t(philox_half(words, i) >= threshold) << i;
    return kept;
  }

  // The mask of a fragment: of D [16, 8 Tiles] of a warp, bit 4 n + i is element i of tile n. A lane draws eight keys of one
  // query at a time and the lanes exchange them, so that no block is drawn twice. Rows are queries, or transposed, keys.
  template <int Tiles, bool Transposed>
  GRADUS_DEVICE uint32_t fragment(int row, int column) const {
    static_assert(Tiles % 2 == 0 && Tiles <= 8, "pairs of tiles, four bits each in a word");
    int lane = lane_index();
    uint32_t kept = 0;
    GRADUS_UNROLL
    for (int n = 0; n < Tiles; n += 2) {
      int first = column + 8 * n, small = lane % 16, large = lane / 16 * 8;
      uint32_t mine = Transposed ? bits(first + small, row + large) : bits(row + small, first + large);
      GRADUS_UNROLL
      for (int i = 0; i < 8; i++) {
        int tile = i / 4, below = i / 2 % 2, right = i % 2;
        if (Transposed) {
          uint32_t theirs = __shfl_sync(kFullWarp, mine, below * 16 + tile * 8 + lane % 4 * 2 + right);
          kept |= (theirs >> (lane / 4) & 1) << (4 * n + i);
        } else if (right == 0) {
          uint32_t theirs = __shfl_sync(kFullWarp, mine, tile * 16 + below * 8 + lane / 4);
          kept |= (theirs >> (lane % 4 * 2) & 3) << (4 * n + i);
        }
      }
    }
    return kept;
  }
};

// 2^x: the instruction for float would flush what float32 results still hold.
GRADUS_DEVICE float exp2_exact(float x) { return exp2f(x); }
GRADUS_DEVICE double exp2_exact(double x) { return exp2(x); }

// --- launchers

template <class T>
AttentionOperand<T> attention_operand(int64_t address, const gr_attention_strides& strides, int64_t rows, int64_t dim) {
  return {pointer<T>(address), strides.batch, strides.head, strides.row, int32_t(rows), int32_t(dim)};
}

// Whether rows can be copied by 16-byte pieces; an absent operand can.
template <class T>
bool has_aligned_rows(const AttentionOperand<T>& x) {
  constexpr int64_t kPiece = 16 / sizeof(T);
  return is_aligned(x.data, 16) && x.batch % kPiece == 0 && x.head % kPiece == 0 && x.row % kPiece == 0;
}

// The tensor-core kernels fold the scale into the exponent after the maximum was taken, which a scale of 0 or below would upset.
inline bool uses_tensor_cores(const gr_attention_problem& p) { return p.dim % 8 == 0 && p.scale > 0; }

// Indices within a head are int, with room for tiles and windows that reach beyond it.
inline int attention_check(const gr_attention_problem& p) {
  constexpr int64_t kLargest = 1 << 28;
  if (p.batch < 0 || p.queries < 0 || p.keys < 0 || p.heads < 1 || p.kv_heads < 1 || p.heads % p.kv_heads != 0) {
    return failed(GR_ERROR, "[attention] sizes must not be negative, and kv_heads must divide heads, both at least 1");
  }
  bool counts_fit = p.queries <= kLargest && p.keys <= kLargest && p.heads <= kLargest && p.batch <= kLargest;
  if (!counts_fit || p.dim < 1 || p.dim > 256) {
    return failed(GR_UNSUPPORTED, "[attention] the fused kernels take dim 1 to 256 and up to 2^28 queries and keys");
  }
  return GR_OK;
}

inline AttentionShape attention_shape(const gr_attention_problem& p, int64_t rng) {
  constexpr int kUnlimited = 1 << 29;
  int window = p.window > 0 && p.window < kUnlimited ? int(p.window) - 1 : kUnlimited;
  AttentionShape shape{};
  shape.heads = int32_t(p.heads);
  shape.group = int32_t(p.heads / p.kv_heads);
  shape.queries = int32_t(p.queries);
  shape.keys = int32_t(p.keys);
  shape.dim = int32_t(p.dim);
  shape.offset = int32_t(p.keys - p.queries);
  shape.left = window;
  shape.right = p.causal != 0 ? 0 : window;
  shape.scale = p.scale;
  shape.logit_scale = p.scale * kLog2E;
  shape.rng = pointer<const int64_t>(rng);
  shape.dropout_number = p.dropout_number;
  shape.dropout_threshold = uint32_t(std::rint(p.dropout * 65536));
  shape.keep_scale = rng == 0 ? 1 : p.dropout == 1 ? 0 : 1 / (1 - p.dropout);
  return shape;
}

// A one-dimensional grid; GR_UNSUPPORTED beyond what CUDA takes.
inline bool attention_grid(int64_t tiles, int64_t heads, dim3& grid) {
  int64_t blocks = tiles * heads;
  if (blocks > 0x7FFFFFFF) return false;
  grid = dim3(unsigned(blocks));
  return true;
}

}  // namespace gradus
