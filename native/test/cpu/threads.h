// Results that must be the same bits for every number of threads.
#pragma once

#include <vector>

#include "cpu/parallel.h"
#include "harness.h"

namespace test {

// run() computes anew and returns a vector of bytes or numbers.
template <class F>
bool same_for_all_threads(F run) {
  gradus::cpu::set_threads(1);
  auto first = run();
  bool same = !first.empty();
  for (int threads : {2, 3, 8}) {
    gradus::cpu::set_threads(threads);
    auto again = run();
    same = same && memcmp(first.data(), again.data(), first.size() * sizeof first[0]) == 0;
  }
  gradus::cpu::set_threads(0);
  return same;
}

// The bytes of an array.
template <class A>
std::vector<uint8_t> bytes_of(const A& array) {
  auto* begin = reinterpret_cast<const uint8_t*>(uintptr_t(array.address()));
  return {begin, begin + array.bytes()};
}

}  // namespace test
