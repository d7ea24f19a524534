// What holds for attention of every device: checks against plain loops, and the cases that the tests of all share.
#pragma once

#include <initializer_list>

#include "kernels/attention_reference.h"

namespace test {

inline AttentionCase sizes(int64_t queries, int64_t keys, int64_t dim, bool causal = false) {
  AttentionCase c;
  c.queries = queries, c.keys = keys, c.dim = dim, c.causal = causal;
  return c;
}

template <class T>
void check_out(const AttentionOperands<T>& o, const AttentionResult& expected, const AttentionCase& c, double units) {
  check_rows("out", o.out, expected.out, expected.out_terms, c, units);
  using A = gradus::accumulator_t<T>;
  for (int64_t i = 0; i < o.log_sum_exp.size(); i++) {
    CHECK_NEAR(o.log_sum_exp[i], expected.log_sum_exp[size_t(i)], 16 * unit<A>(), 16 * unit<A>());
  }
}

template <class T>
void check_gradients(const AttentionOperands<T>& o, const AttentionResult& expected, const AttentionCase& c, double units) {
  check_rows("grad_q", o.grad_q, expected.grad_q, expected.grad_q_terms, c, units);
  check_rows("grad_k", o.grad_k, expected.grad_k, expected.grad_k_terms, c, units);
  check_rows("grad_v", o.grad_v, expected.grad_v, expected.grad_v_terms, c, units);
}

template <class T>
void check_forward(const AttentionCase& c, double units = kUnits<T>) {
  AttentionOperands<T> o(c);
  CALL(o.forward());
  check_out(o, attention_reference(o), c, units);
  if (failed()) print(c);
}

template <class T>
void check_backward(const AttentionCase& c, double units = kUnits<T>) {
  AttentionOperands<T> o(c);
  CALL(o.forward());
  CALL(o.backward());
  check_gradients(o, attention_reference(o), c, units);
  if (failed()) print(c);
}

template <class T>
void check_both(const AttentionCase& c, double units = kUnits<T>) {
  AttentionOperands<T> o(c);
  CALL(o.forward());
  CALL(o.backward());
  AttentionResult expected = attention_reference(o);
  check_out(o, expected, c, units);
  check_gradients(o, expected, c, units);
  if (failed()) print(c);
}

// Calls check(case) for causal and other masks of n queries and keys, and of fewer or more queries.
template <class F>
void for_masks(int64_t n, std::initializer_list<int64_t> windows, F check) {
  for (int64_t window : windows) {
    AttentionCase c = sizes(n, n, 24);
    c.window = window;
    c.causal = true;
    check(c);
    c.queries = 20;  // the first query sees n - 19 keys
    check(c);
    c.queries = 4;
    check(c);
    c.queries = 140, c.keys = 66;  // the first 74 queries see none
    check(c);
    c.causal = false;
    if (window > 0) check(c);
  }
}

// The same for grouped heads in every storage.
template <class F>
void for_heads(int64_t keys, F check) {
  AttentionCase c = sizes(33, keys, 16);
  c.batch = 2, c.heads = 4, c.kv_heads = 2, c.causal = true;
  check(c);
  c.storage = Storage::heads_inner;
  check(c);
  c.heads = 2;
  c.storage = Storage::odd;
  check(c);
  c.queries = 2;
  check(c);
  c.queries = 33;
  c.dim = 5;  // no whole piece of 16 bytes
  check(c);
}

// The same for dropout.
template <class F>
void for_dropout(int64_t queries, int64_t keys, F check) {
  AttentionCase c = sizes(queries, keys, 16);
  c.heads = 2;
  c.dropout = 0.3;
  check(c);
  c.keys = 37;  // rows of the mask begin within Philox blocks
  check(c);
  c.dropout = 1;
  check(c);
}

// Scales that keys must not be compared by; below 0 and 0 itself, which stands for the usual one in a case.
template <class T>
void check_scales_not_above_zero() {
  AttentionCase c = sizes(20, 20, 16);
  c.causal = true;
  for (double scale : {-0.5, 0.0}) {
    AttentionOperands<T> o(c);
    o.problem.scale = scale;
    CALL(o.forward());
    check_out(o, attention_reference(o), c, kUnits<T>);
  }
}

// Without keys, queries or batches there is nothing to see, and nothing to learn.
template <class T>
void check_nothing(int64_t queries) {
  AttentionOperands<T> no_keys(sizes(queries, 0, 16));
  CALL(no_keys.forward());
  CALL(no_keys.backward());
  for (int64_t i = 0; i < no_keys.out.size(); i++) CHECK(no_keys.out[i] == 0 && no_keys.grad_q[i] == 0);
  for (int64_t i = 0; i < queries; i++) CHECK(no_keys.log_sum_exp[i] == -INFINITY);
  AttentionOperands<T> no_queries(sizes(0, 4, 16));
  CALL(no_queries.forward());
  CALL(no_queries.backward());
  for (int64_t i = 0; i < no_queries.grad_k.size(); i++) CHECK(no_queries.grad_k[i] == 0 && no_queries.grad_v[i] == 0);
  AttentionCase c = sizes(2, 2, 16);
  c.batch = 0;
  AttentionOperands<T> no_batch(c);
  CALL(no_batch.forward());
  CALL(no_batch.backward());
}

template <class T>
void check_not_finite() {
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

inline void check_refusals() {
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
void check_absent(int64_t dim) {
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

inline void check_scratch_too_small() {
  AttentionOperands<float> o(sizes(3, 3, 8));
  CALL(o.forward());
  Array<uint8_t> scratch(gr_attention_backward_scratch(o.problem_address(), GR_FLOAT32, 0));
  int status = o.backward(o.grad_q.address(), o.grad_k.address(), o.grad_v.address(), scratch.address(), scratch.bytes() - 1);
  CHECK_EQUAL(status, int(GR_ERROR));
}

// A float64 loss, sum of out times fixed numbers: its difference quotients are the gradients, the same masks in both directions.
inline void check_difference_quotients() {
  AttentionCase c = sizes(3, 5, 3);
  c.heads = 2;
  c.causal = true;
  c.dropout = 0.4;
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

// Whether two runs gave the same bits.
template <class T>
bool same_bits(const AttentionOperands<T>& a, const AttentionOperands<T>& b) {
  auto same = [](const auto& x, const auto& y) {
    bool equal = x.size() == y.size();
    for (int64_t i = 0; equal && i < x.size(); i++) equal = x[i] == y[i];
    return equal;
  };
  return same(a.out, b.out) && same(a.log_sum_exp, b.log_sum_exp) && same(a.grad_q, b.grad_q) && same(a.grad_k, b.grad_k) &&
         same(a.grad_v, b.grad_v);
}

// A forward pass, or both, give the same bits in every order of threads and blocks.
template <class T>
void check_deterministic(const AttentionCase& c, bool backward) {
  using gradus::emulator::Order;
  auto run = [&](AttentionOperands<T>& o) {
    CALL(o.forward());
    if (backward) CALL(o.backward());
  };
  AttentionOperands<T> first(c);
  run(first);
  gradus::emulator::Options saved = gradus::emulator::options();
  for (Order order : {Order::reverse, Order::random}) {
    gradus::emulator::options().order = order;
    AttentionOperands<T> o(c);
    run(o);
    CHECK(same_bits(o, first));
  }
  gradus::emulator::options() = saved;
}

}  // namespace test
