// Conformance of the emulator's models with hardware: the same kernels on the same inputs, on both. conformance_cases.h makes the list
// of cases, once compiled by the host compiler for the emulator, once by nvcc.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace conformance {

// What an input is filled with. Eighths are multiples of 1/8 on [-1, 1): their products and sums are exact in any order, so that
// tensor cores must agree to the bit.
enum class Input { bits, eighths_float32, eighths_bfloat16, eighths_float16, float32, bfloat16, float16, indices };
// Bits must agree, or floats to the bit where neither is NaN, or floats within |difference| <= absolute + relative |value|.
enum class Compare { bits, floats, near };

struct Case {
  std::string name;
  bool hopper;  // needs sm_90a
  Input input;
  int64_t input_bytes, output_bytes;
  Compare compare;
  double relative, absolute;
  int (*launch)(const void* in, void* out);  // device memory; the output starts as zeros
  std::string (*run)(const Case&, const void* in, void* out);  // host memory; what went wrong, or an empty string
};

std::vector<Case> model_cases();
std::vector<Case> hardware_cases();

// The GPU in words, and its compute capability; 0 and the reason where there is none.
int hardware(std::string* description);

}  // namespace conformance
