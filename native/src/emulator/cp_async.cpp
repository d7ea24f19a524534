// cp.async: the data are taken at the issue, and land at the wait that asks for them, or before the mbarrier that tracks them
// counts the arrival.

#include <algorithm>
#include <cstring>

#include "emulator/initcheck.h"
#include "emulator/team.h"

namespace gradus::emulator {

namespace {

struct Arrival {
  CudaThread::AsyncArrival* what;
  Team::Engine* engine;
  Site site;
};

void land(Team&, const void* argument) {
  Arrival arrival;
  memcpy(&arrival, argument, sizeof arrival);
  CudaThread::AsyncArrival& what = *arrival.what;
  if (what.done) return;
  what.done = true;
  void* caller = tsan_current();
  if (kTsan) {
    tsan_switch(arrival.engine->fiber);
    acquire(&arrival.engine->start);
  }
  for (const Landing& copy : what.copies) {
    memcpy(copy.destination, copy.data, copy.bytes);
    mark_bytes(copy.destination, copy.bytes, ByteState::written);
    tsan_write(copy.destination, copy.bytes);
  }
  mbarrier_arrive_at(*what.block, what.mbarrier, arrival.site);
  if (kTsan) tsan_switch(caller);
}

}  // namespace

// The copies leave the thread's list; a job lands them when the scheduler pleases.
void cp_async_arrive(uint32_t mbarrier, Site site) {
  Quiet quiet;
  Team& team = *current_team;
  CudaThread& me = self();
  Block* block = nullptr;
  const uint64_t* word = mbarrier_word(mbarrier, &block, site);
  auto arrival = std::make_unique<CudaThread::AsyncArrival>();
  arrival->copies.assign(me.copies.begin() + long(me.copies_landed), me.copies.end());
  me.copies_landed = me.copies.size();
  arrival->mbarrier = uint32_t(reinterpret_cast<const char*>(word) - block->shared.base());
  arrival->block = block;
  arrival->done = false;
  Arrival argument{arrival.get(), &team.engines[team.next_engine++ % 8], site};
  me.async_arrivals.push_back(std::move(arrival));
  release(&argument.engine->start);
  Job job{land, block, site, {}};
  memcpy(job.argument, &argument, sizeof argument);
  team.jobs.push_back(job);
}

void cp_async_issue(void* destination, const void* data, size_t bytes) {
  Quiet quiet;
  Landing copy{destination, {}, unsigned(bytes)};
  memcpy(copy.data, data, bytes);
  mark_bytes(destination, bytes, ByteState::in_flight);
  self().copies.push_back(copy);
  current_team->counts.async_copies++;
}

void cp_async_commit() {
  Quiet quiet;
  self().copy_groups.push_back(self().copies.size());
}

const Landing* cp_async_land(unsigned pending) {
  Quiet quiet;
  CudaThread& me = self();
  for (const auto& arrival : me.async_arrivals) {
    if (!arrival->done) fail("cp.async: the model does not cover a wait for copies that an mbarrier tracks; wait on the mbarrier", me.site);
  }
  size_t groups = me.copy_groups.size();
  size_t due = groups > pending ? me.copy_groups[groups - pending - 1] : 0;
  if (me.copies_landed < due) return &me.copies[me.copies_landed++];
  if (me.copies_landed == me.copies.size() && pending == 0) {  // nothing in flight: forget the history
    me.copies.clear();
    me.copy_groups.clear();
    me.copies_landed = 0;
  } else if (me.copies_landed > 4096) {
    me.copies.erase(me.copies.begin(), me.copies.begin() + long(me.copies_landed));
    for (size_t& group : me.copy_groups) group -= std::min(group, me.copies_landed);
    me.copies_landed = 0;
  }
  return nullptr;
}

}  // namespace gradus::emulator
