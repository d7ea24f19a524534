#include "cpu/parallel.h"

#include <sched.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <mutex>
#include <thread>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace gradus::cpu {

namespace {

// A thread that waits looks again so often before it sleeps: between the kernels of a training step there are microseconds.
constexpr int kSpins = 4000;

void pause() {
#if defined(__x86_64__)
  _mm_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

int processors() {
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) == 0) return std::max(1, CPU_COUNT(&set));
  return std::max(1, int(std::thread::hardware_concurrency()));
}

// Threads that live as long as the process: they are detached, and what they touch is never freed.
class Pool {
 public:
  int size() const { return size_.load(std::memory_order_relaxed); }
  void resize(int64_t n) { size_.store(n <= 0 ? processors() : int(std::min<int64_t>(n, kMaxChunks)), std::memory_order_relaxed); }

  void run(int64_t count, void (*body)(void*, int64_t), void* context) {
    int helpers = int(std::min<int64_t>(size(), count)) - 1;
    if (helpers <= 0 || inside() || !entry_.try_lock()) {
      for (int64_t i = 0; i < count; i++) body(context, i);
      return;
    }
    start(helpers);
    body_ = body;
    context_ = context;
    count_ = count;
    wanted_ = helpers;
    next_.store(0, std::memory_order_relaxed);
    uint64_t round = round_of(state_.load(std::memory_order_relaxed)) + 1;
    // Sequentially consistent, as the helper's count of sleepers and its look at the state: one of the two sees the other.
    state_.store(round << kRoundShift | kOpen);
    if (sleepers_.load() > 0) {
      // Under the lock, so that a thread about to sleep does not miss it.
      std::lock_guard<std::mutex> lock(mutex_);
      wake_.notify_all();
    }
    inside() = true;
    work();
    inside() = false;
    // Who has not come yet, need not come any more: only those who are at work are waited for.
    state_.fetch_and(~kOpen, std::memory_order_relaxed);
    for (int spins = 0; (state_.load(std::memory_order_acquire) & kJoined) != 0; spins++) {
      if (spins < kSpins) {
        pause();
      } else {
        std::this_thread::yield();
      }
    }
    entry_.unlock();
  }

 private:
  // Whether the calling thread is working on a chunk.
  static bool& inside() {
    static thread_local bool flag = false;
    return flag;
  }

  void work() {
    for (int64_t chunk; (chunk = next_.fetch_add(1, std::memory_order_relaxed)) < count_;) body_(context_, chunk);
  }

  void start(int helpers) {
    for (; started_ < helpers; started_++) {
      const uint64_t seen = round_of(state_.load(std::memory_order_relaxed));
      std::thread([this, number = started_, seen] { live(number, seen); }).detach();
    }
  }

  [[noreturn]] void live(int number, uint64_t seen) {
    inside() = true;
    for (;;) {
      uint64_t state = wait_for_other_than(seen);
      seen = round_of(state);
      if (join(number, seen)) {
        work();
        state_.fetch_sub(1, std::memory_order_release);
      }
    }
  }

  uint64_t wait_for_other_than(uint64_t seen) {
    uint64_t state = 0;
    auto is_other = [&] { return round_of(state = state_.load()) != seen; };
    for (int spins = 0; spins < kSpins; spins++) {
      if (is_other()) return state;
      pause();
    }
    std::unique_lock<std::mutex> lock(mutex_);
    sleepers_.fetch_add(1);
    wake_.wait(lock, is_other);
    sleepers_.fetch_sub(1);
    return state;
  }

  // Whether the thread is one of those at work on the round; it is not when the round is over or is for fewer threads.
  bool join(int number, uint64_t round) {
    for (uint64_t state = state_.load(std::memory_order_acquire);;) {
      if (round_of(state) != round || (state & kOpen) == 0) return false;
      // Having joined, the thread holds the round open for its fields to be read: a look at them before could be of the next.
      if (state_.compare_exchange_weak(state, state + 1, std::memory_order_acquire)) break;
    }
    if (number < wanted_) return true;
    state_.fetch_sub(1, std::memory_order_release);
    return false;
  }

  // The state: how many have joined, whether one may still join, and the number of the round.
  static constexpr uint64_t kOpen = uint64_t(1) << 15;
  static constexpr uint64_t kJoined = kOpen - 1;
  static constexpr int kRoundShift = 16;
  static uint64_t round_of(uint64_t state) { return state >> kRoundShift; }

  std::mutex entry_;  // held by the call that runs
  std::atomic<int> size_{processors()};
  int started_ = 0;

  // Of the call that runs: written while nobody can have joined.
  void (*body_)(void*, int64_t) = nullptr;
  void* context_ = nullptr;
  int64_t count_ = 0;
  int wanted_ = 0;
  alignas(64) std::atomic<int64_t> next_{0};
  alignas(64) std::atomic<uint64_t> state_{0};

  std::mutex mutex_;
  std::condition_variable wake_;
  std::atomic<int> sleepers_{0};
};

Pool& pool() {
  static Pool& instance = *new Pool;
  return instance;
}

}  // namespace

int threads() { return pool().size(); }
void set_threads(int64_t n) { pool().resize(n); }
void run_chunks(int64_t count, void (*body)(void*, int64_t), void* context) { pool().run(count, body, context); }

}  // namespace gradus::cpu
