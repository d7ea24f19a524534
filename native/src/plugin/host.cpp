// The runtime functions of plug-ins that compute on the CPU. Device memory is host memory, a stream runs everything at once.
#include "plugin/host.h"

#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <cstring>
#include <new>

#include "gradus/runtime.h"
#include "gradus/table.h"
#include "plugin/handle.h"

using namespace gradus;

namespace {

constexpr size_t kAlignment = 256;

int allocate(int64_t bytes, int64_t address) {
  size_t rounded = (size_t(bytes) + kAlignment - 1) / kAlignment * kAlignment;
  void* memory = std::aligned_alloc(kAlignment, rounded == 0 ? kAlignment : rounded);
  if (memory == nullptr) return failed(GR_OUT_OF_MEMORY, "the machine has no " + std::to_string(bytes) + " bytes of memory left");
  *pointer<int64_t>(address) = int64_t(reinterpret_cast<uintptr_t>(memory));
  return GR_OK;
}

struct Event {
  std::chrono::steady_clock::time_point time;
};

}  // namespace

extern "C" {

int gr_device_count(int64_t count, int64_t) {
  *pointer<int64_t>(count) = 1;
  return GR_OK;
}

int gr_device_info(int32_t, int64_t properties, int64_t) {
  auto& p = *pointer<gr_device_properties>(properties);
  p = {};
  strncpy(p.name, host_device_name().c_str(), sizeof p.name - 1);
  auto page = int64_t(sysconf(_SC_PAGESIZE));
  p.memory_total = page * int64_t(sysconf(_SC_PHYS_PAGES));
  p.memory_free = page * int64_t(sysconf(_SC_AVPHYS_PAGES));
  p.processors = host_threads();
  return GR_OK;
}

int gr_set_threads(int64_t n, int64_t) { return set_host_threads(n); }

int gr_error(int64_t text, int64_t capacity, int64_t) {
  if (capacity <= 0) return GR_ERROR;
  strncpy(pointer<char>(text), error_text().c_str(), size_t(capacity) - 1);
  pointer<char>(text)[capacity - 1] = 0;
  return GR_OK;
}

int gr_allocate(int32_t, int64_t bytes, int64_t address, int64_t) { return allocate(bytes, address); }

int gr_free(int32_t, int64_t memory, int64_t) {
  std::free(pointer<void>(memory));
  return GR_OK;
}

int gr_host_allocate(int64_t bytes, int64_t address, int64_t) { return allocate(bytes, address); }

int gr_host_free(int64_t memory, int64_t) {
  std::free(pointer<void>(memory));
  return GR_OK;
}

int gr_stream_create(int32_t device, int64_t stream, int64_t plugin) {
  *pointer<int64_t>(stream) = int64_t(reinterpret_cast<uintptr_t>(new Stream{pointer<const gr_table>(plugin), nullptr, device}));
  return GR_OK;
}

int gr_stream_destroy(int64_t stream) {
  delete pointer<Stream>(stream);
  return GR_OK;
}

int gr_stream_synchronize(int64_t) { return GR_OK; }

int gr_upload(int64_t host, int64_t device, int64_t bytes, int64_t) {
  memcpy(pointer<void>(device), pointer<const void>(host), size_t(bytes));
  return GR_OK;
}

int gr_download(int64_t device, int64_t host, int64_t bytes, int64_t) {
  memcpy(pointer<void>(host), pointer<const void>(device), size_t(bytes));
  return GR_OK;
}

int gr_device_copy(int64_t src, int64_t dst, int64_t bytes, int64_t) {
  memcpy(pointer<void>(dst), pointer<const void>(src), size_t(bytes));
  return GR_OK;
}

int gr_event_create(int64_t event, int64_t) {
  *pointer<int64_t>(event) = int64_t(reinterpret_cast<uintptr_t>(new Event{std::chrono::steady_clock::now()}));
  return GR_OK;
}

int gr_event_destroy(int64_t event, int64_t) {
  delete pointer<Event>(event);
  return GR_OK;
}

int gr_event_record(int64_t event, int64_t) {
  pointer<Event>(event)->time = std::chrono::steady_clock::now();
  return GR_OK;
}

int gr_event_wait(int64_t, int64_t) { return GR_OK; }

int gr_event_synchronize(int64_t, int64_t) { return GR_OK; }

int gr_event_query(int64_t, int64_t done, int64_t) {
  *pointer<int64_t>(done) = 1;
  return GR_OK;
}

int gr_event_elapsed(int64_t start, int64_t end, int64_t elapsed, int64_t) {
  std::chrono::duration<double, std::milli> time = pointer<Event>(end)->time - pointer<Event>(start)->time;
  *pointer<double>(elapsed) = time.count();
  return GR_OK;
}

}  // extern "C"
