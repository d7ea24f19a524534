// The two loops that a processor's limits are measured with. loops.cpp is compiled for every instruction set that the SIMD
// plug-in knows; main.cpp takes the widest that the machine has.
#pragma once

#include <cstdint>

namespace gradus::probe {

struct Loops {
  const char* isa;
  // Multiplies and adds in registers alone; gives the number of floating-point operations.
  int64_t (*multiply_add)(int64_t rounds);
  // c = a + s b, the triad of the STREAM benchmark.
  void (*triad)(const float* a, const float* b, float* c, int64_t n);
};

Loops portable_loops();
Loops avx2_loops();
Loops avx512_loops();

}  // namespace gradus::probe
