// What both directions of attention share: which keys a query sees, operands, the mask of dropout, products of blocks in the cache.
#pragma once

#include <cmath>
#include <limits>

#include "cpu/gemm.h"
#include "cpu/simd_math.h"
#include "cpu/simd_philox.h"
#include "gradus/attention.h"
#include "plugin/handle.h"

namespace gradus::cpu {

// A block of probabilities: that of queries x keys stays in the L1 or L2 cache beside the rows that it is multiplied with.
constexpr int64_t kBlockQueries = 64, kBlockKeys = 128;

template <class A>
int64_t padded(int64_t columns) {
  constexpr int64_t kColumns = GemmTile<A>::kColumns;
  return (columns + kColumns - 1) / kColumns * kColumns;
}

// From first on, before end; nothing where end <= first.
struct AttentionRange {
  int64_t first, end;
};

struct AttentionShape {
  explicit AttentionShape(const gr_attention_problem& p)
      : queries(p.queries), keys(p.keys), dim(p.dim), heads(p.heads), group(p.heads / p.kv_heads), offset(p.keys - p.queries) {
    constexpr int64_t kUnlimited = int64_t(1) << 40;
    left = p.window > 0 ? std::min(p.window - 1, kUnlimited) : kUnlimited;
    right = p.causal != 0 ? 0 : left;
  }

  // What the queries of a range see, from the first to the last; and which queries see a range of keys.
  AttentionRange keys_of(AttentionRange q) const {
    return {std::max<int64_t>(0, q.first + offset - left), std::min(keys, q.end + offset + right)};
  }
  AttentionRange queries_of(AttentionRange k) const {
    return {std::max<int64_t>(0, k.first - offset - right), std::min(queries, k.end - offset + left)};
  }

  int64_t queries, keys, dim, heads, group;  // group: query heads to one head of k and v
  int64_t offset;                            // query i stands at i + offset
  int64_t left, right;                       // key j is seen where -left <= j - position <= right
};

inline int attention_check(const gr_attention_problem& p) {
  constexpr int64_t kLargest = 1 << 28;
  if (p.batch < 0 || p.queries < 0 || p.keys < 0 || p.heads < 1 || p.kv_heads < 1 || p.heads % p.kv_heads != 0) {
    return failed(GR_ERROR, "[attention] sizes must not be negative, and kv_heads must divide heads, both at least 1");
  }
  bool counts_fit = p.queries <= kLargest && p.keys <= kLargest && p.heads <= kLargest && p.batch <= kLargest;
  if (!counts_fit || p.dim < 1 || p.dim > 256) {
    return failed(GR_UNSUPPORTED, "[attention] the fused functions take dim 1 to 256 and up to 2^28 queries and keys");
  }
  return GR_OK;
}

// Calls f for tasks of `work` multiply-adds each, several at a time where they are small.
template <class F>
void for_tasks(int64_t tasks, int64_t work, F&& f) {
  constexpr int64_t kWorthwhile = 1 << 19;
  parallel_for(tasks, std::max<int64_t>(1, kWorthwhile / std::max<int64_t>(1, work)), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; i++) f(i);
  });
}

// The rows of one head, as an operand whose sum runs along them, or with `across` over them.
template <class T>
GemmMatrix<std::remove_const_t<T>> head_rows(T* data, const gr_attention_strides& s, int64_t batch, int64_t head, int64_t lines,
                                             bool across) {
  return {data + batch * s.batch + head * s.head, 0, s.row, lines, across};
}

// Which elements of a row of probabilities dropout keeps; elements are counted densely over [batch, heads, queries, keys].
class AttentionDropout {
 public:
  AttentionDropout(int64_t rng, const gr_attention_problem& p)
      : key_(rng == 0 ? PhiloxKey(kNone, 0) : PhiloxKey(pointer<const int64_t>(rng), p.dropout_number)), p_(p), drops_(rng != 0),
        threshold_(uint32_t(std::rint(p.dropout * 65536))) {}

  bool drops() const { return drops_; }
  double keep_scale() const { return !drops_ ? 1 : p_.dropout == 1 ? 0 : 1 / (1 - p_.dropout); }

  // row[j] of `from` if key + j is kept, else 0, for j < count <= kBlockKeys.
  template <class A>
  void apply(int64_t batch, int64_t head, int64_t query, int64_t key, int64_t count, const A* from, A* row) const {
    auto index = uint64_t(((batch * p_.heads + head) * p_.queries + query) * p_.keys + key);
    auto shift = int64_t(index % kDropoutValues);
    int64_t blocks = (shift + count + kDropoutValues - 1) / kDropoutValues;
    uint32_t words[4 * (kBlockKeys / kDropoutValues + 1 + kPhiloxBlocks)];
    philox_words(key_, index / kDropoutValues, blocks, words);
    uint16_t halves[sizeof words / 2];
    memcpy(halves, words, size_t(blocks) * 16);  // the lower half of a word comes first
    for (int64_t j = 0; j < count; j++) row[j] = halves[shift + j] >= threshold_ ? from[j] : A(0);
  }

 private:
  static constexpr int64_t kNone[2] = {0, 0};

  PhiloxKey key_;
  const gr_attention_problem& p_;
  bool drops_;
  uint32_t threshold_;
};

GRADUS_INLINE Floats exp_lanes(Floats x) { return exp(x); }
GRADUS_INLINE Doubles exp_lanes(Doubles x) {
  for (int i = 0; i < lanes_of<double>; i++) x[i] = std::exp(x[i]);
  return x;
}

// Elements that pack_bands needs.
template <class A>
int64_t bands_size(int64_t rows, int64_t depth) {
  return rows * depth + (rows / GemmTile<A>::kRows + 1) * lanes_of<A>;
}

template <class A, class T>
void pack_all_bands(const GemmMatrix<T>& x, int64_t first, int64_t rows, int64_t k, int64_t depth, A* out) {
  gemm_detail::pack_bands(x, 0, gemm_detail::RowBlock<A>(first, rows), k, depth, out);
}

// c = bands times panels, or added to c. Columns are padded, also those of c; panels lie panel_pitch apart.
template <class A>
void multiply_block(int64_t rows, int64_t columns, int64_t depth, const A* bands, const A* panels, int64_t panel_pitch, A* c,
                    int64_t pitch, bool add) {
  constexpr int64_t kColumns = GemmTile<A>::kColumns;
  const gemm_detail::RowBlock<A> block(0, rows);
  for (int64_t j = 0; j < columns; j += kColumns, panels += panel_pitch) {
    for (int64_t band = 0; band < block.bands; band++) {
      const int height = block.height(band);
      GemmKernel<A> kernel = gemm_kernel<A>(height, 2, true);
      kernel(depth, bands + block.place(band, depth), height, panels, kColumns, c + block.begin(band) * pitch + j, pitch, add);
    }
  }
}

// Stores rows of sums, each times its factor.
template <class T>
GRADUS_INLINE void store_row(T* to, const accumulator_t<T>* from, int64_t dim, accumulator_t<T> factor) {
  for (int64_t d = 0; d < dim; d += lanes_of<accumulator_t<T>>) {
    int lanes = lanes_left<accumulator_t<T>>(dim - d);
    store_wide_some(to + d, load_some(from + d, lanes) * factor, lanes);
  }
}

}  // namespace gradus::cpu
