// The products of a convolution in the arithmetic of the type itself: float32 and float64 by fused multiply-add.
#include "kernels/conv_product.h"

namespace gradus::conv {
namespace {

// kTight: the loaders leave too few registers for the sums of the large tile.
template <bool kTight>
struct ExactTiles {
  using Tall = TileConfig<float, Multiply::simt, 128, 64, 16, 4, 2, 3, 2>;
  using Large = std::conditional_t<kTight, Tall, TileConfig<float, Multiply::simt, 128, 128, 16, 4, 2, 3, 2>>;
  using Small = TileConfig<float, Multiply::simt, 64, 64, 16, 2, 2, 3, 4>;
  using ByElements = Small;
};

// Gradients are checked in float64: that it is right suffices.
using DoubleTile = TileConfig<double, Multiply::simt, 64, 64, 8, 2, 2, 3>;

}  // namespace

template <class Problem>
int launch_exact(const Problem& problem, const Grid& grid, PartialStatistics<typename Problem::Acc> statistics) {
  if constexpr (std::is_same_v<typename Problem::Acc, double>) {
    return launch_tile<DoubleTile, 1, 1>(problem, grid, statistics);
  } else {
    return launch_tiles<ExactTiles<!Problem::kReadsImage>>(problem, grid, statistics);
  }
}

GRADUS_CONV_PRODUCTS(launch_exact, float);
GRADUS_CONV_PRODUCTS(launch_exact, double);

}  // namespace gradus::conv
