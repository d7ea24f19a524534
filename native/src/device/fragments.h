// Tiles of 16-bit elements in shared memory and the mma.sync fragments read from them.
//
// A tile is [rows][Width], its 16-byte pieces permuted within a row by the row's number, so that eight rows of one column of
// pieces lie in eight different groups of banks: ldmatrix and the copies are free of conflicts without padding.
#pragma once

#include "device/half.h"
#include "device/ptx/cp_async.h"
#include "device/ptx/matrix.h"
#include "device/ptx/mma.h"
#include "device/vector.h"
#include "device/warp.h"

namespace gradus {

// Rows of a matrix in global memory; the columns of a row are dense.
template <class T>
struct MatrixView {
  T* data;
  int64_t pitch;  // elements from row to row
  int rows, columns;

  GRADUS_DEVICE T* row(int i) const { return data + i * pitch; }
};

// Where piece `piece` (eight elements) of a row starts, in elements.
template <int Width>
GRADUS_DEVICE int tile_offset(int row, int piece) {
  static_assert(Width == 32 || Width % 64 == 0, "a row is half a line of banks, or whole lines");
  return Width == 32 ? row * Width + (piece ^ (row / 2 & 3)) * 8 : row * Width + (piece ^ (row & 7)) * 8;
}

// Starts copying rows first, first + 1... of a matrix into a tile of Rows rows; what lies outside of the matrix becomes 0.
// Columns, pitch and the address are multiples of eight elements. The caller commits.
template <int Width, int Rows, int Threads, class T>
GRADUS_DEVICE void tile_copy_async(T* tile, const MatrixView<const T>& matrix, int first) {
  constexpr int kPieces = Width / 8, kStep = Threads / kPieces;
  static_assert(Threads % kPieces == 0, "a thread stays in its column of pieces");
  int row0 = int(threadIdx.x) / kPieces, piece = int(threadIdx.x) % kPieces;
  bool column_inside = piece * 8 < matrix.columns;
  const T* from = matrix.row(first + row0) + piece * 8;
  int64_t step = kStep * matrix.pitch;
  GRADUS_UNROLL
  for (int row = 0; row < Rows; row += kStep) {
    if (Rows % kStep != 0 && row + row0 >= Rows) break;
    bool inside = column_inside && first + row + row0 < matrix.rows;
    ptx::cp_async<16>(tile + tile_offset<Width>(row + row0, piece), inside ? from : matrix.data, inside ? 16 : 0);
    from += step;
  }
}

// The address that a lane gives for matrices at a row and a piece, both even multiples of what a lane adds to them (8 and 1). The
// lane's part is computed once; a constant piece then costs one XOR, a constant row nothing.
template <int Width>
GRADUS_DEVICE int lane_offset(int lane_row, int lane_piece, int row, int piece) {
  constexpr int kLine = Width < 64 ? Width : 64;
  int at = piece * 8;
  return (tile_offset<Width>(lane_row, lane_piece) ^ (at & (kLine - 1))) + (at & ~(kLine - 1)) + row * Width;
}

// A of rows row to row + 15, columns 8 piece to 8 piece + 15.
template <int Width, class T>
GRADUS_DEVICE void load_fragment_a(uint32_t (&a)[4], const T* tile, int row, int piece, Site site = Site::here()) {
  int lane = lane_index();
  ptx::ldmatrix(a, tile + lane_offset<Width>(lane % 16, lane / 16, row, piece), site);
}

// Two B, of columns n to n + 7 and n + 8 to n + 15, k from 8 piece on: row n of the tile is column n of B.
template <int Width, class T>
GRADUS_DEVICE void load_fragments_b(uint32_t (&b)[2][2], const T* tile, int n, int piece, Site site = Site::here()) {
  int lane = lane_index();
  uint32_t f[4];
  ptx::ldmatrix(f, tile + lane_offset<Width>(lane % 8 + lane / 16 * 8, lane / 8 % 2, n, piece), site);
  for (int i = 0; i < 4; i++) b[i / 2][i % 2] = f[i];
}

// The same where row k of the tile is row k of B: k to k + 15, columns 8 piece to 8 piece + 15.
template <int Width, class T>
GRADUS_DEVICE void load_fragments_b_transposed(uint32_t (&b)[2][2], const T* tile, int k, int piece, Site site = Site::here()) {
  int lane = lane_index();
  uint32_t f[4];
  ptx::ldmatrix<4, true>(f, tile + lane_offset<Width>(lane % 16, lane / 16, k, piece), site);
  for (int i = 0; i < 4; i++) b[i / 2][i % 2] = f[i];
}

// Two numbers rounded to T, the first in the lower half.
template <class T>
GRADUS_DEVICE uint32_t pack_pair(float low, float high) {
#if GRADUS_EMULATED
  return uint32_t(from_float<T>(low).bits) | uint32_t(from_float<T>(high).bits) << 16;
#else
  uint32_t bits;
  if constexpr (std::is_same_v<T, bfloat16>) {
    __nv_bfloat162 pair = __floats2bfloat162_rn(low, high);
    memcpy(&bits, &pair, 4);
  } else {
    __half2 pair = __floats2half2_rn(low, high);
    memcpy(&bits, &pair, 4);
  }
  return bits;
#endif
}

// D of two neighbouring products, [16, 8] each, as the A of a product over their 16 columns: nothing moves between lanes.
template <class T>
GRADUS_DEVICE void pack_fragment_a(uint32_t (&a)[4], const float (&left)[4], const float (&right)[4]) {
  a[0] = pack_pair<T>(left[0], left[1]);
  a[1] = pack_pair<T>(left[2], left[3]);
  a[2] = pack_pair<T>(right[0], right[1]);
  a[3] = pack_pair<T>(right[2], right[3]);
}

// Writes D [16, Width], its rows g and g + 8 times factor[0] and factor[1], to rows first... of a matrix, by way of 16 rows of a
// tile that no other warp touches: whole 16-byte pieces instead of pairs.
template <int Width, class T>
GRADUS_DEVICE void store_fragments(const float (&d)[Width / 8][4], const float (&factor)[2], T* tile, const MatrixView<T>& matrix,
                                   int first) {
  int lane = lane_index();
  __syncwarp();  // the warp has read what the rows held before
  GRADUS_UNROLL
  for (int n = 0; n < Width / 8; n++) {
    GRADUS_UNROLL
    for (int half = 0; half < 2; half++) {
      uint32_t pair = pack_pair<T>(d[n][2 * half] * factor[half], d[n][2 * half + 1] * factor[half]);
      Pack<T, 2> elements;
      memcpy(&elements, &pair, 4);
      store_pack(tile + tile_offset<Width>(lane / 4 + 8 * half, n) + lane % 4 * 2, elements);
    }
  }
  __syncwarp();  // the rows are complete before they are read
  GRADUS_UNROLL
  for (int i = lane; i < 16 * (Width / 8); i += 32) {
    int row = i / (Width / 8), piece = i % (Width / 8);
    if (first + row < matrix.rows && piece * 8 < matrix.columns) {
      store_pack(matrix.row(first + row) + piece * 8, load_pack<T, 8>(tile + tile_offset<Width>(row, piece)));
    }
  }
}

}  // namespace gradus
