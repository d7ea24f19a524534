// A launch: checks, the pool of OS threads, and the bookkeeping around teams.

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <numeric>
#include <thread>

#include "emulator/team.h"

namespace gradus::emulator {

namespace {

thread_local std::string g_error;
std::mutex g_statistics_mutex;
Statistics g_statistics{};

// The CUDA threads of a cooperative grid are all alive at once, each with a stack.
constexpr uint64_t kMaxResidentThreads = kTsan ? 3000 : 1 << 18;

Options from_environment() {
  Options o;
  if (const char* order = getenv("GRADUS_EMULATOR_ORDER")) {
    if (strcmp(order, "reverse") == 0) o.order = Order::reverse;
    if (strncmp(order, "random", 6) == 0) {
      o.order = Order::random;
      if (order[6] == ':') o.seed = strtoull(order + 7, nullptr, 10);
    }
  }
  if (const char* threads = getenv("GRADUS_EMULATOR_THREADS")) o.os_threads = unsigned(strtoul(threads, nullptr, 10));
  if (const char* capability = getenv("GRADUS_EMULATED_CAPABILITY")) o.capability = atoi(capability);
  return o;
}

Team& own_team() {
  thread_local auto team = std::make_unique<Team>();
  return *team;
}

std::string invalid(const LaunchShape& s) {
  uint64_t threads = uint64_t(s.block.x) * s.block.y * s.block.z;
  uint64_t blocks = uint64_t(s.grid.x) * s.grid.y * s.grid.z;
  uint64_t cluster = uint64_t(s.cluster.x) * s.cluster.y * s.cluster.z;
  if (threads < 1 || threads > 1024 || s.block.z > 64) return "a block has 1 to 1024 threads, not " + std::to_string(threads);
  if (blocks < 1 || s.grid.x > 0x7FFFFFFF || s.grid.y > 65535 || s.grid.z > 65535) return "the grid is empty or too large";
  if (s.dynamic_shared > SharedMemory::kLimit) return "a block has at most 227 KiB of shared memory";
  if (cluster < 1 || cluster > 8) return "a cluster has 1 to 8 blocks, not " + std::to_string(cluster);
  if (s.grid.x % s.cluster.x != 0 || s.grid.y % s.cluster.y != 0 || s.grid.z % s.cluster.z != 0) return "the cluster must divide the grid";
  if (s.cooperative && cluster > 1) return "the emulator has no cooperative launch of clusters";
  if (s.cooperative && blocks * threads > kMaxResidentThreads) return "a cooperative grid of " + std::to_string(blocks * threads) + " threads is too large for the emulator";
  return {};
}

struct Run {
  const char* kernel;
  LaunchShape shape;
  void (*call)(const void*);
  const void* arguments;
  unsigned team_blocks;
  std::vector<uint64_t> order;  // of teams; empty: as they come
  uint64_t teams;
  std::atomic<uint64_t> next{0};
  std::atomic<bool> stop{false};
  std::mutex mutex;
  std::string error;
};

void add(Statistics& sum, const Statistics& s) {
  sum.launches += s.launches;
  sum.blocks += s.blocks;
  sum.threads += s.threads;
  sum.switches += s.switches;
  sum.stacks += s.stacks;
  sum.warp_exchanges += s.warp_exchanges;
  sum.async_copies += s.async_copies;
}

void work(Run& run) {
  Team& team = own_team();
  team.kernel = run.kernel;
  team.shape = run.shape;
  team.call = run.call;
  team.arguments = run.arguments;
  team.counts = Statistics{};
  while (!run.stop) {
    uint64_t i = run.next++;
    if (i >= run.teams) break;
    uint64_t number = run.order.empty() ? i : run.order[i];
    std::string error;
    try {
      if (team.run(number * run.team_blocks, run.team_blocks)) continue;
      error = team.error;
    } catch (const std::bad_alloc&) {
      error = "out of memory for the stacks of CUDA threads";
    }
    std::lock_guard<std::mutex> lock(run.mutex);
    if (run.error.empty()) run.error = error;
    run.stop = true;
  }
  acquire(&team.end_sync);  // only now: blocks are not ordered with each other, but the host comes after all of them
  std::lock_guard<std::mutex> lock(g_statistics_mutex);
  add(g_statistics, team.counts);
}

// Worker threads that live as long as the process; one launch at a time uses them, others run on their caller alone.
class Pool {
 public:
  static Pool& get() {
    static auto* pool = new Pool;  // never destroyed: its threads must not outlive it
    return *pool;
  }
  bool try_run(Run& run, unsigned helpers) {
    std::unique_lock<std::mutex> use(use_, std::try_to_lock);
    if (!use.owns_lock()) return false;
    {
      std::lock_guard<std::mutex> lock(mutex_);
      while (size_ < helpers) {
        std::thread([this, me = size_] { loop(me); }).detach();
        size_++;
      }
      run_ = &run;
      wanted_ = helpers;
      busy_ = helpers;
      generation_++;
    }
    wake_.notify_all();
    work(run);
    std::unique_lock<std::mutex> lock(mutex_);
    done_.wait(lock, [this] { return busy_ == 0; });
    run_ = nullptr;
    return true;
  }

 private:
  void loop(unsigned me) {
    uint64_t seen = 0;
    std::unique_lock<std::mutex> lock(mutex_);
    for (;;) {
      wake_.wait(lock, [&] { return run_ != nullptr && generation_ != seen; });
      seen = generation_;
      if (me >= wanted_) continue;
      Run& run = *run_;
      lock.unlock();
      work(run);
      lock.lock();
      if (--busy_ == 0) done_.notify_all();
    }
  }

  std::mutex use_, mutex_;
  std::condition_variable wake_, done_;
  Run* run_ = nullptr;
  unsigned size_ = 0, wanted_ = 0, busy_ = 0;
  uint64_t generation_ = 0;
};

}  // namespace

Options& options() {
  static Options o = from_environment();
  return o;
}

Statistics statistics() {
  std::lock_guard<std::mutex> lock(g_statistics_mutex);
  return g_statistics;
}

const std::string& last_error() { return g_error; }

int run_grid(const char* kernel, const LaunchShape& shape, void (*call)(const void*), const void* arguments) {
  Quiet quiet;
  g_error = invalid(shape);
  if (g_error.empty() && current_team != nullptr) g_error = "a kernel launched a kernel";
  if (!g_error.empty()) {
    g_error = std::string("[emulator] ") + kernel + ": " + g_error;
    return kInvalidLaunch;
  }
  Run run;
  run.kernel = kernel;
  run.shape = shape;
  run.call = call;
  run.arguments = arguments;
  uint64_t blocks = uint64_t(shape.grid.x) * shape.grid.y * shape.grid.z;
  run.team_blocks = shape.cooperative ? unsigned(blocks) : shape.cluster.x * shape.cluster.y * shape.cluster.z;
  run.teams = blocks / run.team_blocks;
  const Options& o = options();
  if (o.order != Order::forward && run.teams <= uint64_t(1) << 22) {
    run.order.resize(run.teams);
    std::iota(run.order.begin(), run.order.end(), 0);
    if (o.order == Order::reverse) std::reverse(run.order.begin(), run.order.end());
    if (o.order == Order::random) std::shuffle(run.order.begin(), run.order.end(), std::mt19937_64(o.seed));
  }
  static const unsigned processors = std::max(1u, std::thread::hardware_concurrency());  // asked once: it reads a file
  unsigned workers = o.os_threads != 0 ? o.os_threads : processors;
  workers = unsigned(std::min<uint64_t>(workers, run.teams));
  if (kTsan) workers = 1;  // TSan's fibers belong to one OS thread
  if (workers == 1 || !Pool::get().try_run(run, workers - 1)) work(run);
  {
    std::lock_guard<std::mutex> lock(g_statistics_mutex);
    g_statistics.launches++;
  }
  if (run.error.empty()) return kSuccess;
  g_error = std::string("[emulator] ") + kernel + ": " + run.error;
  return kKernelFault;
}

}  // namespace gradus::emulator
