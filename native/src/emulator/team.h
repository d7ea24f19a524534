// The state of blocks that run together on one OS thread, and their scheduler.
//
// CUDA threads start one after the other on one stack. A thread that must wait keeps that stack, and the next one starts on a
// fresh one: a kernel without barriers never switches. Under ThreadSanitizer every thread has a stack of its own.
#pragma once

#include <memory>
#include <random>
#include <string>
#include <vector>

#include "emulator/context.h"
#include "emulator/emulator.h"
#include "emulator/kernel_api.h"
#include "emulator/sanitizer.h"
#include "emulator/shared_memory.h"
#include "emulator/tma.h"

namespace gradus::emulator {

struct Block;
struct Exchange;
struct CudaThread;
struct Warpgroup;

enum class State : uint8_t { fresh, running, ready, waiting, exited };

// Counts arrivals; used for bar.sync, clusters and grids.
struct Barrier {
  unsigned arrived = 0, needed = 0, phase = 0;
  bool everybody = false;  // all threads of its scope take part, so an exited one is an error
  Site first{};
  std::vector<CudaThread*> waiting;
  char sync[2] = {};  // TSan: two objects in turn, or a fast thread's next arrival would be acquired too
};

struct CudaThread {
  View view{};
  Block* block = nullptr;
  Fiber* fiber = nullptr;
  int rank = 0;  // within the block
  State state = State::fresh;
  Site site{};
  const char* doing = "";  // what it waits for
  Exchange* exchange = nullptr;

  std::vector<Landing> copies;         // cp.async, in order of issue
  std::vector<size_t> copy_groups;     // number of copies when a group was committed
  size_t copies_landed = 0;
  struct AsyncArrival {  // copies that complete on an mbarrier
    std::vector<Landing> copies;
    uint32_t mbarrier;  // offset in the block's shared memory
    Block* block;
    bool done;
  };
  std::vector<std::unique_ptr<AsyncArrival>> async_arrivals;
  Site copy_site{};  // of the latest

  std::vector<BulkStore> stores;
  unsigned store_groups = 0;

  unsigned wgmma_issued = 0, wgmma_finished = 0, wgmma_groups = 0;
  bool wgmma_fenced = false;
  unsigned cluster_token = 0;

  void reset();
};

struct Block {
  int number = 0;  // within the team
  uint3 index{};
  unsigned threads = 0, live = 0;
  CudaThread* first = nullptr;
  SharedMemory shared;
  Barrier barriers[16];
  std::vector<std::vector<Exchange*>> warps;  // exchanges that still miss a lane
  std::vector<std::unique_ptr<Warpgroup>> warpgroups;
  struct Mbarrier {
    uint32_t offset;
    Site init, expect;
  };
  std::vector<Mbarrier> mbarriers;
  // What a bulk load wrote to each 16 bytes of shared memory, so that one who reads them with another swizzle can be told.
  struct Loaded {
    Site site;
    uint64_t hash;  // 0: nothing, or nothing but zeros
    Swizzle swizzle;
  };
  std::vector<Loaded> loaded;  // empty before the first load
  Site mapped{};  // a peer asked for this block's shared memory here
  bool gone = false;  // all threads have exited: a peer must not touch its shared memory any more
  char proxy_sync = 0;
  Block();
  ~Block();
};

// A copy that runs when the engine pleases.
struct Job {
  void (*run)(struct Team&, const void* argument);
  Block* block;  // whose shared memory it uses
  Site site;
  alignas(16) unsigned char argument[256];
};

struct Team {
  // the launch
  const char* kernel = "";
  LaunchShape shape;
  void (*call)(const void*) = nullptr;
  const void* arguments = nullptr;

  unsigned block_count = 0;
  std::vector<std::unique_ptr<Block>> blocks;
  std::vector<std::unique_ptr<CudaThread>> thread_store[2];  // TSan: used in turn, so that blocks are not ordered by reuse
  std::vector<CudaThread*> threads, order;
  size_t next = 0, live = 0;

  std::vector<CudaThread*> ready;  // ring
  std::vector<CudaThread*> scratch;
  size_t ready_head = 0, ready_count = 0;
  std::vector<Job> jobs;
  std::vector<Exchange*> free_exchanges;
  Barrier cluster, grid;

  Fiber main;
  Fiber* current = nullptr;
  CudaThread* running = nullptr;
  std::vector<Fiber*> fibers, free_fibers;
  // TSan: fibers that play the copy engines, several, so that copies are not ordered with each other.
  struct Engine {
    void* fiber = nullptr;
    char start = 0, done = 0;
  } engines[8], store_engine, wgmma_engine;
  unsigned next_engine = 0;

  uint64_t progress = 0, seen = 0;
  size_t idle = 0;
  std::mt19937_64 random;
  std::string error;
  bool failed = false;
  int set = 0;
  char start_sync = 0, end_sync = 0;
  Statistics counts{};

  ~Team();
  // Runs blocks [first_block, first_block + blocks) to their end; false when one failed (see error).
  bool run(uint64_t first_block, unsigned blocks);

  void make_ready(CudaThread* thread);
  void wake(std::vector<CudaThread*>& threads);  // in the chosen order; empties the list
  void wait(CudaThread* thread, const char* doing, Site site);
  void dispatch(bool parked);
  bool run_job();
  void thread_exits(CudaThread* thread);
  std::string stuck() const;
  [[noreturn]] void abandon(const std::string& message);

 private:
  void prepare(uint64_t first_block, unsigned blocks);
  void recover();
  [[noreturn]] void no_stack();
  Fiber* fiber_for_next();
  void block_exits(Block& block);
  std::string unfinished(Block& block) const;
};

extern __thread Team* current_team __attribute__((tls_model("initial-exec")));
inline CudaThread& self() { return *current_team->running; }

std::string where(Site site);
std::string triple(uint3 v);
std::string name(const CudaThread& thread);

// barrier.cpp
void barrier_arrive(Barrier& barrier, unsigned needed, bool everybody, Site site);
void barrier_wait(Barrier& barrier, unsigned token, const char* doing, Site site);
// exchange.cpp
void leave_exchange(CudaThread& thread);
void exchange_exit(CudaThread& thread);
// mbarrier.cpp
void mbarrier_arrive_at(Block& block, uint32_t offset, Site site);
void mbarrier_complete_tx(Block& block, uint32_t offset, int64_t bytes);
std::string mbarrier_state(Block& block, bool all);
uint64_t* mbarrier_word(uint32_t address, Block** owner, Site site);
// tma.cpp
void stores_at_exit(CudaThread& thread);
// The 16 bytes at p were loaded with another swizzle and are unchanged: where, or null.
const Block::Loaded* loaded_otherwise(Block& block, const void* p, Swizzle swizzle);
// wgmma.cpp
extern __thread unsigned accumulators_in_flight __attribute__((tls_model("initial-exec")));
// Where the wgmma was issued that holds one of the running thread's accumulators in these bytes; file is null when none does.
Site accumulator_owner(const void* p, size_t bytes);
std::string wgmma_unfinished(Block& block);
void wgmma_reset(Block& block);

}  // namespace gradus::emulator
