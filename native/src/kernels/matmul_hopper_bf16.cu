// The Hopper product of bfloat16.
#include "kernels/matmul_hopper.h"
#include "kernels/matmul_hopper_launch.h"

namespace gradus {

int launch_matmul_hopper(const gr_matmul_problem& p, const MatmulArguments<bfloat16>& matmul, const MatmulPlan& plan,
                         int64_t stream) {
  return launch_hopper_plan<Multiply::tensor>(p, matmul, plan, device_traits(stream).processors, stream);
}

}  // namespace gradus
