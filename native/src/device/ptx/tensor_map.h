// Tensor maps: what a TMA copy needs to know of a tensor in global memory. Built on the host, passed to a kernel as a
// `const __grid_constant__ tensor_map` parameter.
//
// An im2col map is of images [n, h, w, channels] and makes TMA gather what a convolution multiplies: see tma_load_im2col_4d.
// Source: CUDA driver API, cuTensorMapEncodeTiled, cuTensorMapEncodeIm2col.
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

#if !GRADUS_EMULATED
namespace encode_tensor_map_detail {

constexpr CUtensorMapDataType kTypes[] = {CU_TENSOR_MAP_DATA_TYPE_BFLOAT16, CU_TENSOR_MAP_DATA_TYPE_FLOAT16,
                                          CU_TENSOR_MAP_DATA_TYPE_FLOAT32, CU_TENSOR_MAP_DATA_TYPE_TFLOAT32};
constexpr CUtensorMapSwizzle kModes[] = {CU_TENSOR_MAP_SWIZZLE_NONE, CU_TENSOR_MAP_SWIZZLE_32B, CU_TENSOR_MAP_SWIZZLE_64B,
                                         CU_TENSOR_MAP_SWIZZLE_128B};
static_assert(sizeof(cuuint64_t) == sizeof(uint64_t), "the same type under another name");

// A function of the driver, through the runtime, so that nothing links against libcuda; null where there is none.
template <class Function>
Function driver_function(const char* name) {
  void* entry = nullptr;
  cudaDriverEntryPointQueryResult found;
  cudaError_t status = cudaGetDriverEntryPointByVersion(name, &entry, 12000, cudaEnableDefault, &found);
  return status == cudaSuccess && found == cudaDriverEntryPointSuccess ? reinterpret_cast<Function>(entry) : nullptr;
}

inline std::string refused(CUresult result, const char* name) {
  return result == CUDA_SUCCESS ? std::string() : std::string(name) + " refused the tensor, error " + std::to_string(int(result));
}

}  // namespace encode_tensor_map_detail
#endif

// extent and box in elements, innermost first; pitch in bytes, of dimensions 1 and up. Empty when all is well, else the reason.
inline std::string encode_tensor_map(tensor_map* map, TensorMapType type, int rank, const void* base, const uint64_t* extent,
                                     const uint64_t* pitch, const uint32_t* box, TensorMapSwizzle swizzle) {
#if GRADUS_EMULATED
  bool half = type == TensorMapType::bf16 || type == TensorMapType::f16;
  return emulator::encode_tensor_map(map, half ? 2 : 4, type == TensorMapType::tf32, rank, base, extent, pitch, box,
                                     emulator::Swizzle(int(swizzle)));
#else
  namespace detail = encode_tensor_map_detail;
  using Encode = CUresult (*)(CUtensorMap*, CUtensorMapDataType, cuuint32_t, void*, const cuuint64_t*, const cuuint64_t*,
                              const cuuint32_t*, const cuuint32_t*, CUtensorMapInterleave, CUtensorMapSwizzle,
                              CUtensorMapL2promotion, CUtensorMapFloatOOBfill);
  static const Encode encode = detail::driver_function<Encode>("cuTensorMapEncodeTiled");
  if (encode == nullptr) return "the driver has no cuTensorMapEncodeTiled";
  cuuint64_t extents[5] = {}, pitches[5] = {};
  cuuint32_t boxes[5] = {}, steps[5] = {1, 1, 1, 1, 1};
  for (int d = 0; d < rank && d < 5; d++) {
    extents[d] = extent[d];
    boxes[d] = box[d];
    if (d > 0) pitches[d - 1] = pitch[d - 1];
  }
  CUresult result = encode(map, detail::kTypes[int(type)], cuuint32_t(rank), const_cast<void*>(base), extents, pitches, boxes,
                           steps, CU_TENSOR_MAP_INTERLEAVE_NONE, detail::kModes[int(swizzle)],
                           CU_TENSOR_MAP_L2_PROMOTION_L2_128B, CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
  return detail::refused(result, "cuTensorMapEncodeTiled");
#endif
}

// Which pixels of images [n, h, w, channels] an im2col map reads, in pairs of w and h. Places of tap 0 are those of a bounding
// box: from `lower` on, `step` apart, up to the image's last pixel plus `upper`.
struct Im2colBox {
  int lower[2], upper[2];
  uint32_t step[2];
  uint32_t channels, pixels;  // of a copy

  // Whether a map can have it, with offsets of at most so many pixels.
  bool fits(const uint64_t* image, const int* offset) const {
    bool fits = channels >= 1 && channels <= 256 && pixels >= 1 && pixels <= 1024;
    for (int d = 0; d < 2; d++) {
      for (int corner : {lower[d], upper[d]}) fits = fits && corner >= -128 && corner <= 127;
      fits = fits && step[d] >= 1 && step[d] <= 8 && offset[d] >= 0 && offset[d] <= 255;
      fits = fits && int64_t(image[d]) + upper[d] > lower[d];
    }
    return fits;
  }
};

// extent: of channels, w, h and n; pitch in bytes, of w, h and n. As encode_tensor_map.
inline std::string encode_im2col_map(tensor_map* map, TensorMapType type, const void* base, const uint64_t* extent,
                                     const uint64_t* pitch, const Im2colBox& box, TensorMapSwizzle swizzle) {
#if GRADUS_EMULATED
  bool half = type == TensorMapType::bf16 || type == TensorMapType::f16;
  return emulator::encode_im2col_map(map, half ? 2 : 4, type == TensorMapType::tf32, 4, base, extent, pitch, box.lower, box.upper,
                                     box.channels, box.pixels, box.step, emulator::Swizzle(int(swizzle)));
#else
  namespace detail = encode_tensor_map_detail;
  using Encode = CUresult (*)(CUtensorMap*, CUtensorMapDataType, cuuint32_t, void*, const cuuint64_t*, const cuuint64_t*,
                              const int*, const int*, cuuint32_t, cuuint32_t, const cuuint32_t*, CUtensorMapInterleave,
                              CUtensorMapSwizzle, CUtensorMapL2promotion, CUtensorMapFloatOOBfill);
  static const Encode encode = detail::driver_function<Encode>("cuTensorMapEncodeIm2col");
  if (encode == nullptr) return "the driver has no cuTensorMapEncodeIm2col";
  cuuint64_t extents[4] = {extent[0], extent[1], extent[2], extent[3]}, pitches[3] = {pitch[0], pitch[1], pitch[2]};
  cuuint32_t steps[4] = {1, box.step[0], box.step[1], 1};
  CUresult result = encode(map, detail::kTypes[int(type)], 4, const_cast<void*>(base), extents, pitches, box.lower, box.upper,
                           box.channels, box.pixels, steps, CU_TENSOR_MAP_INTERLEAVE_NONE, detail::kModes[int(swizzle)],
                           CU_TENSOR_MAP_L2_PROMOTION_L2_128B, CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
  return detail::refused(result, "cuTensorMapEncodeIm2col");
#endif
}

}  // namespace gradus
