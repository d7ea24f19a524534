#include "probe/loops.h"

#include "cpu/simd.h"

namespace gradus::probe {

namespace {

using cpu::Floats;
using cpu::kLanes;

// An instruction's result can be used four or five cycles later, and two begin in every cycle: ten chains keep both units busy, and
// two factors beside them still fit into sixteen registers.
constexpr int kChains = 12;

int64_t multiply_add(int64_t rounds) {
  Floats factor = cpu::broadcast(0.5f);
  Floats term = cpu::broadcast(0.25f);
  asm volatile("" : "+m"(factor), "+m"(term));  // so that nothing is computed when this is compiled
  Floats f = factor, t = term;
  Floats chain[kChains];
  for (int i = 0; i < kChains; i++) chain[i] = cpu::broadcast(float(i));
  for (int64_t round = 0; round < rounds; round++) {
#pragma GCC unroll 12
    for (int i = 0; i < kChains; i++) chain[i] = cpu::fma(chain[i], f, t);
  }
  Floats total = {};
  for (int i = 0; i < kChains; i++) total += chain[i];
  asm volatile("" : : "m"(total));
  return rounds * kChains * kLanes * 2;
}

void triad(const float* a, const float* b, float* c, int64_t n) {
  Floats s = cpu::broadcast(3.0f);
  for (int64_t i = 0; i < n; i += kLanes) {
    int lanes = cpu::lanes_left(n - i);
    cpu::store_some(c + i, cpu::fma(cpu::load_some(b + i, lanes), s, cpu::load_some(a + i, lanes)), lanes);
  }
}

}  // namespace

Loops GRADUS_PROBE_LOOPS() { return {GRADUS_ISA_NAME, multiply_add, triad}; }

}  // namespace gradus::probe
