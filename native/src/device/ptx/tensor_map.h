// Tensor maps: what a TMA copy needs to know of a tensor in global memory. Built on the host, passed to a kernel as a
// `const __grid_constant__ tensor_map` parameter.
// Source: CUDA driver API, cuTensorMapEncodeTiled.
#pragma once

#include "device/portable.h"

#if GRADUS_EMULATED
#include "emulator/tma.h"
#else
#include <cuda.h>
#include <string>
#endif

namespace gradus {

// tf32: float32 in memory, rounded to tf32 by the load.
enum class TensorMapType { bf16, f16, f32, tf32 };
enum class TensorMapSwizzle { none, bytes32, bytes64, bytes128 };

#if GRADUS_EMULATED
using tensor_map = emulator::TensorMap;
#else
using tensor_map = CUtensorMap;
#endif

// extent and box in elements, innermost first; pitch in bytes, of dimensions 1 and up. Empty when all is well, else the reason.
inline std::string encode_tensor_map(tensor_map* map, TensorMapType type, int rank, const void* base, const uint64_t* extent,
                                     const uint64_t* pitch, const uint32_t* box, TensorMapSwizzle swizzle) {
#if GRADUS_EMULATED
  bool half = type == TensorMapType::bf16 || type == TensorMapType::f16;
  return emulator::encode_tensor_map(map, half ? 2 : 4, type == TensorMapType::tf32, rank, base, extent, pitch, box,
                                     emulator::Swizzle(int(swizzle)));
#else
  // Through the runtime, so that nothing links against libcuda.
  using Encode = CUresult (*)(CUtensorMap*, CUtensorMapDataType, cuuint32_t, void*, const cuuint64_t*, const cuuint64_t*,
                              const cuuint32_t*, const cuuint32_t*, CUtensorMapInterleave, CUtensorMapSwizzle,
                              CUtensorMapL2promotion, CUtensorMapFloatOOBfill);
  static const Encode encode = [] {
    void* entry = nullptr;
    cudaDriverEntryPointQueryResult found;
    cudaError_t status = cudaGetDriverEntryPointByVersion("cuTensorMapEncodeTiled", &entry, 12000, cudaEnableDefault, &found);
    return status == cudaSuccess && found == cudaDriverEntryPointSuccess ? reinterpret_cast<Encode>(entry) : nullptr;
  }();
  if (encode == nullptr) return "the driver has no cuTensorMapEncodeTiled";
  constexpr CUtensorMapDataType kTypes[] = {CU_TENSOR_MAP_DATA_TYPE_BFLOAT16, CU_TENSOR_MAP_DATA_TYPE_FLOAT16,
                                            CU_TENSOR_MAP_DATA_TYPE_FLOAT32, CU_TENSOR_MAP_DATA_TYPE_TFLOAT32};
  constexpr CUtensorMapSwizzle kModes[] = {CU_TENSOR_MAP_SWIZZLE_NONE, CU_TENSOR_MAP_SWIZZLE_32B, CU_TENSOR_MAP_SWIZZLE_64B,
                                           CU_TENSOR_MAP_SWIZZLE_128B};
  static_assert(sizeof(cuuint64_t) == sizeof(uint64_t), "the same type under another name");
  cuuint64_t extents[5] = {}, pitches[5] = {};
  cuuint32_t boxes[5] = {}, steps[5] = {1, 1, 1, 1, 1};
  for (int d = 0; d < rank && d < 5; d++) {
    extents[d] = extent[d];
    boxes[d] = box[d];
    if (d > 0) pitches[d - 1] = pitch[d - 1];
  }
  CUresult result = encode(map, kTypes[int(type)], cuuint32_t(rank), const_cast<void*>(base), extents, pitches, boxes, steps,
                           CU_TENSOR_MAP_INTERLEAVE_NONE, kModes[int(swizzle)], CU_TENSOR_MAP_L2_PROMOTION_L2_128B,
                           CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
  return result == CUDA_SUCCESS ? std::string() : "cuTensorMapEncodeTiled refused the tensor, error " + std::to_string(int(result));
#endif
}

}  // namespace gradus
