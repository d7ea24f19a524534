// The product on Hopper's tensor cores: wgmma fed by TMA. C = op(A) op(B) as in matmul.cu, for operands that TMA can read.
//
// Method: persistent blocks of three warpgroups (matmul_hopper_order.h says which tiles are whose): one thread of the first fills a
// ring of stages (matmul_hopper_pipeline.h), the two others multiply from it and store (matmul_hopper_epilogue.h). setmaxnreg
// moves registers from the first to the others. Tiles and their order of work are data (matmul_hopper_config.h); which is
// taken, and in how many parts K is summed, matmul_hopper_plan.h decides from the sizes.
//
// Traffic: a tile reads (M + N) K elements, in a cluster of two M K + N K / 2, mostly from the L2 cache; C is written once, by
// TMA where it can. Shared memory: each byte is written once and read by wgmma once (A) or for each 64 rows (B).
//
// Sums: float32 in the tensor core, in the order of K within a part; parts are added in order by matmul_reduce_kernel. 16-bit
// types in all four layouts. TF32 wgmma reads operands along K alone: those that do not lie so are transposed in shared memory,
// which is also where 3xTF32 splits its numbers (matmul_hopper_prepare.h). Elsewhere TMA rounds float32 to tf32 to nearest.
//
// Ping-pong: the consumers take units in turn. Named barriers let one multiply at a time, so that while one stores, the other has
// the tensor cores to itself. Each skips the other's slices in the ring.
#pragma once

#include "kernels/matmul_hopper_epilogue.h"
#include "kernels/matmul_hopper_plan.h"
#include "kernels/matmul_hopper_prepare.h"

namespace gradus {

template <class T>
struct HopperArguments {
  MatmulArguments<T> matmul;
  HopperOrder order;
  bool by_tma;  // whether TMA writes C; see HopperEpilogue
};

#if GRADUS_SM90A

template <class Config, Major kMajorA, Major kMajorB>
GRADUS_DEVICE void consume(const HopperShared<Config>& shared, const HopperArguments<typename Config::Element>& arguments,
                           const tensor_map& map_c) {
  constexpr int kTurn = kConsumerBarrier + Config::kConsumers;  // barrier of the first consumer's turn to multiply
  constexpr int kBoth = Config::kConsumers * Config::kWarpgroup;
  const HopperOrder& order = arguments.order;
  int consumer = int(threadIdx.x) / Config::kWarpgroup - 1;
  int rank = order.cluster > 1 ? int(ptx::cluster_rank()) : 0;
  int step = int(gridDim.x) / order.cluster;
  int row = Config::kPingPong ? 0 : consumer * Config::kRows;  // within a tile
  HopperEpilogue<Config> epilogue(shared, arguments.matmul, map_c, arguments.by_tma, consumer);
  RingPosition<Config::kStages> at;
  float sum[Config::kBlocks][Config::kN / 2];
  int turn = 0;
  for (int index = int(blockIdx.x) / order.cluster; index < order.units; index += step, turn++) {
    HopperUnit unit = unit_at(order, index);
    if (Config::kPingPong && turn % 2 != consumer) {
      at.advance(unit.last - unit.first);
      continue;
    }
    if (Config::kPingPong && turn > 0) ptx::barrier_sync(kTurn + consumer, kBoth);  // the other has multiplied the unit before
    if constexpr (Config::kPrepares) {
      multiply_prepared_slices<Config, kMajorA, kMajorB>(shared, row, unit.last - unit.first, order.cluster, at, sum);
    } else {
      multiply_slices<Config, kMajorA, kMajorB>(shared, row, unit.last - unit.first, order.cluster, at, sum);
    }
    if (Config::kPingPong && index + step < order.units) ptx::barrier_arrive(kTurn + 1 - consumer, kBoth);
    epilogue.store(sum, unit, (unit.row * order.cluster + rank) * Config::kM + row, unit.column * Config::kN);
  }
  epilogue.finish();
}

#endif

// Grid: persistent clusters. On other architectures than sm_90a there is nothing in it, and it is not launched.
template <class Config, Major kMajorA, Major kMajorB>
__global__ void __launch_bounds__(Config::kThreads, 1)
    matmul_hopper_kernel(const __grid_constant__ tensor_map map_a, const __grid_constant__ tensor_map map_b,
                         const __grid_constant__ tensor_map map_c,
                         const __grid_constant__ HopperArguments<typename Config::Element> arguments) {
#if GRADUS_SM90A
  GRADUS_DYNAMIC_SHARED(unsigned char, memory);
  HopperShared<Config> shared(memory);
  if (threadIdx.x == 0) ring_init(shared, arguments.order.cluster);
  cluster_sync();  // the barriers of all blocks are initialised before anyone waits on them or arrives
  if (threadIdx.x < unsigned(Config::kWarpgroup)) {
    ptx::registers_decrease<Config::kProducerRegisters>();
    if (threadIdx.x == 0) {
      bool one_a = arguments.matmul.stride_a == 0, one_b = arguments.matmul.stride_b == 0;
      produce<Config, kMajorA, kMajorB>(shared, map_a, map_b, arguments.order, one_a, one_b);
    }
    __syncwarp();  // the cluster's barrier wants whole warps
  } else {
    ptx::registers_increase<Config::kConsumerRegisters>();
    consume<Config, kMajorA, kMajorB>(shared, arguments, map_c);
    __syncwarp();  // the same
  }
  cluster_sync();  // a peer arrives at this block's barriers until it has multiplied its last slice
#else
  __trap();
#endif
}

// Matrices as they are stored, in elements: lines a pitch apart, those of a batch a stride, 0 for one alone.
struct StoredMatrices {
  int64_t length, lines, pitch, batch, stride;
};

// How TMA sees them, in boxes of 128 bytes by `high` lines; with `rounds` it rounds float32 to tf32.
template <class T>
std::string hopper_map(tensor_map* map, const T* base, const StoredMatrices& m, int high, bool rounds) {
  constexpr TensorMapType kTypes[] = {TensorMapType::bf16, TensorMapType::f16, TensorMapType::f32};
  constexpr TensorMapType kType = kTypes[std::is_same_v<T, bfloat16> ? 0 : std::is_same_v<T, float16> ? 1 : 2];
  auto bytes = uint64_t(sizeof(T));
  bool one = m.batch == 1 || m.stride == 0;
  uint64_t extent[3] = {uint64_t(m.length), uint64_t(m.lines), one ? 1 : uint64_t(m.batch)};
  uint64_t pitch[2] = {uint64_t(m.pitch) * bytes, uint64_t(one ? m.pitch : m.stride) * bytes};
  uint32_t box[3] = {uint32_t(128 / bytes), uint32_t(high), 1};
  return encode_tensor_map(map, rounds ? TensorMapType::tf32 : kType, 3, base, extent, pitch, box, TensorMapSwizzle::bytes128);
}

template <class Config, Major kMajorA, Major kMajorB>
int launch_hopper_tile(const MatmulArguments<typename Config::Element>& matmul, const MatmulPlan& plan, int processors,
                       int64_t stream) {
  using T = typename Config::Element;
  constexpr bool kAlongA = kMajorA == Major::k, kAlongB = kMajorB == Major::k;
  constexpr bool kRounds = sizeof(T) == 4 && !Config::kParts;
  const int64_t m = matmul.m, n = matmul.n, k = matmul.k;
  HopperArguments<T> arguments{matmul, {}, hopper_writes(matmul)};
  HopperOrder& order = arguments.order;
  order.cluster = plan.cluster;
  order.units_m = int(divide_up(m, Config::kM * plan.cluster));
  order.units_n = int(divide_up(n, Config::kN));
  order.splits = matmul.splits;
  order.slices = matmul.slices;
  order.all_slices = int(divide_up(k, Config::kDepth));
  order.units = order.units_m * order.units_n * order.splits * matmul.batch;  // hopper_takes limits it

  StoredMatrices a{kAlongA ? k : m, kAlongA ? m : k, matmul.lda, matmul.batch, matmul.stride_a};
  StoredMatrices b{kAlongB ? k : n, kAlongB ? n : k, matmul.ldb, matmul.batch, matmul.stride_b};
  StoredMatrices c{n, m, matmul.epilogue.pitch, matmul.batch, matmul.stride_c};
  tensor_map map_a{}, map_b{}, map_c{};
  std::string refused = hopper_map(&map_a, matmul.a, a, kAlongA ? Config::kM : Config::kDepth, kRounds);
  if (refused.empty()) refused = hopper_map(&map_b, matmul.b, b, kAlongB ? Config::kN / plan.cluster : Config::kDepth, kRounds);
  if (refused.empty() && arguments.by_tma) refused = hopper_map(&map_c, matmul.epilogue.out, c, 64, false);
  if (!refused.empty()) return failed(GR_ERROR, "[matmul] " + refused);

  int clusters = std::min(order.units, std::max(1, processors / plan.cluster));
  auto config = LaunchConfig(dim3(unsigned(clusters * plan.cluster)), Config::kThreads)
                    .shared(Config::kSharedBytes)
                    .cluster(dim3(unsigned(plan.cluster)))
                    .stream(stream_of(stream));
  return finish(GRADUS_LAUNCH((matmul_hopper_kernel<Config, kMajorA, kMajorB>), config, map_a, map_b, map_c, arguments));
}

template <class Config>
int launch_hopper_layout(const gr_matmul_problem& p, const MatmulArguments<typename Config::Element>& matmul,
                         const MatmulPlan& plan,
                         int processors, int64_t stream) {
  if constexpr (sizeof(typename Config::Element) == 2 || Config::kPrepares) {
    if (p.trans_a != 0) {
      return p.trans_b != 0 ? launch_hopper_tile<Config, Major::mn, Major::k>(matmul, plan, processors, stream)
                            : launch_hopper_tile<Config, Major::mn, Major::mn>(matmul, plan, processors, stream);
    }
    if (p.trans_b == 0) return launch_hopper_tile<Config, Major::k, Major::mn>(matmul, plan, processors, stream);
  }
  return launch_hopper_tile<Config, Major::k, Major::k>(matmul, plan, processors, stream);
}

// The kernel of a plan, one of the rows of kHopperTiles.
template <Multiply kKind, int kTile = 0, class T>
int launch_hopper_plan(const gr_matmul_problem& p, const MatmulArguments<T>& matmul, const MatmulPlan& plan, int processors,
                       int64_t stream) {
  if constexpr (kTile < kHopperTileCount) {
    constexpr bool kExists = kHopperTiles[kTile].prepares ? sizeof(T) == 4 : kKind != Multiply::tf32x3;
    if constexpr (kExists) {
      if (plan.tile == kTile) return launch_hopper_layout<HopperConfig<T, kKind, kTile>>(p, matmul, plan, processors, stream);
    }
    return launch_hopper_plan<kKind, kTile + 1>(p, matmul, plan, processors, stream);
  } else {
    return failed(GR_ERROR, "[matmul] there is no such tile");
  }
}

}  // namespace gradus
