// Several elements in one access: 16-byte loads and stores are what reaches the memory's bandwidth.
#pragma once

#include <cstring>

#include "device/math.h"
#include "device/portable.h"

namespace gradus {

template <class T, int N>
struct alignas(sizeof(T) * N) Pack {
  T value[N];
};

// Elements of one 16-byte access.
template <class T>
constexpr int kPackSize = 16 / int(sizeof(T));

template <class T, int N>
GRADUS_DEVICE Pack<T, N> load_pack(const T* p) {
  return *reinterpret_cast<const Pack<T, N>*>(p);
}
// Sixteen bytes are stored by an intrinsic: beside a branch that stores single elements, nvcc takes an assignment apart.
template <class T, int N>
GRADUS_DEVICE void store_pack(T* p, const Pack<T, N>& pack) {
  if constexpr (sizeof pack == 16) {
    uint4 bits;
    memcpy(&bits, &pack, sizeof bits);
    __stwb(reinterpret_cast<uint4*>(p), bits);
  } else {
    *reinterpret_cast<Pack<T, N>*>(p) = pack;
  }
}

// Whether an address may be accessed by whole packs.
GRADUS_HOST_DEVICE bool is_aligned(const void* p, size_t bytes) { return reinterpret_cast<uintptr_t>(p) % bytes == 0; }

}  // namespace gradus
