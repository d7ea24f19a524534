// Memory that a thread keeps from one call to the next, so that kernels do not allocate: aligned to 64 bytes, never shrinking, one
// buffer for each tag. Chunks of a parallel loop ask for their own; what the calling thread asked for may be handed to them.
//
//   struct PackedRows;
//   float* rows = workspace<PackedRows, float>(n);  // null where the machine has no such memory
#pragma once

#include <cstdint>
#include <cstdlib>

#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace gradus::cpu {

class Workspace {
 public:
  Workspace() = default;
  Workspace(const Workspace&) = delete;
  Workspace& operator=(const Workspace&) = delete;
  ~Workspace() { std::free(data_); }

  void* get(size_t bytes) {
    if (bytes > bytes_ || data_ == nullptr) grow(bytes);
    return data_;
  }

 private:
  static constexpr size_t kAlignment = 64, kHugePage = 2 << 20;

  void grow(size_t bytes) {
    std::free(data_);
    const size_t unit = bytes >= kHugePage ? kHugePage : kAlignment;
    bytes_ = (bytes / unit + 1) * unit;
    data_ = std::aligned_alloc(bytes_ >= kHugePage ? kHugePage : kAlignment, bytes_);
    if (data_ == nullptr) bytes_ = 0;
#if defined(MADV_HUGEPAGE)
    // Panels are read with strides of pages: fewer and larger ones spare the machine looking them up. Where it has none, no harm.
    else if (bytes_ >= kHugePage) madvise(data_, bytes_, MADV_HUGEPAGE);
#endif
  }

  void* data_ = nullptr;
  size_t bytes_ = 0;
};

// The contents are what the thread left there under the tag, or nothing known.
template <class Tag, class T>
T* workspace(int64_t n) {
  static thread_local Workspace buffer;
  return static_cast<T*>(buffer.get(size_t(n) * sizeof(T)));
}

}  // namespace gradus::cpu
