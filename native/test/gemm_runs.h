// Runs the small products and compares them with float64.
#pragma once

#include <cmath>
#include <vector>

#include "gemm_kernels.h"
#include "harness.h"

namespace gradus::test_kernels {

template <class T>
struct Problem {
  int m, n, k;
  std::vector<T> memory_a, memory_b;
  T *a, *b;
  std::vector<float> c;

  Problem(int m, int n, int k) : m(m), n(n), k(k), memory_a(size_t(m * k) + 64), memory_b(size_t(n * k) + 64), c(size_t(m * n), NAN) {
    test::Numbers numbers(1);
    for (T& x : memory_a) x = from_float<T>(numbers.next());
    for (T& x : memory_b) x = from_float<T>(numbers.next());
    a = aligned(memory_a);
    b = aligned(memory_b);
  }
  static T* aligned(std::vector<T>& v) { return reinterpret_cast<T*>((reinterpret_cast<uintptr_t>(v.data()) + 127) / 128 * 128); }

  // The largest difference to the float64 product, NaN if there is one.
  double error() const {
    double worst = 0;
    for (int i = 0; i < m; i++) {
      for (int j = 0; j < n; j++) {
        double sum = 0;
        for (int x = 0; x < k; x++) sum += double(to_float(a[i * k + x])) * double(to_float(b[j * k + x]));
        double difference = std::fabs(double(c[size_t(i * n + j)]) - sum);
        if (!(difference <= worst)) worst = difference;
        if (std::isnan(worst)) return worst;
      }
    }
    return worst;
  }
};

template <Bug bug = Bug::none>
int run_simt(Problem<float>& p) {
  dim3 grid(unsigned(p.n + 15) / 16, unsigned(p.m + 15) / 16);
  return GRADUS_LAUNCH(gemm_simt_kernel<bug>, LaunchConfig(grid, dim3(16, 16)), p.a, p.b, p.c.data(), p.m, p.n, p.k);
}

template <class T, Bug bug = Bug::none>
int run_mma(Problem<T>& p) {
  dim3 grid(unsigned(p.n) / 64, unsigned(p.m) / 64);
  return GRADUS_LAUNCH((gemm_mma_kernel<T, bug>), LaunchConfig(grid, 128), p.a, p.b, p.c.data(), p.n, p.k);
}

inline tensor_map make_map(TensorMapType type, const void* base, int rows, int columns, uint32_t box_rows, uint32_t box_columns, TensorMapSwizzle swizzle) {
  tensor_map map;
  bool half = type == TensorMapType::bf16 || type == TensorMapType::f16;
  uint64_t extent[2] = {uint64_t(columns), uint64_t(rows)};
  uint64_t pitch[1] = {uint64_t(columns) * (half ? 2 : 4)};
  uint32_t box[2] = {box_columns, box_rows};
  std::string refused = encode_tensor_map(&map, type, 2, base, extent, pitch, box, swizzle);
  if (!refused.empty()) test::report(__FILE__, __LINE__, refused);
  return map;
}

template <int Width, Bug bug = Bug::none>
int run_wgmma(Problem<bfloat16>& p) {
  TensorMapSwizzle swizzle = bug == Bug::missing_swizzle ? TensorMapSwizzle::none : TensorMapSwizzle::bytes128;
  tensor_map map_a = make_map(TensorMapType::bf16, p.a, p.m, p.k, 128, 64, swizzle);
  tensor_map map_b = make_map(TensorMapType::bf16, p.b, p.n, p.k, Width, 64, swizzle);
  tensor_map map_c = make_map(TensorMapType::f32, p.c.data(), p.m, p.n, 64, 32, TensorMapSwizzle::none);
  size_t shared = size_t(2 * (128 + Width) * 128 + 128 * 32 * 4);
  LaunchConfig config(dim3(unsigned(p.n) / Width, unsigned(p.m) / 128), 384);
  return GRADUS_LAUNCH((gemm_wgmma_kernel<Width, bug>), config.shared(shared), map_a, map_b, map_c, p.k);
}

}  // namespace gradus::test_kernels
