// Stacks and the switch between them.
#pragma once

#include <cstddef>

namespace gradus::emulator {

// A stack with what is needed to continue on it; the OS thread's own stack is one too.
struct Fiber {
  void* stack_pointer = nullptr;
  char* low = nullptr;
  size_t bytes = 0;
  void* asan_fake_stack = nullptr;
  void* tsan = nullptr;
};

// A new stack with a guard page below it, ready to run `entry`, which must never return. Null when memory is out.
Fiber* make_fiber(size_t bytes, size_t index, void (*entry)());
// Forgets what is on the stack; `index` staggers the stack tops, or every fiber's frames would fall into the same cache sets.
void rewind_fiber(Fiber* fiber, size_t index, void (*entry)());
void free_fiber(Fiber* fiber);
void describe_own_stack(Fiber* fiber);

void switch_fiber(Fiber* from, Fiber* to);
void after_first_switch();  // first thing on a new stack

}  // namespace gradus::emulator
