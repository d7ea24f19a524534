// Attention as a device of capability 9.0 computes it: all that the Hopper kernels take, ragged in every direction.
#include "attention_checks.h"
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

template <class T>
void hopper_forward(const AttentionCase& c, double units = kUnits<T>) {
  Capability hopper(90);
  AttentionOperands<T> o(c);
  CHECK(gradus::attention_hopper_takes_forward(o.problem, 0));
  CALL(o.forward());
  check_out(o, attention_reference(o), c, units);
  if (failed()) print(c);
}

template <class T>
void hopper_backward(const AttentionCase& c, double units = kUnits<T>) {
  Capability hopper(90);
  AttentionOperands<T> o(c);
  CHECK(gradus::attention_hopper_takes_backward(o.problem, 0, true, true, true));
  CALL(o.forward());
  CALL(o.backward());
  check_gradients(o, attention_reference(o), c, units);
  if (failed()) print(c);
}

}  // namespace

TEST(hopper_forward_sizes) {
  for (int64_t n : {1, 7, 65, 130}) hopper_forward<bfloat16>(sizes(n, n, 64));
  hopper_forward<bfloat16>(sizes(1, 1, 128));
  hopper_forward<bfloat16>(sizes(70, 129, 128));
  hopper_forward<float16>(sizes(129, 33, 64));
  hopper_forward<float16>(sizes(9, 140, 128));
}

// More tiles of keys than stages, and more units than blocks.
TEST(hopper_forward_rounds) {
  hopper_forward<bfloat16>(sizes(3, 700, 64));
  hopper_forward<bfloat16>(sizes(3, 500, 128));
  AttentionCase c = sizes(190, 260, 64, true);
  c.heads = 5;
  hopper_forward<float16>(c);
}

TEST(hopper_forward_masks) {
  for (int64_t window : {0, 5, 90}) {
    AttentionCase c = sizes(140, 140, 64, true);
    c.window = window;
    hopper_forward<bfloat16>(c);
    c.queries = 20;  // the first query sees 121 keys
    hopper_forward<bfloat16>(c);
    c.queries = 270, c.keys = 66;  // the first 204 queries see none: a whole tile of them
    hopper_forward<bfloat16>(c);
    c.causal = false;
    if (window > 0) hopper_forward<bfloat16>(c);
  }
  hopper_forward<float16>(sizes(140, 130, 128, true));
}

// Query heads that share keys, in every order of the dimensions that TMA takes.
TEST(hopper_forward_heads) {
  AttentionCase c = sizes(33, 40, 64, true);
  c.batch = 2, c.heads = 4, c.kv_heads = 2;
  hopper_forward<bfloat16>(c);
  c.storage = Storage::heads_inner;
  hopper_forward<bfloat16>(c);
  c.dim = 128;
  hopper_forward<float16>(c);
}

// Logits of several hundreds: exp would overflow without the maximum.
TEST(hopper_forward_large_logits) {
  AttentionCase c = sizes(40, 300, 64);
  c.scale = 20;
  c.magnitude = 2;
  hopper_forward<bfloat16>(c);
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

TEST(hopper_backward_sizes) {
  for (int64_t n : {1, 7, 65, 130}) hopper_backward<bfloat16>(sizes(n, n, 64));
  hopper_backward<bfloat16>(sizes(1, 1, 128));
  hopper_backward<bfloat16>(sizes(70, 129, 128));
  hopper_backward<float16>(sizes(129, 33, 64));
  hopper_backward<float16>(sizes(9, 140, 128));
}

// More tiles than stages in both directions, and more units than blocks.
TEST(hopper_backward_rounds) {
  hopper_backward<bfloat16>(sizes(3, 520, 64));
  hopper_backward<bfloat16>(sizes(330, 3, 64));
  hopper_backward<bfloat16>(sizes(3, 300, 128));
  hopper_backward<bfloat16>(sizes(270, 3, 128));
  AttentionCase c = sizes(190, 260, 64, true);
  c.heads = 5;
  hopper_backward<float16>(c);
}

TEST(hopper_backward_masks) {
  for (int64_t window : {0, 5}) {
    AttentionCase c = sizes(140, 140, 64, true);
    c.window = window;
    hopper_backward<bfloat16>(c);
    c.queries = 20;
    hopper_backward<bfloat16>(c);
    c.queries = 270, c.keys = 66;  // the first 204 queries see no key: a whole tile of them
    hopper_backward<bfloat16>(c);
    c.causal = false;
    if (window > 0) {
      hopper_backward<bfloat16>(c);
      c.queries = 20, c.keys = 300;  // the first 276 keys are seen by nobody: two whole tiles of them
      hopper_backward<bfloat16>(c);
    }
  }
  hopper_backward<float16>(sizes(140, 130, 128, true));
}

TEST(hopper_backward_heads) {
  AttentionCase c = sizes(33, 40, 64, true);
  c.batch = 2, c.heads = 6, c.kv_heads = 2;
  hopper_backward<bfloat16>(c);
  c.storage = Storage::heads_inner;
  hopper_backward<bfloat16>(c);
  c.dim = 128;
  hopper_backward<float16>(c);
}

TEST(hopper_backward_large_logits) {
  AttentionCase c = sizes(40, 150, 64);
  c.scale = 10;
  c.magnitude = 2;
  hopper_backward<bfloat16>(c);
}

// Each gradient alone is what it is beside the others, and what is not asked for is left as it is.
TEST(hopper_backward_absent_gradients) {
  Capability hopper(90);
  AttentionOperands<bfloat16> all(sizes(20, 30, 64));
  CALL(all.forward());
  CALL(all.backward());
  Array<uint8_t> scratch(gr_attention_backward_scratch(all.problem_address(), Array<bfloat16>::dtype(), 0));
  for (int wanted = 0; wanted < 3; wanted++) {
    Array<bfloat16> q(all.q.size(), -7), k(all.k.size(), -7), v(all.k.size(), -7);
    CALL(all.backward(wanted == 0 ? q.address() : 0, wanted == 1 ? k.address() : 0, wanted == 2 ? v.address() : 0,
                      scratch.address(), scratch.bytes()));
    for (int64_t i = 0; i < q.size(); i++) CHECK(q[i] == (wanted == 0 ? all.grad_q[i] : -7));
    for (int64_t i = 0; i < k.size(); i++) CHECK(k[i] == (wanted == 1 ? all.grad_k[i] : -7));
    for (int64_t i = 0; i < v.size(); i++) CHECK(v[i] == (wanted == 2 ? all.grad_v[i] : -7));
  }
}

// Dropout sends both directions to the portable kernels.
TEST(hopper_dropout) {
  Capability hopper(90);
  AttentionCase c = sizes(20, 40, 64);
  c.dropout = 0.3;
  AttentionOperands<bfloat16> o(c);
  CALL(o.forward());
  CALL(o.backward());
  AttentionResult expected = attention_reference(o);
  check_rows("out", o.out, expected.out, expected.out_terms, c, kUnits<bfloat16>);
  check_rows("grad_k", o.grad_k, expected.grad_k, expected.grad_k_terms, c, kUnits<bfloat16>);
}

#if GRADUS_EMULATED
// What forward leaves fits backward by other kernels, either way round.
TEST(hopper_and_portable_fit) {
  AttentionCase c = sizes(100, 90, 64, true);
  for (int forward : {80, 90}) {
    AttentionOperands<bfloat16> o(c);
    {
      Capability device(forward);
      CALL(o.forward());
    }
    Capability device(forward == 80 ? 90 : 80);
    CALL(o.backward());
    check_gradients(o, attention_reference(o), c, kUnits<bfloat16>);
  }
}

TEST(hopper_deterministic) {
  Capability hopper(90);
  AttentionCase c = sizes(140, 150, 64, true);
  c.heads = 3;
  check_deterministic<bfloat16>(c, true);
}
#endif
