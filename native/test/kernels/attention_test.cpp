#include "attention_reference.h"

using namespace test;
using gradus::bfloat16;
using gradus::float16;

template <class T>
static void check(const AttentionCase& c, double units = kUnits<T>) {
  AttentionOperands<T> o(c);
  CALL(o.forward());
  AttentionResult expected = attention_reference(o);
  check_rows("out", o.out, expected.out, expected.out_terms, c, units);
  using A = gradus::accumulator_t<T>;
  for (int64_t i = 0; i < o.log_sum_exp.size(); i++) {
    CHECK_NEAR(o.log_sum_exp[i], expected.log_sum_exp[size_t(i)], 16 * unit<A>(), 16 * unit<A>());
  }
  if (failed()) print(c);
}

static AttentionCase sizes(int64_t queries, int64_t keys, int64_t dim) {
  AttentionCase c;
  c.queries = queries, c.keys = keys, c.dim = dim;
  return c;
}

template <class T>
static void check_sizes() {
  for (int64_t n : {1, 7, 64, 65}) check<T>(sizes(n, n, 16));
  check<T>(sizes(130, 70, 32));
  check<T>(sizes(7, 130, 64));
  check<T>(sizes(65, 33, 120));  // between two widths
  check<T>(sizes(17, 70, 256));
}
TEST(sizes_float) { check_sizes<float>(); }
TEST(sizes_double) { check_sizes<double>(); }
TEST(sizes_bfloat16) { check_sizes<bfloat16>(); }
TEST(sizes_float16) { check_sizes<float16>(); }

template <class T>
static void check_masks() {
  for (int64_t window : {0, 5, 40}) {
    AttentionCase c = sizes(70, 70, 24);
    c.window = window;
    c.causal = true;
    check<T>(c);
    c.queries = 20;  // the first query sees 51 keys
    check<T>(c);
    c.queries = 140, c.keys = 66;  // the first 74 queries see none
    check<T>(c);
    c.causal = false;
    if (window > 0) check<T>(c);
  }
}
TEST(masks_float) { check_masks<float>(); }
TEST(masks_bfloat16) { check_masks<bfloat16>(); }

template <class T>
static void check_heads() {
  AttentionCase c = sizes(33, 40, 16);
  c.batch = 2, c.heads = 4, c.kv_heads = 2, c.causal = true;
  check<T>(c);
  c.storage = Storage::heads_inner;
  check<T>(c);
  c.storage = Storage::odd;
  check<T>(c);
  c.dim = 5;  // no whole piece of 16 bytes
  check<T>(c);
}
TEST(heads_float) { check_heads<float>(); }
TEST(heads_double) { check_heads<double>(); }
TEST(heads_bfloat16) { check_heads<bfloat16>(); }
TEST(heads_float16) { check_heads<float16>(); }

template <class T>
static void check_dropout() {
  AttentionCase c = sizes(20, 72, 16);
  c.heads = 2;
  c.dropout = 0.3;
  check<T>(c);
  c.keys = 37;  // rows of the mask begin within Philox blocks
  check<T>(c);
  c.dropout = 1;
  check<T>(c);
}
TEST(dropout_float) { check_dropout<float>(); }
TEST(dropout_bfloat16) { check_dropout<bfloat16>(); }

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

// Logits of several hundreds: exp would overflow without the maximum.
template <class T>
static void check_large_logits() {
  AttentionCase c = sizes(40, 100, 16);
  c.scale = 20;
  c.magnitude = 4;
  // The relative error of a probability is the absolute error of its logit.
  check<T>(c, sizeof(T) == 2 ? 3 : 20000);
}
TEST(large_logits_float) { check_large_logits<float>(); }
TEST(large_logits_bfloat16) { check_large_logits<bfloat16>(); }

// Scales that the tensor cores' kernel does not take.
TEST(scales_not_above_zero) {
  AttentionCase c = sizes(20, 20, 16);
  c.causal = true;
  c.scale = -0.5;
  check<bfloat16>(c);
  AttentionOperands<bfloat16> o(c);
  o.problem.scale = 0;
  CALL(o.forward());
  AttentionResult expected = attention_reference(o);
  check_rows("out", o.out, expected.out, expected.out_terms, c, kUnits<bfloat16>);
}

TEST(empty) {
  AttentionCase c = sizes(3, 0, 16);
  AttentionOperands<bfloat16> o(c);
  CALL(o.forward());
  for (int64_t i = 0; i < o.out.size(); i++) CHECK(o.out[i] == 0);
  for (int64_t i = 0; i < 3; i++) CHECK(o.log_sum_exp[i] == -INFINITY);
  AttentionOperands<float> none(sizes(0, 4, 16));
  CALL(none.forward());
  c = sizes(2, 2, 16);
  c.batch = 0;
  AttentionOperands<float> no_batch(c);
  CALL(no_batch.forward());
}

template <class T>
static void check_not_finite() {
  AttentionCase c = sizes(20, 20, 16);
  c.causal = true;
  AttentionOperands<T> o(c);
  o.q.set(3 * 16 + 2, NAN);
  for (int64_t d = 0; d < 16; d++) o.k.set(9 * 16 + d, d == 0 ? INFINITY : 0);  // key 9: logits of +inf or -inf by the sign of q
  CALL(o.forward());
  for (int64_t i = 0; i < 20; i++) {
    double q0 = o.q[i * 16];
    bool expected = i == 3 || (i >= 9 && q0 > 0);
    CHECK_EQUAL(int(std::isnan(o.out[i * 16])), int(expected));
    CHECK_EQUAL(int(std::isnan(o.log_sum_exp[i])), int(expected));
  }
}
TEST(not_finite_float) { check_not_finite<float>(); }
TEST(not_finite_float16) { check_not_finite<float16>(); }

TEST(refusals) {
  AttentionOperands<float> o(sizes(2, 2, 16));
  o.problem.dim = 257;
  CHECK_EQUAL(o.forward(), int(GR_UNSUPPORTED));
  o.problem = problem_of(sizes(2, 2, 16));
  o.problem.heads = 3, o.problem.kv_heads = 2;
  CHECK_EQUAL(o.forward(), int(GR_ERROR));
  CHECK_CONTAINS(gradus::error_text(), "kv_heads");
  o.problem = problem_of(sizes(2, 2, 16));
  CHECK_EQUAL(gr_attention_forward(0, 0, 0, 0, 0, 0, o.problem_address(), GR_INT32, 0), int(GR_UNSUPPORTED));
  // Without a place for log_sum_exp.
  CALL(gr_attention_forward(o.q.address(), o.k.address(), o.v.address(), 0, o.out.address(), 0, o.problem_address(), GR_FLOAT32,
                            0));
}

// The same bits in every order of threads and blocks.
template <class T>
static void check_deterministic() {
  using gradus::emulator::Order;
  AttentionCase c = sizes(40, 70, 16);
  c.heads = 2, c.causal = true, c.dropout = 0.1;
  AttentionOperands<T> first(c);
  CALL(first.forward());
  gradus::emulator::Options saved = gradus::emulator::options();
  for (Order order : {Order::reverse, Order::random}) {
    gradus::emulator::options().order = order;
    AttentionOperands<T> o(c);
    CALL(o.forward());
    for (int64_t i = 0; i < o.out.size(); i++) CHECK(o.out[i] == first.out[i]);
    for (int64_t i = 0; i < o.log_sum_exp.size(); i++) CHECK(o.log_sum_exp[i] == first.log_sum_exp[i]);
  }
  gradus::emulator::options() = saved;
}
TEST(deterministic) {
  check_deterministic<float>();
  check_deterministic<bfloat16>();
}
