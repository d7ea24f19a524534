#include "emulator/shared_memory.h"

#include <sys/mman.h>

#include <cstring>
#include <new>

#include "emulator/initcheck.h"
#include "emulator/sanitizer.h"

namespace gradus::emulator {

namespace {

// A guard that nobody wrote to.
const auto* const kIntact = [] {
  static char bytes[SharedMemory::kGuard];
  memset(bytes, 0xFF, sizeof bytes);
  return bytes;
}();

char* map(char* at) {
  int fixed = at == nullptr ? 0 : MAP_FIXED;
  void* p = mmap(at, SharedMemory::kCapacity, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | fixed, -1, 0);
  if (p == MAP_FAILED) throw std::bad_alloc();
  return static_cast<char*>(p);
}
}  // namespace

SharedMemory::SharedMemory() : base_(kInitcheck ? reserve_shared(this) : map(nullptr)) {
  if (base_ == nullptr) throw std::bad_alloc();
}
SharedMemory::~SharedMemory() {
  if (kInitcheck) {
    release_shared(base_);
    return;
  }
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
  mark_bytes(base_, used_, ByteState::outside);  // what the previous block had
  mark_bytes(base_, dynamic_bytes, ByteState::unwritten);
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
  mark_bytes(base_ + offset, bytes, ByteState::unwritten);
  variables_.push_back({tag, offset, bytes, name, site});
  used_ = offset + bytes;
  guard();
  return base_ + offset;
}

std::string SharedMemory::damage() const {
  if (kAsan) return {};  // was reported when it happened
  for (const Variable& v : variables_) {
    const char* zone = base_ + v.offset + v.bytes;
    if (memcmp(zone, kIntact, kGuard) == 0) continue;
    for (size_t i = 0; i < kGuard; i++) {
      if (zone[i] == char(0xFF)) continue;
      return std::string("a thread wrote ") + std::to_string(i) + " bytes past the end of " + v.title();
    }
  }
  return {};
}

std::string SharedMemory::Variable::title() const {
  if (site.file == nullptr) return name;
  const char* slash = strrchr(site.file, '/');
  return std::string(name) + " (" + (slash != nullptr ? slash + 1 : site.file) + ":" + std::to_string(site.line) + ")";
}

std::string SharedMemory::describe(const void* p) const {
  auto offset = size_t(static_cast<const char*>(p) - base_);
  const Variable* before = nullptr;
  for (const Variable& v : variables_) {
    if (v.offset <= offset && (before == nullptr || v.offset >= before->offset)) before = &v;
  }
  if (before == nullptr) return "byte " + std::to_string(offset) + " of shared memory";
  size_t at = offset - before->offset;
  if (at < before->bytes) return "byte " + std::to_string(at) + " of " + before->title();
  return std::to_string(at - before->bytes) + " bytes past the end of " + before->title();
}

void SharedMemory::end() {
  permit(base_, kCapacity);
  memset(base_, 0xFF, used_);
  mark_bytes(base_, used_, ByteState::outside);
  forbid(base_, kCapacity);
}

}  // namespace gradus::emulator
