// mma.sync: D += A B by a warp, A [16, K] row-major, B [K, 8] column-major, D [16, 8] in float32.
// Fragments, with g = lane / 4 and t = lane % 4: 16-bit A register i holds row g + 8 (i % 2), columns 2 t + 8 (i / 2) and the
// next; B register i rows 2 t + 8 i and the next, column g. tf32 A register i: row g + 8 (i % 2), column t + 4 (i / 2); B
// register i: row t + 4 i, column g. D element i: row g + 8 (i / 2), column 2 t + i % 2.
// Source: PTX ISA, "Matrix Fragments for mma.m16n8k16 with floating point type", "... mma.m16n8k8".
// The hardware rounds its sums in its own order: hold results to a tolerance.
#pragma once

#include "device/half.h"
#include "device/portable.h"

namespace gradus::ptx {

#if GRADUS_EMULATED

namespace model {

struct Fragments {
  uint32_t a[4], b[2];
};

template <class T>
inline float half_of(uint32_t pair, int i) {
  return to_float(T{uint16_t(pair >> (16 * i))});
}

template <class T>
inline void mma_16(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2], const char* name, Site site) {
  Fragments mine{{a[0], a[1], a[2], a[3]}, {b[0], b[1]}};
  auto messages = emulator::exchange_aligned(name, &mine, sizeof mine, site);
  int g = emulator::lane() / 4;
  int t = emulator::lane() % 4;
  float sum[4] = {};
  for (int k = 0; k < 16; k += 2) {
    auto row = messages.from<Fragments>(4 * g + k % 8 / 2);
    for (int column = 0; column < 2; column++) {
      auto other = messages.from<Fragments>(4 * (2 * t + column) + k % 8 / 2);
      for (int half = 0; half < 2; half++) {
        float y = half_of<T>(other.b[k / 8], half);
        sum[column] += half_of<T>(row.a[k / 8 * 2], half) * y;
        sum[2 + column] += half_of<T>(row.a[k / 8 * 2 + 1], half) * y;
      }
    }
  }
  for (int i = 0; i < 4; i++) d[i] += sum[i];
}

inline float tf32_of(uint32_t bits) { return bits_to_float(bits & ~0x1FFFu); }  // the low 13 bits are not looked at

}  // namespace model

inline void mma_m16n8k16(bfloat16, float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2], Site site = Site::here()) {
  model::mma_16<bfloat16>(d, a, b, "mma.m16n8k16.bf16", site);
}
inline void mma_m16n8k16(float16, float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2], Site site = Site::here()) {
  model::mma_16<float16>(d, a, b, "mma.m16n8k16.f16", site);
}
inline void mma_m16n8k8_tf32(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2], Site site = Site::here()) {
  model::Fragments mine{{a[0], a[1], a[2], a[3]}, {b[0], b[1]}};
  auto messages = emulator::exchange_aligned("mma.m16n8k8.tf32", &mine, sizeof mine, site);
  int g = emulator::lane() / 4;
  int t = emulator::lane() % 4;
  for (int k = 0; k < 8; k++) {
    auto row = messages.from<model::Fragments>(4 * g + k % 4);
    for (int column = 0; column < 2; column++) {
      auto other = messages.from<model::Fragments>(4 * (2 * t + column) + k % 4);
      float y = model::tf32_of(other.b[k / 4]);
      d[column] += model::tf32_of(row.a[k / 4 * 2]) * y;
      d[2 + column] += model::tf32_of(row.a[k / 4 * 2 + 1]) * y;
    }
  }
}

// Rounds to tf32, ties away from zero; NaN stays NaN.
inline uint32_t to_tf32(float x) {
  uint32_t bits = float_to_bits(x);
  if ((bits & 0x7FFFFFFFu) > 0x7F800000u) return 0x7FFFFFFFu;
  return (bits + 0x1000u) & ~0x1FFFu;
}

#else

GRADUS_DEVICE void mma_m16n8k16(bfloat16, float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2], Site = Site::here()) {
  asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
               : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3]) : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}
GRADUS_DEVICE void mma_m16n8k16(float16, float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2], Site = Site::here()) {
  asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
               : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3]) : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}
GRADUS_DEVICE void mma_m16n8k8_tf32(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2], Site = Site::here()) {
  asm volatile("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
               : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3]) : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}
GRADUS_DEVICE uint32_t to_tf32(float x) {
  uint32_t r;
  asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(r) : "f"(x));
  return r;
}

#endif

}  // namespace gradus::ptx
