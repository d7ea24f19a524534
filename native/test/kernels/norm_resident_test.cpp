// Batch normalisation that keeps its operands on the chip: that it is chosen where they fit, and right in every way to share the
// work. The emulated device has 4 multiprocessors and little shared memory, so that small matrices are already cut in strips,
// members and rounds.
#include "kernels/norm_resident_plan.h"

#include "kernels/norm_batch.h"

using namespace gradus;
using namespace test;

namespace {

constexpr int kH200 = 132;
constexpr int64_t kHopperShared = 232448;

// A plan that keeps every line once, and no more of them than there is room for.
template <class T, int Operands>
bool planned(int64_t rows, int64_t channels, int processors, int64_t shared, ResidentPlan* out = nullptr) {
  ResidentPlan p{};
  bool found = resident_plan<T, Operands>(rows, channels, processors, shared, p);
  if (found) {
    CHECK(p.blocks() <= processors && p.groups * p.rounds >= p.strips);
    CHECK(int64_t(p.strips) * p.lanes * kResidentOctet >= channels && p.lanes * p.slots <= kResidentThreads);
    int64_t chunks = int64_t(p.whole) * p.members + p.longer;
    CHECK(chunks * p.slots >= rows && (chunks - 1) * p.slots < rows);
    CHECK_EQUAL(p.steps, p.whole + (p.longer != 0));
    int in_registers = kRegisterSteps<T, Operands>;
    CHECK(p.steps <= in_registers + p.shared_steps);
    int64_t step_bytes = int64_t(kResidentThreads) * kResidentOctet * int64_t(sizeof(T)) * Operands;
    CHECK(p.shared_steps * step_bytes + kResidentOverhead <= shared);
  }
  if (out != nullptr) *out = p;
  return found;
}

TEST(batch_norm_resident_plans) {
  // Layers of ResNet-50 at a batch of 256 on an H200: a strip of 64 channels has 25.7 MB at 28 x 28, four times that at 56 x 56.
  for (int64_t channels : {128, 256, 512, 1024, 2048}) {
    int64_t side = channels >= 512 ? 7 : channels == 256 ? 14 : 28;
    CHECK((planned<bfloat16, 1>(256 * side * side, channels, kH200, kHopperShared)));
  }
  CHECK((planned<bfloat16, 1>(256 * 28 * 28, 512, kH200, kHopperShared)));
  CHECK((planned<bfloat16, 2>(256 * 14 * 14, 1024, kH200, kHopperShared)));
  CHECK((planned<float, 2>(256 * 7 * 7, 2048, kH200, kHopperShared)));
  CHECK(!(planned<bfloat16, 1>(256 * 56 * 56, 64, kH200, kHopperShared)));
  ResidentPlan p;
  CHECK((planned<bfloat16, 1>(400000, 64, kH200, kHopperShared, &p)));
  CHECK_EQUAL(p.lanes, 4);  // too many lines for strips of 64 channels
  CHECK(!(planned<double, 1>(100, 64, kH200, kHopperShared)));
  CHECK(!(planned<float, 1>(100, 12, kH200, kHopperShared)));
  for (int64_t rows : {2, 63, 64, 65, 1000, 5000, 33333}) {
    for (int64_t channels : {8, 24, 40, 64, 72, 200, 520}) {
      planned<bfloat16, 1>(rows, channels, 4, 98304);
      planned<float, 2>(rows, channels, 4, 98304);
      planned<float16, 2>(rows, channels, kH200, kHopperShared);
      planned<float, 1>(rows, channels, 1, 49152);
    }
  }
}

#if !defined(__CUDACC__)
// The emulated device's plan has the members and rounds that a case is there for, and one kernel does it all.
template <class T, int Operands, class F>
void check_chosen(const BatchCase& c, int members, int rounds, int lanes, F&& run) {
  ResidentPlan p;
  CHECK((planned<T, Operands>(c.rows, c.channels, emulator::kProcessors, emulator::kSharedMemory, &p)));
  CHECK_EQUAL(p.members, members);
  CHECK_EQUAL(p.rounds, rounds);
  CHECK_EQUAL(p.lanes, lanes);
  uint64_t before = emulator::statistics().launches;
  run();
  CHECK_EQUAL(emulator::statistics().launches - before, uint64_t(1));
}
#else
template <class T, int Operands, class F>
void check_chosen(const BatchCase&, int, int, int, F&& run) {
  run();
}
#endif

template <class T, class W>
void check_forward(BatchCase c, int members, int rounds, int lanes) {
  check_chosen<T, 1>(c, members, rounds, lanes, [&] { check_batch_forward<T, W>(c); });
}

template <class T, class W>
void check_backward(BatchCase c, By by, int members, int rounds, int lanes, bool in_place = false) {
  check_chosen<T, 2>(c, members, rounds, lanes, [&] { check_batch_backward<T, W>(c, by, true, c.residual, in_place); });
}

BatchCase plain(int64_t rows, int64_t channels) { return {rows, channels}; }
BatchCase fused(int64_t rows, int64_t channels) {
  BatchCase c{rows, channels};
  c.relu = c.residual = c.mask = true;
  return c;
}

TEST(batch_norm_resident_forward) {
  check_forward<bfloat16, float>(plain(700, 64), 4, 1, 8);       // registers only, members with unequal shares
  check_forward<float16, float16>(fused(700, 264), 1, 2, 7);     // each block its strips, the last one narrower
  check_forward<float, float>(fused(700, 264), 2, 3, 7);         // a barrier each round; a group without a strip in the last
  check_forward<float, float>(fused(600, 72), 2, 1, 5);          // two groups side by side
  check_forward<float, float>(plain(2100, 32), 4, 1, 4);
  check_forward<bfloat16, bfloat16>(plain(4400, 64), 4, 2, 4);   // strips of half the width
}

TEST(batch_norm_resident_backward) {
  check_backward<bfloat16, float>(plain(700, 64), By::nothing, 4, 1, 8);
  check_backward<float16, float16>(fused(250, 264), By::bits, 1, 2, 7);
  check_backward<bfloat16, float>(fused(700, 264), By::bits, 2, 3, 7);
  check_backward<bfloat16, float>(fused(700, 264), By::output, 2, 3, 7);
  check_backward<float, float>(fused(600, 72), By::output, 2, 1, 5);
  check_backward<float, float>(plain(600, 72), By::bits, 2, 1, 5, true);
  check_backward<bfloat16, bfloat16>(fused(2100, 64), By::bits, 4, 2, 4);
}

// The order of threads and blocks changes no bit.
TEST(batch_norm_resident_same_bits) {
  constexpr int64_t kRows = 700, kChannels = 72, kElements = kRows * kChannels;
  emulator::Options before = emulator::options();
  std::vector<double> first;
  for (emulator::Order order : {emulator::Order::forward, emulator::Order::reverse, emulator::Order::random}) {
    emulator::options().order = order;
    emulator::options().seed = 7;
    Operand<bfloat16> x(kElements, true, 0, 1), grad_y(kElements, true, 0, 2), y(kElements, true, 0, 3),
        grad_x(kElements, true, 0, 4);
    Operand<float> grad_weight(kChannels, true, 0, 5), grad_bias(kChannels, true, 0, 6);
    Array<float> mean(kChannels), inv_std(kChannels);
    ScratchBytes scratch(std::max(gr_batch_norm_forward_scratch(kRows, kChannels, GR_BFLOAT16, 0),
                                  gr_batch_norm_backward_scratch(kRows, kChannels, GR_BFLOAT16, 0)));
    CALL(gr_batch_norm_forward(x.address(), 0, 0, 0, y.address(), 0, mean.address(), inv_std.address(), 0, 0, scratch.address(),
                               scratch.bytes(), kRows, kChannels, 0.1, 1e-5, GR_ACTIVATION_NONE, GR_BFLOAT16, GR_FLOAT32,
                               GR_FLOAT32, GR_FLOAT32, 0));
    CALL(gr_batch_norm_backward(grad_y.address(), x.address(), 0, 0, mean.address(), inv_std.address(), 0, grad_x.address(),
                                grad_weight.address(), grad_bias.address(), 0, scratch.address(), scratch.bytes(), kRows,
                                kChannels, 1, GR_BFLOAT16, GR_FLOAT32, GR_FLOAT32, 0));
    std::vector<double> all;
    for (int64_t k = 0; k < kChannels; k++) {
      for (double v : {mean[k], inv_std[k], grad_weight[k], grad_bias[k]}) all.push_back(v);
    }
    for (int64_t i = 0; i < kElements; i++) {
      all.push_back(y[i]);
      all.push_back(grad_x[i]);
    }
    if (first.empty()) first = all;
    CHECK(first == all);
  }
  emulator::options() = before;
}

}  // namespace
