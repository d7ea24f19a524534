// The smallest test harness that serves: CHECK in functions registered by TEST, a summary line, exit status 1 on failure.
//   program            runs all
//   program NAME...    runs those; a NAME is that of a test, or of a group: what its file's name begins with
//   program --groups   lists the groups
#pragma once

#include <cmath>
#include <cstdio>
#include <cstring>
#include <set>
#include <string>
#include <vector>

#if defined(__CUDACC__)
#include "kernels/hardware.h"
#else
#include "emulator/emulator.h"
#endif

namespace test {

struct Case {
  std::string group;
  const char* name;
  void (*run)();
};
inline std::vector<Case>& cases() {
  static std::vector<Case> all;
  return all;
}
inline bool& failed() {
  static bool flag = false;
  return flag;
}
struct Register {
  // The group of a file .../matmul_test.cpp is matmul, and so is that of matmul_split_test.cpp.
  Register(const std::string& file, const char* name, void (*run)()) {
    std::string base = file.substr(file.rfind('/') + 1);
    cases().push_back({base.substr(0, base.find('_')), name, run});
  }
};
inline void report(const char* file, int line, const std::string& what) {
  failed() = true;
  printf("  %s:%d: %s\n", file, line, what.c_str());
}
inline std::string text(double x) { return std::to_string(x); }
inline std::string text(const std::string& x) { return "\"" + x + "\""; }

inline bool is_wanted(const Case& c, int argc, char** argv) {
  for (int i = 1; i < argc; i++) {
    if (c.name == std::string(argv[i]) || c.group == argv[i]) return true;
  }
  return argc < 2;
}

inline int list_groups() {
  std::set<std::string> groups;
  for (const Case& c : cases()) groups.insert(c.group);
  for (const std::string& group : groups) printf("%s\n", group.c_str());
  return 0;
}

inline int run_all(int argc, char** argv) {
  if (argc == 2 && strcmp(argv[1], "--groups") == 0) return list_groups();
  int passed = 0, bad = 0;
  for (const Case& c : cases()) {
    if (!is_wanted(c, argc, argv)) continue;
    failed() = false;
    c.run();
    if (failed()) printf("FAILED %s\n", c.name);
    failed() ? bad++ : passed++;
    fflush(stdout);
  }
  printf("%d passed, %d failed\n", passed, bad);
  return bad == 0 && passed > 0 ? 0 : 1;
}

// Deterministic numbers on [-1, 1).
class Numbers {
 public:
  explicit Numbers(uint64_t seed) : state_(seed * 0x9E3779B97F4A7C15u + 1) {}
  float next() {
    state_ = state_ * 6364136223846793005u + 1442695040888963407u;
    return float(int32_t(state_ >> 32)) * 0x1p-31f;
  }

 private:
  uint64_t state_;
};

}  // namespace test

#define TEST(name)                                             \
  static void name();                                          \
  static const test::Register register_##name(__FILE__, #name, name); \
  static void name()
#define CHECK(condition)                                                      \
  do {                                                                        \
    if (!(condition)) test::report(__FILE__, __LINE__, "not true: " #condition); \
  } while (0)
#define CHECK_EQUAL(actual, expected)                                                                       \
  do {                                                                                                      \
    auto actual_ = (actual);                                                                                \
    decltype(actual_) expected_ = (expected);                                                               \
    if (!(actual_ == expected_)) {                                                                          \
      test::report(__FILE__, __LINE__, #actual " is " + test::text(actual_) + ", not " + test::text(expected_)); \
    }                                                                                                       \
  } while (0)
#define CHECK_CONTAINS(whole, part)                                                                       \
  do {                                                                                                    \
    std::string whole_ = (whole);                                                                         \
    if (whole_.find(part) == std::string::npos) {                                                         \
      test::report(__FILE__, __LINE__, "\"" + whole_ + "\" does not contain \"" + std::string(part) + "\""); \
    }                                                                                                     \
  } while (0)
// A launch that must succeed.
#define RUN(launch)                                                                                       \
  do {                                                                                                    \
    if ((launch) != 0) test::report(__FILE__, __LINE__, gradus::emulator::last_error());                 \
  } while (0)
