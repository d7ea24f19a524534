// The emulator's interface for hosts and tests: options, statistics, the last error.
//
// A launch runs to its end before it returns. Blocks are dealt to a small pool of OS threads; the CUDA threads of a block are
// fibers of one OS thread, so that a block is deterministic for a given order. Blocks that must be resident together (a
// cluster, a cooperative grid) form a team and share one OS thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace gradus::emulator {

enum class Order { forward, reverse, random };

// Read once from the environment (GRADUS_EMULATOR_ORDER = forward | reverse | random:SEED, GRADUS_EMULATOR_THREADS = N,
// GRADUS_EMULATED_CAPABILITY = 80 | 90); may be changed between launches.
struct Options {
  Order order = Order::forward;
  uint64_t seed = 1;
  unsigned os_threads = 0;        // 0: as many as the machine has
  size_t stack_bytes = 64 * 1024;  // of a CUDA thread that blocks
  int capability = 80;             // of the device that launchers see: which kernels they choose. The emulator runs all
};
Options& options();

struct Statistics {
  uint64_t launches, blocks, threads, switches, stacks, warp_exchanges, async_copies;
};
Statistics statistics();

// Multiprocessors that launchers see. Few, so that a persistent block gets several tiles of a small problem.
constexpr int kProcessors = 4;
// Shared memory of a block that launchers see. Little, so that what is kept there is soon too large; kernels may take 227 KiB.
constexpr int kSharedMemory = 96 * 1024;

constexpr int kSuccess = 0;
constexpr int kInvalidLaunch = 1;
constexpr int kKernelFault = 2;

// The message of the calling thread's last failed launch: kernel, block, thread, file:line, what happened.
const std::string& last_error();

}  // namespace gradus::emulator
