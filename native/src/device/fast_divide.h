// Division of 31-bit integers by a number that is known before the launch: a multiplication and a shift instead of some twenty
// instructions. The divisor is prepared on the host and travels as a kernel parameter.
// Source: Granlund, Montgomery, "Division by invariant integers using multiplication", PLDI 1994. With s = ceil(log2 d) and
// m = ceil(2^(31 + s) / d), m fits 32 bits and n m / 2^(31 + s) exceeds n / d by less than 1 / d for n < 2^31, so that its floor
// is the quotient.
#pragma once

#include "device/math.h"
#include "device/portable.h"

namespace gradus {

class FastDivide {
 public:
  FastDivide() : FastDivide(1) {}
  explicit FastDivide(int divisor) : divisor_(divisor), multiplier_(0), shift_(0) {
    int s = 0;
    while ((int64_t(1) << s) < divisor) s++;
    if (s == 0) return;
    multiplier_ = uint32_t(((uint64_t(1) << (31 + s)) + uint64_t(divisor) - 1) / uint64_t(divisor));
    shift_ = s - 1;
  }

  // Of 0 <= n < 2^31.
  GRADUS_DEVICE int quotient(int n) const { return divisor_ == 1 ? n : int(__umulhi(unsigned(n), multiplier_) >> shift_); }
  GRADUS_DEVICE int divide(int n, int& remainder) const {
    int q = quotient(n);
    remainder = n - q * divisor_;
    return q;
  }
  GRADUS_HOST_DEVICE int divisor() const { return divisor_; }

 private:
  int divisor_;
  uint32_t multiplier_;
  int shift_;
};

}  // namespace gradus
