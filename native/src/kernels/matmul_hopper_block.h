// A block of a product on Hopper's tensor cores, whatever it multiplies: the roles of its three warpgroups, and how it is launched.
// One thread of the first loads (`Loads`, matmul_hopper_pipeline.h), the two others multiply and store (`Finish`,
// matmul_hopper_epilogue.h, which also names the prologue of multiply_slices). setmaxnreg moves registers from the first to the others.
//
// Ping-pong: the consumers take units in turn. Named barriers let one multiply at a time, so that while one stores, the other has
// the tensor cores to itself. Each skips the other's slices in the ring.
#pragma once

#include "kernels/launcher.h"
#include "kernels/matmul_hopper_epilogue.h"
#include "kernels/matmul_hopper_prepare.h"
#include "kernels/matmul_plan.h"

namespace gradus {

#if GRADUS_SM90A

template <class Config, Major kMajorA, Major kMajorB, class Finish>
GRADUS_DEVICE void consume(const HopperShared<Config>& shared, const HopperOrder& order, const Finish& finish,
                           const tensor_map& map_c, bool by_tma) {
  constexpr int kTurn = kConsumerBarrier + Config::kConsumers;  // barrier of the first consumer's turn to multiply
  constexpr int kBoth = Config::kConsumers * Config::kWarpgroup;
  int consumer = int(threadIdx.x) / Config::kWarpgroup - 1;
  int rank = order.cluster > 1 ? int(ptx::cluster_rank()) : 0;
  int step = int(gridDim.x) / order.cluster;
  int row = Config::kPingPong ? 0 : consumer * Config::kRows;  // within a tile
  HopperEpilogue<Config, Finish> epilogue(shared, finish, map_c, by_tma, consumer);
  RingPosition<Config::kStages> at;
  float sum[Config::kBlocks][Config::kN / 2];
  int turn = 0;
  for (int index = int(blockIdx.x) / order.cluster; index < order.units; index += step, turn++) {
    HopperUnit unit = unit_at(order, index);
    if (Config::kPingPong && turn % 2 != consumer) {
      at.advance(unit.last - unit.first);
      continue;
    }
    int first = (unit.row * order.cluster + rank) * Config::kM + row;
    if (Config::kPingPong && turn > 0) ptx::barrier_sync(kTurn + consumer, kBoth);  // the other has multiplied the unit before
    if constexpr (Config::kPrepares) {
      multiply_prepared_slices<Config, kMajorA, kMajorB>(shared, row, unit.last - unit.first, order.cluster, at, sum);
    } else {
      auto prologue = finish.template prologue<Config>(unit, first, consumer);
      multiply_slices<Config, kMajorA, kMajorB>(shared, row, unit.last - unit.first, order.cluster, at, sum, prologue);
    }
    if (Config::kPingPong && index + step < order.units) ptx::barrier_arrive(kTurn + 1 - consumer, kBoth);
    epilogue.store(sum, unit, first, unit.column * Config::kN);
  }
  epilogue.finish();
}

// All of a kernel of Config::kThreads threads, one block a multiprocessor, with Config::kSharedBytes of dynamic shared memory.
template <class Config, Major kMajorA, Major kMajorB, class Loads, class Finish>
GRADUS_DEVICE void run_hopper_block(unsigned char* memory, const HopperOrder& order, Loads& loads, const Finish& finish,
                                    const tensor_map& map_c, bool by_tma) {
  HopperShared<Config> shared(memory);
  if (threadIdx.x == 0) ring_init(shared, order.cluster);
  cluster_sync();  // the barriers of all blocks are initialised before anyone waits on them or arrives
  if (threadIdx.x < unsigned(Config::kWarpgroup)) {
    ptx::registers_decrease<Config::kProducerRegisters>();
    if (threadIdx.x == 0) produce(shared, order, loads);
    __syncwarp();  // the cluster's barrier wants whole warps
  } else {
    ptx::registers_increase<Config::kConsumerRegisters>();
    consume<Config, kMajorA, kMajorB>(shared, order, finish, map_c, by_tma);
    __syncwarp();  // the same
  }
  cluster_sync();  // a peer arrives at this block's barriers until it has multiplied its last slice
}

#endif

// The order of work on results [batch, m, n], as a plan says. Their tiles must be few enough to be counted.
template <class Config>
HopperOrder hopper_order(const MatmulPlan& plan, int64_t m, int64_t n, int64_t all_slices, int batch) {
  HopperOrder order{};
  order.cluster = plan.cluster;
  order.units_m = int(divide_up(m, Config::kM * plan.cluster));
  order.units_n = int(divide_up(n, Config::kN));
  order.splits = plan.splits;
  order.slices = plan.per_split;
  order.all_slices = int(all_slices);
  order.units = order.units_m * order.units_n * order.splits * batch;
  return order;
}

template <class Config>
LaunchConfig hopper_launch(const HopperOrder& order, int processors, int64_t stream) {
  int clusters = std::min(order.units, std::max(1, processors / order.cluster));
  return LaunchConfig(dim3(unsigned(clusters * order.cluster)), Config::kThreads)
      .shared(Config::kSharedBytes)
      .cluster(dim3(unsigned(order.cluster)))
      .stream(stream_of(stream));
}

}  // namespace gradus
