// What is particular to the kernels: tiles, precisions, parts of k. What every plug-in promises is in matmul_contract_test.cpp.
#include "gradus/matmul.h"

#include <tuple>

#include "kernels/matmul_plan.h"
#include "kernels/matmul_product.h"

using namespace gradus;
using namespace test;

namespace {

// Plans are forced while it lives.
struct Forced {
  Forced(int64_t tile, int64_t splits) { matmul_forced() = {tile, splits}; }
  ~Forced() { matmul_forced() = {}; }
};

// Each kernel of a type: element-wise loads (odd pitch), 64 x 64 and 128 x 128 tiles, ragged in every direction.
template <class T>
void check_tiles(int64_t precision) {
  for_transposes([&](bool trans_a, bool trans_b) {
    auto p = problem(17, 65, 33, trans_a, trans_b);
    p.precision = precision;
    Product<T> odd(p);
    CHECK_PRODUCT(odd);
    p = problem(18, 66, 34, trans_a, trans_b);  // pitches that are multiples of 4 bytes
    p.precision = precision;
    Product<T> even(p);
    CHECK_PRODUCT(even);
    p = problem(72, 40, 136, trans_a, trans_b);
    p.precision = precision;
    Product<T> small(p);
    CHECK_PRODUCT(small);
    p = problem(136, 72, 88, trans_a, trans_b);
    p.precision = precision;
    Forced forced(128, 0);
    Product<T> large(p);
    CHECK_PRODUCT(large);
  });
}

}  // namespace

TEST(float32_tiles) { check_tiles<float>(GR_PRECISION_EXACT); }
TEST(float64_tiles) { check_tiles<double>(GR_PRECISION_EXACT); }
TEST(bfloat16_tiles) { check_tiles<bfloat16>(GR_PRECISION_EXACT); }
TEST(float16_tiles) { check_tiles<float16>(GR_PRECISION_EXACT); }
TEST(tf32_tiles) { check_tiles<float>(GR_PRECISION_TF32); }
TEST(tf32x3_tiles) { check_tiles<float>(GR_PRECISION_TF32X3); }

TEST(small_and_odd_sizes) {
  for_floating([](auto zero) {
    using T = decltype(zero);
    for (auto [m, n, k] : {std::tuple<int, int, int>{1, 1, 1}, {1, 3, 2}, {3, 1, 17}, {2, 8, 64}, {65, 17, 3}}) {
      for_transposes([&](bool trans_a, bool trans_b) {
        Product<T> product(problem(m, n, k, trans_a, trans_b));
        CHECK_PRODUCT(product);
      });
    }
  });
}

TEST(ragged_127x130x70) {
  Product<float> float32(problem(127, 130, 70));
  CHECK_PRODUCT(float32);
  Product<bfloat16> half(problem(127, 130, 70, false, true));
  CHECK_PRODUCT(half);
}

TEST(several_tiles_in_groups) {
  auto p = problem(64 * 9 + 8, 72, 16);  // more rows of tiles than a group has
  Forced forced(64, 0);
  Product<float16> product(p);
  CHECK_PRODUCT(product);
}

// 3xTF32 errs about as much as float32; TF32 a thousand times more.
TEST(precisions) {
  double error[3];
  for (int64_t precision : {GR_PRECISION_EXACT, GR_PRECISION_TF32, GR_PRECISION_TF32X3}) {
    auto p = problem(24, 40, 512);
    p.precision = precision;
    Forced forced(0, 1);
    Product<float> product(p);
    CALL(product.call());
    double sum = 0;
    for (int64_t i = 0; i < p.m; i++) {
      for (int64_t j = 0; j < p.n; j++) {
        double y = 0;
        for (int64_t l = 0; l < p.k; l++) y += product.left(0, i, l) * product.right(0, l, j);
        sum += (product.c[i * p.n + j] - y) * (product.c[i * p.n + j] - y);
      }
    }
    error[precision] = std::sqrt(sum / double(p.m * p.n));
  }
  CHECK(error[GR_PRECISION_EXACT] < 1e-5);
  CHECK(error[GR_PRECISION_TF32X3] < 2 * error[GR_PRECISION_EXACT]);
  CHECK(error[GR_PRECISION_TF32] > 50 * error[GR_PRECISION_EXACT]);
  CHECK(error[GR_PRECISION_TF32] < 1e-2);
}

TEST(residual_may_be_c) {
  auto p = problem(9, 24, 16);
  Product<bfloat16> product(p);
  product.with_residual = true;
  product.residual = product.c;
  auto at = reinterpret_cast<int64_t>(&p);
  int64_t a = product.a.address(), b = product.b.address(), c = product.c.address();
  CALL(gr_matmul(a, b, 0, c, 0, c, 0, 0, at, GR_BFLOAT16, 0));
  CHECK(product.worst() <= 1);
}

TEST(parts_of_k) {
  for_floating([](auto zero) {
    using T = decltype(zero);
    for (int64_t n : {40, 37}) {
      auto p = problem(19, n, 300, false, true);
      p.batch = 2;
      p.stride_a = 19 * 300;
      p.stride_b = n * 300;
      Forced forced(0, 5);
      p.accumulate = 1;
      p.activation = GR_ACTIVATION_RELU;
      Product<T> product(p);
      product.add_bias(1);
      product.add_residual();
      CHECK(gr_matmul_scratch(reinterpret_cast<int64_t>(&product.p), Array<T>::dtype(), 0) > 0);
      CHECK_PRODUCT(product);
      CHECK_EQUAL(product.call(1), int(GR_ERROR));
      CHECK_CONTAINS(error_text(), "scratch");
    }
  });
  auto p = problem(8, 16, 4096, true, false);  // chosen, not asked for
  CHECK(gr_matmul_scratch(reinterpret_cast<int64_t>(&p), GR_BFLOAT16, 0) > 8 * 16 * 4);
  Product<bfloat16> chosen(p);
  CHECK_PRODUCT(chosen);
}

// One to four rows or columns, the other operand along K and across it, by 16 bytes and by elements.
TEST(wide_results_of_tiles_and_parts) {
  for (int64_t tile : {64, 128}) {
    for (int64_t splits : {1, 3}) {
      Forced forced(tile, splits);
      for (int64_t n : {72, 37}) {
        auto p = problem(130, n, 300, tile == 64, false);  // large tiles do not transpose both
        p.accumulate = splits == 1;
        Product<bfloat16, float> product(p);
        CHECK_PRODUCT(product);
      }
    }
  }
}

TEST(vectors) {
  for_floating([](auto zero) {
    using T = decltype(zero);
    for (int64_t width : {1, 3}) {
      for_transposes([&](bool trans_a, bool trans_b) {
        int64_t k = trans_a ? 265 : 264;  // the pitch of one operand is odd
        auto p = problem(264, width, k, trans_a, trans_b);
        p.activation = GR_ACTIVATION_RELU;
        Product<T> columns(p);
        columns.add_bias(1);
        CHECK_PRODUCT(columns);
        Product<T> rows(problem(width, 264, k, trans_a, trans_b));
        CHECK_PRODUCT(rows);
      });
    }
  });
  auto p = problem(1, 600, 3000, false, true);  // several parts along K
  Product<bfloat16> along(p);
  CHECK(gr_matmul_scratch(reinterpret_cast<int64_t>(&p), GR_BFLOAT16, 0) > 600 * 4);
  CHECK_PRODUCT(along);
}

// The sum has one order, whatever kernel is taken for the operands' alignment.
TEST(deterministic) {
  for_floating([](auto zero) {
    using T = decltype(zero);
    for (int64_t m : {1, 40}) {
      auto p = problem(m, 256, 264, false, true);
      Product<T> first(p), again(p), shifted(p, 1);
      for (int64_t i = 0; i < first.a.size(); i++) shifted.a.set(i + 1, first.a[i]);
      for (int64_t i = 0; i < first.b.size(); i++) shifted.b.set(i + 1, first.b[i]);
      CALL(first.call());
      CALL(again.call());
      CALL(shifted.call());
      for (int64_t i = 0; i < first.c.size(); i++) {
        CHECK_EQUAL(again.c[i], first.c[i]);
        CHECK_EQUAL(shifted.c[i + 1], first.c[i]);
      }
    }
  });
}

TEST(not_finite) {
  for_floating([](auto zero) {
    for (int64_t tile : {0, 128}) {
      Forced forced(tile, 0);
      check_not_finite<decltype(zero)>(17);
    }
  });
}

