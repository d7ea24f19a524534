// Fused attention, forward: a block takes a tile of queries and walks over the keys that they see, a tile at a time, keeping for
// every query the largest logit so far, the sum of exponentials relative to it, and the sum of values weighted by them; when the
// largest grows, the sums are rescaled. The matrix of probabilities lives in registers, a tile at a time.
// Source: Dao, "FlashAttention-2: Faster Attention with Better Parallelism and Work Partitioning", 2023; Milakov, Gimelshein,
// "Online normalizer calculation for softmax", 2018.
//
// Traffic: q once, out once, k and v once for each tile of queries, mostly from L2. Sums are float32 (float64 for float64), in
// the order of the keys, so they depend on shapes only. Probabilities are at most 1 and are rounded to the 16-bit type before
// they meet v; their sum is formed before that rounding, and before dropout.
//
// A masked key has the logit -inf. A query that sees nothing keeps the sum 0, which gives out 0 and log_sum_exp -inf. NaN reaches
// the rows that it belongs to: maxima pass it over, exponentials and sums do not.
//
// A Hopper GPU has a kernel of its own for the common cases: attention_hopper_forward.h.
#include "device/block.h"
#include "device/ptx/exp2.h"
#include "kernels/attention_hopper.h"
#include "kernels/attention_shape.h"
#include "kernels/attention_simt.h"
#include "kernels/hopper.h"

namespace gradus {
namespace {

template <class T>
struct ForwardOperands {
  AttentionOperand<const T> q, k, v;
  AttentionOperand<T> out;
  accumulator_t<T>* log_sum_exp;  // [batch, heads, queries], or null
};

constexpr int kWarps = 4, kThreads = 32 * kWarps;

// Tiles by Width of a row. A warp's 16 Bands queries share every fragment of k and v that it loads.
template <int Width>
struct ForwardTiles {
  static constexpr int kBands = Width <= 128 ? 2 : 1;
  static constexpr int kQueries = kWarps * kBands * 16;
  static constexpr int kKeys = Width <= 64 ? 64 : 32;
  static constexpr int kShared = (kQueries + 2 * kKeys) * Width * 2;
};

// Tensor cores. k and v have a stage each: the copy of v runs behind the product with k, that of the next k behind the product
// with v, and another block of the multiprocessor fills what is left.
template <class T, int Width>
__global__ void __launch_bounds__(kThreads) attention_forward_kernel_mma(AttentionShape shape, ForwardOperands<T> operands) {
  using Tiles = ForwardTiles<Width>;
  constexpr int kBands = Tiles::kBands, kQueries = Tiles::kQueries, kKeys = Tiles::kKeys;
  constexpr int kColumns = kKeys / 8, kSteps = Width / 16;
  GRADUS_DYNAMIC_SHARED(T, q_tile);
  T* k_tile = q_tile + kQueries * Width;
  T* v_tile = k_tile + kKeys * Width;

  int tiles = (shape.queries + kQueries - 1) / kQueries;
  AttentionPlace place = attention_place(tiles, shape.heads);
  int lane = lane_index(), warp = int(threadIdx.x) / 32;
  int block_row = (tiles - 1 - place.tile) * kQueries;  // under a causal mask the last queries take longest: they start first
  int warp_row = block_row + warp * kBands * 16;
  auto k = operands.k.at(place.batch, place.head / shape.group);
  auto v = operands.v.at(place.batch, place.head / shape.group);
  AttentionRange range = shape.tiles<false>(block_row, kQueries, kKeys);
  auto logit_scale = float(shape.logit_scale);

  float out[kBands][Width / 8][4] = {};
  float largest[kBands][2], sum[kBands][2] = {};
  GRADUS_UNROLL
  for (int m = 0; m < kBands; m++) largest[m][0] = largest[m][1] = -INFINITY;
  if (range.first < range.last) {
    tile_copy_async<Width, kQueries, kThreads>(q_tile, operands.q.at(place.batch, place.head), block_row);
    tile_copy_async<Width, kKeys, kThreads>(k_tile, k, range.first);
    ptx::cp_async_commit();
  }
  for (int key = range.first; key < range.last; key += kKeys) {
    ptx::cp_async_wait<0>();
    __syncthreads();  // every thread's copies of k have landed, and the previous v was read before the next overwrites it
    tile_copy_async<Width, kKeys, kThreads>(v_tile, v, key);
    ptx::cp_async_commit();

    uint32_t kept[kBands] = {};
    if (shape.rng != nullptr) {
      AttentionDropout dropout(shape, place.batch, place.head);
      GRADUS_UNROLL
      for (int m = 0; m < kBands; m++) kept[m] = dropout.fragment<kColumns, false>(warp_row + 16 * m, key);
    }

    float s[kBands][kColumns][4] = {};
    GRADUS_UNROLL
    for (int d = 0; d < kSteps; d++) {
      uint32_t a[kBands][4];
      GRADUS_UNROLL
      for (int m = 0; m < kBands; m++) load_fragment_a<Width>(a[m], q_tile, warp * kBands * 16 + 16 * m, 2 * d);
      GRADUS_UNROLL
      for (int n = 0; n < kColumns; n += 2) {
        uint32_t b[2][2];
        load_fragments_b<Width>(b, k_tile, 8 * n, 2 * d);
        GRADUS_UNROLL
        for (int m = 0; m < kBands; m++) {
          ptx::mma_m16n8k16(T{}, s[m][n], a[m], b[0]);
          ptx::mma_m16n8k16(T{}, s[m][n + 1], a[m], b[1]);
        }
      }
    }

    if (!shape.sees_all<false>(warp_row, kBands * 16, key, kKeys)) {
      GRADUS_UNROLL
      for (int m = 0; m < kBands; m++) {
        GRADUS_UNROLL
        for (int half = 0; half < 2; half++) {
          AttentionRange seen = shape.seen<false>(warp_row + 16 * m + 8 * half + lane / 4);
          GRADUS_UNROLL
          for (int n = 0; n < kColumns; n++) {
            GRADUS_UNROLL
            for (int i = 0; i < 2; i++) {
              int at = key + 8 * n + lane % 4 * 2 + i;
              if (at < seen.first || at > seen.last) s[m][n][2 * half + i] = -INFINITY;
            }
          }
        }
      }
    }

    ptx::cp_async_wait<0>();
    __syncthreads();  // every thread's copies of v have landed, and k was read before the next one overwrites it
    if (key + kKeys < range.last) {
      tile_copy_async<Width, kKeys, kThreads>(k_tile, k, key + kKeys);
      ptx::cp_async_commit();
    }

    GRADUS_UNROLL
    for (int m = 0; m < kBands; m++) {
      float rescale[2];
      GRADUS_UNROLL
      for (int half = 0; half < 2; half++) {
        float most = largest[m][half];
        GRADUS_UNROLL
        for (int n = 0; n < kColumns; n++) most = fmaxf(most, fmaxf(s[m][n][2 * half], s[m][n][2 * half + 1]));
        most = fmaxf(most, __shfl_xor_sync(kFullWarp, most, 1));
        most = fmaxf(most, __shfl_xor_sync(kFullWarp, most, 2));
        float base = most == -INFINITY ? 0 : most * logit_scale;  // -inf - -inf would be NaN
        rescale[half] = ptx::exp2_approximate(largest[m][half] * logit_scale - base);
        largest[m][half] = most;
        float total = 0;
        GRADUS_UNROLL
        for (int n = 0; n < kColumns; n++) {
          GRADUS_UNROLL
          for (int i = 0; i < 2; i++) {
            float& p = s[m][n][2 * half + i];
            p = ptx::exp2_approximate(p * logit_scale - base);
            total += p;
          }
        }
        sum[m][half] = sum[m][half] * rescale[half] + total;
      }
      // After the first tiles the largest logits of a band seldom change.
      if (__any_sync(kFullWarp, rescale[0] != 1 || rescale[1] != 1)) {
        GRADUS_UNROLL
        for (int n = 0; n < Width / 8; n++) {
          GRADUS_UNROLL
          for (int i = 0; i < 4; i++) out[m][n][i] *= rescale[i / 2];
        }
      }
      if (shape.rng != nullptr) {
        GRADUS_UNROLL
        for (int i = 0; i < 4 * kColumns; i++) {
          if ((kept[m] >> i & 1) == 0) s[m][i / 4][i % 4] = 0;
        }
      }
    }

    GRADUS_UNROLL
    for (int step = 0; step < kKeys / 16; step++) {
      uint32_t a[kBands][4];
      GRADUS_UNROLL
      for (int m = 0; m < kBands; m++) pack_fragment_a<T>(a[m], s[m][2 * step], s[m][2 * step + 1]);
      GRADUS_UNROLL
      for (int n = 0; n < Width / 8; n += 2) {
        uint32_t b[2][2];
        load_fragments_b_transposed<Width>(b, v_tile, 16 * step, n);
        GRADUS_UNROLL
        for (int m = 0; m < kBands; m++) {
          ptx::mma_m16n8k16(T{}, out[m][n], a[m], b[0]);
          ptx::mma_m16n8k16(T{}, out[m][n + 1], a[m], b[1]);
        }
      }
    }
  }

  GRADUS_UNROLL
  for (int m = 0; m < kBands; m++) {
    float factor[2];
    GRADUS_UNROLL
    for (int half = 0; half < 2; half++) {
      float total = sum[m][half];
      total += __shfl_xor_sync(kFullWarp, total, 1);
      total += __shfl_xor_sync(kFullWarp, total, 2);
      factor[half] = total == 0 ? 0 : float(shape.keep_scale) / total;
      int row = warp_row + 16 * m + 8 * half + lane / 4;
      if (operands.log_sum_exp != nullptr && lane % 4 == 0 && row < shape.queries) {
        int64_t at = (int64_t(place.batch) * shape.heads + place.head) * shape.queries + row;
        operands.log_sum_exp[at] = total == 0 ? -INFINITY : largest[m][half] * float(shape.scale) + logf(total);
      }
    }
    // The warp's own rows of q have served; nobody else reads them.
    store_fragments<Width>(out[m], factor, q_tile + (warp * kBands + m) * 16 * Width, operands.out.at(place.batch, place.head),
                           warp_row + 16 * m);
  }
}

// Ordinary arithmetic, any dim and alignment.
template <class T, int Width>
__global__ void __launch_bounds__(kSimtThreads, Width == 64 ? 2 : 1)
    attention_forward_kernel_simt(AttentionShape shape, ForwardOperands<T> operands, bool aligned) {
  using A = accumulator_t<T>;
  constexpr int R = kSimtRows<A>, kQueries = 16 * R, kKeys = kSimtColumns;
  constexpr int kStage = kSimtStage<A, Width>;
  GRADUS_SHARED_ALIGNED(128, A, stage, [kStage]);
  GRADUS_SHARED_ALIGNED(128, A, matrix, [kKeys * kQueries]);
  int tiles = (shape.queries + kQueries - 1) / kQueries;
  AttentionPlace place = attention_place(tiles, shape.heads);
  SimtThread at;
  int first_row = (tiles - 1 - place.tile) * kQueries;
  auto q = operands.q.at(place.batch, place.head);
  auto k = operands.k.at(place.batch, place.head / shape.group);
  auto v = operands.v.at(place.batch, place.head / shape.group);
  AttentionRange range = shape.tiles<false>(first_row, kQueries, kKeys);
  auto logit_scale = A(shape.logit_scale);

  A out[Width / 64][R][4] = {};
  A largest[R], sum[R] = {};
  for (int i = 0; i < R; i++) largest[i] = -INFINITY;
  for (int key = range.first; key < range.last; key += kKeys) {
    A s[R][4] = {};
    simt_product<R>(s, stage, q, first_row, k, key, aligned);
    A rescale[R];
    GRADUS_UNROLL
    for (int i = 0; i < R; i++) {
      int row = first_row + at.y * R + i;
      AttentionRange seen = shape.seen<false>(row);
      A most = largest[i];
      GRADUS_UNROLL
      for (int j = 0; j < 4; j++) {
        int column = key + at.x * 4 + j;
        s[i][j] = column < seen.first || column > seen.last ? A(-INFINITY) : s[i][j] * logit_scale;
        most = most < s[i][j] ? s[i][j] : most;
      }
      most = simt_row_reduce(most, [](A a, A b) { return a < b ? b : a; });
      A base = most == A(-INFINITY) ? A(0) : most;
      rescale[i] = exp2_exact(largest[i] - base);
      largest[i] = most;
      A total = 0;
      GRADUS_UNROLL
      for (int j = 0; j < 4; j++) {
        s[i][j] = exp2_exact(s[i][j] - base);
        total += s[i][j];
      }
      sum[i] = sum[i] * rescale[i] + total;
      if (shape.rng != nullptr) {
        uint32_t kept = AttentionDropout(shape, place.batch, place.head).bits(row, key + at.x * 4);
        GRADUS_UNROLL
        for (int j = 0; j < 4; j++) {
          if ((kept >> j & 1) == 0) s[i][j] = 0;
        }
      }
    }
    GRADUS_UNROLL
    for (int c = 0; c < Width / 64; c++) {
      GRADUS_UNROLL
      for (int i = 0; i < R; i++) {
        GRADUS_UNROLL
        for (int j = 0; j < 4; j++) out[c][i][j] *= rescale[i];
      }
    }
    simt_publish<R>(matrix, s);
    simt_accumulate<R, Width>(out, matrix, stage, v, key, aligned);
  }

  A factor[R];
  GRADUS_UNROLL
  for (int i = 0; i < R; i++) {
    A total = simt_row_reduce(sum[i], [](A a, A b) { return a + b; });
    factor[i] = total == 0 ? A(0) : A(shape.keep_scale) / total;
    int row = first_row + at.y * R + i;
    if (operands.log_sum_exp != nullptr && at.x == 0 && row < shape.queries) {
      int64_t index = (int64_t(place.batch) * shape.heads + place.head) * shape.queries + row;
      operands.log_sum_exp[index] = total == 0 ? A(-INFINITY) : largest[i] * A(kLn2) + log(total);
    }
  }
  simt_store<R, Width>(out, factor, operands.out.at(place.batch, place.head), first_row);
}

template <class T, int Width>
int launch_mma(const gr_attention_problem& p, const AttentionShape& shape, const ForwardOperands<T>& operands, stream_t stream) {
  using Tiles = ForwardTiles<Width>;
  dim3 grid;
  if (!attention_grid(divide_up(p.queries, Tiles::kQueries), p.batch * p.heads, grid)) return GR_UNSUPPORTED;
  LaunchConfig config = LaunchConfig(grid, kThreads).shared(Tiles::kShared).stream(stream);
  return finish(GRADUS_LAUNCH((attention_forward_kernel_mma<T, Width>), config, shape, operands));
}

template <class T, int Width>
int launch_simt(const gr_attention_problem& p, const AttentionShape& shape, const ForwardOperands<T>& operands, bool aligned,
                stream_t stream) {
  dim3 grid;
  if (!attention_grid(divide_up(p.queries, 16 * kSimtRows<accumulator_t<T>>), p.batch * p.heads, grid)) return GR_UNSUPPORTED;
  LaunchConfig config = LaunchConfig(grid, kSimtThreads).stream(stream);
  return finish(GRADUS_LAUNCH((attention_forward_kernel_simt<T, Width>), config, shape, operands, aligned));
}

}  // namespace
}  // namespace gradus

using namespace gradus;

extern "C" int gr_attention_forward(int64_t q, int64_t k, int64_t v, int64_t rng, int64_t out, int64_t log_sum_exp,
                                    int64_t problem, int32_t dtype, int64_t stream) {
  const gr_attention_problem& p = *pointer<const gr_attention_problem>(problem);
  if (int status = attention_check(p); status != GR_OK) return status;
  if (p.batch == 0 || p.queries == 0) return GR_OK;
  AttentionShape shape = attention_shape(p, rng);
  return with_floating(dtype, [&](auto type) {
    using T = typename decltype(type)::type;
    stream_t native = stream_of(stream);
    ForwardOperands<T> operands{attention_operand<const T>(q, p.q, p.queries, p.dim),
                                attention_operand<const T>(k, p.k, p.keys, p.dim),
                                attention_operand<const T>(v, p.v, p.keys, p.dim),
                                attention_operand<T>(out, p.out, p.queries, p.dim),
                                pointer<accumulator_t<T>>(log_sum_exp)};
    bool aligned = has_aligned_rows(operands.q) && has_aligned_rows(operands.k) && has_aligned_rows(operands.v);
    if constexpr (sizeof(T) == 2) {
      if (uses_tensor_cores(p) && aligned && has_aligned_rows(operands.out)) {
        if (is_hopper(stream) && attention_hopper_takes_forward(p, rng)) {
          AttentionHopperForward<T> hopper{operands.q.data, operands.k.data, operands.v.data, operands.out.data,
                                           operands.log_sum_exp};
          return launch_attention_hopper(p, shape, hopper, stream);
        }
        if (p.dim <= 32) return launch_mma<T, 32>(p, shape, operands, native);
        if (p.dim <= 64) return launch_mma<T, 64>(p, shape, operands, native);
        if (p.dim <= 128) return launch_mma<T, 128>(p, shape, operands, native);
        return launch_mma<T, 256>(p, shape, operands, native);
      }
    }
    return with_simt_width<T>(p.dim, [&](auto width) {
      return launch_simt<T, decltype(width)::value>(p, shape, operands, aligned, native);
    });
  });
}
