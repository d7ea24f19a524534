// Barriers of a block (named, with arrive), of a cluster and of a grid.

#include "emulator/team.h"

namespace gradus::emulator {

void barrier_arrive(Barrier& barrier, unsigned needed, bool everybody, Site site) {
  Team& team = *current_team;
  if (barrier.arrived == 0) {
    barrier.needed = needed;
    barrier.everybody = everybody;
    barrier.first = site;
  } else if (barrier.needed != needed) {
    fail("divergent barrier: this thread expects " + std::to_string(needed) + " threads, one at " + where(barrier.first) + " expects " +
             std::to_string(barrier.needed), site);
  } else if (everybody && (barrier.first.line != site.line || barrier.first.file != site.file)) {
    fail("divergent barrier: this thread is here, others wait at " + where(barrier.first), site);
  }
  release(&barrier.sync[barrier.phase & 1]);
  if (++barrier.arrived < needed) return;
  barrier.arrived = 0;
  barrier.phase++;
  team.wake(barrier.waiting);
}

// Waits until the phase that began as `token` is over.
void barrier_wait(Barrier& barrier, unsigned token, const char* doing, Site site) {
  CudaThread& me = self();
  if (barrier.phase == token) {
    barrier.waiting.push_back(&me);
    current_team->wait(&me, doing, site);
  }
  acquire(&barrier.sync[token & 1]);
}

namespace {

// Everyone queues, the last to come too: else it would always run first.
void sync(Barrier& barrier, unsigned needed, bool everybody, const char* doing, Site site) {
  CudaThread& me = self();
  unsigned token = barrier.phase;
  me.site = site;
  barrier.waiting.push_back(&me);
  me.state = State::waiting;
  barrier_arrive(barrier, needed, everybody, site);
  current_team->wait(&me, doing, site);
  acquire(&barrier.sync[token & 1]);
}

void refuse_exited(const std::string& scope, size_t live, size_t all, Site site) {
  if (live < all) fail("divergent barrier: " + std::to_string(all - live) + " of the " + scope + "'s threads have exited", site);
}

}  // namespace

void block_barrier(int id, int count, bool wait, Site site) {
  Quiet quiet;
  Block& block = *self().block;
  if (id < 0 || id > 15) fail("named barriers are 0 to 15, not " + std::to_string(id), site);
  bool everybody = count < 0;
  if (everybody) refuse_exited("block", block.live, block.threads, site);
  if (!everybody && (count == 0 || count % 32 != 0)) fail("the thread count of a named barrier is a multiple of 32, not " + std::to_string(count), site);
  if (!everybody && unsigned(count) > block.threads) fail("a named barrier expects more threads than the block has", site);
  unsigned needed = everybody ? block.threads : unsigned(count);
  if (wait) {
    sync(block.barriers[id], needed, everybody, everybody ? "__syncthreads" : "named barrier", site);
  } else {
    barrier_arrive(block.barriers[id], needed, everybody, site);
  }
}

void cluster_arrive(Site site) {
  Quiet quiet;
  Team& team = *current_team;
  refuse_exited("cluster", team.live, team.threads.size(), site);
  CudaThread& me = self();
  me.cluster_token = team.cluster.phase;
  barrier_arrive(team.cluster, unsigned(team.threads.size()), true, site);
}

void cluster_wait(Site site) {
  Quiet quiet;
  barrier_wait(current_team->cluster, self().cluster_token, "cluster barrier", site);
}

void grid_barrier(Site site) {
  Quiet quiet;
  Team& team = *current_team;
  if (!team.shape.cooperative) fail("a grid barrier needs a cooperative launch", site);
  refuse_exited("grid", team.live, team.threads.size(), site);
  sync(team.grid, unsigned(team.threads.size()), true, "grid barrier", site);
}

unsigned cluster_size() {
  const dim3& c = current_team->shape.cluster;
  return c.x * c.y * c.z;
}

unsigned cluster_rank() { return unsigned(self().block->number) % cluster_size(); }
int thread_rank() { return self().rank; }

}  // namespace gradus::emulator
