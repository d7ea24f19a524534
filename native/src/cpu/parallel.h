// The plug-in's own threads. Work is cut into chunks whose number depends on its size alone, and whoever is free takes the next
// one: results never depend on how many threads there are, as long as a chunk's do not depend on who computes it.
//
//   parallel_for(n, 4096, [&](int64_t begin, int64_t end) { ... });
//
// A sum over chunks is formed by the caller from one partial sum a chunk, in their order: parallel_chunks with chunk_count.
#pragma once

#include <cstdint>
#include <type_traits>

namespace gradus::cpu {

// At most so many chunks: enough for the threads of a large machine, few enough to be cheap.
constexpr int64_t kMaxChunks = 256;

// How many threads calls use, the calling one included. 0 asks for as many as there are processors to run on.
int threads();
void set_threads(int64_t n);

// Calls body(context, chunk) for every chunk below count, on all threads, and returns when all are done. Where another thread is
// in such a call already, or within a chunk, the caller does all chunks itself.
void run_chunks(int64_t count, void (*body)(void* context, int64_t chunk), void* context);

template <class F>
inline void parallel_chunks(int64_t count, F&& f) {
  if (count <= 0) return;
  if (count == 1) {
    f(int64_t(0));
    return;
  }
  using Body = std::remove_reference_t<F>;
  run_chunks(count, [](void* context, int64_t chunk) { (*static_cast<Body*>(context))(chunk); }, &f);
}

// Elements of a chunk when n are cut: a multiple of grain.
inline int64_t chunk_size(int64_t n, int64_t grain) {
  int64_t grains = (n + grain - 1) / grain;
  return (grains + kMaxChunks - 1) / kMaxChunks * grain;
}
inline int64_t chunk_count(int64_t n, int64_t grain) {
  int64_t size = chunk_size(n, grain);
  return size == 0 ? 0 : (n + size - 1) / size;
}

// Calls f(begin, end) for ranges that cover 0 to n, each beginning at a multiple of grain.
template <class F>
inline void parallel_for(int64_t n, int64_t grain, F&& f) {
  int64_t size = chunk_size(n, grain);
  auto body = [&](int64_t chunk) {
    int64_t begin = chunk * size;
    f(begin, begin + size < n ? begin + size : n);
  };
  parallel_chunks(chunk_count(n, grain), body);
}

}  // namespace gradus::cpu
