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

// Whether a call does its work also while it is recorded: its kernels must run to know whether they take their arguments.
bool runs_while_recorded();

// The gr_status of what recorded work returned.
int recorded_status(int status);

}  // namespace gradus
