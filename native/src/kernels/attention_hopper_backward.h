// Fused attention on Hopper's tensor cores, backward. What is computed is as in attention_backward.cu, whose first kernel leaves
// the log-sum-exp and delta of each row in scratch.
// Source: Shah et al., "FlashAttention-3: Fast and Accurate Attention with Asynchrony and Low-precision", 2024.
//
// Method: two kernels of persistent blocks of three warpgroups, a producer and two consumers of 64 rows each
// (attention_hopper_stream.h).
//   dQ       holds 128 queries, k and v stream by:   S = q k^T, dP = dO v^T, dQ += dS k                          3 products
//   dK, dV   hold 128 keys, q and dO stream by:      S^T = k q^T, dP^T = v dO^T, dV += P^T dO, dK += dS^T q      4 products
// P and dS (transposed in the second) stay in registers, as A of wgmma. While exponentials are formed dP is in flight, and while dS
// is formed dV, or the other consumer's products; dQ, and dK, go on while the next tile's S is waited for.
//
// Why two passes, 7 products where 5 would do: with one, every tile of keys adds to every dQ. Without float atomics in any order
// there are two ways. Parts of dQ for each tile of keys, to be added by a third kernel, would be keys / 128 matrices of float32: at
// 8192 keys 64 of them, written and read, 512 bytes of memory traffic for each element of q, whose share of the products is 81,920
// operations; at 4 TB/s and 600 TFLOP/s both take about as long. Adding in the order of the tiles, with a lock for each tile of
// dQ, moves as much through the L2 cache and lets blocks wait for one another, most of all under a causal mask, where they have
// different amounts of work. Two products more cost 2 / 5 and nothing else. This is reckoned, not measured.
//
// Traffic: q, k, v, dO once and the gradients once; k and v once more for each tile of queries, q and dO for each tile of keys,
// mostly from L2. Sums are float32, in the order of the streamed rows (and heads), so they depend on shapes only.
//
// Hazards beside those of the stream
//   a stage is given back while a wgmma reads it   it is given back after a wait that leaves only later products in flight
//   a fragment changes while a wgmma uses it       P, dS and sums are touched after such waits, and a fence precedes the next wgmma
#pragma once

#include "kernels/attention_hopper_stream.h"

namespace gradus {

#if GRADUS_SM90A

// s = A B^T over Dim, issued: A 64 rows of a held tile, B a streamed tile.
template <class Config>
GRADUS_DEVICE void issue_logits(float (&s)[Config::kRows / 2], uint32_t held, uint32_t streamed) {
  GRADUS_UNROLL
  for (int step = 0; step < Config::kDim / 16; step++) {
    uint64_t a = Config::Held::columns16(held, step), b = Config::Streamed::columns16(streamed, step);
    ptx::wgmma<Config::kRows, typename Config::Element>(s, a, b, step > 0);
  }
  ptx::wgmma_commit();
}

// sum += M B, issued: M in registers, B a streamed tile.
template <class Config>
GRADUS_DEVICE void issue_gradient(float (&sum)[Config::kDim / 2], const uint32_t (&matrix)[Config::kRows / 16][4],
                                  uint32_t streamed) {
  GRADUS_UNROLL
  for (int step = 0; step < Config::kRows / 16; step++) {
    uint64_t b = Config::Streamed::rows16(streamed, step);
    ptx::wgmma_a_registers<Config::kDim, typename Config::Element, true>(sum, matrix[step], b, true);
  }
  ptx::wgmma_commit();
}

// What both consumers need of their place.
template <class Config>
struct HopperStreamPlace {
  static constexpr uint32_t kStage = Config::kStageBytes / 16;
  const HopperStreamShared<Config> shared;
  int consumer, warp_row;  // warp_row: from the consumer's first row
  RingPosition<Config::kStages> at;
  RingPosition<1> held_at;

  GRADUS_DEVICE HopperStreamPlace(const HopperStreamShared<Config>& memory, int index)
      : shared(memory), consumer(index), warp_row(int(threadIdx.x) % kWarpgroup / 32 * 16) {}

  // Opaque: else the descriptors of every step, which are the same for all tiles, would be kept in registers.
  GRADUS_DEVICE uint32_t held(int i) const { return ptx::opaque(Config::Held::along_columns(shared.held(i), 64 * consumer)); }
  GRADUS_DEVICE uint32_t along_columns(int i) const {
    return Config::Streamed::along_columns(shared.streamed(0, i)) + uint32_t(at.stage) * kStage;
  }
  GRADUS_DEVICE uint32_t along_rows(int i, int stage) const {
    return Config::Streamed::along_rows(shared.streamed(0, i)) + uint32_t(stage) * kStage;
  }
};

// dQ of 64 queries.
template <class Config, class T>
class HopperQueriesConsumer {
 public:
  static constexpr int kSums = Config::kRows / 2;

  GRADUS_DEVICE HopperQueriesConsumer(const HopperStreamShared<Config>& shared, const HopperStreamArguments<T>& arguments,
                                      int consumer)
      : arguments_(arguments), place_(shared, consumer), store_(shared.out(consumer), consumer) {}

  GRADUS_DEVICE void run(const tensor_map& map_q, const tensor_map&) {
    for (int round = 0, index; (index = attention_turn(arguments_.order, round)) >= 0; round++) {
      HopperStreamUnit unit = stream_unit<Config>(arguments_, index);
      int row = unit.row + 64 * place_.consumer;
      float sum[Config::kDim / 2];
      differentiate(unit, row, sum);
      GRADUS_UNROLL
      for (int i = 0; i < Config::kDim / 2; i++) sum[i] *= float(arguments_.shape.scale);
      if (row < arguments_.shape.queries) store_.run(sum, map_q, arguments_.out[0], row, unit.head, unit.batch);
    }
    store_.finish();
  }

 private:
  GRADUS_DEVICE void differentiate(const HopperStreamUnit& unit, int row, float (&sum)[Config::kDim / 2]) {
    GRADUS_UNROLL
    for (int i = 0; i < Config::kDim / 2; i++) sum[i] = 0;
    if (unit.tiles == 0) return;
    const HopperStreamShared<Config>& shared = place_.shared;
    const auto* numbers = arguments_.numbers + (int64_t(unit.batch) * arguments_.shape.heads + unit.head) * arguments_.pitch + row;
    Pack<float, 2> saved[2];
    GRADUS_UNROLL
    for (int half = 0; half < 2; half++) saved[half] = numbers[place_.warp_row + 8 * half + lane_index() / 4];
    float s[kSums], grad[kSums];
    uint32_t ds[kSums / 8][4];

    ptx::mbarrier_wait(shared.held_full(), place_.held_at.round);
    ptx::mbarrier_wait(shared.full(place_.at.stage), place_.at.round);
    ptx::wgmma_fence();
    issue_logits<Config>(s, place_.held(0), place_.along_columns(0));
    issue_logits<Config>(grad, place_.held(1), place_.along_columns(1));
    ptx::wgmma_wait<1>();  // S is there
    finish_tile(s, grad, ds, saved, row, unit.first);
    GRADUS_ROLLED
    for (int tile = 1; tile < unit.tiles; tile++) {
      int before = place_.at.stage;
      place_.at.advance();
      ptx::mbarrier_wait(shared.full(place_.at.stage), place_.at.round);
      ptx::wgmma_fence();
      issue_gradient<Config>(sum, ds, place_.along_rows(0, before));
      issue_logits<Config>(s, place_.held(0), place_.along_columns(0));
      issue_logits<Config>(grad, place_.held(1), place_.along_columns(1));
      ptx::wgmma_wait<1>();  // dQ is summed, and S is there
      ptx::wgmma_results(sum);
      warp_arrives(shared.empty(before));
      finish_tile(s, grad, ds, saved, row, unit.first + tile * Config::kRows);
    }
    warp_arrives(shared.held_empty());
    place_.held_at.advance();
    ptx::wgmma_fence();
    issue_gradient<Config>(sum, ds, place_.along_rows(0, place_.at.stage));
    ptx::wgmma_wait<0>();
    ptx::wgmma_results(sum);
    warp_arrives(shared.empty(place_.at.stage));
    place_.at.advance();
  }

  // dS of a tile, whose dP may still be in flight.
  GRADUS_DEVICE void finish_tile(float (&s)[kSums], float (&grad)[kSums], uint32_t (&ds)[kSums / 8][4],
                                 const Pack<float, 2> (&saved)[2], int row, int column) const {
    ptx::wgmma_results(s);
    mask_sums<false>(s, arguments_.shape, row + place_.warp_row, column);
    auto logit_scale = float(arguments_.shape.logit_scale);
    GRADUS_UNROLL
    for (int i = 0; i < kSums; i++) s[i] = ptx::exp2_approximate(s[i] * logit_scale - saved[i / 2 % 2].value[0]);
    ptx::wgmma_wait<0>();  // dP is there
    ptx::wgmma_results(grad);
    GRADUS_UNROLL
    for (int i = 0; i < kSums; i++) s[i] *= grad[i] - saved[i / 2 % 2].value[1];
    pack_sums<T>(ds, s);
  }

  const HopperStreamArguments<T>& arguments_;
  HopperStreamPlace<Config> place_;
  HopperStore<T, Config::kDim> store_;
};

// dK and dV of 64 keys.
template <class Config, class T>
class HopperKeysConsumer {
 public:
  static constexpr int kSums = Config::kRows / 2;

  GRADUS_DEVICE HopperKeysConsumer(const HopperStreamShared<Config>& shared, const HopperStreamArguments<T>& arguments,
                                   int consumer)
      : arguments_(arguments), place_(shared, consumer), store_(shared.out(consumer), consumer) {}

  GRADUS_DEVICE void run(const tensor_map& map_k, const tensor_map& map_v) {
    for (int round = 0, index; (index = attention_turn(arguments_.order, round)) >= 0; round++) {
      HopperStreamUnit unit = stream_unit<Config>(arguments_, index);
      int row = unit.row + 64 * place_.consumer;
      float grad_k[Config::kDim / 2], grad_v[Config::kDim / 2];
      differentiate(unit, row, grad_k, grad_v);
      if (row >= arguments_.shape.keys) continue;
      if (arguments_.wanted[1]) store_.run(grad_v, map_v, arguments_.out[1], row, unit.head, unit.batch);
      if (!arguments_.wanted[0]) continue;
      GRADUS_UNROLL
      for (int i = 0; i < Config::kDim / 2; i++) grad_k[i] *= float(arguments_.shape.scale);
      store_.run(grad_k, map_k, arguments_.out[0], row, unit.head, unit.batch);
    }
    store_.finish();
  }

 private:
  GRADUS_DEVICE void differentiate(const HopperStreamUnit& unit, int row, float (&grad_k)[Config::kDim / 2],
                                   float (&grad_v)[Config::kDim / 2]) {
    GRADUS_UNROLL
    for (int i = 0; i < Config::kDim / 2; i++) grad_k[i] = grad_v[i] = 0;
    if (unit.tiles == 0) return;
    const HopperStreamShared<Config>& shared = place_.shared;
    auto logit_scale = float(arguments_.shape.logit_scale);
    int all = unit.heads * unit.tiles, column = unit.first, end = unit.first + unit.tiles * Config::kRows, before = 0;
    float s[kSums], grad[kSums];
    uint32_t p[kSums / 8][4], ds[kSums / 8][4];
    ptx::mbarrier_wait(shared.held_full(), place_.held_at.round);
    GRADUS_ROLLED
    for (int tile = 0; tile < all; tile++) {
      ptx::mbarrier_wait(shared.full(place_.at.stage), place_.at.round);
      const Pack<float, 2>* numbers = shared.numbers(place_.at.stage);
      ptx::wgmma_wait<1>();  // dV of the tile before is summed: P's registers are free for the next logits
      ptx::wgmma_fence();
      issue_logits<Config>(s, place_.held(0), place_.along_columns(0));
      issue_logits<Config>(grad, place_.held(1), place_.along_columns(1));
      ptx::wgmma_wait<1>();  // dK and dV of the tile before are summed, and S is there
      ptx::wgmma_results(s);
      if (tile > 0) warp_arrives(shared.empty(before));
      mask_sums<true>(s, arguments_.shape, row + place_.warp_row, column);
      GRADUS_UNROLL
      for (int n = 0; n < kSums / 4; n++) {
        Pack<float, 4> saved = of_columns(numbers, n);
        GRADUS_UNROLL
        for (int i = 0; i < 4; i++) s[4 * n + i] = ptx::exp2_approximate(s[4 * n + i] * logit_scale - saved.value[i % 2 * 2]);
      }
      pack_sums<T>(p, s);
      ptx::wgmma_fence();
      issue_gradient<Config>(grad_v, p, place_.along_rows(1, place_.at.stage));
      ptx::wgmma_wait<1>();  // dP is there; dV may still be summed
      ptx::wgmma_results(grad);
      GRADUS_UNROLL
      for (int n = 0; n < kSums / 4; n++) {
        Pack<float, 4> saved = of_columns(numbers, n);
        GRADUS_UNROLL
        for (int i = 0; i < 4; i++) s[4 * n + i] *= grad[4 * n + i] - saved.value[i % 2 * 2 + 1];
      }
      pack_sums<T>(ds, s);
      ptx::wgmma_fence();
      issue_gradient<Config>(grad_k, ds, place_.along_rows(0, place_.at.stage));
      before = place_.at.stage;
      place_.at.advance();
      column = column + Config::kRows < end ? column + Config::kRows : unit.first;
    }
    warp_arrives(shared.held_empty());
    place_.held_at.advance();
    ptx::wgmma_wait<0>();
    ptx::wgmma_results(grad_v);
    ptx::wgmma_results(grad_k);
    warp_arrives(shared.empty(before));
  }

  // The numbers of the two queries that the thread's sums 4 n... belong to.
  static GRADUS_DEVICE Pack<float, 4> of_columns(const Pack<float, 2>* numbers, int n) {
    return load_pack<float, 4>(&numbers[8 * n + lane_index() % 4 * 2].value[0]);
  }

  const HopperStreamArguments<T>& arguments_;
  HopperStreamPlace<Config> place_;
  HopperStore<T, Config::kDim> store_;
};

#endif

// Grid: persistent blocks. On other architectures than sm_90a there is nothing in it, and it is not launched.
template <class T, int Dim, HopperGradient Gradient>
__global__ void __launch_bounds__(kHopperThreads, 1)
    attention_hopper_backward_kernel(const __grid_constant__ tensor_map held0, const __grid_constant__ tensor_map held1,
                                     const __grid_constant__ tensor_map streamed0, const __grid_constant__ tensor_map streamed1,
                                     const __grid_constant__ tensor_map out0, const __grid_constant__ tensor_map out1,
                                     const __grid_constant__ HopperStreamArguments<T> arguments) {
#if GRADUS_SM90A
  using Config = HopperStreamConfig<T, Dim, Gradient>;
  using Consumer = std::conditional_t<Config::kOfKeys, HopperKeysConsumer<Config, T>, HopperQueriesConsumer<Config, T>>;
  GRADUS_DYNAMIC_SHARED(unsigned char, memory);
  HopperStreamShared<Config> shared(memory);
  if (threadIdx.x == 0) shared.init();
  __syncthreads();  // the barriers are initialised before anyone waits on them or arrives
  if (threadIdx.x < unsigned(kWarpgroup)) {
    ptx::registers_decrease<kProducerRegisters>();
    if (threadIdx.x == 0) produce_stream<Config>(shared, arguments, HopperStreamMaps{held0, held1, streamed0, streamed1});
  } else {
    ptx::registers_increase<kConsumerRegisters>();
    Consumer(shared, arguments, int(threadIdx.x) / kWarpgroup - 1).run(out0, out1);
  }
#else
  __trap();
#endif
}

template <class T, int Dim, HopperGradient Gradient>
int launch_hopper_gradient(const gr_attention_problem& p, const AttentionShape& shape, const AttentionHopperBackward<T>& o,
                           int64_t stream) {
  using Config = HopperStreamConfig<T, Dim, Gradient>;
  constexpr bool kOfKeys = Config::kOfKeys;
  HopperStreamArguments<T> arguments{shape, {}, {}, {}, {}, {}, o.numbers, int(attention_hopper_pitch(p.queries))};
  // Whose streamed operands are in the L2 cache once: query heads that share keys, or a head of keys with all that stream by.
  int64_t group = p.heads / p.kv_heads, tiles = divide_up(kOfKeys ? p.keys : p.queries, Config::kHeldRows);
  arguments.order = kOfKeys ? attention_order(tiles, p.batch * p.kv_heads, 1, group * 4 * p.queries * p.dim)
                            : attention_order(tiles, p.batch * p.heads, group, 4 * p.keys * p.dim);
  tensor_map held[2] = {}, streamed[2] = {}, out[2] = {};
  std::string refused;
  auto map = [&](tensor_map& to, AttentionAxes& axes, const T* base, const gr_attention_strides& strides, bool of_keys, int rows) {
    if (refused.empty()) refused = attention_map(&to, &axes, p, base, strides, of_keys, rows);
  };
  auto pair = [&](tensor_map (&to)[2], AttentionAxes (&axes)[2], bool of_keys, int rows) {
    map(to[0], axes[0], of_keys ? o.k : o.q, of_keys ? p.k : p.q, of_keys, rows);
    map(to[1], axes[1], of_keys ? o.v : o.grad_out, of_keys ? p.v : p.grad_out, of_keys, rows);
  };
  pair(held, arguments.held, kOfKeys, Config::kHeldRows);
  pair(streamed, arguments.streamed, !kOfKeys, Config::kRows);
  const T* gradients[2] = {kOfKeys ? o.grad_k : o.grad_q, kOfKeys ? o.grad_v : nullptr};
  for (int i = 0; i < 2; i++) {
    arguments.wanted[i] = gradients[i] != nullptr;
    const gr_attention_strides& strides = !kOfKeys ? p.grad_q : i == 0 ? p.grad_k : p.grad_v;
    if (arguments.wanted[i]) map(out[i], arguments.out[i], gradients[i], strides, kOfKeys, 64);
  }
  if (!refused.empty()) return failed(GR_ERROR, "[attention_backward] " + refused);
  int blocks = std::min(arguments.order.units, std::max(1, device_traits(stream).processors));
  LaunchConfig config = LaunchConfig(dim3(unsigned(blocks)), kHopperThreads).shared(Config::kSharedBytes).stream(stream_of(stream));
  return finish(GRADUS_LAUNCH((attention_hopper_backward_kernel<T, Dim, Gradient>), config, held[0], held[1], streamed[0],
                              streamed[1], out[0], out[1], arguments));
}

template <class T, int Dim>
int launch_hopper_backward(const gr_attention_problem& p, const AttentionShape& shape, const AttentionHopperBackward<T>& operands,
                           int64_t stream) {
  int status = GR_OK;
  if (operands.grad_q != nullptr) {
    status = launch_hopper_gradient<T, Dim, HopperGradient::queries>(p, shape, operands, stream);
  }
  if (status != GR_OK || (operands.grad_k == nullptr && operands.grad_v == nullptr)) return status;
  return launch_hopper_gradient<T, Dim, HopperGradient::keys>(p, shape, operands, stream);
}

}  // namespace gradus
