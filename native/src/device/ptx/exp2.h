// ex2.approx: 2^x to about 2 ulp in one instruction; results below 2^-126 are 0.
// Source: PTX ISA, "Floating Point Instructions: ex2".
#pragma once

#include "device/portable.h"

#if GRADUS_EMULATED
#include <cmath>
#endif

namespace gradus::ptx {

GRADUS_DEVICE float exp2_approximate(float x) {
#if GRADUS_EMULATED
  float y = std::exp2(x);
  return y < 0x1p-126f ? 0 : y;
#else
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
#endif
}

}  // namespace gradus::ptx
