// Batch normalisation in training that reads every operand once: x (and gradY in backward) stays on the chip between the statistics
// and their use, in registers (64 KiB a multiprocessor) and shared memory (what the device gives a block, 227 KiB on Hopper).
// Memory traffic per element: forward one read, one write; backward two reads, one write; and what residuals and masks take. An
// H200 keeps 290,000 lines of 64 16-bit channels in forward, half of that in backward; narrower strips twice as many.
//
// A grid of one block a multiprocessor, launched cooperatively, which CUDA graphs take as well (cudaLaunchAttributeCooperative is
// "valid for graph nodes, launches"); norm_resident_plan.h says how it shares the work. Threads keep
// their own lines only, so nothing but the sums crosses threads: Welford's update in every thread, a fixed tree over the block, one
// partial result per block and column in scratch memory, a barrier of the grid, and every block merges those of its group in the
// same order. Partial results have two slots in turn, so that one barrier a round is enough. While a strip is written, the next one
// is on its way: by cp.async into the shared memory that has just been used, by loads into registers.
// Channels must be a multiple of eight and addresses of 16; the kernels of norm_columns.h do the rest.
// Source: the idea of persistent batch normalisation is that of NVIDIA's submissions to MLPerf Training v0.6, 2019.
#pragma once

#include "device/grid.h"
#include "device/ptx/cp_async.h"
#include "kernels/norm_columns.h"
#include "kernels/norm_resident_plan.h"

namespace gradus {
namespace {

constexpr int kResidentColumns = kResidentStripLanes * kOctet;  // of a partial result
static_assert(kResidentOctet == kOctet, "a thread's columns");

// Of a block: two slots of two values per column.
constexpr int64_t kResidentPartials = 2 * 2 * kResidentColumns;

struct ResidentPlace {
  int lane, slot, member, group;

  GRADUS_DEVICE explicit ResidentPlace(const ResidentPlan& t)
      : lane(int(threadIdx.x) % t.lanes),
        slot(int(threadIdx.x) / t.lanes),
        member(int(blockIdx.x) % t.members),
        group(int(blockIdx.x) / t.members) {}
  GRADUS_DEVICE int column(const ResidentPlan& t, int strip) const { return (strip * t.lanes + lane) * kOctet; }
  // How many lines of a strip are the thread's; those of all strips are the same.
  GRADUS_DEVICE int steps(const ResidentPlan& t, int strip) const {
    if (slot >= t.slots || strip >= t.strips || column(t, strip) >= t.channels) return 0;
    int count = t.whole + (member < t.longer);
    int last = ((count - 1) * t.members + member) * t.slots + slot;
    return count > 0 && last >= t.lines ? count - 1 : count;
  }
  // Elements are counted in 32 bits, which saves registers.
  GRADUS_DEVICE unsigned first_element(const ResidentPlan& t, int strip) const {
    return unsigned(member * t.slots + slot) * unsigned(t.channels) + unsigned(column(t, strip));
  }
};

// The lines of all of a member's threads.
GRADUS_DEVICE int lines_of_member(const ResidentPlan& t, int member) {
  int chunks = t.whole * t.members + t.longer;
  bool has_last = member == (t.longer == 0 ? t.members : t.longer) - 1;
  return (t.whole + (member < t.longer)) * t.slots - (has_last ? chunks * t.slots - t.lines : 0);
}

// What a thread keeps: of each step an octet of every operand.
template <class T, int Operands>
class Kept {
 public:
  static constexpr int kInRegisters = kRegisterSteps<T, Operands>;
  static constexpr int kFew = sizeof(T) == 2 ? 4 : 2;  // steps whose other operands are in flight together
  static constexpr int kPieces = kOctet * int(sizeof(T)) / 16;

  GRADUS_DEVICE Kept(uint4* shared, const ResidentPlan& t) : slot_(shared + threadIdx.x), part_(t.part_steps) {}

  // Where the lines of a strip come from.
  struct Source {
    const T* operand[Operands];
    unsigned first, stride;  // elements: of step 0, from step to step
    int steps;

    GRADUS_DEVICE const T* at(int o, int step) const { return operand[o] + (first + unsigned(step) * stride); }
  };

  GRADUS_DEVICE void fetch(const Source& from) {
    GRADUS_UNROLL
    for (int part = 0; part < kResidentParts; part++) {
      for (int i = 0, step = kInRegisters + part * part_; i < part_ && step < from.steps; i++, step++) fetch_shared(step, from);
      ptx::cp_async_commit();
    }
    GRADUS_UNROLL
    for (int step = 0; step < kInRegisters; step++) fetch_held(step, from);
  }

  // before(step, i) and use(step, i, octets) for the steps in order, i = step % kFew; what `before` loads is on its way for kFew
  // steps at once. In the first visit after a fetch `Landing` waits for shared memory, part by part. Where `rewrite`, what `use`
  // makes of the first operand is kept. `next` (or nullptr) is fetched into what has been used.
  template <bool Landing, class Before, class Use>
  GRADUS_DEVICE void visit(int steps, bool rewrite, const Source* next, Before before, Use use) {
    GRADUS_UNROLL
    for (int first = 0; first < kInRegisters; first += kFew) {
      GRADUS_UNROLL
      for (int i = 0; i < kFew; i++) {
        if (first + i < steps) before(first + i, i);
      }
      GRADUS_UNROLL
      for (int i = 0; i < kFew; i++) {
        if (first + i >= steps) break;
        use(first + i, i, held_[first + i]);
        if (next != nullptr) fetch_held(first + i, *next);
      }
    }
    visit_part<0, Landing>(steps, rewrite, next, before, use);
    visit_part<1, Landing>(steps, rewrite, next, before, use);
    visit_part<2, Landing>(steps, rewrite, next, before, use);
    visit_part<3, Landing>(steps, rewrite, next, before, use);
  }

 private:
  template <int Part, bool Landing, class Before, class Use>
  GRADUS_DEVICE void visit_part(int steps, bool rewrite, const Source* next, Before before, Use use) {
    static_assert(Part < kResidentParts, "parts");
    if (Landing) ptx::cp_async_wait<kResidentParts - 1 - Part>();
    int begin = kInRegisters + Part * part_, end = begin + part_ < steps ? begin + part_ : steps;
    GRADUS_ROLLED
    for (int first = begin; first < end; first += kFew) {
      GRADUS_UNROLL
      for (int i = 0; i < kFew; i++) {
        if (first + i < end) before(first + i, i);
      }
      GRADUS_UNROLL
      for (int i = 0; i < kFew; i++) {
        if (first + i >= end) break;
        Octet<T> octets[Operands];
        GRADUS_UNROLL
        for (int o = 0; o < Operands; o++) octets[o] = load_shared(first + i, o);
        use(first + i, i, octets);
        if (rewrite) store_shared(first + i, octets[0]);
        if (next != nullptr) fetch_shared(first + i, *next);
      }
    }
    if (next != nullptr) ptx::cp_async_commit();
  }

  // A thread's own pieces, those of a warp side by side: nobody else touches them, which needs no barrier.
  GRADUS_DEVICE uint4* piece(int step, int operand, int k) const {
    return slot_ + (((step - kInRegisters) * Operands + operand) * kPieces + k) * kResidentThreads;
  }
  GRADUS_DEVICE Octet<T> load_shared(int step, int operand) const {
    Octet<T> out;
    GRADUS_UNROLL
    for (int k = 0; k < kPieces; k++) {
      uint4 bits = *piece(step, operand, k);
      memcpy(&out.word[k * 4], &bits, 16);
    }
    return out;
  }
  GRADUS_DEVICE void store_shared(int step, const Octet<T>& octet) const {
    GRADUS_UNROLL
    for (int k = 0; k < kPieces; k++) {
      uint4 bits;
      memcpy(&bits, &octet.word[k * 4], 16);
      *piece(step, 0, k) = bits;
    }
  }
  GRADUS_DEVICE void fetch_shared(int step, const Source& from) {
    if (step >= from.steps) return;
    GRADUS_UNROLL
    for (int o = 0; o < Operands; o++) {
      GRADUS_UNROLL
      for (int k = 0; k < kPieces; k++) {
        ptx::cp_async<16>(piece(step, o, k), from.at(o, step) + k * (16 / int(sizeof(T))));
      }
    }
  }
  GRADUS_DEVICE void fetch_held(int step, const Source& from) {
    if (step >= from.steps) return;
    GRADUS_UNROLL
    for (int o = 0; o < Operands; o++) held_[step][o] = load_octet<true>(from.at(o, step));
  }

  Octet<T> held_[kInRegisters][Operands];
  uint4* slot_;
  int part_;
};

// Merges a pair per column over the blocks of a group; all threads get those of their eight columns. Before: each thread's pair
// over its own lines, and their number.
template <class A, class Merge>
GRADUS_DEVICE void merge_group(const ResidentPlan& t, const ResidentPlace& at, int round, A* partials, A (&first)[kOctet],
                               A (&second)[kOctet], A count, Merge merge) {
  merge_slots<kOctet, kResidentThreads>(first, second, count, t.lanes, t.slots, merge);
  A* turn = partials + int64_t(round % 2) * gridDim.x * (2 * kResidentColumns);
  if (at.slot == 0) {
    A* mine = turn + int64_t(blockIdx.x) * (2 * kResidentColumns) + at.lane * kOctet;
    GRADUS_UNROLL
    for (int j = 0; j < kOctet; j++) {
      mine[j] = first[j];
      mine[kResidentColumns + j] = second[j];
    }
  }
  if (t.members > 1) grid_sync();  // the group's partial results are there; and whoever read this slot two rounds ago is done
  else __syncthreads();            // the same, within the block
  GRADUS_SHARED(A, totals, [2][kResidentColumns]);
  int columns = t.lanes * kOctet, column = int(threadIdx.x) % columns, slot = int(threadIdx.x) / columns;
  int slots = kResidentThreads / columns;
  A one[1] = {}, other[1] = {}, lines = 0;
  if (slot < slots) {
    const A* from = turn + int64_t(at.group) * t.members * (2 * kResidentColumns) + column;
    for (int m = slot; m < t.members; m += slots) {
      A of_member = A(lines_of_member(t, m));
      merge(one[0], other[0], lines, from[int64_t(m) * (2 * kResidentColumns)],
            from[int64_t(m) * (2 * kResidentColumns) + kResidentColumns], of_member);
      lines += of_member;
    }
  }
  merge_slots<1, kResidentThreads>(one, other, lines, columns, slots, merge);
  if (slot == 0) {
    totals[0][column] = one[0];
    totals[1][column] = other[0];
  }
  __syncthreads();  // the totals are there before all take theirs; they change after the next merge's barriers only
  GRADUS_UNROLL
  for (int j = 0; j < kOctet; j++) {
    first[j] = at.slot < t.slots ? totals[0][at.lane * kOctet + j] : A(0);
    second[j] = at.slot < t.slots ? totals[1][at.lane * kOctet + j] : A(0);
  }
}

template <class T>
struct ResidentForward {
  using A = accumulator_t<T>;
  NormApply<T> apply;  // its statistics are not looked at
  A* mean;
  A* inv_std;
  WeightsOut running_mean, running_var;
  A momentum, keep, eps;
  A* partials;
};

template <class T>
__global__ void __launch_bounds__(kResidentThreads, 1) batch_norm_forward_kernel_resident(ResidentForward<T> p, ResidentPlan t) {
  using A = accumulator_t<T>;
  GRADUS_DYNAMIC_SHARED(uint4, shared);
  ResidentPlace at(t);
  Kept<T, 1> kept(shared, t);
  unsigned stride = unsigned(t.members * t.slots) * unsigned(t.channels);
  auto source = [&](int strip) {
    return typename Kept<T, 1>::Source{{p.apply.x}, at.first_element(t, strip), stride, at.steps(t, strip)};
  };
  int strip = at.group;
  kept.fetch(source(strip));
  for (int round = 0; round < t.rounds; round++, strip += t.groups) {
    int steps = at.steps(t, strip);
    A mean[kOctet] = {}, squares[kOctet] = {}, count = 0;
    kept.template visit<true>(steps, false, nullptr, [](int, int) {}, [&](int, int, Octet<T>(&in)[1]) {
      take_moments(in[0], count, mean, squares);
    });
    merge_group(t, at, round, p.partials, mean, squares, count, MergeMoments{});
    A scale[kOctet] = {}, shift[kOctet] = {};
    int channel = at.column(t, strip);
    if (steps > 0 || (at.slot == 0 && at.member == 0 && strip < t.strips && channel < t.channels)) {
      GRADUS_UNROLL
      for (int j = 0; j < kOctet; j++) {
        A inv_std = inverse_root(squares[j] / A(t.lines) + p.eps);
        scale[j] = inv_std * weight_at<T>(p.apply.weight, channel + j, A(1));
        shift[j] = weight_at<T>(p.apply.bias, channel + j, A(0));
        if (at.member == 0 && at.slot == 0) {
          p.mean[channel + j] = mean[j];
          p.inv_std[channel + j] = inv_std;
          move_running<T>(p.running_mean, channel + j, p.keep, p.momentum, mean[j]);
          move_running<T>(p.running_var, channel + j, p.keep, p.momentum, squares[j] / A(t.lines - 1));
        }
      }
    }
    auto next = source(strip + t.groups);
    unsigned first = at.first_element(t, strip);
    Octet<T> add[Kept<T, 1>::kFew];
    kept.template visit<false>(
        steps, false, &next,
        [&](int step, int i) {
          if (p.apply.residual != nullptr) add[i] = load_octet<true>(p.apply.residual + (first + unsigned(step) * stride));
        },
        [&](int step, int i, Octet<T>(&in)[1]) {
          unsigned positive;
          Octet<T> out = normalized(p.apply, in[0], add[i], mean, scale, shift, positive);
          unsigned element = first + unsigned(step) * stride;
          store_octet<true>(p.apply.y + element, out);
          if (p.apply.mask != nullptr) store_mask(p.apply.mask, element, t.lines * t.channels, positive);
        });
  }
}

template <class T>
struct ResidentBackward {
  using A = accumulator_t<T>;
  NormGradient<T> pass;  // its level and slope are not looked at
  WeightsOut grad_weight, grad_bias;
  A* partials;
};

template <class T>
__global__ void __launch_bounds__(kResidentThreads, 1) batch_norm_backward_kernel_resident(ResidentBackward<T> p, ResidentPlan t) {
  using A = accumulator_t<T>;
  GRADUS_DYNAMIC_SHARED(uint4, shared);
  ResidentPlace at(t);
  Kept<T, 2> kept(shared, t);
  const MaskedGradient<T>& gradient = p.pass.gradient;
  bool masks = gradient.mask != nullptr || gradient.y != nullptr;
  unsigned stride = unsigned(t.members * t.slots) * unsigned(t.channels);
  auto source = [&](int strip) {
    return typename Kept<T, 2>::Source{{gradient.grad_y, p.pass.x}, at.first_element(t, strip), stride, at.steps(t, strip)};
  };
  int strip = at.group;
  kept.fetch(source(strip));
  for (int round = 0; round < t.rounds; round++, strip += t.groups) {
    int steps = at.steps(t, strip), channel = at.column(t, strip);
    unsigned first = at.first_element(t, strip);
    bool writes = at.slot == 0 && at.member == 0 && strip < t.strips && channel < t.channels;  // the weights' gradients
    A sum[kOctet] = {}, along[kOctet] = {}, mean[kOctet] = {};
    if (steps > 0) {
      GRADUS_UNROLL
      for (int j = 0; j < kOctet; j++) mean[j] = p.pass.mean[channel + j];
    }
    GradientOctet<T> g[Kept<T, 2>::kFew];
    kept.template visit<true>(
        steps, masks, nullptr,
        [&](int step, int i) { load_masking<true>(gradient, first + unsigned(step) * stride, kOctet, g[i]); },
        [&](int, int i, Octet<T>(&in)[2]) {
          g[i].grad = in[0];
          in[0] = masked(gradient, g[i]);
          take_gradient(in[0], in[1], mean, sum, along);
        });
    merge_group(t, at, round, p.partials, sum, along, A(0), MergeSums{});
    GradientLine<T> line[kOctet] = {};
    if (steps > 0 || writes) {
      A per_row = A(1) / A(t.lines);
      GRADUS_UNROLL
      for (int j = 0; j < kOctet; j++) {
        A inv_std = p.pass.inv_std[channel + j];
        A slope = along[j] * inv_std;
        if (writes) {
          store_weight<T>(p.grad_bias, channel + j, sum[j]);
          store_weight<T>(p.grad_weight, channel + j, slope);
        }
        line[j].scale = inv_std * weight_at<T>(p.pass.weight, channel + j, A(1));
        line[j].lean(sum[j] * line[j].scale * per_row, slope * line[j].scale * per_row * inv_std, p.pass.mean[channel + j]);
      }
    }
    auto next = source(strip + t.groups);
    kept.template visit<false>(
        steps, false, &next, [](int, int) {},
        [&](int step, int, Octet<T>(&in)[2]) {
          unsigned element = first + unsigned(step) * stride;
          if (p.pass.grad_residual != nullptr) store_octet<true>(p.pass.grad_residual + element, in[0]);
          store_octet<true>(p.pass.grad_x + element, gradient_octet(line, in[0], in[1]));
        });
  }
}

// The plan of a matrix on the stream's device; false where there is none.
template <class T, int Operands>
bool plan_resident(int64_t rows, int64_t channels, int64_t stream, ResidentPlan& plan) {
  DeviceTraits device = device_traits(stream);
  return device.cooperative && resident_plan<T, Operands>(rows, channels, device.processors, device.shared_memory, plan);
}

template <class T, int Operands>
LaunchConfig resident_config(const ResidentPlan& plan, int64_t stream) {
  LaunchConfig config(unsigned(plan.blocks()), kResidentThreads);
  size_t step_bytes = size_t(Operands) * kResidentThreads * kOctet * sizeof(T);
  config.shared(std::max<size_t>(16, size_t(plan.shared_steps) * step_bytes)).stream(stream_of(stream));
  if (plan.members > 1) config.cooperative();
  return config;
}

template <class T>
int64_t resident_scratch(const ResidentPlan& plan) {
  return plan.blocks() * kResidentPartials * int64_t(sizeof(accumulator_t<T>));
}

template <class T>
int launch_resident(const ResidentForward<T>& p, const ResidentPlan& plan, int64_t stream) {
  return finish(GRADUS_LAUNCH((batch_norm_forward_kernel_resident<T>), (resident_config<T, 1>(plan, stream)), p, plan));
}

template <class T>
int launch_resident(const ResidentBackward<T>& p, const ResidentPlan& plan, int64_t stream) {
  return finish(GRADUS_LAUNCH((batch_norm_backward_kernel_resident<T>), (resident_config<T, 2>(plan, stream)), p, plan));
}

}  // namespace
}  // namespace gradus
