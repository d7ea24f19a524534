// Matrix products on all threads, C = op(A) op(B) for each of a batch. Where the operands come from and what becomes of C is given
// by three objects, so that a convolution or an attention can gather its operands while they are packed and finish tiles of its
// result while they are in the cache. All of them are called from several threads at once. A is float or double.
//
//   Left:  void pack_rows(int64_t batch, int64_t row, int rows, int64_t k, int64_t depth, A* out) const
//          out[l][i] = op(A)[row + i][k + l], rows to a row of out. rows <= GemmTile<A>::kRows; out has room for a vector more.
//          const A* rows_in_place(int64_t batch, int64_t row, int64_t k, int64_t* pitch) const
//          where op(A) lies in memory as type A, row-major, and its distance of rows; null where it does not.
//   Right: void pack_columns(int64_t batch, int64_t column, int columns, int64_t k, int64_t depth, A* out) const
//          out[l][j] = op(B)[k + l][column + j], GemmTile<A>::kColumns to a row of out, zeros from `columns` on.
//          const A* in_place(int64_t batch, int64_t k, int64_t column, int64_t* pitch) const
//          where op(B) lies in memory as type A, row-major, and its distance of rows; null where it does not.
//   Both:  int64_t pack_depth() const
//          at most so many steps of k are asked for at a time, of several panels in turn: few where op(A) or op(B) is gathered from
//          lines of memory that several panels share.
//   Result: void operator()(int64_t batch, int64_t row, int64_t column, int rows, int columns, const A* tile, int64_t pitch) const
//          takes finished elements of C, once each.
//          GemmTarget<A> target(int64_t batch) const
//          where C is a plain matrix of type A to be stored or added to: there elements go straight, and sums of parts of k are
//          kept there. Else a null address.
//
// GemmMatrix (gemm_pack.h) is a Left and a Right, GemmStore a Result for plain matrices.
//
// The order of work is that of Goto: so many rows of A as the L2 cache takes, columns of B as wide as a tile and as deep as the L1
// cache takes (gemm_plan.cpp). B is packed once by all threads where several blocks of rows read it, else by the task that does; A
// likewise where several blocks of columns read it.
// The order of each sum, and what a task computes, depends on the sizes alone.
// Source: Goto, van de Geijn, "Anatomy of high-performance matrix multiplication", ACM TOMS, 2008.
#pragma once

#include <algorithm>

#include "cpu/gemm_pack.h"
#include "cpu/parallel.h"
#include "cpu/workspace.h"
#include "gradus/abi.h"

namespace gradus::cpu {

struct GemmShape {
  int64_t batch, m, n, k;
};

template <class A>
struct GemmTarget {
  A* data;
  int64_t pitch;
  bool add;
};

// A dense or pitched matrix of the computed type.
template <class A>
struct GemmStore {
  A* data;
  int64_t stride, pitch;
  bool add;

  GemmTarget<A> target(int64_t batch) const { return {data + batch * stride, pitch, add}; }
  void operator()(int64_t batch, int64_t row, int64_t column, int rows, int columns, const A* tile, int64_t tile_pitch) const {
    A* to = data + batch * stride + row * pitch + column;
    for (int i = 0; i < rows; i++, to += pitch, tile += tile_pitch) {
      for (int j = 0; j < columns; j++) to[j] = add ? to[j] + tile[j] : tile[j];
    }
  }
};

// How a product is cut. Blocks are even parts: block i of n begins at extent * i / n; blocks of rows are parts of the bands, and
// bands, of a tile's rows at most, parts of the rows.
struct GemmPlan {
  int64_t row_blocks, column_blocks, depth_blocks;  // of one matrix
  int64_t bands;        // of tile rows, in a matrix
  int64_t panels;       // of tile columns, in a matrix
  int64_t block_panels;  // at most, in a block of columns
  int64_t block_bands, block_depth;  // at most
  int64_t splits;       // parts of k in tasks of their own
  int64_t group;        // matrices that are packed at a time, B and where several tasks read it A; 0: tasks pack their own
  bool in_place;        // B is read where it lies, if it can be
  bool rows_in_place;   // A is
};
GemmPlan plan_gemm(const GemmShape& shape, int element_bytes);

inline int64_t part_begin(int64_t extent, int64_t i, int64_t parts) { return extent * i / parts; }

namespace gemm_detail {

struct PackedA;
struct PackedAOfAll;
struct PackedB;
struct PackedBOfAll;
struct PartialTiles;
struct Splits;

// One of `splits` parts of k of an operand: matrix b of the longer batch is part b % splits of matrix b / splits.
template <class A, class Operand>
struct SplitOperand {
  const Operand& whole;
  int64_t splits, k_whole, k_part;

  void pack_rows(int64_t batch, int64_t row, int rows, int64_t k, int64_t depth, A* out) const {
    int64_t at = batch % splits * k_part + k, some = std::clamp<int64_t>(k_whole - at, 0, depth);
    whole.pack_rows(batch / splits, row, rows, at, some, out);
    std::fill(out + some * rows, out + depth * rows, A(0));
  }
  void pack_columns(int64_t batch, int64_t column, int columns, int64_t k, int64_t depth, A* out) const {
    int64_t at = batch % splits * k_part + k, some = std::clamp<int64_t>(k_whole - at, 0, depth);
    whole.pack_columns(batch / splits, column, columns, at, some, out);
    std::fill(out + some * GemmTile<A>::kColumns, out + depth * GemmTile<A>::kColumns, A(0));
  }
  const A* rows_in_place(int64_t, int64_t, int64_t, int64_t*) const { return nullptr; }
  const A* in_place(int64_t, int64_t, int64_t, int64_t*) const { return nullptr; }
  int64_t pack_depth() const { return whole.pack_depth(); }
};

// Panels of B that are packed together.
constexpr int64_t kGroupPanels = 8;

// A block of rows as bands of a tile's rows at most, whose heights differ by one at most.
template <class A>
struct RowBlock {
  int64_t bands, row, rows;

  // Rows [row, row + rows) by themselves.
  RowBlock(int64_t row, int64_t rows)
      : bands((rows + GemmTile<A>::kRows - 1) / GemmTile<A>::kRows), row(row), rows(rows), m(rows), all_bands(bands) {}

  // Some of a matrix's bands.
  RowBlock(const GemmShape& s, const GemmPlan& plan, int64_t block) : m(s.m), all_bands(plan.bands) {
    first_band = part_begin(all_bands, block, plan.row_blocks);
    bands = part_begin(all_bands, block + 1, plan.row_blocks) - first_band;
    row = first_row = part_begin(m, first_band, all_bands);
    rows = begin(bands);
  }

  int64_t begin(int64_t band) const { return part_begin(m, first_band + band, all_bands) - first_row; }  // of the block's rows
  int height(int64_t band) const { return int(begin(band + 1) - begin(band)); }
  // Where a band lies within the packed block of such a depth: there is room for a vector between two.
  int64_t place(int64_t band, int64_t depth) const { return begin(band) * depth + band * lanes_of<A>; }

 private:
  int64_t m, all_bands, first_band = 0, first_row = 0;
};

// Elements of a packed block of rows.
template <class A>
int64_t packed_rows(const GemmPlan& plan) {
  return plan.block_bands * (GemmTile<A>::kRows * plan.block_depth + lanes_of<A>);
}

template <class A, class Left>
void pack_bands(const Left& left, int64_t batch, const RowBlock<A>& block, int64_t k, int64_t depth, A* a) {
  for (int64_t l = 0, step = left.pack_depth(); l < depth; l += step) {
    int64_t some = std::min(step, depth - l);
    for (int64_t band = 0; band < block.bands; band++) {
      int height = block.height(band);
      left.pack_rows(batch, block.row + block.begin(band), height, k + l, some, a + block.place(band, depth) + l * height);
    }
  }
}

// Panels [panel, panel + panels) of n columns, each depth rows.
template <class A, class Right>
void pack_panels(const Right& right, int64_t batch, int64_t panel, int64_t panels, int64_t n, int64_t k, int64_t depth, A* out) {
  constexpr int kColumns = GemmTile<A>::kColumns;
  for (int64_t l = 0, step = right.pack_depth(); l < depth; l += step) {
    int64_t some = std::min(step, depth - l);
    for (int64_t p = 0; p < panels; p++) {
      int64_t column = (panel + p) * kColumns;
      int columns = int(std::min<int64_t>(kColumns, n - column));
      right.pack_columns(batch, column, columns, k + l, some, out + (p * depth + l) * kColumns);
    }
  }
}

// One block of rows times one block of columns. packed_a, packed_b: what was packed of the matrices for all tasks, or null.
template <class A, class Left, class Right, class Result>
void compute_block(const GemmShape& s, const GemmPlan& plan, const Left& left, const Right& right, const Result& result,
                   int64_t batch, int64_t row_block, int64_t column_block, const A* packed_a, const A* packed_b) {
  using Tile = GemmTile<A>;
  constexpr int kColumns = Tile::kColumns, kTile = Tile::kRows * kColumns;
  const RowBlock<A> block(s, plan, row_block);
  int64_t panel = part_begin(plan.panels, column_block, plan.column_blocks);
  int64_t panels = part_begin(plan.panels, column_block + 1, plan.column_blocks) - panel;
  auto target = result.target(batch);
  bool keeps_tiles = target.data == nullptr && plan.depth_blocks > 1;
  A* own_a = packed_a != nullptr ? nullptr : workspace<PackedA, A>(packed_rows<A>(plan));
  A* own = packed_b != nullptr ? nullptr : workspace<PackedB, A>(kGroupPanels * kColumns * plan.block_depth);
  A* tiles = keeps_tiles ? workspace<PartialTiles, A>(plan.block_panels * plan.block_bands * kTile) : nullptr;
  alignas(64) A edge[kTile];

  for (int64_t d = 0; d < plan.depth_blocks; d++) {
    int64_t k = part_begin(s.k, d, plan.depth_blocks), depth = part_begin(s.k, d + 1, plan.depth_blocks) - k;
    bool last = d + 1 == plan.depth_blocks;
    const A* a = packed_a == nullptr ? own_a : packed_a + (row_block * plan.depth_blocks + d) * packed_rows<A>(plan);
    int64_t a_pitch = 0;
    const A* rows = plan.rows_in_place ? left.rows_in_place(batch, block.row, k, &a_pitch) : nullptr;
    if (packed_a == nullptr && rows == nullptr) pack_bands(left, batch, block, k, depth, own_a);
    for (int64_t p = 0; p < panels; p++) {
      int64_t column = (panel + p) * kColumns;
      int columns = int(std::min<int64_t>(kColumns, s.n - column));
      int vectors = columns > lanes_of<A> ? 2 : 1;
      int64_t b_pitch = kColumns;
      const A* b = nullptr;
      if (packed_b != nullptr) {
        b = packed_b + ((panel + p) * s.k + k) * kColumns;
      } else if (plan.in_place && columns == kColumns) {
        b = right.in_place(batch, k, column, &b_pitch);
      }
      if (b == nullptr) {
        b_pitch = kColumns;
        int64_t within = plan.in_place ? 0 : p % kGroupPanels;
        if (within == 0) {
          int64_t together = plan.in_place ? 1 : std::min(kGroupPanels, panels - p);
          pack_panels(right, batch, panel + p, together, s.n, k, depth, own);
        }
        b = own + within * depth * kColumns;
      }
      for (int64_t band = 0; band < block.bands; band++) {
        int64_t first = block.begin(band), row = block.row + first;
        int height = block.height(band);
        GemmKernel<A> kernel = gemm_kernel<A>(height, vectors, rows == nullptr);
        const A* strip = rows != nullptr ? rows + first * a_pitch : a + block.place(band, depth);
        const int64_t strip_pitch = rows != nullptr ? a_pitch : height;
        if (target.data != nullptr) {
          A* c = target.data + row * target.pitch + column;
          bool add = target.add || d > 0;
          if (columns == vectors * lanes_of<A>) {
            kernel(depth, strip, strip_pitch, b, b_pitch, c, target.pitch, add);
          } else {
            kernel(depth, strip, strip_pitch, b, b_pitch, edge, kColumns, false);
            for (int i = 0; i < height; i++) {
              for (int j = 0; j < columns; j++) {
                A& to = c[i * target.pitch + j];
                to = add ? to + edge[i * kColumns + j] : edge[i * kColumns + j];
              }
            }
          }
        } else {
          A* tile = keeps_tiles ? tiles + (p * block.rows + first) * kColumns : edge;
          kernel(depth, strip, strip_pitch, b, b_pitch, tile, kColumns, d > 0);
          if (last) result(batch, row, column, height, columns, tile, kColumns);
        }
      }
    }
  }
}

template <class A, class Left, class Right, class Result>
int run(const GemmShape& s, const GemmPlan& plan, const Left& left, const Right& right, const Result& result) {
  constexpr int kColumns = GemmTile<A>::kColumns;
  int64_t blocks = plan.row_blocks * plan.column_blocks;
  if (plan.group == 0) {
    parallel_chunks(s.batch * blocks, [&](int64_t i) {
      int64_t within = i % blocks;
      compute_block<A>(s, plan, left, right, result, i / blocks, within / plan.column_blocks, within % plan.column_blocks,
                       static_cast<const A*>(nullptr), static_cast<const A*>(nullptr));
    });
    return GR_OK;
  }
  int64_t matrix = plan.panels * kColumns * s.k, block_a = packed_rows<A>(plan), matrix_a = 0;
  if (plan.column_blocks > 1) matrix_a = plan.row_blocks * plan.depth_blocks * block_a;
  A* packed = workspace<PackedBOfAll, A>(plan.group * matrix);
  A* packed_a = matrix_a == 0 ? nullptr : workspace<PackedAOfAll, A>(plan.group * matrix_a);
  if (packed == nullptr || (matrix_a != 0 && packed_a == nullptr)) return GR_OUT_OF_MEMORY;
  for (int64_t from = 0; from < s.batch; from += plan.group) {
    int64_t matrices = std::min(plan.group, s.batch - from);
    int64_t groups = (plan.panels + kGroupPanels - 1) / kGroupPanels;
    parallel_chunks(matrices * groups, [&](int64_t i) {
      int64_t panel = i % groups * kGroupPanels;
      pack_panels(right, from + i / groups, panel, std::min(kGroupPanels, plan.panels - panel), s.n, 0, s.k,
                  packed + i / groups * matrix + panel * kColumns * s.k);
    });
    if (packed_a != nullptr) {
      parallel_chunks(matrices * plan.row_blocks, [&](int64_t i) {
        const RowBlock<A> block(s, plan, i % plan.row_blocks);
        A* to = packed_a + i * plan.depth_blocks * block_a;
        for (int64_t d = 0; d < plan.depth_blocks; d++, to += block_a) {
          int64_t k = part_begin(s.k, d, plan.depth_blocks);
          pack_bands(left, from + i / plan.row_blocks, block, k, part_begin(s.k, d + 1, plan.depth_blocks) - k, to);
        }
      });
    }
    parallel_chunks(matrices * blocks, [&](int64_t i) {
      int64_t within = i % blocks;
      compute_block<A>(s, plan, left, right, result, from + i / blocks, within / plan.column_blocks,
                       within % plan.column_blocks, packed_a == nullptr ? packed_a : packed_a + i / blocks * matrix_a,
                       packed + i / blocks * matrix);
    });
  }
  return GR_OK;
}

// Adds the parts of k in their order.
template <class A, class Result>
void add_splits(const GemmShape& s, int64_t splits, const A* parts, const Result& result) {
  using Tile = GemmTile<A>;
  constexpr int kWide = 8 * Tile::kColumns;
  int64_t across = (s.n + kWide - 1) / kWide, matrix = s.m * s.n;
  parallel_for(s.batch * s.m * across, 8, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; i++) {
      int64_t column = i % across * kWide, row = i / across % s.m, batch = i / across / s.m;
      int columns = int(std::min<int64_t>(kWide, s.n - column));
      alignas(64) A sum[kWide];
      const A* from = parts + batch * splits * matrix + row * s.n + column;
      for (int j = 0; j < columns; j++) sum[j] = from[j];
      for (int64_t part = 1; part < splits; part++) {
        from += matrix;
        for (int j = 0; j < columns; j++) sum[j] += from[j];
      }
      result(batch, row, column, 1, columns, sum, kWide);
    }
  });
}

}  // namespace gemm_detail

// GR_OK, or GR_OUT_OF_MEMORY with nothing done.
template <class A, class Left, class Right, class Result>
int gemm(const GemmShape& s, const Left& left, const Right& right, const Result& result) {
  using namespace gemm_detail;
  if (s.batch == 0 || s.m == 0 || s.n == 0) return GR_OK;
  GemmPlan plan = plan_gemm(s, int(sizeof(A)));
  if (plan.splits == 1) return run<A>(s, plan, left, right, result);
  A* parts = workspace<Splits, A>(s.batch * plan.splits * s.m * s.n);
  if (parts == nullptr) return GR_OUT_OF_MEMORY;
  int64_t k_part = (s.k + plan.splits - 1) / plan.splits;
  GemmShape longer{s.batch * plan.splits, s.m, s.n, k_part};
  SplitOperand<A, Left> split_left{left, plan.splits, s.k, k_part};
  SplitOperand<A, Right> split_right{right, plan.splits, s.k, k_part};
  int status = run<A>(longer, plan, split_left, split_right, GemmStore<A>{parts, s.m * s.n, s.n, false});
  if (status == GR_OK) add_splits(s, plan.splits, static_cast<const A*>(parts), result);
  return status;
}

}  // namespace gradus::cpu
