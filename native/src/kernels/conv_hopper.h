// The products of a convolution on Hopper's tensor cores: the blocks of matmul_hopper_block.h, with patches that
// TMA gathers by im2col maps in the place of a matrix. Nothing is copied to make the matrix of patches.
//
//   forward          rows are pixels of y, columns o, K (tap, channel):       A patches of x       B weights, along K
//   backward input   rows are pixels of gradX, columns channels, K (tap, o):  A patches of gradY   B weights, columns contiguous
//   backward weight  rows are o, columns (tap, channel), K pixels:            A gradY              B patches of x, in parts of K
//
// float32 is multiplied as tf32 or 3xTF32 (matmul_hopper_prepare.h), whose operands must lie along K: backward input therefore
// reads weights that conv_transpose_kernel has transposed before. That is 8 bytes a weight and a launch: for 3x3 from 256 channels
// to 256, of 128 images of 14x14, 5 MB and about 3 us beside some 100 us. Transposing them in shared memory instead, each tile its
// own copy, would bound the product to 0.6 of the tensor cores' rate. Backward weight would have both operands to transpose there,
// which leaves 0.45 of it, no more than the portable kernel reaches: tf32 keeps that. 3xTF32, which rewrites its operands anyhow,
// multiplies each thrice, so that it pays. These are estimates: nothing of it has been measured.
//
// Backward input is the forward product with the taps turned around; with a stride, one such product for each residue class of
// conv_geometry.h, without a multiplication by inserted zeros, stored in rows as classes are not contiguous.
//
// Traffic: as matmul_hopper.h; a pixel of an image comes once per tap and tile of columns, from the L2 cache but for the first
// time. Channels are multiplied in boxes of 128 bytes: with half of that, half of the multiplications are by zeros.
//
// Sums: in the order of taps as TMA walks them, channels within; of pixels for weights, whose parts are added in order by
// conv_splits_kernel. Statistics: each warpgroup merges its 64 rows in registers and shared memory, conv_statistics_merge_kernel
// all of those.
//
// Kernels: the three products in the tiles of kHopperTiles that prepare nothing, 128 x 256, 128 x 128 and 64 x 64, for both 16-bit
// types: 18, of which a network with 64 to 512 channels uses all, and those that read x once more with its normalisation as a
// prologue (conv_hopper_prologue.h): 12; forward and backward input in the same tiles for tf32: 6; the three products in those that
// prepare, 128 x 128 and 128 x 64, for 3xTF32: 6.
//
// Hazards, beside those of matmul_hopper_epilogue.h
//   statistics overwrite rows that a lane still reads, or are merged before they are written, or overwritten before they were
//   merged: __syncwarp before, a barrier of the warpgroup on either side of the merge
#pragma once

#include "kernels/conv_hopper_loads.h"
#include "kernels/conv_hopper_plan.h"
#include "kernels/conv_hopper_prologue.h"
#include "kernels/conv_rows.h"
#include "kernels/matmul_hopper_block.h"

namespace gradus::conv {

template <class Problem>
struct HopperConv {
  Problem problem;
  HopperOrder order;
  HopperPatches patches;
  PartialStatistics<float> statistics;  // of 64 rows each
  bool by_tma;  // whether TMA writes the result; see HopperEpilogue
};

// The operands of each product.
template <class Config, class Problem>
struct HopperLayout;

#if GRADUS_SM90A

template <class Config, class Problem>
using HopperLoads = std::conditional_t<Problem::kSplits, TapLoads<Config>, PixelLoads<Config, HopperLayout<Config, Problem>::kMajorB>>;

// Eight columns of a row at a time, and the statistics of 64 columns over 64 rows.
template <class Problem>
class HopperPieces : public PieceSink<Problem> {
 public:
  GRADUS_DEVICE HopperPieces(const HopperConv<Problem>& conv, int z)
      : PieceSink<Problem>(conv.problem, z, Problem::kStatistics && conv.statistics.partial != nullptr), conv_(conv) {}

  GRADUS_DEVICE void begin_columns() { this->begin(); }

  // `memory`: 64 lines of 128 bytes, of which 16 are each warp's own.
  GRADUS_DEVICE void end_columns(unsigned char* memory, int barrier, int row, int column) const {
    constexpr int kWarpgroup = 128, kRowLanes = 8, kWarpBytes = 16 * 128;
    if (!this->statistics_) return;
    int thread = int(threadIdx.x) % kWarpgroup, lane = thread % 32;
    Moments<float> mine[kRowPiece];
    this->template merge_warp<kRowLanes>(mine);
    __syncwarp();  // every lane has read its rows before statistics overwrite them
    if (lane < kRowLanes) {
      auto to = reinterpret_cast<float*>(memory + thread / 32 * kWarpBytes) + lane * kRowPiece * 2;
      GRADUS_UNROLL
      for (int i = 0; i < kRowPiece; i += 2) {
        store_pack(to + 2 * i, Pack<float, 4>{{mine[i].mean, mine[i].squares, mine[i + 1].mean, mine[i + 1].squares}});
      }
    }
    ptx::barrier_sync(barrier, kWarpgroup);  // the warps' statistics are complete before they are merged
    int at = thread < 64 ? conv_.problem.column_offset(column + thread, this->z_) : -1;
    if (at >= 0) {
      auto total = merge_warps<4, 16, float>(conv_.problem.rows(this->z_) - row, [&](int i) {
        auto from = load_pack<float, 2>(reinterpret_cast<const float*>(memory + i * kWarpBytes) + 2 * thread);
        return Moments<float>{from.value[0], from.value[1]};
      });
      float* to = conv_.statistics.partial + int64_t(row / 64) * 2 * conv_.statistics.channels + at;
      to[0] = total.mean;
      to[conv_.statistics.channels] = total.squares;
    }
    ptx::barrier_sync(barrier, kWarpgroup);  // the statistics were merged before the next rows overwrite them
  }

 private:
  const HopperConv<Problem>& conv_;
};

template <class Problem>
struct ConvFinish {
  static constexpr bool kByTma = !Problem::kSplits, kColumnStatistics = Problem::kStatistics;
  const HopperConv<Problem>& conv;

  GRADUS_DEVICE int rows() const { return conv.problem.rows(0); }
  GRADUS_DEVICE int columns() const { return conv.problem.columns(); }
  GRADUS_DEVICE int layer(const HopperUnit&) const { return 0; }
  GRADUS_DEVICE HopperRegisters<typename Problem::Element> registers() const {
    return {conv.problem.epilogue.bias, false, conv.problem.epilogue.relu != 0};
  }
  template <class Config>
  GRADUS_DEVICE auto prologue(const HopperUnit& unit, int row, int consumer) const {
    if constexpr (!kIsNormalised<Problem>) {
      return NoPrologue{};
    } else if constexpr (Problem::kSplits) {
      return TapPrologue<Config>(conv.problem.norm, unit.first, unit.column * Config::kN, consumer);
    } else {
      return PixelPrologue<Config>(conv.problem.norm, row, unit.column == 0, consumer);
    }
  }
  GRADUS_DEVICE auto pieces(const HopperUnit& unit) const {
    int z = Problem::kSplits ? unit.split : 0;
    if constexpr (Problem::kStatistics) {
      return HopperPieces<Problem>(conv, z);
    } else {
      return PieceSink<Problem>(conv.problem, z, false);
    }
  }
};

#endif

template <class Config, class T>
struct HopperLayout<Config, Forward<T>> {
  static constexpr Major kMajorA = Major::k, kMajorB = Major::k;
};
template <class Config, class T>
struct HopperLayout<Config, BackwardInput<T>> {
  static constexpr Major kMajorA = Major::k, kMajorB = sizeof(T) == 4 ? Major::k : Major::mn;  // float32: transposed weights
};
template <class Config, class T>
struct HopperLayout<Config, BackwardWeight<T>> {
  static constexpr Major kMajorA = Major::mn, kMajorB = Major::mn;
};
template <class Config, class Problem>
struct HopperLayout<Config, Normalised<Problem>> : HopperLayout<Config, Problem> {};

// Grid: persistent clusters. On other architectures than sm_90a there is nothing in it, and it is not launched.
template <class Config, class Problem>
__global__ void __launch_bounds__(Config::kThreads, 1)
    conv_hopper_kernel(const __grid_constant__ tensor_map map_a, const __grid_constant__ tensor_map map_b,
                       const __grid_constant__ tensor_map map_c, const __grid_constant__ HopperConv<Problem> conv) {
#if GRADUS_SM90A
  using Layout = HopperLayout<Config, Problem>;
  GRADUS_DYNAMIC_SHARED(unsigned char, memory);
  HopperLoads<Config, Problem> loads(map_a, map_b, conv.patches);
  ConvFinish<Problem> finish{conv};
  run_hopper_block<Config, Layout::kMajorA, Layout::kMajorB>(memory, conv.order, loads, finish, map_c, conv.by_tma);
#else
  __trap();
#endif
}

template <class T>
constexpr TensorMapType kMapType = std::is_same_v<T, float>      ? TensorMapType::f32
                                   : std::is_same_v<T, bfloat16> ? TensorMapType::bf16
                                                                 : TensorMapType::f16;
// Of operands: TMA rounds float32 to tf32, unless consumers make two parts of it.
template <class Config>
constexpr TensorMapType kOperandMapType =
    sizeof(typename Config::Element) == 4 && !Config::kParts ? TensorMapType::tf32 : kMapType<typename Config::Element>;

// A tensor of up to three dimensions without gaps, innermost first, in boxes of 128 bytes by `middle` by `outer`.
template <class T>
std::string dense_map(tensor_map* map, TensorMapType type, const T* base, int64_t inner, int64_t middle, int64_t outer,
                      int box_middle, int box_outer) {
  uint64_t extent[3] = {uint64_t(inner), uint64_t(middle), uint64_t(outer)};
  uint64_t pitch[2] = {uint64_t(inner) * sizeof(T), uint64_t(inner * middle) * sizeof(T)};
  uint32_t box[3] = {128 / sizeof(T), uint32_t(box_middle), uint32_t(box_outer)};
  return encode_tensor_map(map, type, 3, base, extent, pitch, box, TensorMapSwizzle::bytes128);
}

template <class T>
std::string patch_map(tensor_map* map, TensorMapType type, const T* image, const HopperGeometry& g, int pixels) {
  uint64_t extent[4] = {uint64_t(g.channels), g.image[0], g.image[1], uint64_t(g.patches.images)};
  uint64_t pitch[3] = {extent[0] * sizeof(T), 0, 0};
  for (int d = 1; d < 3; d++) pitch[d] = pitch[d - 1] * extent[d];
  Im2colBox box = g.box;
  box.pixels = uint32_t(pixels);
  return encode_im2col_map(map, type, image, extent, pitch, box, TensorMapSwizzle::bytes128);
}

// The maps of the three products; their results are matrices to TMA, where it writes them.
template <class Config, class T>
std::string conv_maps(tensor_map* a, tensor_map* b, const Forward<T>& p, const HopperGeometry& g, int cluster) {
  constexpr TensorMapType kType = kOperandMapType<Config>;
  std::string refused = patch_map(a, kType, p.x, g, Config::kM);
  return refused.empty() ? dense_map(b, kType, p.w, g.channels, g.kernel, p.outputs, 1, Config::kN / cluster) : refused;
}
template <class Config, class T>
std::string conv_maps(tensor_map* a, tensor_map* b, const BackwardInput<T>& p, const HopperGeometry& g, int cluster) {
  constexpr TensorMapType kType = kOperandMapType<Config>;
  std::string refused = patch_map(a, kType, p.grad_y, g, Config::kM);
  if (!refused.empty()) return refused;
  if (sizeof(T) == 4) return dense_map(b, kType, p.w, p.present, g.kernel, p.channels, 1, Config::kN / cluster);
  return dense_map(b, kType, p.w, p.channels, g.kernel, p.present, 1, Config::kDepth);
}
template <class Config, class T>
std::string conv_maps(tensor_map* a, tensor_map* b, const BackwardWeight<T>& p, const HopperGeometry& g, int) {
  constexpr TensorMapType kType = kOperandMapType<Config>;
  std::string refused = dense_map(a, kType, p.grad_y, p.outputs, p.window.pixels, 1, Config::kDepth, 1);
  return refused.empty() ? patch_map(b, kType, p.x, g, Config::kDepth) : refused;
}

template <class Config, class Problem>
int launch_conv_tile(const Problem& problem, const HopperGeometry& g, const MatmulPlan& plan,
                     PartialStatistics<float> statistics, bool by_tma, int processors, int64_t stream) {
  using T = typename Problem::Element;
  HopperConv<Problem> conv{problem, hopper_order<Config>(plan, g.rows, g.columns, g.slices, 1), g.patches, statistics, by_tma};
  tensor_map map_a{}, map_b{}, map_c{};
  std::string refused = conv_maps<Config>(&map_a, &map_b, problem, g, plan.cluster);
  if (refused.empty() && by_tma) refused = dense_map<T>(&map_c, kMapType<T>, problem.epilogue.result, g.columns, g.rows, 1, 64, 1);
  if (!refused.empty()) return failed(GR_ERROR, "[conv2d] " + refused);
  auto config = hopper_launch<Config>(conv.order, processors, stream);
  return finish(GRADUS_LAUNCH((conv_hopper_kernel<Config, Problem>), config, map_a, map_b, map_c, conv));
}

template <Multiply kKind, int kTile = 0, class Problem>
int launch_conv_plan(const Problem& problem, const HopperGeometry& g, const MatmulPlan& plan, PartialStatistics<float> statistics,
                     bool by_tma, int processors, int64_t stream) {
  if constexpr (kTile < kHopperTileCount) {
    if constexpr (kHopperTiles[kTile].prepares == hopper_prepares(kKind, true)) {
      using Config = HopperConfig<typename Problem::Element, kKind, kTile>;
      if (plan.tile == kTile) return launch_conv_tile<Config>(problem, g, plan, statistics, by_tma, processors, stream);
    }
    return launch_conv_plan<kKind, kTile + 1>(problem, g, plan, statistics, by_tma, processors, stream);
  } else {
    return failed(GR_ERROR, "[conv2d] there is no such tile");
  }
}

// Defines the functions of conv_hopper_plan.h for a 16-bit type, and for float32 in a kind of arithmetic.
#define GRADUS_CONV_HOPPER(T)                                                                                             \
  int launch_conv_hopper(const Forward<T>& problem, const HopperGeometry& g, const MatmulPlan& plan,                     \
                         PartialStatistics<float> statistics, bool by_tma, int processors, int64_t stream) {             \
    return launch_conv_plan<Multiply::tensor>(problem, g, plan, statistics, by_tma, processors, stream);                 \
  }                                                                                                                       \
  int launch_conv_hopper(const BackwardInput<T>& problem, const HopperGeometry& g, const MatmulPlan& plan, bool by_tma,  \
                         int processors, int64_t stream) {                                                               \
    return launch_conv_plan<Multiply::tensor>(problem, g, plan, {}, by_tma, processors, stream);                         \
  }                                                                                                                       \
  int launch_conv_hopper(const BackwardWeight<T>& problem, const HopperGeometry& g, const MatmulPlan& plan,              \
                         int processors, int64_t stream) {                                                               \
    return launch_conv_plan<Multiply::tensor>(problem, g, plan, {}, false, processors, stream);                           \
  }                                                                                                                       \
  int launch_conv_hopper(const Normalised<Forward<T>>& problem, const HopperGeometry& g, const MatmulPlan& plan,          \
                         PartialStatistics<float> statistics, bool by_tma, int processors, int64_t stream) {              \
    return launch_conv_plan<Multiply::tensor>(problem, g, plan, statistics, by_tma, processors, stream);                  \
  }                                                                                                                       \
  int launch_conv_hopper(const Normalised<BackwardWeight<T>>& problem, const HopperGeometry& g, const MatmulPlan& plan,   \
                         int processors, int64_t stream) {                                                                \
    return launch_conv_plan<Multiply::tensor>(problem, g, plan, {}, false, processors, stream);                           \
  }

template <Multiply kKind, class Problem>
int launch_conv_hopper_float(const Problem& problem, const HopperGeometry& g, const MatmulPlan& plan,
                             PartialStatistics<float> statistics, bool by_tma, int processors, int64_t stream) {
  return launch_conv_plan<kKind>(problem, g, plan, statistics, by_tma, processors, stream);
}

#define GRADUS_CONV_HOPPER_FLOAT(kKind, Problem)                                                                \
  template int launch_conv_hopper_float<kKind>(const Problem<float>&, const HopperGeometry&, const MatmulPlan&, \
                                               PartialStatistics<float>, bool, int, int64_t)

}  // namespace gradus::conv
