// Runs the products of a Hopper convolution, mutated as HopperMutants.cmake says, and prints what is noticed: more tiles than
// blocks and more slices than stages, with statistics, residue classes, parts of the pixels and a normalised image.
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

// Both products that normalise x. What channel 2's vectors would make of a made-up zero is an infinity.
bool normalised_noticed(const Shape& shape) {
  constexpr int kSplits = 2;
  Sizes s(shape);
  auto x = Array<T>::random(shape.x_size(), 7), w = Array<T>::random(shape.w_size(), 8), grad_y = Array<T>::random(shape.y_size(), 9);
  auto vectors = Array<float>::random(3 * s.c, 10);
  vectors.set(2, 0x1p120), vectors.set(s.c + 2, -0x1p20);
  for (int64_t i = 2; i < x.size(); i += s.c) x.set(i, 0x1p120);
  Array<T> z(x.size()), y(shape.y_size()), grad_w(shape.w_size());
  for (int64_t i = 0; i < x.size(); i++) {
    auto of = [&](int64_t row) { return float(vectors[row * s.c + i % s.c]); };
    z.set(i, double(std::max((float(x[i]) - of(0)) * of(1) + of(2), 0.0f)));
  }
  std::vector<double> expected_y(size_t(y.size())), expected_w(size_t(grad_w.size()));
  shape.each([&](int64_t a, int64_t b, int64_t c) {
    expected_y[size_t(a)] += z[b] * w[c];
    expected_w[size_t(c)] += grad_y[a] * z[b];
  });
  ImageNorm norm{pointer<const float>(vectors.address()), nullptr, s.c, int(s.in_pixels())};

  Normalised<Forward<T>> forward{{}, norm};
  forward.x = pointer<const T>(x.address()), forward.w = pointer<const T>(w.address());
  forward.epilogue.result = pointer<T>(y.address());
  forward.window = forward_window(s), forward.outputs = forward.out_pitch = s.o, forward.vector = true;
  HopperGeometry pixels = pixel_geometry(s, forward.window, s.c, s.o);
  int status = launch_conv_tile<Tile<1>>(forward, pixels, hopper_plan(pixels, 1), {}, true, 1, 0);
  bool bad = noticed(status, wrong(y, expected_y, 0.01));

  std::vector<float> partial(size_t(kSplits * s.weights()));
  HopperGeometry g = tap_geometry(s);
  Normalised<BackwardWeight<T>> weight{{}, norm};
  weight.x = forward.x, weight.grad_y = pointer<const T>(grad_y.address());
  weight.epilogue.result = pointer<T>(grad_w.address()), weight.partial = partial.data(), weight.window = forward.window;
  weight.channels = FastDivide(g.patches.channel_boxes.divisor() * 64), weight.splits = FastDivide(kSplits);
  weight.outputs = s.o, weight.kept = s.c, weight.weights = s.weights(), weight.vector = true;
  MatmulPlan plan{MatmulPath::hopper, kSplits, int((g.slices + 1) / kSplits), 2, 1};
  status = launch_conv_tile<Tile<2>>(weight, g, plan, {}, false, 1, 0);
  for (int64_t i = 0; i < s.weights(); i++) grad_w.set(i, double(partial[size_t(i)] + partial[size_t(s.weights() + i)]));
  return noticed(status, wrong(grad_w, expected_w, 0.01)) || bad;
}

}  // namespace

int main() {
  bool bad = forward_noticed(Shape(2, 7, 10, 8, 136, 3, 3).pad(1, 1));
  bad = input_noticed(Shape(2, 8, 9, 8, 8, 3, 3).pad(1, 1).stride(2, 2)) || bad;
  bad = weight_noticed(Shape(2, 9, 14, 8, 8, 3, 2).pad(1, 0)) || bad;
  bad = normalised_noticed(Shape(2, 7, 10, 72, 136, 1, 1)) || bad;
  printf("%s\n", bad ? "noticed" : "nothing noticed");
  return 0;
}
