// wgmma: operands are read and the product is computed when the first thread waits for it, and a thread finds NaN in its
// accumulators until its own wait.
// Source: PTX ISA, "Asynchronous warpgroup level matrix instructions": matrix descriptor format, canonical layouts
// ("Strides"), register fragments of m64nNk16 and m64nNk8.

#include "emulator/wgmma.h"

#include <cstring>

#include "device/half.h"
#include "emulator/initcheck.h"
#include "emulator/team.h"

namespace gradus::emulator {

__thread unsigned accumulators_in_flight = 0;

namespace {

struct Descriptor {
  uint32_t start, leading, stride;
  Swizzle swizzle;
};

Descriptor decode(uint64_t bits, Site site) {
  if (bits >> 49 & 7) fail("wgmma: the model does not cover a base offset in the matrix descriptor", site);
  constexpr Swizzle kModes[4] = {Swizzle::none, Swizzle::b128, Swizzle::b64, Swizzle::b32};
  return {uint32_t(bits & 0x3FFF) << 4, uint32_t(bits >> 16 & 0x3FFF) << 4, uint32_t(bits >> 32 & 0x3FFF) << 4, kModes[bits >> 62]};
}

int element_bytes(WgmmaType type) { return type == WgmmaType::tf32 ? 4 : 2; }

// Shared address of element (mn, k). Rows of 8 form a group; a K-major row is as wide as the swizzle, an MN-major one holds
// that many bytes along MN.
uint32_t address_of(const Descriptor& d, bool mn_major, int bytes, int mn, int k) {
  int per_piece = 16 / bytes;
  uint32_t offset;
  if (d.swizzle == Swizzle::none) {
    offset = mn_major ? uint32_t(mn / per_piece) * d.stride + uint32_t(mn % per_piece * bytes) + uint32_t(k / 8) * d.leading + uint32_t(k % 8 * 16)
                      : uint32_t(mn / 8) * d.stride + uint32_t(mn % 8 * 16) + uint32_t(k / per_piece) * d.leading + uint32_t(k % per_piece * bytes);
  } else {
    int width = 16 << unsigned(d.swizzle);
    int per_row = width / bytes;
    offset = mn_major ? uint32_t(mn / per_row) * d.leading + uint32_t(mn % per_row * bytes) + uint32_t(k % 8 * width) + uint32_t(k / 8) * d.stride
                      : uint32_t(mn / 8) * d.stride + uint32_t(mn % 8 * width) + uint32_t(k * bytes);
  }
  return swizzled(d.start + offset, d.swizzle);
}

float value_at(const void* p, WgmmaType type) {
  if (type == WgmmaType::tf32) {
    uint32_t bits;
    memcpy(&bits, p, 4);
    bits &= ~0x1FFFu;  // the tensor core ignores the low 13 bits
    float value;
    memcpy(&value, &bits, 4);
    return value;
  }
  uint16_t bits;
  memcpy(&bits, p, 2);
  return type == WgmmaType::bf16 ? bfloat16_bits_to_float(bits) : float16_bits_to_float(bits);
}

void list_chunks(std::vector<const void*>& out, uint64_t bits, bool mn_major, int bytes, int first, int last, int k, Site site) {
  Descriptor d = decode(bits, site);
  int per_piece = 16 / bytes;
  int mn_step = mn_major ? per_piece : 1;
  int k_step = mn_major ? 1 : per_piece;
  for (int mn = first; mn < last; mn += mn_step) {
    for (int i = 0; i < k; i += k_step) out.push_back(shared_pointer(address_of(d, mn_major, bytes, mn, i), 16, "wgmma", site));
  }
}

Warpgroup& warpgroup(Site site) {
  CudaThread& me = self();
  Block& block = *me.block;
  if (block.threads % kWarpgroup != 0) fail("wgmma needs whole warpgroups: the block must be a multiple of 128 threads", site);
  auto index = size_t(me.rank) / kWarpgroup;
  while (block.warpgroups.size() <= index) block.warpgroups.push_back(std::make_unique<Warpgroup>());
  return *block.warpgroups[index];
}

// Fragment of D: thread t holds, for each 8 columns j, rows 16 * warp + group + {0, 8} and columns 8 j + 2 * (t % 4) + {0, 1}.
float& element(Accumulators& acc, int thread, int i) {
  int row = thread / 32 * 16 + thread % 32 / 4 + i % 4 / 2 * 8;
  int column = i / 4 * 8 + thread % 4 * 2 + i % 2;
  return acc.tile[size_t(row * acc.n + column)];
}

// Fragment of A in registers: thread t holds rows 16 (t / 32) + t % 32 / 4 + 8 (i % 2) and, from column t % 4 * (4 / bytes) +
// 16 / bytes (i / 2) on, one register's worth of elements.
const char* register_of(const std::vector<uint32_t>& a, int bytes, int m, int k) {
  int half = 16 / bytes, per_register = 4 / bytes;
  int thread = m / 16 * 32 + m % 8 * 4 + k % half / per_register;
  int i = m % 16 / 8 + k / half * 2;
  return reinterpret_cast<const char*>(&a[size_t(thread * 4 + i)]) + k % per_register * bytes;
}

void refuse_other_swizzle(const std::vector<const void*>& chunks, const Descriptor& d, const char* operand, Site site) {
  constexpr const char* kNames[] = {"none", "32 bytes", "64 bytes", "128 bytes"};
  for (const void* p : chunks) {
    const Block::Loaded* other = loaded_otherwise(*self().block, p, d.swizzle);
    if (other == nullptr) continue;
    fail(std::string("wgmma: the descriptor of ") + operand + " says swizzle " + kNames[int(d.swizzle)] + ", but the load at " + where(other->site) +
             " wrote these bytes with swizzle " + kNames[int(other->swizzle)], site);
  }
}

void compute(Operation& op) {
  const Wgmma& w = op.what;
  int bytes = element_bytes(w.type);
  Descriptor da = decode(w.a, op.site);
  Descriptor db = decode(w.b, op.site);
  if (!self().block->loaded.empty()) {
    std::vector<const void*> chunks;
    if (!w.a_in_registers) list_chunks(chunks, w.a, w.transpose_a, bytes, 0, 64, w.k, op.site);
    refuse_other_swizzle(chunks, da, "A", op.site);
    chunks.clear();
    list_chunks(chunks, w.b, w.transpose_b, bytes, 0, w.n, w.k, op.site);
    refuse_other_swizzle(chunks, db, "B", op.site);
  }
  float a[64][16];
  float b[16][256];
  for (int k = 0; k < w.k; k++) {
    for (int m = 0; m < 64; m++) {
      if (w.a_in_registers) {
        a[m][k] = value_at(register_of(op.a, bytes, m, k), w.type);
        continue;
      }
      a[m][k] = value_at(shared_pointer(address_of(da, w.transpose_a, bytes, m, k), size_t(bytes), "wgmma A", op.site), w.type);
    }
    for (int n = 0; n < w.n; n++) {
      b[k][n] = value_at(shared_pointer(address_of(db, w.transpose_b, bytes, n, k), size_t(bytes), "wgmma B", op.site), w.type);
    }
  }
  for (int m = 0; m < 64; m++) {
    float* row = &op.accumulators->tile[size_t(m * w.n)];
    float sum[256] = {};
    for (int k = 0; k < w.k; k++) {
      for (int n = 0; n < w.n; n++) sum[n] += a[m][k] * b[k][n];
    }
    for (int n = 0; n < w.n; n++) row[n] = w.accumulate ? row[n] + sum[n] : sum[n];
  }
}

bool same(const Wgmma& x, const Wgmma& y) {
  return x.type == y.type && x.n == y.n && x.k == y.k && x.a == y.a && x.b == y.b && x.accumulate == y.accumulate &&
         x.transpose_a == y.transpose_a && x.transpose_b == y.transpose_b && x.a_in_registers == y.a_in_registers;
}

Chunks chunks_of(Warpgroup& wg, const Wgmma& op, int first_row, int last_row, Site site) {
  wg.chunks.clear();
  if (kTsan || kInitcheck) {  // nobody else looks at them
    int bytes = element_bytes(op.type);
    if (!op.a_in_registers) list_chunks(wg.chunks, op.a, op.transpose_a, bytes, first_row, last_row, op.k, site);
    list_chunks(wg.chunks, op.b, op.transpose_b, bytes, 0, op.n, op.k, site);
  }
  static const void* const nothing = nullptr;
  return {wg.chunks.empty() ? &nothing : wg.chunks.data(), int(wg.chunks.size())};
}

// TSan: wgmma reads by the async proxy, which sees what ordinary stores wrote only after a proxy fence of the writer.
void read_by_proxy(const Chunks& reads) {
  if (!kTsan) return;
  Team::Engine& engine = current_team->wgmma_engine;
  void* caller = tsan_current();
  tsan_switch(engine.fiber);
  acquire(&self().block->proxy_sync);
  for (int i = 0; i < reads.count; i++) tsan_read(const_cast<void*>(reads.address[i]), 16);
  release(&engine.done);
  tsan_switch(caller);
  acquire(&engine.done);
}

}  // namespace

void wgmma_fence() { self().wgmma_fenced = true; }
void wgmma_commit() { self().wgmma_groups++; }

Chunks wgmma_reads(const Wgmma& op, Site site) {
  Quiet quiet;
  Warpgroup& wg = warpgroup(site);
  int rank = self().rank;
  if (rank % 32 != 0) return {nullptr, 0};
  int warp = rank % kWarpgroup / 32;
  return chunks_of(wg, op, 16 * warp, 16 * warp + 16, site);
}

void wgmma_issue(const Wgmma& op, float* accumulators, const uint32_t* a, Site site) {
  Quiet quiet;
  Warpgroup& wg = warpgroup(site);
  CudaThread& me = self();
  int thread = me.rank % kWarpgroup;
  if (!me.wgmma_fenced) fail("wgmma without a wgmma fence before it, or since accumulators came back", site);
  if (op.n % 8 != 0 || op.n < 8 || op.n > 256) fail("wgmma: N is a multiple of 8 up to 256", site);
  if (op.type == WgmmaType::tf32 && (op.transpose_a || op.transpose_b)) fail("wgmma: tf32 operands are K-major", site);

  unsigned number = me.wgmma_issued++;
  if (number - wg.first_number == wg.operations.size()) {
    wg.operations.emplace_back();
    wg.operations.back().what = op;
    wg.operations.back().site = site;
    wg.operations.back().group = me.wgmma_groups;
  }
  Operation& mine = wg.operations[number - wg.first_number];
  if (!same(mine.what, op) || mine.group != me.wgmma_groups) {
    fail("wgmma: the threads of the warpgroup disagree on shape, descriptors or group; the first was at " + where(mine.site), site);
  }
  if (op.a_in_registers) {
    mine.a.resize(size_t(kWarpgroup) * 4);
    memcpy(&mine.a[size_t(thread) * 4], a, 16);
  }
  std::shared_ptr<Accumulators> acc;
  for (auto& candidate : wg.accumulators) {
    if (candidate->owner[thread] == accumulators) acc = candidate;
  }
  bool chained = acc != nullptr;
  if (!chained) acc = mine.accumulators;
  if (acc == nullptr) {
    acc = std::make_shared<Accumulators>();
    acc->n = op.n;
    acc->tile.resize(size_t(64 * op.n));
    wg.accumulators.push_back(acc);
  }
  if (mine.accumulators == nullptr) mine.accumulators = acc;
  if (mine.accumulators != acc || acc->n != op.n) fail("wgmma: the threads of the warpgroup disagree on the accumulators", site);
  if (!chained) {
    acc->owner[thread] = accumulators;
    for (int i = 0; i < op.n / 2; i++) element(*acc, thread, i) = accumulators[i];
    memset(accumulators, 0xFF, size_t(op.n / 2) * sizeof(float));
    accumulators_in_flight++;
  }
  acc->site = site;
  acc->last_operation[thread] = number;
  mine.joined++;
  current_team->progress++;
  release(&mine.issued);
}

Chunks wgmma_step(unsigned pending, Site site) {
  Quiet quiet;
  CudaThread& me = self();
  if (me.wgmma_issued == me.wgmma_finished) return {nullptr, 0};
  Warpgroup& wg = warpgroup(site);
  int thread = me.rank % kWarpgroup;
  while (me.wgmma_finished < me.wgmma_issued) {
    Operation* op = &wg.operations[me.wgmma_finished - wg.first_number];
    if (op->group + pending >= me.wgmma_groups) break;
    if (op->computed_by < 0) {
      while (op->joined < unsigned(kWarpgroup) && op->computed_by < 0) {
        yield(site);
        op = &wg.operations[me.wgmma_finished - wg.first_number];
      }
      if (op->computed_by < 0) {
        compute(*op);
        op->computed_by = thread;
        Chunks reads = chunks_of(wg, op->what, 0, 64, op->site);
        read_by_proxy(reads);
        return reads;
      }
    }
    if (op->computed_by == thread) release(&op->done);
    acquire(&op->issued);
    acquire(&op->done);
    op->finished++;
    me.wgmma_finished++;
    while (!wg.operations.empty() && wg.operations.front().finished == unsigned(kWarpgroup)) {
      wg.operations.pop_front();
      wg.first_number++;
    }
  }
  return {nullptr, 0};
}

void wgmma_deliver(unsigned, Site site) {
  Quiet quiet;
  CudaThread& me = self();
  if (me.block->warpgroups.size() <= size_t(me.rank) / kWarpgroup) return;
  Warpgroup& wg = *me.block->warpgroups[size_t(me.rank) / kWarpgroup];
  int thread = me.rank % kWarpgroup;
  for (size_t a = 0; a < wg.accumulators.size();) {
    Accumulators& acc = *wg.accumulators[a];
    float* to = acc.owner[thread];
    if (to != nullptr && acc.last_operation[thread] < me.wgmma_finished) {
      for (int i = 0; i < acc.n / 2; i++) {
        uint32_t bits;
        memcpy(&bits, &to[i], 4);
        if (bits != ~0u) fail("wgmma: the accumulators were written before the wait for the operation at " + where(acc.site), site);
        to[i] = element(acc, thread, i);
      }
      acc.owner[thread] = nullptr;
      accumulators_in_flight--;
      me.wgmma_fenced = false;  // its registers are the thread's again: a fence comes before the next wgmma
    }
    bool held = false;
    for (float* owner : acc.owner) held = held || owner != nullptr;
    if (held) {
      a++;
    } else {
      wg.accumulators.erase(wg.accumulators.begin() + long(a));
    }
  }
}

Site accumulator_owner(const void* p, size_t bytes) {
  const CudaThread& me = self();
  auto index = size_t(me.rank) / kWarpgroup;
  if (me.block->warpgroups.size() <= index) return {nullptr, 0};
  for (const auto& acc : me.block->warpgroups[index]->accumulators) {
    const auto* own = reinterpret_cast<const char*>(acc->owner[me.rank % kWarpgroup]);
    const auto* at = static_cast<const char*>(p);
    if (own != nullptr && at < own + size_t(acc->n / 2) * sizeof(float) && at + bytes > own) return acc->site;
  }
  return {nullptr, 0};
}

void wgmma_reset(Block& block) {
  block.warpgroups.clear();
  accumulators_in_flight = 0;  // those of all blocks of the team: they are reset together
}

std::string wgmma_unfinished(Block& block) {
  for (auto& wg : block.warpgroups) {
    if (!wg->operations.empty()) return "the wgmma of " + where(wg->operations.front().site) + " was not waited for by every thread";
  }
  return {};
}

}  // namespace gradus::emulator
