// The Hopper kernel, forced for shapes that the plan would not give it: every tile, layout and type, ragged in every direction.
#include <tuple>

#include "kernels/hopper_device.h"
#include "kernels/matmul_hopper_order.h"
#include "kernels/matmul_product.h"

using namespace gradus;
using namespace test;

namespace {

// An element type and how it is multiplied.
template <class T, Multiply kind>
struct Kind {
  using Element = T;
  static constexpr Multiply kMultiply = kind;
};
using Bf16 = Kind<bfloat16, Multiply::tensor>;
using Fp16 = Kind<float16, Multiply::tensor>;
using Tf32 = Kind<float, Multiply::tf32>;
using Tf32x3 = Kind<float, Multiply::tf32x3>;

int64_t rounded_up(int64_t n, int64_t to) { return (n + to - 1) / to * to; }

// Pitches that TMA can read, whatever the sizes; C's too, or odd.
template <class K>
gr_matmul_problem pitched(int64_t m, int64_t n, int64_t k, bool trans_a, bool trans_b, bool pitched_c = true) {
  constexpr int64_t kMultiple = kPackSize<typename K::Element>;
  auto p = problem(m, n, k, trans_a, trans_b);
  if (K::kMultiply == Multiply::tf32) p.precision = GR_PRECISION_TF32;
  if (K::kMultiply == Multiply::tf32x3) p.precision = GR_PRECISION_TF32X3;
  p.lda = rounded_up(trans_a ? m : k, kMultiple);
  p.ldb = rounded_up(trans_b ? k : n, kMultiple);
  p.ldc = pitched_c ? rounded_up(n, kMultiple) : n;
  return p;
}

// Slices of K in elements.
template <class K>
int depth(int slices) {
  return slices * 128 / int(sizeof(typename K::Element));
}

template <class T>
void check_hopper(Product<T>& product, Multiply kind, const char* file, int line) {
  if (!has_hopper()) return;
  MatmulSizes sizes(product.p);
  CHECK(plan_for(sizes.p, kind, int(sizeof(T)), true).path == MatmulPath::hopper);
  CHECK(hopper_reads(product.a.address(), product.b.address()));
  check(product, file, line);
}
#define CHECK_HOPPER(K, product) check_hopper(product, K::kMultiply, __FILE__, __LINE__)

// f(Kind, trans_a, trans_b) for all that a tile multiplies.
template <class K, class F>
void for_layouts_of(int tile, F f) {
  for_transposes([&](bool trans_a, bool trans_b) {
    bool prepares = hopper_prepares(K::kMultiply, !trans_a && trans_b);
    if (kHopperTiles[tile].prepares == prepares) f(K{}, trans_a, trans_b);
  });
}
// float16 differs from bfloat16 in nothing but the instruction.
template <class F>
void for_layouts(int tile, F f) {
  for_layouts_of<Bf16>(tile, f);
  for_layouts_of<Tf32>(tile, f);
  for_layouts_of<Tf32x3>(tile, f);
}
template <class F>
void for_kinds(int tile, F f) {
  for_layouts(tile, f);
  for_layouts_of<Fp16>(tile, f);
}

}  // namespace

TEST(hopper_small_and_odd_sizes) {
  using Size = std::tuple<int, int, int>;
  for (int tile = 0; tile < kHopperTileCount; tile++) {
    Hopper hopper(tile);
    for (auto [m, n, k] : {Size{1, 1, 1}, Size{5, 3, 1}, Size{3, 9, 65}, Size{65, 17, 33}, Size{1, 70, 130}}) {
      for_kinds(tile, [&, m = m, n = n, k = k](auto kind, bool trans_a, bool trans_b) {
        using K = decltype(kind);
        Product<typename K::Element> product(pitched<K>(m, n, k, trans_a, trans_b, m != 65));
        CHECK_HOPPER(K, product);
      });
    }
  }
}

// Several tiles in each direction, the last of them cut, and more slices than the ring has stages.
TEST(hopper_tiles) {
  for (int tile = 0; tile < kHopperTileCount; tile++) {
    Hopper hopper(tile);
    int m = kHopperTiles[tile].m + 17, n = kHopperTiles[tile].n + 41;
    for_layouts(tile, [&](auto kind, bool trans_a, bool trans_b) {
      using K = decltype(kind);
      Product<typename K::Element> product(pitched<K>(m, n, depth<K>(kHopperTiles[tile].stages + 1) + 3, trans_a, trans_b));
      product.add_bias(trans_a);
      product.p.activation = GR_ACTIVATION_RELU;
      CHECK_HOPPER(K, product);
    });
  }
}

// More units than blocks: the ring and the consumers' turns go on from tile to tile, at even and odd numbers of slices.
TEST(hopper_persistent) {
  for (int tile = 0; tile < kHopperTileCount; tile++) {
    if (kHopperTiles[tile].prepares) continue;  // the same order of work
    Hopper hopper(tile);
    for (int slices : {1, 2, 5}) {
      auto p = pitched<Bf16>(kHopperTiles[tile].m * 2 + 8, kHopperTiles[tile].n - 8, slices * 64, false, true);
      p.batch = 3;
      p.stride_a = p.m * p.lda;
      p.stride_b = p.n * p.ldb;
      Product<bfloat16> by_tma(p);
      by_tma.add_bias(0);
      CHECK_HOPPER(Bf16, by_tma);
      p.accumulate = 1;
      Product<bfloat16> by_rows(p);
      CHECK_HOPPER(Bf16, by_rows);
    }
  }
}

TEST(hopper_groups_of_rows) {
  Hopper hopper(2);
  Product<float16> product(pitched<Fp16>(64 * (kUnitGroup + 1) + 8, 130, 64, false, false));
  CHECK_HOPPER(Fp16, product);
}

// Pairs of blocks that share columns of B; the last pair reaches below the matrix.
TEST(hopper_clusters) {
  for (int tile = 0; tile < kHopperTileCount; tile++) {
    if (!kHopperTiles[tile].cluster) continue;
    Hopper hopper(tile, 2);
    for_layouts(tile, [&](auto kind, bool trans_a, bool trans_b) {
      using K = decltype(kind);
      int m = kHopperTiles[tile].m * 2 + 9, n = kHopperTiles[tile].n + 20;
      Product<typename K::Element> product(pitched<K>(m, n, depth<K>(5) - 5, trans_a, trans_b, trans_b));
      product.add_bias(1);
      CHECK_HOPPER(K, product);
    });
  }
}

TEST(hopper_batches_share_operands) {
  Hopper hopper(2);
  for_transposes([](bool trans_a, bool trans_b) {
    auto p = problem(24, 40, 72, trans_a, trans_b);
    p.batch = 3;
    p.stride_a = 24 * 72;
    Product<bfloat16> shared_b(p);
    CHECK_HOPPER(Bf16, shared_b);
    p.stride_a = 0;
    p.stride_b = 40 * 72;
    p.stride_c = 24 * 40 + 3;  // not for TMA
    Product<bfloat16> shared_a(p);
    CHECK_HOPPER(Bf16, shared_a);
  });
}

TEST(hopper_parts_of_k) {
  for (int tile = 0; tile < kHopperTileCount; tile++) {
    Hopper hopper(tile, kHopperTiles[tile].cluster ? 2 : 1, 3);
    for_layouts(tile, [&](auto kind, bool trans_a, bool trans_b) {
      using K = decltype(kind);
      auto p = pitched<K>(70, 37, depth<K>(7) + 1, trans_a, trans_b, trans_a);
      p.batch = 2;
      p.stride_a = p.lda * (trans_a ? p.k : p.m);
      p.stride_b = p.ldb * (trans_b ? p.n : p.k);
      p.accumulate = 1;
      p.activation = GR_ACTIVATION_RELU;
      Product<typename K::Element> product(p);
      product.add_bias(1);
      product.add_residual();
      CHECK_HOPPER(K, product);
      if (has_hopper()) CHECK_EQUAL(product.call(1), int(GR_ERROR));
    });
  }
}

// TMA and rows round alike: a C that TMA can write, and one that it cannot.
TEST(hopper_stores_agree) {
  if (!has_hopper()) return;
  for (int tile = 0; tile < kHopperTileCount; tile++) {
    if (kHopperTiles[tile].prepares) continue;  // the same code
    Hopper hopper(tile);
    auto p = pitched<Fp16>(100, 72, 200, false, true);
    p.activation = GR_ACTIVATION_RELU;
    Product<float16> by_tma(p);
    p.ldc = 73;
    Product<float16> by_rows(p);
    by_tma.add_bias(1);
    by_rows.add_bias(1);
    CALL(by_tma.call());
    CALL(by_rows.call());
    for (int64_t i = 0; i < p.m; i++) {
      for (int64_t j = 0; j < p.n; j++) CHECK_EQUAL(by_tma.c[i * by_tma.ldc + j], by_rows.c[i * 73 + j]);
    }
  }
}

// Sums that go to a wide C by rows, in each tile, also from several parts of K.
TEST(hopper_wide_results) {
  if (!has_hopper()) return;
  for (int tile = 0; tile < kHopperTileCount; tile++) {
    if (kHopperTiles[tile].prepares) continue;
    for (int splits : {1, 3}) {
      Hopper hopper(tile, kHopperTiles[tile].cluster ? 2 : 1, splits);
      for (bool accumulate : {false, true}) {
        auto p = problem(136, 72, 400, true, false);
        p.accumulate = accumulate;
        MatmulSizes sizes(p);
        CHECK(plan_for(sizes.p, Multiply::tensor, 2, true).path == MatmulPath::hopper);
        Product<bfloat16, float> product(p);
        CHECK_PRODUCT(product);
        auto ragged = problem(70, 37, 100, false, true);  // rows of C at odd multiples of 4 bytes
        ragged.lda = ragged.ldb = 104;
        ragged.accumulate = accumulate;
        Product<float16, float> odd(ragged);
        CHECK_PRODUCT(odd);
      }
    }
  }
}

TEST(hopper_not_finite) {
  if (!has_hopper()) return;
  for (int64_t ldc : {24, 25}) {
    Hopper hopper(2);
    check_not_finite<bfloat16>(17, ldc);
  }
}

// What TMA or wgmma cannot read stays with the portable kernels.
TEST(hopper_takes_what_it_can) {
  auto takes = [](const gr_matmul_problem& p, Multiply kind, int bytes) {
    MatmulSizes sizes(p);
    return plan_for(sizes.p, kind, bytes, true).path == MatmulPath::hopper;
  };
  CHECK(takes(problem(64, 64, 64), Multiply::tensor, 2));
  CHECK(!takes(problem(64, 63, 64), Multiply::tensor, 2));              // rows of B at odd multiples of 2 bytes
  CHECK(takes(problem(64, 63, 64, false, true), Multiply::tensor, 2));  // C may have them
  CHECK(!takes(problem(64, 64, 0), Multiply::tensor, 2));
  CHECK(!takes(problem(1, 4096, 4096, false, true), Multiply::tensor, 2));  // a vector
  for_transposes([&](bool trans_a, bool trans_b) {
    CHECK_EQUAL(takes(problem(64, 64, 64, trans_a, trans_b), Multiply::tf32, 4), !trans_a || trans_b);
    CHECK(takes(problem(64, 64, 64, trans_a, trans_b), Multiply::tf32x3, 4));
    CHECK(!takes(problem(64, 64, 64, trans_a, trans_b), Multiply::simt, 4));
  });
  auto p = problem(64, 64, 64);
  p.batch = 2;
  p.stride_a = 64 * 64 + 8;  // the driver wants a multiple of the pitch
  CHECK(!takes(p, Multiply::tensor, 2));
  p.stride_a = 64 * 65;
  CHECK(takes(p, Multiply::tensor, 2));
  p.lda = 56;  // rows overlap
  CHECK(!takes(p, Multiply::tensor, 2));
  CHECK(hopper_reads(64, 32));
  CHECK(!hopper_reads(64, 40));
}

// The plan of well-known sizes.
TEST(hopper_plans) {
  auto plan = [](int64_t m, int64_t n, int64_t k) { return plan_hopper(problem(m, n, k, false, true), Multiply::tensor); };
  CHECK_EQUAL(plan(8192, 8192, 8192).tile, 0);
  CHECK_EQUAL(plan(8192, 8192, 8192).cluster, 2);
  CHECK_EQUAL(plan(8192, 8192, 8192).splits, 1);
  CHECK_EQUAL(plan(8192, 8192, 64).tile, 1);   // mostly storing
  CHECK_EQUAL(plan(64, 64, 64).tile, 2);
  CHECK(plan(256, 256, 65536).splits > 8);     // few tiles, long sums
  CHECK_EQUAL(plan(1, 1, 1).splits, 1);
  CHECK(!uses_scratch(plan(1, 1, 1)));
  for_transposes([](bool trans_a, bool trans_b) {
    for (Multiply kind : {Multiply::tf32, Multiply::tf32x3}) {
      MatmulPlan plan = plan_hopper(problem(512, 512, 512, trans_a, trans_b), kind);
      CHECK_EQUAL(kHopperTiles[plan.tile].prepares, hopper_prepares(kind, !trans_a && trans_b));
    }
  });
}

// Rows of the measured table count for their own product alone, and only where their tile can compute it.
TEST(hopper_tuned_plans) {
  const HopperTuned rows[] = {
      {Multiply::tensor, false, true, 512, 256, 1024, 3, 1, 1},  // a tile that prepares
      {Multiply::tensor, false, true, 512, 256, 1024, 2, 2, 1},  // a tile without clusters
      {Multiply::tensor, false, true, 512, 256, 1024, 2, 1, 4},
      {Multiply::tf32, true, true, 512, 256, 1024, 4, 1, 2},
      {Multiply::tensor, false, false, 512, 256, 1024, 9, 1, 1},  // no such tile
  };
  HopperTuned found{};
  CHECK(find_tuned(rows, problem(512, 256, 1024, false, true), Multiply::tensor, &found));
  CHECK_EQUAL(found.tile, 2);
  CHECK_EQUAL(found.splits, 4);
  CHECK(find_tuned(rows, problem(512, 256, 1024, true, true), Multiply::tf32, &found));
  CHECK_EQUAL(found.tile, 4);
  CHECK(!find_tuned(rows, problem(512, 256, 1025, false, true), Multiply::tensor, &found));
  CHECK(!find_tuned(rows, problem(512, 256, 1024, false, true), Multiply::tf32, &found));
  CHECK(!find_tuned(rows, problem(512, 256, 1024, false, false), Multiply::tensor, &found));
  auto batched = problem(512, 256, 1024, false, true);
  batched.batch = 2;
  CHECK(!find_tuned(rows, batched, Multiply::tensor, &found));
}

TEST(hopper_forced_by_environment) {
  CHECK_EQUAL(parse_forced("2,1,4").hopper, 2);
  CHECK_EQUAL(parse_forced("2,1,4").cluster, 1);
  CHECK_EQUAL(parse_forced("2,1,4").splits, 4);
  for (const char* text : {"", "2", "0,1,1", "6,1,1", "2,3,1", "2,1,65", "tile"}) CHECK(!parse_forced(text).any());
  CHECK(!parse_forced(nullptr).any());
  // A tile that cannot compute a product leaves the choice.
  Hopper prepares(3);
  CHECK(!kHopperTiles[plan_hopper(problem(512, 512, 512, false, true), Multiply::tensor).tile].prepares);
}

// 3xTF32 errs about as much as float32, in every layout.
TEST(hopper_tf32x3_precision) {
  if (!has_hopper()) return;
  for_transposes([](bool trans_a, bool trans_b) {
    double error[2];
    for (int exact : {0, 1}) {
      auto p = problem(24, 40, 512, trans_a, trans_b);
      p.precision = exact != 0 ? GR_PRECISION_EXACT : GR_PRECISION_TF32X3;
      Hopper hopper(3);
      Product<float> product(p);
      CALL(product.call());
      error[exact] = 0;
      for (int64_t i = 0; i < p.m; i++) {
        for (int64_t j = 0; j < p.n; j++) {
          double y = 0;
          for (int64_t l = 0; l < p.k; l++) y += product.left(0, i, l) * product.right(0, l, j);
          error[exact] += (product.c[i * p.n + j] - y) * (product.c[i * p.n + j] - y);
        }
      }
    }
    CHECK(error[0] < 4 * error[1]);
    CHECK(error[0] > 0);
  });
}
