// What every plug-in has: the stream behind a handle, the calling thread's last message, and addresses as pointers.
#pragma once

#include <cstdint>
#include <string>
#include <utility>

#include "gradus/abi.h"

struct gr_table;

namespace gradus {

// What a stream handle points to. The table comes first: see gradus/abi.h.
struct Stream {
  const gr_table* table;
  void* native;  // a cudaStream_t; where work is done at once nothing, or the Recording while the stream is recorded
  int device;
};

// The calling thread's last message.
inline std::string& error_text() {
  static thread_local std::string text;
  return text;
}

inline int failed(int status, std::string message) {
  error_text() = std::move(message);
  return status;
}

template <class T>
T* pointer(int64_t address) {
  return reinterpret_cast<T*>(static_cast<uintptr_t>(address));
}

}  // namespace gradus
