// Attention as a device of capability 9.0 computes it: all that the Hopper kernels take, ragged in every direction.
#include "attention_reference.h"
#include "kernels/attention_hopper.h"
#include "kernels/hopper.h"

using namespace test;
using gradus::bfloat16;
using gradus::float16;

namespace {

// A device of capability 9.0, or 8.0, while it lives.
struct Capability {
  explicit Capability(int capability) {
#if GRADUS_EMULATED
    gradus::emulator::options().capability = capability;
#endif
    (void)capability;
  }
  ~Capability() {
#if GRADUS_EMULATED
    gradus::emulator::options().capability = before;
#endif
  }
#if GRADUS_EMULATED
  int before = gradus::emulator::options().capability;
#endif
};

AttentionCase sizes(int64_t queries, int64_t keys, int64_t dim, bool causal = false) {
  AttentionCase c;
  c.queries = queries, c.keys = keys, c.dim = dim, c.causal = causal;
  return c;
}

template <class T>
void check_forward(const AttentionCase& c, double units = kUnits<T>) {
  Capability hopper(90);
  AttentionOperands<T> o(c);
  CHECK(gradus::attention_hopper_takes_forward(o.problem, 0));
  CALL(o.forward());
  AttentionResult expected = attention_reference(o);
  check_rows("out", o.out, expected.out, expected.out_terms, c, units);
  for (int64_t i = 0; i < o.log_sum_exp.size(); i++) {
    CHECK_NEAR(o.log_sum_exp[i], expected.log_sum_exp[size_t(i)], 16 * unit<float>(), 16 * unit<float>());
  }
  if (failed()) print(c);
}

}  // namespace

TEST(hopper_forward_sizes) {
  for (int64_t n : {1, 7, 65, 130}) check_forward<bfloat16>(sizes(n, n, 64));
  check_forward<bfloat16>(sizes(1, 1, 128));
  check_forward<bfloat16>(sizes(70, 129, 128));
  check_forward<float16>(sizes(129, 33, 64));
  check_forward<float16>(sizes(9, 140, 128));
}

// More tiles of keys than stages, and more units than blocks.
TEST(hopper_forward_rounds) {
  check_forward<bfloat16>(sizes(3, 700, 64));
  check_forward<bfloat16>(sizes(3, 500, 128));
  AttentionCase c = sizes(190, 260, 64, true);
  c.heads = 5;
  check_forward<float16>(c);
}

TEST(hopper_forward_masks) {
  for (int64_t window : {0, 5, 90}) {
    AttentionCase c = sizes(140, 140, 64, true);
    c.window = window;
    check_forward<bfloat16>(c);
    c.queries = 20;  // the first query sees 121 keys
    check_forward<bfloat16>(c);
    c.queries = 270, c.keys = 66;  // the first 204 queries see none: a whole tile of them
    check_forward<bfloat16>(c);
    c.causal = false;
    if (window > 0) check_forward<bfloat16>(c);
  }
  check_forward<float16>(sizes(140, 130, 128, true));
}

// Query heads that share keys, in every order of the dimensions that TMA takes.
TEST(hopper_forward_heads) {
  AttentionCase c = sizes(33, 40, 64, true);
  c.batch = 2, c.heads = 4, c.kv_heads = 2;
  check_forward<bfloat16>(c);
  c.storage = Storage::heads_inner;
  check_forward<bfloat16>(c);
  c.dim = 128;
  check_forward<float16>(c);
}

// Logits of several hundreds: exp would overflow without the maximum.
TEST(hopper_forward_large_logits) {
  AttentionCase c = sizes(40, 300, 64);
  c.scale = 20;
  c.magnitude = 2;
  check_forward<bfloat16>(c);
}

TEST(hopper_forward_not_finite) {
  Capability hopper(90);
  AttentionOperands<bfloat16> o(sizes(20, 20, 64, true));
  o.q.set(3 * 64 + 2, NAN);
  for (int64_t d = 0; d < 64; d++) o.k.set(9 * 64 + d, d == 0 ? INFINITY : 0);  // key 9: logits of +inf or -inf by the sign of q
  CALL(o.forward());
  for (int64_t i = 0; i < 20; i++) {
    bool expected = i == 3 || (i >= 9 && o.q[i * 64] > 0);
    CHECK_EQUAL(int(std::isnan(o.out[i * 64])), int(expected));
    CHECK_EQUAL(int(std::isnan(o.log_sum_exp[i])), int(expected));
  }
}

TEST(hopper_takes) {
  auto takes = [](AttentionCase c, int64_t rng = 0) { return gradus::attention_hopper_takes_forward(problem_of(c), rng); };
  AttentionCase c = sizes(5, 5, 64);
  CHECK(takes(c));
  CHECK(!takes(c, 16));  // dropout
  c.heads = 2;
  c.storage = Storage::odd;
  CHECK(!takes(c));
  CHECK(!takes(sizes(5, 5, 72)));
  CHECK(!takes(sizes(5, 0, 64)));
  c = sizes(5, 5, 64);
  c.scale = -1;
  CHECK(!takes(c));
  gr_attention_problem p = problem_of(sizes(5, 5, 64));
  p.batch = 3;
  p.k.batch = 0;  // keys that the batch shares
  CHECK(!gradus::attention_hopper_takes_forward(p, 0));
  p = problem_of(sizes(5, 5, 64));
  p.v.row = 72;  // rows with room between them
  CHECK(gradus::attention_hopper_takes_forward(p, 0));
}

#if GRADUS_EMULATED
// The same bits in every order of threads and blocks.
TEST(hopper_forward_deterministic) {
  using gradus::emulator::Order;
  Capability hopper(90);
  AttentionCase c = sizes(140, 150, 64, true);
  c.heads = 3;
  AttentionOperands<bfloat16> first(c);
  CALL(first.forward());
  gradus::emulator::Options saved = gradus::emulator::options();
  for (Order order : {Order::reverse, Order::random}) {
    gradus::emulator::options().order = order;
    AttentionOperands<bfloat16> o(c);
    CALL(o.forward());
    for (int64_t i = 0; i < o.out.size(); i++) CHECK(o.out[i] == first.out[i]);
    for (int64_t i = 0; i < o.log_sum_exp.size(); i++) CHECK(o.log_sum_exp[i] == first.log_sum_exp[i]);
  }
  gradus::emulator::options() = saved;
}
#endif
