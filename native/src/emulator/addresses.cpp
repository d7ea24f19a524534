// Shared-memory variables and the 32-bit shared window. Bits 24 and up of an address hold 1 + the rank of a cluster peer, 0
// for the block itself, as mapa would name it.

#include "emulator/team.h"

namespace gradus::emulator {

namespace {

constexpr uint32_t kWindow = SharedMemory::kWindowStart;
constexpr unsigned kRankShift = 24;

Block& peer(unsigned rank, Site site) {
  if (rank >= cluster_size()) {
    fail("rank " + std::to_string(rank) + " is not in a cluster of " + std::to_string(cluster_size()), site);
  }
  Block& block = *current_team->blocks[unsigned(self().block->number) / cluster_size() * cluster_size() + rank];
  if (block.gone) fail("the shared memory of cluster rank " + std::to_string(rank) + " is gone: its block has exited", site);
  return block;
}

}  // namespace

void* shared_variable(const void* tag, size_t bytes, size_t alignment, const char* name, Site site) {
  Quiet quiet;
  void* p = self().block->shared.variable(tag, bytes, alignment, name, site);
  if (p == nullptr) fail("static shared memory is over its limit of 48 KiB", site);
  return p;
}

void* dynamic_shared(Site site) {
  if (current_team->shape.dynamic_shared == 0) fail("the launch gave no dynamic shared memory", site);
  return self().block->shared.base();
}

uint32_t shared_address(const void* p, Site site) {
  const SharedMemory& shared = self().block->shared;
  if (!shared.contains(p)) fail("not a pointer into this block's shared memory", site);
  return uint32_t(static_cast<const char*>(p) - shared.base()) + kWindow;
}

void* shared_pointer(uint32_t address, size_t bytes, const char* what, Site site) {
  unsigned rank = address >> kRankShift;
  Block& block = rank == 0 ? *self().block : peer(rank - 1, site);
  uint32_t offset = (address & ((1u << kRankShift) - 1)) - kWindow;
  if (offset > SharedMemory::kCapacity || offset + bytes > block.shared.used()) {
    fail(std::string(what) + ": shared address " + std::to_string(address) + " is out of bounds (" + std::to_string(bytes) + " bytes)", site);
  }
  return block.shared.base() + offset;
}

uint32_t map_address(uint32_t address, unsigned rank, Site site) {
  Block& block = peer(rank, site);
  if (&block != self().block) block.mapped = site;
  return (address & ((1u << kRankShift) - 1)) | (rank + 1) << kRankShift;
}

void* map_pointer(const void* p, unsigned rank, Site site) {
  uint32_t offset = shared_address(p, site) - kWindow;
  Block& block = peer(rank, site);
  if (&block != self().block) block.mapped = site;
  return block.shared.base() + offset;
}

}  // namespace gradus::emulator
