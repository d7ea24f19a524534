// Matrix products C = op(A) op(B), batched, with bias, activation, dropout, residual and accumulation fused in: packed tiles
// (gemm.h), a few rows or columns without packing (matmul_vector.h), integers by plain loops. Which way is taken depends on sizes
// and type alone.
#include "gradus/matmul.h"

#include <limits>

#include "cpu/matmul_epilogue.h"
#include "cpu/matmul_vector.h"
#include "plugin/types.h"

namespace gradus::cpu {
namespace {

// With what 0 stands for filled in.
gr_matmul_problem filled_in(const gr_matmul_problem& problem) {
  gr_matmul_problem p = problem;
  if (p.lda == 0) p.lda = p.trans_a != 0 ? p.m : p.k;
  if (p.ldb == 0) p.ldb = p.trans_b != 0 ? p.k : p.n;
  if (p.ldc == 0) p.ldc = p.n;
  if (p.stride_c == 0) p.stride_c = p.m * p.ldc;
  return p;
}

bool is_valid(const gr_matmul_problem& p) {
  for (int64_t extent : {p.batch, p.m, p.n, p.k}) {
    if (extent < 0 || extent > std::numeric_limits<int32_t>::max()) return false;
  }
  return true;
}

// A batch that shares B is one product with more rows, where those follow one another.
gr_matmul_problem folded(const gr_matmul_problem& problem, bool has_row_bias) {
  gr_matmul_problem p = problem;
  if (p.batch > 1 && p.stride_b == 0 && p.trans_a == 0 && p.stride_a == p.m * p.lda && p.stride_c == p.m * p.ldc && !has_row_bias) {
    p.m *= p.batch;
    p.batch = 1;
  }
  return p;
}

// C: the type of the result.
template <class T, class C>
int multiply(const gr_matmul_problem& p, int64_t a, int64_t b, const MatmulEpilogue<C>& epilogue) {
  GemmMatrix<T> left{pointer<const T>(a), p.stride_a, p.lda, p.m, p.trans_a != 0};
  GemmMatrix<T> right{pointer<const T>(b), p.stride_b, p.ldb, p.n, p.trans_b == 0};
  if (p.m <= kMaxVectors && p.m <= p.n) return multiply_vectors(p.batch, p.k, right, left, true, epilogue);
  if (p.n <= kMaxVectors) return multiply_vectors(p.batch, p.k, left, right, false, epilogue);
  return gemm<accumulator_t<T>>({p.batch, p.m, p.n, p.k}, left, right, epilogue);
}

// Sums wrap around, as their type does.
template <class T>
int multiply_integers(const gr_matmul_problem& p, int64_t a_address, int64_t b_address, int64_t c_address) {
  using Unsigned = std::make_unsigned_t<T>;
  struct Sums;
  constexpr int64_t kColumns = 512;
  int64_t a_row = p.trans_a != 0 ? 1 : p.lda, a_k = p.trans_a != 0 ? p.lda : 1;
  int64_t b_k = p.trans_b != 0 ? 1 : p.ldb, b_column = p.trans_b != 0 ? p.ldb : 1;
  int64_t strips = divide_up(p.n, kColumns);
  parallel_for(p.batch * p.m * strips, 8, [&](int64_t begin, int64_t end) {
    Unsigned* sum = workspace<Sums, Unsigned>(kColumns);
    for (int64_t i = begin; i < end; i++) {
      int64_t first = i % strips * kColumns, row = i / strips % p.m, batch = i / strips / p.m;
      int64_t count = std::min(kColumns, p.n - first);
      const T* a = pointer<const T>(a_address) + batch * p.stride_a + row * a_row;
      const T* b = pointer<const T>(b_address) + batch * p.stride_b + first * b_column;
      T* c = pointer<T>(c_address) + batch * p.stride_c + row * p.ldc + first;
      for (int64_t j = 0; j < count; j++) sum[j] = p.accumulate != 0 ? Unsigned(c[j]) : Unsigned(0);
      for (int64_t k = 0; k < p.k; k++) {
        auto x = Unsigned(a[k * a_k]);
        const T* from = b + k * b_k;
        if (b_column == 1) {
          for (int64_t j = 0; j < count; j++) sum[j] = Unsigned(sum[j] + x * Unsigned(from[j]));
        } else {
          for (int64_t j = 0; j < count; j++) sum[j] = Unsigned(sum[j] + x * Unsigned(from[j * b_column]));
        }
      }
      for (int64_t j = 0; j < count; j++) c[j] = T(sum[j]);
    }
  });
  return GR_OK;
}

}  // namespace
}  // namespace gradus::cpu

using namespace gradus;

// Memory of the calling thread serves.
extern "C" int64_t gr_matmul_scratch(int64_t, int32_t, int64_t) { return 0; }

extern "C" int gr_matmul(int64_t a, int64_t b, int64_t bias, int64_t residual, int64_t rng, int64_t c, int64_t, int64_t,
                         int64_t problem, int32_t dtype, int64_t) {
  gr_matmul_problem p = cpu::filled_in(*pointer<const gr_matmul_problem>(problem));
  if (!cpu::is_valid(p)) return failed(GR_UNSUPPORTED, "[matmul] sizes must be in 0 to 2^31");
  if (p.batch == 0 || p.m == 0 || p.n == 0) return GR_OK;
  const bool alone = bias == 0 && residual == 0 && rng == 0 && p.activation == GR_ACTIVATION_NONE;
  int status = with_floating(dtype, [&](auto type) {
    using T = typename decltype(type)::type;
    gr_matmul_problem fold = cpu::folded(p, bias != 0 && p.bias_axis == 0);
    if constexpr (sizeof(T) == 2) {
      if (p.wide != 0) {
        if (!alone || p.ldc != p.n || p.stride_c != p.m * p.n) return int(GR_UNSUPPORTED);
        return cpu::multiply<T>(fold, a, b, cpu::MatmulEpilogue<float>(fold, 0, 0, 0, c));
      }
    }
    return cpu::multiply<T>(fold, a, b, cpu::MatmulEpilogue<T>(fold, bias, residual, rng, c));
  });
  if (status == GR_OUT_OF_MEMORY) return failed(status, "[matmul] no memory for packed operands");
  if (status != GR_UNSUPPORTED) return status;
  if (!alone) return GR_UNSUPPORTED;
  return with_type<int32_t, int64_t, uint8_t>(dtype, [&](auto type) {
    return cpu::multiply_integers<typename decltype(type)::type>(p, a, b, c);
  });
}
