// What gr_matmul promises, whoever computes it.
#include "gradus/matmul.h"

#include <tuple>

#include "kernels/matmul_product.h"

using namespace gradus;
using namespace test;

TEST(empty) {
  for_floating([](auto zero) {
    using T = decltype(zero);
    for (auto [m, n, k] : {std::tuple<int, int, int>{0, 3, 4}, {3, 0, 4}, {0, 0, 0}}) {
      Product<T> product(problem(m, n, k));
      CALL(product.call());
    }
    auto p = problem(3, 9, 0);
    Product<T> zeros(p);
    CHECK_PRODUCT(zeros);
    CHECK_EQUAL(zeros.c[5], 0.0);
    p.accumulate = 1;
    Product<T> unchanged(p);
    CHECK_PRODUCT(unchanged);
    CHECK_EQUAL(unchanged.c[5], unchanged.before[5]);
    p = problem(3, 9, 4);
    p.batch = 0;
    Product<T> none(p);
    CALL(none.call());
  });
}

TEST(batches_share_operands) {
  for_floating([](auto zero) {
    using T = decltype(zero);
    auto p = problem(9, 24, 40);
    p.batch = 3;
    p.stride_a = 9 * 40;
    Product<T> shared_b(p);
    CHECK_PRODUCT(shared_b);
    p.stride_a = 0;
    p.stride_b = 24 * 40;
    p.trans_b = 1;
    p.accumulate = 1;
    Product<T> shared_a(p);
    CHECK_PRODUCT(shared_a);
  });
}

TEST(pitches_and_offsets) {
  for_floating([](auto zero) {
    using T = decltype(zero);
    for_transposes([&](bool trans_a, bool trans_b) {
      auto p = problem(20, 36, 24, trans_a, trans_b);
      p.batch = 2;
      p.lda = 40;
      p.ldb = 48;
      p.ldc = 56;
      p.stride_a = 40 * 24;
      p.stride_b = 48 * 36;
      p.stride_c = 56 * 20 + 8;
      Product<T> aligned(p);
      CHECK_PRODUCT(aligned);
      Product<T> offset(p, 1);  // of the address: the 16-byte paths must not be taken
      offset.add_bias(1);
      offset.add_residual();
      CHECK_PRODUCT(offset);
      p.ldc = 37;
      p.stride_c = 0;
      Product<T> odd(p);
      CHECK_PRODUCT(odd);
    });
  });
}

TEST(epilogues) {
  for_floating([](auto zero) {
    using T = decltype(zero);
    for (int64_t n : {40, 37}) {
      for (int options = 0; options < 32; options++) {
        auto p = problem(19, n, 24);
        p.batch = 2;
        p.stride_a = 19 * 24;
        p.activation = options & 1 ? GR_ACTIVATION_RELU : GR_ACTIVATION_NONE;
        p.accumulate = options >> 1 & 1;
        p.dropout_number = 3;
        p.dropout_p = 0.3;
        Product<T> product(p);
        if (options >> 2 & 1) product.add_bias(options >> 3 & 1);
        if (options >> 3 & 1) product.add_residual();
        product.with_dropout = options >> 4 & 1;
        CHECK_PRODUCT(product);
      }
    }
  });
}

namespace {

template <class T>
void check_wide() {
  for (auto [m, n, k] : {std::tuple<int, int, int>{1, 1, 1}, {5, 7, 1}, {17, 33, 40}, {40, 36, 0}, {66, 72, 65}, {3, 400, 200},
                         {300, 2, 257}, {20, 24, 1500}}) {
    for (int64_t offset : {0, 1}) {
      for (bool accumulate : {false, true}) {
        auto p = problem(m, n, k, true, false);  // that of a weight's gradient
        p.accumulate = accumulate;
        Product<T, float> product(p, offset);
        CHECK_PRODUCT(product);
      }
    }
  }
  for_transposes([](bool trans_a, bool trans_b) {
    auto p = problem(19, 24, 40, trans_a, trans_b);
    p.batch = 3;
    p.stride_a = 19 * 40;
    p.accumulate = trans_a != trans_b;
    Product<T, float> product(p);
    CHECK_PRODUCT(product);
  });
  auto p = problem(2, 3, 4);
  Product<T, float> large(p);
  for (int64_t i = 0; i < large.a.size(); i++) large.a.set(i, 256);
  for (int64_t i = 0; i < large.b.size(); i++) large.b.set(i, 256);
  CALL(large.call());
  CHECK_EQUAL(large.c[5], 262144.0);  // more than float16 can hold
  Product<T, float> biased(p);
  biased.add_bias(1);
  CHECK_EQUAL(biased.call(), int(GR_UNSUPPORTED));
  p.ldc = 4;
  Product<T, float> pitched(p);
  CHECK_EQUAL(pitched.call(), int(GR_UNSUPPORTED));
}

}  // namespace

TEST(wide_results) {
  check_wide<bfloat16>();
  check_wide<float16>();
}

TEST(dropout_of_everything) {
  auto p = problem(5, 16, 8);
  p.dropout_p = 1;
  Product<float> product(p);
  product.with_dropout = true;
  CALL(product.call());
  for (int64_t i = 0; i < product.c.size(); i++) CHECK_EQUAL(product.c[i], 0.0);
}

namespace {

template <class T>
void check_integers() {
  for_transposes([](bool trans_a, bool trans_b) {
    auto p = problem(17, 19, 35, trans_a, trans_b);
    p.batch = 2;
    p.stride_a = 17 * 35;
    p.accumulate = trans_a;
    Product<T> product(p);
    for (int64_t i = 0; i < product.a.size(); i++) product.a.set(i, double(i % 13) - (std::is_signed_v<T> ? 6 : 0));
    for (int64_t i = 0; i < product.b.size(); i++) product.b.set(i, double(i % 7) - (std::is_signed_v<T> ? 3 : 0));
    product.a.set(0, std::is_signed_v<T> ? -(1 << 30) : 255);  // wraps around in 32 bits
    CALL(product.call());
    for (int64_t batch = 0; batch < 2; batch++) {
      for (int64_t i = 0; i < 17; i++) {
        for (int64_t j = 0; j < 19; j++) {
          int64_t at = (batch * 17 + i) * 19 + j;
          uint64_t sum = p.accumulate != 0 ? uint64_t(int64_t(product.before[at])) : 0;
          for (int64_t l = 0; l < 35; l++) {
            sum += uint64_t(int64_t(product.left(batch, i, l)) * int64_t(product.right(batch, l, j)));
          }
          CHECK_EQUAL(int64_t(product.c.raw(at)), int64_t(T(sum)));
        }
      }
    }
  });
}

}  // namespace

TEST(integers) {
  check_integers<int32_t>();
  check_integers<int64_t>();
  check_integers<uint8_t>();
  Product<int32_t> zeros(problem(3, 4, 0));
  CALL(zeros.call());
  CHECK_EQUAL(zeros.c[3], 0.0);
  Product<int32_t> fused(problem(3, 4, 2));
  fused.add_bias(1);
  CHECK_EQUAL(fused.call(), int(GR_UNSUPPORTED));
}

TEST(refuses) {
  auto p = problem(3, -4, 2);
  CHECK_EQUAL(gr_matmul(0, 0, 0, 0, 0, 0, 0, 0, reinterpret_cast<int64_t>(&p), GR_FLOAT32, 0), int(GR_UNSUPPORTED));
  p = problem(3, 4, 2);
  CHECK_EQUAL(gr_matmul(0, 0, 0, 0, 0, 0, 0, 0, reinterpret_cast<int64_t>(&p), GR_BOOL, 0), int(GR_UNSUPPORTED));
}
