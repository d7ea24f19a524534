// Fused attention, forward: a task takes a block of queries and walks over the keys that they see, a block at a time, keeping for
// every query the largest logit so far, the sum of exponentials relative to it, and the sum of values weighted by them; when the
// largest grows, the sums are rescaled. The matrix of probabilities lives in the cache, a block at a time.
// Source: Dao, "FlashAttention-2: Faster Attention with Better Parallelism and Work Partitioning", 2023; Milakov, Gimelshein,
// "Online normalizer calculation for softmax", 2018.
//
// k and v are packed once for all queries; a few queries read them where they are. Sums are in the order of the keys. A masked key
// has the logit -inf. A query that sees nothing keeps the sum 0, which gives out 0 and log_sum_exp -inf. NaN reaches the rows that
// it belongs to: maxima pass it over, exponentials and sums do not.
#include "gradus/attention.h"

#include "cpu/attention_blocks.h"
#include "cpu/matmul_vector.h"
#include "plugin/types.h"

namespace gradus::cpu {
namespace {

struct PackedHeads;
struct QueryBands;
struct Logits;
struct LogitBands;
struct Sums;

// Of one query.
template <class A>
struct Softmax {
  A largest = -std::numeric_limits<A>::infinity();
  A sum = 0;

  // Makes exponentials of a row of logits, of which it sees `seen`. What earlier sums are to be multiplied with.
  A take(A* row, int64_t columns, AttentionRange seen) {
    constexpr A kNothing = -std::numeric_limits<A>::infinity();
    seen.first = std::clamp<int64_t>(seen.first, 0, columns);
    seen.end = std::clamp<int64_t>(seen.end, seen.first, columns);
    std::fill(row, row + seen.first, kNothing);
    std::fill(row + seen.end, row + columns, kNothing);
    Vec<A> most = broadcast(largest);
    for (int64_t j = 0; j < columns; j += lanes_of<A>) most = max(load(row + j), most);  // not NaN
    A top = largest;
    for (int i = 0; i < lanes_of<A>; i++) top = most[i] > top ? most[i] : top;
    A base = top == kNothing ? A(0) : top;  // -inf - -inf would be NaN
    A rescale = std::exp(largest - base);
    largest = top;
    Vec<A> total = {}, of_base = broadcast(base);
    for (int64_t j = 0; j < columns; j += lanes_of<A>) {
      Vec<A> x = exp_lanes(load(row + j) - of_base);
      store(row + j, x);
      total += x;
    }
    sum = sum * rescale + gradus::cpu::sum(total);
    return rescale;
  }
};

template <class T>
class Forward {
 public:
  using A = accumulator_t<T>;

  Forward(const gr_attention_problem& p, int64_t q, int64_t k, int64_t v, int64_t rng, int64_t out, int64_t log_sum_exp)
      : p_(p), shape_(p), dropout_(rng, p), q_(pointer<const T>(q)), k_(pointer<const T>(k)), v_(pointer<const T>(v)),
        out_(pointer<T>(out)), log_sum_exp_(pointer<A>(log_sum_exp)), width_(padded<A>(p.dim)),
        in_place_(p.queries <= kMaxVectors) {}

  int run() {
    constexpr int64_t kPackedBytes = 64 << 20;
    int64_t heads = p_.batch * p_.kv_heads, blocks = divide_up(p_.queries, kBlockQueries) * shape_.group;
    int64_t size = in_place_ ? 0 : padded<A>(p_.keys) * p_.dim + p_.keys * width_;
    int64_t together = size == 0 ? heads : std::clamp<int64_t>(kPackedBytes / (size * int64_t(sizeof(A))), 1, heads);
    A* packed = workspace<PackedHeads, A>(together * size + 1);
    if (packed == nullptr) return failed(GR_OUT_OF_MEMORY, "[attention] no memory for packed keys and values");
    for (int64_t from = 0; from < heads; from += together) {
      int64_t some = std::min(together, heads - from);
      if (size > 0) for_tasks(2 * some, 4 * size, [&](int64_t i) { pack(from + i / 2, i % 2 != 0, packed + i / 2 * size); });
      // Under a causal mask the last queries take longest: they start first.
      for_tasks(some * blocks, std::min(p_.queries, kBlockQueries) * p_.keys * p_.dim, [&](int64_t i) {
        int64_t block = blocks / shape_.group - 1 - i / shape_.group % (blocks / shape_.group), head = from + i / blocks;
        compute(head / p_.kv_heads, head % p_.kv_heads, i % shape_.group, block * kBlockQueries, packed + i / blocks * size);
      });
    }
    return GR_OK;
  }

 private:
  // Keys: panels of keys, [dim] deep. Values behind them: panels of dim, [keys] deep.
  void pack(int64_t head, bool values, A* to) const {
    constexpr int64_t kColumns = GemmTile<A>::kColumns;
    int64_t batch = head / p_.kv_heads, kv = head % p_.kv_heads;
    if (values) {
      gemm_detail::pack_panels(head_rows(v_, p_.v, batch, kv, p_.dim, true), 0, 0, width_ / kColumns, p_.dim, 0, p_.keys,
                               to + padded<A>(p_.keys) * p_.dim);
    } else {
      gemm_detail::pack_panels(head_rows(k_, p_.k, batch, kv, p_.keys, false), 0, 0, padded<A>(p_.keys) / kColumns, p_.keys, 0,
                               p_.dim, to);
    }
  }

  void compute(int64_t batch, int64_t kv, int64_t in_group, int64_t first, const A* packed) const {
    int64_t head = kv * shape_.group + in_group;
    int64_t rows = std::min(kBlockQueries, p_.queries - first);
    A* queries = workspace<QueryBands, A>(bands_size<A>(kBlockQueries, 256));
    A* s = workspace<Logits, A>(kBlockQueries * kBlockKeys);
    A* sums = workspace<Sums, A>(2 * kBlockQueries * width_);
    std::fill(sums, sums + rows * width_, A(0));
    auto q = head_rows(q_, p_.q, batch, head, p_.queries, false);
    int64_t loaded = rows * p_.dim;
    if (in_place_) {
      for (int64_t i = 0; i < rows; i++) {
        for (int64_t d = 0; d < p_.dim; d++) queries[i * p_.dim + d] = A(to_float(*q.at(0, first + i, d)));
      }
    } else {
      pack_all_bands<A>(q, first, rows, 0, p_.dim, queries);
      loaded = bands_size<A>(rows, p_.dim);
    }
    for (int64_t i = 0; i < loaded; i++) queries[i] *= A(p_.scale);

    Softmax<A> state[kBlockQueries];
    AttentionRange range = shape_.keys_of({first, first + rows});
    for (int64_t key = range.first / kBlockKeys * kBlockKeys; key < range.end; key += kBlockKeys) {
      int64_t keys = std::min(kBlockKeys, range.end - key), columns = padded<A>(keys);
      multiply_keys(batch, kv, rows, key, keys, queries, packed, s);
      for (int64_t i = 0; i < rows; i++) {
        A* row = s + i * kBlockKeys;
        AttentionRange seen = shape_.keys_of({first + i, first + i + 1});
        A rescale = state[i].take(row, columns, {seen.first - key, seen.end - key});
        if (rescale != 1) {
          for (int64_t d = 0; d < width_; d++) sums[i * width_ + d] *= rescale;
        }
        if (dropout_.drops()) dropout_.apply(batch, head, first + i, key, keys, row, row);
      }
      multiply_values(batch, kv, rows, key, keys, s, packed, sums);
    }

    T* out = out_ + batch * p_.out.batch + head * p_.out.head;
    for (int64_t i = 0; i < rows; i++) {
      A sum = state[i].sum;
      store_row(out + (first + i) * p_.out.row, sums + i * width_, p_.dim, sum == 0 ? A(0) : A(dropout_.keep_scale()) / sum);
      if (log_sum_exp_ == nullptr) continue;
      A result = sum == 0 ? -std::numeric_limits<A>::infinity() : state[i].largest + std::log(sum);
      log_sum_exp_[(batch * p_.heads + head) * p_.queries + first + i] = result;
    }
  }

  void multiply_keys(int64_t batch, int64_t kv, int64_t rows, int64_t key, int64_t keys, const A* queries, const A* packed,
                     A* s) const {
    if (!in_place_) {
      return multiply_block(rows, padded<A>(keys), p_.dim, queries, packed + key * p_.dim, GemmTile<A>::kColumns * p_.dim, s,
                            kBlockKeys, false);
    }
    const T* k = head_rows(k_, p_.k, batch, kv, p_.keys, false).at(0, key, 0);
    vector_detail::with_vectors(int(rows), [&](auto constant) {
      vector_detail::along<decltype(constant)::value>(k, p_.k.row, keys, queries, p_.dim, p_.dim, s, kBlockKeys);
    });
  }

  void multiply_values(int64_t batch, int64_t kv, int64_t rows, int64_t key, int64_t keys, const A* s, const A* packed,
                       A* sums) const {
    constexpr int64_t kColumns = GemmTile<A>::kColumns;
    A* bands = workspace<LogitBands, A>(bands_size<A>(kBlockQueries, kBlockKeys));
    if (!in_place_) {
      pack_all_bands<A>(GemmMatrix<A>{s, 0, kBlockKeys, rows, false}, 0, rows, 0, keys, bands);
      const A* values = packed + padded<A>(p_.keys) * p_.dim + key * kColumns;
      return multiply_block(rows, width_, keys, bands, values, kColumns * p_.keys, sums, width_, true);
    }
    for (int64_t j = 0; j < keys; j++) {
      for (int64_t i = 0; i < rows; i++) bands[j * rows + i] = s[i * kBlockKeys + j];
    }
    const T* v = head_rows(v_, p_.v, batch, kv, p_.keys, false).at(0, key, 0);
    A* more = sums + kBlockQueries * width_;
    vector_detail::with_vectors(int(rows), [&](auto constant) {
      vector_detail::across<decltype(constant)::value>(v, p_.v.row, p_.dim, bands, keys, more, width_);
    });
    for (int64_t i = 0; i < rows; i++) {
      for (int64_t d = 0; d < p_.dim; d++) sums[i * width_ + d] += more[i * width_ + d];
    }
  }

  const gr_attention_problem& p_;
  AttentionShape shape_;
  AttentionDropout dropout_;
  const T* q_;
  const T* k_;
  const T* v_;
  T* out_;
  A* log_sum_exp_;
  int64_t width_;  // of rows of sums
  bool in_place_;
};

}  // namespace
}  // namespace gradus::cpu

using namespace gradus;

extern "C" int gr_attention_forward(int64_t q, int64_t k, int64_t v, int64_t rng, int64_t out, int64_t log_sum_exp,
                                    int64_t problem, int32_t dtype, int64_t) {
  const gr_attention_problem& p = *pointer<const gr_attention_problem>(problem);
  if (int status = cpu::attention_check(p); status != GR_OK) return status;
  if (p.batch == 0 || p.queries == 0) return GR_OK;
  return with_floating(dtype, [&](auto type) {
    using T = typename decltype(type)::type;
    return cpu::Forward<T>(p, q, k, v, rng, out, log_sum_exp).run();
  });
}
