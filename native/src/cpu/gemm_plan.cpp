#include "cpu/gemm.h"

namespace gradus::cpu {

namespace {

constexpr int64_t kPanelBytes = 20 << 10;    // of B, in L1
constexpr int64_t kBlockBytes = 160 << 10;   // of A, in L2 beside a panel of B and lines of C
constexpr int64_t kPackedBytes = 64 << 20;   // of A and B for all tasks, where there are several matrices
constexpr int64_t kTaskWork = 12 << 20;      // multiply-adds that are worth a task of their own
constexpr int64_t kSplitWork = 2 << 20;      // and a part of k: it has little to pack and to add
constexpr int64_t kTasks = 48;               // as many as are wanted where there is work for them
constexpr int64_t kInPlaceRows = 12;         // so few read B at most twice: packing it costs more than it gains
constexpr int64_t kInPlacePanels = 8;        // likewise of A, which is read where it lies once for every panel

int64_t parts(int64_t extent, int64_t size) { return std::max<int64_t>(1, (extent + size - 1) / size); }

}  // namespace

GemmPlan plan_gemm(const GemmShape& s, int element_bytes) {
  bool is_double = element_bytes == 8;
  int64_t rows = is_double ? GemmTile<double>::kRows : GemmTile<float>::kRows;
  int64_t columns = is_double ? GemmTile<double>::kColumns : GemmTile<float>::kColumns;
  GemmPlan p{};
  p.splits = 1;
  p.panels = parts(s.n, columns);
  int64_t work = s.batch * s.m * s.n * std::max<int64_t>(1, s.k);
  int64_t wanted = std::clamp<int64_t>(work / kTaskWork, 1, kTasks);

  int64_t depth = std::min<int64_t>(512, kPanelBytes / (columns * element_bytes));
  int64_t height = std::max<int64_t>(rows, kBlockBytes / (depth * element_bytes) / rows * rows);
  int64_t width = parts(512, columns);  // in panels

  // Long sums of few elements: parts of k in tasks of their own.
  int64_t tasks = s.batch * parts(s.m, height / 2) * parts(p.panels, width / 2);
  int64_t splits = std::min({work / kSplitWork / tasks, kTasks / tasks, s.k / (2 * depth)});
  if (tasks < 8 && splits > 1) {
    p.splits = splits;
    wanted = std::max<int64_t>(1, wanted / splits);
  }
  // Smaller blocks until there are tasks enough, but not below a quarter of the largest. Rows that fit into one block are not cut:
  // then no two tasks read the same columns of B.
  int64_t batch = s.batch * p.splits, k = parts(s.k, p.splits);
  bool one_block = s.m <= height;
  for (int step = 0; step < 4 && batch * parts(s.m, height) * parts(p.panels, width) < wanted; step++) {
    if (!one_block && step % 2 == 0) height = std::max(rows, height / 2 / rows * rows);
    else width = std::max<int64_t>(std::min<int64_t>(width, 4), width / 2);
  }
  p.row_blocks = parts(s.m, height);
  p.column_blocks = parts(p.panels, width);
  p.depth_blocks = parts(k, depth);
  p.bands = parts(s.m, rows);
  p.block_bands = parts(p.bands, p.row_blocks);
  p.block_panels = parts(p.panels, p.column_blocks);
  p.block_depth = parts(k, p.depth_blocks);
  p.in_place = s.m <= kInPlaceRows;
  p.rows_in_place = p.panels <= kInPlacePanels;
  int64_t packed_bytes = p.panels * columns * std::max<int64_t>(1, k) * element_bytes;
  if (p.column_blocks > 1) packed_bytes += p.bands * rows * std::max<int64_t>(1, k) * element_bytes;
  if (p.row_blocks > 1) p.group = std::clamp<int64_t>(kPackedBytes / packed_bytes, 1, batch);
  return p;
}

}  // namespace gradus::cpu
