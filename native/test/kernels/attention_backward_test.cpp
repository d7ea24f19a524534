#include "attention_checks.h"

using namespace test;
using gradus::bfloat16;
using gradus::float16;

namespace {

template <class T>
auto check = [](const AttentionCase& c) { check_backward<T>(c); };

template <class T>
void check_sizes() {
  for (int64_t n : {1, 7, 64, 65}) check_backward<T>(sizes(n, n, 16));
  check_backward<T>(sizes(130, 70, 32));
  check_backward<T>(sizes(7, 130, 64));
  check_backward<T>(sizes(40, 33, 120));  // between two widths
  check_backward<T>(sizes(17, 20, 256));
}

}  // namespace

TEST(sizes_float) { check_sizes<float>(); }
TEST(sizes_double) { check_sizes<double>(); }
TEST(sizes_bfloat16) { check_sizes<bfloat16>(); }
TEST(sizes_float16) { check_sizes<float16>(); }

TEST(masks_float) { for_masks(70, {0, 5}, check<float>); }
TEST(masks_bfloat16) { for_masks(70, {0, 5}, check<bfloat16>); }

TEST(heads_float) { for_heads(20, check<float>); }
TEST(heads_double) { for_heads(20, check<double>); }
TEST(heads_bfloat16) { for_heads(20, check<bfloat16>); }
TEST(heads_float16) { for_heads(20, check<float16>); }

TEST(dropout_float) { for_dropout(40, 72, check<float>); }
TEST(dropout_bfloat16) { for_dropout(40, 72, check<bfloat16>); }

TEST(difference_quotients) { check_difference_quotients(); }

// Logits of several hundreds: the saved log-sum-exp keeps the probabilities at most 1.
TEST(large_logits) {
  AttentionCase c = sizes(40, 50, 16);
  c.scale = 10;
  c.magnitude = 4;
  check_backward<float>(c, 20000);
  check_backward<bfloat16>(c);
}

TEST(absent_gradients) {
  check_absent<float>(8);
  check_absent<bfloat16>(16);
  check_absent<bfloat16>(136);  // two passes over the keys
}

TEST(scratch_too_small) { check_scratch_too_small(); }

TEST(deterministic) {
  AttentionCase c = sizes(40, 70, 16, true);
  c.heads = 2, c.dropout = 0.1;
  check_deterministic<float>(c, true);
  check_deterministic<bfloat16>(c, true);
}
