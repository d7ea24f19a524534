// The initcheck build: every access of a kernel to shared memory is held against a state kept for each byte, so that a read of
// what was never written, or of what a copy in flight will write, is reported with its line, as is an access outside of the
// variables. So is one to the accumulators of a wgmma that was not waited for: they are memory here.
//
// Kernels and tests are compiled with -fsanitize=thread, whose calls before each access (__tsan_read4 and the like) go to
// initcheck.cpp instead of ThreadSanitizer's library. Shared memory of all blocks lies in one range of addresses, so that other
// accesses cost one comparison. What the runtime itself writes and reads for the kernel it says here. Not seen are calls of
// memcpy and memset in a kernel for more than the 16 bytes that the compiler turns into plain moves.
// Source: the entry points are those that GCC and clang emit, compiler-rt/lib/tsan/rtl/tsan_interface.h.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "device/site.h"

namespace gradus::emulator {

class SharedMemory;

enum class ByteState : uint8_t { unwritten = 0, written = 1, in_flight = 2, outside = 4 };

#if defined(GRADUS_INITCHECK)

constexpr bool kInitcheck = true;
// Memory for a block, all of it `outside`; null when the range is used up.
char* reserve_shared(SharedMemory* owner);
void release_shared(char* base);
void mark_bytes(const void* p, size_t bytes, ByteState state);
// What the runtime reads for the kernel at `site`.
void check_read(const void* p, size_t bytes, Site site);

#else

constexpr bool kInitcheck = false;
inline char* reserve_shared(SharedMemory*) { return nullptr; }
inline void release_shared(char*) {}
inline void mark_bytes(const void*, size_t, ByteState) {}
inline void check_read(const void*, size_t, Site) {}

#endif

}  // namespace gradus::emulator
