#include "emulator/team.h"

#include <algorithm>
#include <cstring>
#include <new>

#include "emulator/exchange.h"
#include "emulator/wgmma.h"

namespace gradus::emulator {

__thread const View* current_view = nullptr;
__thread Team* current_team = nullptr;

std::string where(Site site) {
  if (site.file == nullptr) return "?";
  const char* slash = strrchr(site.file, '/');
  return std::string(slash != nullptr ? slash + 1 : site.file) + ":" + std::to_string(site.line);
}

std::string triple(uint3 v) { return "(" + std::to_string(v.x) + "," + std::to_string(v.y) + "," + std::to_string(v.z) + ")"; }

namespace {

// The life of a stack: run fresh CUDA threads until one blocks (and later continues here), then ask for more.
void fiber_main() {
  after_first_switch();
  for (;;) {
    Team& team = *current_team;
    do {
      CudaThread& thread = *team.order[team.next++];
      thread.state = State::running;
      thread.fiber = team.current;
      team.running = &thread;
      current_view = &thread.view;
      acquire(&team.start_sync);
      team.call(team.arguments);
      release(&team.end_sync);
      Quiet quiet;
      team.thread_exits(&thread);
    } while (!kTsan && team.next < team.threads.size());
    Quiet quiet;
    team.dispatch(false);
  }
}

}  // namespace

std::string name(const CudaThread& thread) { return "thread " + triple(thread.view.thread_index); }

void fail(const std::string& message, Site site) {
  Quiet quiet;
  CudaThread& thread = self();
  current_team->abandon("block " + triple(thread.view.block_index) + " " + name(thread) + ": " + where(site) + ": " + message);
}

void CudaThread::reset() {
  fiber = nullptr;
  state = State::fresh;
  site = {};
  doing = "";
  exchange = nullptr;
  copies.clear();
  copy_groups.clear();
  copies_landed = 0;
  async_arrivals.clear();
  stores.clear();
  store_groups = 0;
  wgmma_issued = wgmma_finished = wgmma_groups = 0;
  wgmma_fenced = false;
  cluster_token = 0;
}

Block::Block() = default;
Block::~Block() = default;

Team::~Team() {
  for (Fiber* fiber : fibers) free_fiber(fiber);
  for (Exchange* exchange : free_exchanges) delete exchange;
  for (Engine& engine : engines) {
    if (engine.fiber != nullptr) tsan_destroy(engine.fiber);
  }
  for (Engine* engine : {&store_engine, &wgmma_engine}) {
    if (engine->fiber != nullptr) tsan_destroy(engine->fiber);
  }
}

namespace {

// Blocks are numbered cluster by cluster, within and between clusters along x first.
uint3 index_of(const LaunchShape& s, uint64_t number) {
  const dim3& c = s.cluster;
  uint64_t size = uint64_t(c.x) * c.y * c.z;
  uint64_t within = number % size, cluster = number / size;
  uint64_t across = s.grid.x / c.x, down = s.grid.y / c.y;
  return {unsigned(cluster % across * c.x + within % c.x), unsigned(cluster / across % down * c.y + within / c.x % c.y),
          unsigned(cluster / across / down * c.z + within / c.x / c.y)};
}

}  // namespace

void Team::prepare(uint64_t first_block, unsigned count) {
  const Options& o = options();
  unsigned per_block = shape.block.x * shape.block.y * shape.block.z;
  block_count = count;
  while (blocks.size() < count) blocks.push_back(std::make_unique<Block>());
  set ^= kTsan ? 1 : 0;
  auto& store = thread_store[set];
  while (store.size() < size_t(count) * per_block) store.push_back(std::make_unique<CudaThread>());
  threads.clear();
  for (unsigned b = 0; b < count; b++) {
    Block& block = *blocks[b];
    block.number = int(b);
    block.index = index_of(shape, first_block + b);
    block.threads = block.live = per_block;
    block.shared.begin(shape.dynamic_shared);
    for (Barrier& barrier : block.barriers) barrier = Barrier{};
    block.warps.resize((per_block + 31) / 32);
    for (auto& warp : block.warps) warp.clear();
    wgmma_reset(block);
    block.mbarriers.clear();
    block.loaded.clear();
    block.mapped = {};
    block.gone = false;
    for (unsigned t = 0; t < per_block; t++) {
      CudaThread* thread = store[size_t(b) * per_block + t].get();
      Fiber* own = thread->fiber;
      thread->reset();
      if (kTsan) thread->fiber = own;
      thread->block = &block;
      thread->rank = int(t);
      thread->view = {{t % shape.block.x, t / shape.block.x % shape.block.y, t / shape.block.x / shape.block.y},
                      block.index, shape.block, shape.grid};
      threads.push_back(thread);
      if (t == 0) block.first = thread;
    }
  }
  if (kTsan) {
    // Each thread slot has a stack of its own, for good. The host makes them: a TSan fiber starts after the one that made it.
    for (CudaThread* thread : threads) {
      if (thread->fiber != nullptr) continue;
      thread->fiber = make_fiber(options().stack_bytes * 4, fibers.size(), fiber_main);
      if (thread->fiber == nullptr) throw std::bad_alloc();
      fibers.push_back(thread->fiber);
    }
    for (Engine& engine : engines) {
      if (engine.fiber == nullptr) engine.fiber = tsan_create();
    }
    for (Engine* engine : {&store_engine, &wgmma_engine}) {
      if (engine->fiber == nullptr) engine->fiber = tsan_create();
    }
  }
  order = threads;
  if (o.order == Order::reverse) std::reverse(order.begin(), order.end());
  if (o.order == Order::random) {
    random.seed(o.seed + first_block);
    std::shuffle(order.begin(), order.end(), random);
  }
  next = 0;
  live = threads.size();
  ready.resize(threads.size() + 1);
  ready_head = ready_count = 0;
  jobs.clear();
  cluster = Barrier{};
  grid = Barrier{};
  progress = seen = 0;
  idle = 0;
  failed = false;
  error.clear();
}

void Team::no_stack() {
  if (current == &main) throw std::bad_alloc();
  abandon("out of memory for the stacks of CUDA threads");
}

Fiber* Team::fiber_for_next() {
  if (kTsan) return order[next]->fiber;
  if (free_fibers.empty()) {
    Fiber* fiber = make_fiber(options().stack_bytes, fibers.size(), fiber_main);
    if (fiber == nullptr) no_stack();
    fibers.push_back(fiber);
    counts.stacks++;
    return fiber;
  }
  Fiber* fiber = free_fibers.back();
  free_fibers.pop_back();
  return fiber;
}

bool Team::run(uint64_t first_block, unsigned count) {
  Team* outer = current_team;
  const View* outer_view = current_view;
  current_team = this;
  bool ok = true;
  {
    Quiet quiet;
    prepare(first_block, count);
    current = &main;
    describe_own_stack(&main);
  }
  release(&start_sync);
  Fiber* fiber;
  {
    Quiet quiet;
    fiber = fiber_for_next();
    counts.blocks += count;
    counts.threads += threads.size();
  }
  current = fiber;
  {
    Quiet::Pause pause;
    switch_fiber(&main, fiber);
  }
  {
    Quiet quiet;
    for (unsigned b = 0; b < count && !failed; b++) {
      std::string text = unfinished(*blocks[b]);
      if (text.empty() && !blocks[b]->gone) text = blocks[b]->shared.damage();
      if (text.empty()) continue;
      failed = true;
      error = "block " + triple(blocks[b]->index) + ": at its end: " + text;
    }
    if (failed) recover();
    ok = !failed;
  }
  current_team = outer;
  current_view = outer_view;
  return ok;
}

// After a failure the stacks hold threads that will never continue: start them afresh.
void Team::recover() {
  for (auto& block : blocks) {
    for (auto& warp : block->warps) {
      for (Exchange* exchange : warp) free_exchanges.push_back(exchange);
      warp.clear();
    }
  }
  for (CudaThread* thread : threads) thread->exchange = nullptr;
  free_fibers.clear();
  if (kTsan) {
    for (Fiber* fiber : fibers) {  // what its thread did is over for the host
      tsan_switch(fiber->tsan);
      release(&end_sync);
      tsan_switch(main.tsan);
      free_fiber(fiber);
    }
    acquire(&end_sync);
    fibers.clear();
    for (auto& store : thread_store) {
      for (auto& thread : store) thread->fiber = nullptr;
    }
    return;
  }
  for (size_t i = 0; i < fibers.size(); i++) {
    rewind_fiber(fibers[i], i, fiber_main);
    free_fibers.push_back(fibers[i]);
  }
}

void Team::make_ready(CudaThread* thread) {
  thread->state = State::ready;
  ready[(ready_head + ready_count++) % ready.size()] = thread;
}

void Team::wake(std::vector<CudaThread*>& list) {
  const Options& o = options();
  if (o.order == Order::reverse) std::reverse(list.begin(), list.end());
  if (o.order == Order::random) std::shuffle(list.begin(), list.end(), random);
  for (CudaThread* thread : list) make_ready(thread);
  list.clear();
  progress++;
}

void Team::wait(CudaThread* thread, const char* doing, Site site) {
  if (thread->state == State::running) thread->state = State::waiting;
  thread->doing = doing;
  thread->site = site;
  dispatch(true);
}

bool Team::run_job() {
  if (jobs.empty()) return false;
  size_t i = options().order == Order::random ? size_t(random() % jobs.size()) : options().order == Order::reverse ? jobs.size() - 1 : 0;
  Job job = jobs[i];
  jobs.erase(jobs.begin() + long(i));
  counts.async_copies++;
  job.run(*this, job.argument);
  progress++;
  return true;
}

// Runs something else. A parked thread comes back from here when its turn comes; a stack whose thread has exited comes back
// to start another.
void Team::dispatch(bool parked) {
  for (;;) {
    Fiber* from = current;
    Fiber* to = nullptr;
    if (next < order.size()) {
      if (!parked && !kTsan) return;
      to = fiber_for_next();
    } else if (ready_count > 0) {
      if (!jobs.empty() && options().order == Order::random && random() % 8 == 0) run_job();
      CudaThread* thread = ready[ready_head];
      ready_head = (ready_head + 1) % ready.size();
      ready_count--;
      thread->state = State::running;
      running = thread;
      current_view = &thread->view;
      to = thread->fiber;
      if (to == from) return;
      if (!parked && !kTsan) free_fibers.push_back(from);
    } else if (run_job()) {
      continue;
    } else if (live == 0) {
      if (!kTsan) free_fibers.push_back(from);
      to = &main;
    } else {
      abandon(stuck());
    }
    current = to;
    counts.switches++;
    Quiet::Pause pause;
    switch_fiber(from, to);
    return;
  }
}

void Team::abandon(const std::string& message) {
  if (!failed) error = message;
  failed = true;
  Fiber* from = current;
  current = &main;
  release(&end_sync);
  Quiet::Pause pause;
  switch_fiber(from, &main);
  __builtin_unreachable();
}

void yield(Site site) {
  Quiet quiet;
  Team& team = *current_team;
  CudaThread& thread = self();
  thread.doing = "polling";
  if (team.progress != team.seen) {
    team.seen = team.progress;
    team.idle = 0;
  } else if (++team.idle > 2 * team.live + 2 && team.next == team.order.size()) {
    team.idle = 0;
    thread.site = site;
    if (!team.run_job()) team.abandon(team.stuck());
  }
  team.make_ready(&thread);
  team.wait(&thread, thread.doing, site);
}

void Team::thread_exits(CudaThread* thread) {
  Block& block = *thread->block;
  leave_exchange(*thread);
  exchange_exit(*thread);
  stores_at_exit(*thread);
  for (Barrier* barrier : {&block.barriers[0], &cluster, &grid}) {
    if (barrier->arrived > 0 && barrier->everybody) {
      fail("divergent barrier: the thread exited, but others wait at " + where(barrier->first), barrier->first);
    }
  }
  if (thread->copies_landed < thread->copies.size()) {
    fail("the thread exited with a cp.async in flight; wait for it before the end", thread->copy_site);
  }
  thread->state = State::exited;
  block.live--;
  live--;
  progress++;
  if (block.live == 0) block_exits(block);
}

void Team::block_exits(Block& block) {
  for (const Job& job : jobs) {
    if (job.block == &block) fail("the block exited with this copy in flight; wait for it before the end", job.site);
  }
  if (cluster_size() == 1) return;
  if (block.mapped.file != nullptr && cluster.phase == 0) {
    fail("the block exited while a peer may still use its shared memory, mapped here; end with a cluster barrier", block.mapped);
  }
  std::string damage = block.shared.damage();
  if (!damage.empty()) fail(damage, self().site);
  block.shared.end();  // a peer that reads it now reads NaN
  block.gone = true;
}

std::string Team::stuck() const {
  std::string text = "deadlock:";
  int shown = 0;
  size_t exited = 0;
  std::vector<std::pair<Site, const char*>> seen_sites;
  for (const CudaThread* thread : threads) {
    if (thread->state == State::exited) {
      exited++;
      continue;
    }
    bool known = false;
    for (auto& s : seen_sites) known = known || (s.first.line == thread->site.line && s.first.file == thread->site.file);
    if (known || shown++ >= 6) continue;
    seen_sites.emplace_back(thread->site, thread->doing);
    text += " block " + triple(thread->view.block_index) + " " + name(*thread) + " waits at " + where(thread->site) + " (" + thread->doing + ");";
  }
  text += " " + std::to_string(exited) + " of " + std::to_string(threads.size()) + " threads have exited";
  for (unsigned b = 0; b < block_count; b++) text += mbarrier_state(*blocks[b], false);
  return text;
}

std::string Team::unfinished(Block& block) const {
  for (int i = 0; i < 16; i++) {
    const Barrier& barrier = block.barriers[i];
    if (barrier.arrived > 0) {
      return "named barrier " + std::to_string(i) + " misses " + std::to_string(barrier.needed - barrier.arrived) + " threads (first arrival " +
             where(barrier.first) + ")";
    }
  }
  std::string text = mbarrier_state(block, true);
  if (text.empty()) text = wgmma_unfinished(block);
  return text;
}

}  // namespace gradus::emulator
