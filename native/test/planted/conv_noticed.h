// What the programs of planted bugs in convolutions say of a result.
#pragma once

#include <cstdio>

#include "kernels/conv_products.h"
#include "kernels/launcher.h"

// Whether one of the elements differs by more than a part of it, and a tenth of that.
template <class T>
bool wrong(const test::Array<T>& actual, const std::vector<double>& expected, double part) {
  for (int64_t i = 0; i < actual.size(); i++) {
    if (!(std::fabs(actual[i] - expected[size_t(i)]) <= part * std::fabs(expected[size_t(i)]) + part / 10)) return true;
  }
  return false;
}

inline bool noticed(int status, bool is_wrong) {
  if (status != GR_OK) {
    printf("%s\n", gradus::error_text().c_str());
  } else if (is_wrong) {
    printf("wrong result\n");
  } else {
    return false;
  }
  return true;
}
