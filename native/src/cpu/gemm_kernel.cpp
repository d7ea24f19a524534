#include "cpu/gemm_kernel.h"

#include <array>
#include <utility>

namespace gradus::cpu {

namespace {

template <class A, int kRows, int kVectors, bool kTurned>
void multiply(int64_t depth, const A* a, int64_t a_pitch, const A* b, int64_t b_pitch, A* c, int64_t c_pitch, bool add) {
  using V = Vec<A>;
  constexpr int kLanesOf = lanes_of<A>;
  // The lines of C are a burst that no prefetcher sees coming: ask for them before the long loop.
#pragma GCC unroll 16
  for (int r = 0; r < kRows; r++) __builtin_prefetch(c + r * c_pitch, 1);
  V sum[kRows][kVectors];
  const A* row[kRows];
#pragma GCC unroll 16
  for (int r = 0; r < kRows; r++) {
    row[r] = a + r * a_pitch;
#pragma GCC unroll 2
    for (int v = 0; v < kVectors; v++) sum[r][v] = V{};
  }
#pragma GCC unroll 4
  for (int64_t k = 0; k < depth; k++) {
    V right[kVectors];
#pragma GCC unroll 2
    for (int v = 0; v < kVectors; v++) right[v] = load(b + v * kLanesOf);
#pragma GCC unroll 16
    for (int r = 0; r < kRows; r++) {
      V left = broadcast(kTurned ? a[r] : row[r][k]);
#pragma GCC unroll 2
      for (int v = 0; v < kVectors; v++) sum[r][v] = fma(left, right[v], sum[r][v]);
    }
    a += a_pitch;
    b += b_pitch;
  }
#pragma GCC unroll 16
  for (int r = 0; r < kRows; r++) {
#pragma GCC unroll 2
    for (int v = 0; v < kVectors; v++) {
      A* to = c + r * c_pitch + v * kLanesOf;
      store(to, add ? load(to) + sum[r][v] : sum[r][v]);
    }
  }
}

template <class A, int kVectors, bool kTurned, size_t... kIndex>
constexpr auto kernels(std::index_sequence<kIndex...>) {
  return std::array<GemmKernel<A>, sizeof...(kIndex)>{multiply<A, int(kIndex) + 1, kVectors, kTurned>...};
}

}  // namespace

template <class A>
GemmKernel<A> gemm_kernel(int rows, int vectors, bool turned) {
  using Rows = std::make_index_sequence<GemmTile<A>::kRows>;
  static constexpr auto one = kernels<A, 1, false>(Rows{}), two = kernels<A, 2, false>(Rows{});
  static constexpr auto one_turned = kernels<A, 1, true>(Rows{}), two_turned = kernels<A, 2, true>(Rows{});
  const auto& narrow = turned ? one_turned : one;
  const auto& wide = turned ? two_turned : two;
  return (vectors == 1 ? narrow : wide)[size_t(rows) - 1];
}

template GemmKernel<float> gemm_kernel(int rows, int vectors, bool turned);
template GemmKernel<double> gemm_kernel(int rows, int vectors, bool turned);

}  // namespace gradus::cpu
