// The sizes of a tiled product, and where a slice of an operand lies in shared memory; see mma_pipeline.h.
#pragma once

#include "device/half.h"
#include "device/vector.h"

namespace gradus {

enum class Multiply { simt, tensor, tf32, tf32x3 };

// Which index of a stored operand is contiguous: the one that is summed over, or the other.
enum class Major { k, mn };

// M x N tile in WarpsM x WarpsN warps, K in slices of Depth, Stages slices in flight or in use. Blocks: wanted a multiprocessor.
template <class T, Multiply Kind, int M, int N, int Depth, int WarpsM, int WarpsN, int Stages, int Blocks = 1>
struct TileConfig {
  using Element = T;
  using Accumulator = accumulator_t<T>;
  static constexpr Multiply kKind = Kind;
  static constexpr int kM = M, kN = N, kDepth = Depth, kStages = Stages, kBlocks = Blocks;
  static constexpr int kWarpsM = WarpsM, kWarpsN = WarpsN, kThreads = 32 * WarpsM * WarpsN;
  static constexpr int kWarpM = M / WarpsM, kWarpN = N / WarpsN;
  static_assert(M % WarpsM == 0 && N % WarpsN == 0, "warps share the tile evenly");
  static_assert(kWarpM % 16 == 0 && kWarpN % 32 == 0, "a warp tile is of whole fragments, its rows of whole lanes");
  static_assert((kWarpM & (kWarpM - 1)) == 0 && (kWarpN & (kWarpN - 1)) == 0, "warp tiles are powers of two");
  static_assert(Stages >= 2, "one slice is multiplied while another arrives");
};

// Where the elements of one operand's slice lie in a stage.
template <class T, Multiply Kind, Major kMajor_, int Extent, int Depth>
struct StageLayout {
  using Element = T;
  static constexpr Major kMajor = kMajor_;
  static constexpr int kExtent = Extent, kDepth = Depth, kElements = Extent * Depth;
  static constexpr int kVector = kPackSize<T>;  // elements of a chunk
  static constexpr int kLines = kMajor == Major::k ? Extent : Depth;
  static constexpr int kLineElements = kMajor == Major::k ? Depth : Extent;
  static constexpr int kChunks = kLineElements / kVector;  // of a line
  static_assert(kChunks >= 4 && (kChunks & (kChunks - 1)) == 0, "lines of 64, 128, ... bytes");
  static_assert(sizeof(T) == 2 || Kind == Multiply::simt || kMajor == Major::k || kChunks >= 8, "tf32 is swizzled over 8 chunks");

  // The swizzle of a line is a number of chunks: chunk `index` lies where chunk index ^ swizzle(line) would. It repeats after
  // kPeriod lines.
  static constexpr int kWindow = Kind == Multiply::simt ? 4 : kChunks < 8 ? kChunks : 8;
  static constexpr int kPeriod = Kind == Multiply::simt ? 4 * kVector : 8;
  static GRADUS_DEVICE int swizzle(int line) {
    if constexpr (Kind == Multiply::simt) {  // lanes read lines kVector apart, or neighbouring chunks of one line
      return kMajor == Major::k ? int(unsigned(line) / kVector % kWindow) : 0;
    } else if constexpr (sizeof(T) == 4 && kMajor == Major::mn) {  // lanes read words: 4 lines, 8 neighbours of each
      return int(unsigned(line) % 4 * 2);
    } else {  // ldmatrix reads one chunk of 8 lines
      return int(unsigned(line) / (8 / kWindow) % kWindow);
    }
  }
  // Offset in elements of a chunk.
  static GRADUS_DEVICE int chunk(int line, int index) { return line * kLineElements + (index ^ swizzle(line)) * kVector; }
  // Offset in elements of element `at` of a line.
  static GRADUS_DEVICE int element(int line, int at) { return chunk(line, at / kVector) + at % kVector; }
};

}  // namespace gradus
