// The functions of the C ABI as callables that find the plug-in behind their last argument: what the JNI library binds. C++ only.
#pragma once

#include <tuple>
#include <type_traits>

#include "gradus/table.h"

namespace calls {

template <auto Member>
struct Call;

template <class R, class... A, R (*gr_table::*Member)(A...)>
struct Call<Member> {
  R operator()(A... arguments) const {
    int64_t handle = std::get<sizeof...(A) - 1>(std::forward_as_tuple(arguments...));
    const gr_table* table = *reinterpret_cast<const gr_table* const*>(handle);
    auto function = table->*Member;
    if (function == nullptr) return std::is_same_v<R, int> ? R(GR_UNSUPPORTED) : R(-1);
    return function(arguments...);
  }
};

#define GR_CALL(name) constexpr Call<&gr_table::name> gr_##name{};
GR_FUNCTIONS(GR_CALL)
#undef GR_CALL

}  // namespace calls
