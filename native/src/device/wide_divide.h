// Division of 64-bit indices by a divisor that is the same for all threads: a multiplication and no subroutine. The divisor is
// prepared on the host and travels as a kernel parameter. (For indices below 2^31 there is fast_divide.h.)
// Source: Granlund, Montgomery, "Division by invariant integers using multiplication", PLDI 1994: with m = ceil(2^64 / d), the
// upper half of m n is n / d while n d < 2^64.
#pragma once

#include "device/portable.h"

namespace gradus {

class WideDivide {
 public:
  WideDivide() : WideDivide(1) {}
  explicit WideDivide(int64_t divisor)
      : divisor_(divisor), multiplier_(divisor == 1 ? 0 : ~uint64_t(0) / uint64_t(divisor) + 1) {}

  // Whether quotients of 0 <= n <= limit are right.
  bool serves(int64_t limit) const { return divisor_ == 1 || uint64_t(limit) <= ~uint64_t(0) / uint64_t(divisor_); }

  GRADUS_DEVICE int64_t quotient(int64_t n) const { return multiplier_ == 0 ? n : int64_t(upper(uint64_t(n), multiplier_)); }
  GRADUS_DEVICE int64_t quotient(int64_t n, int64_t& remainder) const {
    int64_t q = quotient(n);
    remainder = n - q * divisor_;
    return q;
  }
  GRADUS_HOST_DEVICE int64_t divisor() const { return divisor_; }

 private:
  // The upper half of the product.
  GRADUS_DEVICE static uint64_t upper(uint64_t x, uint64_t y) {
#if GRADUS_EMULATED
    uint64_t x0 = uint32_t(x), x1 = x >> 32, y0 = uint32_t(y), y1 = y >> 32;
    uint64_t middle = x1 * y0 + (x0 * y0 >> 32);
    return x1 * y1 + (middle >> 32) + ((x0 * y1 + uint32_t(middle)) >> 32);
#else
    return __umul64hi(x, y);
#endif
  }

  int64_t divisor_;
  uint64_t multiplier_;
};

}  // namespace gradus
