// Attention of float16 on Hopper.
#include "kernels/attention_hopper_backward.h"
#include "kernels/attention_hopper_forward.h"

namespace gradus {

int launch_attention_hopper(const gr_attention_problem& p, const AttentionShape& shape,
                            const AttentionHopperForward<float16>& operands, int64_t stream) {
  return p.dim == 64 ? launch_hopper_forward<float16, 64>(p, shape, operands, stream)
                     : launch_hopper_forward<float16, 128>(p, shape, operands, stream);
}

int launch_attention_hopper(const gr_attention_problem& p, const AttentionShape& shape,
                            const AttentionHopperBackward<float16>& operands, int64_t stream) {
  return p.dim == 64 ? launch_hopper_backward<float16, 64>(p, shape, operands, stream)
                     : launch_hopper_backward<float16, 128>(p, shape, operands, stream);
}

}  // namespace gradus
