// The Hopper product of float32 by 3xTF32.
#include "kernels/matmul_hopper.h"
#include "kernels/matmul_hopper_launch.h"

namespace gradus {

int launch_matmul_hopper_tf32x3(const gr_matmul_problem& p, const MatmulArguments<float>& matmul, const MatmulPlan& plan,
                                int64_t stream) {
  return launch_hopper_plan<Multiply::tf32x3>(p, matmul, plan, device_traits(stream).processors, stream);
}

}  // namespace gradus
