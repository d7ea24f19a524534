// The function is that of the kernels, and so is what it promises; here is what blocks, vectors and threads add.
#include "kernels/matmul_contract_test.cpp"

#include "cpu/gemm.h"
#include "cpu/parallel.h"

// Around the sizes of tiles and vectors of all widths.
TEST(sizes) {
  for_floating([](auto zero) {
    using T = decltype(zero);
    for (auto [m, n, k] : {std::tuple<int, int, int>{1, 1, 1}, {1, 3, 2}, {3, 1, 17}, {2, 8, 64}, {5, 5, 5}, {6, 16, 8}, {7, 17, 9},
                           {13, 15, 16}, {14, 32, 31}, {15, 33, 33}, {29, 65, 40}, {65, 17, 3}, {127, 30, 65}}) {
      for_transposes([&](bool trans_a, bool trans_b) {
        Product<T> product(problem(m, n, k, trans_a, trans_b));
        CHECK_PRODUCT(product);
      });
    }
  });
}

// Several blocks of rows, columns and k, with results that go straight to C and that do not.
TEST(blocks) {
  for_transposes([](bool trans_a, bool trans_b) {
    for (bool relu : {false, true}) {
      auto p = problem(301, 79, 1100, trans_a, trans_b);
      p.activation = relu ? GR_ACTIVATION_RELU : GR_ACTIVATION_NONE;
      Product<float> float32(p);
      CHECK_PRODUCT(float32);
    }
  });
  auto p = problem(150, 563, 70, true, false);
  p.accumulate = 1;
  Product<float> wide(p);
  CHECK_PRODUCT(wide);
  Product<double> float64(problem(130, 40, 1030, true, true));
  CHECK_PRODUCT(float64);
  Product<bfloat16> half(problem(40, 50, 1030, false, true));
  CHECK_PRODUCT(half);
}

// Long sums of few elements are cut into parts.
TEST(parts_of_k) {
  CHECK(cpu::plan_gemm({1, 30, 40, 9001}, 4).splits > 1);
  for_transposes([](bool trans_a, bool trans_b) {
    Product<float> plain(problem(30, 40, 9001, trans_a, trans_b));
    CHECK_PRODUCT(plain);
  });
  auto p = problem(19, 37, 7001, true, false);
  p.batch = 2;
  p.stride_a = 19 * 7001;
  p.stride_b = 37 * 7001;
  p.accumulate = 1;
  p.activation = GR_ACTIVATION_RELU;
  Product<float> product(p);
  product.add_bias(1);
  product.add_residual();
  CHECK_PRODUCT(product);
}

// Also where parts of k are summed elsewhere before.
TEST(residual_may_be_c) {
  for (int64_t m : {2, 9}) {
    auto p = problem(m, 24, 1500);
    Product<float> product(p);
    product.with_residual = true;
    product.residual = product.c;
    int64_t a = product.a.address(), b = product.b.address(), c = product.c.address();
    CALL(gr_matmul(a, b, 0, c, 0, c, 0, 0, reinterpret_cast<int64_t>(&p), GR_FLOAT32, 0));
    CHECK(product.worst() <= 1);
  }
}

// A few rows or columns, the other operand along k and across it; several parts of k, several strips of lines.
TEST(vectors) {
  for_floating([](auto zero) {
    using T = decltype(zero);
    for (int64_t width : {1, 2, 3, 4}) {
      for_transposes([&](bool trans_a, bool trans_b) {
        auto p = problem(265, width, 131, trans_a, trans_b);
        p.activation = GR_ACTIVATION_RELU;
        Product<T> columns(p);
        columns.add_bias(width % 2);
        CHECK_PRODUCT(columns);
        p = problem(width, 265, 131, trans_a, trans_b);
        p.batch = 3;
        p.stride_a = width * 131;
        Product<T> rows(p);
        CHECK_PRODUCT(rows);
      });
    }
  });
  for_transposes([&](bool trans_a, bool trans_b) {
    Product<float> long_k(problem(3, 7, 140001, trans_a, trans_b));
    CHECK_PRODUCT(long_k);
    Product<float> many(problem(2, 2100, 301, trans_a, trans_b));
    CHECK_PRODUCT(many);
  });
}

// The same bits for every number of threads and every alignment.
TEST(deterministic) {
  for (auto [m, n, k] : {std::tuple<int, int, int>{300, 300, 400}, {30, 40, 9001}, {2, 3000, 300}, {3, 5, 140001}}) {
    for_transposes([&, m = m, n = n, k = k](bool trans_a, bool trans_b) {
      auto p = problem(m, n, k, trans_a, trans_b);
      Product<float> first(p), shifted(p, 1);
      for (int64_t i = 0; i < first.a.size(); i++) shifted.a.set(i + 1, first.a[i]);
      for (int64_t i = 0; i < first.b.size(); i++) shifted.b.set(i + 1, first.b[i]);
      cpu::set_threads(1);
      CALL(first.call());
      for (int threads : {2, 3, 8}) {
        cpu::set_threads(threads);
        CALL(shifted.call());
        bool same = true;
        for (int64_t i = 0; i < first.c.size(); i++) same = same && shifted.c.raw(i + 1) == first.c.raw(i);
        CHECK(same);
      }
      cpu::set_threads(0);
    });
  }
}

TEST(not_finite) {
  for_floating([](auto zero) {
    for (int64_t m : {4, 17}) check_not_finite<decltype(zero)>(m);
  });
}

