// Products of tiles in shared memory by ordinary arithmetic, for the attention of float32 and float64, and of 16-bit types whose
// rows do not suit the tensor cores.
//
// A block of 256 threads is a square of 16 x 16. It holds a matrix [16 R, 64] with R x 4 elements a thread, thread (y, x) those
// of rows R y... and columns 4 x..., and results [16 R, Width] with R rows and the columns 64 c + 4 x... of each c. What is
// staged in shared memory is in the accumulator's type, so that an inner loop is two vector loads and 4 R multiply-adds.
#pragma once

#include "device/block.h"
#include "device/vector.h"
#include "kernels/attention_shape.h"

namespace gradus {

constexpr int kSimtThreads = 256;
constexpr int kSimtColumns = 64;  // of a matrix
constexpr int kSimtDepth = 32;    // of dim, or of Width, that is staged at a time
constexpr int kSimtKeys = 16;     // rows that are staged at a time where they are summed over

// Elements (d, row) of a transposed tile of Rows rows, in granules of G rows that are permuted by d / 4: threads that stage it
// write, and threads that multiply it read, without bank conflicts.
template <int Rows, int G>
GRADUS_DEVICE int simt_offset(int d, int row) {
  return d * Rows + ((row / G) ^ (d / 4 % 16)) * G + row % G;
}

// A thread's coordinates.
struct SimtThread {
  int x, y;

  GRADUS_DEVICE SimtThread() : x(int(threadIdx.x) % 16), y(int(threadIdx.x) / 16) {}
};

// Four elements of a row from d on, 0 from dim on.
template <class A, class T>
GRADUS_DEVICE void simt_load_four(A (&to)[4], const T* row, int d, int dim, bool aligned) {
  constexpr int kPart = sizeof(T) == 8 ? 2 : 4;  // one access of at most 16 bytes
  if (aligned && d + 4 <= dim) {
    GRADUS_UNROLL
    for (int i = 0; i < 4; i += kPart) {
      auto part = load_pack<T, kPart>(row + d + i);
      GRADUS_UNROLL
      for (int j = 0; j < kPart; j++) to[i + j] = to_float(part.value[j]);
    }
  } else {
    GRADUS_UNROLL
    for (int i = 0; i < 4; i++) to[i] = d + i < dim ? A(to_float(row[d + i])) : A(0);
  }
}

// Columns [d0, d0 + kSimtDepth) of rows first... of a matrix, transposed; 0 outside of the matrix.
template <int Rows, int G, class A, class T>
GRADUS_DEVICE void simt_stage_transposed(A* tile, const MatrixView<const T>& matrix, int first, int d0, bool aligned) {
  for (int i = int(threadIdx.x); i < Rows * kSimtDepth / 4; i += kSimtThreads) {
    int d = i % (kSimtDepth / 4) * 4, row = i / (kSimtDepth / 4);
    A four[4] = {};
    if (first + row < matrix.rows) simt_load_four(four, matrix.row(first + row), d0 + d, matrix.columns, aligned);
    GRADUS_UNROLL
    for (int j = 0; j < 4; j++) tile[simt_offset<Rows, G>(d + j, row)] = four[j];
  }
}

// The products of one pair of staged tiles, added.
template <int R, class A>
GRADUS_DEVICE void simt_multiply(A (&s)[R][4], const A* rows, const A* columns, int depth) {
  SimtThread at;
  GRADUS_UNROLL
  for (int d = 0; d < kSimtDepth; d++) {
    if (d % 4 == 0 && d >= depth) break;
    auto a = load_pack<A, R>(rows + simt_offset<16 * R, R>(d, at.y * R));
    auto b = load_pack<A, 4>(columns + simt_offset<kSimtColumns, 4>(d, at.x * 4));
    GRADUS_UNROLL
    for (int i = 0; i < R; i++) {
      GRADUS_UNROLL
      for (int j = 0; j < 4; j++) s[i][j] += a.value[i] * b.value[j];
    }
  }
}

// s = X Y^T, rows x_first... of x the rows of the block, rows y_first... of y its columns. stage: (16 R + 64) kSimtDepth
// elements. Enters and leaves with the stage free to be overwritten.
template <int R, class A, class T>
GRADUS_DEVICE void simt_product(A (&s)[R][4], A* stage, const MatrixView<const T>& x, int x_first, const MatrixView<const T>& y,
                                int y_first, bool aligned) {
  A* columns = stage + 16 * R * kSimtDepth;
  for (int d = 0; d < x.columns; d += kSimtDepth) {
    simt_stage_transposed<16 * R, R>(stage, x, x_first, d, aligned);
    simt_stage_transposed<kSimtColumns, 4>(columns, y, y_first, d, aligned);
    __syncthreads();  // both tiles are complete before they are read
    simt_multiply<R>(s, stage, columns, x.columns - d);
    __syncthreads();  // the tiles were read before the next ones overwrite them
  }
}

// Puts the block's matrix where simt_accumulate reads it: transposed.
template <int R, class A>
GRADUS_DEVICE void simt_publish(A* matrix, const A (&s)[R][4]) {
  SimtThread at;
  GRADUS_UNROLL
  for (int j = 0; j < 4; j++) {
    Pack<A, R> column;
    GRADUS_UNROLL
    for (int i = 0; i < R; i++) column.value[i] = s[i][j];
    store_pack(matrix + simt_offset<16 * R, R>(at.x * 4 + j, at.y * R), column);
  }
}

// sum += M Y, M the published matrix, Y rows first... of y. stage: kSimtKeys Width elements. Enters with the stage free and the
// matrix perhaps just written by other threads; leaves with both free to be overwritten.
template <int R, int Width, class A, class T>
GRADUS_DEVICE void simt_accumulate(A (&sum)[Width / 64][R][4], const A* matrix, A* stage, const MatrixView<const T>& y, int first,
                                   bool aligned) {
  SimtThread at;
  int width = (y.columns + 63) / 64 * 64;
  for (int k = 0; k < kSimtColumns && first + k < y.rows; k += kSimtKeys) {
    for (int i = int(threadIdx.x); i < kSimtKeys * width / 4; i += kSimtThreads) {
      int d = i % (width / 4) * 4, row = i / (width / 4);
      Pack<A, 4> four = {};
      if (first + k + row < y.rows) simt_load_four(four.value, y.row(first + k + row), d, y.columns, aligned);
      store_pack(stage + row * width + d, four);
    }
    __syncthreads();  // the rows, and before the first of them the matrix, are complete before they are read
    for (int row = 0; row < kSimtKeys; row++) {
      auto a = load_pack<A, R>(matrix + simt_offset<16 * R, R>(k + row, at.y * R));
      GRADUS_UNROLL
      for (int c = 0; c < Width / 64; c++) {
        if (c * 64 >= y.columns) break;
        auto b = load_pack<A, 4>(stage + row * width + c * 64 + at.x * 4);
        GRADUS_UNROLL
        for (int i = 0; i < R; i++) {
          GRADUS_UNROLL
          for (int j = 0; j < 4; j++) sum[c][i][j] += a.value[i] * b.value[j];
        }
      }
    }
    __syncthreads();  // the rows were read before the next ones, or the next matrix, overwrite them
  }
}

// Stores results times one factor for each of the thread's rows.
template <int R, int Width, class A, class T>
GRADUS_DEVICE void simt_store(const A (&sum)[Width / 64][R][4], const A (&factor)[R], const MatrixView<T>& matrix, int first) {
  SimtThread at;
  GRADUS_UNROLL
  for (int i = 0; i < R; i++) {
    int row = first + at.y * R + i;
    if (row >= matrix.rows) break;
    GRADUS_UNROLL
    for (int c = 0; c < Width / 64; c++) {
      GRADUS_UNROLL
      for (int j = 0; j < 4; j++) {
        int d = c * 64 + at.x * 4 + j;
        if (d < matrix.columns) matrix.row(row)[d] = from_accumulator<T>(sum[c][i][j] * factor[i]);
      }
    }
  }
}

// Over the 16 threads of a row.
template <class A, class F>
GRADUS_DEVICE A simt_row_reduce(A value, F combine) {
  GRADUS_UNROLL
  for (int distance = 8; distance > 0; distance /= 2) value = combine(value, __shfl_xor_sync(kFullWarp, value, distance));
  return value;
}

// R and Width by type: what keeps the sums of a thread in registers.
template <class T>
constexpr int kSimtRows = sizeof(T) == 8 ? 2 : 4;

// Elements of the staging memory: for two tiles of a product, or for the rows that are summed over.
template <class A, int Width>
constexpr int kSimtStage = std::max((16 * kSimtRows<A> + kSimtColumns) * kSimtDepth, kSimtKeys * Width);

// Calls f(integral constant) with the Width that serves dim.
template <class T, class F>
int with_simt_width(int64_t dim, F&& f) {
  if constexpr (sizeof(T) >= 4) {
    if (dim <= 64) return f(std::integral_constant<int, 64>{});
  }
  if constexpr (sizeof(T) == 4) {
    if (dim <= 128) return f(std::integral_constant<int, 128>{});
  }
  return f(std::integral_constant<int, 256>{});
}

}  // namespace gradus
