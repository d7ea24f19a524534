// Runs the products of a Hopper convolution of float32, mutated as HopperMutants.cmake says, and prints what is noticed: 3xTF32,
// and tf32 with weights that are transposed before.
#include "kernels/conv_hopper.h"
#include "kernels/conv_hopper_launch.h"
#include "planted/conv_noticed.h"

using namespace gradus;
using namespace gradus::conv;
using namespace test;

namespace {

bool forward_noticed(const Shape& shape) {
  Sizes s(shape);
  auto x = Array<float>::random(shape.x_size(), 1), w = Array<float>::random(shape.w_size(), 2);
  Array<float> y(shape.y_size());
  std::vector<double> expected(size_t(y.size()));
  shape.each([&](int64_t a, int64_t b, int64_t c) { expected[size_t(a)] += x[b] * w[c]; });
  Forward<float> problem{};
  problem.x = pointer<const float>(x.address()), problem.w = pointer<const float>(w.address());
  problem.epilogue.result = pointer<float>(y.address());
  problem.window = forward_window(s), problem.outputs = problem.out_pitch = s.o, problem.vector = true;
  HopperGeometry g = pixel_geometry(s, problem.window, s.c, s.o, Multiply::tf32x3);
  int status = launch_conv_tile<HopperConfig<float, Multiply::tf32x3, 4>>(problem, g, hopper_plan(g, 1), {}, true, 1, 0);
  return noticed(status, wrong(y, expected, 1e-5));
}

bool input_noticed(const Shape& shape) {
  Sizes s(shape);
  auto grad_y = Array<float>::random(shape.y_size(), 3), w = Array<float>::random(shape.w_size(), 4);
  Array<float> grad_x(shape.x_size()), transposed(shape.w_size());
  std::vector<double> expected(size_t(grad_x.size()));
  shape.each([&](int64_t a, int64_t b, int64_t c) { expected[size_t(b)] += grad_y[a] * w[c]; });
  auto to = pointer<float>(transposed.address());
  int status = transpose_weights(s, pointer<const float>(w.address()), to, stream_of(0));
  if (status != GR_OK) return noticed(status, false);
  BackwardInput<float> problem{};
  problem.grad_y = pointer<const float>(grad_y.address()), problem.w = to;
  problem.epilogue.result = pointer<float>(grad_x.address());
  problem.window[0] = backward_window(s, 0, 0);
  problem.channels = problem.kept = problem.out_pitch = s.c, problem.present = s.o, problem.vector = true;
  HopperGeometry g = pixel_geometry(s, problem.window[0], s.o, s.c, Multiply::tf32);
  status = launch_conv_tile<HopperConfig<float, Multiply::tf32, 2>>(problem, g, hopper_plan(g, 1), {}, false, 1, 0);
  return noticed(status, wrong(grad_x, expected, 0.02));
}

}  // namespace

int main() {
  bool bad = forward_noticed(Shape(1, 9, 16, 4, 40, 3, 3).pad(1, 1));
  bad = input_noticed(Shape(1, 9, 8, 40, 8, 3, 3).pad(1, 1)) || bad;
  printf("%s\n", bad ? "noticed" : "nothing noticed");
  return 0;
}
