// The one primitive under all warp operations: each lane of a mask leaves a message, and once the last has come each may read
// all. Stricter than CUDA: lanes that meet must be at the same source line, and no named lane may have exited.

#include "emulator/exchange.h"

#include <algorithm>
#include <cstring>

#include "emulator/team.h"

namespace gradus::emulator {

namespace {

uint32_t lanes_of_warp(const Block& block, int warp) {
  int lanes = std::min(32, int(block.threads) - warp * 32);
  return lanes == 32 ? ~0u : (1u << lanes) - 1;
}

std::string lane_name(int lane) { return "lane " + std::to_string(lane); }

Exchange* open(Team& team, const char* operation, uint32_t mask, Site site) {
  Exchange* exchange;
  if (team.free_exchanges.empty()) {
    exchange = new Exchange;
  } else {
    exchange = team.free_exchanges.back();
    team.free_exchanges.pop_back();
  }
  exchange->operation = operation;
  exchange->mask = exchange->unread = mask;
  exchange->arrived = 0;
  exchange->site = site;
  return exchange;
}

}  // namespace

int lane() { return self().rank & 31; }

// The messages of the previous exchange are not needed by this lane any more.
void leave_exchange(CudaThread& thread) {
  if (thread.exchange == nullptr) return;
  thread.exchange->unread &= ~(1u << (thread.rank & 31));
  if (thread.exchange->unread == 0) current_team->free_exchanges.push_back(thread.exchange);
  thread.exchange = nullptr;
}

void exchange_exit(CudaThread& thread) {
  for (const Exchange* exchange : thread.block->warps[size_t(thread.rank) / 32]) {
    if (exchange->mask >> (thread.rank & 31) & 1) {
      fail(std::string(exchange->operation) + " names " + lane_name(thread.rank & 31) + ", which has exited", exchange->site);
    }
  }
}

Messages exchange(const char* operation, uint32_t mask, const void* value, size_t bytes, Site site) {
  Quiet quiet;
  Team& team = *current_team;
  CudaThread& me = self();
  Block& block = *me.block;
  int warp = me.rank / 32;
  int my_lane = me.rank % 32;
  if (!(mask >> my_lane & 1)) fail(std::string(operation) + ": the calling " + lane_name(my_lane) + " is not in its own mask", site);
  mask &= lanes_of_warp(block, warp);
  leave_exchange(me);

  auto& pending = block.warps[size_t(warp)];
  Exchange* mine = nullptr;
  for (Exchange* candidate : pending) {
    if (candidate->arrived >> my_lane & 1) continue;
    if (candidate->mask == mask) {
      mine = candidate;
      break;
    }
    if (candidate->mask >> my_lane & 1) {
      fail(std::string(operation) + ": the lanes disagree on the mask; others wait at " + where(candidate->site), site);
    }
  }
  if (mine == nullptr) {
    CudaThread** lanes = &team.threads[size_t(block.number) * block.threads + size_t(warp) * 32];
    for (int i = 0; i < 32; i++) {
      if ((mask >> i & 1) && lanes[i]->state == State::exited) {
        fail(std::string(operation) + " names " + lane_name(i) + ", which has exited", site);
      }
    }
    mine = open(team, operation, mask, site);
    pending.push_back(mine);
  } else if (mine->site.line != site.line || strcmp(mine->site.file, site.file) != 0 || strcmp(mine->operation, operation) != 0) {
    fail(std::string("divergent warp: this lane executes ") + operation + ", others wait in " + mine->operation + " at " + where(mine->site), site);
  }
  memcpy(mine->data[my_lane], value, bytes);
  mine->arrived |= 1u << my_lane;
  me.exchange = mine;
  release(&mine->sync);
  if (mine->arrived != mask) {
    team.wait(&me, operation, site);
  } else {
    pending.erase(std::find(pending.begin(), pending.end(), mine));
    team.counts.warp_exchanges++;
    std::vector<CudaThread*>& lanes = team.scratch;
    for (int i = 0; i < 32; i++) {
      if (mask >> i & 1) lanes.push_back(team.threads[size_t(block.number) * block.threads + size_t(warp) * 32 + size_t(i)]);
    }
    team.wake(lanes);
    team.wait(&me, operation, site);
  }
  acquire(&mine->sync);
  return {mine->data[0], mask};
}

Messages exchange_aligned(const char* operation, const void* value, size_t bytes, Site site) {
  const CudaThread& me = self();
  if (lanes_of_warp(*me.block, me.rank / 32) != ~0u) fail(std::string(operation) + " needs a full warp", site);
  return exchange(operation, ~0u, value, bytes, site);
}

}  // namespace gradus::emulator
