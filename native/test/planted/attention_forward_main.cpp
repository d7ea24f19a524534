// Runs the forward attention kernel for Hopper, mutated as AttentionMutants.cmake says, and prints what is noticed: more tiles of
// keys than stages, and more units than blocks.
#include "kernels/attention_reference.h"
#include "kernels/attention_hopper_forward.h"

using namespace gradus;
using namespace test;

int main() {
  AttentionCase c;
  c.heads = 3, c.queries = 140, c.keys = 600, c.dim = 64;
  AttentionOperands<bfloat16> o(c);
  AttentionHopperForward<bfloat16> operands{pointer<const bfloat16>(o.q.address()), pointer<const bfloat16>(o.k.address()),
                                            pointer<const bfloat16>(o.v.address()), pointer<bfloat16>(o.out.address()),
                                            pointer<float>(o.log_sum_exp.address())};
  int status = launch_hopper_forward<bfloat16, 64>(o.problem, attention_shape(o.problem, 0), operands, 0);
  AttentionResult expected = attention_reference(o);
  if (status != GR_OK) {
    printf("%s\n", error_text().c_str());
  } else {
    check_rows("wrong out", o.out, expected.out, expected.out_terms, c, kUnits<bfloat16>);
  }
  printf("%s\n", status != GR_OK || failed() ? "noticed" : "nothing noticed");
  return 0;
}
