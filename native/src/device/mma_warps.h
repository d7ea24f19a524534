// What a warp does in a tiled product: reads its share of a slice from a stage, adds its products to its sums, and hands them out
// at the end; see mma_pipeline.h.
#pragma once

#include <type_traits>

#include "device/math.h"
#include "device/mma_tile.h"
#include "device/ptx/matrix.h"
#include "device/ptx/mma.h"

namespace gradus {

// The part of a warp on tensor cores: fragments and sums of its warp tile.
template <class Config, class LayoutA, class LayoutB>
class TensorWarp {
 public:
  using T = typename Config::Element;
  static constexpr Multiply kKind = Config::kKind;
  static constexpr bool kHalf = kKind == Multiply::tensor;
  static_assert(sizeof(T) == (kHalf ? 2 : 4), "the kind of product fits the element");
  static constexpr int kTilesM = Config::kWarpM / 16, kTilesN = Config::kWarpN / 8;
  static constexpr int kStep = kHalf ? 16 : 8;  // K of one instruction: two chunks
  static constexpr int kSteps = Config::kDepth / kStep;
  static_assert(kSteps % 2 == 0, "fragments alternate between two buffers");

  struct Fragments {
    uint32_t a[kTilesM][4];
    uint32_t b[kTilesN / 2][4];  // two columns of fragments each
  };

  GRADUS_DEVICE TensorWarp() {
    base_a_ = base<LayoutA, true>(m());
    base_b_ = LayoutA::kElements + base<LayoutB, false>(n());
    GRADUS_UNROLL
    for (int i = 0; i < kTilesM; i++) {
      GRADUS_UNROLL
      for (int j = 0; j < kTilesN; j++) {
        GRADUS_UNROLL
        for (int q = 0; q < 4; q++) sum_[i][j][q] = 0;
      }
    }
  }

  // `stage` is the stage's offset in `shared`. Which row of which matrix a lane addresses: see ptx/matrix.h and ptx/mma.h.
  // A lane keeps one offset for each operand; chunks of its line are reached by exclusive or, other lines by adding constants.
  GRADUS_DEVICE void load(Fragments& f, const T* shared, int stage, int step) const {
    GRADUS_UNROLL
    for (int i = 0; i < kTilesM; i++) load_pair<LayoutA, true>(f.a[i], shared, stage + base_a_, i, step);
    GRADUS_UNROLL
    for (int j = 0; j < kTilesN / 2; j++) load_pair<LayoutB, false>(f.b[j], shared, stage + base_b_, j, step);
  }

  GRADUS_DEVICE void multiply(Fragments& f) {
    if constexpr (kKind == Multiply::tf32x3) {
      multiply_split(f);
    } else {
      if constexpr (kKind == Multiply::tf32) {
        GRADUS_UNROLL
        for (int q = 0; q < 4; q++) {
          GRADUS_UNROLL
          for (int i = 0; i < kTilesM; i++) f.a[i][q] = ptx::to_tf32(__uint_as_float(f.a[i][q]));
          GRADUS_UNROLL
          for (int j = 0; j < kTilesN / 2; j++) f.b[j][q] = ptx::to_tf32(__uint_as_float(f.b[j][q]));
        }
      }
      GRADUS_UNROLL
      for (int i = 0; i < kTilesM; i++) {
        GRADUS_UNROLL
        for (int j = 0; j < kTilesN; j++) {
          uint32_t pair[2] = {f.b[j / 2][j % 2 * 2], f.b[j / 2][j % 2 * 2 + 1]};
          if constexpr (kHalf) {
            ptx::mma_m16n8k16(T{}, sum_[i][j], f.a[i], pair);
          } else {
            ptx::mma_m16n8k8_tf32(sum_[i][j], f.a[i], pair);
          }
        }
      }
    }
  }

  // Writes the sums of the warp tile.
  GRADUS_DEVICE void stage(float* staging, int pitch) const {
    GRADUS_UNROLL
    for (int i = 0; i < kTilesM; i++) {
      GRADUS_UNROLL
      for (int j = 0; j < kTilesN; j++) {
        GRADUS_UNROLL
        for (int half = 0; half < 2; half++) {
          Pack<float, 2> pair{{sum_[i][j][2 * half], sum_[i][j][2 * half + 1]}};
          store_pack(staging + (16 * i + lane() / 4 + 8 * half) * pitch + 8 * j + lane() % 4 * 2, pair);
        }
      }
    }
  }

  // Where the warp tile begins within the tile.
  static GRADUS_DEVICE int m() { return int(threadIdx.x) / 32 / Config::kWarpsN * Config::kWarpM; }
  static GRADUS_DEVICE int n() { return int(threadIdx.x) / 32 % Config::kWarpsN * Config::kWarpN; }

 private:
  static GRADUS_DEVICE int lane() { return int(threadIdx.x) % 32; }

  // The offset of a lane's first chunk (for tf32 along m or n: its first element) in the operand's part of a stage. The 16 x 2
  // chunks of a fragment are four matrices: for A those of rows 0-7 and 8-15, then the same further along K; for B along K first.
  template <class Layout, bool kIsA>
  static GRADUS_DEVICE int base(int first) {
    int inner = lane() / 8 % 2, outer = lane() / 16;
    int along_mn = kIsA ? inner : outer, along_k = kIsA ? outer : inner;
    if constexpr (Layout::kMajor == Major::k) {
      return Layout::chunk(first + lane() % 8 + 8 * along_mn, along_k);
    } else if constexpr (kHalf) {
      return Layout::chunk(lane() % 8 + 8 * along_k, first / 8 + along_mn);
    } else {
      return Layout::element(lane() % 4, first + lane() / 4);
    }
  }

  // Fragments of 16 rows of A, or of 16 columns of B.
  template <class Layout, bool kIsA>
  static GRADUS_DEVICE void load_pair(uint32_t (&out)[4], const T* shared, int base, int i, int step) {
    constexpr int kLine = Layout::kLineElements, kVector = Layout::kVector;
    if constexpr (Layout::kMajor == Major::k) {
      ptx::ldmatrix(out, shared + ((base ^ (2 * step * kVector)) + 16 * i * kLine));
    } else if constexpr (kHalf) {
      ptx::ldmatrix<4, true>(out, shared + ((base ^ (2 * i * kVector)) + 16 * step * kLine));
    } else {
      GRADUS_UNROLL
      for (int q = 0; q < 4; q++) {
        int along_mn = kIsA ? q % 2 : q / 2, along_k = kIsA ? q / 2 : q % 2;
        int chunk = 4 * i + 2 * along_mn;  // the swizzle is in its low three bits
        int offset = (base ^ (chunk % 8 * kVector)) + chunk / 8 * 8 * kVector + (8 * step + 4 * along_k) * kLine;
        out[q] = __float_as_uint(shared[offset]);
      }
    }
  }

  // x = big + small + an error of 2^-23 x; small * small is left out. Small products first, so that they are not lost in the sum.
  GRADUS_DEVICE void multiply_split(const Fragments& f) {
    uint32_t big_a[kTilesM][4], small_a[kTilesM][4];
    GRADUS_UNROLL
    for (int i = 0; i < kTilesM; i++) split(f.a[i], big_a[i], small_a[i]);
    GRADUS_UNROLL
    for (int j = 0; j < kTilesN / 2; j++) {
      uint32_t big[4], small[4];
      split(f.b[j], big, small);
      GRADUS_UNROLL
      for (int side = 0; side < 2; side++) {
        uint32_t big_b[2] = {big[2 * side], big[2 * side + 1]};
        uint32_t small_b[2] = {small[2 * side], small[2 * side + 1]};
        GRADUS_UNROLL
        for (int i = 0; i < kTilesM; i++) ptx::mma_m16n8k8_tf32(sum_[i][2 * j + side], small_a[i], big_b);
        GRADUS_UNROLL
        for (int i = 0; i < kTilesM; i++) ptx::mma_m16n8k8_tf32(sum_[i][2 * j + side], big_a[i], small_b);
        GRADUS_UNROLL
        for (int i = 0; i < kTilesM; i++) ptx::mma_m16n8k8_tf32(sum_[i][2 * j + side], big_a[i], big_b);
      }
    }
  }
  static GRADUS_DEVICE void split(const uint32_t (&x)[4], uint32_t (&big)[4], uint32_t (&small)[4]) {
    GRADUS_UNROLL
    for (int q = 0; q < 4; q++) {
      big[q] = ptx::to_tf32(__uint_as_float(x[q]));
      small[q] = ptx::to_tf32(__uint_as_float(x[q]) - __uint_as_float(big[q]));
    }
  }

  int base_a_, base_b_;
  float sum_[kTilesM][kTilesN][4];
};

// The part of a warp without tensor cores: 4 x 8 lanes, each with blocks of kVector x kVector elements.
template <class Config, class LayoutA, class LayoutB>
class SimtWarp {
 public:
  using T = typename Config::Element;
  static_assert(std::is_same_v<T, typename Config::Accumulator>, "float32 and float64");
  static constexpr int kVector = kPackSize<T>;
  static constexpr int kTilesM = Config::kWarpM / (4 * kVector), kTilesN = Config::kWarpN / (8 * kVector);
  static constexpr int kHeld = kVector / 2;  // K of a step
  static constexpr int kSteps = Config::kDepth / kHeld;

  GRADUS_DEVICE SimtWarp() {
    base_a_ = base<LayoutA>(m() + lane_m() * kVector);
    base_b_ = LayoutA::kElements + base<LayoutB>(n() + lane_n() * kVector);
    GRADUS_UNROLL
    for (int i = 0; i < kTilesM * kVector; i++) {
      GRADUS_UNROLL
      for (int j = 0; j < kTilesN * kVector; j++) sum_[i][j] = 0;
    }
  }

  // A's share of the step is held in registers while B's streams past: 8 x 8 sums and all else fit 128 registers.
  GRADUS_DEVICE void multiply(const T* shared, int stage, int step) {
    T x[kTilesM * kVector][kHeld];  // [m][k]
    GRADUS_UNROLL
    for (int i = 0; i < kTilesM; i++) {
      read<LayoutA>(shared, stage + base_a_, 4 * i, step, [&](int m, int k, T value) { x[i * kVector + m][k] = value; });
    }
    GRADUS_UNROLL
    for (int j = 0; j < kTilesN; j++) {
      read<LayoutB>(shared, stage + base_b_, 8 * j, step, [&](int n, int k, T value) {
        GRADUS_UNROLL
        for (int i = 0; i < kTilesM * kVector; i++) sum_[i][j * kVector + n] += x[i][k] * value;
      });
    }
  }

  GRADUS_DEVICE void stage(T* staging, int pitch) const {
    GRADUS_UNROLL
    for (int i = 0; i < kTilesM * kVector; i++) {
      GRADUS_UNROLL
      for (int j = 0; j < kTilesN; j++) {
        Pack<T, kVector> pack;
        GRADUS_UNROLL
        for (int q = 0; q < kVector; q++) pack.value[q] = sum_[i][j * kVector + q];
        int row = (i / kVector * 4 + lane_m()) * kVector + i % kVector;
        store_pack(staging + row * pitch + (8 * j + lane_n()) * kVector, pack);
      }
    }
  }

  static GRADUS_DEVICE int m() { return int(threadIdx.x) / 32 / Config::kWarpsN * Config::kWarpM; }
  static GRADUS_DEVICE int n() { return int(threadIdx.x) / 32 % Config::kWarpsN * Config::kWarpN; }

 private:
  // Neighbours in bit 0 share A, those in bit 1 share B: then a warp's 16-byte reads take two passes rather than four.
  static GRADUS_DEVICE int lane_m() { return int((threadIdx.x >> 1 & 1) | (threadIdx.x >> 2 & 2)); }
  static GRADUS_DEVICE int lane_n() { return int((threadIdx.x & 1) | (threadIdx.x >> 1 & 2) | (threadIdx.x >> 2 & 4)); }

  // The offset of a lane's first chunk in the operand's part of a stage.
  template <class Layout>
  static GRADUS_DEVICE int base(int first) {
    return Layout::kMajor == Major::k ? Layout::chunk(first, 0) : Layout::chunk(0, first / kVector);
  }
  // Calls use(row, k, value) for kVector rows, `lanes` x kVector rows on, and the step's kHeld of K, k ascending for each row.
  template <class Layout, class F>
  static GRADUS_DEVICE void read(const T* shared, int base, int lanes, int step, F use) {
    constexpr int kLine = Layout::kLineElements;
    if constexpr (Layout::kMajor == Major::k) {
      int chunk = step * kHeld / kVector * kVector, within = step * kHeld % kVector;
      GRADUS_UNROLL
      for (int row = 0; row < kVector; row++) {
        auto pack = load_pack<T, kHeld>(shared + ((base ^ chunk) + within + (lanes * kVector + row) * kLine));
        GRADUS_UNROLL
        for (int k = 0; k < kHeld; k++) use(row, k, pack.value[k]);
      }
    } else {
      GRADUS_UNROLL
      for (int k = 0; k < kHeld; k++) {
        auto pack = load_pack<T, kVector>(shared + (base + lanes * kVector + (step * kHeld + k) * kLine));
        GRADUS_UNROLL
        for (int row = 0; row < kVector; row++) use(row, k, pack.value[row]);
      }
    }
  }

  int base_a_, base_b_;
  T sum_[kTilesM * kVector][kTilesN * kVector];
};

}  // namespace gradus
