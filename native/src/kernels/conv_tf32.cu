// The products of a convolution of float32 on tensor cores: operands rounded to TF32, or split into two TF32 numbers.
#include "kernels/conv_product.h"

namespace gradus::conv {
namespace {

template <Multiply kKind>
struct FloatTiles {
  static constexpr bool kSplit = kKind == Multiply::tf32x3;
  using Large = TileConfig<float, kKind, 128, 128, 16, 2, 4, 4>;  // warps of 64 x 64 would leave the loader too few registers
  using Tall = TileConfig<float, kKind, 128, 64, 16, kSplit ? 4 : 2, 2, 4, 2>;
  using Small = TileConfig<float, kKind, 64, 64, 16, 2, 2, 4, 3>;
  using ByElements = Small;
};

}  // namespace

template <Multiply kKind, class Problem>
int launch_tf32(const Problem& problem, const Grid& grid, PartialStatistics<typename Problem::Acc> statistics) {
  return launch_tiles<FloatTiles<kKind>>(problem, grid, statistics);
}

GRADUS_CONV_PRODUCTS(launch_tf32<Multiply::tf32>, float);
GRADUS_CONV_PRODUCTS(launch_tf32<Multiply::tf32x3>, float);

}  // namespace gradus::conv
