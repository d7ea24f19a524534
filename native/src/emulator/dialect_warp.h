// CUDA's warp intrinsics over the emulator's exchange.
#pragma once

#include <string>

#include "emulator/kernel_api.h"

namespace gradus::emulator {

template <class T>
inline T take(const Messages& messages, const char* operation, int source, Site site) {
  if (!(messages.present >> source & 1)) {
    fail(std::string(operation) + " reads lane " + std::to_string(source) + ", which is not active in it", site);
  }
  return messages.from<T>(source);
}

}  // namespace gradus::emulator

inline void __syncwarp(unsigned mask = 0xFFFFFFFFu, gradus::Site site = gradus::Site::here()) {
  char nothing = 0;
  gradus::emulator::exchange("__syncwarp", mask, &nothing, 1, site);
}

template <class T>
inline T __shfl_sync(unsigned mask, T value, int source, int width = 32, gradus::Site site = gradus::Site::here()) {
  gradus::emulator::Messages messages = gradus::emulator::exchange("__shfl_sync", mask, &value, sizeof value, site);
  int base = gradus::emulator::lane() & ~(width - 1);
  return gradus::emulator::take<T>(messages, "__shfl_sync", base | (source & (width - 1)), site);
}

template <class T>
inline T __shfl_xor_sync(unsigned mask, T value, int lane_mask, int width = 32, gradus::Site site = gradus::Site::here()) {
  gradus::emulator::Messages messages = gradus::emulator::exchange("__shfl_xor_sync", mask, &value, sizeof value, site);
  int lane = gradus::emulator::lane();
  int source = lane ^ lane_mask;
  if ((source & ~(width - 1)) > (lane & ~(width - 1))) return value;
  return gradus::emulator::take<T>(messages, "__shfl_xor_sync", source, site);
}

template <class T>
inline T __shfl_down_sync(unsigned mask, T value, unsigned delta, int width = 32, gradus::Site site = gradus::Site::here()) {
  gradus::emulator::Messages messages = gradus::emulator::exchange("__shfl_down_sync", mask, &value, sizeof value, site);
  int lane = gradus::emulator::lane();
  if ((lane & (width - 1)) + int(delta) >= width) return value;
  return gradus::emulator::take<T>(messages, "__shfl_down_sync", lane + int(delta), site);
}

template <class T>
inline T __shfl_up_sync(unsigned mask, T value, unsigned delta, int width = 32, gradus::Site site = gradus::Site::here()) {
  gradus::emulator::Messages messages = gradus::emulator::exchange("__shfl_up_sync", mask, &value, sizeof value, site);
  int lane = gradus::emulator::lane();
  if ((lane & (width - 1)) < int(delta)) return value;
  return gradus::emulator::take<T>(messages, "__shfl_up_sync", lane - int(delta), site);
}

inline unsigned __ballot_sync(unsigned mask, int predicate, gradus::Site site = gradus::Site::here()) {
  gradus::emulator::Messages messages = gradus::emulator::exchange("__ballot_sync", mask, &predicate, sizeof predicate, site);
  unsigned bits = 0;
  for (int i = 0; i < 32; i++) {
    if ((messages.present >> i & 1) && messages.from<int>(i) != 0) bits |= 1u << i;
  }
  return bits;
}

inline int __any_sync(unsigned mask, int predicate, gradus::Site site = gradus::Site::here()) {
  return __ballot_sync(mask, predicate, site) != 0;
}

inline int __all_sync(unsigned mask, int predicate, gradus::Site site = gradus::Site::here()) {
  return __ballot_sync(mask, predicate == 0, site) == 0;
}

template <class T>
inline unsigned __match_any_sync(unsigned mask, T value, gradus::Site site = gradus::Site::here()) {
  gradus::emulator::Messages messages = gradus::emulator::exchange("__match_any_sync", mask, &value, sizeof value, site);
  unsigned bits = 0;
  for (int i = 0; i < 32; i++) {
    if ((messages.present >> i & 1) && messages.from<T>(i) == value) bits |= 1u << i;
  }
  return bits;
}

