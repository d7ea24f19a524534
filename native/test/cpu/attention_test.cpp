#include "kernels/attention_checks.h"

#include <tuple>

#include "cpu/parallel.h"

using namespace test;
using gradus::bfloat16;
using gradus::float16;

namespace {

template <class T>
auto check = [](const AttentionCase& c) { check_both<T>(c); };

// Up to four queries take a way of their own.
template <class T>
void check_sizes() {
  for (auto [queries, keys, dim] : {std::tuple<int, int, int>{1, 1, 1}, {1, 300, 40}, {3, 131, 17}, {4, 4, 8}, {5, 7, 16},
                                    {64, 128, 16}, {65, 129, 33}, {130, 70, 32}, {7, 270, 64}, {17, 70, 256}}) {
    check_both<T>(sizes(queries, keys, dim));
  }
}

// The same bits for every number of threads.
template <class T>
void check_deterministic(int64_t queries) {
  AttentionCase c = sizes(queries, 400, 32);
  c.batch = 2, c.heads = 2, c.causal = true, c.dropout = 0.1;
  gradus::cpu::set_threads(1);
  AttentionOperands<T> first(c);
  CALL(first.forward());
  CALL(first.backward());
  for (int threads : {2, 3, 8}) {
    gradus::cpu::set_threads(threads);
    AttentionOperands<T> o(c);
    CALL(o.forward());
    CALL(o.backward());
    CHECK(same_bits(o, first));
  }
  gradus::cpu::set_threads(0);
}

}  // namespace

TEST(attention_sizes) {
  check_sizes<float>();
  check_sizes<double>();
  check_sizes<bfloat16>();
  check_sizes<float16>();
}

TEST(attention_masks) {
  for_masks(170, {0, 5, 40}, check<float>);
  for_masks(170, {0, 5, 40}, check<bfloat16>);
}

TEST(attention_heads) {
  for_heads(40, check<float>);
  for_heads(40, check<double>);
  for_heads(40, check<bfloat16>);
  for_heads(40, check<float16>);
}

TEST(attention_dropout) {
  for (int64_t queries : {3, 20, 70}) {
    for_dropout(queries, 272, check<float>);
    for_dropout(queries, 272, check<bfloat16>);
  }
}

// Logits of several hundreds: exp would overflow without the maximum. The relative error of a probability is the absolute error of
// its logit.
TEST(attention_large_logits) {
  AttentionCase c = sizes(40, 150, 16);
  c.scale = 20;
  c.magnitude = 4;
  check_both<float>(c, 20000);
  check_both<bfloat16>(c, 20);
}

TEST(attention_scales_not_above_zero) { check_scales_not_above_zero<float>(); }

TEST(attention_of_nothing) {
  check_nothing<bfloat16>(3);
  check_nothing<bfloat16>(30);
  check_nothing<float>(3);
}

TEST(attention_not_finite) {
  check_not_finite<float>();
  check_not_finite<float16>();
}

TEST(attention_refusals) { check_refusals(); }

TEST(attention_absent_gradients) {
  check_absent<float>(8);
  check_absent<bfloat16>(16);
}

TEST(attention_scratch_too_small) { check_scratch_too_small(); }

TEST(attention_difference_quotients) { check_difference_quotients(); }

TEST(attention_deterministic) {
  check_deterministic<float>(300);
  check_deterministic<bfloat16>(70);
  check_deterministic<float>(2);
}
