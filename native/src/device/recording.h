// The work of a stream, kept to be run later and again: what a CUDA graph is on plug-ins that compute on the CPU. While a stream
// is recorded its handle points to one of these (plugin/handle.h), and whoever is given work for the stream adds it instead of,
// or besides, doing it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <utility>
#include <vector>

namespace gradus {

class Recording {
 public:
  // structs, bytes: the host memory that calls get their structs in, see gr_capture_begin.
  Recording(uintptr_t structs, size_t bytes) : structs_(structs), bytes_(bytes) {}

  void add(std::function<int()> work) { work_.push_back(std::move(work)); }

  // Does all of it, in order, up to the first piece that fails, and returns that piece's status.
  int run() const {
    for (const auto& work : work_) {
      if (int status = work()) return status;
    }
    return 0;
  }

  // Whether an argument is the address of a struct, which is gone when the call has returned.
  bool holds(int64_t argument) const { return uintptr_t(argument) - structs_ < bytes_; }
  uintptr_t structs() const { return structs_; }
  size_t struct_bytes() const { return bytes_; }

 private:
  uintptr_t structs_;
  size_t bytes_;
  std::vector<std::function<int()>> work_;
};

}  // namespace gradus
