// Runs the backward attention kernels for Hopper, mutated as AttentionMutants.cmake says, and prints what is noticed: more tiles
// that stream by than stages, and more units than blocks.
#include "kernels/attention_reference.h"
#include "kernels/attention_hopper_backward.h"

using namespace gradus;
using namespace test;

int main() {
  AttentionCase c;
  c.heads = 2, c.queries = 280, c.keys = 420, c.dim = 64;
  AttentionOperands<bfloat16> o(c);
  AttentionResult expected = attention_reference(o);
  // What attention_backward_rows_kernel leaves.
  auto pitch = attention_hopper_pitch(c.queries);
  Array<float> numbers(2 * c.heads * pitch, 0);
  for (int64_t row = 0; row < c.heads * pitch; row++) {
    int64_t query = row % pitch, at = row / pitch * c.queries + query;
    double delta = 0;
    for (int64_t d = at * c.dim; query < c.queries && d < (at + 1) * c.dim; d++) delta += expected.out[size_t(d)] * o.grad_out[d];
    numbers.set(2 * row, query < c.queries ? expected.log_sum_exp[size_t(at)] * kLog2E : INFINITY);
    numbers.set(2 * row + 1, delta);
  }
  AttentionHopperBackward<bfloat16> operands{
      pointer<const bfloat16>(o.grad_out.address()), pointer<const bfloat16>(o.q.address()), pointer<const bfloat16>(o.k.address()),
      pointer<const bfloat16>(o.v.address()), pointer<bfloat16>(o.grad_q.address()), pointer<bfloat16>(o.grad_k.address()),
      pointer<bfloat16>(o.grad_v.address()), pointer<const Pack<float, 2>>(numbers.address())};
  int status = launch_hopper_backward<bfloat16, 64>(o.problem, attention_shape(o.problem, 0), operands, 0);
  if (status != GR_OK) {
    printf("%s\n", error_text().c_str());
  } else {
    check_rows("wrong grad_q", o.grad_q, expected.grad_q, expected.grad_q_terms, c, kUnits<bfloat16>);
    check_rows("wrong grad_k", o.grad_k, expected.grad_k, expected.grad_k_terms, c, kUnits<bfloat16>);
    check_rows("wrong grad_v", o.grad_v, expected.grad_v, expected.grad_v_terms, c, kUnits<bfloat16>);
  }
  printf("%s\n", status != GR_OK || failed() ? "noticed" : "nothing noticed");
  return 0;
}
