#include "gradus/loader.h"

#include <dlfcn.h>

#include <string>

#include "gradus/table.h"

namespace {

const char* const kRemedy = "build Gradus anew, or take a release for this platform";

std::string& error() {
  static thread_local std::string text;
  return text;
}

int refuse(std::string reason) {
  error() = std::move(reason);
  return GR_ERROR;
}

}  // namespace

extern "C" int gr_load(const char* path, int64_t handle) {
  // Local, so that plug-ins with the same symbols keep out of each other's way. Never closed: their threads live on.
  void* library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) return refuse(std::string(dlerror()) + ": the file is damaged or was built for another machine; " + kRemedy);
  auto plugin = reinterpret_cast<decltype(&gr_plugin)>(dlsym(library, "gr_plugin"));
  if (plugin == nullptr) return refuse(std::string(path) + " is not a plug-in of Gradus: it has no gr_plugin; " + kRemedy);
  const gr_table* table = plugin();
  if (table->abi != GR_ABI_VERSION) {
    return refuse(std::string(path) + " speaks version " + std::to_string(table->abi) + " of the plug-in interface, this build version " +
                  std::to_string(GR_ABI_VERSION) + ": build them from the same sources");
  }
  *reinterpret_cast<int64_t*>(handle) = reinterpret_cast<int64_t>(table);
  return GR_OK;
}

extern "C" const char* gr_load_error(void) { return error().c_str(); }

extern "C" void* gr_pointer(int64_t address) { return reinterpret_cast<void*>(address); }
