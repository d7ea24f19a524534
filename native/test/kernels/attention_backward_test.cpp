#include "attention_reference.h"

using namespace test;
using gradus::bfloat16;
using gradus::float16;

template <class T>
static void check(const AttentionCase& c, double units = kUnits<T>) {
  AttentionOperands<T> o(c);
  CALL(o.forward());
  CALL(o.backward());
  AttentionResult expected = attention_reference(o);
  check_rows("grad_q", o.grad_q, expected.grad_q, expected.grad_q_terms, c, units);
  check_rows("grad_k", o.grad_k, expected.grad_k, expected.grad_k_terms, c, units);
  check_rows("grad_v", o.grad_v, expected.grad_v, expected.grad_v_terms, c, units);
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
  check<T>(sizes(40, 33, 120));  // between two widths
  check<T>(sizes(17, 20, 256));
}
TEST(sizes_float) { check_sizes<float>(); }
TEST(sizes_double) { check_sizes<double>(); }
TEST(sizes_bfloat16) { check_sizes<bfloat16>(); }
TEST(sizes_float16) { check_sizes<float16>(); }

template <class T>
static void check_masks() {
  for (int64_t window : {0, 5}) {
    AttentionCase c = sizes(70, 70, 24);
    c.window = window;
    c.causal = true;
    check<T>(c);
    c.queries = 20;
    check<T>(c);
    c.queries = 140, c.keys = 66;  // the first 74 queries see no key
    check<T>(c);
    c.causal = false;
    if (window > 0) check<T>(c);
  }
}
TEST(masks_float) { check_masks<float>(); }
TEST(masks_bfloat16) { check_masks<bfloat16>(); }

template <class T>
static void check_heads() {
  AttentionCase c = sizes(33, 20, 16);
  c.batch = 2, c.heads = 4, c.kv_heads = 2, c.causal = true;
  check<T>(c);
  c.storage = Storage::heads_inner;
  check<T>(c);
  c.heads = 2;
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
  AttentionCase c = sizes(40, 72, 16);
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
TEST(difference_quotients) {
  AttentionCase c = sizes(3, 5, 3);
  c.heads = 2;
  c.causal = true;
  c.dropout = 0.4;
  check_differences(c);
}

// Logits of several hundreds: the saved log-sum-exp keeps the probabilities at most 1.
TEST(large_logits) {
  AttentionCase c = sizes(40, 50, 16);
  c.scale = 10;
  c.magnitude = 4;
  check<float>(c, 20000);
  check<bfloat16>(c);
}

TEST(empty) {
  AttentionOperands<bfloat16> no_keys(sizes(3, 0, 16));
  CALL(no_keys.forward());
  CALL(no_keys.backward());
  for (int64_t i = 0; i < no_keys.grad_q.size(); i++) CHECK(no_keys.grad_q[i] == 0);
  AttentionOperands<float> no_queries(sizes(0, 4, 16));
  CALL(no_queries.backward());
  for (int64_t i = 0; i < no_queries.grad_k.size(); i++) CHECK(no_queries.grad_k[i] == 0 && no_queries.grad_v[i] == 0);
  AttentionOperands<float16> no_queries_half(sizes(0, 4, 16));
  CALL(no_queries_half.backward());
  for (int64_t i = 0; i < no_queries_half.grad_k.size(); i++) {
    CHECK(no_queries_half.grad_k[i] == 0 && no_queries_half.grad_v[i] == 0);
  }
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
TEST(absent_gradients) {
  check_absent<float>(8);
  check_absent<bfloat16>(16);
  check_absent<bfloat16>(136);  // two passes over the keys
}

TEST(scratch_too_small) {
  AttentionOperands<float> o(sizes(3, 3, 8));
  CALL(o.forward());
  Array<uint8_t> scratch(gr_attention_backward_scratch(o.problem_address(), GR_FLOAT32, 0));
  int status = o.backward(o.grad_q.address(), o.grad_k.address(), o.grad_v.address(), scratch.address(), scratch.bytes() - 1);
  CHECK_EQUAL(status, int(GR_ERROR));
}

// The same bits in every order of threads and blocks.
template <class T>
static void check_deterministic() {
  using gradus::emulator::Order;
  AttentionCase c = sizes(40, 70, 16);
  c.heads = 2, c.causal = true, c.dropout = 0.1;
  AttentionOperands<T> first(c);
  CALL(first.forward());
  CALL(first.backward());
  gradus::emulator::Options saved = gradus::emulator::options();
  for (Order order : {Order::reverse, Order::random}) {
    gradus::emulator::options().order = order;
    AttentionOperands<T> o(c);
    CALL(o.forward());
    CALL(o.backward());
    for (int64_t i = 0; i < o.grad_q.size(); i++) CHECK(o.grad_q[i] == first.grad_q[i]);
    for (int64_t i = 0; i < o.grad_k.size(); i++) CHECK(o.grad_k[i] == first.grad_k[i] && o.grad_v[i] == first.grad_v[i]);
  }
  gradus::emulator::options() = saved;
}
TEST(deterministic) {
  check_deterministic<float>();
  check_deterministic<bfloat16>();
}
