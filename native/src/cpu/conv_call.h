// What the functions of gradus/conv.h begin with.
#pragma once

#include "cpu/conv_shape.h"
#include "plugin/handle.h"

namespace gradus::cpu::conv {

// Parts of the scratch memory, one behind the other.
class Scratch {
 public:
  explicit Scratch(int64_t address) : address_(address) {}

  template <class T>
  T* take(int64_t n) {
    int64_t at = address_ + used_;
    used_ += (n * int64_t(sizeof(T)) + 63) / 64 * 64;
    return pointer<T>(at);
  }
  int64_t used() const { return used_; }

 private:
  int64_t address_, used_ = 0;
};

// Bytes of scratch memory that parts(type, sizes, scratch) takes.
template <class F>
int64_t scratch_bytes_of(int64_t shape, int32_t dtype, F&& parts) {
  const Sizes s(*pointer<const gr_conv>(shape));
  if (!s.fits) return 0;
  Scratch scratch(0);
  with_floating(dtype, [&](auto type) {
    parts(type, s, scratch);
    return int(GR_OK);
  });
  return scratch.used();
}

// Checks sizes and scratch memory; f(type, sizes) does the rest.
template <class F>
int checked(int64_t shape, int32_t dtype, int64_t scratch_bytes, int64_t needed, F&& f) {
  const Sizes s(*pointer<const gr_conv>(shape));
  if (!s.fits) return GR_UNSUPPORTED;
  if (scratch_bytes < needed) return failed(GR_ERROR, "too little scratch memory for a convolution");
  const int status = with_floating(dtype, [&](auto type) { return f(type, s); });
  return status == GR_OUT_OF_MEMORY ? failed(status, "no memory left for a convolution") : status;
}

}  // namespace gradus::cpu::conv
