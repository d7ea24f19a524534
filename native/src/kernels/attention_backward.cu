// Fused attention, backward. With P the probabilities, D their dropout, O = D(P) V and dO the gradient of O:
//   dV = D(P)^T dO,  dP = D(dO V^T),  dS = P (dP - delta),  delta = rowsum(dO O),  dQ = scale dS K,  dK = scale dS^T Q.
// P is formed anew from the saved log-sum-exp, a tile at a time: no matrix of queries x keys is in memory.
// Source: Dao, "FlashAttention-2: Faster Attention with Better Parallelism and Work Partitioning", 2023.
//
// Three kernels. The first leaves for each query its log-sum-exp in base 2 and delta in scratch. The second takes a tile of
// queries and walks over the keys: dQ. The third takes a tile of keys and walks over the heads that share them and over the
// queries: dK, dV. Each sum is one thread's, in a fixed order, so there are no atomics; the price is that P is formed twice (7
// products instead of 5). The third kernel forms S^T, so that P^T and dS^T are A operands in the registers where the product has
// left them.
//
// Traffic: q, k, v, dO, out once and the gradients once; k and v once more for each tile of queries, q and dO for each tile of
// keys, mostly from L2. Sums are float32 (float64 for float64); P and dS are rounded to the 16-bit type before they are
// multiplied.
//
// A Hopper GPU has kernels of its own in place of the second and third for the common cases: attention_hopper_backward.h.
#include "device/block.h"
#include "device/ptx/exp2.h"
#include "kernels/attention_backward_simt.h"
#include "kernels/attention_hopper.h"
#include "kernels/attention_shape.h"
#include "kernels/hopper.h"

namespace gradus {
namespace {

// Which gradients a pass over a tile of keys sums: all the registers that two of Width 256 take are not there.
enum class KeyGradients { both, k, v };

constexpr int kWarps = 4, kThreads = 32 * kWarps;

// --- log-sum-exp and delta

constexpr int kRowThreads = 256, kRowLanes = 8;

// Eight lanes a row. A query that saw no key gets +inf, which makes all its probabilities 0, and so do rows that are not there:
// each head has `pitch` rows, at least as many as queries.
template <class T>
__global__ void __launch_bounds__(kRowThreads)
    attention_backward_rows_kernel(AttentionShape shape, AttentionOperand<const T> grad_out, AttentionOperand<const T> out,
                                   const accumulator_t<T>* log_sum_exp, Pack<accumulator_t<T>, 2>* rows, int64_t n,
                                   int pitch, bool aligned) {
  using A = accumulator_t<T>;
  constexpr int kPack = kPackSize<T>;
  int lane = int(threadIdx.x) % kRowLanes;
  constexpr int64_t kBlockRows = kRowThreads / kRowLanes;
  for (int64_t first = blockIdx.x * kBlockRows; first < n; first += gridDim.x * kBlockRows) {
    int64_t row = first + threadIdx.x / kRowLanes;
    auto query = int(row % pitch);
    auto head = int(row / pitch);
    bool inside = row < n && query < shape.queries;
    A sum = 0;
    if (inside) {
      const T* x = grad_out.at(head / shape.heads, head % shape.heads).row(query);
      const T* y = out.at(head / shape.heads, head % shape.heads).row(query);
      if (aligned && shape.dim % kPack == 0) {
        for (int d = lane * kPack; d < shape.dim; d += kRowLanes * kPack) {
          auto a = load_pack<T, kPack>(x + d);
          auto b = load_pack<T, kPack>(y + d);
          GRADUS_UNROLL
          for (int i = 0; i < kPack; i++) sum += A(to_float(a.value[i])) * A(to_float(b.value[i]));
        }
      } else {
        for (int d = lane; d < shape.dim; d += kRowLanes) sum += A(to_float(x[d])) * A(to_float(y[d]));
      }
    }
    GRADUS_UNROLL
    for (int distance = kRowLanes / 2; distance > 0; distance /= 2) sum += __shfl_xor_sync(kFullWarp, sum, distance);
    if (row < n && lane == 0) {
      A saved = inside ? log_sum_exp[int64_t(head) * shape.queries + query] : A(-INFINITY);
      store_pack(&rows[row].value[0], Pack<A, 2>{{saved == A(-INFINITY) ? A(INFINITY) : saved * A(kLog2E), sum}});
    }
  }
}

// --- tensor cores

// s [16, 8 Columns] = A B^T over Width, A the 16 rows of a tile from a_row on, B the first rows of another.
template <int Width, int Columns, class T>
GRADUS_DEVICE void multiply_rows(float (&s)[Columns][4], const T* a_tile, int a_row, const T* b_tile) {
  constexpr int kSteps = Width / 16, kUnrolled = kSteps <= 8 ? kSteps : 4;
  GRADUS_ROLLED
  for (int step = 0; step < kSteps; step += kUnrolled) {
    GRADUS_UNROLL
    for (int i = 0; i < kUnrolled; i++) {
      uint32_t a[4];
      load_fragment_a<Width>(a, a_tile, a_row, 2 * (step + i));
      GRADUS_UNROLL
      for (int n = 0; n < Columns; n += 2) {
        uint32_t b[2][2];
        load_fragments_b<Width>(b, b_tile, 8 * n, 2 * (step + i));
        ptx::mma_m16n8k16(T{}, s[n], a, b[0]);
        ptx::mma_m16n8k16(T{}, s[n + 1], a, b[1]);
      }
    }
  }
}

// sum [16, Width] += M B, M [16, 8 Columns] in registers and rounded to T, B the first 8 Columns rows of a tile.
template <int Width, int Columns, class T>
GRADUS_DEVICE void accumulate_rows(float (&sum)[Width / 8][4], const float (&matrix)[Columns][4], const T* b_tile) {
  GRADUS_UNROLL
  for (int step = 0; step < Columns / 2; step++) {
    uint32_t a[4];
    pack_fragment_a<T>(a, matrix[2 * step], matrix[2 * step + 1]);
    GRADUS_UNROLL
    for (int n = 0; n < Width / 8; n += 2) {
      uint32_t b[2][2];
      load_fragments_b_transposed<Width>(b, b_tile, 16 * step, n);
      ptx::mma_m16n8k16(T{}, sum[n], a, b[0]);
      ptx::mma_m16n8k16(T{}, sum[n + 1], a, b[1]);
    }
  }
}

// Makes -inf of what the rows, 16 from row on, do not see among the 8 Columns columns from column on.
template <bool Transposed, int Columns>
GRADUS_DEVICE void mask_fragment(float (&s)[Columns][4], const AttentionShape& shape, int row, int column) {
  if (shape.sees_all<Transposed>(row, 16, column, 8 * Columns)) return;
  int lane = lane_index();
  GRADUS_UNROLL
  for (int half = 0; half < 2; half++) {
    AttentionRange seen = shape.seen<Transposed>(row + 8 * half + lane / 4);
    GRADUS_UNROLL
    for (int n = 0; n < Columns; n++) {
      GRADUS_UNROLL
      for (int i = 0; i < 2; i++) {
        int at = column + 8 * n + lane % 4 * 2 + i;
        if (at < seen.first || at > seen.last) s[n][2 * half + i] = -INFINITY;
      }
    }
  }
}

template <int Width>
struct QueryTiles {
  static constexpr int kQueries = kWarps * 16;
  static constexpr int kKeys = Width <= 128 ? 64 : 16;
  static constexpr int kShared = (2 * kQueries + 3 * kKeys) * Width * 2;
};

// dQ. k has two stages, v one: it is free as soon as dP is formed, long before k.
template <class T, int Width>
__global__ void __launch_bounds__(kThreads, 2)
    attention_backward_queries_kernel_mma(AttentionShape shape, BackwardOperands<T> operands) {
  constexpr int kQueries = QueryTiles<Width>::kQueries, kKeys = QueryTiles<Width>::kKeys, kColumns = kKeys / 8;
  GRADUS_DYNAMIC_SHARED(T, q_tile);
  T* grad_tile = q_tile + kQueries * Width;
  T* v_tile = grad_tile + kQueries * Width;
  T* k_tiles = v_tile + kKeys * Width;

  int tiles = (shape.queries + kQueries - 1) / kQueries;
  AttentionPlace place = attention_place(tiles, shape.heads);
  int lane = lane_index(), warp = int(threadIdx.x) / 32;
  int block_row = (tiles - 1 - place.tile) * kQueries;  // under a causal mask the last queries take longest: they start first
  int warp_row = block_row + warp * 16;
  auto k = operands.k.at(place.batch, place.head / shape.group);
  auto v = operands.v.at(place.batch, place.head / shape.group);
  AttentionRange range = shape.tiles<false>(block_row, kQueries, kKeys);
  auto logit_scale = float(shape.logit_scale);
  auto keep_scale = float(shape.keep_scale);

  Pack<float, 2> saved[2];
  GRADUS_UNROLL
  for (int half = 0; half < 2; half++) {
    int row = warp_row + 8 * half + lane / 4;
    const auto* rows = operands.rows + (int64_t(place.batch) * shape.heads + place.head) * shape.queries;
    saved[half] = row < shape.queries ? load_pack<float, 2>(&rows[row].value[0]) : Pack<float, 2>{{INFINITY, 0}};
  }
  float sum[Width / 8][4] = {};
  if (range.first < range.last) {
    tile_copy_async<Width, kQueries, kThreads>(q_tile, operands.q.at(place.batch, place.head), block_row);
    tile_copy_async<Width, kQueries, kThreads>(grad_tile, operands.grad_out.at(place.batch, place.head), block_row);
    tile_copy_async<Width, kKeys, kThreads>(k_tiles, k, range.first);
    tile_copy_async<Width, kKeys, kThreads>(v_tile, v, range.first);
    ptx::cp_async_commit();
  }
  for (int key = range.first, stage = 0; key < range.last; key += kKeys, stage ^= 1) {
    const T* k_tile = k_tiles + stage * kKeys * Width;
    bool more = key + kKeys < range.last;
    ptx::cp_async_wait<0>();
    __syncthreads();  // every thread's copies of k and v have landed, and the k before was read before the next overwrites it
    if (more) {
      tile_copy_async<Width, kKeys, kThreads>(k_tiles + (stage ^ 1) * kKeys * Width, k, key + kKeys);
      ptx::cp_async_commit();
    }
    uint32_t kept = ~0u;
    if (shape.rng != nullptr) kept = AttentionDropout(shape, place.batch, place.head).fragment<kColumns, false>(warp_row, key);

    float s[kColumns][4] = {}, grad[kColumns][4] = {};
    multiply_rows<Width>(s, q_tile, warp * 16, k_tile);
    mask_fragment<false>(s, shape, warp_row, key);
    multiply_rows<Width>(grad, grad_tile, warp * 16, v_tile);
    __syncthreads();  // v was read before the next one overwrites it
    if (more) {
      tile_copy_async<Width, kKeys, kThreads>(v_tile, v, key + kKeys);
      ptx::cp_async_commit();
    }
    GRADUS_UNROLL
    for (int n = 0; n < kColumns; n++) {
      GRADUS_UNROLL
      for (int i = 0; i < 4; i++) {
        float p = ptx::exp2_approximate(s[n][i] * logit_scale - saved[i / 2].value[0]);
        float grad_p = (kept >> (4 * n + i) & 1) != 0 ? grad[n][i] * keep_scale : 0;
        s[n][i] = p * (grad_p - saved[i / 2].value[1]);
      }
    }
    accumulate_rows<Width>(sum, s, k_tile);
  }
  auto scale = float(shape.scale);
  float factor[2] = {scale, scale};
  // The warp's own rows of q have served; nobody else reads them.
  store_fragments<Width>(sum, factor, q_tile + warp * 16 * Width, operands.grad_q.at(place.batch, place.head), warp_row);
}

template <int Width>
struct KeyTiles {
  static constexpr int kKeys = kWarps * 16;
  static constexpr int kQueries = Width <= 64 ? 64 : Width <= 128 ? 32 : 16;
  static constexpr int kRowBytes = 2 * kQueries * int(sizeof(Pack<float, 2>));
  static constexpr int kShared = (2 * kKeys + 4 * kQueries) * Width * 2 + kRowBytes;
};

// dK and dV. q, dO and the rows' numbers have two stages: the next are copied behind all the work on the present ones.
template <class T, int Width, KeyGradients Wanted>
__global__ void __launch_bounds__(kThreads, 2)
    attention_backward_keys_kernel_mma(AttentionShape shape, BackwardOperands<T> operands) {
  constexpr int kKeys = KeyTiles<Width>::kKeys, kQueries = KeyTiles<Width>::kQueries, kColumns = kQueries / 8;
  constexpr bool kWantsK = Wanted != KeyGradients::v, kWantsV = Wanted != KeyGradients::k;
  using Numbers = Pack<float, 2>;
  GRADUS_DYNAMIC_SHARED(T, k_tile);
  T* v_tile = k_tile + kKeys * Width;
  T* q_tiles = v_tile + kKeys * Width;
  T* grad_tiles = q_tiles + 2 * kQueries * Width;
  auto* numbers = reinterpret_cast<Numbers*>(grad_tiles + 2 * kQueries * Width);

  int tiles = (shape.keys + kKeys - 1) / kKeys;
  int kv_heads = shape.heads / shape.group;
  AttentionPlace place = attention_place(tiles, kv_heads);
  int lane = lane_index(), warp = int(threadIdx.x) / 32;
  int block_row = place.tile * kKeys, warp_row = block_row + warp * 16;
  AttentionRange range = shape.tiles<true>(block_row, kKeys, kQueries);
  auto logit_scale = float(shape.logit_scale);
  auto keep_scale = float(shape.keep_scale);

  auto copy = [&](int head, int query, int stage) {
    tile_copy_async<Width, kQueries, kThreads>(q_tiles + stage * kQueries * Width, operands.q.at(place.batch, head), query);
    tile_copy_async<Width, kQueries, kThreads>(grad_tiles + stage * kQueries * Width, operands.grad_out.at(place.batch, head),
                                               query);
    int row = int(threadIdx.x);
    if (row < kQueries) {
      const Numbers* rows = operands.rows + (int64_t(place.batch) * shape.heads + head) * shape.queries;
      bool inside = query + row < shape.queries;
      ptx::cp_async<8>(numbers + stage * kQueries + row, inside ? rows + query + row : operands.rows, inside ? 8 : 0);
    }
    ptx::cp_async_commit();
  };

  float grad_k[kWantsK ? Width / 8 : 1][4] = {}, grad_v[kWantsV ? Width / 8 : 1][4] = {};
  int head = place.head * shape.group, query = range.first, end = head + shape.group;
  bool more = range.first < range.last;
  if (more) {
    tile_copy_async<Width, kKeys, kThreads>(k_tile, operands.k.at(place.batch, place.head), block_row);
    if (kWantsK) {
      tile_copy_async<Width, kKeys, kThreads>(v_tile, operands.v.at(place.batch, place.head), block_row);
    }
    copy(head, query, 0);
  }
  for (int stage = 0; more; stage ^= 1) {
    const T* q_tile = q_tiles + stage * kQueries * Width;
    const T* grad_tile = grad_tiles + stage * kQueries * Width;
    const Numbers* saved = numbers + stage * kQueries + lane % 4 * 2;
    ptx::cp_async_wait<0>();
    __syncthreads();  // every thread's copies into this stage have landed, and the other stage was read before it is overwritten
    uint32_t kept = ~0u;
    if (shape.rng != nullptr) {
      AttentionDropout dropout(shape, place.batch, head);
      kept = dropout.fragment<kColumns, true>(warp_row, query);
    }
    int present = query;
    query += kQueries;
    if (query >= range.last) {
      query = range.first;
      head++;
    }
    more = head < end;
    if (more) copy(head, query, stage ^ 1);

    float s[kColumns][4] = {};
    multiply_rows<Width>(s, k_tile, warp * 16, q_tile);
    mask_fragment<true>(s, shape, warp_row, present);
    GRADUS_UNROLL
    for (int n = 0; n < kColumns; n++) {
      GRADUS_UNROLL
      for (int i = 0; i < 4; i++) s[n][i] = ptx::exp2_approximate(s[n][i] * logit_scale - saved[8 * n + i % 2].value[0]);
    }
    if constexpr (kWantsV) {
      float p[kColumns][4];
      GRADUS_UNROLL
      for (int n = 0; n < kColumns; n++) {
        GRADUS_UNROLL
        for (int i = 0; i < 4; i++) p[n][i] = (kept >> (4 * n + i) & 1) != 0 ? s[n][i] : 0;
      }
      accumulate_rows<Width>(grad_v, p, grad_tile);
    }
    if constexpr (kWantsK) {
      float grad[kColumns][4] = {};
      multiply_rows<Width>(grad, v_tile, warp * 16, grad_tile);
      GRADUS_UNROLL
      for (int n = 0; n < kColumns; n++) {
        GRADUS_UNROLL
        for (int i = 0; i < 4; i++) {
          float grad_p = (kept >> (4 * n + i) & 1) != 0 ? grad[n][i] * keep_scale : 0;
          s[n][i] *= grad_p - saved[8 * n + i % 2].value[1];
        }
      }
      accumulate_rows<Width>(grad_k, s, q_tile);
    }
  }
  // The warp's own rows of k have served; nobody else reads them.
  T* staging = k_tile + warp * 16 * Width;
  if constexpr (kWantsV) {
    if (operands.grad_v.data != nullptr) {
      float factor[2] = {keep_scale, keep_scale};
      store_fragments<Width>(grad_v, factor, staging, operands.grad_v.at(place.batch, place.head), warp_row);
    }
  }
  if constexpr (kWantsK) {
    if (operands.grad_k.data != nullptr) {
      float factor[2] = {float(shape.scale), float(shape.scale)};
      store_fragments<Width>(grad_k, factor, staging, operands.grad_k.at(place.batch, place.head), warp_row);
    }
  }
}

// --- launchers

template <class T, int Width, KeyGradients Wanted>
int launch_keys_mma(const gr_attention_problem& p, const AttentionShape& shape, const BackwardOperands<T>& operands,
                    stream_t stream) {
  using Tiles = KeyTiles<Width>;
  dim3 grid;
  if (!attention_grid(divide_up(p.keys, Tiles::kKeys), p.batch * p.kv_heads, grid)) return GR_UNSUPPORTED;
  LaunchConfig config = LaunchConfig(grid, kThreads).shared(Tiles::kShared).stream(stream);
  return finish(GRADUS_LAUNCH((attention_backward_keys_kernel_mma<T, Width, Wanted>), config, shape, operands));
}

template <class T, int Width>
int launch_mma(const gr_attention_problem& p, const AttentionShape& shape, const BackwardOperands<T>& operands, bool queries,
               bool keys, stream_t stream) {
  using Tiles = QueryTiles<Width>;
  int status = GR_OK;
  if (queries) {
    dim3 grid;
    if (!attention_grid(divide_up(p.queries, Tiles::kQueries), p.batch * p.heads, grid)) return GR_UNSUPPORTED;
    LaunchConfig config = LaunchConfig(grid, kThreads).shared(Tiles::kShared).stream(stream);
    status = finish(GRADUS_LAUNCH((attention_backward_queries_kernel_mma<T, Width>), config, shape, operands));
  }
  if (status != GR_OK || !keys) return status;
  if constexpr (Width <= 128) {
    return launch_keys_mma<T, Width, KeyGradients::both>(p, shape, operands, stream);
  } else {
    if (operands.grad_k.data != nullptr) status = launch_keys_mma<T, Width, KeyGradients::k>(p, shape, operands, stream);
    if (status != GR_OK || operands.grad_v.data == nullptr) return status;
    return launch_keys_mma<T, Width, KeyGradients::v>(p, shape, operands, stream);
  }
}

template <class T, int Width>
int launch_simt(const gr_attention_problem& p, const AttentionShape& shape, const BackwardOperands<T>& operands, bool queries,
                bool keys, bool aligned, stream_t stream) {
  constexpr int kRows = 16 * kSimtRows<accumulator_t<T>>;
  dim3 grid;
  if (queries) {
    if (!attention_grid(divide_up(p.queries, kRows), p.batch * p.heads, grid)) return GR_UNSUPPORTED;
    LaunchConfig config = LaunchConfig(grid, kSimtThreads).stream(stream);
    int status = finish(GRADUS_LAUNCH((attention_backward_queries_kernel_simt<T, Width>), config, shape, operands, aligned));
    if (status != GR_OK) return status;
  }
  if (!keys) return GR_OK;
  if (!attention_grid(divide_up(p.keys, kRows), p.batch * p.kv_heads, grid)) return GR_UNSUPPORTED;
  LaunchConfig config = LaunchConfig(grid, kSimtThreads).stream(stream);
  return finish(GRADUS_LAUNCH((attention_backward_keys_kernel_simt<T, Width>), config, shape, operands, aligned));
}

}  // namespace
}  // namespace gradus

using namespace gradus;

// For 16-bit types as much as the Hopper kernels need, on any device.
extern "C" int64_t gr_attention_backward_scratch(int64_t problem, int32_t dtype, int64_t) {
  const gr_attention_problem& p = *pointer<const gr_attention_problem>(problem);
  bool half = dtype == GR_BFLOAT16 || dtype == GR_FLOAT16;
  int64_t rows = half ? attention_hopper_pitch(p.queries) : p.queries;
  return p.batch * p.heads * rows * 2 * (dtype == GR_FLOAT64 ? 8 : 4);
}

extern "C" int gr_attention_backward(int64_t grad_out, int64_t q, int64_t k, int64_t v, int64_t out, int64_t log_sum_exp,
                                     int64_t rng, int64_t grad_q, int64_t grad_k, int64_t grad_v, int64_t scratch,
                                     int64_t scratch_bytes, int64_t problem, int32_t dtype, int64_t stream) {
  const gr_attention_problem& p = *pointer<const gr_attention_problem>(problem);
  if (int status = attention_check(p); status != GR_OK) return status;
  bool queries = grad_q != 0 && p.queries > 0;
  bool keys = (grad_k != 0 || grad_v != 0) && p.keys > 0;
  if (p.batch == 0 || (!queries && !keys)) return GR_OK;
  if (scratch_bytes < gr_attention_backward_scratch(problem, dtype, stream)) {
    return failed(GR_ERROR, "[attention_backward] the scratch memory is smaller than gr_attention_backward_scratch says");
  }
  AttentionShape shape = attention_shape(p, rng);
  return with_floating(dtype, [&](auto type) {
    using T = typename decltype(type)::type;
    using A = accumulator_t<T>;
    stream_t native = stream_of(stream);
    auto* rows = pointer<Pack<A, 2>>(scratch);
    BackwardOperands<T> operands{attention_operand<const T>(grad_out, p.grad_out, p.queries, p.dim),
                                 attention_operand<const T>(q, p.q, p.queries, p.dim),
                                 attention_operand<const T>(k, p.k, p.keys, p.dim),
                                 attention_operand<const T>(v, p.v, p.keys, p.dim),
                                 attention_operand<T>(grad_q, p.grad_q, p.queries, p.dim),
                                 attention_operand<T>(grad_k, p.grad_k, p.keys, p.dim),
                                 attention_operand<T>(grad_v, p.grad_v, p.keys, p.dim),
                                 rows};
    auto saved = attention_operand<const T>(out, p.out, p.queries, p.dim);
    bool grad_aligned = has_aligned_rows(operands.grad_out);
    bool aligned = grad_aligned && has_aligned_rows(operands.q) && has_aligned_rows(operands.k) && has_aligned_rows(operands.v);
    bool hopper = false;
    if constexpr (sizeof(T) == 2) {
      bool stores = has_aligned_rows(operands.grad_q) && has_aligned_rows(operands.grad_k) && has_aligned_rows(operands.grad_v);
      bool takes = attention_hopper_takes_backward(p, rng, grad_q != 0, grad_k != 0, grad_v != 0);
      hopper = aligned && stores && takes && is_hopper(stream);
    }
    int64_t pitch = hopper ? attention_hopper_pitch(p.queries) : p.queries;
    if (int64_t n = p.batch * p.heads * pitch; n > 0) {
      LaunchConfig config = LaunchConfig(blocks_for(n, kRowThreads / kRowLanes), kRowThreads).stream(native);
      int status = finish(GRADUS_LAUNCH((attention_backward_rows_kernel<T>), config, shape, operands.grad_out, saved,
                                        pointer<const A>(log_sum_exp), rows, n, int(pitch),
                                        grad_aligned && has_aligned_rows(saved)));
      if (status != GR_OK) return status;
    }
    if constexpr (sizeof(T) == 2) {
      if (hopper) {
        AttentionHopperBackward<T> gradients{operands.grad_out.data, operands.q.data,      operands.k.data,      operands.v.data,
                                             operands.grad_q.data,   operands.grad_k.data, operands.grad_v.data, rows};
        return launch_attention_hopper(p, shape, gradients, stream);
      }
      bool keys_aligned = has_aligned_rows(operands.grad_k) && has_aligned_rows(operands.grad_v);
      if (uses_tensor_cores(p) && aligned && keys_aligned && has_aligned_rows(operands.grad_q)) {
        if (p.dim <= 32) return launch_mma<T, 32>(p, shape, operands, queries, keys, native);
        if (p.dim <= 64) return launch_mma<T, 64>(p, shape, operands, queries, keys, native);
        if (p.dim <= 128) return launch_mma<T, 128>(p, shape, operands, queries, keys, native);
        return launch_mma<T, 256>(p, shape, operands, queries, keys, native);
      }
    }
    return with_simt_width<T>(p.dim, [&](auto width) {
      return launch_simt<T, decltype(width)::value>(p, shape, operands, queries, keys, aligned, native);
    });
  });
}
