// The cases on a GPU. The build gives namespace gradus another name here: the emulator's code, in the same program, has functions
// of the same names.
#include "conformance_cases.h"

std::vector<conformance::Case> conformance::hardware_cases() { return gradus::conformance_kernels::all_cases(); }

int conformance::hardware(std::string* description) {
  cudaDeviceProp known{};
  int driver = 0, runtime = 0;
  cudaError_t status = cudaGetDeviceProperties(&known, 0);
  if (status != cudaSuccess) {
    *description = cudaGetErrorString(status);
    return 0;
  }
  cudaDriverGetVersion(&driver);
  cudaRuntimeGetVersion(&runtime);
  *description = std::string(known.name) + ", compute capability " + std::to_string(known.major) + "." + std::to_string(known.minor) +
                 ", driver for CUDA " + std::to_string(driver) + ", runtime " + std::to_string(runtime);
  return 10 * known.major + known.minor;
}
