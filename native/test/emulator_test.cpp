// The emulator itself: scheduling, shared memory, warps, barriers, and what it says of kernels that go wrong.

#include "device/block.h"
#include "device/grid.h"
#include "device/launch.h"
#include "device/math.h"
#include "device/ptx/barrier.h"
#include "device/warp.h"
#include "harness.h"
#include "peek.h"

using namespace gradus;

namespace {

int line_of_error() {
  std::string e = emulator::last_error();
  size_t at = e.find("emulator_test.cpp:");
  return at == std::string::npos ? -1 : atoi(e.c_str() + at + strlen("emulator_test.cpp:"));
}

__global__ void index_kernel(int* out) {
  unsigned block = blockIdx.x + gridDim.x * (blockIdx.y + gridDim.y * blockIdx.z);
  unsigned thread = threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z);
  out[block * blockDim.x * blockDim.y * blockDim.z + thread] = int(block * 1000 + thread);
}

TEST(every_thread_runs_once_with_its_indices) {
  std::vector<int> out(3 * 2 * 2 * 5 * 3 * 2, -1);
  RUN(GRADUS_LAUNCH(index_kernel, LaunchConfig(dim3(3, 2, 2), dim3(5, 3, 2)), out.data()));
  for (size_t i = 0; i < out.size(); i++) CHECK_EQUAL(out[i], int(i / 30 * 1000 + i % 30));
}

template <class T>
__global__ void scale_kernel(T* x, T factor, size_t n) {
  size_t i = size_t(blockIdx.x) * blockDim.x + threadIdx.x;
  if (i < n) x[i] *= factor;
}

TEST(template_kernels_and_many_blocks) {
  std::vector<double> x(100000, 2.0);
  RUN(GRADUS_LAUNCH((scale_kernel<double>), LaunchConfig((100000 + 127) / 128, 128), x.data(), 3, x.size()));
  for (double v : x) CHECK_EQUAL(v, 6.0);
}

__global__ void reverse_kernel(float* out, int rounds) {
  GRADUS_SHARED(float, line, [256]);
  float v = float(threadIdx.x);
  for (int i = 0; i < rounds; i++) {
    line[threadIdx.x] = v;
    __syncthreads();  // line is complete before a neighbour reads it
    v = line[blockDim.x - 1 - threadIdx.x] + 1;
    __syncthreads();  // line was read before the next round writes it
  }
  out[blockIdx.x * blockDim.x + threadIdx.x] = v;
}

TEST(barriers_and_shared_memory) {
  std::vector<float> out(7 * 256);
  RUN(GRADUS_LAUNCH(reverse_kernel, LaunchConfig(7, 256), out.data(), 10));
  for (size_t i = 0; i < out.size(); i++) CHECK_EQUAL(out[i], float(i % 256) + 10);
}

__global__ void block_sum_kernel(const float* x, float* out, int n) {
  GRADUS_SHARED(float, partial, [32]);
  float sum = 0;
  for (int i = int(threadIdx.x); i < n; i += int(blockDim.x)) sum += x[size_t(blockIdx.x) * size_t(n) + size_t(i)];
  sum = warp_sum(sum);
  if (lane_index() == 0) partial[threadIdx.x / 32] = sum;
  __syncthreads();  // all partial sums are there before the first warp adds them
  if (threadIdx.x < 32) {
    sum = warp_sum(threadIdx.x < blockDim.x / 32 ? partial[threadIdx.x] : 0.0f);
    if (threadIdx.x == 0) out[blockIdx.x] = sum;
  }
}

TEST(block_reduction_by_shuffles) {
  std::vector<float> x(5 * 1000), out(5);
  for (size_t i = 0; i < x.size(); i++) x[i] = float(i % 17);
  RUN(GRADUS_LAUNCH(block_sum_kernel, LaunchConfig(5, 192), x.data(), out.data(), 1000));
  for (int b = 0; b < 5; b++) {
    float sum = 0;
    for (int i = 0; i < 1000; i++) sum += x[size_t(b * 1000 + i)];
    CHECK_EQUAL(out[size_t(b)], sum);
  }
}

__global__ void warp_operations_kernel(int* out) {
  int lane = lane_index();
  int* mine = out + 10 * lane;
  mine[0] = __shfl_sync(kFullWarp, lane * 3, 7);
  mine[1] = __shfl_up_sync(kFullWarp, lane, 2);
  mine[2] = __shfl_down_sync(kFullWarp, lane, 5, 8);
  mine[3] = __shfl_xor_sync(kFullWarp, lane, 9);
  mine[4] = int(__ballot_sync(kFullWarp, lane % 3 == 0));
  mine[5] = __any_sync(kFullWarp, lane == 31) + 2 * __all_sync(kFullWarp, lane < 31) + 4 * __all_sync(kFullWarp, lane < 32);
  mine[6] = int(__match_any_sync(kFullWarp, lane / 4));
  mine[7] = warp_max(lane ^ 21);
  unsigned half = lane < 16 ? 0xFFFFu : 0xFFFF0000u;
  mine[8] = __shfl_sync(half, lane, lane < 16 ? 3 : 20);
  __syncwarp();
  mine[9] = lane % 2 == 0 ? __shfl_xor_sync(0x55555555u, lane, 2) : -1;
}

TEST(warp_operations) {
  std::vector<int> out(320);
  RUN(GRADUS_LAUNCH(warp_operations_kernel, LaunchConfig(1, 32), out.data()));
  for (int l = 0; l < 32; l++) {
    const int* m = &out[size_t(10 * l)];
    CHECK_EQUAL(m[0], 21);
    CHECK_EQUAL(m[1], l < 2 ? l : l - 2);
    CHECK_EQUAL(m[2], l % 8 + 5 < 8 ? l + 5 : l);
    CHECK_EQUAL(m[3], l ^ 9);
    CHECK_EQUAL(unsigned(m[4]), 0x49249249u);
    CHECK_EQUAL(m[5], 1 + 4);
    CHECK_EQUAL(unsigned(m[6]), 0xFu << (l / 4 * 4));
    CHECK_EQUAL(m[7], 31);
    CHECK_EQUAL(m[8], l < 16 ? 3 : 20);
    CHECK_EQUAL(m[9], l % 2 == 0 ? l ^ 2 : -1);
  }
}

__global__ void producer_kernel(int* out) {
  GRADUS_SHARED(int, slot, [2]);
  for (int i = 0; i < 6; i++) {
    if (threadIdx.x < 32) {
      if (i >= 2) ptx::barrier_sync(3 + i % 2, 96);  // the consumers are done with this slot
      if (threadIdx.x == 0) slot[i % 2] = i * i;
      __syncwarp();  // lane 0 wrote before any lane arrives
      ptx::barrier_arrive(1 + i % 2, 96);
    } else {
      ptx::barrier_sync(1 + i % 2, 96);  // the producer filled this slot
      if (threadIdx.x == 95) out[i] = slot[i % 2];
      if (i < 4) ptx::barrier_arrive(3 + i % 2, 96);
    }
  }
}

TEST(named_barriers_with_arrive) {
  std::vector<int> out(6);
  RUN(GRADUS_LAUNCH(producer_kernel, LaunchConfig(1, 96), out.data()));
  for (int i = 0; i < 6; i++) CHECK_EQUAL(out[size_t(i)], i * i);
}

__global__ void grid_kernel(const float* x, float* partial, float* out) {
  GRADUS_SHARED(float, sums, [2]);
  float sum = warp_sum(x[blockIdx.x * 64 + threadIdx.x]);
  if (lane_index() == 0) sums[threadIdx.x / 32] = sum;
  __syncthreads();  // both warps' sums are there
  if (threadIdx.x == 0) partial[blockIdx.x] = sums[0] + sums[1];
  grid_sync();  // all partial sums are there before block 0 adds them
  if (blockIdx.x == 0 && threadIdx.x == 0) {
    float total = 0;
    for (unsigned b = 0; b < gridDim.x; b++) total += partial[b];
    *out = total;
  }
}

TEST(cooperative_grid) {
  std::vector<float> x(20 * 64), partial(20), out(1);
  for (size_t i = 0; i < x.size(); i++) x[i] = float(i % 5);
  RUN(GRADUS_LAUNCH(grid_kernel, LaunchConfig(20, 64).cooperative(), x.data(), partial.data(), out.data()));
  CHECK_EQUAL(out[0], 2.0f * 20 * 64);
  CHECK(GRADUS_LAUNCH(grid_kernel, LaunchConfig(20, 64), x.data(), partial.data(), out.data()) != 0);
  CHECK_CONTAINS(emulator::last_error(), "cooperative launch");
}

__global__ void cluster_kernel(int* out) {
  GRADUS_SHARED(int, value, [32]);
  unsigned rank = ptx::cluster_rank();
  value[threadIdx.x] = int(100 * blockIdx.x + threadIdx.x);
  cluster_sync();  // every block's values are written
  unsigned next = (rank + 1) % ptx::cluster_size();
  out[blockIdx.x * 32 + threadIdx.x] = cluster_peer(value, next)[31 - threadIdx.x];
  cluster_sync();  // peers have read this block's values before it exits
}

TEST(clusters_and_distributed_shared_memory) {
  std::vector<int> out(8 * 32);
  RUN(GRADUS_LAUNCH(cluster_kernel, LaunchConfig(8, 32).cluster(4), out.data()));
  for (int b = 0; b < 8; b++) {
    int peer = b / 4 * 4 + (b + 1) % 4;
    for (int t = 0; t < 32; t++) CHECK_EQUAL(out[size_t(b * 32 + t)], 100 * peer + 31 - t);
  }
  CHECK(GRADUS_LAUNCH(cluster_kernel, LaunchConfig(6, 32).cluster(4), out.data()) != 0);
}

__global__ void poison_kernel(float* out, uint32_t* raw) {
  GRADUS_SHARED(float, fixed, [8]);
  GRADUS_DYNAMIC_SHARED(uint32_t, dynamic);
  out[blockIdx.x * 8 + threadIdx.x] = test::peek(&fixed[threadIdx.x]);
  raw[blockIdx.x * 8 + threadIdx.x] = test::peek(&dynamic[threadIdx.x]);
  fixed[threadIdx.x] = 1;
  dynamic[threadIdx.x] = 1;
}

TEST(shared_memory_is_nan_in_every_block) {
  std::vector<float> out(16);
  std::vector<uint32_t> raw(16);
  for (int round = 0; round < 3; round++) {
    RUN(GRADUS_LAUNCH(poison_kernel, LaunchConfig(2, 8).shared(32), out.data(), raw.data()));
    for (float v : out) CHECK(std::isnan(v));
    for (uint32_t v : raw) CHECK_EQUAL(v, ~0u);
  }
}

__global__ void divergent_kernel(int which) {
  if (which == 0) {
    if (threadIdx.x < 16) {
      __syncthreads();  // hazard: none, the test wants a divergent barrier
    } else {
      __syncthreads();  // hazard: none, the other branch
    }
  } else if (which == 1) {
    if (threadIdx.x == 5) return;
    __syncthreads();  // hazard: none, thread 5 is gone
  } else if (which == 2) {
    if (threadIdx.x < 32) ptx::barrier_sync(1, 64);
  } else if (which == 3) {
    if (threadIdx.x == 3) return;
    warp_sum(1.0f);
  } else if (which == 4) {
    if (threadIdx.x < 8) __shfl_sync(0xFFu, 1, 9);
  } else if (which == 5) {
    __shfl_sync(0xFFu, 1, 0);
  } else if (which == 6) {
    if (threadIdx.x < 16) __shfl_sync(kFullWarp, 1, 0);
    else __ballot_sync(kFullWarp, 1);
  }
}

TEST(errors_name_kernel_block_thread_and_line) {
  const char* expected[] = {"divergent barrier", "divergent barrier", "named barrier", "which has exited", "not active in it", "not in its own mask", "divergent warp"};
  for (int which = 0; which < 7; which++) {
    CHECK_EQUAL(GRADUS_LAUNCH(divergent_kernel, LaunchConfig(1, 64), which), emulator::kKernelFault);
    std::string e = emulator::last_error();
    CHECK_CONTAINS(e, "[emulator] divergent_kernel: ");
    CHECK_CONTAINS(e, "block (0,0,0) thread (");
    CHECK_CONTAINS(e, expected[which]);
    CHECK(line_of_error() > 0);
  }
  // The emulator works on after an error.
  std::vector<float> out(256);
  RUN(GRADUS_LAUNCH(reverse_kernel, LaunchConfig(1, 256), out.data(), 2));
  CHECK_EQUAL(out[0], 2.0f);
}

TEST(launches_are_checked) {
  int x = 0;
  CHECK_EQUAL(GRADUS_LAUNCH(index_kernel, LaunchConfig(1, 1025), &x), emulator::kInvalidLaunch);
  CHECK_CONTAINS(emulator::last_error(), "1 to 1024 threads");
  CHECK_EQUAL(GRADUS_LAUNCH(index_kernel, LaunchConfig(0, 32), &x), emulator::kInvalidLaunch);
  CHECK_EQUAL(GRADUS_LAUNCH(index_kernel, LaunchConfig(1, 32).shared(300000), &x), emulator::kInvalidLaunch);
  CHECK_CONTAINS(emulator::last_error(), "227 KiB");
}

__global__ void wait_forever_kernel(const volatile int* flag) {
  while (*flag == 0) __nanosleep(100);
}

TEST(a_loop_that_polls_in_vain_is_a_deadlock) {
  int flag = 0;
  CHECK_EQUAL(GRADUS_LAUNCH(wait_forever_kernel, LaunchConfig(1, 32), &flag), emulator::kKernelFault);
  CHECK_CONTAINS(emulator::last_error(), "deadlock");
  CHECK(line_of_error() > 0);
}

__global__ void no_wait_kernel(float* x) { x[blockIdx.x * blockDim.x + threadIdx.x] = 1; }

TEST(a_kernel_without_barriers_never_switches_stacks) {
  std::vector<float> x(64 * 256);
  auto before = emulator::statistics();
  RUN(GRADUS_LAUNCH(no_wait_kernel, LaunchConfig(64, 256), x.data()));
  auto after = emulator::statistics();
  CHECK_EQUAL(after.threads - before.threads, uint64_t(64 * 256));
#if !defined(__SANITIZE_THREAD__)
  CHECK_EQUAL(after.switches - before.switches, uint64_t(64));
#endif
}

__global__ void order_kernel(int* out, int* next) {
  out[atomicAdd(next, 1)] = int(threadIdx.x);
  __syncthreads();  // hazard: none; wakes all in the chosen order
  out[atomicAdd(next, 1)] = int(threadIdx.x);
}

TEST(thread_order_is_as_chosen) {
  auto saved = emulator::options();
  auto run = [](emulator::Order order, uint64_t seed) {
    emulator::options().order = order;
    emulator::options().seed = seed;
    std::vector<int> out(128);
    int next = 0;
    RUN(GRADUS_LAUNCH(order_kernel, LaunchConfig(1, 64), out.data(), &next));
    return out;
  };
  auto forward = run(emulator::Order::forward, 1);
  auto reverse = run(emulator::Order::reverse, 1);
  auto random = run(emulator::Order::random, 5);
  for (int i = 0; i < 64; i++) CHECK_EQUAL(forward[size_t(i)], i);
  for (int i = 0; i < 64; i++) CHECK_EQUAL(reverse[size_t(i)], 63 - i);
  CHECK(random != forward && random != reverse);
  CHECK(random == run(emulator::Order::random, 5));
  CHECK(random != run(emulator::Order::random, 6));
  emulator::options() = saved;
}

}  // namespace
