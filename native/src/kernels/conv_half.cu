// The products of a convolution of 16-bit numbers, by mma.m16n8k16. Images of up to four channels, copied with four (see
// conv.cu), are read four elements at a time; other operands by whole chunks, or by elements where an address is not aligned.
#include "kernels/conv_product.h"

namespace gradus::conv {
namespace {

// kTight: the loader needs more registers.
template <class T, bool kTight>
struct HalfTiles {
  using Large = TileConfig<T, Multiply::tensor, 128, 128, 32, 2, 2, 4, 2>;
  using Tall = TileConfig<T, Multiply::tensor, 128, 64, 32, 2, 2, 4, kTight ? 2 : 3>;
  using Small = TileConfig<T, Multiply::tensor, 64, 64, 32, 2, 2, 4, 4>;
  using ByElements = TileConfig<T, Multiply::tensor, 64, 64, 32, 2, 2, 4, 2>;  // holds slices in registers
};

}  // namespace

template <class Problem>
int launch_half(const Problem& problem, const Grid& grid, PartialStatistics<typename Problem::Acc> statistics) {
  using T = typename Problem::Element;
  using Tiles = HalfTiles<T, !Problem::kReadsImage>;
  if constexpr (Problem::kReadsImage) {
    if (grid.access == Access::quarter) {
      constexpr int kAccessA = Problem::kSplits ? 8 : 4;
      if (grid.tile == Tile::small) return launch_tile<typename Tiles::Small, kAccessA, 4>(problem, grid, statistics);
      return launch_tile<typename HalfTiles<T, true>::Tall, kAccessA, 4>(problem, grid, statistics);
    }
  }
  return launch_tiles<Tiles>(problem, grid, statistics);
}

GRADUS_CONV_PRODUCTS(launch_half, bfloat16);
GRADUS_CONV_PRODUCTS(launch_half, float16);

}  // namespace gradus::conv
