// Enqueues the Hopper product of a plan; the kernels are compiled in matmul_hopper_bf16.cu and its like.
#pragma once

#include "device/half.h"
#include "kernels/matmul_plan.h"
#include "kernels/matmul_tile.h"

namespace gradus {

int launch_matmul_hopper(const gr_matmul_problem& p, const MatmulArguments<bfloat16>& matmul, const MatmulPlan& plan,
                         int64_t stream);
int launch_matmul_hopper(const gr_matmul_problem& p, const MatmulArguments<float16>& matmul, const MatmulPlan& plan,
                         int64_t stream);
// By the precision: tf32 or 3xTF32.
int launch_matmul_hopper(const gr_matmul_problem& p, const MatmulArguments<float>& matmul, const MatmulPlan& plan, int64_t stream);
int launch_matmul_hopper_tf32x3(const gr_matmul_problem& p, const MatmulArguments<float>& matmul, const MatmulPlan& plan,
                                int64_t stream);

}  // namespace gradus
