// The shared memory of one block: dynamic memory first, then each static variable when the first thread meets it. Everything
// reads as 0xFF (a NaN in every float type) until it is written, and between the variables lie guard zones: forbidden to
// AddressSanitizer, compared at the end of the block otherwise.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "device/site.h"

namespace gradus::emulator {

class SharedMemory {
 public:
  static constexpr size_t kCapacity = 256 * 1024;
  static constexpr size_t kLimit = 227 * 1024;        // of a block on sm_90
  static constexpr size_t kStaticLimit = 48 * 1024;
  static constexpr size_t kGuard = 64;
  static constexpr uint32_t kWindowStart = 1024;      // shared addresses begin here, so that 0 is never valid

  SharedMemory();
  ~SharedMemory();
  SharedMemory(const SharedMemory&) = delete;
  SharedMemory& operator=(const SharedMemory&) = delete;

  void begin(size_t dynamic_bytes);
  // Null when it does not fit.
  void* variable(const void* tag, size_t bytes, size_t alignment, const char* name, Site site);
  std::string damage() const;  // a guard zone that was written to, or empty
  std::string describe(const void* p) const;  // "byte 12 of tile (file:line)"
  void end();                  // nothing may be read any more

  char* base() const { return base_; }
  size_t used() const { return used_; }
  bool contains(const void* p) const { return p >= base_ && p < base_ + kCapacity; }

 private:
  struct Variable {
    const void* tag;
    size_t offset, bytes;
    const char* name;
    Site site;
    std::string title() const;  // with the line of its declaration
  };
  void guard();

  char* base_;
  size_t used_ = 0, static_bytes_ = 0;
  std::vector<Variable> variables_;
};

}  // namespace gradus::emulator
