// libgradus_cpu.so runs on any processor. Beside it lie libraries of the same sources for wider vectors; this one gives the
// engine the table of the widest that the machine has, or its own. GRADUS_CPU=portable, avx2 or avx512 asks for less.
#include <dlfcn.h>

#include <cstdlib>
#include <cstring>
#include <string>

#include "gradus/table.h"

extern "C" const gr_table* gr_portable_table(void);

namespace {

struct Variant {
  const char* name;
  bool usable;
};

// The table of the library for an instruction set beside this one; null where it is missing.
const gr_table* beside(const char* isa) {
  Dl_info self;
  if (dladdr(reinterpret_cast<const void*>(&gr_portable_table), &self) == 0 || self.dli_fname == nullptr) return nullptr;
  std::string path = self.dli_fname;
  size_t ending = path.rfind(".so");
  if (ending == std::string::npos) return nullptr;
  path.insert(ending, std::string("_") + isa);
  void* library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) return nullptr;
  auto plugin = reinterpret_cast<decltype(&gr_plugin)>(dlsym(library, "gr_plugin"));
  return plugin == nullptr ? nullptr : plugin();
}

}  // namespace

extern "C" const gr_table* gr_plugin(void) {
  static const gr_table* chosen = [] {
    const char* wanted = getenv("GRADUS_CPU");
#if defined(__x86_64__)
    __builtin_cpu_init();
    bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c");
    bool avx512 = avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                  __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
    const Variant variants[] = {{"avx512", avx512}, {"avx2", avx2}};
#else
    const Variant variants[] = {{"", false}};
#endif
    bool allowed = wanted == nullptr;  // from the wanted one on downwards
    for (const Variant& variant : variants) {
      allowed = allowed || strcmp(wanted, variant.name) == 0;
      if (!allowed || !variant.usable) continue;
      const gr_table* table = beside(variant.name);
      if (table != nullptr) return table;
    }
    return gr_portable_table();
  }();
  return chosen;
}
