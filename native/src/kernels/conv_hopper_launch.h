// Launchers of the products on Hopper's tensor cores (conv_hopper.h), where hopper_takes them.
#pragma once

#include "kernels/conv_call.h"
#include "kernels/conv_hopper_plan.h"

namespace gradus::conv {

inline bool is_half(int32_t dtype) { return dtype == GR_BFLOAT16 || dtype == GR_FLOAT16; }

// How elements of a type are multiplied on tensor cores, if at all.
template <class T>
Multiply tensor_kind(const Sizes& s) {
  if (sizeof(T) == 2) return Multiply::tensor;
  if (sizeof(T) == 8 || s.precision == GR_PRECISION_EXACT) return Multiply::simt;
  return s.precision == GR_PRECISION_TF32 ? Multiply::tf32 : Multiply::tf32x3;
}

// The same for the product over pixels; see conv_hopper.h.
template <class T>
Multiply weight_kind(const Sizes& s) {
  Multiply kind = tensor_kind<T>(s);
  return kind == Multiply::tf32 ? Multiply::simt : kind;
}

inline bool on_hopper(const Sizes& s, const Operands& a, const HopperGeometry& g) {
  return a.hopper > 0 && hopper_takes(s, g, {pointer<const void>(a.in), pointer<const void>(a.other)});
}

// A result without gaps that TMA can write, with bias and activation at most.
template <class T>
bool written_by_tma(const Epilogue<T>& epilogue) {
  return epilogue.residual == nullptr && !epilogue.accumulate && is_aligned(epilogue.result, 16);
}

// The products whose rows are pixels.
template <class Problem>
int launch_pixels(const Problem& problem, const HopperGeometry& g, PartialStatistics<float> statistics, bool by_tma,
                  const Operands& a) {
  MatmulPlan plan = hopper_plan(g, 1);
  if constexpr (sizeof(typename Problem::Element) == 4) {
    return g.kind == Multiply::tf32
               ? launch_conv_hopper_float<Multiply::tf32>(problem, g, plan, statistics, by_tma, a.hopper, a.device)
               : launch_conv_hopper_float<Multiply::tf32x3>(problem, g, plan, statistics, by_tma, a.hopper, a.device);
  } else if constexpr (Problem::kStatistics) {
    return launch_conv_hopper(problem, g, plan, statistics, by_tma, a.hopper, a.device);
  } else {
    return launch_conv_hopper(problem, g, plan, by_tma, a.hopper, a.device);
  }
}

template <class T, class Problem = Forward<T>>
int forward_hopper(const Sizes& s, const Operands& a, const HopperGeometry& g, stream_t stream, Problem problem = {}) {
  constexpr int64_t kPartRows = 64;  // of the statistics
  problem.x = pointer<const T>(a.in), problem.w = pointer<const T>(a.other), problem.epilogue = epilogue_of<T>(s, a, true);
  problem.window = forward_window(s), problem.outputs = problem.out_pitch = s.o;
  problem.vector = s.o % 8 == 0 && aligned<T>({pointer<T>(a.out), pointer<T>(a.residual)});
  PartialStatistics<float> statistics{a.statistics != 0 ? pointer<float>(a.scratch) : nullptr, s.o};
  bool by_tma = a.statistics == 0 && written_by_tma(problem.epilogue);
  int status = launch_pixels(problem, g, statistics, by_tma, a);
  if (status != GR_OK || a.statistics == 0) return status;
  return merge_statistics(statistics.partial, pointer<float>(a.statistics), divide_up(s.out_pixels(), kPartRows), kPartRows,
                          s.out_pixels(), s.o, stream);
}

// One residue class. Weights of float32 are transposed.
template <class T>
int backward_input_hopper(const Sizes& s, const Operands& a, const T* w, const Window& window, const HopperGeometry& g) {
  BackwardInput<T> problem{};
  problem.grad_y = pointer<const T>(a.in), problem.w = w, problem.epilogue = epilogue_of<T>(s, a, false);
  problem.window[0] = window;
  problem.channels = problem.kept = problem.out_pitch = s.c, problem.present = s.o;
  problem.vector = s.c % 8 == 0 && aligned<T>({pointer<T>(a.out)});
  bool by_tma = s.stride_h == 1 && s.stride_w == 1 && written_by_tma(problem.epilogue);
  return launch_pixels(problem, g, {}, by_tma, a);
}

// Whether one of the residue classes of float32 is taken, for which the weights are transposed; without addresses, whether it may.
inline bool needs_transposed(const Sizes& s, std::initializer_list<const void*> operands) {
  bool needs = false;
  each_class(s, [&](const Window* windows, int count) {
    for (int i = 0; i < count; i++) {
      needs = needs || hopper_takes(s, pixel_geometry(s, windows[i], s.o, s.c, tensor_kind<float>(s)), operands);
    }
    return int(GR_OK);
  });
  return needs;
}

inline int64_t transposed_bytes(const Sizes& s, int32_t dtype, int64_t stream) {
  bool may = dtype == GR_FLOAT32 && s.precision != GR_PRECISION_EXACT && hopper_processors(stream) > 0;
  return may && needs_transposed(s, {}) ? s.weights() * 4 : 0;
}

inline int transpose_weights(const Sizes& s, const float* w, float* to, stream_t stream) {
  constexpr int kEdge = 32;
  int64_t tiles_c = divide_up(s.c, kEdge), tiles_o = divide_up(s.o, kEdge);
  LaunchConfig config(dim3(unsigned(tiles_c * tiles_o * s.taps())), dim3(kEdge, kSupportThreads / kEdge));
  return finish(GRADUS_LAUNCH((conv_transpose_kernel<float>), config.stream(stream), w, to, s.o, s.taps(), s.c,
                              FastDivide(int(tiles_c)), FastDivide(int(tiles_o))));
}

template <class T, class Problem = BackwardWeight<T>>
int backward_weight_hopper(const Sizes& s, const Operands& a, const HopperGeometry& g, stream_t stream, Problem problem = {}) {
  MatmulPlan plan = hopper_plan(g, kMaxSplits);
  problem.x = pointer<const T>(a.in), problem.grad_y = pointer<const T>(a.other), problem.epilogue = epilogue_of<T>(s, a, false);
  WeightSums<T> sums(s, a, plan.splits, a.scratch);
  problem.partial = sums.partial;
  problem.window = forward_window(s);
  problem.channels = FastDivide(g.patches.channel_boxes.divisor() * g.wide()), problem.splits = FastDivide(plan.splits);
  problem.outputs = s.o, problem.kept = s.c, problem.weights = s.weights();
  problem.vector = s.c % 8 == 0 && aligned<T>({pointer<T>(a.out)});
  int status;
  if constexpr (sizeof(T) == 4) {
    status = launch_conv_hopper_float<Multiply::tf32x3>(problem, g, plan, {}, false, a.hopper, a.device);
  } else {
    status = launch_conv_hopper(problem, g, plan, a.hopper, a.device);
  }
  return status != GR_OK || !sums.parts ? status : sum_splits<T>(s, a, sums.partial, plan.splits, stream);
}

// Bytes of its parts. Whether the addresses allow it is not known yet.
inline int64_t hopper_split_bytes(const Sizes& s, int32_t dtype, int64_t stream) {
  bool half = is_half(dtype);
  Multiply kind = half ? Multiply::tensor : dtype == GR_FLOAT32 ? weight_kind<float>(s) : Multiply::simt;
  HopperGeometry g = tap_geometry(s, kind);
  if (hopper_processors(stream) == 0 || !hopper_takes(s, g, {})) return 0;
  int64_t splits = hopper_plan(g, kMaxSplits).splits;
  bool parts = half ? WeightSums<bfloat16>::has_parts(s, splits) : WeightSums<float>::has_parts(s, splits);
  return parts ? splits * s.weights() * 4 : 0;
}

}  // namespace gradus::conv
