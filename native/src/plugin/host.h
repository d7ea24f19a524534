// What a plug-in that computes on the CPU adds to the runtime functions of host.cpp.
#pragma once

#include <cstdint>
#include <string>

namespace gradus {

// What the device is called.
std::string host_device_name();

// How many threads kernels run on.
int64_t host_threads();

// See gr_set_threads.
int set_host_threads(int64_t n);

}  // namespace gradus
