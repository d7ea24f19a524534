// Loads slices of a dense matrix for mma_pipeline.h, whichever way round it is stored, with any pitch and any ragged edge.
//
// AccessBytes is what a thread copies at a time, and lines start at multiples of it: 16, 8 or 4 by cp.async, neighbouring lanes
// next to each other; 2-byte elements, which cp.async cannot copy, go through registers, loaded by fetch and stored by finish.
#pragma once

#include "device/mma_pipeline.h"

namespace gradus {

template <class Layout, int Threads, int AccessBytes>
class MatrixLoader {
 public:
  using T = typename Layout::Element;
  static constexpr bool kAlongK = Layout::kMajor == Major::k;
  static constexpr int kAccess = AccessBytes / int(sizeof(T));          // elements of one access
  static constexpr int kPerLine = Layout::kLineElements / kAccess;      // accesses of a line
  static constexpr int kAccesses = Layout::kElements / kAccess / Threads;  // of a thread and slice
  static constexpr int kLineStep = Threads / kPerLine;                  // from one access of a thread to its next
  static constexpr bool kRegisters = AccessBytes < 4;
  static_assert(AccessBytes >= int(sizeof(T)) && AccessBytes <= 16, "from an element to a chunk");
  static_assert(Threads % kPerLine == 0 && Layout::kElements % (kAccess * Threads) == 0, "threads share the slice evenly");

  // `origin` is element (0, 0) of the tile's operand, `pitch` the elements from line to line, `extent` how many rows of A (or
  // columns of B) there are from the origin on, `depth` the whole extent summed over.
  GRADUS_DEVICE MatrixLoader(const T* origin, int64_t pitch, int extent, int depth)
      : extent_(extent), depth_(depth), line_(int(threadIdx.x) / kPerLine), at_(int(threadIdx.x) % kPerLine * kAccess) {
    from_ = origin + line_ * pitch + at_;
    slice_step_ = kAlongK ? int64_t(Layout::kDepth) : Layout::kDepth * pitch;
    line_step_ = kLineStep * pitch;
    to_ = Layout::element(line_, at_);
  }

  GRADUS_DEVICE void fetch(T* stage, int slice) {
    int k0 = slice * Layout::kDepth;
    const T* from = from_ + slice * slice_step_;
    // What is left along the line and across the lines.
    int along = (kAlongK ? depth_ - k0 : extent_) - at_;
    int across = kAlongK ? extent_ : depth_ - k0;
    int valid = along < 0 ? 0 : along < kAccess ? along : kAccess;
    GRADUS_UNROLL
    for (int i = 0; i < kAccesses; i++) {
      int line = line_ + i * kLineStep;
      int count = line < across ? valid : 0;
      if constexpr (kRegisters) {
        held_[i] = count > 0 ? *from : from_float<T>(0);
      } else {
        ptx::cp_async<AccessBytes>(stage + to(i), from, count * int(sizeof(T)));
      }
      from += line_step_;
    }
  }

  GRADUS_DEVICE void finish(T* stage) {
    if constexpr (kRegisters) {
      GRADUS_UNROLL
      for (int i = 0; i < kAccesses; i++) stage[to(i)] = held_[i];
    }
    (void)stage;
  }

 private:
  GRADUS_DEVICE int to(int i) const {
    constexpr bool kSameSwizzle = kLineStep % Layout::kPeriod == 0;
    return kSameSwizzle ? to_ + i * kLineStep * Layout::kLineElements : Layout::element(line_ + i * kLineStep, at_);
  }

  const T* from_;
  int64_t slice_step_, line_step_;
  int extent_, depth_, line_, at_, to_;
  T held_[kRegisters ? kAccesses : 1];
};

}  // namespace gradus
