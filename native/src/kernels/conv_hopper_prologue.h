// Batch normalisation and ReLU on the way into a product on Hopper's tensor cores: TMA brings slices of x as they are, and the
// consumers make max((x - mean) scale + shift, 0) of them in place, rounded to the type, while the tensor cores work on the slice
// before. A kernel in front of the convolution would have written that, and this one read it: 4 bytes an element, which stay away.
//
// Forward rewrites A: a consumer its own rows, as the others never read them. Backward weight rewrites B, which both consumers of a
// cooperative tile read: each half of it, then they wait for one another. The numbers are those of norm_apply_kernel, bit for bit
// (norm_value.h); what TMA made up stays 0, behind the last channel and the last pixel, so that no NaN of a channel's vectors meets
// a zero of the other operand. Forward leaves the mask of the ReLU as that kernel does, from the blocks of the first columns.
//
// Traffic in shared memory: 4 bytes an element of x for each tile of the other operand, beside what wgmma reads. conv_normalised.h
// estimates where that costs less than memory's 4 bytes.
//
// Hazards
//   wgmma reads what is not rewritten yet, or not visible to it   proxy fence of every writer, then a barrier of all that rewrote
#pragma once

#include "device/fragments.h"
#include "kernels/conv_parts.h"
#include "kernels/matmul_hopper_block.h"
#include "kernels/norm_value.h"

namespace gradus::conv {

#if GRADUS_SM90A

// Eight neighbouring channels, of lines of 64 of them in shared memory.
template <class T>
class OctetPrologue {
 public:
  GRADUS_DEVICE OctetPrologue(const ImageNorm& norm, int channel) {
    GRADUS_UNROLL
    for (int i = 0; i < 3; i++) {
      GRADUS_UNROLL
      for (int half = 0; half < 2; half++) {
        vectors_[i][half] = load_pack<float, 4>(norm.vectors + i * norm.channels + channel + 4 * half);
      }
    }
  }

  // Rewrites chunk `chunk` of the lines first, first + kStep, ... of a box, kLines of them; done(line, bits) follows each, bit j of
  // `bits` for a number above 0. Lines from `present` on are left as they are.
  template <int kLines, int kStep, class Done>
  GRADUS_DEVICE void rewrite(unsigned char* box, int first, int chunk, int present, const Done& done) const {
    constexpr int kBatch = kLines < 4 ? kLines : 4;  // loads in flight
    GRADUS_ROLLED
    for (int at = first; at < first + kLines * kStep; at += kBatch * kStep) {
      Pack<T, 8> held[kBatch];
      GRADUS_UNROLL
      for (int i = 0; i < kBatch; i++) held[i] = *reinterpret_cast<const Pack<T, 8>*>(box + box_chunk(at + i * kStep, chunk));
      GRADUS_UNROLL
      for (int i = 0; i < kBatch; i++) {
        int line = at + i * kStep;
        if (line >= present) continue;
        rewrite(held[i]);
        *reinterpret_cast<Pack<T, 8>*>(box + box_chunk(line, chunk)) = held[i];
        done(line, held[i]);
      }
    }
  }

  static GRADUS_DEVICE unsigned positive(const Pack<T, 8>& numbers) {
    unsigned bits = 0;
    GRADUS_UNROLL
    for (int j = 0; j < 8; j++) bits |= unsigned(to_float(numbers.value[j]) > 0) << j;
    return bits;
  }

 private:
  GRADUS_DEVICE void rewrite(Pack<T, 8>& numbers) const {
    uint32_t pairs[4];
    GRADUS_UNROLL
    for (int j = 0; j < 8; j += 2) pairs[j / 2] = pack_pair<T>(of(numbers.value[j], j), of(numbers.value[j + 1], j + 1));
    memcpy(&numbers, pairs, sizeof pairs);
  }
  GRADUS_DEVICE float of(T x, int j) const {
    return norm_relu(norm_value(to_float(x), vectors_[0][j / 4].value[j % 4], vectors_[1][j / 4].value[j % 4],
                                vectors_[2][j / 4].value[j % 4]));
  }

  Pack<float, 4> vectors_[3][2];
};

// The rows of A that the calling consumer multiplies, pixels from `first` on; slices are boxes of 64 channels.
template <class Config>
class PixelPrologue {
 public:
  GRADUS_DEVICE PixelPrologue(const ImageNorm& norm, int first, bool first_columns, int consumer)
      : norm_(norm), first_(first), consumer_(consumer), masks_(first_columns && norm.mask != nullptr) {}

  GRADUS_DEVICE void operator()(const HopperShared<Config>& shared, int stage, int slice) const {
    using T = typename Config::Element;
    constexpr int kStep = Config::kWarpgroup / 8;
    int thread = int(threadIdx.x) % Config::kWarpgroup, chunk = thread % 8;
    int channel = slice * Config::kDepth + 8 * chunk;
    if (channel < norm_.channels) {
      OctetPrologue<T> octet(norm_, channel);
      unsigned char* lines = shared.stage_a(stage) + (Config::kPingPong ? 0 : consumer_ * Config::kRows) * Config::kLine;
      octet.template rewrite<Config::kRows / kStep, kStep>(
          lines, thread / 8, chunk, norm_.pixels - first_, [&](int line, const Pack<T, 8>& numbers) {
            if (!masks_) return;
            int64_t element = int64_t(first_ + line) * norm_.channels + channel;
            store_mask(norm_.mask, element, int64_t(norm_.pixels) * norm_.channels, OctetPrologue<T>::positive(numbers));
          });
    }
    ptx::fence_proxy_async();  // of this thread's part of the rows
    ptx::barrier_sync(kConsumerBarrier + consumer_, Config::kWarpgroup);  // the rows are rewritten, and visible to wgmma
  }

 private:
  const ImageNorm& norm_;
  int first_, consumer_;
  bool masks_;
};

// B: boxes of 64 channels, from channel `column` on; their lines are pixels, of which slices have 64.
template <class Config>
class TapPrologue {
 public:
  GRADUS_DEVICE TapPrologue(const ImageNorm& norm, int first_slice, int column, int consumer)
      : norm_(norm), first_slice_(first_slice), column_(column), consumer_(consumer) {}

  GRADUS_DEVICE void operator()(const HopperShared<Config>& shared, int stage, int slice) const {
    using T = typename Config::Element;
    constexpr int kReaders = Config::kPingPong ? 1 : Config::kConsumers, kThreads = kReaders * Config::kWarpgroup;
    constexpr int kStep = kThreads / 8, kBytes = Config::kDepth * Config::kLine;
    int thread = (Config::kPingPong ? 0 : consumer_ * Config::kWarpgroup) + int(threadIdx.x) % Config::kWarpgroup;
    int chunk = thread % 8, present = norm_.pixels - (first_slice_ + slice) * Config::kDepth;
    GRADUS_ROLLED
    for (int i = 0; i < Config::kN / Config::kWide; i++) {
      int channel = column_ + i * Config::kWide + 8 * chunk;
      if (channel >= norm_.channels) break;
      OctetPrologue<T> octet(norm_, channel);
      octet.template rewrite<Config::kDepth / kStep, kStep>(shared.stage_b(stage) + i * kBytes, thread / 8, chunk, present,
                                                            [](int, const Pack<T, 8>&) {});
    }
    ptx::fence_proxy_async();  // of this thread's part of B
    ptx::barrier_sync(Config::kPingPong ? kConsumerBarrier + consumer_ : kPreparedBarrier, kThreads);  // B is rewritten, and visible
  }

 private:
  const ImageNorm& norm_;
  int first_slice_, column_, consumer_;
};

#endif

}  // namespace gradus::conv
