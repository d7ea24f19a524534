// The processor as a device.
#include <cstdio>
#include <cstring>

#include "cpu/parallel.h"
#include "gradus/runtime.h"
#include "plugin/host.h"

namespace gradus {

namespace {

// As the system calls it; an empty string where it does not.
std::string processor_name() {
  FILE* info = fopen("/proc/cpuinfo", "r");
  if (info == nullptr) return "";
  std::string name;
  char line[512];
  while (name.empty() && fgets(line, sizeof line, info) != nullptr) {
    const char* colon = strchr(line, ':');
    if (strncmp(line, "model name", 10) == 0 && colon != nullptr) {
      name = colon + 1;
      name.erase(0, name.find_first_not_of(" \t"));
      name.erase(name.find_last_not_of(" \t\n") + 1);
    }
  }
  fclose(info);
  return name;
}

}  // namespace

std::string host_device_name() {
  std::string processor = processor_name();
  return processor.empty() ? GRADUS_ISA_NAME : processor + ", " GRADUS_ISA_NAME;
}

int64_t host_threads() { return cpu::threads(); }

int set_host_threads(int64_t n) {
  cpu::set_threads(n);
  return GR_OK;
}

bool runs_while_recorded() { return true; }

int recorded_status(int status) { return status; }

}  // namespace gradus

extern "C" int gr_noop(int64_t, int64_t, int64_t, int64_t, int64_t) { return GR_OK; }
