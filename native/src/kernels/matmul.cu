// Matrix products C = op(A) op(B), batched, with bias, activation, dropout, residual and accumulation fused in.
//
// - Tiles (matmul_tile.h): a block computes 128 x 128 or 64 x 64 elements of C from slices of K that cp.async keeps in flight.
//   Per element of C, 2 K / edge elements are read, and C is written once. 16-bit types by mma.m16n8k16, float32 by fused
//   multiply-add or, when asked, by tf32 or 3xTF32; float64 by fused multiply-add.
// - Few tiles and long K: parts of K in blocks of their own; their sums go to scratch and are added by matmul_reduce_kernel in
//   the order of K.
// - Vectors (matmul_vector.h): at most four rows or columns, bound by reading the other operand.
// - Hopper (matmul_hopper.h): TMA and wgmma, on devices of capability 9.0, for 16-bit types, tf32 and 3xTF32.
// - Integers: plain tiles.
//
// Which way is taken, and so the order of every sum, depends on sizes, type and device alone (matmul_plan.h), but for Hopper, which
// needs rows that start at multiples of 16 bytes (matmul_hopper_plan.h). The other kernels load operands without such rows in
// smaller pieces into tiles of 64 x 64, with the same sums.
#include "gradus/matmul.h"

#include <cmath>

#include "kernels/matmul_hopper_launch.h"
#include "kernels/matmul_hopper_plan.h"
#include "kernels/matmul_plan.h"
#include "kernels/matmul_tile.h"
#include "kernels/matmul_vector.h"

namespace gradus {
namespace {

// Adds the parts of K and applies the epilogue, eight neighbouring elements a thread.
template <class T>
__global__ void __launch_bounds__(256) matmul_reduce_kernel(const __grid_constant__ MatmulArguments<T> arguments) {
  using Accumulator = accumulator_t<T>;
  int64_t pieces = (arguments.n + kRowPiece - 1) / kRowPiece;
  int64_t matrix = int64_t(arguments.m) * arguments.n;
  int64_t all = arguments.batch * arguments.m * pieces;
  bool vector = arguments.n % kPackSize<Accumulator> == 0;
  for (int64_t i = int64_t(blockIdx.x) * 256 + threadIdx.x; i < all; i += int64_t(gridDim.x) * 256) {
    int64_t line = i / pieces;
    int column = int(i % pieces) * kRowPiece;
    auto batch = int(line / arguments.m);
    auto row = int(line % arguments.m);
    Accumulator sum[kRowPiece];
    GRADUS_UNROLL
    for (int q = 0; q < kRowPiece; q++) sum[q] = 0;
    for (int split = 0; split < arguments.splits; split++) {
      int64_t at = (int64_t(split) * arguments.batch + batch) * matrix + int64_t(row) * arguments.n + column;
      Accumulator part[kRowPiece];
      load_piece<Accumulator>(arguments.partial + at, arguments.n - column, vector, part);
      GRADUS_UNROLL
      for (int q = 0; q < kRowPiece; q++) sum[q] += part[q];
    }
    Epilogue<T> epilogue(arguments.epilogue, batch * arguments.stride_c, uint64_t(batch) * uint64_t(matrix));
    epilogue(row, column, sum);
  }
}

template <class T>
struct IntegerArguments {
  const T* a;
  const T* b;
  T* c;
  int64_t stride_a, stride_b, stride_c;
  int64_t a_row, a_k, b_k, b_column, ldc;  // strides of op(A), op(B) and C
  int m, n, k;
  bool accumulate;
};

constexpr int kIntegerTile = 16;

// Wraps around on overflow. Grid: columns, rows, batch.
template <class T>
__global__ void __launch_bounds__(kIntegerTile* kIntegerTile)
    matmul_integer_kernel(const __grid_constant__ IntegerArguments<T> arguments, int row_tile0, int batch0) {
  using Unsigned = std::conditional_t<sizeof(T) == 8, uint64_t, uint32_t>;
  GRADUS_SHARED(Unsigned, tile_a, [kIntegerTile][kIntegerTile + 1]);
  GRADUS_SHARED(Unsigned, tile_b, [kIntegerTile][kIntegerTile + 1]);
  int tx = int(threadIdx.x), ty = int(threadIdx.y);
  int batch = batch0 + int(blockIdx.z);
  int row = (row_tile0 + int(blockIdx.y)) * kIntegerTile + ty;
  int column = int(blockIdx.x) * kIntegerTile + tx;
  const T* a = arguments.a + batch * arguments.stride_a + row * arguments.a_row;
  const T* b = arguments.b + batch * arguments.stride_b + column * arguments.b_column;
  Unsigned sum = 0;
  for (int k0 = 0; k0 < arguments.k; k0 += kIntegerTile) {
    tile_a[ty][tx] = row < arguments.m && k0 + tx < arguments.k ? Unsigned(a[(k0 + tx) * arguments.a_k]) : 0;
    tile_b[ty][tx] = column < arguments.n && k0 + ty < arguments.k ? Unsigned(b[(k0 + ty) * arguments.b_k]) : 0;
    __syncthreads();  // the tiles are complete before they are read
    GRADUS_UNROLL
    for (int i = 0; i < kIntegerTile; i++) sum += tile_a[ty][i] * tile_b[i][tx];
    __syncthreads();  // the tiles were read before the next ones overwrite them
  }
  if (row < arguments.m && column < arguments.n) {
    T* c = arguments.c + batch * arguments.stride_c + row * arguments.ldc + column;
    *c = T(arguments.accumulate ? Unsigned(*c) + sum : sum);
  }
}

template <class T>
int launch_integer(const gr_matmul_problem& p, int64_t a, int64_t b, int64_t c, int64_t stream) {
  constexpr int kMaxGrid = 65535;  // of a grid's second and third dimension
  IntegerArguments<T> arguments{pointer<const T>(a), pointer<const T>(b), pointer<T>(c), p.stride_a, p.stride_b, p.stride_c,
                                p.trans_a != 0 ? 1 : p.lda, p.trans_a != 0 ? p.lda : 1, p.trans_b != 0 ? 1 : p.ldb,
                                p.trans_b != 0 ? p.ldb : 1, p.ldc, int(p.m), int(p.n), int(p.k), p.accumulate != 0};
  auto rows = int(divide_up(p.m, kIntegerTile));
  auto columns = unsigned(divide_up(p.n, kIntegerTile));
  for (int batch0 = 0; batch0 < p.batch; batch0 += kMaxGrid) {
    for (int row0 = 0; row0 < rows; row0 += kMaxGrid) {
      dim3 grid(columns, unsigned(std::min(rows - row0, kMaxGrid)), unsigned(std::min<int64_t>(p.batch - batch0, kMaxGrid)));
      auto config = LaunchConfig(grid, dim3(kIntegerTile, kIntegerTile)).stream(stream_of(stream));
      int status = finish(GRADUS_LAUNCH((matmul_integer_kernel<T>), config, arguments, row0, batch0));
      if (status != GR_OK) return status;
    }
  }
  return GR_OK;
}

// The tiles of one kind of product. Blocks for element-wise loads hold more in registers.
template <class T, Multiply kKind>
struct Tiles {
  static constexpr int kDepth = sizeof(T) == 2 ? 32 : sizeof(T) == 4 ? 16 : 8;
  using Tensor = TileConfig<T, kKind, 128, 128, kDepth, 2, 2, 4, 2>;
  using Split = TileConfig<T, kKind, 128, 128, kDepth, 2, 4, 3, 1>;  // two parts of each fragment: smaller warp tiles
  using Simt = TileConfig<T, kKind, 128, 128, kDepth, 4, 2, 3, 2>;
  using Large = std::conditional_t<kKind == Multiply::simt, Simt, std::conditional_t<kKind == Multiply::tf32x3, Split, Tensor>>;
  using Small = TileConfig<T, kKind, 64, 64, kDepth, 2, 2, 4, 3>;
  using Elements = TileConfig<T, kKind, 64, 64, kDepth, 2, 2, 4, 2>;
};

// `access`: the largest number of bytes, of 16, 4 and the element's size, that every row of A and B starts at a multiple of.
template <class T, Multiply kKind, Major kMajorA, Major kMajorB>
int launch_tiles(const MatmulArguments<T>& arguments, int access, bool large, int64_t stream) {
  using Kind = Tiles<T, kKind>;
  if constexpr (sizeof(T) < 8) {
    if constexpr (kMajorA == Major::k || kMajorB == Major::mn) {
      if (access == 16 && large) return launch_matmul_tile<typename Kind::Large, kMajorA, kMajorB, 16>(arguments, stream);
    }
    if (access == 16) return launch_matmul_tile<typename Kind::Small, kMajorA, kMajorB, 16>(arguments, stream);
  }
  if constexpr (sizeof(T) == 2) {
    if (access == 4) return launch_matmul_tile<typename Kind::Small, kMajorA, kMajorB, 4>(arguments, stream);
  }
  return launch_matmul_tile<typename Kind::Elements, kMajorA, kMajorB, int(sizeof(T))>(arguments, stream);
}

template <class T, Multiply kKind>
int launch_kind(const MatmulArguments<T>& arguments, const gr_matmul_problem& p, int access, bool large, int64_t stream) {
  if (p.trans_a != 0) {
    return p.trans_b != 0 ? launch_tiles<T, kKind, Major::mn, Major::k>(arguments, access, large, stream)
                          : launch_tiles<T, kKind, Major::mn, Major::mn>(arguments, access, large, stream);
  }
  return p.trans_b != 0 ? launch_tiles<T, kKind, Major::k, Major::k>(arguments, access, large, stream)
                        : launch_tiles<T, kKind, Major::k, Major::mn>(arguments, access, large, stream);
}

Multiply kind_of(const gr_matmul_problem& p, int32_t dtype) {
  if (dtype == GR_BFLOAT16 || dtype == GR_FLOAT16) return Multiply::tensor;
  if (dtype != GR_FLOAT32) return Multiply::simt;
  if (p.precision == GR_PRECISION_TF32) return Multiply::tf32;
  return p.precision == GR_PRECISION_TF32X3 ? Multiply::tf32x3 : Multiply::simt;
}

template <class T>
int launch_vector(const MatmulArguments<T>& arguments, const gr_matmul_problem& p, const MatmulPlan& plan, int64_t stream) {
  bool large_is_a = plan.path == MatmulPath::vector_a;
  bool along_k = large_is_a ? p.trans_a == 0 : p.trans_b != 0;
  MatmulVectorArguments<T> v;
  v.large = large_is_a ? arguments.a : arguments.b;
  v.small = large_is_a ? arguments.b : arguments.a;
  v.stride_large = large_is_a ? p.stride_a : p.stride_b;
  v.stride_small = large_is_a ? p.stride_b : p.stride_a;
  v.pitch = large_is_a ? p.lda : p.ldb;
  v.small_k = large_is_a ? (p.trans_b != 0 ? 1 : p.ldb) : (p.trans_a != 0 ? p.lda : 1);
  v.small_column = large_is_a ? (p.trans_b != 0 ? p.ldb : 1) : (p.trans_a != 0 ? 1 : p.lda);
  v.partial = arguments.partial;
  v.out_line = large_is_a ? p.n : 1;
  v.out_column = large_is_a ? 1 : p.n;
  v.batch = int(p.batch);
  v.lines = int(large_is_a ? p.m : p.n);
  v.columns = int(large_is_a ? p.n : p.m);
  v.k = int(p.k);
  v.per_split = plan.per_split;
  v.vector = is_aligned(v.large, 16) && v.pitch % kPackSize<T> == 0 && v.stride_large % kPackSize<T> == 0;
  v.small_vector = is_aligned(v.small, 16) && v.small_column % kPackSize<T> == 0 && v.stride_small % kPackSize<T> == 0;
  return v.columns == 1 ? launch_matmul_vector<T, 1>(v, along_k, plan.splits, stream)
                        : launch_matmul_vector<T, kMaxVectorWidth>(v, along_k, plan.splits, stream);
}

template <class T>
EpilogueParameters<T> epilogue_parameters(const gr_matmul_problem& p, int64_t bias, int64_t residual, int64_t rng, int64_t c) {
  EpilogueParameters<T> e{};
  e.out = pointer<T>(c);
  e.bias = pointer<const T>(bias);
  e.residual = pointer<const T>(residual);
  e.rng = pointer<const int64_t>(rng);
  e.pitch = p.ldc;
  e.rows = int(p.m);
  e.columns = int(p.n);
  e.dropout_number = uint64_t(p.dropout_number);
  e.dropout_threshold = uint32_t(std::nearbyint(p.dropout_p * 65536));
  e.dropout_scale = accumulator_t<T>(p.dropout_p == 1 ? 0 : 1 / (1 - p.dropout_p));
  e.activation = int(p.activation);
  e.bias_of_rows = p.bias_axis == 0;
  e.accumulate = p.accumulate != 0;
  int64_t addresses = c | residual | (e.bias_of_rows ? 0 : bias);
  e.vector = p.ldc % kPackSize<T> == 0 && p.stride_c % kPackSize<T> == 0 && addresses % 16 == 0;
  return e;
}

template <class T>
int launch_plan(const gr_matmul_problem& p, const MatmulArguments<T>& arguments, const MatmulPlan& plan, Multiply kind,
                int64_t stream) {
  auto starts_at = [&](int bytes) {
    int64_t elements = bytes / int(sizeof(T));
    return is_aligned(arguments.a, size_t(bytes)) && is_aligned(arguments.b, size_t(bytes)) && p.lda % elements == 0 &&
           p.ldb % elements == 0 && p.stride_a % elements == 0 && p.stride_b % elements == 0;
  };
  int access = starts_at(16) ? 16 : sizeof(T) == 2 && starts_at(4) ? 4 : int(sizeof(T));
  bool large = plan.path == MatmulPath::large;
  if (plan.path == MatmulPath::zeros) return GR_OK;
  if (plan.path == MatmulPath::vector_a || plan.path == MatmulPath::vector_b) return launch_vector<T>(arguments, p, plan, stream);
  if constexpr (sizeof(T) < 8) {
    if (plan.path == MatmulPath::hopper) return launch_matmul_hopper(p, arguments, plan, stream);
  }
  if constexpr (sizeof(T) == 2) return launch_kind<T, Multiply::tensor>(arguments, p, access, large, stream);
  if constexpr (sizeof(T) == 4) {
    if (kind == Multiply::tf32) return launch_kind<T, Multiply::tf32>(arguments, p, access, large, stream);
    if (kind == Multiply::tf32x3) return launch_kind<T, Multiply::tf32x3>(arguments, p, access, large, stream);
  }
  if constexpr (sizeof(T) > 2) return launch_kind<T, Multiply::simt>(arguments, p, access, large, stream);
}

// Whether the kernels leave sums of parts behind, which the reduction turns into C.
bool reduces(const MatmulPlan& plan) { return uses_scratch(plan) || plan.path == MatmulPath::zeros; }

template <class T>
int launch_reduce(const MatmulArguments<T>& arguments, int64_t stream) {
  int64_t pieces = int64_t(arguments.batch) * arguments.m * divide_up(arguments.n, kRowPiece);
  auto config = LaunchConfig(blocks_for(pieces, 256), 256).stream(stream_of(stream));
  return finish(GRADUS_LAUNCH((matmul_reduce_kernel<T>), config, arguments));
}

template <class T>
int run_matmul(const gr_matmul_problem& p, MatmulArguments<T>& arguments, const MatmulPlan& plan, Multiply kind, int64_t stream) {
  int status = launch_plan<T>(p, arguments, plan, kind, stream);
  return status != GR_OK || !reduces(plan) ? status : launch_reduce<T>(arguments, stream);
}

// To the kernels a wide C is memory for the sums of the only part of K; several parts are added up by the reduction of float32.
template <class T>
int run_wide(const gr_matmul_problem& p, MatmulArguments<T>& arguments, const MatmulPlan& plan, int64_t c, int64_t stream) {
  if (!reduces(plan)) {
    arguments.partial = pointer<float>(c);
    arguments.partial_vector = p.n % kPackSize<float> == 0 && c % 16 == 0;
    arguments.partial_adds = p.accumulate != 0;
  }
  int status = launch_plan<T>(p, arguments, plan, Multiply::tensor, stream);
  if (status != GR_OK || !reduces(plan)) return status;
  MatmulArguments<float> sums{nullptr, nullptr, 0, 0, p.stride_c, 0, 0, arguments.batch, arguments.m, arguments.n, arguments.k,
                              plan.splits, plan.per_split, arguments.partial, epilogue_parameters<float>(p, 0, 0, 0, c)};
  return launch_reduce<float>(sums, stream);
}

}  // namespace
}  // namespace gradus

using namespace gradus;

extern "C" int64_t gr_matmul_scratch(int64_t problem, int32_t dtype, int64_t stream) {
  MatmulSizes sizes(*pointer<const gr_matmul_problem>(problem));
  int64_t bytes = 0;
  with_floating(dtype, [&](auto type) {
    using T = typename decltype(type)::type;
    if (!sizes.valid || sizes.empty()) return GR_OK;
    // The addresses are not known yet: enough for either way.
    for (bool hopper : {false, true}) {
      MatmulPlan plan = plan_for(sizes.p, kind_of(sizes.p, dtype), int(sizeof(T)), hopper && is_hopper(stream));
      int64_t sums = uses_scratch(plan) ? plan.splits * sizes.p.batch * sizes.p.m * sizes.p.n : 0;
      bytes = std::max(bytes, sums * int64_t(sizeof(accumulator_t<T>)));
    }
    return GR_OK;
  });
  return bytes;
}

extern "C" int gr_matmul(int64_t a, int64_t b, int64_t bias, int64_t residual, int64_t rng, int64_t c, int64_t scratch,
                         int64_t scratch_bytes, int64_t problem, int32_t dtype, int64_t stream) {
  MatmulSizes sizes(*pointer<const gr_matmul_problem>(problem));
  const gr_matmul_problem& p = sizes.p;
  if (!sizes.valid) return failed(GR_UNSUPPORTED, "[matmul] sizes must be in 0 to 2^31");
  bool alone = bias == 0 && residual == 0 && rng == 0 && p.activation == GR_ACTIVATION_NONE;
  bool wide = p.wide != 0 && (dtype == GR_BFLOAT16 || dtype == GR_FLOAT16);
  if (wide && !(alone && p.ldc == p.n && p.stride_c == p.m * p.n)) return GR_UNSUPPORTED;
  if (sizes.empty()) return GR_OK;
  if (scratch_bytes < gr_matmul_scratch(problem, dtype, stream)) return failed(GR_ERROR, "[matmul] too little scratch memory");
  int status = with_floating(dtype, [&](auto type) {
    using T = typename decltype(type)::type;
    Multiply kind = kind_of(p, dtype);
    MatmulPlan plan = plan_for(p, kind, int(sizeof(T)), hopper_reads(a, b) && is_hopper(stream));
    MatmulArguments<T> arguments{pointer<const T>(a), pointer<const T>(b), p.stride_a, p.stride_b, p.stride_c, p.lda, p.ldb,
                                 int(p.batch), int(p.m), int(p.n), int(p.k), plan.splits, plan.per_split,
                                 uses_scratch(plan) ? pointer<accumulator_t<T>>(scratch) : nullptr,
                                 epilogue_parameters<T>(p, bias, residual, rng, c)};
    arguments.partial_vector = p.n % kPackSize<accumulator_t<T>> == 0;
    if constexpr (sizeof(T) == 2) {
      if (p.wide != 0) return run_wide<T>(p, arguments, plan, c, stream);
    }
    return run_matmul<T>(p, arguments, plan, kind, stream);
  });
  if (status != GR_UNSUPPORTED) return status;
  if (!alone) return GR_UNSUPPORTED;
  return with_type<int32_t, int64_t, uint8_t>(dtype, [&](auto type) {
    return launch_integer<typename decltype(type)::type>(p, a, b, c, stream);
  });
}
