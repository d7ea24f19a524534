#include "attention_checks.h"

using namespace test;
using gradus::bfloat16;
using gradus::float16;

namespace {

template <class T>
auto check = [](const AttentionCase& c) { check_forward<T>(c); };

template <class T>
void check_sizes() {
  for (int64_t n : {1, 7, 64, 65}) check_forward<T>(sizes(n, n, 16));
  check_forward<T>(sizes(130, 70, 32));
  check_forward<T>(sizes(7, 130, 64));
  check_forward<T>(sizes(65, 33, 120));  // between two widths
  check_forward<T>(sizes(17, 70, 256));
}

}  // namespace

TEST(sizes_float) { check_sizes<float>(); }
TEST(sizes_double) { check_sizes<double>(); }
TEST(sizes_bfloat16) { check_sizes<bfloat16>(); }
TEST(sizes_float16) { check_sizes<float16>(); }

TEST(masks_float) { for_masks(70, {0, 5, 40}, check<float>); }
TEST(masks_bfloat16) { for_masks(70, {0, 5, 40}, check<bfloat16>); }

TEST(heads_float) { for_heads(40, check<float>); }
TEST(heads_double) { for_heads(40, check<double>); }
TEST(heads_bfloat16) { for_heads(40, check<bfloat16>); }
TEST(heads_float16) { for_heads(40, check<float16>); }

TEST(dropout_float) { for_dropout(20, 72, check<float>); }
TEST(dropout_bfloat16) { for_dropout(20, 72, check<bfloat16>); }

// With v = 1 and q = 0 the mean of out is the share of kept keys over 1 - p.
TEST(dropout_keeps_its_share) {
  AttentionCase c = sizes(64, 512, 8);
  c.dropout = 0.25;
  AttentionOperands<float> o(c);
  for (int64_t i = 0; i < o.q.size(); i++) o.q.set(i, 0);
  for (int64_t i = 0; i < o.v.size(); i++) o.v.set(i, 1);
  CALL(o.forward());
  double mean = 0;
  for (int64_t i = 0; i < o.out.size(); i++) mean += o.out[i] / double(o.out.size());
  CHECK_NEAR(mean, 1, 0, 5 * std::sqrt(0.25 / 0.75 / (64 * 512)));
}

// Logits of several hundreds: exp would overflow without the maximum. The relative error of a probability is the absolute error of
// its logit.
TEST(large_logits) {
  AttentionCase c = sizes(40, 100, 16);
  c.scale = 20;
  c.magnitude = 4;
  check_forward<float>(c, 20000);
  check_forward<bfloat16>(c, 3);
}

// Scales that the tensor cores' kernel does not take.
TEST(scales_not_above_zero) { check_scales_not_above_zero<bfloat16>(); }

TEST(nothing) {
  check_nothing<float>(3);
  check_nothing<bfloat16>(3);
  check_nothing<float16>(3);
}

TEST(not_finite_float) { check_not_finite<float>(); }
TEST(not_finite_float16) { check_not_finite<float16>(); }

TEST(refusals) { check_refusals(); }

TEST(deterministic) {
  AttentionCase c = sizes(40, 70, 16, true);
  c.heads = 2, c.dropout = 0.1;
  check_deterministic<float>(c, false);
  check_deterministic<bfloat16>(c, false);
}
