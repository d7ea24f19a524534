#include "emulator/initcheck.h"

#if defined(GRADUS_INITCHECK)

#include <dlfcn.h>
#include <link.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>
#include <mutex>
#include <new>
#include <vector>

#include "emulator/team.h"

namespace gradus::emulator {

namespace {

// A slot holds a block's shared memory, then the states of its bytes, then the pointer to its owner.
constexpr size_t kSlot = size_t(1) << 20;
constexpr size_t kStates = SharedMemory::kCapacity;
constexpr size_t kOwner = 2 * SharedMemory::kCapacity;
constexpr size_t kRange = size_t(1) << 36;
static_assert(kOwner + sizeof(void*) <= kSlot);

uintptr_t g_range = 0;  // 0: no block has run yet
std::mutex g_slots_mutex;
std::vector<char*>& free_slots() {
  static auto* slots = new std::vector<char*>;
  return *slots;
}
size_t g_slots = 0;

bool tracked(const void* p) { return g_range != 0 && reinterpret_cast<uintptr_t>(p) - g_range < kRange; }
char* slot_of(const void* p) {
  auto address = reinterpret_cast<uintptr_t>(p);
  return reinterpret_cast<char*>(address - (address - g_range) % kSlot);
}
uint8_t* states_of(const void* p) { return reinterpret_cast<uint8_t*>(const_cast<void*>(p)) + kStates; }

// "kernel" of "(kernel<float>)" and "space::kernel".
std::string plain_name(const char* kernel) {
  std::string text = kernel;
  text = text.substr(0, text.find('<'));
  size_t begin = text.find_last_of("(: ");
  if (begin != std::string::npos) text = text.substr(begin + 1);
  return text.substr(0, text.find(')'));
}

struct CodeLine {
  std::string function, place;  // without namespaces and arguments; file:line
};

std::string bare(std::string function) {
  const std::string anonymous = "(anonymous namespace)::";
  for (size_t at; (at = function.find(anonymous)) != std::string::npos;) function.erase(at, anonymous.size());
  function = function.substr(0, function.find_first_of("<(\n"));
  size_t begin = function.find_last_of(": ");
  return begin == std::string::npos ? function : function.substr(begin + 1);
}

std::string read_line(FILE* file) {
  std::string line;
  for (int c; (c = fgetc(file)) != EOF && c != '\n';) line += char(c);
  return line;
}

// The line of a code address and those that it was inlined into, from the debug information; the symbol where there is none.
std::vector<CodeLine> describe_code(const void* pc) {
  Dl_info info{};
  link_map* map = nullptr;
  const char* call = static_cast<const char*>(pc) - 1;  // within the call, not after it
  if (dladdr1(call, &info, reinterpret_cast<void**>(&map), RTLD_DL_LINKMAP) == 0) return {{"unknown code", "?"}};
  auto offset = size_t(reinterpret_cast<uintptr_t>(call) - map->l_addr);
  char file[512];
  snprintf(file, sizeof file, "%s", map->l_name);
  if (*file == 0) {  // the program itself
    ssize_t length = readlink("/proc/self/exe", file, sizeof file - 1);
    file[length < 0 ? 0 : length] = 0;
  }
  char text[640];
  snprintf(text, sizeof text, "addr2line -C -f -i -s -e '%s' 0x%zx 2>/dev/null", file, offset);
  std::vector<CodeLine> lines;
  if (FILE* pipe = popen(text, "r")) {
    for (;;) {
      std::string function = read_line(pipe);
      std::string place = read_line(pipe);
      if (place.empty() || place[0] == '?') break;
      lines.push_back({bare(function), place.substr(0, place.find(' '))});
    }
    pclose(pipe);
  }
  if (lines.empty()) {
    snprintf(text, sizeof text, "%s+0x%zx", file, offset);
    lines.push_back({info.dli_sname != nullptr ? info.dli_sname : "unknown function", text});
  }
  return lines;
}

// The line of the access, and of its callers up to the kernel: the access itself may stand in a header.
std::string call_chain(const void* pc, void* const* frame) {
  const Fiber& stack = *current_team->current;
  std::string kernel = plain_name(current_team->kernel);
  std::string text;
  for (int depth = 0; depth < 12 && pc != nullptr; depth++) {
    for (const CodeLine& step : describe_code(pc)) {
      text += (text.empty() ? "" : ", from ") + step.place + " (" + step.function + ")";
      if (step.function == kernel) return text;
    }
    auto* at = reinterpret_cast<const char*>(frame);
    if (at < stack.low || at + 16 > stack.low + stack.bytes) break;
    pc = frame[1];
    frame = static_cast<void* const*>(frame[0]);
  }
  return text;
}

[[noreturn]] void refuse(const void* p, size_t bytes, bool write, ByteState state, const std::string& place) {
  const CudaThread& thread = self();
  SharedMemory* owner;
  memcpy(&owner, slot_of(p) + kOwner, sizeof owner);
  std::string text = write ? "writes " : "reads ";
  text += std::to_string(bytes) + " bytes of shared memory ";
  if (state == ByteState::unwritten) text += "that were not written: ";
  if (state == ByteState::in_flight) text += "that a copy in flight will write: ";
  if (state == ByteState::outside) text += "outside of every variable: ";
  text += owner->describe(p);
  current_team->abandon("block " + triple(thread.view.block_index) + " " + name(thread) + ": " + place + ": " + text);
}

// The first byte whose state forbids the access, or null.
const uint8_t* first_bad(const uint8_t* states, size_t bytes, bool write) {
  for (size_t i = 0; i < bytes; i++) {
    bool bad = write ? states[i] == uint8_t(ByteState::outside) : states[i] != uint8_t(ByteState::written);
    if (bad) return states + i;
  }
  return nullptr;
}

bool running() { return current_team != nullptr && current_team->running != nullptr && current_team->current != &current_team->main; }

__attribute__((noinline)) void check(const void* p, size_t bytes, bool write, const void* pc, void* const* frame) {
  uint8_t* states = states_of(p);
  const uint8_t* bad = first_bad(states, bytes, write);
  if (bad != nullptr && running()) {
    refuse(reinterpret_cast<const char*>(bad) - kStates, bytes, write, ByteState(*bad), call_chain(pc, frame));
  }
  if (write) memset(states, int(ByteState::written), bytes);
}

__attribute__((noinline)) void check_registers(const void* p, size_t bytes, bool write, const void* pc, void* const* frame) {
  if (!running()) return;
  Site owner = accumulator_owner(p, bytes);
  if (owner.file == nullptr) return;
  const CudaThread& thread = self();
  current_team->abandon("block " + triple(thread.view.block_index) + " " + name(thread) + ": " + call_chain(pc, frame) + ": " +
                        (write ? "writes" : "reads") + " an accumulator of the wgmma at " + where(owner) + " before the wait for it");
}

}  // namespace

char* reserve_shared(SharedMemory* owner) {
  std::lock_guard<std::mutex> lock(g_slots_mutex);
  if (g_range == 0) {
    void* range = mmap(nullptr, kRange, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (range == MAP_FAILED) return nullptr;
    g_range = reinterpret_cast<uintptr_t>(range);
  }
  char* slot;
  if (!free_slots().empty()) {
    slot = free_slots().back();
    free_slots().pop_back();
  } else if (g_slots < kRange / kSlot) {
    slot = reinterpret_cast<char*>(g_range + kSlot * g_slots++);
  } else {
    return nullptr;
  }
  memset(slot + kStates, int(ByteState::outside), SharedMemory::kCapacity);
  memcpy(slot + kOwner, &owner, sizeof owner);
  return slot;
}

void release_shared(char* base) {
  std::lock_guard<std::mutex> lock(g_slots_mutex);
  free_slots().push_back(base);
}

void mark_bytes(const void* p, size_t bytes, ByteState state) { memset(states_of(p), int(state), bytes); }

void check_read(const void* p, size_t bytes, Site site) {
  const uint8_t* bad = first_bad(states_of(p), bytes, false);
  if (bad != nullptr) refuse(reinterpret_cast<const char*>(bad) - kStates, bytes, false, ByteState(*bad), where(site));
}

}  // namespace gradus::emulator

// --- what the compiler calls. The frame is that of the accessing function: these functions keep no frame of their own in it.
using namespace gradus::emulator;

#define GRADUS_CALLER __builtin_return_address(0), static_cast<void* const*>(*static_cast<void**>(__builtin_frame_address(0)))
#define GRADUS_CHECKED(write, p, bytes)                                                     \
  if (tracked(p)) check(p, bytes, write, GRADUS_CALLER);                                    \
  else if (accumulators_in_flight != 0) check_registers(p, bytes, write, GRADUS_CALLER)

#define GRADUS_ACCESS(bytes)                                                                   \
  void __tsan_read##bytes(void* p) { GRADUS_CHECKED(false, p, bytes); }                        \
  void __tsan_write##bytes(void* p) { GRADUS_CHECKED(true, p, bytes); }                        \
  void __tsan_unaligned_read##bytes(void* p) { GRADUS_CHECKED(false, p, bytes); }              \
  void __tsan_unaligned_write##bytes(void* p) { GRADUS_CHECKED(true, p, bytes); }              \
  void __tsan_volatile_read##bytes(void* p) { GRADUS_CHECKED(false, p, bytes); }               \
  void __tsan_volatile_write##bytes(void* p) { GRADUS_CHECKED(true, p, bytes); }

#define GRADUS_ATOMIC_UPDATE(bits, type, operation)                        \
  type __tsan_atomic##bits##_##operation(type* p, type value, int) {       \
    GRADUS_CHECKED(false, p, bits / 8);                                    \
    return __atomic_##operation(p, value, __ATOMIC_SEQ_CST);               \
  }
#define GRADUS_ATOMIC_EXCHANGE(bits, type, suffix)                                                    \
  int __tsan_atomic##bits##_compare_exchange_##suffix(type* p, type* expected, type value, int, int) { \
    GRADUS_CHECKED(false, p, bits / 8);                                                               \
    return __atomic_compare_exchange_n(p, expected, value, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST); \
  }
#define GRADUS_ATOMICS(bits, type)                              \
  type __tsan_atomic##bits##_load(const type* p, int) {         \
    GRADUS_CHECKED(false, p, bits / 8);                         \
    return __atomic_load_n(p, __ATOMIC_SEQ_CST);                \
  }                                                             \
  void __tsan_atomic##bits##_store(type* p, type value, int) {  \
    GRADUS_CHECKED(true, p, bits / 8);                          \
    __atomic_store_n(p, value, __ATOMIC_SEQ_CST);               \
  }                                                             \
  type __tsan_atomic##bits##_exchange(type* p, type value, int) { \
    GRADUS_CHECKED(false, p, bits / 8);                         \
    return __atomic_exchange_n(p, value, __ATOMIC_SEQ_CST);     \
  }                                                             \
  GRADUS_ATOMIC_UPDATE(bits, type, fetch_add)                   \
  GRADUS_ATOMIC_UPDATE(bits, type, fetch_sub)                   \
  GRADUS_ATOMIC_UPDATE(bits, type, fetch_and)                   \
  GRADUS_ATOMIC_UPDATE(bits, type, fetch_or)                    \
  GRADUS_ATOMIC_UPDATE(bits, type, fetch_xor)                   \
  GRADUS_ATOMIC_UPDATE(bits, type, fetch_nand)                  \
  GRADUS_ATOMIC_EXCHANGE(bits, type, strong)                    \
  GRADUS_ATOMIC_EXCHANGE(bits, type, weak)                      \
  type __tsan_atomic##bits##_compare_exchange_val(type* p, type expected, type value, int, int) { \
    GRADUS_CHECKED(false, p, bits / 8);                         \
    __atomic_compare_exchange_n(p, &expected, value, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);  \
    return expected;                                            \
  }

extern "C" {
void __tsan_init() {}
void __tsan_func_entry(void*) {}
void __tsan_func_exit() {}
void __tsan_vptr_update(void**, void*) {}
void __tsan_vptr_read(void**) {}
void __tsan_atomic_thread_fence(int) { __atomic_thread_fence(__ATOMIC_SEQ_CST); }
void __tsan_atomic_signal_fence(int) {}
void __tsan_read_range(void* p, unsigned long bytes) { GRADUS_CHECKED(false, p, bytes); }
void __tsan_write_range(void* p, unsigned long bytes) { GRADUS_CHECKED(true, p, bytes); }
GRADUS_ACCESS(1)
GRADUS_ACCESS(2)
GRADUS_ACCESS(4)
GRADUS_ACCESS(8)
GRADUS_ACCESS(16)
GRADUS_ATOMICS(8, uint8_t)
GRADUS_ATOMICS(16, uint16_t)
GRADUS_ATOMICS(32, uint32_t)
GRADUS_ATOMICS(64, uint64_t)
}

#endif
