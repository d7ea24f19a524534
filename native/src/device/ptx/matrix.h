// ldmatrix and stmatrix: 8x8 matrices of 16-bit elements between shared memory and the fragments of a warp. Lane 8 j + r gives
// the address of row r of matrix j; lane l holds elements 2 (l % 4) and 2 (l % 4) + 1 of row l / 4, with Transposed of column
// l / 4.
// Source: PTX ISA, "ldmatrix", "stmatrix" (the latter sm_90).
#pragma once

#include <string>

#include "device/ptx/address.h"

namespace gradus::ptx {

#if GRADUS_EMULATED

namespace model {

struct Rows {
  unsigned char* row[8];
};

// The 16 bytes of each row of matrix j, as the lanes gave them.
template <int Count>
inline Rows rows(const emulator::Messages& messages, int j, const char* what, Site site) {
  static_assert(Count == 1 || Count == 2 || Count == 4, "one, two or four matrices");
  Rows r;
  for (int i = 0; i < 8; i++) {
    auto address = messages.from<uint32_t>(8 * j + i);
    if (address % 16 != 0) emulator::fail(std::string(what) + ": a row address is not 16-byte aligned", site);
    r.row[i] = static_cast<unsigned char*>(emulator::shared_pointer(address, 16, what, site));
  }
  return r;
}

// A row of nothing but 0xFF was never written, or a copy into it is in flight. No conversion gives that NaN.
inline void refuse_poison(const unsigned char* row, Site site) {
  for (int i = 0; i < 16; i++) {
    if (row[i] != 0xFF) return;
  }
  emulator::fail("ldmatrix reads shared memory that was not written, or that a copy in flight will write", site);
}

inline uint32_t load_half(const unsigned char* p) { return uint32_t(p[0]) | uint32_t(p[1]) << 8; }
inline void store_half(unsigned char* p, uint32_t v) {
  p[0] = static_cast<unsigned char>(v);
  p[1] = static_cast<unsigned char>(v >> 8);
}

}  // namespace model

template <int Count, bool Transposed = false>
inline void ldmatrix(uint32_t (&fragment)[Count], const void* shared, Site site = Site::here()) {
  uint32_t address = 8 * Count > emulator::lane() ? emulator::shared_address(shared, site) : 0;
  auto messages = emulator::exchange_aligned("ldmatrix", &address, sizeof address, site);
  int group = emulator::lane() / 4;
  int pair = emulator::lane() % 4 * 2;
  for (int j = 0; j < Count; j++) {
    auto r = model::rows<Count>(messages, j, "ldmatrix", site);
    model::refuse_poison(r.row[group], site);
    uint32_t low = Transposed ? model::load_half(r.row[pair] + 2 * group) : model::load_half(r.row[group] + 2 * pair);
    uint32_t high = Transposed ? model::load_half(r.row[pair + 1] + 2 * group) : model::load_half(r.row[group] + 2 * pair + 2);
    fragment[j] = low | high << 16;
  }
}

template <int Count, bool Transposed = false>
inline void stmatrix(void* shared, const uint32_t (&fragment)[Count], Site site = Site::here()) {
  uint32_t address = 8 * Count > emulator::lane() ? emulator::shared_address(shared, site) : 0;
  auto messages = emulator::exchange_aligned("stmatrix", &address, sizeof address, site);
  int group = emulator::lane() / 4;
  int pair = emulator::lane() % 4 * 2;
  for (int j = 0; j < Count; j++) {
    auto r = model::rows<Count>(messages, j, "stmatrix", site);
    model::store_half(Transposed ? r.row[pair] + 2 * group : r.row[group] + 2 * pair, fragment[j]);
    model::store_half(Transposed ? r.row[pair + 1] + 2 * group : r.row[group] + 2 * pair + 2, fragment[j] >> 16);
  }
}

#else

template <int Count, bool Transposed = false>
GRADUS_DEVICE void ldmatrix(uint32_t (&f)[Count], const void* shared, Site = Site::here()) {
  static_assert(Count == 1 || Count == 2 || Count == 4, "one, two or four matrices");
  auto a = uint32_t(__cvta_generic_to_shared(shared));
  if constexpr (Count == 1 && !Transposed) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x1.shared.b16 {%0}, [%1];" : "=r"(f[0]) : "r"(a) : "memory");
  } else if constexpr (Count == 1) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x1.trans.shared.b16 {%0}, [%1];" : "=r"(f[0]) : "r"(a) : "memory");
  } else if constexpr (Count == 2 && !Transposed) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x2.shared.b16 {%0,%1}, [%2];" : "=r"(f[0]), "=r"(f[1]) : "r"(a) : "memory");
  } else if constexpr (Count == 2) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x2.trans.shared.b16 {%0,%1}, [%2];" : "=r"(f[0]), "=r"(f[1]) : "r"(a) : "memory");
  } else if constexpr (!Transposed) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(f[0]), "=r"(f[1]), "=r"(f[2]), "=r"(f[3]) : "r"(a) : "memory");
  } else {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(f[0]), "=r"(f[1]), "=r"(f[2]), "=r"(f[3]) : "r"(a) : "memory");
  }
}

#if GRADUS_SM90
template <int Count, bool Transposed = false>
GRADUS_DEVICE void stmatrix(void* shared, const uint32_t (&f)[Count], Site = Site::here()) {
  static_assert(Count == 1 || Count == 2 || Count == 4, "one, two or four matrices");
  auto a = uint32_t(__cvta_generic_to_shared(shared));
  if constexpr (Count == 1 && !Transposed) {
    asm volatile("stmatrix.sync.aligned.m8n8.x1.shared.b16 [%0], {%1};" ::"r"(a), "r"(f[0]) : "memory");
  } else if constexpr (Count == 1) {
    asm volatile("stmatrix.sync.aligned.m8n8.x1.trans.shared.b16 [%0], {%1};" ::"r"(a), "r"(f[0]) : "memory");
  } else if constexpr (Count == 2 && !Transposed) {
    asm volatile("stmatrix.sync.aligned.m8n8.x2.shared.b16 [%0], {%1,%2};" ::"r"(a), "r"(f[0]), "r"(f[1]) : "memory");
  } else if constexpr (Count == 2) {
    asm volatile("stmatrix.sync.aligned.m8n8.x2.trans.shared.b16 [%0], {%1,%2};" ::"r"(a), "r"(f[0]), "r"(f[1]) : "memory");
  } else if constexpr (!Transposed) {
    asm volatile("stmatrix.sync.aligned.m8n8.x4.shared.b16 [%0], {%1,%2,%3,%4};"
                 ::"r"(a), "r"(f[0]), "r"(f[1]), "r"(f[2]), "r"(f[3]) : "memory");
  } else {
    asm volatile("stmatrix.sync.aligned.m8n8.x4.trans.shared.b16 [%0], {%1,%2,%3,%4};"
                 ::"r"(a), "r"(f[0]), "r"(f[1]), "r"(f[2]), "r"(f[3]) : "memory");
  }
}
#endif

#endif

}  // namespace gradus::ptx
