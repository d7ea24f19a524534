// gradus_probe THREADS SECONDS: what the processor can do at most, as the benchmarks' roofline. Prints one line:
//
//   ISA FLOPS BYTES     instruction set, float32 operations a second, bytes a second between processor and memory
//
// Bytes are counted as STREAM counts them: two arrays read and one written, without the reading of lines before they are
// written. Each is the best of the passes that fit into half of the seconds.
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <thread>
#include <vector>

#include "probe/loops.h"

namespace {

using gradus::probe::Loops;
using Clock = std::chrono::steady_clock;

constexpr int64_t kRounds = 2'000'000;           // some milliseconds
constexpr int64_t kTriadElements = 48 << 20;     // three arrays of 192 MB: beyond any cache
constexpr int kMaxThreads = 1024;

double seconds_since(Clock::time_point began) { return std::chrono::duration<double>(Clock::now() - began).count(); }

Loops widest() {
#if defined(GRADUS_PROBE_X86)
  __builtin_cpu_init();
  bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  if (avx2 && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl")) {
    return gradus::probe::avx512_loops();
  }
  if (avx2) return gradus::probe::avx2_loops();
#endif
  return gradus::probe::portable_loops();
}

// Seconds from when all threads are ready to when the last has done its part.
template <class F>
double timed(int threads, F&& part) {
  std::atomic<int> waiting{threads};
  std::atomic<bool> go{false};
  std::vector<std::thread> team;
  for (int t = 0; t < threads; t++) {
    team.emplace_back([&, t] {
      waiting--;
      while (!go) std::this_thread::yield();
      part(t);
    });
  }
  while (waiting > 0) std::this_thread::yield();
  Clock::time_point began = Clock::now();
  go = true;
  for (std::thread& thread : team) thread.join();
  return seconds_since(began);
}

template <class F>
double best_rate(double seconds, F&& pass) {
  double best = 0;
  Clock::time_point began = Clock::now();
  do {
    double rate = pass();
    best = rate > best ? rate : best;
  } while (seconds_since(began) < seconds);
  return best;
}

double operations(const Loops& loops, int threads, double seconds) {
  return best_rate(seconds, [&] {
    std::atomic<int64_t> done{0};
    double took = timed(threads, [&](int) { done += loops.multiply_add(kRounds); });
    return double(done) / took;
  });
}

double bytes(const Loops& loops, int threads, double seconds) {
  int64_t part = kTriadElements / threads;
  std::vector<std::unique_ptr<float[]>> arrays(size_t(threads) * 3);
  // Written first by the thread that will use them, so that the memory lies near it.
  timed(threads, [&](int t) {
    for (int i = 0; i < 3; i++) arrays[size_t(3 * t + i)] = std::make_unique<float[]>(size_t(part));
  });
  return best_rate(seconds, [&] {
    double took = timed(threads, [&](int t) {
      auto* mine = &arrays[size_t(3 * t)];
      loops.triad(mine[0].get(), mine[1].get(), mine[2].get(), part);
    });
    return 3.0 * double(part) * double(threads) * double(sizeof(float)) / took;
  });
}

}  // namespace

int main(int argc, char** argv) {
  int threads = argc == 3 ? atoi(argv[1]) : 0;
  double seconds = argc == 3 ? atof(argv[2]) : 0;
  if (threads < 1 || threads > kMaxThreads || !(seconds > 0)) {
    fprintf(stderr, "usage: gradus_probe THREADS SECONDS\n");
    return 2;
  }
  Loops loops = widest();
  double flops = operations(loops, threads, seconds / 2);
  double rate = bytes(loops, threads, seconds / 2);
  printf("%s %.6e %.6e\n", loops.isa, flops, rate);
  return 0;
}
