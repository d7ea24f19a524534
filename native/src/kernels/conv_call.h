// What the launchers of conv.cu share, whichever way a convolution goes: a call's operands and epilogue, the residue classes of the
// product backward to the input, the sums of the weights' gradient.
#pragma once

#include "kernels/conv_geometry.h"
#include "kernels/conv_support.h"
#include "kernels/launcher.h"

namespace gradus::conv {

constexpr int64_t kFullDevice = 132;   // blocks below which a smaller tile spreads the work better
constexpr int64_t kSplitBlocks = 264;  // blocks that a product over pixels is split into
constexpr int64_t kGridLimit = 65535;

struct Operands {
  int64_t in, other, bias, residual, out, statistics, scratch;
  int hopper;      // multiprocessors, where conv_hopper.h runs, or 0
  int64_t device;  // the handle that the call was given
};

template <class T>
Epilogue<T> epilogue_of(const Sizes& s, const Operands& a, bool forward) {
  return {pointer<const T>(a.bias), pointer<const T>(a.residual), pointer<T>(a.out), forward ? s.relu : 0, s.accumulate};
}

template <class T>
bool aligned(std::initializer_list<const T*> operands) {
  for (const T* p : operands) {
    if (!is_aligned(p, 16)) return false;
  }
  return true;
}

// Calls f(windows, how many) for the residue classes of the product backward to the input, kClasses at a time.
template <class F>
int each_class(const Sizes& s, F&& f) {
  Window windows[kClasses];
  int count = 0;
  for (int h = 0; h < s.stride_h; h++) {
    for (int w = 0; w < s.stride_w; w++) {
      Window v = backward_window(s, h, w);
      if (v.pixels > 0) windows[count++] = v;
      bool last = h == s.stride_h - 1 && w == s.stride_w - 1;
      if (count == kClasses || (last && count > 0)) {
        int status = f(windows, count);
        if (status != GR_OK) return status;
        count = 0;
      }
    }
  }
  return GR_OK;
}

// Where the products of the weights' gradient leave their sums: parts, which are added up afterwards; a wide result itself; or
// nowhere but through the epilogue.
template <class T>
struct WeightSums {
  bool parts;
  accumulator_t<T>* partial;

  WeightSums(const Sizes& s, const Operands& a, int64_t splits, int64_t scratch) : parts(has_parts(s, splits)), partial(nullptr) {
    if (parts) {
      partial = pointer<accumulator_t<T>>(scratch);
    } else if (sizeof(T) == 2 && s.wide_weights) {
      partial = pointer<accumulator_t<T>>(a.out);
    }
  }

  static bool has_parts(const Sizes& s, int64_t splits) {
    return splits > 1 || (sizeof(T) == 2 && s.wide_weights && s.accumulate != 0);
  }
};

template <class T>
int sum_splits(const Sizes& s, const Operands& a, const accumulator_t<T>* partial, int64_t splits, stream_t stream) {
  LaunchConfig config(blocks_for(s.weights(), kSupportThreads), kSupportThreads);
  config.stream(stream);
  if constexpr (sizeof(T) == 2) {
    if (s.wide_weights) {
      return finish(GRADUS_LAUNCH((conv_splits_kernel<float>), config, partial, pointer<float>(a.out), int(splits), s.weights(),
                                  s.accumulate));
    }
  }
  return finish(GRADUS_LAUNCH((conv_splits_kernel<T>), config, partial, pointer<T>(a.out), int(splits), s.weights(), s.accumulate));
}

}  // namespace gradus::conv
