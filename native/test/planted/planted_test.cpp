// Holds the emulator to its promise: each planted bug is found in the modes that can find it, and the report names a line of the
// kernel that carries the bug's mark. Arguments: the program to run, the folder of the sources, the mode (model, address, thread, initcheck).

#include <sys/wait.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <string>
#include <vector>

namespace {

struct Expectation {
  const char* bug;
  const char* mode;   // model: without a sanitizer
  const char* mark;   // of the lines of which one must be named; empty: the result alone gives it away
  const char* says;
};

const Expectation kExpected[] = {
    {"divergent_barrier", "model", "divergent_barrier", "divergent barrier"},
    {"early_exit", "model", "early_exit", "divergent barrier"},
    {"inactive_lane", "model", "inactive_lane", "reads lane 20, which is not active"},
    {"exited_lane", "model", "exited_lane", "names lane 9, which has exited"},
    {"uninitialised_shared", "model", "", "NaN in the result"},
    {"out_of_bounds_shared", "model", "out_of_bounds_shared_model", "past the end of first"},
    {"missing_wait", "model", "missing_wait", "a copy in flight"},
    {"wrong_expect_tx", "model", "wrong_expect_tx", "transaction count of 16 bytes"},
    {"missing_swizzle", "model", "missing_swizzle", "the descriptor of A says swizzle 128 bytes, but the load at gemm_kernels.h:"},
    {"missing_wgmma_wait", "model", "", "NaN in the result"},
    {"uninitialised_shared", "initcheck", "uninitialised_shared", "reads 4 bytes of shared memory that were not written: byte"},
    {"missing_wait", "initcheck", "missing_wait", "that a copy in flight will write: byte"},
    {"early_async_read", "initcheck", "early_async_read", "that a copy in flight will write: byte"},
    {"early_tma_read", "initcheck", "early_tma_read", "that a copy in flight will write: byte"},
    {"missing_wgmma_wait", "initcheck", "missing_wgmma_wait", "reads an accumulator of the wgmma at gemm_kernels.h:"},
    {"out_of_bounds_shared", "initcheck", "out_of_bounds_shared", "0 bytes past the end of first"},
    {"out_of_bounds_global", "address", "out_of_bounds_global", "heap-buffer-overflow"},
    {"out_of_bounds_shared", "address", "out_of_bounds_shared", "use-after-poison"},
    {"shared_race", "thread", "shared_race", "data race"},
    {"missing_barrier", "thread", "missing_barrier", "data race"},
    {"write_race", "thread", "write_race", "data race"},
    {"block_race", "thread", "block_race", "data race"},
    {"early_refill", "thread", "early_refill", "data race"},
    {"missing_proxy_fence", "thread", "missing_proxy_fence", "data race"},
};

std::string output_of(const std::string& command, int* status) {
  std::string text;
  FILE* pipe = popen((command + " 2>&1").c_str(), "r");
  if (pipe == nullptr) return "cannot run " + command;
  char buffer[4096];
  while (size_t n = fread(buffer, 1, sizeof buffer, pipe)) text.append(buffer, n);
  int raw = pclose(pipe);
  *status = WIFEXITED(raw) ? WEXITSTATUS(raw) : 128;
  return text;
}

// "file:line" of every line marked "bug: NAME", or with NAME in a list.
std::vector<std::string> marked_lines(const std::string& folder, const std::string& name) {
  std::vector<std::string> found;
  for (const char* file : {"planted/planted_kernels.h", "gemm_kernels.h"}) {
    std::ifstream in(folder + "/" + file);
    std::string text;
    for (int line = 1; std::getline(in, text); line++) {
      size_t at = text.find("bug: ");
      if (at == std::string::npos || (", " + text.substr(at + 5) + ",").find(", " + name + ",") == std::string::npos) continue;
      const char* slash = strrchr(file, '/');
      found.push_back(std::string(slash != nullptr ? slash + 1 : file) + ":" + std::to_string(line));
    }
  }
  return found;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) return 2;
  int passed = 0, failed = 0;
  for (const Expectation& e : kExpected) {
    if (strcmp(e.mode, argv[3]) != 0) continue;
    int status = 0;
    std::string text = output_of(std::string(argv[1]) + " " + e.bug, &status);
    bool named = *e.mark == 0;
    for (const std::string& line : marked_lines(argv[2], e.mark)) {
      size_t at = text.find(line);
      named = named || (at != std::string::npos && !isdigit(static_cast<unsigned char>(text[at + line.size()])));
    }
    if (status != 0 && named && text.find(e.says) != std::string::npos) {
      passed++;
      continue;
    }
    failed++;
    printf("FAILED %s: status %d, line %s; the program said:\n%s\n", e.bug, status, named ? "named" : "not named", text.substr(0, 3000).c_str());
  }
  printf("%d passed, %d failed\n", passed, failed);
  return failed == 0 && passed > 0 ? 0 : 1;
}
