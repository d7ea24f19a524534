// The runtime functions of plug-ins that compute on the CPU. Device memory is host memory, a stream runs everything at once.
#include "plugin/host.h"

#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <cstring>
#include <new>

#include "device/recording.h"
#include "gradus/runtime.h"
#include "gradus/table.h"
#include "plugin/handle.h"

using namespace gradus;

namespace {

constexpr size_t kAlignment = 256;

int64_t address_of(const void* p) { return int64_t(reinterpret_cast<uintptr_t>(p)); }

int allocate(int64_t bytes, int64_t address) {
  size_t rounded = (size_t(bytes) + kAlignment - 1) / kAlignment * kAlignment;
  void* memory = std::aligned_alloc(kAlignment, rounded == 0 ? kAlignment : rounded);
  if (memory == nullptr) return failed(GR_OUT_OF_MEMORY, "the machine has no " + std::to_string(bytes) + " bytes of memory left");
  *pointer<int64_t>(address) = address_of(memory);
  return GR_OK;
}

struct Event {
  std::chrono::steady_clock::time_point time;
};

// What the stream records into; null where it does its work.
Recording* recording_of(int64_t stream) { return stream == 0 ? nullptr : static_cast<Recording*>(pointer<Stream>(stream)->native); }

int copy(int64_t src, int64_t dst, int64_t bytes, int64_t stream) {
  auto work = [src, dst, bytes] {
    memcpy(pointer<void>(dst), pointer<const void>(src), size_t(bytes));
    return 0;
  };
  Recording* recording = recording_of(stream);
  if (recording == nullptr || runs_while_recorded()) work();
  if (recording != nullptr) recording->add(work);
  return GR_OK;
}

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
  *pointer<int64_t>(stream) = address_of(new Stream{pointer<const gr_table>(plugin), nullptr, device});
  return GR_OK;
}

int gr_stream_destroy(int64_t stream) {
  delete pointer<Stream>(stream);
  return GR_OK;
}

int gr_stream_synchronize(int64_t stream) {
  return recording_of(stream) == nullptr ? GR_OK : failed(GR_ERROR, "nothing can wait for a stream that is being recorded");
}

int gr_upload(int64_t host, int64_t device, int64_t bytes, int64_t stream) { return copy(host, device, bytes, stream); }

int gr_download(int64_t device, int64_t host, int64_t bytes, int64_t stream) { return copy(device, host, bytes, stream); }

int gr_device_copy(int64_t src, int64_t dst, int64_t bytes, int64_t stream) { return copy(src, dst, bytes, stream); }

int gr_event_create(int64_t event, int64_t) {
  *pointer<int64_t>(event) = address_of(new Event{std::chrono::steady_clock::now()});
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

int gr_capture_begin(int64_t structs, int64_t bytes, int64_t stream) {
  if (recording_of(stream) != nullptr) return failed(GR_ERROR, "the stream is being recorded already");
  pointer<Stream>(stream)->native = new Recording(uintptr_t(structs), size_t(bytes));
  return GR_OK;
}

int gr_capture_end(int64_t graph, int64_t ran, int64_t stream) {
  Recording* recording = recording_of(stream);
  if (recording == nullptr) return failed(GR_ERROR, "the stream is not being recorded");
  pointer<Stream>(stream)->native = nullptr;
  if (graph == 0) {
    delete recording;
    return GR_OK;
  }
  *pointer<int64_t>(graph) = address_of(recording);
  *pointer<int64_t>(ran) = runs_while_recorded() ? 1 : 0;
  return GR_OK;
}

int gr_graph_launch(int64_t graph, int64_t stream) {
  if (recording_of(stream) != nullptr) return failed(GR_ERROR, "a graph cannot be launched in a stream that is being recorded");
  return recorded_status(pointer<const Recording>(graph)->run());
}

int gr_graph_destroy(int64_t graph, int64_t) {
  delete pointer<Recording>(graph);
  return GR_OK;
}

}  // extern "C"
