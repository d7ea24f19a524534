#include "emulator/shared_memory.h"

#include <sys/mman.h>

#include <cstring>
#include <new>

#include "emulator/sanitizer.h"

namespace gradus::emulator {

namespace {
char* map(char* at) {
  int fixed = at == nullptr ? 0 : MAP_FIXED;
  void* p = mmap(at, SharedMemory::kCapacity, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | fixed, -1, 0);
  if (p == MAP_FAILED) throw std::bad_alloc();
  return static_cast<char*>(p);
}
}  // namespace

SharedMemory::SharedMemory() : base_(map(nullptr)) {}
SharedMemory::~SharedMemory() {
  permit(base_, kCapacity);
  munmap(base_, kCapacity);
}

void SharedMemory::begin(size_t dynamic_bytes) {
  if (kTsan) map(base_);  // a fresh mapping: TSan forgets what the previous block did here
  variables_.clear();
  static_bytes_ = 0;
  permit(base_, kCapacity);
  memset(base_, 0xFF, dynamic_bytes);
  forbid(base_ + dynamic_bytes, kCapacity - dynamic_bytes);
  used_ = dynamic_bytes;
  variables_.push_back({nullptr, 0, dynamic_bytes, "dynamic shared memory", {nullptr, 0}});
  guard();
}

void SharedMemory::guard() {
  permit(base_ + used_, kGuard);
  memset(base_ + used_, 0xFF, kGuard);
  forbid(base_ + used_, kGuard);
  used_ += kGuard;
}

void* SharedMemory::variable(const void* tag, size_t bytes, size_t alignment, const char* name, Site site) {
  for (const Variable& v : variables_) {
    if (v.tag == tag) return base_ + v.offset;
  }
  size_t offset = (used_ + alignment - 1) / alignment * alignment;
  static_bytes_ += bytes;
  if (static_bytes_ > kStaticLimit || offset + bytes + kGuard > kCapacity) return nullptr;
  permit(base_ + offset, bytes);
  memset(base_ + offset, 0xFF, bytes);
  variables_.push_back({tag, offset, bytes, name, site});
  used_ = offset + bytes;
  guard();
  return base_ + offset;
}

std::string SharedMemory::damage() const {
  if (kAsan) return {};  // was reported when it happened
  for (const Variable& v : variables_) {
    const char* zone = base_ + v.offset + v.bytes;
    for (size_t i = 0; i < kGuard; i++) {
      if (zone[i] == char(0xFF)) continue;
      std::string text = std::string("a thread wrote ") + std::to_string(i) + " bytes past the end of " + v.name;
      if (v.site.file != nullptr) {
        const char* slash = strrchr(v.site.file, '/');
        text += std::string(" (") + (slash != nullptr ? slash + 1 : v.site.file) + ":" + std::to_string(v.site.line) + ")";
      }
      return text;
    }
  }
  return {};
}

void SharedMemory::end() {
  permit(base_, kCapacity);
  memset(base_, 0xFF, used_);
  forbid(base_, kCapacity);
}

}  // namespace gradus::emulator
