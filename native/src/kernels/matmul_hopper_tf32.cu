// The Hopper product of float32, rounded to tf32.
#include "kernels/matmul_hopper.h"
#include "kernels/matmul_hopper_launch.h"

namespace gradus {

int launch_matmul_hopper(const gr_matmul_problem& p, const MatmulArguments<float>& matmul, const MatmulPlan& plan, int64_t stream) {
  if (p.precision == GR_PRECISION_TF32X3) return launch_matmul_hopper_tf32x3(p, matmul, plan, stream);
  return launch_hopper_plan<Multiply::tf32>(p, matmul, plan, device_traits(stream).processors, stream);
}

}  // namespace gradus
