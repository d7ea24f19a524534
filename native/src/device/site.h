// Where in a kernel a wrapper was called. On the emulator it is carried into every error message; on the device it is an empty
// struct that vanishes. A wrapper takes `Site site = Site::here()` as its last parameter and passes it on with GRADUS_AT(site).
#pragma once

namespace gradus {

#if defined(__CUDACC__)

struct Site {
  __host__ __device__ static constexpr Site here() { return {}; }
};
#define GRADUS_AT(site)

#else

struct Site {
  const char* file;
  int line;
  static constexpr Site here(const char* file = __builtin_FILE(), int line = __builtin_LINE()) { return {file, line}; }
};
#define GRADUS_AT(site) , site

#endif

}  // namespace gradus
