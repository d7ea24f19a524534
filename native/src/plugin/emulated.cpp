// The emulator as a device.
#include <thread>

#include "gradus/abi.h"
#include "plugin/host.h"
#include "plugin/stream.h"

namespace gradus {

std::string host_device_name() { return "CUDA kernels on the CPU"; }

int64_t host_threads() { return int64_t(std::thread::hardware_concurrency()); }

// A team of the emulator is as large as the block that it runs.
int set_host_threads(int64_t) { return GR_UNSUPPORTED; }

// As on a GPU.
bool runs_while_recorded() { return false; }

int recorded_status(int status) { return finish(status); }

}  // namespace gradus
