// Runs the Hopper product, mutated as HopperMutants.cmake says, and prints what is noticed: clusters that store by TMA, and single
// blocks that store by rows, with more tiles than blocks and more slices than stages.
#include <cstdio>
#include <cstdlib>

#include "kernels/matmul_hopper.h"
#include "kernels/matmul_product.h"

using namespace gradus;
using namespace test;

namespace {

bool noticed(int cluster, bool accumulate) {
  constexpr int kTile = 1;
  using Config = HopperConfig<bfloat16, kTile>;
  auto p = problem(2 * Config::kM * cluster, 2 * Config::kN, 5 * Config::kDepth, false, true);
  p.lda = p.ldb = p.k;
  p.ldc = p.n;
  Product<bfloat16> product(p);
  MatmulArguments<bfloat16> arguments{pointer<const bfloat16>(product.a.address()), pointer<const bfloat16>(product.b.address()), 0, 0, p.m * p.n, p.k,
                                      p.k, 1, int(p.m), int(p.n), int(p.k), 1, 5, nullptr, {}};
  EpilogueParameters<bfloat16>& e = arguments.epilogue;
  e.out = pointer<bfloat16>(product.c.address());
  e.pitch = p.n;
  e.rows = int(p.m);
  e.columns = int(p.n);
  e.accumulate = accumulate;
  e.vector = true;
  product.p.accumulate = accumulate;
  MatmulPlan plan{MatmulPath::hopper, 1, 5, kTile, cluster};
  int status = launch_hopper_tile<Config, Major::k, Major::k>(arguments, plan, cluster, 0);
  if (status != GR_OK) {
    printf("%s\n", error_text().c_str());
  } else if (!(product.worst() <= 1)) {
    printf("wrong result\n");
  } else {
    return false;
  }
  return true;
}

}  // namespace

int main() {
  bool bad = noticed(2, false);
  bad = noticed(1, true) || bad;
  printf("%s\n", bad ? "noticed" : "nothing noticed");
  return 0;
}
