#include <tuple>

#include "cpu/parallel.h"
#include "kernels/attention_reference.h"

using namespace test;
using gradus::bfloat16;
using gradus::float16;

// Out, log-sum-exp and gradients against plain loops.
template <class T>
static void check(const AttentionCase& c, double units = kUnits<T>) {
  AttentionOperands<T> o(c);
  CALL(o.forward());
  CALL(o.backward());
  AttentionResult expected = attention_reference(o);
  check_rows("out", o.out, expected.out, expected.out_terms, c, units);
  check_rows("grad_q", o.grad_q, expected.grad_q, expected.grad_q_terms, c, units);
  check_rows("grad_k", o.grad_k, expected.grad_k, expected.grad_k_terms, c, units);
  check_rows("grad_v", o.grad_v, expected.grad_v, expected.grad_v_terms, c, units);
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

// Up to four queries take a way of their own.
template <class T>
static void check_sizes() {
  for (auto [queries, keys, dim] : {std::tuple<int, int, int>{1, 1, 1}, {1, 300, 40}, {3, 131, 17}, {4, 4, 8}, {5, 7, 16},
                                    {64, 128, 16}, {65, 129, 33}, {130, 70, 32}, {7, 270, 64}, {17, 70, 256}}) {
    check<T>(sizes(queries, keys, dim));
  }
}
TEST(attention_sizes) {
  check_sizes<float>();
  check_sizes<double>();
  check_sizes<bfloat16>();
  check_sizes<float16>();
}

template <class T>
static void check_masks() {
  for (int64_t window : {0, 5, 40}) {
    AttentionCase c = sizes(170, 170, 24);
    c.window = window;
    c.causal = true;
    check<T>(c);
    c.queries = 20;  // the first query sees 151 keys
    check<T>(c);
    c.queries = 4;
    check<T>(c);
    c.queries = 140, c.keys = 66;  // the first 74 queries see none
    check<T>(c);
    c.causal = false;
    if (window > 0) check<T>(c);
  }
}
TEST(attention_masks) {
  check_masks<float>();
  check_masks<bfloat16>();
}

template <class T>
static void check_heads() {
  AttentionCase c = sizes(33, 40, 16);
  c.batch = 2, c.heads = 4, c.kv_heads = 2, c.causal = true;
  check<T>(c);
  c.storage = Storage::heads_inner;
  check<T>(c);
  c.queries = 2;
  check<T>(c);
  c.storage = Storage::odd;
  check<T>(c);
  c.queries = 33;
  c.dim = 5;
  check<T>(c);
}
TEST(attention_heads) {
  check_heads<float>();
  check_heads<double>();
  check_heads<bfloat16>();
  check_heads<float16>();
}

template <class T>
static void check_dropout() {
  for (int64_t queries : {3, 20, 70}) {
    AttentionCase c = sizes(queries, 272, 16);
    c.heads = 2;
    c.dropout = 0.3;
    check<T>(c);
    c.keys = 37;  // rows of the mask begin within Philox blocks
    check<T>(c);
    c.dropout = 1;
    check<T>(c);
  }
}
TEST(attention_dropout) {
  check_dropout<float>();
  check_dropout<bfloat16>();
}

// Logits of several hundreds: exp would overflow without the maximum. The relative error of a probability is the absolute error of
// its logit.
TEST(attention_large_logits) {
  AttentionCase c = sizes(40, 150, 16);
  c.scale = 20;
  c.magnitude = 4;
  check<float>(c, 20000);
  check<bfloat16>(c, 20);
}

TEST(attention_scales_not_above_zero) {
  AttentionCase c = sizes(20, 20, 16);
  c.causal = true;
  for (double scale : {-0.5, 0.0}) {
    AttentionOperands<float> o(c);
    o.problem.scale = scale;
    CALL(o.forward());
    AttentionResult expected = attention_reference(o);
    check_rows("out", o.out, expected.out, expected.out_terms, c, kUnits<float>);
  }
}

TEST(attention_of_nothing) {
  for (int64_t queries : {3, 30}) {
    AttentionOperands<bfloat16> no_keys(sizes(queries, 0, 16));
    CALL(no_keys.forward());
    CALL(no_keys.backward());
    for (int64_t i = 0; i < no_keys.out.size(); i++) CHECK(no_keys.out[i] == 0 && no_keys.grad_q[i] == 0);
    for (int64_t i = 0; i < queries; i++) CHECK(no_keys.log_sum_exp[i] == -INFINITY);
  }
  AttentionOperands<float> no_queries(sizes(0, 4, 16));
  CALL(no_queries.forward());
  CALL(no_queries.backward());
  for (int64_t i = 0; i < no_queries.grad_k.size(); i++) CHECK(no_queries.grad_k[i] == 0 && no_queries.grad_v[i] == 0);
  AttentionCase c = sizes(2, 2, 16);
  c.batch = 0;
  AttentionOperands<float> no_batch(c);
  CALL(no_batch.forward());
  CALL(no_batch.backward());
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
TEST(attention_not_finite) {
  check_not_finite<float>();
  check_not_finite<float16>();
}

TEST(attention_refusals) {
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

// Each gradient alone is what it is beside the others, and what is not asked for is left as it is.
template <class T>
static void check_absent(int64_t dim) {
  AttentionOperands<T> all(sizes(20, 30, dim));
  CALL(all.forward());
  CALL(all.backward());
  Array<uint8_t> scratch(gr_attention_backward_scratch(all.problem_address(), Array<T>::dtype(), 0));
  for (int wanted = 0; wanted < 3; wanted++) {
    Array<T> q(all.q.size(), -7), k(all.k.size(), -7), v(all.k.size(), -7);
    CALL(all.backward(wanted == 0 ? q.address() : 0, wanted == 1 ? k.address() : 0, wanted == 2 ? v.address() : 0,
                      scratch.address(), scratch.bytes()));
    for (int64_t i = 0; i < q.size(); i++) CHECK(q[i] == (wanted == 0 ? all.grad_q[i] : -7));
    for (int64_t i = 0; i < k.size(); i++) CHECK(k[i] == (wanted == 1 ? all.grad_k[i] : -7));
    for (int64_t i = 0; i < v.size(); i++) CHECK(v[i] == (wanted == 2 ? all.grad_v[i] : -7));
  }
}
TEST(attention_absent_gradients) {
  check_absent<float>(8);
  check_absent<bfloat16>(16);
}

TEST(attention_scratch_too_small) {
  AttentionOperands<float> o(sizes(3, 3, 8));
  CALL(o.forward());
  Array<uint8_t> scratch(gr_attention_backward_scratch(o.problem_address(), GR_FLOAT32, 0));
  int status = o.backward(o.grad_q.address(), o.grad_k.address(), o.grad_v.address(), scratch.address(), scratch.bytes() - 1);
  CHECK_EQUAL(status, int(GR_ERROR));
}

// A float64 loss, sum of out times fixed numbers: its difference quotients are the gradients, the same masks in both directions.
static void check_differences(const AttentionCase& c) {
  AttentionOperands<double> o(c);
  CALL(o.forward());
  CALL(o.backward());
  auto loss = [&] {
    CALL(o.forward());
    double sum = 0;
    for (int64_t i = 0; i < o.out.size(); i++) sum += o.out[i] * o.grad_out[i];
    return sum;
  };
  auto compare = [&](const char* what, Array<double>& x, const Array<double>& gradient) {
    constexpr double kStep = 1e-5;
    for (int64_t i = 0; i < x.size(); i++) {
      double value = x[i];
      x.set(i, value + kStep);
      double above = loss();
      x.set(i, value - kStep);
      double quotient = (above - loss()) / (2 * kStep);
      x.set(i, value);
      if (!(std::fabs(quotient - gradient[i]) <= 1e-8)) {
        return report(what, int(i), std::to_string(gradient[i]) + ", but the difference quotient is " + std::to_string(quotient));
      }
    }
  };
  compare("grad_q", o.q, o.grad_q);
  compare("grad_k", o.k, o.grad_k);
  compare("grad_v", o.v, o.grad_v);
}
TEST(attention_difference_quotients) {
  AttentionCase c = sizes(3, 5, 3);
  c.heads = 2;
  c.causal = true;
  c.dropout = 0.4;
  check_differences(c);
}

// The same bits for every number of threads.
template <class T>
static void check_deterministic(int64_t queries) {
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
    bool same = true;
    for (int64_t i = 0; i < o.out.size(); i++) same = same && o.out[i] == first.out[i] && o.grad_q[i] == first.grad_q[i];
    for (int64_t i = 0; i < o.k.size(); i++) same = same && o.grad_k[i] == first.grad_k[i] && o.grad_v[i] == first.grad_v[i];
    for (int64_t i = 0; i < o.log_sum_exp.size(); i++) same = same && o.log_sum_exp[i] == first.log_sum_exp[i];
    CHECK(same);
  }
  gradus::cpu::set_threads(0);
}
TEST(attention_deterministic) {
  check_deterministic<float>(300);
  check_deterministic<bfloat16>(70);
  check_deterministic<float>(2);
}
