// Saves the callee-saved registers on the old stack and takes them from the new one. Signal masks and floating-point control
// stay as they are: kernels change neither.
// Source: System V AMD64 ABI, section 3.2.1; Procedure Call Standard for the Arm 64-bit Architecture, section 6.1.

#include "emulator/context.h"

#include <pthread.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>

#include "emulator/sanitizer.h"

extern "C" void gradus_switch_stack(void** save, void* load);

#if defined(__x86_64__)
constexpr size_t kSavedWords = 6;
asm(R"(
.text
.p2align 4
.globl gradus_switch_stack
.hidden gradus_switch_stack
.type gradus_switch_stack,@function
gradus_switch_stack:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp,(%rdi)
  movq %rsi,%rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
.size gradus_switch_stack,.-gradus_switch_stack
)");
#elif defined(__aarch64__)
constexpr size_t kSavedWords = 20;
asm(R"(
.text
.p2align 4
.globl gradus_switch_stack
.hidden gradus_switch_stack
.type gradus_switch_stack,%function
gradus_switch_stack:
  sub sp,sp,#160
  stp x19,x20,[sp,#0]
  stp x21,x22,[sp,#16]
  stp x23,x24,[sp,#32]
  stp x25,x26,[sp,#48]
  stp x27,x28,[sp,#64]
  stp x29,x30,[sp,#80]
  stp d8,d9,[sp,#96]
  stp d10,d11,[sp,#112]
  stp d12,d13,[sp,#128]
  stp d14,d15,[sp,#144]
  mov x9,sp
  str x9,[x0]
  mov sp,x1
  ldp x19,x20,[sp,#0]
  ldp x21,x22,[sp,#16]
  ldp x23,x24,[sp,#32]
  ldp x25,x26,[sp,#48]
  ldp x27,x28,[sp,#64]
  ldp x29,x30,[sp,#80]
  ldp d8,d9,[sp,#96]
  ldp d10,d11,[sp,#112]
  ldp d12,d13,[sp,#128]
  ldp d14,d15,[sp,#144]
  add sp,sp,#160
  ret
.size gradus_switch_stack,.-gradus_switch_stack
)");
#else
#error "the emulator's context switch knows x86-64 and aarch64"
#endif

namespace gradus::emulator {

void rewind_fiber(Fiber* fiber, size_t index, void (*entry)()) {
  permit(fiber->low, fiber->bytes);
  size_t stagger = index * 7 % 61 * 64;
  auto top = (reinterpret_cast<uintptr_t>(fiber->low) + fiber->bytes - stagger) & ~uintptr_t(63);
  auto** word = reinterpret_cast<void**>(top);
#if defined(__x86_64__)
  *--word = nullptr;  // a return address would lie here: keeps the stack aligned as after a call, and ends back traces
  *--word = reinterpret_cast<void*>(entry);
  for (size_t i = 0; i < kSavedWords; i++) *--word = nullptr;
#else
  word -= kSavedWords;
  for (size_t i = 0; i < kSavedWords; i++) word[i] = nullptr;
  word[11] = reinterpret_cast<void*>(entry);  // x30, the link register
#endif
  fiber->stack_pointer = word;
  fiber->asan_fake_stack = nullptr;
}

Fiber* make_fiber(size_t bytes, size_t index, void (*entry)()) {
  auto page = size_t(sysconf(_SC_PAGESIZE));
  bytes = (bytes + page - 1) / page * page;
  void* memory = mmap(nullptr, bytes + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) return nullptr;
  if (mprotect(memory, page, PROT_NONE) != 0) {
    munmap(memory, bytes + page);
    return nullptr;
  }
  auto* fiber = new Fiber;
  fiber->low = static_cast<char*>(memory) + page;
  fiber->bytes = bytes;
  fiber->tsan = tsan_create();
  rewind_fiber(fiber, index, entry);
  return fiber;
}

void free_fiber(Fiber* fiber) {
  auto page = size_t(sysconf(_SC_PAGESIZE));
  permit(fiber->low, fiber->bytes);
  if (fiber->tsan != nullptr) tsan_destroy(fiber->tsan);
  munmap(fiber->low - page, fiber->bytes + page);
  delete fiber;
}

void describe_own_stack(Fiber* fiber) {
  fiber->tsan = tsan_current();
#if defined(__SANITIZE_ADDRESS__)
  pthread_attr_t attributes;
  void* low;
  pthread_getattr_np(pthread_self(), &attributes);
  pthread_attr_getstack(&attributes, &low, &fiber->bytes);
  pthread_attr_destroy(&attributes);
  fiber->low = static_cast<char*>(low);
#endif
}

void switch_fiber(Fiber* from, Fiber* to) {
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_start_switch_fiber(&from->asan_fake_stack, to->low, to->bytes);
#endif
  if (kTsan) tsan_switch(to->tsan);
  gradus_switch_stack(&from->stack_pointer, to->stack_pointer);
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_finish_switch_fiber(from->asan_fake_stack, nullptr, nullptr);
#endif
}

void after_first_switch() {
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_finish_switch_fiber(nullptr, nullptr, nullptr);
#endif
}

}  // namespace gradus::emulator
