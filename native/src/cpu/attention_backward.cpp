// Fused attention, backward. With P the probabilities, D their dropout, O = D(P) V and dO the gradient of O:
//   dV = D(P)^T dO,  dP = D(dO V^T),  dS = P (dP - delta),  delta = rowsum(dO O),  dQ = scale dS K,  dK = scale dS^T Q.
// P is formed anew from the saved log-sum-exp, a block at a time: no matrix of queries x keys is in memory.
// Source: Dao, "FlashAttention-2: Faster Attention with Better Parallelism and Work Partitioning", 2023.
//
// A task takes a range of keys of one head of k and v, and walks over its blocks of keys, the heads that share them, and their
// blocks of queries: five products for a pair of blocks. dK and dV of a block are complete when the walk is; dQ is kept in scratch,
// as one sum a range of keys, and those are added in their order. How many ranges there are depends on sizes alone: one where
// there are heads enough for all threads.
#include "cpu/attention_blocks.h"
#include "plugin/types.h"

namespace gradus::cpu {
namespace {

constexpr int64_t kTasks = 16;

int64_t key_ranges(const gr_attention_problem& p) {
  int64_t heads = std::max<int64_t>(1, p.batch * p.kv_heads), blocks = std::max<int64_t>(1, divide_up(p.keys, kBlockKeys));
  return std::clamp<int64_t>(divide_up(kTasks, heads), 1, blocks);
}

struct Panels;
struct Blocks;
struct RowBands;
struct BlockBands;

template <class T>
class Backward {
 public:
  using A = accumulator_t<T>;

  Backward(const gr_attention_problem& p, int64_t rng) : p_(p), shape_(p), dropout_(rng, p), width_(padded<A>(p.dim)) {}

  const T* grad_out;
  const T* q;
  const T* k;
  const T* v;
  const T* out;
  const A* log_sum_exp;
  T* grad_q;
  T* grad_k;
  T* grad_v;
  A* scratch;  // deltas, then sums of grad_q [range, batch, heads, queries, dim padded]

  void run() const {
    int64_t rows = p_.batch * p_.heads * p_.queries, ranges = key_ranges(p_);
    parallel_for(rows, 64, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; i++) scratch[i] = delta(i);
    });
    int64_t tasks = p_.batch * p_.kv_heads * ranges;
    for_tasks(tasks, p_.queries * p_.keys * p_.dim / ranges * shape_.group, [&](int64_t i) {
      compute(i / ranges / p_.kv_heads, i / ranges % p_.kv_heads, i % ranges, ranges);
    });
    if (grad_q == nullptr) return;
    parallel_for(rows, 64, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; i++) {
        A* sum = query_sums(0, i);
        for (int64_t range = 1; range < ranges; range++) {
          const A* more = query_sums(range, i);
          for (int64_t d = 0; d < width_; d++) sum[d] += more[d];
        }
        int64_t head = i / p_.queries;
        T* to = grad_q + head / p_.heads * p_.grad_q.batch + head % p_.heads * p_.grad_q.head + i % p_.queries * p_.grad_q.row;
        store_row(to, sum, p_.dim, A(p_.scale));
      }
    });
  }

 private:
  // Blocks of one pair: what is multiplied, and what it becomes.
  struct Memory {
    A *k_panels, *k_across, *v_panels;  // of the keys
    A *q_across, *grad_across;          // of the queries
    A *probabilities, *grads;           // [queries][keys]
    A *grad_k, *grad_v;                 // [keys][width]
    A *bands, *block_bands;
  };

  Memory memory() const {
    int64_t queries = kBlockQueries * width_, keys = kBlockKeys * width_, block = kBlockQueries * kBlockKeys;
    A* panels = workspace<Panels, A>(3 * keys + 2 * queries);
    A* blocks = workspace<Blocks, A>(2 * block + 2 * keys);
    return {panels, panels + keys, panels + 2 * keys, panels + 3 * keys, panels + 3 * keys + queries,
            blocks, blocks + block, blocks + 2 * block, blocks + 2 * block + keys,
            workspace<RowBands, A>(bands_size<A>(kBlockQueries, 256)),
            workspace<BlockBands, A>(bands_size<A>(kBlockKeys, kBlockKeys))};
  }

  A* query_sums(int64_t range, int64_t row) const {
    int64_t rows = p_.batch * p_.heads * p_.queries;
    return scratch + rows + (range * rows + row) * width_;
  }

  A delta(int64_t row) const {
    int64_t head = row / p_.queries, query = row % p_.queries, batch = head / p_.heads;
    const T* x = grad_out + batch * p_.grad_out.batch + head % p_.heads * p_.grad_out.head + query * p_.grad_out.row;
    const T* y = out + batch * p_.out.batch + head % p_.heads * p_.out.head + query * p_.out.row;
    Vec<A> sum = {};
    for (int64_t d = 0; d < p_.dim; d += lanes_of<A>) {
      int lanes = lanes_left<A>(p_.dim - d);
      sum += load_wide_some(x + d, lanes) * load_wide_some(y + d, lanes);
    }
    return gradus::cpu::sum(sum);
  }

  void compute(int64_t batch, int64_t kv, int64_t range, int64_t ranges) const {
    constexpr int64_t kColumns = GemmTile<A>::kColumns;
    Memory m = memory();
    if (grad_q != nullptr) {
      A* sums = query_sums(range, (batch * p_.heads + kv * shape_.group) * p_.queries);
      std::fill(sums, sums + shape_.group * p_.queries * width_, A(0));
    }
    int64_t blocks = divide_up(p_.keys, kBlockKeys);
    for (int64_t b = part_begin(blocks, range, ranges); b < part_begin(blocks, range + 1, ranges); b++) {
      int64_t key = b * kBlockKeys, keys = std::min(kBlockKeys, p_.keys - key), columns = padded<A>(keys);
      auto k_rows = head_rows(k + key * p_.k.row, p_.k, batch, kv, keys, false);
      auto v_rows = head_rows(v + key * p_.v.row, p_.v, batch, kv, keys, false);
      gemm_detail::pack_panels(k_rows, 0, 0, columns / kColumns, keys, 0, p_.dim, m.k_panels);
      gemm_detail::pack_panels(v_rows, 0, 0, columns / kColumns, keys, 0, p_.dim, m.v_panels);
      if (grad_q != nullptr) pack_across(head_rows(k + key * p_.k.row, p_.k, batch, kv, p_.dim, true), keys, m.k_across);
      std::fill(m.grad_k, m.grad_k + keys * width_, A(0));
      std::fill(m.grad_v, m.grad_v + keys * width_, A(0));
      AttentionRange seeing = shape_.queries_of({key, key + keys});
      for (int64_t head = kv * shape_.group; head < (kv + 1) * shape_.group; head++) {
        for (int64_t query = seeing.first; query < seeing.end; query += kBlockQueries) {
          pair(batch, head, query, std::min(kBlockQueries, seeing.end - query), key, keys, range, m);
        }
      }
      for (int64_t j = 0; j < keys; j++) {
        int64_t row = key + j;
        if (grad_k != nullptr) {
          T* to = grad_k + batch * p_.grad_k.batch + kv * p_.grad_k.head + row * p_.grad_k.row;
          store_row(to, m.grad_k + j * width_, p_.dim, A(p_.scale));
        }
        if (grad_v != nullptr) {
          T* to = grad_v + batch * p_.grad_v.batch + kv * p_.grad_v.head + row * p_.grad_v.row;
          store_row(to, m.grad_v + j * width_, p_.dim, A(dropout_.keep_scale()));
        }
      }
    }
  }

  // Panels of rows that are summed over.
  void pack_across(const GemmMatrix<T>& x, int64_t rows, A* to) const {
    gemm_detail::pack_panels(x, 0, 0, width_ / GemmTile<A>::kColumns, p_.dim, 0, rows, to);
  }

  void pair(int64_t batch, int64_t head, int64_t query, int64_t queries, int64_t key, int64_t keys, int64_t range,
            const Memory& m) const {
    constexpr int64_t kColumns = GemmTile<A>::kColumns;
    int64_t columns = padded<A>(keys), panel = kColumns * p_.dim;
    auto q_rows = head_rows(q + query * p_.q.row, p_.q, batch, head, queries, false);
    auto grad_rows = head_rows(grad_out + query * p_.grad_out.row, p_.grad_out, batch, head, queries, false);
    pack_all_bands<A>(q_rows, 0, queries, 0, p_.dim, m.bands);
    multiply_block(queries, columns, p_.dim, m.bands, m.k_panels, panel, m.probabilities, kBlockKeys, false);
    const A* saved = log_sum_exp + (batch * p_.heads + head) * p_.queries + query;
    for (int64_t i = 0; i < queries; i++) {
      AttentionRange seen = shape_.keys_of({query + i, query + i + 1});
      form_probabilities(m.probabilities + i * kBlockKeys, columns, {seen.first - key, seen.end - key}, saved[i]);
    }

    // D(P), which grad_v takes, is formed in the place of dP.
    GemmMatrix<A> kept{m.probabilities, 0, kBlockKeys, keys, true};
    if (grad_v != nullptr) {
      if (dropout_.drops()) {
        for (int64_t i = 0; i < queries; i++) {
          dropout_.apply(batch, head, query + i, key, keys, m.probabilities + i * kBlockKeys, m.grads + i * kBlockKeys);
        }
        kept.data = m.grads;
      }
      pack_across(across(grad_rows), queries, m.grad_across);
      pack_all_bands<A>(kept, 0, keys, 0, queries, m.block_bands);
      multiply_block(keys, width_, queries, m.block_bands, m.grad_across, kColumns * queries, m.grad_v, width_, true);
    }
    if (grad_q == nullptr && grad_k == nullptr) return;

    pack_all_bands<A>(grad_rows, 0, queries, 0, p_.dim, m.bands);
    multiply_block(queries, columns, p_.dim, m.bands, m.v_panels, panel, m.grads, kBlockKeys, false);
    const A* deltas = scratch + (batch * p_.heads + head) * p_.queries + query;
    for (int64_t i = 0; i < queries; i++) {
      A *grad = m.grads + i * kBlockKeys, *row = m.probabilities + i * kBlockKeys;
      if (dropout_.drops()) dropout_.apply(batch, head, query + i, key, keys, grad, grad);
      Vec<A> scale = broadcast(A(dropout_.keep_scale())), of_row = broadcast(deltas[i]);
      for (int64_t j = 0; j < columns; j += lanes_of<A>) store(row + j, load(row + j) * (load(grad + j) * scale - of_row));
    }
    if (grad_q != nullptr) {
      pack_all_bands<A>(GemmMatrix<A>{m.probabilities, 0, kBlockKeys, queries, false}, 0, queries, 0, keys, m.block_bands);
      A* sums = query_sums(range, (batch * p_.heads + head) * p_.queries + query);
      multiply_block(queries, width_, keys, m.block_bands, m.k_across, kColumns * keys, sums, width_, true);
    }
    if (grad_k != nullptr) {
      pack_across(across(q_rows), queries, m.q_across);
      pack_all_bands<A>(GemmMatrix<A>{m.probabilities, 0, kBlockKeys, keys, true}, 0, keys, 0, queries, m.block_bands);
      multiply_block(keys, width_, queries, m.block_bands, m.q_across, kColumns * queries, m.grad_k, width_, true);
    }
  }

  GemmMatrix<T> across(const GemmMatrix<T>& rows) const { return {rows.data, 0, rows.pitch, p_.dim, true}; }

  // exp(scale s - lse) of what the query sees, 0 elsewhere. A query that sees nothing has the log-sum-exp -inf.
  void form_probabilities(A* row, int64_t columns, AttentionRange seen, A saved) const {
    seen.first = std::clamp<int64_t>(seen.first, 0, columns);
    seen.end = std::clamp<int64_t>(seen.end, seen.first, columns);
    if (saved == -std::numeric_limits<A>::infinity()) seen.end = seen.first;
    Vec<A> scale = broadcast(A(p_.scale)), lse = broadcast(saved);
    for (int64_t j = 0; j < columns; j += lanes_of<A>) store(row + j, exp_lanes(load(row + j) * scale - lse));
    std::fill(row, row + seen.first, A(0));
    std::fill(row + seen.end, row + columns, A(0));
  }

  const gr_attention_problem& p_;
  AttentionShape shape_;
  AttentionDropout dropout_;
  int64_t width_;  // of rows of sums
};

}  // namespace
}  // namespace gradus::cpu

using namespace gradus;

extern "C" int64_t gr_attention_backward_scratch(int64_t problem, int32_t dtype, int64_t) {
  const gr_attention_problem& p = *pointer<const gr_attention_problem>(problem);
  int64_t rows = p.batch * p.heads * p.queries;
  if (p.heads < 1 || p.kv_heads < 1) return 0;
  if (dtype == GR_FLOAT64) return rows * (1 + cpu::key_ranges(p) * cpu::padded<double>(p.dim)) * int64_t(sizeof(double));
  return rows * (1 + cpu::key_ranges(p) * cpu::padded<float>(p.dim)) * int64_t(sizeof(float));
}

extern "C" int gr_attention_backward(int64_t grad_out, int64_t q, int64_t k, int64_t v, int64_t out, int64_t log_sum_exp,
                                     int64_t rng, int64_t grad_q, int64_t grad_k, int64_t grad_v, int64_t scratch,
                                     int64_t scratch_bytes, int64_t problem, int32_t dtype, int64_t stream) {
  const gr_attention_problem& p = *pointer<const gr_attention_problem>(problem);
  if (int status = cpu::attention_check(p); status != GR_OK) return status;
  bool queries = grad_q != 0 && p.queries > 0;
  bool keys = (grad_k != 0 || grad_v != 0) && p.keys > 0;
  if (p.batch == 0 || (!queries && !keys)) return GR_OK;
  return with_floating(dtype, [&](auto type) {
    using T = typename decltype(type)::type;
    if (scratch_bytes < gr_attention_backward_scratch(problem, dtype, stream)) {
      return failed(GR_ERROR, "[attention_backward] the scratch memory is smaller than gr_attention_backward_scratch says");
    }
    cpu::Backward<T> backward(p, rng);
    backward.grad_out = pointer<const T>(grad_out);
    backward.q = pointer<const T>(q);
    backward.k = pointer<const T>(k);
    backward.v = pointer<const T>(v);
    backward.out = pointer<const T>(out);
    backward.log_sum_exp = pointer<const accumulator_t<T>>(log_sum_exp);
    backward.grad_q = pointer<T>(grad_q);
    backward.grad_k = pointer<T>(grad_k);
    backward.grad_v = pointer<T>(grad_v);
    backward.scratch = pointer<accumulator_t<T>>(scratch);
    backward.run();
    return int(GR_OK);
  });
}
