// The runtime functions of the CUDA plug-in.
#include <dlfcn.h>

#include <cstdio>
#include <cstring>

#include "gradus/runtime.h"
#include "gradus/table.h"
#include "kernels/launcher.h"

using namespace gradus;

namespace {

constexpr int kMinimumCapability = 80;

const char* const kNoDevice =
    "the NVIDIA driver finds no GPU; see whether nvidia-smi lists one, whether CUDA_VISIBLE_DEVICES hides it, and whether a container "
    "was started with --gpus all";

std::string version(int number) { return std::to_string(number / 1000) + "." + std::to_string(number % 1000 / 10); }

// Why there is no device to use, or an empty string. The driver is asked before the runtime, which reports a missing driver and
// one that is too old alike.
std::string driver_problem() {
  void* driver = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
  if (driver == nullptr) {
    return std::string("there is no NVIDIA driver on this machine (") + dlerror() + "); install one that supports CUDA " +
           version(CUDART_VERSION / 1000 * 1000) + ", or run a container with --gpus all";
  }
  auto get_version = reinterpret_cast<int (*)(int*)>(dlsym(driver, "cuDriverGetVersion"));
  auto init = reinterpret_cast<int (*)(unsigned)>(dlsym(driver, "cuInit"));
  auto error_string = reinterpret_cast<int (*)(int, const char**)>(dlsym(driver, "cuGetErrorString"));
  if (get_version == nullptr || init == nullptr) return "libcuda.so.1 is not an NVIDIA driver; reinstall the driver";
  int installed = 0;
  get_version(&installed);
  int needed = CUDART_VERSION / 1000 * 1000;
  if (installed < needed) {
    return "the NVIDIA driver supports CUDA " + version(installed) + ", and this build needs " + version(needed) +
           "; install a newer driver";
  }
  int status = init(0);
  if (status == cudaErrorNoDevice) {
    return kNoDevice;
  }
  if (status != 0) {
    const char* text = nullptr;
    if (error_string != nullptr) error_string(status, &text);
    return std::string("the NVIDIA driver does not start: ") + (text == nullptr ? "unknown error" : text) + " (" +
           std::to_string(status) + "); nvidia-smi may say more, and a restart of the machine helps after a driver update";
  }
  return "";
}

// Calls go to the device that is current in the calling thread.
int use(int device) { return int(cudaSetDevice(device)); }

template <class F>
int on_device(int device, F&& f) {
  int status = use(device);
  return finish(status != cudaSuccess ? status : int(f()));
}

cudaGraphExec_t graph_of(int64_t graph) { return pointer<CUgraphExec_st>(graph); }

cudaEvent_t event_of(int64_t event) { return pointer<CUevent_st>(event); }

int64_t address_of(const void* p) { return int64_t(reinterpret_cast<uintptr_t>(p)); }

}  // namespace

extern "C" {

int gr_device_count(int64_t count, int64_t) {
  *pointer<int64_t>(count) = 0;
  std::string problem = driver_problem();
  if (!problem.empty()) return failed(GR_ERROR, problem);
  int devices = 0;
  int status = finish(int(cudaGetDeviceCount(&devices)));
  if (status == GR_OK && devices == 0) return failed(GR_ERROR, kNoDevice);
  *pointer<int64_t>(count) = devices;
  return status;
}

int gr_device_info(int32_t device, int64_t properties, int64_t) {
  auto& p = *pointer<gr_device_properties>(properties);
  p = {};
  cudaDeviceProp known{};
  int status = int(cudaGetDeviceProperties(&known, device));
  if (status != cudaSuccess) return finish(status);
  snprintf(p.name, sizeof p.name, "%s", known.name);
  p.capability = 10 * known.major + known.minor;
  p.memory_total = int64_t(known.totalGlobalMem);
  p.processors = known.multiProcessorCount;
  int installed = 0;
  cudaDriverGetVersion(&installed);
  p.driver_version = installed;
  p.built_for = CUDART_VERSION;
  if (p.capability < kMinimumCapability) {
    return failed(GR_ERROR, "its compute capability is " + std::to_string(known.major) + "." + std::to_string(known.minor) +
                                ", and the kernels need 8.0 (Ampere) or newer");
  }
  size_t free_bytes = 0;
  size_t total = 0;
  status = on_device(device, [&] { return cudaMemGetInfo(&free_bytes, &total); });
  p.memory_free = int64_t(free_bytes);
  return status;
}

int gr_set_threads(int64_t, int64_t) { return GR_UNSUPPORTED; }

int gr_error(int64_t text, int64_t capacity, int64_t) {
  if (capacity <= 0) return GR_ERROR;
  snprintf(pointer<char>(text), size_t(capacity), "%s", error_text().c_str());
  return GR_OK;
}

int gr_allocate(int32_t device, int64_t bytes, int64_t address, int64_t) {
  return on_device(device, [&] {
    void* memory = nullptr;
    cudaError_t status = cudaMalloc(&memory, size_t(bytes < 1 ? 1 : bytes));
    *pointer<int64_t>(address) = address_of(memory);
    return status;
  });
}

int gr_free(int32_t device, int64_t memory, int64_t) {
  return on_device(device, [&] { return cudaFree(pointer<void>(memory)); });
}

int gr_host_allocate(int64_t bytes, int64_t address, int64_t) {
  void* memory = nullptr;
  cudaError_t status = cudaHostAlloc(&memory, size_t(bytes < 1 ? 1 : bytes), cudaHostAllocPortable);
  *pointer<int64_t>(address) = address_of(memory);
  return finish(int(status));
}

int gr_host_free(int64_t memory, int64_t) { return finish(int(cudaFreeHost(pointer<void>(memory)))); }

int gr_stream_create(int32_t device, int64_t stream, int64_t plugin) {
  return on_device(device, [&] {
    cudaStream_t native = nullptr;
    cudaError_t status = cudaStreamCreateWithFlags(&native, cudaStreamNonBlocking);
    if (status == cudaSuccess) *pointer<int64_t>(stream) = address_of(new Stream{pointer<const gr_table>(plugin), native, device});
    return status;
  });
}

int gr_stream_destroy(int64_t stream) {
  Stream* s = pointer<Stream>(stream);
  int status = finish(int(cudaStreamDestroy(stream_of(stream))));
  delete s;
  return status;
}

int gr_stream_synchronize(int64_t stream) { return finish(int(cudaStreamSynchronize(stream_of(stream)))); }

int gr_upload(int64_t host, int64_t device, int64_t bytes, int64_t stream) {
  return finish(int(cudaMemcpyAsync(pointer<void>(device), pointer<void>(host), size_t(bytes), cudaMemcpyHostToDevice, stream_of(stream))));
}

int gr_download(int64_t device, int64_t host, int64_t bytes, int64_t stream) {
  return finish(int(cudaMemcpyAsync(pointer<void>(host), pointer<void>(device), size_t(bytes), cudaMemcpyDeviceToHost, stream_of(stream))));
}

int gr_device_copy(int64_t src, int64_t dst, int64_t bytes, int64_t stream) {
  return finish(int(cudaMemcpyAsync(pointer<void>(dst), pointer<void>(src), size_t(bytes), cudaMemcpyDeviceToDevice, stream_of(stream))));
}

int gr_event_create(int64_t event, int64_t) {
  cudaEvent_t made = nullptr;
  int status = finish(int(cudaEventCreate(&made)));
  *pointer<int64_t>(event) = address_of(made);
  return status;
}

int gr_event_destroy(int64_t event, int64_t) { return finish(int(cudaEventDestroy(event_of(event)))); }

int gr_event_record(int64_t event, int64_t stream) { return finish(int(cudaEventRecord(event_of(event), stream_of(stream)))); }

int gr_event_wait(int64_t event, int64_t stream) { return finish(int(cudaStreamWaitEvent(stream_of(stream), event_of(event), 0))); }

int gr_event_synchronize(int64_t event, int64_t) { return finish(int(cudaEventSynchronize(event_of(event)))); }

int gr_event_query(int64_t event, int64_t done, int64_t) {
  cudaError_t status = cudaEventQuery(event_of(event));
  *pointer<int64_t>(done) = status == cudaSuccess ? 1 : 0;
  return status == cudaErrorNotReady ? GR_OK : finish(int(status));
}

int gr_event_elapsed(int64_t start, int64_t end, int64_t elapsed, int64_t) {
  float milliseconds = 0;
  int status = finish(int(cudaEventElapsedTime(&milliseconds, event_of(start), event_of(end))));
  *pointer<double>(elapsed) = double(milliseconds);
  return status;
}

// Relaxed: the engine allocates while it records, which the other modes forbid. It never waits for the stream meanwhile.
int gr_capture_begin(int64_t, int64_t, int64_t stream) {
  return finish(int(cudaStreamBeginCapture(stream_of(stream), cudaStreamCaptureModeRelaxed)));
}

int gr_capture_end(int64_t graph, int64_t ran, int64_t stream) {
  cudaGraph_t recorded = nullptr;
  int status = int(cudaStreamEndCapture(stream_of(stream), &recorded));
  if (graph == 0) {
    // A recording that failed has nothing to give; throwing it away is no error.
    cudaGetLastError();
    if (recorded != nullptr) cudaGraphDestroy(recorded);
    return GR_OK;
  }
  if (status != cudaSuccess) return finish(status);
  cudaGraphExec_t executable = nullptr;
  status = int(cudaGraphInstantiate(&executable, recorded, 0));
  cudaGraphDestroy(recorded);
  *pointer<int64_t>(graph) = address_of(executable);
  *pointer<int64_t>(ran) = 0;
  return finish(status);
}

int gr_graph_launch(int64_t graph, int64_t stream) { return finish(int(cudaGraphLaunch(graph_of(graph), stream_of(stream)))); }

int gr_graph_destroy(int64_t graph, int64_t) { return finish(int(cudaGraphExecDestroy(graph_of(graph)))); }

}  // extern "C"
