// Operands of kernel tests: arrays of any element type, filled with numbers, read back as doubles. Kernels and host use the same
// memory: on the emulator that of any vector, on hardware managed memory.
#pragma once

#include <cstdint>
#include <vector>

#include "device/half.h"
#include "harness.h"
#include "kernels/launcher.h"

namespace test {

#if defined(__CUDACC__)
template <class T>
using Memory = std::vector<T, ManagedAllocator<T>>;
#else
template <class T>
using Memory = std::vector<T>;
inline void launching() {}
inline std::string finished() { return ""; }
#endif

template <class T>
double wide(T x) {
  if constexpr (sizeof(T) == 2) return double(gradus::to_float(x));
  else return double(x);
}

template <class T>
T narrow(double x) {
  if constexpr (sizeof(T) == 2) return gradus::from_float<T>(float(x));
  else return T(x);
}

template <class T>
class Array {
 public:
  explicit Array(int64_t n, double value = 0) : data_(size_t(n), narrow<T>(value)) {}

  // n numbers on [low, high).
  static Array random(int64_t n, uint64_t seed, double low = -1, double high = 1) {
    Array out(n);
    Numbers numbers(seed);
    for (auto& x : out.data_) x = narrow<T>(low + (double(numbers.next()) + 1) / 2 * (high - low));
    return out;
  }

  int64_t address() const {
    launching();
    return int64_t(reinterpret_cast<uintptr_t>(data_.data()));
  }
  int64_t size() const { return int64_t(data_.size()); }
  int64_t bytes() const { return size() * int64_t(sizeof(T)); }
  double operator[](int64_t i) const { return wide(raw(i)); }
  T raw(int64_t i) const {
    finished();
    return data_[size_t(i)];
  }
  void set(int64_t i, double x) {
    finished();
    data_[size_t(i)] = narrow<T>(x);
  }
  static constexpr int32_t dtype() { return gradus::dtype_code<T>(); }

 private:
  Memory<T> data_;
};

// What one rounding to the type may cost, relatively.
template <class T>
constexpr double unit() {
  return sizeof(T) == 8 ? 0x1p-53 : std::is_same_v<T, gradus::bfloat16> ? 0x1p-8 : std::is_same_v<T, gradus::float16> ? 0x1p-11 : 0x1p-24;
}

}  // namespace test

// |actual - expected| <= relative |expected| + absolute, and not NaN where a number is expected.
#define CHECK_NEAR(actual, expected, relative, absolute)                                                              \
  do {                                                                                                                \
    double a_ = (actual), e_ = (expected);                                                                            \
    bool same_ = a_ == e_ || (std::isnan(a_) && std::isnan(e_));                                                      \
    if (!same_ && !(std::fabs(a_ - e_) <= (relative) * std::fabs(e_) + (absolute))) {                                 \
      test::report(__FILE__, __LINE__, #actual " is " + test::text(a_) + ", not " + test::text(e_));                 \
    }                                                                                                                 \
  } while (0)
// A call of the C ABI that must succeed, and so must the kernels that it launches.
#define CALL(call)                                                                       \
  do {                                                                                   \
    test::launching();                                                                   \
    if ((call) != GR_OK) test::report(__FILE__, __LINE__, gradus::error_text());         \
    std::string fault_ = test::finished();                                               \
    if (!fault_.empty()) test::report(__FILE__, __LINE__, fault_);                       \
  } while (0)
