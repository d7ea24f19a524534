// Runs batch normalisation on the chip, mutated as NormMutants.cmake says, with several rounds of several blocks a strip, and
// prints what is noticed.
#include <cmath>
#include <cstdio>

#include "kernels/arrays.h"
#include "kernels/norm_resident.h"

using namespace gradus;
using namespace test;

namespace {

constexpr int64_t kRows = 700, kChannels = 264, kElements = kRows * kChannels;

struct Operands {
  Array<float> x = Array<float>::random(kElements, 1), grad = Array<float>::random(kElements, 2);
  Array<float> out{kElements}, mean{kChannels}, inv_std{kChannels}, bias{kChannels};
};

template <int Count>
ResidentPlan plan(Array<float>& scratch) {
  ResidentPlan plan{};
  bool found = resident_plan<float, Count>(kRows, kChannels, 4, 96 * 1024, plan);
  if (!found || plan.members < 2 || plan.rounds < 3 || plan.shared_steps == 0) printf("another plan than this is about\n");
  scratch = Array<float>(plan.blocks() * kResidentPartials);
  return plan;
}

bool noticed(int status, const char* what, double worst) {
  if (status != GR_OK) printf("%s\n", error_text().c_str());
  else if (!(worst < 1e-4)) printf("wrong %s\n", what);
  else return false;
  return true;
}

bool forward_noticed(Operands& o) {
  Array<float> scratch(0);
  ResidentPlan plan = ::plan<1>(scratch);
  ResidentForward<float> p{};
  p.apply.x = pointer<const float>(o.x.address());
  p.apply.y = pointer<float>(o.out.address());
  p.mean = pointer<float>(o.mean.address());
  p.inv_std = pointer<float>(o.inv_std.address());
  p.partials = pointer<float>(scratch.address());
  int status = launch_resident(p, plan, 0);
  double worst = 0;
  for (int64_t k = 0; k < kChannels; k++) {
    double mean = 0, square = 0;
    for (int64_t r = 0; r < kRows; r++) mean += o.x[r * kChannels + k] / double(kRows);
    for (int64_t r = 0; r < kRows; r++) square += std::pow(o.x[r * kChannels + k] - mean, 2) / double(kRows);
    for (int64_t r = 0; r < kRows; r++) {
      double error = std::fabs(o.out[r * kChannels + k] - (o.x[r * kChannels + k] - mean) / std::sqrt(square));
      if (!(error <= worst)) worst = error;
    }
  }
  return noticed(status, "y", worst);
}

bool backward_noticed(Operands& o) {
  Array<float> scratch(0);
  ResidentPlan plan = ::plan<2>(scratch);
  o.mean = Array<float>(kChannels, 0);
  o.inv_std = Array<float>(kChannels, 1);
  ResidentBackward<float> p{};
  p.pass.gradient.grad_y = pointer<const float>(o.grad.address());
  p.pass.x = pointer<const float>(o.x.address());
  p.pass.mean = pointer<const float>(o.mean.address());
  p.pass.inv_std = pointer<const float>(o.inv_std.address());
  p.pass.grad_x = pointer<float>(o.out.address());
  p.grad_bias = {pointer<float>(o.bias.address()), false};
  p.partials = pointer<float>(scratch.address());
  int status = launch_resident(p, plan, 0);
  double worst = 0;
  for (int64_t k = 0; k < kChannels; k++) {
    double sum = 0, along = 0;
    for (int64_t r = 0; r < kRows; r++) {
      sum += o.grad[r * kChannels + k];
      along += o.grad[r * kChannels + k] * o.x[r * kChannels + k];
    }
    for (int64_t r = 0; r < kRows; r++) {
      double expected = o.grad[r * kChannels + k] - (sum + o.x[r * kChannels + k] * along) / double(kRows);
      double error = std::fabs(o.out[r * kChannels + k] - expected);
      if (!(error <= worst)) worst = error;
    }
  }
  return noticed(status, "gradX", worst);
}

}  // namespace

int main() {
  Operands operands;
  bool bad = forward_noticed(operands);
  bad = backward_noticed(operands) || bad;
  printf("%s\n", bad ? "noticed" : "nothing noticed");
  return 0;
}
