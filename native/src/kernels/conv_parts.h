// What conv.cu asks of the files that hold the products: conv_half.cu, conv_tf32.cu, conv_simt.cu.
#pragma once

#include "kernels/conv_geometry.h"

namespace gradus::conv {

// Tiles of 128 x 128, 128 x 64 and 64 x 64.
enum class Tile { large, tall, small };
constexpr int tile_rows(Tile tile) { return tile == Tile::small ? 64 : 128; }

// How elements come to shared memory: 16 bytes; four elements of 16 bits; one element.
enum class Access { whole, quarter, element };

// Where a forward product leaves the statistics of its tiles: [row tile][2][channels], mean and sum of squared differences from
// it. Null for none.
template <class Acc>
struct PartialStatistics {
  Acc* partial;
  int channels;
};

// How the image is normalised before it is multiplied, as gr_conv says. Aligned to 16 bytes, channels a multiple of 8.
struct ImageNorm {
  const float* vectors;  // [3, channels]: mean, scale, shift
  uint8_t* mask;         // a bit for each element, or null
  int channels, pixels;
};

// A product whose image is normalised; see conv_hopper_prologue.h.
template <class Problem>
struct Normalised : Problem {
  ImageNorm norm;
};
template <class Problem>
constexpr bool kIsNormalised = false;
template <class Problem>
constexpr bool kIsNormalised<Normalised<Problem>> = true;

struct Grid {
  int64_t rows, columns, z;  // of the products
  Tile tile;
  Access access;
  stream_t stream;
};

template <class Problem>
int launch_half(const Problem& problem, const Grid& grid, PartialStatistics<typename Problem::Acc> statistics);
template <Multiply kKind, class Problem>
int launch_tf32(const Problem& problem, const Grid& grid, PartialStatistics<typename Problem::Acc> statistics);
template <class Problem>
int launch_exact(const Problem& problem, const Grid& grid, PartialStatistics<typename Problem::Acc> statistics);

}  // namespace gradus::conv
