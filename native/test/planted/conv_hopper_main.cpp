// Runs the products of a Hopper convolution, mutated as HopperMutants.cmake says, and prints what is noticed: more tiles than
// blocks and more slices than stages, with statistics, residue classes and parts of the pixels.
#include "kernels/conv_hopper.h"
#include "planted/conv_noticed.h"

using namespace gradus;
using namespace gradus::conv;
using namespace test;

namespace {

using T = bfloat16;
template <int kTile>
using Tile = HopperConfig<T, Multiply::tensor, kTile>;  // a row of kHopperTiles

bool forward_noticed(const Shape& shape) {
  Sizes s(shape);
  auto x = Array<T>::random(shape.x_size(), 1), w = Array<T>::random(shape.w_size(), 2);
  Array<T> y(shape.y_size());
  std::vector<double> expected(size_t(y.size()));
  shape.each([&](int64_t a, int64_t b, int64_t c) { expected[size_t(a)] += x[b] * w[c]; });
  Forward<T> problem{};
  problem.x = pointer<const T>(x.address()), problem.w = pointer<const T>(w.address());
  problem.epilogue.result = pointer<T>(y.address());
  problem.window = forward_window(s), problem.outputs = problem.out_pitch = s.o, problem.vector = true;
  HopperGeometry g = pixel_geometry(s, problem.window, s.c, s.o);
  int64_t parts = (s.out_pixels() + 63) / 64;
  std::vector<float> statistics(size_t(parts * 2 * s.o));
  int status = launch_conv_tile<Tile<1>>(problem, g, hopper_plan(g, 1), {}, true, 1, 0);
  bool by_tma = noticed(status, wrong(y, expected, 0.01));
  status = launch_conv_tile<Tile<1>>(problem, g, hopper_plan(g, 1), {statistics.data(), s.o}, false, 1, 0);
  bool is_wrong = wrong(y, expected, 0.01);
  for (int64_t part = 0; part < parts; part++) {
    for (int64_t o = 0; o < s.o; o++) {
      int64_t first = 64 * part, last = std::min<int64_t>(first + 64, s.out_pixels());
      double mean = 0, squares = 0;
      for (int64_t i = first; i < last; i++) mean += y[i * s.o + o] / double(last - first);
      for (int64_t i = first; i < last; i++) squares += (y[i * s.o + o] - mean) * (y[i * s.o + o] - mean);
      const float* found = &statistics[size_t(part * 2 * s.o + o)];
      is_wrong = is_wrong || !(std::fabs(found[0] - mean) < 1e-4) || !(std::fabs(found[s.o] - squares) < 1e-3 * squares + 1e-4);
    }
  }
  return noticed(status, is_wrong) || by_tma;
}

bool input_noticed(const Shape& shape) {
  Sizes s(shape);
  auto grad_y = Array<T>::random(shape.y_size(), 3), w = Array<T>::random(shape.w_size(), 4);
  Array<T> grad_x(shape.x_size());
  std::vector<double> expected(size_t(grad_x.size()));
  shape.each([&](int64_t a, int64_t b, int64_t c) { expected[size_t(b)] += grad_y[a] * w[c]; });
  int status = GR_OK;
  for (int i = 0; i < s.stride_h * s.stride_w && status == GR_OK; i++) {
    BackwardInput<T> problem{};
    problem.grad_y = pointer<const T>(grad_y.address()), problem.w = pointer<const T>(w.address());
    problem.epilogue.result = pointer<T>(grad_x.address());
    problem.window[0] = backward_window(s, i / s.stride_w, i % s.stride_w);
    problem.channels = problem.kept = problem.out_pitch = s.c, problem.present = s.o, problem.vector = true;
    HopperGeometry g = pixel_geometry(s, problem.window[0], s.o, s.c);
    status = launch_conv_tile<Tile<2>>(problem, g, hopper_plan(g, 1), {}, false, 1, 0);
  }
  return noticed(status, wrong(grad_x, expected, 0.01));
}

bool weight_noticed(const Shape& shape) {
  constexpr int kSplits = 2;
  Sizes s(shape);
  auto x = Array<T>::random(shape.x_size(), 5), grad_y = Array<T>::random(shape.y_size(), 6);
  Array<T> grad_w(shape.w_size());
  std::vector<double> expected(size_t(grad_w.size()));
  shape.each([&](int64_t a, int64_t b, int64_t c) { expected[size_t(c)] += grad_y[a] * x[b]; });
  std::vector<float> partial(size_t(kSplits * s.weights()));
  HopperGeometry g = tap_geometry(s);
  BackwardWeight<T> problem{};
  problem.x = pointer<const T>(x.address()), problem.grad_y = pointer<const T>(grad_y.address());
  problem.epilogue.result = pointer<T>(grad_w.address()), problem.partial = partial.data(), problem.window = forward_window(s);
  problem.channels = FastDivide(64), problem.splits = FastDivide(kSplits);
  problem.outputs = s.o, problem.kept = s.c, problem.weights = s.weights(), problem.vector = true;
  MatmulPlan plan{MatmulPath::hopper, kSplits, int((g.slices + 1) / kSplits), 2, 1};
  int status = launch_conv_tile<Tile<2>>(problem, g, plan, {}, false, 1, 0);
  for (int64_t i = 0; i < s.weights(); i++) grad_w.set(i, double(partial[size_t(i)] + partial[size_t(s.weights() + i)]));
  return noticed(status, wrong(grad_w, expected, 0.01));
}

}  // namespace

int main() {
  bool bad = forward_noticed(Shape(2, 7, 10, 8, 136, 3, 3).pad(1, 1));
  bad = input_noticed(Shape(2, 8, 9, 8, 8, 3, 3).pad(1, 1).stride(2, 2)) || bad;
  bad = weight_noticed(Shape(2, 9, 14, 8, 8, 3, 2).pad(1, 0)) || bad;
  printf("%s\n", bad ? "noticed" : "nothing noticed");
  return 0;
}
