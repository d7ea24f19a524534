// Runs the Hopper product, mutated as HopperMutants.cmake says, and prints what is noticed: clusters that store by TMA, single
// blocks that store by rows, also to a wide C, and operands that are prepared, with more tiles than blocks and more slices than
// stages.
#include <cstdio>
#include <cstdlib>

#include "kernels/matmul_hopper.h"
#include "kernels/matmul_product.h"

using namespace gradus;
using namespace test;

namespace {

template <class T, Multiply kKind, int kTile, class C = T>
bool noticed(int cluster, bool accumulate) {
  using Config = HopperConfig<T, kKind, kTile>;
  auto p = problem(2 * Config::kM * cluster, 2 * Config::kN, 5 * Config::kDepth, false, true);
  p.precision = kKind == Multiply::tf32x3 ? GR_PRECISION_TF32X3 : GR_PRECISION_EXACT;
  p.accumulate = accumulate;
  Product<T, C> product(p);
  MatmulArguments<T> arguments{pointer<const T>(product.a.address()), pointer<const T>(product.b.address()), 0, 0, p.m * p.n, p.k, p.k, 1,
                               int(p.m), int(p.n), int(p.k), 1, 5, nullptr, {}};
  if constexpr (std::is_same_v<T, C>) {
    EpilogueParameters<T>& e = arguments.epilogue;
    e.out = pointer<T>(product.c.address());
    e.pitch = p.n;
    e.rows = int(p.m);
    e.columns = int(p.n);
    e.accumulate = accumulate;
    e.vector = true;
  } else {
    arguments.partial = pointer<C>(product.c.address());
    arguments.partial_vector = true;
    arguments.partial_adds = accumulate;
  }
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
  bool bad = noticed<bfloat16, Multiply::tensor, 1>(2, false);
  bad = noticed<bfloat16, Multiply::tensor, 1>(1, true) || bad;
  bad = noticed<bfloat16, Multiply::tensor, 2, float>(1, true) || bad;
  bad = noticed<float, Multiply::tf32x3, 4>(1, false) || bad;
  printf("%s\n", bad ? "noticed" : "nothing noticed");
  return 0;
}
