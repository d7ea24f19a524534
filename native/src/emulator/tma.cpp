// The bulk tensor copies. A load runs when the scheduler has nothing better to do, or in random order at any time: a kernel
// that reads too early finds the poison that was written at the issue. A store reads shared memory as late as it may, at the
// wait for it.

#include "emulator/tma.h"

#include <algorithm>
#include <cstring>

#include "emulator/initcheck.h"
#include "emulator/team.h"

namespace gradus::emulator {

namespace {

constexpr uint64_t kMagic = 0x47524144544D4150;
constexpr unsigned kPiece = 16;

struct Row {
  uint32_t offset;         // within the box, before swizzling
  const char* global;      // of the row's first element, may lie outside
  bool inside;             // in all dimensions but the innermost
};

// Calls f(Row) for each pixel of an im2col copy that starts at `at`.
template <class F>
void for_each_pixel(const TensorMap& map, const int* at, const uint16_t* offset, F f) {
  int64_t place[5];
  for (int d = 0; d < map.rank; d++) place[d] = at[d];
  const int images = map.rank - 1;
  size_t row_bytes = size_t(map.box[0]) * map.element_bytes;
  for (unsigned r = 0; r < map.box[1]; r++) {
    bool inside = place[images] >= 0 && place[images] < int64_t(map.extent[images]);
    int64_t from = place[0] * map.element_bytes + place[images] * int64_t(map.pitch[images - 1]);
    for (int d = 1; d < images; d++) {
      int64_t i = place[d] + offset[d - 1];
      inside = inside && i >= 0 && i < int64_t(map.extent[d]);
      from += i * int64_t(map.pitch[d - 1]);
    }
    f(Row{uint32_t(r * row_bytes), static_cast<const char*>(map.base) + from, inside});
    int d = 1;
    for (; d < images; d++) {
      place[d] += map.step[d - 1];
      if (place[d] < int64_t(map.extent[d]) + map.upper[d - 1]) break;
      place[d] = map.lower[d - 1];
    }
    if (d == images) place[images]++;
  }
}

// Calls f(Row) for each innermost row of the box at `at`.
template <class F>
void for_each_row(const TensorMap& map, const int* at, const uint16_t* offset, F f) {
  if (map.im2col != 0) return for_each_pixel(map, at, offset, f);
  unsigned rows = 1;
  for (int d = 1; d < map.rank; d++) rows *= map.box[d];
  size_t row_bytes = size_t(map.box[0]) * map.element_bytes;
  for (unsigned r = 0; r < rows; r++) {
    unsigned rest = r;
    bool inside = true;
    int64_t offset = int64_t(at[0]) * map.element_bytes;
    for (int d = 1; d < map.rank; d++) {
      int64_t i = int64_t(at[d]) + rest % map.box[d];
      rest /= map.box[d];
      inside = inside && i >= 0 && i < int64_t(map.extent[d]);
      offset += i * int64_t(map.pitch[d - 1]);
    }
    f(Row{uint32_t(r * row_bytes), static_cast<const char*>(map.base) + offset, inside});
  }
}

// The part [first, last) of a row's bytes that lies inside the tensor.
std::pair<int64_t, int64_t> valid_bytes(const TensorMap& map, const int* at) {
  int64_t first = std::max<int64_t>(0, -int64_t(at[0]));
  int64_t last = std::min<int64_t>(map.box[0], int64_t(map.extent[0]) - at[0]);
  return {std::min(first, std::max(last, first)) * map.element_bytes, std::max(last, first) * map.element_bytes};
}

char* piece(Block& block, uint32_t start, uint32_t offset, Swizzle mode) {
  return block.shared.base() + swizzled(start + offset, mode) - SharedMemory::kWindowStart;
}

void round_to_tf32(char* p) {
  uint32_t bits;
  memcpy(&bits, p, 4);
  if ((bits & 0x7FFFFFFF) > 0x7F800000) return;  // NaN stays NaN
  bits = (bits + 0x1000) & ~0x1FFFu;  // half up in magnitude, as cvt.rna.tf32.f32
  memcpy(p, &bits, 4);
}

struct Load {
  TensorMap map;
  Block* block;
  uint32_t start, mbarrier;
  int at[5];
  uint16_t offset[3];
  Team::Engine* engine;
  Site site;
};
static_assert(sizeof(Load) <= sizeof(Job::argument));

// 0 for zeros, which look alike in every order.
uint64_t hash(const void* piece) {
  uint64_t word[2];
  memcpy(word, piece, sizeof word);
  return (word[0] * 0x9E3779B97F4A7C15u) ^ (word[1] * 0xC2B2AE3D27D4EB4Fu);
}

void remember(Block& block, const char* piece, Swizzle swizzle, Site site) {
  if (block.loaded.empty()) block.loaded.resize(SharedMemory::kCapacity / kPiece);
  block.loaded[size_t(piece - block.shared.base()) / kPiece] = {site, hash(piece), swizzle};
}

void run_load(Team& team, const void* argument) {
  (void)team;
  Load load;
  memcpy(&load, argument, sizeof load);
  auto [first, last] = valid_bytes(load.map, load.at);
  auto row_bytes = int64_t(load.map.box[0]) * load.map.element_bytes;
  for_each_row(load.map, load.at, load.offset, [&](const Row& row) {
    for (int64_t at = 0; at < row_bytes; at += kPiece) {
      char data[kPiece] = {};
      int64_t from = std::max(at, first);
      int64_t to = std::min(at + int64_t(kPiece), last);
      if (row.inside && from < to) memcpy(data + (from - at), row.global + from, size_t(to - from));
      if (load.map.tf32 != 0) {
        for (unsigned i = 0; i < kPiece; i += 4) round_to_tf32(data + i);
      }
      char* to_piece = piece(*load.block, load.start, row.offset + uint32_t(at), load.map.swizzle);
      memcpy(to_piece, data, kPiece);
      remember(*load.block, to_piece, load.map.swizzle, load.site);
    }
  });
  size_t bytes = box_bytes(load.map);
  void* caller = tsan_current();
  if (kTsan) {
    tsan_switch(load.engine->fiber);
    acquire(&load.engine->start);
    tsan_write(load.block->shared.base() + load.start - SharedMemory::kWindowStart, bytes);
  }
  mark_bytes(load.block->shared.base() + load.start - SharedMemory::kWindowStart, bytes, ByteState::written);
  release(&load.block->proxy_sync);  // a store that follows it is in the same proxy
  mbarrier_complete_tx(*load.block, load.mbarrier, int64_t(bytes));
  if (kTsan) tsan_switch(caller);
}

void read_store(BulkStore& store) {
  Block& block = *self().block;
  store.data.resize(box_bytes(store.map));
  check_read(block.shared.base() + store.source - SharedMemory::kWindowStart, store.data.size(), store.site);
  for (size_t at = 0; at < store.data.size(); at += kPiece) {
    memcpy(&store.data[at], piece(block, store.source, uint32_t(at), store.map.swizzle), kPiece);
  }
  store.read = true;
  if (kTsan) {  // ordered after proxy fences only, not after the issuer
    Team::Engine& engine = current_team->store_engine;
    void* caller = tsan_current();
    tsan_switch(engine.fiber);
    acquire(&block.proxy_sync);
    tsan_read(block.shared.base() + store.source - SharedMemory::kWindowStart, store.data.size());
    release(&engine.done);
    tsan_switch(caller);
    acquire(&engine.done);
  }
}

void write_store(BulkStore& store) {
  auto [first, last] = valid_bytes(store.map, store.at);
  for_each_row(store.map, store.at, nullptr, [&, first = first, last = last](const Row& row) {
    if (!row.inside || first >= last) return;
    char* to = const_cast<char*>(row.global) + first;
    memcpy(to, &store.data[row.offset + size_t(first)], size_t(last - first));
  });
}

}  // namespace

const Block::Loaded* loaded_otherwise(Block& block, const void* p, Swizzle swizzle) {
  if (block.loaded.empty()) return nullptr;
  const Block::Loaded& at = block.loaded[size_t(static_cast<const char*>(p) - block.shared.base()) / kPiece];
  return at.hash != 0 && at.swizzle != swizzle && hash(p) == at.hash ? &at : nullptr;
}

size_t box_bytes(const TensorMap& map) {
  size_t bytes = map.element_bytes;
  for (int d = 0; d < (map.im2col != 0 ? 2 : map.rank); d++) bytes *= map.box[d];
  return bytes;
}

size_t tma_check(const TensorMap& map, uint32_t shared, int rank, bool im2col, Site site) {
  if (map.magic != kMagic) fail("TMA: not a tensor map, or one that was refused when it was encoded", site);
  if ((map.im2col != 0) != im2col) fail(im2col ? "TMA: not an im2col map" : "TMA: an im2col map in a tiled copy", site);
  if (map.rank != rank) fail("TMA: the tensor map has " + std::to_string(map.rank) + " dimensions, the copy " + std::to_string(rank), site);
  uint32_t alignment = map.linear != 0 ? 16 : 128;
  if (map.swizzle == Swizzle::b64) alignment = 512;
  if (map.swizzle == Swizzle::b128) alignment = 1024;
  if (shared % alignment != 0) {
    fail("TMA: the shared address is not aligned to " + std::to_string(alignment) + " bytes, the period of the swizzle", site);
  }
  size_t bytes = box_bytes(map);
  shared_pointer(shared, bytes, "TMA", site);
  return bytes;
}

namespace {

// The start of an im2col copy lies in the bounding box, but for the image; offsets have a width.
void check_im2col(const TensorMap& map, const int* at, const uint16_t* offset, Site site) {
  const int limit = map.rank == 3 ? 1 << 16 : map.rank == 4 ? 1 << 8 : 1 << 5;
  for (int d = 1; d < map.rank - 1; d++) {
    if (at[d] < map.lower[d - 1] || at[d] >= int64_t(map.extent[d]) + map.upper[d - 1]) {
      fail("TMA: coordinate " + std::to_string(d) + ", " + std::to_string(at[d]) + ", is outside of the im2col map's bounding box", site);
    }
    if (offset[d - 1] >= limit) fail("TMA: im2col offset " + std::to_string(offset[d - 1]) + " must be below " + std::to_string(limit), site);
  }
}

}  // namespace

TensorMap linear_map(const void* global, unsigned bytes, Site site) {
  if (bytes == 0 || bytes % 16 != 0 || bytes > (1 << 20) - 16) fail("bulk copy: the size is a multiple of 16 bytes below 2^20, not " + std::to_string(bytes), site);
  if (reinterpret_cast<uintptr_t>(global) % 16 != 0) fail("bulk copy: the global address is not aligned to 16 bytes", site);
  TensorMap map{};
  map.magic = kMagic;
  map.base = global;
  map.rank = 1;
  map.element_bytes = 16;
  map.extent[0] = bytes / 16;
  map.box[0] = uint16_t(bytes / 16);
  map.linear = 1;
  return map;
}

namespace {

// What maps of both kinds have in common; `inner`: elements of the innermost box.
std::string encode_tensor(TensorMap* map, int element_bytes, bool tf32, int rank, const void* base, const uint64_t* extent,
                          const uint64_t* pitch, uint32_t inner, Swizzle swizzle) {
  if (reinterpret_cast<uintptr_t>(base) % 16 != 0) return "the address must be a multiple of 16 bytes";
  for (int d = 0; d < rank; d++) {
    if (extent[d] == 0 || extent[d] > uint64_t(1) << 32) return "extent " + std::to_string(d) + " must be 1 to 2^32";
    if (d > 0 && (pitch[d - 1] % 16 != 0 || pitch[d - 1] >= uint64_t(1) << 40)) return "pitch " + std::to_string(d - 1) + " must be a multiple of 16 below 2^40";
    map->extent[d] = extent[d];
    if (d > 0) map->pitch[d - 1] = pitch[d - 1];
  }
  inner *= uint32_t(element_bytes);
  if (inner % 16 != 0) return "the inner box must be a multiple of 16 bytes";
  if (swizzle != Swizzle::none && inner > 16u << unsigned(swizzle)) return "the inner box must not be wider than the swizzle";
  map->magic = kMagic;
  map->base = base;
  map->rank = uint8_t(rank);
  map->element_bytes = uint8_t(element_bytes);
  map->swizzle = swizzle;
  map->tf32 = tf32 ? 1 : 0;
  return {};
}

}  // namespace

std::string encode_tensor_map(TensorMap* map, int element_bytes, bool tf32, int rank, const void* base, const uint64_t* extent,
                              const uint64_t* pitch, const uint32_t* box, Swizzle swizzle) {
  *map = TensorMap{};
  if (rank < 1 || rank > 5) return "rank must be 1 to 5";
  for (int d = 0; d < rank; d++) {
    if (box[d] == 0 || box[d] > 256) return "box " + std::to_string(d) + " must be 1 to 256";
    map->box[d] = uint16_t(box[d]);
  }
  return encode_tensor(map, element_bytes, tf32, rank, base, extent, pitch, box[0], swizzle);
}

std::string encode_im2col_map(TensorMap* map, int element_bytes, bool tf32, int rank, const void* base, const uint64_t* extent,
                              const uint64_t* pitch, const int* lower, const int* upper, uint32_t channels, uint32_t pixels,
                              const uint32_t* step, Swizzle swizzle) {
  *map = TensorMap{};
  if (rank < 3 || rank > 5) return "the rank of an im2col map must be 3 to 5";
  const int reach = rank == 3 ? 1 << 15 : rank == 4 ? 1 << 7 : 1 << 4;
  if (channels == 0 || channels > 256) return "channels of a pixel must be 1 to 256";
  if (pixels == 0 || pixels > 1024) return "pixels of a column must be 1 to 1024";
  for (int d = 0; d < rank - 2; d++) {
    for (int corner : {lower[d], upper[d]}) {
      if (corner < -reach || corner >= reach) return "corner " + std::to_string(corner) + " must be " + std::to_string(-reach) + " to " + std::to_string(reach - 1);
    }
    if (step[d] == 0 || step[d] > 8) return "step " + std::to_string(d) + " must be 1 to 8";
    if (int64_t(extent[d + 1]) + upper[d] <= lower[d]) return "the bounding box must not be empty";
    map->lower[d] = int16_t(lower[d]);
    map->upper[d] = int16_t(upper[d]);
    map->step[d] = uint8_t(step[d]);
  }
  map->im2col = 1;
  map->box[0] = uint16_t(channels);
  map->box[1] = uint16_t(pixels);
  return encode_tensor(map, element_bytes, tf32, rank, base, extent, pitch, channels, swizzle);
}

void tma_load(const TensorMap* map, uint32_t destination, const int* at, const uint16_t* offset, int rank, uint32_t mbarrier,
              uint32_t multicast, Site site) {
  Quiet quiet;
  Team& team = *current_team;
  size_t bytes = tma_check(*map, destination, rank, offset != nullptr, site);
  if (offset != nullptr) check_im2col(*map, at, offset, site);
  if (kAsan) {
    auto [first, last] = valid_bytes(*map, at);
    for_each_row(*map, at, offset, [&, first = first, last = last](const Row& row) {
      if (row.inside && first < last && forbidden(row.global + first, size_t(last - first))) {
        fail("TMA: the tensor map reaches outside of its allocation", site);
      }
    });
  }
  unsigned here = cluster_rank();
  for (unsigned rank_to = 0; rank_to < cluster_size(); rank_to++) {
    if (multicast == 0 ? rank_to != here : !(multicast >> rank_to & 1)) continue;
    uint32_t to = multicast == 0 ? destination : map_address(destination, rank_to, site);
    uint32_t bar = multicast == 0 ? mbarrier : map_address(mbarrier, rank_to, site);
    Block* block = nullptr;
    const uint64_t* word = mbarrier_word(bar, &block, site);
    void* box = shared_pointer(to, bytes, "TMA load", site);
    memset(box, 0xFF, bytes);
    mark_bytes(box, bytes, ByteState::in_flight);
    Load load{*map, block, destination, uint32_t(reinterpret_cast<const char*>(word) - block->shared.base()), {}, {}, nullptr, site};
    for (int d = 0; d < rank; d++) load.at[d] = at[d];
    for (int d = 0; offset != nullptr && d < rank - 2; d++) load.offset[d] = offset[d];
    load.engine = &team.engines[team.next_engine++ % 8];
    release(&load.engine->start);
    Job job{run_load, block, site, {}};
    memcpy(job.argument, &load, sizeof load);
    team.jobs.push_back(job);
  }
  if (multicast >> cluster_size() != 0) fail("TMA: the multicast mask names a rank outside of the cluster", site);
}

void tma_store(const TensorMap* map, uint32_t source, const int* at, int rank, Site site) {
  Quiet quiet;
  tma_check(*map, source, rank, false, site);
  BulkStore store{*map, source, {}, self().store_groups, false, {}, site};
  for (int d = 0; d < rank; d++) store.at[d] = at[d];
  self().stores.push_back(store);
  current_team->counts.async_copies++;
}

void bulk_commit() { self().store_groups++; }

void bulk_wait(unsigned pending, bool read_only) {
  Quiet quiet;
  CudaThread& me = self();
  size_t kept = 0;
  for (BulkStore& store : me.stores) {
    bool due = store.group + pending < me.store_groups;
    if (due && !store.read) read_store(store);
    if (due && !read_only) {
      write_store(store);
      continue;
    }
    if (&me.stores[kept] != &store) me.stores[kept] = store;
    kept++;
  }
  me.stores.resize(kept);
}

void stores_at_exit(CudaThread& thread) {
  for (BulkStore& store : thread.stores) {
    if (!store.read) fail("the thread exited before its bulk store had read shared memory; wait for it before the end", store.site);
    write_store(store);  // the end of the kernel completes it
  }
  thread.stores.clear();
}

}  // namespace gradus::emulator
