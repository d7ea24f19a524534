// wgmma: D += A B by a warpgroup (128 threads), both operands in shared memory behind matrix descriptors, D [64, N] in float32
// registers: thread t holds, for each 8 columns j, rows 16 (t / 32) + t % 32 / 4 + {0, 8} and columns 8 j + 2 (t % 4) + {0, 1}.
// K is 16 for bf16 and f16, 8 for tf32 (whose operands must be K-major).
// wgmma_a_registers takes A [64, K] from four registers a thread, laid out as the A fragment of mma.sync (mma.h) with rows
// 16 (t / 32) and up; they too belong to the hardware until the wait.
// Use: wgmma_fence, wgmma..., wgmma_commit, wgmma_wait<pending groups>, wgmma_results; the accumulators belong to the hardware in
// between. wgmma_results keeps the compiler from moving arithmetic on them before the wait, which does not name them.
// Source: PTX ISA, "Asynchronous Warpgroup Level Matrix Multiply-Accumulate Instructions".
#pragma once

#include <type_traits>

#include "device/half.h"
#include "device/ptx/address.h"

namespace gradus::ptx {

enum class MatrixSwizzle : uint64_t { none = 0, bytes128 = 1, bytes64 = 2, bytes32 = 3 };

// leading and stride: byte offsets of the canonical layout. K-major and swizzled: stride from 8 rows to the next 8, leading unused.
GRADUS_HOST_DEVICE uint64_t matrix_descriptor(uint32_t shared_address, uint32_t leading, uint32_t stride, MatrixSwizzle swizzle) {
  return uint64_t((shared_address & 0x3FFFF) >> 4) | uint64_t((leading & 0x3FFFF) >> 4) << 16 | uint64_t((stride & 0x3FFFF) >> 4) << 32 |
         uint64_t(swizzle) << 62;
}

struct tf32 {};  // names the type; the elements are float

#if GRADUS_EMULATED

namespace model {
template <class T>
struct Kind;
template <>
struct Kind<bfloat16> {
  static constexpr emulator::WgmmaType type = emulator::WgmmaType::bf16;
  static constexpr int k = 16;
};
template <>
struct Kind<float16> {
  static constexpr emulator::WgmmaType type = emulator::WgmmaType::f16;
  static constexpr int k = 16;
};
template <>
struct Kind<tf32> {
  static constexpr emulator::WgmmaType type = emulator::WgmmaType::tf32;
  static constexpr int k = 8;
};
}  // namespace model

inline void wgmma_fence() { emulator::wgmma_fence(); }
inline void wgmma_commit() { emulator::wgmma_commit(); }
template <int Pending>
inline void wgmma_wait(Site site = Site::here()) {
  for (;;) {
    emulator::Chunks reads = emulator::wgmma_step(Pending, site);
    if (reads.address == nullptr) break;
    for (int i = 0; i < reads.count; i++) emulator::touch_read(reads.address[i], 16);
  }
  emulator::wgmma_deliver(Pending, site);
}
template <int N>
inline void wgmma_results(float (&)[N]) {}
template <int N, class T, bool TransposeA = false, bool TransposeB = false>
inline void wgmma(float (&d)[N / 2], uint64_t a, uint64_t b, bool accumulate, Site site = Site::here()) {
  using Kind = model::Kind<T>;
  emulator::Wgmma op{Kind::type, N, Kind::k, a, b, accumulate, TransposeA, TransposeB};
  emulator::exchange_aligned("wgmma", &a, sizeof a, site);
  emulator::Chunks reads = emulator::wgmma_reads(op, site);
  for (int i = 0; i < reads.count; i++) emulator::touch_read(reads.address[i], 16);
  emulator::wgmma_issue(op, d, nullptr, site);
}
template <int N, class T, bool TransposeB = false>
inline void wgmma_a_registers(float (&d)[N / 2], const uint32_t (&a)[4], uint64_t b, bool accumulate, Site site = Site::here()) {
  using Kind = model::Kind<T>;
  emulator::Wgmma op{Kind::type, N, Kind::k, 0, b, accumulate, false, TransposeB, true};
  emulator::exchange_aligned("wgmma", &b, sizeof b, site);
  emulator::Chunks reads = emulator::wgmma_reads(op, site);
  for (int i = 0; i < reads.count; i++) emulator::touch_read(reads.address[i], 16);
  emulator::wgmma_issue(op, d, a, site);
}

#elif GRADUS_SM90A

GRADUS_DEVICE void wgmma_fence() { asm volatile("wgmma.fence.sync.aligned;" ::: "memory"); }
GRADUS_DEVICE void wgmma_commit() { asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory"); }
template <int Pending>
GRADUS_DEVICE void wgmma_wait(Site = Site::here()) {
  asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(Pending) : "memory");
}

template <int N>
GRADUS_DEVICE void wgmma_results(float (&d)[N]) {
  GRADUS_UNROLL
  for (int i = 0; i < N; i++) asm volatile("" : "+f"(d[i])::"memory");
}

#include "device/ptx/wgmma_forms.inc"

#endif

}  // namespace gradus::ptx
