// The cases on the emulator.
#include "conformance_cases.h"

std::vector<conformance::Case> conformance::model_cases() { return gradus::conformance_kernels::all_cases(); }
