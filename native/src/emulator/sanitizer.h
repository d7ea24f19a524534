// The sanitizers' hooks, empty in a normal build.
//
// AddressSanitizer must be told of every stack switch, with the bounds of the stack switched to. Under ThreadSanitizer each CUDA
// thread is a TSan fiber, switched without synchronisation, so that only barriers and the like order them; the runtime itself is
// compiled without -fsanitize=thread (GRADUS_TSAN tells it of the build). Its calls of memcpy and malloc are intercepted all the
// same: Quiet hides them.
#pragma once

#include <cstddef>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif
#if defined(GRADUS_TSAN)
#include <sanitizer/tsan_interface.h>
extern "C" void __tsan_ignore_thread_begin();
extern "C" void __tsan_ignore_thread_end();
extern "C" void __tsan_read_range(void* address, unsigned long bytes);
extern "C" void __tsan_write_range(void* address, unsigned long bytes);
#endif

namespace gradus::emulator {

#if defined(__SANITIZE_ADDRESS__)
constexpr bool kAsan = true;
inline void forbid(void* p, size_t bytes) { __asan_poison_memory_region(p, bytes); }
inline void permit(void* p, size_t bytes) { __asan_unpoison_memory_region(p, bytes); }
inline bool forbidden(const void* p, size_t bytes) { return __asan_region_is_poisoned(const_cast<void*>(p), bytes) != nullptr; }
#else
constexpr bool kAsan = false;
inline void forbid(void*, size_t) {}
inline void permit(void*, size_t) {}
inline bool forbidden(const void*, size_t) { return false; }
#endif

#if defined(GRADUS_TSAN)
constexpr bool kTsan = true;
inline void release(void* object) { __tsan_release(object); }
inline void acquire(void* object) { __tsan_acquire(object); }
inline void* tsan_create() { return __tsan_create_fiber(0); }
inline void tsan_destroy(void* fiber) { __tsan_destroy_fiber(fiber); }
inline void* tsan_current() { return __tsan_get_current_fiber(); }
inline void tsan_switch(void* fiber) { __tsan_switch_to_fiber(fiber, __tsan_switch_to_fiber_no_sync); }
inline void tsan_read(void* p, size_t bytes) { __tsan_read_range(p, bytes); }
inline void tsan_write(void* p, size_t bytes) { __tsan_write_range(p, bytes); }
inline void ignore_begin() { __tsan_ignore_thread_begin(); }
inline void ignore_end() { __tsan_ignore_thread_end(); }
#else
constexpr bool kTsan = false;
inline void release(void*) {}
inline void acquire(void*) {}
inline void* tsan_create() { return nullptr; }
inline void tsan_destroy(void*) {}
inline void* tsan_current() { return nullptr; }
inline void tsan_switch(void*) {}
inline void tsan_read(void*, size_t) {}
inline void tsan_write(void*, size_t) {}
inline void ignore_begin() {}
inline void ignore_end() {}
#endif

// Held by every entry into the runtime from a kernel.
class Quiet {
 public:
  Quiet() { begin(); }
  ~Quiet() { end(); }
  Quiet(const Quiet&) = delete;
  Quiet& operator=(const Quiet&) = delete;

  // Held around a switch of stacks: a parked thread must not stay hidden from TSan, nor the one that runs instead start hidden.
  class Pause {
   public:
    Pause() : depth_(depth()) {
      while (depth() > 0) end();
    }
    ~Pause() {
      while (depth() < depth_) begin();
    }
    Pause(const Pause&) = delete;
    Pause& operator=(const Pause&) = delete;

   private:
    int depth_;
  };

 private:
  static int& depth() {
    static thread_local int count = 0;
    return count;
  }
  static void begin() {
    if (!kTsan) return;
    depth()++;
    ignore_begin();
  }
  static void end() {
    if (!kTsan) return;
    depth()--;
    ignore_end();
  }
};

}  // namespace gradus::emulator
