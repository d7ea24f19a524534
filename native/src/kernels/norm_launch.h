// What the normalisations share: checks, scratch memory, and the last stage of sums over columns.
#pragma once

#include "device/columns.h"
#include "kernels/launcher.h"

namespace gradus {
namespace {

// Larger matrices than kernels count in 32 bits.
constexpr int64_t kMostChannels = int64_t(1) << 27;
constexpr int64_t kMostBlocks = (int64_t(1) << 31) - 1;

// A vector of weights with its type's code; false where the code is neither dtype's nor its accumulator's.
template <class T, class V>
bool typed(int64_t address, int32_t dtype, V& out) {
  out = {pointer<void>(address), dtype != dtype_code<T>()};
  return address == 0 || dtype == dtype_code<T>() || dtype == dtype_code<accumulator_t<T>>();
}

// Whether 16-byte accesses may begin at these addresses.
template <class... P>
bool all_aligned(const P*... addresses) {
  return (is_aligned(addresses, 16) && ...);
}

// Calls f(std::bool_constant<aligned>{}).
template <class F>
int with_alignment(bool aligned, F&& f) {
  return aligned ? f(std::true_type{}) : f(std::false_type{});
}

// The parts of a scratch buffer, one after the other, each aligned to 16 bytes.
class Scratch {
 public:
  explicit Scratch(int64_t address = 0) : begin_(address), end_(address) {}
  template <class A>
  A* take(int64_t count) {
    A* part = pointer<A>(end_);
    end_ += (count * int64_t(sizeof(A)) + 15) / 16 * 16;
    return part;
  }
  int64_t bytes() const { return end_ - begin_; }

 private:
  int64_t begin_, end_;
};

inline int too_little_scratch(const char* name, int64_t needed, int64_t given) {
  return failed(GR_ERROR, std::string("[") + name + "] needs " + std::to_string(needed) + " bytes of scratch memory, but has " +
                              std::to_string(given));
}

constexpr int kTotalThreads = 512;
constexpr int kTotalLanes = 8;  // columns of a block of column totals: a 32-byte sector of floats

// Threads of a block that merges so many entries for each of its lanes: a power of two, whole warps.
inline int total_threads(int64_t entries, int lanes) {
  int threads = 32;
  while (threads < kTotalThreads && threads < entries * lanes) threads *= 2;
  return threads;
}

// Sums of the columns of two [entries, channels] matrices, `batch` times: as sums [batch, channels] and, of one matrix, as
// gradients of bias (the first) and weight (the second).
template <class T>
struct ColumnTotals {
  using A = accumulator_t<T>;
  const A* first;
  const A* second;
  A* first_sum;
  A* second_sum;
  WeightsOut grad_bias, grad_weight;
  int64_t batch, entries, channels;
};

template <class T>
__global__ void __launch_bounds__(kTotalThreads) column_totals_kernel(ColumnTotals<T> p) {
  using A = accumulator_t<T>;
  int slots = int(blockDim.x) / kTotalLanes, slot = int(threadIdx.x) / kTotalLanes;
  unsigned channels = unsigned(p.channels), unit = blockIdx.x * kTotalLanes + threadIdx.x % kTotalLanes;
  unsigned units = unsigned(p.batch) * channels;
  int64_t matrix = unit / channels, channel = unit % channels;
  A first[1] = {}, second[1] = {}, count = 0;
  if (unit < units) {
    GRADUS_UNROLL
    for (int64_t e = slot; e < p.entries; e += slots) {
      int64_t from = (matrix * p.entries + e) * p.channels + channel;
      first[0] += p.first[from];
      second[0] += p.second[from];
    }
  }
  merge_slots<1, kTotalThreads>(first, second, count, kTotalLanes, slots, MergeSums{});
  if (slot == 0 && unit < units) {
    if (p.first_sum != nullptr) {
      p.first_sum[unit] = first[0];
      p.second_sum[unit] = second[0];
    }
    if (p.batch == 1) {
      store_weight<T>(p.grad_bias, channel, first[0]);
      store_weight<T>(p.grad_weight, channel, second[0]);
    }
  }
}

template <class T>
int launch_totals(const ColumnTotals<T>& p, int64_t stream) {
  LaunchConfig config(unsigned(divide_up(p.batch * p.channels, kTotalLanes)), unsigned(total_threads(p.entries, kTotalLanes)));
  return finish(GRADUS_LAUNCH((column_totals_kernel<T>), config.stream(stream_of(stream)), p));
}

}  // namespace
}  // namespace gradus
