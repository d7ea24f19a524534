// What the kernels for Hopper's tensor cores share, whatever they multiply: when they may be chosen, places in a ring of stages,
// and 16-bit results in shared memory on their way out by TMA.
#pragma once

#include "device/fragments.h"
#include "device/ptx/matrix.h"
#include "kernels/launcher.h"

namespace gradus {

// Whether the device behind a handle runs code for sm_90a, and the plug-in has it.
inline bool is_hopper(int64_t stream) {
#if GRADUS_EMULATED || defined(GRADUS_BUILT_FOR_SM90A)
  return device_traits(stream).capability == 90;
#else
  (void)stream;
  return false;
#endif
}

// A place in the ring: the stage, and the parity of the round.
template <int kStages>
struct RingPosition {
  int stage = 0;
  unsigned round = 0;
  GRADUS_DEVICE void advance() {
    if (++stage == kStages) {
      stage = 0;
      round ^= 1;
    }
  }
  GRADUS_DEVICE void advance(int slices) {
    stage += slices;
    round ^= unsigned(stage / kStages) & 1;
    stage %= kStages;
  }
};

#if GRADUS_SM90A

// Byte offset of a chunk in a box.
GRADUS_DEVICE int box_chunk(int line, int chunk) { return line * 128 + ((chunk ^ (line & 7)) << 4); }

// Columns [64 part, 64 part + 64) of the sums of 64 rows, as T.
template <class T, int kSums>
GRADUS_DEVICE void stage_rounded(unsigned char* box, const float (&sum)[kSums], int part) {
  int lane = int(threadIdx.x) % 32;
  int line = int(threadIdx.x) % 128 / 32 * 16 + lane % 16;
  GRADUS_UNROLL
  for (int j = 0; j < 8; j += 2) {
    const float* from = &sum[(8 * part + j) * 4];
    uint32_t fragment[4];
    GRADUS_UNROLL
    for (int i = 0; i < 4; i++) fragment[i] = pack_pair<T>(from[2 * i], from[2 * i + 1]);
    ptx::stmatrix(box + box_chunk(line, j + lane / 16), fragment);
  }
}

#endif

}  // namespace gradus
