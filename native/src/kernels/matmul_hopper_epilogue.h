// What a consumer warpgroup of the Hopper product does with the sums of its tile. They lie in registers as wgmma leaves them
// (device/ptx/wgmma.h) and reach global memory through two boxes of shared memory of 64 lines of 128 bytes each, swizzled like
// TMA's: 16-byte chunk c of line r lies where chunk c ^ (r % 8) would, so that fragments are written and rows read without bank
// conflicts.
//
// - store_by_tma: bias and activation in registers, then a box of results (stmatrix for 16-bit types) is copied out by TMA, which
//   cuts off what lies outside of C, while the next box is written and, after the last, while the next tile is multiplied.
// - store_by_rows: sums as float32, 64 columns at a time, then eight neighbouring columns a thread: for dropout, residual,
//   addition to C, parts of K, statistics of columns, and a C that TMA cannot write.
//
// Both round once and give the same bits. What is done with the sums is the affair of `Finish`:
//   rows(), columns()    of the result
//   kByTma               whether store_by_tma exists
//   registers()          what it adds to them
//   layer(unit)          its third coordinate in the map
//   pieces(unit)         what is called with (row, column, eight sums); with kColumnStatistics also begin_columns() before and
//                        end_columns(memory, barrier, row, column) after the 64 columns of 64 rows, by the whole warpgroup
//
// Hazards of a box
//   TMA reads what is not written yet, or not visible to it     proxy fence of every writer, then the warpgroup's barrier
//   it is overwritten while TMA reads it                        the leader waits for the copy before last, then the barrier
//   rows are read before other lanes wrote them, or overwritten before they were read: __syncwarp, a warp has lines of its own
#pragma once

#include "device/epilogue.h"
#include "kernels/matmul_hopper_pipeline.h"

#if GRADUS_SM90A

namespace gradus {

constexpr int kConsumerBarrier = 1;  // of the first consumer; the next has the next number

// Columns [32 part, 32 part + 32) of the sums of 64 rows, as float32.
template <int kSums>
GRADUS_DEVICE void stage_sums(unsigned char* box, const float (&sum)[kSums], int part) {
  int lane = int(threadIdx.x) % 32;
  int line = int(threadIdx.x) % 128 / 32 * 16 + lane / 4;
  GRADUS_UNROLL
  for (int j = 0; j < 4; j++) {
    GRADUS_UNROLL
    for (int half = 0; half < 2; half++) {
      const float* from = &sum[(4 * part + j) * 4 + 2 * half];
      Pack<float, 2> pair{{from[0], from[1]}};
      store_pack(reinterpret_cast<float*>(box + box_chunk(line + 8 * half, 2 * j + lane % 4 / 2) + lane % 2 * 8), pair);
    }
  }
}

// Bias and activation, for sums in registers.
template <class T>
struct HopperRegisters {
  const T* bias;
  bool bias_of_rows, relu;
};

template <class Config, class Finish>
class HopperEpilogue {
 public:
  using T = typename Config::Element;
  using Sums = float[Config::kBlocks][Config::kN / 2];

  GRADUS_DEVICE HopperEpilogue(const HopperShared<Config>& shared, const Finish& finish, const tensor_map& map_c, bool by_tma,
                               int consumer)
      : shared_(shared), finish_(finish), map_c_(map_c), by_tma_(by_tma), consumer_(consumer), next_(0) {}

  GRADUS_DEVICE void store(Sums& sum, const HopperUnit& unit, int row, int column) {
    GRADUS_UNROLL
    for (int block = 0; block < Config::kBlocks; block++) {
      if (Finish::kByTma && by_tma_) {
        if constexpr (Finish::kByTma) store_by_tma(sum[block], finish_.layer(unit), row + 64 * block, column);
      } else {
        store_by_rows(sum[block], unit, row + 64 * block, column);
      }
    }
  }

  // Before the end: TMA still reads the boxes.
  GRADUS_DEVICE void finish() {
    if (leader()) ptx::bulk_wait_read<0>();
  }

 private:
  static GRADUS_DEVICE bool leader() { return threadIdx.x % Config::kWarpgroup == 0; }

  GRADUS_DEVICE void store_by_tma(float (&sum)[Config::kN / 2], int layer, int row, int column) {
    if (row >= finish_.rows()) return;
    add_bias(sum, row, column);
    GRADUS_UNROLL
    for (int part = 0; part < Config::kN / Config::kWide; part++) {
      int at = column + part * Config::kWide;
      if (at >= finish_.columns()) break;
      if (leader()) ptx::bulk_wait_read<1>();
      ptx::barrier_sync(kConsumerBarrier + consumer_, Config::kWarpgroup);  // the copy before last has read this box
      unsigned char* box = shared_.box(consumer_, next_);
      if constexpr (sizeof(T) == 2) {
        stage_rounded<T>(box, sum, part);
      } else {
        stage_sums(box, sum, part);
      }
      ptx::fence_proxy_async();
      ptx::barrier_sync(kConsumerBarrier + consumer_, Config::kWarpgroup);  // the box is complete, and visible to TMA
      if (leader()) {
        ptx::tma_store_3d(map_c_, box, at, row, layer);
        ptx::bulk_commit();
      }
      next_ ^= 1;
    }
  }

  GRADUS_DEVICE void add_bias(float (&sum)[Config::kN / 2], int row, int column) const {
    const HopperRegisters<T> p = finish_.registers();
    int lane = int(threadIdx.x) % 32;
    int first_row = row + int(threadIdx.x) % Config::kWarpgroup / 32 * 16 + lane / 4;
    if (p.bias != nullptr) {
      float of_row[2] = {0, 0};
      GRADUS_UNROLL
      for (int half = 0; half < 2; half++) {
        if (p.bias_of_rows && first_row + 8 * half < finish_.rows()) of_row[half] = to_float(p.bias[first_row + 8 * half]);
      }
      GRADUS_UNROLL
      for (int j = 0; j < Config::kN / 8; j++) {
        GRADUS_UNROLL
        for (int q = 0; q < 2; q++) {
          int at = column + 8 * j + lane % 4 * 2 + q;
          float of_column = !p.bias_of_rows && at < finish_.columns() ? to_float(p.bias[at]) : 0;
          sum[4 * j + q] += p.bias_of_rows ? of_row[0] : of_column;
          sum[4 * j + 2 + q] += p.bias_of_rows ? of_row[1] : of_column;
        }
      }
    }
    if (p.relu) {
      GRADUS_UNROLL
      for (int i = 0; i < Config::kN / 2; i++) sum[i] = sum[i] <= 0 ? 0 : sum[i];  // NaN stays
    }
  }

  GRADUS_DEVICE void store_by_rows(float (&sum)[Config::kN / 2], const HopperUnit& unit, int row, int column) {
    if (row >= finish_.rows()) return;
    auto pieces = finish_.pieces(unit);
    int lane = int(threadIdx.x) % 32;
    int warp_line = int(threadIdx.x) % Config::kWarpgroup / 32 * 16;
    GRADUS_ROLLED
    for (int part = 0; part < Config::kN / 64; part++) {
      if (column + 64 * part >= finish_.columns()) break;
      __syncwarp();  // the rows of the part before were read before this one overwrites them
      GRADUS_UNROLL
      for (int i = 0; i < Config::kN / 64; i++) {  // one case is taken: registers have no index
        if (i == part) {
          stage_sums(shared_.box(consumer_, 0), sum, 2 * i);
          stage_sums(shared_.box(consumer_, 1), sum, 2 * i + 1);
        }
      }
      __syncwarp();  // the warp's rows are complete before lanes read sums of others
      if constexpr (Finish::kColumnStatistics) pieces.begin_columns();
      GRADUS_ROLLED
      for (int piece = lane; piece < 16 * 8; piece += 32) {
        int line = warp_line + piece / 8, eighth = piece % 8;  // of a row of 64 columns
        const unsigned char* box = shared_.box(consumer_, eighth / 4);
        float values[kRowPiece];
        GRADUS_UNROLL
        for (int half = 0; half < 2; half++) {
          auto pack = load_pack<float, 4>(reinterpret_cast<const float*>(box + box_chunk(line, eighth % 4 * 2 + half)));
          GRADUS_UNROLL
          for (int q = 0; q < 4; q++) values[4 * half + q] = pack.value[q];
        }
        pieces(row + line, column + 64 * part + 8 * eighth, values);
      }
      if constexpr (Finish::kColumnStatistics) {
        pieces.end_columns(shared_.box(consumer_, 0), kConsumerBarrier + consumer_, row, column + 64 * part);
      }
    }
  }

  const HopperShared<Config> shared_;
  const Finish& finish_;
  const tensor_map& map_c_;
  bool by_tma_;
  int consumer_;
  int next_;  // box
};

}  // namespace gradus

#endif
