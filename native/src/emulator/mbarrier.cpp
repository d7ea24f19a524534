// mbarrier: the state lives in the barrier's own 8 bytes of shared memory, so that uninitialised, overwritten and misplaced
// barriers behave as badly as they should.
// Source: PTX ISA, "mbarrier": phase, pending arrival count, expected arrival count, tx-count.

#include <cstring>

#include "emulator/initcheck.h"
#include "emulator/team.h"

namespace gradus::emulator {

namespace {

struct State64 {
  uint64_t phase : 1;
  uint64_t expected : 20;
  uint64_t pending : 20;
  int64_t tx : 21;
  uint64_t magic : 2;  // 1; poison reads 3, zeroed memory 0
};
static_assert(sizeof(State64) == 8);
constexpr int64_t kMaxTx = (1 << 20) - 1;

State64 load(const uint64_t* word) {
  State64 state;
  memcpy(&state, word, 8);
  return state;
}

Block::Mbarrier& entry(Block& block, uint32_t offset) {
  for (auto& m : block.mbarriers) {
    if (m.offset == offset) return m;
  }
  block.mbarriers.push_back({offset, {}, {}});
  return block.mbarriers.back();
}

// TSan: two objects in turn, for the reason given at Barrier.
char* sync_object(uint64_t* word, unsigned phase) { return reinterpret_cast<char*>(word) + (phase & 1); }

void finish(uint64_t* word, State64 state) {
  if (state.pending == 0 && state.tx == 0) {
    state.phase = (state.phase ^ 1) & 1;
    state.pending = state.expected;
    current_team->progress++;
  }
  memcpy(word, &state, 8);
}

State64 checked(uint64_t* word, Site site) {
  State64 state = load(word);
  if (state.magic != 1) fail("mbarrier used before mbarrier.init, or its memory was overwritten", site);
  return state;
}

uint32_t offset_of(Block& block, const uint64_t* word) { return uint32_t(reinterpret_cast<const char*>(word) - block.shared.base()); }

}  // namespace

uint64_t* mbarrier_word(uint32_t address, Block** owner, Site site) {
  if (address % 8 != 0) fail("an mbarrier must be 8-byte aligned", site);
  void* p = shared_pointer(address, 8, "mbarrier", site);
  for (unsigned b = 0; b < current_team->block_count; b++) {
    if (current_team->blocks[b]->shared.contains(p)) *owner = current_team->blocks[b].get();
  }
  return static_cast<uint64_t*>(p);
}

void mbarrier_init(uint32_t address, unsigned count, Site site) {
  Quiet quiet;
  Block* block = nullptr;
  uint64_t* word = mbarrier_word(address, &block, site);
  if (count == 0 || count > unsigned(kMaxTx)) fail("mbarrier.init: the arrival count is 1 to 2^20 - 1, not " + std::to_string(count), site);
  State64 state{0, count & 0xFFFFF, count & 0xFFFFF, 0, 1};
  memcpy(word, &state, 8);
  mark_bytes(word, 8, ByteState::written);
  entry(*block, offset_of(*block, word)) = {offset_of(*block, word), site, {}};
}

void mbarrier_invalidate(uint32_t address, Site site) {
  Quiet quiet;
  Block* block = nullptr;
  uint64_t* word = mbarrier_word(address, &block, site);
  checked(word, site);
  *word = ~uint64_t(0);
  mark_bytes(word, 8, ByteState::unwritten);
  for (size_t i = 0; i < block->mbarriers.size(); i++) {
    if (block->mbarriers[i].offset == offset_of(*block, word)) block->mbarriers.erase(block->mbarriers.begin() + long(i));
  }
}

void mbarrier_arrive(uint32_t address, unsigned count, Site site) {
  Quiet quiet;
  Block* block = nullptr;
  uint64_t* word = mbarrier_word(address, &block, site);
  State64 state = checked(word, site);
  if (state.pending < count) fail("more arrivals at the mbarrier than mbarrier.init announced", site);
  release(sync_object(word, state.phase));
  state.pending = (state.pending - count) & 0xFFFFF;
  finish(word, state);
}

void mbarrier_expect_tx(uint32_t address, unsigned bytes, Site site) {
  Quiet quiet;
  Block* block = nullptr;
  uint64_t* word = mbarrier_word(address, &block, site);
  State64 state = checked(word, site);
  if (state.tx + int64_t(bytes) > kMaxTx) fail("mbarrier expect_tx: the transaction count is over 2^20 - 1", site);
  state.tx = state.tx + int64_t(bytes);
  memcpy(word, &state, 8);
  entry(*block, offset_of(*block, word)).expect = site;
}

void mbarrier_arrive_at(Block& block, uint32_t offset, Site site) {
  auto* word = reinterpret_cast<uint64_t*>(block.shared.base() + offset);
  State64 state = checked(word, site);
  if (state.pending < 1) fail("more arrivals at the mbarrier than mbarrier.init announced", site);
  release(sync_object(word, state.phase));
  state.pending = (state.pending - 1) & 0xFFFFF;
  finish(word, state);
}

void mbarrier_complete_tx(Block& block, uint32_t offset, int64_t bytes) {
  auto* word = reinterpret_cast<uint64_t*>(block.shared.base() + offset);
  State64 state = load(word);
  release(sync_object(word, state.phase));
  state.tx = state.tx - bytes;
  finish(word, state);
}

bool mbarrier_test_parity(uint32_t address, unsigned parity, Site site) {
  Quiet quiet;
  Block* block = nullptr;
  uint64_t* word = mbarrier_word(address, &block, site);
  State64 state = checked(word, site);
  if (state.phase == (parity & 1)) return false;
  acquire(sync_object(word, parity));
  current_team->progress++;
  return true;
}

// What is wrong with the block's barriers, for messages: all of them at the end of a block, else those that miss bytes.
std::string mbarrier_state(Block& block, bool all) {
  std::string text;
  if (block.gone) return text;
  for (const auto& m : block.mbarriers) {
    State64 state = load(reinterpret_cast<const uint64_t*>(block.shared.base() + m.offset));
    if (state.magic != 1) continue;
    bool incomplete = all && state.pending != state.expected;
    if (state.tx == 0 && !incomplete) continue;
    text += "; the mbarrier of " + where(m.init) + " has a transaction count of " + std::to_string(state.tx) + " bytes";
    if (m.expect.file != nullptr) text += " (expect_tx at " + where(m.expect) + ")";
    if (incomplete) text += " and misses " + std::to_string(unsigned(state.pending)) + " of " + std::to_string(unsigned(state.expected)) + " arrivals";
  }
  return text;
}

void proxy_fence() { release(&self().block->proxy_sync); }

}  // namespace gradus::emulator
