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
    next_.store(0, std::memory_order_relaxed);
    busy_.store(helpers, std::memory_order_relaxed);
    {
      // Under the lock, so that a thread about to sleep does not miss it.
      std::lock_guard<std::mutex> lock(mutex_);
      wanted_ = helpers;
      round_.store(round_.load(std::memory_order_relaxed) + 1, std::memory_order_release);
    }
    if (sleeping_.load(std::memory_order_relaxed) > 0) wake_.notify_all();
    inside() = true;
    work();
    inside() = false;
    for (int spins = 0; busy_.load(std::memory_order_acquire) > 0; spins++) {
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
      std::thread([this, number = started_, seen = round_.load(std::memory_order_relaxed)] { live(number, seen); }).detach();
    }
  }

  [[noreturn]] void live(int number, int64_t seen) {
    inside() = true;
    for (;;) {
      for (int spins = 0; spins < kSpins && round_.load(std::memory_order_acquire) == seen; spins++) pause();
      bool mine;
      {
        std::unique_lock<std::mutex> lock(mutex_);
        sleeping_.fetch_add(1, std::memory_order_relaxed);
        wake_.wait(lock, [&] { return round_.load(std::memory_order_relaxed) != seen; });
        sleeping_.fetch_sub(1, std::memory_order_relaxed);
        seen = round_.load(std::memory_order_relaxed);
        mine = number < wanted_;
      }
      if (!mine) continue;
      work();
      busy_.fetch_sub(1, std::memory_order_release);
    }
  }

  std::mutex entry_;  // held by the call that runs
  std::atomic<int> size_{processors()};
  int started_ = 0;

  // Of the call that runs.
  void (*body_)(void*, int64_t) = nullptr;
  void* context_ = nullptr;
  int64_t count_ = 0;
  std::atomic<int64_t> next_{0};
  std::atomic<int> busy_{0};

  std::mutex mutex_;
  std::condition_variable wake_;
  std::atomic<int> sleeping_{0};
  std::atomic<int64_t> round_{0};
  int wanted_ = 0;
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
