// Calls of the C ABI that are recorded as a whole, for plug-ins whose functions do their work themselves: a call runs, and where
// its stream is being recorded and it did not refuse, it is kept with its arguments and the structs that they point to.
#pragma once

#include <cstring>
#include <memory>
#include <tuple>
#include <type_traits>

#include "device/recording.h"
#include "gradus/abi.h"
#include "plugin/handle.h"

namespace gradus {

template <auto function>
struct RecordedCall;

template <class R, class... A, R (*function)(A...)>
struct RecordedCall<function> {
  static R call(A... arguments) {
    R status = function(arguments...);
    if constexpr (std::is_same_v<R, int>) {  // the others ask for a size and do nothing
      if (status == GR_OK) keep(std::tuple<A...>(arguments...));
    }
    return status;
  }

 private:
  static void keep(std::tuple<A...> arguments) {
    const Stream* stream = pointer<const Stream>(std::get<sizeof...(A) - 1>(arguments));
    if (stream == nullptr || stream->native == nullptr) return;
    auto& recording = *static_cast<Recording*>(stream->native);
    std::shared_ptr<unsigned char[]> structs;
    std::apply([&](A&... each) { (redirect(recording, structs, each), ...); }, arguments);
    recording.add([arguments, structs] { return std::apply(function, arguments); });
  }

  // Makes an argument that points to a struct point to the copy of the structs.
  template <class T>
  static void redirect(const Recording& recording, std::shared_ptr<unsigned char[]>& structs, T& argument) {
    if constexpr (std::is_same_v<T, int64_t>) {
      if (!recording.holds(argument)) return;
      if (structs == nullptr) {
        structs.reset(new unsigned char[recording.struct_bytes()]);
        memcpy(structs.get(), reinterpret_cast<const void*>(recording.structs()), recording.struct_bytes());
      }
      argument = int64_t(reinterpret_cast<uintptr_t>(structs.get()) + (uintptr_t(argument) - recording.structs()));
    }
  }
};

}  // namespace gradus
