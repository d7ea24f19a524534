// The product on Hopper's tensor cores: wgmma fed by TMA. C = op(A) op(B) as in matmul.cu, for operands that TMA can read.
//
// Method: persistent blocks of three warpgroups (matmul_hopper_order.h says which tiles are whose): one thread of the first fills a
// ring of stages (matmul_hopper_pipeline.h), the two others multiply from it and store (matmul_hopper_epilogue.h); see
// matmul_hopper_block.h. Tiles and their order of work are data (matmul_hopper_config.h); which is taken, and in how many parts K
// is summed, matmul_hopper_plan.h decides from the sizes.
//
// Traffic: a tile reads (M + N) K elements, in a cluster of two M K + N K / 2, mostly from the L2 cache; C is written once, by
// TMA where it can. Shared memory: each byte is written once and read by wgmma once (A) or for each 64 rows (B).
//
// Sums: float32 in the tensor core, in the order of K within a part; parts are added in order by matmul_reduce_kernel. 16-bit
// types in all four layouts. TF32 wgmma reads operands along K alone: those that do not lie so are transposed in shared memory,
// which is also where 3xTF32 splits its numbers (matmul_hopper_prepare.h). Elsewhere TMA rounds float32 to tf32 to nearest.
#pragma once

#include "kernels/matmul_hopper_block.h"
#include "kernels/matmul_hopper_plan.h"

namespace gradus {

template <class T>
struct HopperArguments {
  MatmulArguments<T> matmul;
  HopperOrder order;
  bool by_tma;  // whether TMA writes C; see HopperEpilogue
};

#if GRADUS_SM90A

// The operands of a product of matrices. One that the matrices of the batch share has but one matrix.
template <class Config, Major kMajorA, Major kMajorB>
class MatmulLoads {
 public:
  GRADUS_DEVICE MatmulLoads(const tensor_map& a, const tensor_map& b, bool one_a, bool one_b)
      : a_(a), b_(b), one_a_(one_a), one_b_(one_b), batch_(0), row_(0), column_(0) {}
  GRADUS_DEVICE void begin(const HopperUnit& unit, int row, int column) {
    batch_ = unit.batch;
    row_ = row;
    column_ = column;
  }
  GRADUS_DEVICE void load(int slice, unsigned char* to_a, unsigned char* to_b, uint64_t* full, const HopperShare& share) const {
    HopperCopy<Config, kMajorA, Config::kM>::load(to_a, a_, row_, slice, one_a_ ? 0 : batch_, full, {0, 1, 0});
    HopperCopy<Config, kMajorB, Config::kN>::load(to_b, b_, column_, slice, one_b_ ? 0 : batch_, full, share);
  }

 private:
  const tensor_map& a_;
  const tensor_map& b_;
  bool one_a_, one_b_;
  int batch_, row_, column_;
};

// What becomes of its sums; see matmul_hopper_epilogue.h.
template <class T>
struct MatmulFinish {
  static constexpr bool kByTma = true, kColumnStatistics = false;
  const MatmulArguments<T>& arguments;

  GRADUS_DEVICE int rows() const { return arguments.m; }
  GRADUS_DEVICE int columns() const { return arguments.n; }
  GRADUS_DEVICE int layer(const HopperUnit& unit) const { return unit.batch; }
  GRADUS_DEVICE HopperRegisters<T> registers() const {
    const EpilogueParameters<T>& e = arguments.epilogue;
    return {e.bias, e.bias_of_rows, e.activation == GR_ACTIVATION_RELU};
  }
  template <class Config>
  GRADUS_DEVICE NoPrologue prologue(const HopperUnit&, int, int) const {
    return {};
  }
  GRADUS_DEVICE MatmulEpilogue<T> pieces(const HopperUnit& unit) const { return {arguments, unit.split, unit.batch}; }
};

#endif

// Grid: persistent clusters. On other architectures than sm_90a there is nothing in it, and it is not launched.
template <class Config, Major kMajorA, Major kMajorB>
__global__ void __launch_bounds__(Config::kThreads, 1)
    matmul_hopper_kernel(const __grid_constant__ tensor_map map_a, const __grid_constant__ tensor_map map_b,
                         const __grid_constant__ tensor_map map_c,
                         const __grid_constant__ HopperArguments<typename Config::Element> arguments) {
#if GRADUS_SM90A
  GRADUS_DYNAMIC_SHARED(unsigned char, memory);
  const auto& matmul = arguments.matmul;
  MatmulLoads<Config, kMajorA, kMajorB> loads(map_a, map_b, matmul.stride_a == 0, matmul.stride_b == 0);
  MatmulFinish<typename Config::Element> finish{matmul};
  run_hopper_block<Config, kMajorA, kMajorB>(memory, arguments.order, loads, finish, map_c, arguments.by_tma);
#else
  __trap();
#endif
}

// Matrices as they are stored, in elements: lines a pitch apart, those of a batch a stride, 0 for one alone.
struct StoredMatrices {
  int64_t length, lines, pitch, batch, stride;
};

// How TMA sees them, in boxes of 128 bytes by `high` lines; with `rounds` it rounds float32 to tf32.
template <class T>
std::string hopper_map(tensor_map* map, const T* base, const StoredMatrices& m, int high, bool rounds) {
  constexpr TensorMapType kTypes[] = {TensorMapType::bf16, TensorMapType::f16, TensorMapType::f32};
  constexpr TensorMapType kType = kTypes[std::is_same_v<T, bfloat16> ? 0 : std::is_same_v<T, float16> ? 1 : 2];
  auto bytes = uint64_t(sizeof(T));
  bool one = m.batch == 1 || m.stride == 0;
  uint64_t extent[3] = {uint64_t(m.length), uint64_t(m.lines), one ? 1 : uint64_t(m.batch)};
  uint64_t pitch[2] = {uint64_t(m.pitch) * bytes, uint64_t(one ? m.pitch : m.stride) * bytes};
  uint32_t box[3] = {uint32_t(128 / bytes), uint32_t(high), 1};
  return encode_tensor_map(map, rounds ? TensorMapType::tf32 : kType, 3, base, extent, pitch, box, TensorMapSwizzle::bytes128);
}

template <class Config, Major kMajorA, Major kMajorB>
int launch_hopper_tile(const MatmulArguments<typename Config::Element>& matmul, const MatmulPlan& plan, int processors,
                       int64_t stream) {
  using T = typename Config::Element;
  constexpr bool kAlongA = kMajorA == Major::k, kAlongB = kMajorB == Major::k;
  constexpr bool kRounds = sizeof(T) == 4 && !Config::kParts;
  const int64_t m = matmul.m, n = matmul.n, k = matmul.k;
  HopperArguments<T> arguments{matmul, {}, hopper_writes(matmul)};
  arguments.order = hopper_order<Config>(plan, m, n, divide_up(k, Config::kDepth), matmul.batch);

  StoredMatrices a{kAlongA ? k : m, kAlongA ? m : k, matmul.lda, matmul.batch, matmul.stride_a};
  StoredMatrices b{kAlongB ? k : n, kAlongB ? n : k, matmul.ldb, matmul.batch, matmul.stride_b};
  StoredMatrices c{n, m, matmul.epilogue.pitch, matmul.batch, matmul.stride_c};
  tensor_map map_a{}, map_b{}, map_c{};
  std::string refused = hopper_map(&map_a, matmul.a, a, kAlongA ? Config::kM : Config::kDepth, kRounds);
  if (refused.empty()) refused = hopper_map(&map_b, matmul.b, b, kAlongB ? Config::kN / plan.cluster : Config::kDepth, kRounds);
  if (refused.empty() && arguments.by_tma) refused = hopper_map(&map_c, matmul.epilogue.out, c, 64, false);
  if (!refused.empty()) return failed(GR_ERROR, "[matmul] " + refused);

  auto config = hopper_launch<Config>(arguments.order, processors, stream);
  return finish(GRADUS_LAUNCH((matmul_hopper_kernel<Config, kMajorA, kMajorB>), config, map_a, map_b, map_c, arguments));
}

template <class Config>
int launch_hopper_layout(const gr_matmul_problem& p, const MatmulArguments<typename Config::Element>& matmul,
                         const MatmulPlan& plan,
                         int processors, int64_t stream) {
  if constexpr (sizeof(typename Config::Element) == 2 || Config::kPrepares) {
    if (p.trans_a != 0) {
      return p.trans_b != 0 ? launch_hopper_tile<Config, Major::mn, Major::k>(matmul, plan, processors, stream)
                            : launch_hopper_tile<Config, Major::mn, Major::mn>(matmul, plan, processors, stream);
    }
    if (p.trans_b == 0) return launch_hopper_tile<Config, Major::k, Major::mn>(matmul, plan, processors, stream);
  }
  return launch_hopper_tile<Config, Major::k, Major::k>(matmul, plan, processors, stream);
}

// The kernel of a plan, one of the rows of kHopperTiles.
template <Multiply kKind, int kTile = 0, class T>
int launch_hopper_plan(const gr_matmul_problem& p, const MatmulArguments<T>& matmul, const MatmulPlan& plan, int processors,
                       int64_t stream) {
  if constexpr (kTile < kHopperTileCount) {
    constexpr bool kExists = kHopperTiles[kTile].prepares ? sizeof(T) == 4 : kKind != Multiply::tf32x3;
    if constexpr (kExists) {
      if (plan.tile == kTile) return launch_hopper_layout<HopperConfig<T, kKind, kTile>>(p, matmul, plan, processors, stream);
    }
    return launch_hopper_plan<kKind, kTile + 1>(p, matmul, plan, processors, stream);
  } else {
    return failed(GR_ERROR, "[matmul] there is no such tile");
  }
}

}  // namespace gradus
