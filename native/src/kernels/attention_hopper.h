// The attention kernels for Hopper's tensor cores, and which problems they take; see attention_hopper_forward.h and
// attention_hopper_backward.h. They are compiled in attention_hopper_bf16.cu and attention_hopper_fp16.cu.
#pragma once

#include <algorithm>

#include "device/half.h"
#include "kernels/attention_shape.h"

namespace gradus {

// Operands in device memory.
template <class T>
struct AttentionHopperForward {
  const T *q, *k, *v;
  T* out;
  float* log_sum_exp;  // or null
};

template <class T>
struct AttentionHopperBackward {
  const T *grad_out, *q, *k, *v;
  T *grad_q, *grad_k, *grad_v;    // null where they are not wanted
  const Pack<float, 2>* numbers;  // [batch, heads, attention_hopper_pitch] of log-sum-exp in base 2, delta
};

int launch_attention_hopper(const gr_attention_problem& p, const AttentionShape& shape,
                            const AttentionHopperForward<bfloat16>& operands, int64_t stream);
int launch_attention_hopper(const gr_attention_problem& p, const AttentionShape& shape,
                            const AttentionHopperForward<float16>& operands, int64_t stream);
int launch_attention_hopper(const gr_attention_problem& p, const AttentionShape& shape,
                            const AttentionHopperBackward<bfloat16>& operands, int64_t stream);
int launch_attention_hopper(const gr_attention_problem& p, const AttentionShape& shape,
                            const AttentionHopperBackward<float16>& operands, int64_t stream);

// The dimensions of an operand beside dim, from the smallest stride to the largest: the order in which TMA wants them. axis[i] is 0
// for rows, 1 for heads, 2 for the batch.
struct AttentionAxes {
  int axis[3];

  GRADUS_DEVICE int coordinate(int i, int row, int head, int batch) const {
    return axis[i] == 0 ? row : axis[i] == 1 ? head : batch;
  }
};

// Whether TMA can read or write an operand of 16-bit elements, and the order of its dimensions. The rules are those of
// cuTensorMapEncodeTiled: strides are multiples of 16 bytes below 2^40, and each is a multiple of the one before.
inline bool attention_axes(const gr_attention_problem& p, const gr_attention_strides& strides, bool of_keys, AttentionAxes* axes) {
  constexpr int64_t kReach = int64_t(1) << 39;
  const int64_t stride[3] = {strides.row, strides.head, strides.batch};
  const int64_t extent[3] = {of_keys ? p.keys : p.queries, of_keys ? p.kv_heads : p.heads, p.batch};
  *axes = {{0, 1, 2}};
  // A dimension of 1 has no stride to speak of: it comes last.
  auto before = [&](int a, int b) { return extent[b] == 1 ? extent[a] != 1 : extent[a] != 1 && stride[a] < stride[b]; };
  std::stable_sort(axes->axis, axes->axis + 3, before);
  int64_t least = p.dim, unit = 8;
  for (int a : axes->axis) {
    if (extent[a] == 1) continue;
    if (stride[a] < least || stride[a] % unit != 0 || stride[a] >= kReach) return false;
    least = unit = stride[a];
  }
  return true;
}

// Whether the Hopper kernels take a problem, on a device that has them; by sizes and strides alone. Dropout draws its mask by
// ordinary arithmetic, which would keep the tensor cores waiting whatever feeds them.
inline bool attention_hopper_takes(const gr_attention_problem& p, int64_t rng) {
  AttentionAxes axes;
  if (rng != 0 || !(p.scale > 0) || (p.dim != 64 && p.dim != 128) || p.queries < 1 || p.keys < 1) return false;
  if (divide_up(std::max(p.queries, p.keys), 64) * p.heads * p.batch > INT32_MAX / 2) return false;
  return attention_axes(p, p.q, false, &axes) && attention_axes(p, p.k, true, &axes) && attention_axes(p, p.v, true, &axes);
}
inline bool attention_hopper_takes_forward(const gr_attention_problem& p, int64_t rng) {
  AttentionAxes axes;
  return attention_hopper_takes(p, rng) && attention_axes(p, p.out, false, &axes);
}
inline bool attention_hopper_takes_backward(const gr_attention_problem& p, int64_t rng, bool wants_q, bool wants_k, bool wants_v) {
  AttentionAxes axes;
  return attention_hopper_takes(p, rng) && attention_axes(p, p.grad_out, false, &axes) &&
         (!wants_q || attention_axes(p, p.grad_q, false, &axes)) && (!wants_k || attention_axes(p, p.grad_k, true, &axes)) &&
         (!wants_v || attention_axes(p, p.grad_v, true, &axes));
}

// Backward's numbers of rows are that many apart from head to head, so that TMA finds those of a tile at multiples of 16 bytes and
// no tile reaches into the next head's.
inline int64_t attention_hopper_pitch(int64_t queries) { return divide_up(queries, 128) * 128; }

}  // namespace gradus
