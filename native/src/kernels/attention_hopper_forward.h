// Fused attention on Hopper's tensor cores, forward: wgmma fed by TMA. What is computed, and how, is as in attention.cu.
// Source: Shah, Bikshandi, Zhang, Thakkar, Ramani, Dao, "FlashAttention-3: Fast and Accurate Attention with Asynchrony and
// Low-precision", 2024.
//
// Method: persistent blocks of three warpgroups take tiles of 128 queries (AttentionOrder). One thread of the first copies q, and
// k and v in tiles of 128 keys, into rings of stages; the two others have 64 queries each. What keeps the tensor cores busy while
// exponentials are formed:
// - within a consumer, q k^T of the next keys is in flight beside P v of the present ones, and the softmax of the next logits runs
//   while P v goes on. P stays in registers, as A of wgmma.
// - between the consumers, named barriers let one issue its two products while the other has its softmax (ping-pong).
// - between tiles, the producer runs ahead, and results leave by TMA behind the next tile's work.
//
// Traffic: q once, out once, k and v once for each tile of queries, mostly from L2. Shared memory: each byte of k and v is written
// once and read by both consumers. Sums are float32, in the order of the keys, so they depend on shapes only.
//
// Hazards
//   copies overwrite a stage, or q, that is still read    the producer waits for empty: consumer warps give back what they read
//   wgmma reads what has not landed                       consumers wait for full
//   a stage is given back while a wgmma reads it          k after the wait that leaves P v in flight, v after the wait for all
//   P or out change while a wgmma uses them               both are touched after the wait for all; a fence precedes the next wgmma
#pragma once

#include "kernels/attention_hopper_tiles.h"

namespace gradus {

template <class T, int Dim>
struct HopperForwardConfig {
  using Element = T;
  static constexpr int kDim = Dim, kQueries = kConsumers * 64, kKeys = 128;
  static constexpr int kStages = Dim == 64 ? 4 : 2;  // of k, and of v
  using Queries = HopperTileOf<kQueries, Dim>;
  using Keys = HopperTileOf<kKeys, Dim>;
  using Out = HopperTileOf<64, Dim>;
  static constexpr int kOut = Queries::kBytes;  // where things lie in shared memory, in bytes
  static constexpr int kK = kOut + kConsumers * Out::kBytes;
  static constexpr int kV = kK + kStages * Keys::kBytes;
  static constexpr int kBarriers = kV + kStages * Keys::kBytes;
  static constexpr int kSharedBytes = kBarriers + (2 + 4 * kStages) * 8;
  static_assert(kSharedBytes <= 227 * 1024, "shared memory of a block on sm_90");
};

template <class T>
struct HopperForwardArguments {
  AttentionShape shape;
  AttentionOrder order;
  AttentionAxes q, k, v, out;
  float* log_sum_exp;  // [batch, heads, queries], or null
};

#if GRADUS_SM90A

template <class Config>
class HopperForwardShared {
 public:
  GRADUS_DEVICE explicit HopperForwardShared(unsigned char* base) : base_(base) {}
  GRADUS_DEVICE unsigned char* q() const { return base_; }
  GRADUS_DEVICE unsigned char* out(int consumer) const { return base_ + Config::kOut + consumer * Config::Out::kBytes; }
  GRADUS_DEVICE unsigned char* k(int stage) const { return base_ + Config::kK + stage * Config::Keys::kBytes; }
  GRADUS_DEVICE unsigned char* v(int stage) const { return base_ + Config::kV + stage * Config::Keys::kBytes; }
  GRADUS_DEVICE uint64_t* q_full() const { return barriers(); }
  GRADUS_DEVICE uint64_t* q_empty() const { return barriers() + 1; }
  GRADUS_DEVICE uint64_t* k_full(int stage) const { return barriers() + 2 + stage; }
  GRADUS_DEVICE uint64_t* k_empty(int stage) const { return barriers() + 2 + Config::kStages + stage; }
  GRADUS_DEVICE uint64_t* v_full(int stage) const { return barriers() + 2 + 2 * Config::kStages + stage; }
  GRADUS_DEVICE uint64_t* v_empty(int stage) const { return barriers() + 2 + 3 * Config::kStages + stage; }

  // By one thread, before anyone uses them.
  GRADUS_DEVICE void init() const {
    constexpr unsigned kReaders = 4 * kConsumers;  // warps
    ptx::mbarrier_init(q_full(), 1);
    ptx::mbarrier_init(q_empty(), kReaders);
    for (int stage = 0; stage < Config::kStages; stage++) {
      ptx::mbarrier_init(k_full(stage), 1);
      ptx::mbarrier_init(k_empty(stage), kReaders);
      ptx::mbarrier_init(v_full(stage), 1);
      ptx::mbarrier_init(v_empty(stage), kReaders);
    }
    ptx::fence_mbarrier_init();
  }

 private:
  GRADUS_DEVICE uint64_t* barriers() const { return reinterpret_cast<uint64_t*>(base_ + Config::kBarriers); }
  unsigned char* base_;
};

// A unit of work: 128 queries of one head, and the tiles of keys that they see.
struct HopperForwardUnit {
  int row, batch, head, first, tiles;
};

template <class Config, class T>
GRADUS_DEVICE HopperForwardUnit forward_unit(const HopperForwardArguments<T>& arguments, int index) {
  AttentionUnit at = attention_unit(arguments.order, index);
  HopperForwardUnit unit;
  unit.row = (arguments.order.tiles - 1 - at.rank) * Config::kQueries;  // under a causal mask the last queries take longest
  unit.batch = at.head / arguments.shape.heads;
  unit.head = at.head % arguments.shape.heads;
  AttentionRange range = arguments.shape.template tiles<false>(unit.row, Config::kQueries, Config::kKeys);
  unit.first = range.first;
  unit.tiles = max(0, (range.last - range.first + Config::kKeys - 1) / Config::kKeys);
  return unit;
}

// The producer thread: what the consumers read, in their order.
template <class Config, class T>
GRADUS_DEVICE void produce_forward(const HopperForwardShared<Config>& shared, const HopperForwardArguments<T>& arguments,
                                   const tensor_map& map_q, const tensor_map& map_k, const tensor_map& map_v) {
  RingPosition<Config::kStages> at;
  RingPosition<1> q_at;
  for (int round = 0, index; (index = attention_turn(arguments.order, round)) >= 0; round++) {
    HopperForwardUnit unit = forward_unit<Config>(arguments, index);
    if (unit.tiles == 0) continue;
    ptx::mbarrier_wait(shared.q_empty(), q_at.round ^ 1);  // the first round waits for nothing
    ptx::mbarrier_arrive_expect_tx(shared.q_full(), Config::Queries::kBytes);
    load_tile<Config::kQueries, Config::kDim>(shared.q(), map_q, arguments.q, unit.row, unit.head, unit.batch, shared.q_full());
    q_at.advance();
    int head = unit.head / arguments.shape.group;
    for (int tile = 0; tile < unit.tiles; tile++) {
      int key = unit.first + tile * Config::kKeys;
      uint64_t *k_full = shared.k_full(at.stage), *v_full = shared.v_full(at.stage);
      ptx::mbarrier_wait(shared.k_empty(at.stage), at.round ^ 1);
      ptx::mbarrier_arrive_expect_tx(k_full, Config::Keys::kBytes);
      load_tile<Config::kKeys, Config::kDim>(shared.k(at.stage), map_k, arguments.k, key, head, unit.batch, k_full);
      ptx::mbarrier_wait(shared.v_empty(at.stage), at.round ^ 1);
      ptx::mbarrier_arrive_expect_tx(v_full, Config::Keys::kBytes);
      load_tile<Config::kKeys, Config::kDim>(shared.v(at.stage), map_v, arguments.v, key, head, unit.batch, v_full);
      at.advance();
    }
  }
}

// The softmax of a thread's two rows, as far as it has come: their largest logits, and its share of the sums of exponentials.
struct OnlineSoftmax {
  float largest[2], sum[2];

  // Makes probabilities of logits, relative to the largest so far; what was summed before counts rescale times.
  template <int kSums>
  GRADUS_DEVICE void add(float (&s)[kSums], float (&rescale)[2], float logit_scale) {
    GRADUS_UNROLL
    for (int half = 0; half < 2; half++) {
      float most = largest[half];
      GRADUS_UNROLL
      for (int n = 0; n < kSums / 4; n++) most = fmaxf(most, fmaxf(s[4 * n + 2 * half], s[4 * n + 2 * half + 1]));
      most = fmaxf(most, __shfl_xor_sync(kFullWarp, most, 1));
      most = fmaxf(most, __shfl_xor_sync(kFullWarp, most, 2));
      float base = most == -INFINITY ? 0 : most * logit_scale;  // -inf - -inf would be NaN
      rescale[half] = ptx::exp2_approximate(largest[half] * logit_scale - base);
      largest[half] = most;
      float total = 0;
      GRADUS_UNROLL
      for (int n = 0; n < kSums / 4; n++) {
        GRADUS_UNROLL
        for (int i = 0; i < 2; i++) {
          float& p = s[4 * n + 2 * half + i];
          p = ptx::exp2_approximate(p * logit_scale - base);
          total += p;
        }
      }
      sum[half] = sum[half] * rescale[half] + total;
    }
  }
};

template <class Config, class T>
class HopperForwardConsumer {
 public:
  GRADUS_DEVICE HopperForwardConsumer(const HopperForwardShared<Config>& shared, const HopperForwardArguments<T>& arguments,
                                      int consumer)
      : shared_(shared), arguments_(arguments), consumer_(consumer), store_(shared.out(consumer), consumer) {}

  GRADUS_DEVICE void run(const tensor_map& map_out) {
    constexpr int kBoth = kConsumers * kWarpgroup;
    if (consumer_ == 1) ptx::barrier_arrive(kTurnBarrier, kBoth);  // the first turn is the first consumer's
    for (int round = 0, index; (index = attention_turn(arguments_.order, round)) >= 0; round++) {
      HopperForwardUnit unit = forward_unit<Config>(arguments_, index);
      int row = unit.row + 64 * consumer_;
      float out[Config::kDim / 2];
      OnlineSoftmax softmax{{-INFINITY, -INFINITY}, {0, 0}};
      attend(unit, row, softmax, out);
      finish_rows(unit, row, softmax, out);
      if (row < arguments_.shape.queries) store_.run(out, map_out, arguments_.out, row, unit.head, unit.batch);
    }
    if (consumer_ == 0) ptx::barrier_sync(kTurnBarrier, kBoth);  // the turn that nobody takes
    store_.finish();
  }

 private:
  using Queries = typename Config::Queries;
  using Keys = typename Config::Keys;
  static constexpr int kLogits = Config::kKeys / 2;

  // s = q k^T, issued.
  GRADUS_DEVICE void issue_logits(float (&s)[kLogits], uint32_t q, uint32_t k) const {
    GRADUS_UNROLL
    for (int step = 0; step < Config::kDim / 16; step++) {
      ptx::wgmma<Config::kKeys, T>(s, Queries::columns16(q, step), Keys::columns16(k, step), step > 0);
    }
    ptx::wgmma_commit();
  }

  // out += P v, issued.
  GRADUS_DEVICE void issue_values(float (&out)[Config::kDim / 2], const uint32_t (&p)[kLogits / 8][4], uint32_t v) const {
    GRADUS_UNROLL
    for (int step = 0; step < Config::kKeys / 16; step++) {
      ptx::wgmma_a_registers<Config::kDim, T, true>(out, p[step], Keys::rows16(v, step), true);
    }
    ptx::wgmma_commit();
  }

  GRADUS_DEVICE void attend(const HopperForwardUnit& unit, int row, OnlineSoftmax& softmax, float (&out)[Config::kDim / 2]) {
    constexpr int kBoth = kConsumers * kWarpgroup;
    GRADUS_UNROLL
    for (int i = 0; i < Config::kDim / 2; i++) out[i] = 0;
    if (unit.tiles == 0) return;
    const AttentionShape& shape = arguments_.shape;
    auto logit_scale = float(shape.logit_scale);
    int warp_row = row + int(threadIdx.x) % kWarpgroup / 32 * 16;
    uint32_t q = Queries::along_columns(shared_.q(), 64 * consumer_);
    uint32_t k = Keys::along_columns(shared_.k(0)), v = Keys::along_rows(shared_.v(0));
    constexpr uint32_t kStage = Keys::kBytes / 16;
    float s[kLogits], rescale[2];
    uint32_t p[kLogits / 8][4];

    ptx::mbarrier_wait(shared_.q_full(), q_at_.round);
    ptx::mbarrier_wait(shared_.k_full(at_.stage), at_.round);
    ptx::wgmma_fence();
    issue_logits(s, q, k + uint32_t(at_.stage) * kStage);
    ptx::wgmma_wait<0>();
    ptx::wgmma_results(s);
    warp_arrives(shared_.k_empty(at_.stage));
    mask_sums<false>(s, shape, warp_row, unit.first);
    softmax.add(s, rescale, logit_scale);
    pack_sums<T>(p, s);

    GRADUS_ROLLED
    for (int tile = 1; tile < unit.tiles; tile++) {
      RingPosition<Config::kStages> before = at_;
      at_.advance();
      ptx::mbarrier_wait(shared_.k_full(at_.stage), at_.round);
      ptx::barrier_sync(kTurnBarrier + consumer_, kBoth);  // the other has issued its products
      ptx::wgmma_fence();
      issue_logits(s, q, k + uint32_t(at_.stage) * kStage);
      ptx::mbarrier_wait(shared_.v_full(before.stage), before.round);
      ptx::wgmma_fence();
      issue_values(out, p, v + uint32_t(before.stage) * kStage);
      ptx::barrier_arrive(kTurnBarrier + 1 - consumer_, kBoth);
      ptx::wgmma_wait<1>();  // the logits are there; the values may still be summed
      ptx::wgmma_results(s);
      warp_arrives(shared_.k_empty(at_.stage));
      mask_sums<false>(s, shape, warp_row, unit.first + tile * Config::kKeys);
      softmax.add(s, rescale, logit_scale);
      ptx::wgmma_wait<0>();  // the values are summed
      ptx::wgmma_results(out);
      warp_arrives(shared_.v_empty(before.stage));
      GRADUS_UNROLL
      for (int i = 0; i < Config::kDim / 2; i++) out[i] *= rescale[i / 2 % 2];
      pack_sums<T>(p, s);
    }
    warp_arrives(shared_.q_empty());
    q_at_.advance();

    ptx::mbarrier_wait(shared_.v_full(at_.stage), at_.round);
    ptx::wgmma_fence();
    issue_values(out, p, v + uint32_t(at_.stage) * kStage);
    ptx::wgmma_wait<0>();
    ptx::wgmma_results(out);
    warp_arrives(shared_.v_empty(at_.stage));
    at_.advance();
  }

  // Divides by the sums of exponentials and saves their logarithms.
  GRADUS_DEVICE void finish_rows(const HopperForwardUnit& unit, int row, const OnlineSoftmax& softmax,
                                 float (&out)[Config::kDim / 2]) const {
    const AttentionShape& shape = arguments_.shape;
    int lane = lane_index();
    float factor[2];
    GRADUS_UNROLL
    for (int half = 0; half < 2; half++) {
      float total = softmax.sum[half];
      total += __shfl_xor_sync(kFullWarp, total, 1);
      total += __shfl_xor_sync(kFullWarp, total, 2);
      factor[half] = total == 0 ? 0 : 1 / total;
      int query = row + int(threadIdx.x) % kWarpgroup / 32 * 16 + 8 * half + lane / 4;
      if (arguments_.log_sum_exp != nullptr && lane % 4 == 0 && query < shape.queries) {
        int64_t index = (int64_t(unit.batch) * shape.heads + unit.head) * shape.queries + query;
        float base = softmax.largest[half] * float(shape.scale);
        arguments_.log_sum_exp[index] = total == 0 ? -INFINITY : base + logf(total);
      }
    }
    GRADUS_UNROLL
    for (int i = 0; i < Config::kDim / 2; i++) out[i] *= factor[i / 2 % 2];
  }

  const HopperForwardShared<Config> shared_;
  const HopperForwardArguments<T>& arguments_;
  int consumer_;
  HopperStore<T, Config::kDim> store_;
  RingPosition<Config::kStages> at_;
  RingPosition<1> q_at_;
};

#endif

// Grid: persistent blocks. On other architectures than sm_90a there is nothing in it, and it is not launched.
template <class T, int Dim>
__global__ void __launch_bounds__(kHopperThreads, 1)
    attention_hopper_forward_kernel(const __grid_constant__ tensor_map map_q, const __grid_constant__ tensor_map map_k,
                                    const __grid_constant__ tensor_map map_v, const __grid_constant__ tensor_map map_out,
                                    const __grid_constant__ HopperForwardArguments<T> arguments) {
#if GRADUS_SM90A
  using Config = HopperForwardConfig<T, Dim>;
  GRADUS_DYNAMIC_SHARED(unsigned char, memory);
  HopperForwardShared<Config> shared(memory);
  if (threadIdx.x == 0) shared.init();
  __syncthreads();  // the barriers are initialised before anyone waits on them or arrives
  if (threadIdx.x < unsigned(kWarpgroup)) {
    ptx::registers_decrease<kProducerRegisters>();
    if (threadIdx.x == 0) produce_forward<Config>(shared, arguments, map_q, map_k, map_v);
  } else {
    ptx::registers_increase<kConsumerRegisters>();
    HopperForwardConsumer<Config, T>(shared, arguments, int(threadIdx.x) / kWarpgroup - 1).run(map_out);
  }
#else
  __trap();
#endif
}

template <class T, int Dim>
int launch_hopper_forward(const gr_attention_problem& p, const AttentionShape& shape, const AttentionHopperForward<T>& operands,
                          int64_t stream) {
  using Config = HopperForwardConfig<T, Dim>;
  HopperForwardArguments<T> arguments{shape, {}, {}, {}, {}, {}, operands.log_sum_exp};
  arguments.order = attention_order(divide_up(p.queries, Config::kQueries), p.batch * p.heads, shape.group, 4 * p.keys * p.dim);
  tensor_map map_q{}, map_k{}, map_v{}, map_out{};
  std::string refused = attention_map(&map_q, &arguments.q, p, operands.q, p.q, false, Config::kQueries);
  if (refused.empty()) refused = attention_map(&map_k, &arguments.k, p, operands.k, p.k, true, Config::kKeys);
  if (refused.empty()) refused = attention_map(&map_v, &arguments.v, p, operands.v, p.v, true, Config::kKeys);
  if (refused.empty()) refused = attention_map(&map_out, &arguments.out, p, operands.out, p.out, false, 64);
  if (!refused.empty()) return failed(GR_ERROR, "[attention] " + refused);
  int blocks = std::min(arguments.order.units, std::max(1, device_traits(stream).processors));
  LaunchConfig config = LaunchConfig(dim3(unsigned(blocks)), kHopperThreads).shared(Config::kSharedBytes).stream(stream_of(stream));
  return finish(GRADUS_LAUNCH((attention_hopper_forward_kernel<T, Dim>), config, map_q, map_k, map_v, map_out, arguments));
}

}  // namespace gradus
