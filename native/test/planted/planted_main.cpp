// Runs one planted bug and prints what the emulator says:
//   planted NAME         the kernel; exit status 0 when nothing was noticed
// The NaN that poison leaves in a result counts as noticed: the message then names the kernel and the result.

#include <memory>

#include "../gemm_runs.h"
#include "planted_kernels.h"

using namespace gradus;
using namespace gradus::planted;
using namespace gradus::test_kernels;

namespace {

int verdict(int status, const std::vector<float>& out) {
  if (status != 0) {
    printf("%s\n", emulator::last_error().c_str());
    return 1;
  }
  for (size_t i = 0; i < out.size(); i++) {
    if (!std::isnan(out[i])) continue;
    printf("NaN in the result at %zu: memory was read before it was written\n", i);
    return 1;
  }
  return 0;
}

int verdict(int status, double error, const std::vector<float>& out) {
  int noticed = verdict(status, out);
  if (noticed == 0 && !(error < 1e-3)) {
    printf("wrong result: off by %g\n", error);
    return 1;
  }
  return noticed;
}

int simple(const std::string& name) {
  std::vector<float> out(64, 0);
  LaunchConfig one(1, 64);
  if (name == "shared_race") return verdict(GRADUS_LAUNCH(missing_barrier_kernel, one, out.data()), out);
  if (name == "write_race") return verdict(GRADUS_LAUNCH(write_race_kernel, one, out.data()), out);
  if (name == "block_race") return verdict(GRADUS_LAUNCH(block_race_kernel, LaunchConfig(2, 64), out.data()), out);
  if (name == "out_of_bounds_global") {
    std::unique_ptr<float[]> exact(new float[100]);
    return verdict(GRADUS_LAUNCH(out_of_bounds_global_kernel, LaunchConfig(2, 64), exact.get(), 100), out);
  }
  if (name == "out_of_bounds_shared") return verdict(GRADUS_LAUNCH(out_of_bounds_shared_kernel, one, out.data()), out);
  if (name == "divergent_barrier") return verdict(GRADUS_LAUNCH(divergent_barrier_kernel, one, out.data()), out);
  if (name == "early_exit") return verdict(GRADUS_LAUNCH(early_exit_kernel, one, out.data()), out);
  if (name == "uninitialised_shared") return verdict(GRADUS_LAUNCH(uninitialised_shared_kernel, one, out.data()), out);
  if (name == "early_async_read") {
    std::vector<float> x(64, 1);
    return verdict(GRADUS_LAUNCH(early_async_read_kernel, one, x.data(), out.data()), out);
  }
  if (name == "early_tma_read") {
    std::vector<float> x(64 + 32, 1);
    tensor_map map = make_map(TensorMapType::f32, Problem<float>::aligned(x), 1, 64, 1, 64, TensorMapSwizzle::none);
    return verdict(GRADUS_LAUNCH(early_tma_read_kernel, one, map, out.data()), out);
  }
  if (name == "inactive_lane") return verdict(GRADUS_LAUNCH(inactive_lane_kernel, one, out.data()), out);
  if (name == "exited_lane") return verdict(GRADUS_LAUNCH(exited_lane_kernel, one, out.data()), out);
  return -1;
}

template <Bug bug>
int pipelined() {
  Problem<bfloat16> p(128, 64, 256);
  int status = run_wgmma<64, bug>(p);
  return verdict(status, status == 0 ? p.error() : 0, p.c);
}

int product(const std::string& name) {
  if (name == "missing_barrier") {
    Problem<float> p(16, 16, 48);
    int status = run_simt<Bug::missing_barrier>(p);
    return verdict(status, status == 0 ? p.error() : 0, p.c);
  }
  if (name == "missing_wait") {
    Problem<bfloat16> p(64, 64, 64);
    int status = run_mma<bfloat16, Bug::missing_wait>(p);
    return verdict(status, status == 0 ? p.error() : 0, p.c);
  }
  if (name == "wrong_expect_tx") return pipelined<Bug::wrong_expect_tx>();
  if (name == "missing_swizzle") return pipelined<Bug::missing_swizzle>();
  if (name == "early_refill") return pipelined<Bug::early_refill>();
  if (name == "missing_wgmma_wait") return pipelined<Bug::missing_wgmma_wait>();
  if (name == "missing_proxy_fence") return pipelined<Bug::missing_proxy_fence>();
  return -1;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  int result = simple(argv[1]);
  if (result < 0) result = product(argv[1]);
  fflush(stdout);
  return result < 0 ? 2 : result;
}
