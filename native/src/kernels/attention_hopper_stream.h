// What both backward kernels for Hopper rest on: a tile of two operands that a block holds, tiles of two other operands that stream
// by, and the producer that brings them.
//
//   gradient     held          streamed
//   dQ           q, dO         k, v
//   dK, dV       k, v          q, dO of every head that shares them, with the numbers of their rows
//
// The held pair has one full and one empty barrier, and so has each stage of the streamed pairs.
//
// Hazards
//   copies overwrite what is still read               the producer waits for empty: consumer warps give back what they have read
//   wgmma or a load reads what has not landed         consumers wait for full
#pragma once

#include "kernels/attention_hopper_tiles.h"

namespace gradus {

enum class HopperGradient { queries, keys };

template <class T, int Dim, HopperGradient Gradient>
struct HopperStreamConfig {
  using Element = T;
  static constexpr bool kOfKeys = Gradient == HopperGradient::keys;
  static constexpr int kDim = Dim, kHeldRows = kConsumers * 64;
  // What the sums and the two products of a tile leave of a consumer's registers decides.
  static constexpr int kRows = kOfKeys ? 64 : Dim == 64 ? 128 : 96;
  static constexpr int kStages = kOfKeys ? (Dim == 64 ? 4 : 3) : (Dim == 64 ? 3 : 2);
  using Held = HopperTileOf<kHeldRows, Dim>;
  using Streamed = HopperTileOf<kRows, Dim>;
  using Out = HopperTileOf<64, Dim>;
  static constexpr int kNumberBytes = kOfKeys ? kRows * int(sizeof(Pack<float, 2>)) : 0;
  static constexpr int kStageBytes = 2 * Streamed::kBytes;
  static constexpr int kLoadBytes = kStageBytes + kNumberBytes;
  static constexpr int kOut = 2 * Held::kBytes;  // where things lie in shared memory, in bytes
  static constexpr int kStage = kOut + kConsumers * Out::kBytes;
  static constexpr int kNumbers = kStage + kStages * kStageBytes;
  static constexpr int kBarriers = kNumbers + kStages * kNumberBytes;
  static constexpr int kSharedBytes = kBarriers + (2 + 2 * kStages) * 8;
  static_assert(kSharedBytes <= 227 * 1024, "shared memory of a block on sm_90");
};

template <class T>
struct HopperStreamArguments {
  AttentionShape shape;
  AttentionOrder order;
  AttentionAxes held[2], streamed[2], out[2];
  bool wanted[2];                 // of the gradients
  const Pack<float, 2>* numbers;  // [batch, heads, pitch] of log-sum-exp in base 2, delta
  int pitch;
};

#if GRADUS_SM90A

template <class Config>
class HopperStreamShared {
 public:
  GRADUS_DEVICE explicit HopperStreamShared(unsigned char* base) : base_(base) {}
  GRADUS_DEVICE unsigned char* held(int i) const { return base_ + i * Config::Held::kBytes; }
  GRADUS_DEVICE unsigned char* out(int consumer) const { return base_ + Config::kOut + consumer * Config::Out::kBytes; }
  GRADUS_DEVICE unsigned char* streamed(int stage, int i) const {
    return base_ + Config::kStage + stage * Config::kStageBytes + i * Config::Streamed::kBytes;
  }
  GRADUS_DEVICE Pack<float, 2>* numbers(int stage) const {
    return reinterpret_cast<Pack<float, 2>*>(base_ + Config::kNumbers + stage * Config::kNumberBytes);
  }
  GRADUS_DEVICE uint64_t* held_full() const { return barriers(); }
  GRADUS_DEVICE uint64_t* held_empty() const { return barriers() + 1; }
  GRADUS_DEVICE uint64_t* full(int stage) const { return barriers() + 2 + stage; }
  GRADUS_DEVICE uint64_t* empty(int stage) const { return barriers() + 2 + Config::kStages + stage; }

  // By one thread, before anyone uses them.
  GRADUS_DEVICE void init() const {
    constexpr unsigned kReaders = 4 * kConsumers;  // warps
    ptx::mbarrier_init(held_full(), 1);
    ptx::mbarrier_init(held_empty(), kReaders);
    for (int stage = 0; stage < Config::kStages; stage++) {
      ptx::mbarrier_init(full(stage), 1);
      ptx::mbarrier_init(empty(stage), kReaders);
    }
    ptx::fence_mbarrier_init();
  }

 private:
  GRADUS_DEVICE uint64_t* barriers() const { return reinterpret_cast<uint64_t*>(base_ + Config::kBarriers); }
  unsigned char* base_;
};

// A unit of work: a tile of held rows of one head, and the tiles that stream by.
struct HopperStreamUnit {
  int row, batch, head;  // held
  int first, tiles;      // streamed, of each head
  int heads;             // that stream by
};

template <class Config, class T>
GRADUS_DEVICE HopperStreamUnit stream_unit(const HopperStreamArguments<T>& arguments, int index) {
  const AttentionShape& shape = arguments.shape;
  AttentionUnit at = attention_unit(arguments.order, index);
  int of_batch = Config::kOfKeys ? shape.heads / shape.group : shape.heads;
  HopperStreamUnit unit;
  // Under a causal mask the last queries and the first keys take longest.
  unit.row = (Config::kOfKeys ? at.rank : arguments.order.tiles - 1 - at.rank) * Config::kHeldRows;
  unit.batch = at.head / of_batch;
  unit.head = at.head % of_batch;
  AttentionRange range = shape.template tiles<Config::kOfKeys>(unit.row, Config::kHeldRows, Config::kRows);
  unit.first = range.first;
  unit.tiles = max(0, (range.last - range.first + Config::kRows - 1) / Config::kRows);
  unit.heads = Config::kOfKeys ? shape.group : 1;
  return unit;
}

struct HopperStreamMaps {
  const tensor_map &held0, &held1, &streamed0, &streamed1;
};

// The producer thread: what the consumers read, in their order.
template <class Config, class T>
GRADUS_DEVICE void produce_stream(const HopperStreamShared<Config>& shared, const HopperStreamArguments<T>& arguments,
                                  const HopperStreamMaps& maps) {
  const AttentionShape& shape = arguments.shape;
  RingPosition<Config::kStages> at;
  RingPosition<1> held_at;
  for (int round = 0, index; (index = attention_turn(arguments.order, round)) >= 0; round++) {
    HopperStreamUnit unit = stream_unit<Config>(arguments, index);
    if (unit.tiles == 0) continue;
    ptx::mbarrier_wait(shared.held_empty(), held_at.round ^ 1);  // the first round waits for nothing
    ptx::mbarrier_arrive_expect_tx(shared.held_full(), 2 * Config::Held::kBytes);
    auto hold = [&](int i, const tensor_map& map) {
      load_tile<Config::kHeldRows, Config::kDim>(shared.held(i), map, arguments.held[i], unit.row, unit.head, unit.batch,
                                                 shared.held_full());
    };
    hold(0, maps.held0);
    hold(1, maps.held1);
    held_at.advance();
    for (int i = 0; i < unit.heads; i++) {
      int head = Config::kOfKeys ? unit.head * shape.group + i : unit.head / shape.group;
      for (int tile = 0; tile < unit.tiles; tile++) {
        int row = unit.first + tile * Config::kRows;
        ptx::mbarrier_wait(shared.empty(at.stage), at.round ^ 1);
        uint64_t* full = shared.full(at.stage);
        ptx::mbarrier_arrive_expect_tx(full, Config::kLoadBytes);
        auto load = [&](int j, const tensor_map& map) {
          unsigned char* to = shared.streamed(at.stage, j);
          load_tile<Config::kRows, Config::kDim>(to, map, arguments.streamed[j], row, head, unit.batch, full);
        };
        load(0, maps.streamed0);
        load(1, maps.streamed1);
        if constexpr (Config::kOfKeys) {
          const auto* numbers = arguments.numbers + (int64_t(unit.batch) * shape.heads + head) * arguments.pitch + row;
          ptx::bulk_load(shared.numbers(at.stage), numbers, Config::kNumberBytes, full);
        }
        at.advance();
      }
    }
  }
}

#endif

}  // namespace gradus
