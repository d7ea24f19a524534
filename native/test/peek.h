// Reads shared memory as it is, written or not: what no kernel may do, for tests of what is there.
#pragma once

#include "device/portable.h"

namespace test {

template <class T>
GRADUS_NO_TSAN T peek(const T* p) {
  return *static_cast<const volatile T*>(p);  // volatile: or the read may move into the caller
}

}  // namespace test
