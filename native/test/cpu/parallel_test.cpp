#include "cpu/parallel.h"

#include <atomic>
#include <thread>
#include <vector>

#include "harness.h"

using namespace gradus::cpu;

TEST(every_chunk_runs_once) {
  for (int threads : {1, 2, 3, 8}) {
    set_threads(threads);
    for (int64_t count : {0, 1, 2, 7, 255, 1000}) {
      std::vector<std::atomic<int>> seen(size_t(count) + 1);
      for (int round = 0; round < 20; round++) {
        parallel_chunks(count, [&](int64_t chunk) { seen[size_t(chunk)]++; });
      }
      for (int64_t i = 0; i < count; i++) CHECK(seen[size_t(i)] == 20);
    }
  }
}

TEST(ranges_cover_everything_and_begin_at_the_grain) {
  set_threads(4);
  for (int64_t n : {0, 1, 63, 64, 65, 10'000, 1'000'003}) {
    std::vector<std::atomic<uint8_t>> seen(size_t(n) + 1);
    std::atomic<bool> aligned{true};
    parallel_for(n, 64, [&](int64_t begin, int64_t end) {
      if (begin % 64 != 0) aligned = false;
      for (int64_t i = begin; i < end; i++) seen[size_t(i)]++;
    });
    bool once = true;
    for (int64_t i = 0; i < n; i++) once = once && seen[size_t(i)] == 1;
    CHECK(aligned && once);
  }
}

TEST(calls_within_chunks_and_from_several_threads_end) {
  set_threads(3);
  std::atomic<int64_t> sum{0};
  auto work = [&] {
    for (int round = 0; round < 200; round++) {
      parallel_chunks(5, [&](int64_t) { parallel_chunks(4, [&](int64_t chunk) { sum += chunk; }); });
    }
  };
  std::thread other(work);
  work();
  other.join();
  CHECK(sum == 2 * 200 * 5 * 6);
}

TEST(the_number_of_threads_can_change) {
  for (int n : {8, 1, 5, 2, 0}) {
    set_threads(n);
    CHECK(n == 0 ? threads() >= 1 : threads() == n);
    std::atomic<int64_t> chunks{0};
    parallel_chunks(64, [&](int64_t) { chunks++; });
    CHECK(chunks == 64);
  }
}
