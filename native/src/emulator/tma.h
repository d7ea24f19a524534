// The tensor map of the emulator and the copies it describes.
//
// The layout of CUtensorMap is NVIDIA's secret, so this one is our own, of the same size and alignment, built by
// encode_tensor_map and encode_im2col_map from the same arguments and under the same rules as cuTensorMapEncodeTiled and
// cuTensorMapEncodeIm2col.
//
// An im2col map has no box of its own size in each dimension: a copy takes so many pixels, each with so many channels (dimension
// 0), from a start on, in the order of the dimensions, within a bounding box of places: from corner `lower` to the tensor's last
// place plus corner `upper`, a step apart. Each pixel is read an offset further on, and is zero where that lies outside of the
// tensor. The last dimension, of the images, has no box: where the box ends, the next image begins.
// Source: CUDA driver API, cuTensorMapEncodeTiled, cuTensorMapEncodeIm2col; PTX ISA, "Tensors", "im2col mode", "Swizzling modes".
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "device/site.h"

namespace gradus::emulator {

enum class Swizzle : uint8_t { none, b32, b64, b128 };

struct alignas(64) TensorMap {
  uint64_t magic;
  const void* base;
  uint64_t extent[5];   // in elements, innermost first
  uint64_t pitch[4];    // in bytes, of dimensions 1 and up
  uint16_t box[5];      // in elements; of an im2col map channels and pixels
  uint8_t rank, element_bytes;
  Swizzle swizzle;
  uint8_t tf32;         // loads round float32 to tf32
  uint8_t linear;       // no tensor: bytes in a row, in elements of 16
  uint8_t im2col;
  int16_t lower[3], upper[3];  // of an im2col map, of dimensions 1 to rank - 2
  uint8_t step[3];
};
static_assert(sizeof(TensorMap) == 128, "as large as CUtensorMap");

// Returns an empty string, or what the driver would refuse.
std::string encode_tensor_map(TensorMap* map, int element_bytes, bool tf32, int rank, const void* base, const uint64_t* extent,
                              const uint64_t* pitch, const uint32_t* box, Swizzle swizzle);

// `step` is that of dimensions 1 to rank - 2, as the corners are.
std::string encode_im2col_map(TensorMap* map, int element_bytes, bool tf32, int rank, const void* base, const uint64_t* extent,
                              const uint64_t* pitch, const int* lower, const int* upper, uint32_t channels, uint32_t pixels,
                              const uint32_t* step, Swizzle swizzle);

size_t box_bytes(const TensorMap& map);

// 16-byte pieces change places within 128 bytes * 2^k of shared memory: address bits 4.. are xored with bits 7..
constexpr uint32_t swizzled(uint32_t address, Swizzle mode) {
  return address ^ ((address >> 7 & ((1u << unsigned(mode)) - 1)) << 4);
}

struct BulkStore {
  TensorMap map;
  uint32_t source;
  int at[5];
  unsigned group;
  bool read;  // the shared memory was read, the global not yet written
  std::vector<unsigned char> data;
  Site site;
};

// Fails where the copy is not possible; else the bytes of the box.
size_t tma_check(const TensorMap& map, uint32_t shared, int rank, bool im2col, Site site);
// Loads complete on an mbarrier; `multicast` names the ranks of the cluster that receive the box (0: the caller alone). `offset`:
// of im2col maps, of dimensions 1 to rank - 2; null for others.
void tma_load(const TensorMap* map, uint32_t destination, const int* at, const uint16_t* offset, int rank, uint32_t mbarrier,
              uint32_t multicast, Site site);
void tma_store(const TensorMap* map, uint32_t source, const int* at, int rank, Site site);
// The map of `bytes` bytes in a row. Fails where such a copy is not possible.
TensorMap linear_map(const void* global, unsigned bytes, Site site);
void bulk_commit();
void bulk_wait(unsigned pending, bool read_only);

}  // namespace gradus::emulator
