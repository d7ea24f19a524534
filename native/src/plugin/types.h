// Element types behind their codes:
//
//   return with_type<float, double>(dtype, [&](auto type) {
//     using T = typename decltype(type)::type;
//     ...
//   });
#pragma once

#include <cstdint>
#include <type_traits>

#include "device/half.h"
#include "gradus/abi.h"

namespace gradus {

template <class T>
struct Type {
  using type = T;
};

// The code of an element type.
template <class T>
constexpr int32_t dtype_code() {
  if constexpr (std::is_same_v<T, float>) return GR_FLOAT32;
  if constexpr (std::is_same_v<T, double>) return GR_FLOAT64;
  if constexpr (std::is_same_v<T, bfloat16>) return GR_BFLOAT16;
  if constexpr (std::is_same_v<T, float16>) return GR_FLOAT16;
  if constexpr (std::is_same_v<T, int32_t>) return GR_INT32;
  if constexpr (std::is_same_v<T, int64_t>) return GR_INT64;
  if constexpr (std::is_same_v<T, uint8_t>) return GR_UINT8;
  if constexpr (std::is_same_v<T, bool>) return GR_BOOL;
  return -1;
}

// Calls f(Type<T>{}) with the one of the listed types that has the code; GR_UNSUPPORTED where none has.
template <class... Ts, class F>
int with_type(int32_t dtype, F&& f) {
  int status = GR_UNSUPPORTED;
  (void)((dtype == dtype_code<Ts>() && ((status = f(Type<Ts>{})), true)) || ...);
  return status;
}
template <class F>
int with_floating(int32_t dtype, F&& f) {
  return with_type<float, double, bfloat16, float16>(dtype, f);
}

inline int64_t divide_up(int64_t n, int64_t by) { return (n + by - 1) / by; }

}  // namespace gradus
