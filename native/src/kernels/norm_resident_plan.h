// How batch normalisation in training is shared among blocks that keep their part of the matrix on the chip; the kernels are in
// norm_resident.h. Host code alone.
//
// Channels are independent, so only a strip of at most 64 channels has to fit, not the matrix. The grid has one block a
// multiprocessor: `groups` groups of `members` blocks, each group a strip at a time, in `rounds` rounds. The lines of a strip are
// dealt to the members in chunks of `slots` lines, a line for each slot of a block; a member's k-th chunk is step k of its threads.
#pragma once

#include <algorithm>
#include <cstdint>

namespace gradus {

constexpr int kResidentThreads = 512;
constexpr int kResidentOctet = 8;         // neighbouring channels of a thread
constexpr int kResidentStripLanes = 8;    // at most: 64 channels, whole cache lines of 16-bit elements
constexpr int kResidentNarrowest = 64;    // bytes of a strip's line: what DRAM delivers at once
constexpr int kResidentOverhead = 24576;  // bytes of shared memory that merging takes
constexpr int kResidentParts = 4;         // shared memory arrives in so many parts

// Steps whose operands a thread keeps in registers: 32 of them.
template <class T, int Operands>
constexpr int kRegisterSteps = 16 / (Operands * int(sizeof(T)));

struct ResidentPlan {
  int lines, channels;
  int lanes, slots, strips, members, groups, rounds;
  int steps;          // of the members that have most
  int shared_steps;   // of them in shared memory
  int part_steps;     // of them in each part
  int whole, longer;  // steps of every member; members that have one more

  int blocks() const { return groups * members; }
};

// What a plan costs, in units of a step of one 16-bit operand: 8 KiB read and written by every multiprocessor, half a microsecond.
constexpr double kResidentBarrier = 5;  // of the grid, with what the memory does not do meanwhile
constexpr double kResidentAlone = 2;    // where each block has its strips to itself
constexpr double kTwoPassFactor = 1.5;  // operands are read twice
constexpr double kTwoPassStart = 10;    // three launches instead of one

inline int64_t resident_ceil(int64_t n, int64_t d) { return (n + d - 1) / d; }

// Whether a matrix [rows, channels] is best kept on `processors` multiprocessors with so many bytes of shared memory a block;
// `Operands` matrices of it are kept.
template <class T, int Operands>
bool resident_plan(int64_t rows, int64_t channels, int processors, int64_t shared_memory, ResidentPlan& best) {
  if (sizeof(T) == 8 || channels % kResidentOctet != 0 || rows * channels == 0 || rows * channels > INT32_MAX) return false;
  constexpr int64_t kStepBytes = int64_t(kResidentThreads) * kResidentOctet * sizeof(T) * Operands;
  constexpr double kStep = double(kStepBytes) / (kResidentThreads * kResidentOctet * 2);
  int64_t room = kRegisterSteps<T, Operands> + std::max<int64_t>(0, shared_memory - kResidentOverhead) / kStepBytes;
  int64_t octets = channels / kResidentOctet;
  for (int most = kResidentStripLanes; most * kResidentOctet * int(sizeof(T)) >= kResidentNarrowest; most /= 2) {
    ResidentPlan p{};
    p.lines = int(rows);
    p.channels = int(channels);
    p.strips = int(resident_ceil(octets, most));
    p.lanes = int(resident_ceil(octets, p.strips));
    p.slots = kResidentThreads / p.lanes;
    int64_t chunks = resident_ceil(rows, p.slots);
    double least = 0;
    for (int64_t members = resident_ceil(chunks, room); members <= std::min<int64_t>(processors, chunks); members++) {
      int groups = int(std::min<int64_t>(p.strips, processors / members)), rounds = int(resident_ceil(p.strips, groups));
      int64_t steps = resident_ceil(chunks, members);
      double cost = rounds * (kStep * double(steps) + (members == 1 ? kResidentAlone : kResidentBarrier));
      if (least != 0 && cost >= least) continue;
      least = cost;
      best = p;
      best.members = int(members);
      best.groups = groups;
      best.rounds = rounds;
      best.steps = int(steps);
      best.shared_steps = int(std::max<int64_t>(0, steps - kRegisterSteps<T, Operands>));
      best.part_steps = int(resident_ceil(best.shared_steps, kResidentParts));
      best.whole = int(chunks / members);
      best.longer = int(chunks % members);
    }
    if (least != 0) return least <= kTwoPassFactor * kStep * double(chunks) * p.strips / processors + kTwoPassStart;
  }
  return false;
}

}  // namespace gradus
