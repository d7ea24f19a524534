// Softmax-cross-entropy of class labels: forward, backward, and both at once in place.
//
// A row belongs to up to 32 lanes (up to 128 packs) or to a block. Forward reads the logits once (OnlineSoftmax), and a second
// time, mostly in cache, where labels are smoothed. Backward and the fused form read a row, keep it in shared memory, and write
// its gradient from there: one read and one write, 2 s bytes per element of size s. Sums are formed per lane, then in a tree.
//
// The smoothed part is summed as distances log_sum - (x - max) >= 0: the difference of two sums would cancel.

#include "gradus/loss.h"

#include "kernels/lines.h"

namespace gradus {
namespace {

template <class T>
struct CrossEntropy {
  using A = accumulator_t<T>;
  const T* logits;
  const int64_t* target;
  const A* weight;  // or null
  A* loss;
  A* row_weight;
  int64_t rows, classes, ignored;
  A hard, soft;  // 1 - s, s / classes
  int lanes;
  bool aligned;

  GRADUS_DEVICE A weight_of(int64_t c) const { return weight == nullptr ? A(1) : weight[c]; }
};

// The label of a row.
template <class T>
struct Label {
  using A = accumulator_t<T>;
  bool counted;
  int index;  // -1 where it is no class
  A weight;   // NaN where it is no class

  GRADUS_DEVICE Label(const CrossEntropy<T>& p, int64_t row) {
    int64_t label = p.target[row];
    counted = label != p.ignored;
    index = counted && label >= 0 && label < p.classes ? int(label) : -1;
    weight = index >= 0 ? p.weight_of(index) : counted ? A(NAN) : A(0);
  }
};

// Smooth: whether labels are smoothed.
template <class T, bool Smooth>
__global__ void __launch_bounds__(kLongRowThreads, kLongRowBlocks<T>)
    cross_entropy_forward_kernel(CrossEntropy<T> p, accumulator_t<T>* log_sum) {
  using A = accumulator_t<T>;
  constexpr int kWidth = kRowPack<T>;
  int lanes = p.lanes, lane = int(threadIdx.x) % lanes;
  int64_t per_block = int(blockDim.x) / lanes;
  for (int64_t base = blockIdx.x * per_block; base < p.rows; base += gridDim.x * per_block) {
    int64_t index = base + int(threadIdx.x) / lanes;
    bool active = index < p.rows;
    RowCut<T> row(active ? index : 0, p.classes);
    if (!active) row.packs = 0;
    OnlineSoftmax<T> online;
    for_each_pack(row, p.logits, lane, lanes, p.aligned, [&](int, int pack, const RowPack<T>& raw, auto whole) {
      A v[kWidth];
      unpack_scores(row, pack, raw, whole, v);
      online.take(v);
    });
    A top = lanes_max(online.top, lanes), shift = softmax_shift(top);
    A log_of_sum = log(lanes_sum(online.about(top), lanes));
    A smooth = 0;
    if (Smooth) {
      for_each_pack(row, p.logits, lane, lanes, p.aligned, [&](int, int pack, const RowPack<T>& raw, auto whole) {
        int column = row.column(pack);
        A part = 0;
        GRADUS_UNROLL
        for (int i = 0; i < kWidth; i++) {
          A distance = log_of_sum - (to_float(raw.value[i]) - shift);
          if (decltype(whole)::value || row.holds(pack, i)) part += p.weight_of(column + i) * distance;
        }
        smooth += part;
      });
      smooth = lanes_sum(smooth, lanes);
    }
    if (!active || lane != 0) continue;
    Label<T> label(p, index);
    A distance = label.index >= 0 ? log_of_sum - (to_float(p.logits[index * p.classes + label.index]) - shift) : A(0);
    A total = p.hard * label.weight * distance;
    if (Smooth) total += p.soft * smooth;
    p.loss[index] = label.counted ? total : A(0);
    p.row_weight[index] = label.weight;
    log_sum[index] = log_of_sum;
  }
}

// Fused: finds the sum itself, and writes loss and row weight; `scale` has one value or is null. Otherwise log_sum [rows] is
// given, and `scale` has a value per row. The gradient may overwrite the logits: a lane writes only what it alone has read.
// Smoothing in the fused form needs more registers than two blocks of a multiprocessor have.
template <class T, bool Fused, bool Smooth>
__global__ void __launch_bounds__(kLongRowThreads, Fused && Smooth ? 1 : kLongRowBlocks<T>)
    cross_entropy_gradient_kernel(CrossEntropy<T> p, const accumulator_t<T>* scale, const accumulator_t<T>* log_sum,
                                  T* grad_logits, int slots) {
  using A = accumulator_t<T>;
  constexpr int kWidth = kRowPack<T>;
  GRADUS_DYNAMIC_SHARED(RowPack<T>, slot);
  RowCache<T> cache{slot, slots};
  int lanes = p.lanes, lane = int(threadIdx.x) % lanes;
  int64_t per_block = int(blockDim.x) / lanes;
  for (int64_t base = blockIdx.x * per_block; base < p.rows; base += gridDim.x * per_block) {
    int64_t index = base + int(threadIdx.x) / lanes;
    bool active = index < p.rows;
    RowCut<T> row(active ? index : 0, p.classes);
    if (!active) row.packs = 0;
    OnlineSoftmax<T> online;
    A weights = 0;
    for_each_pack(row, p.logits, lane, lanes, p.aligned, [&](int step, int pack, const RowPack<T>& raw, auto whole) {
      cache.keep(step, raw);
      A v[kWidth];
      unpack_scores(row, pack, raw, whole, v);
      if constexpr (Fused) {
        online.take(v);
      } else {
        GRADUS_UNROLL
        for (int i = 0; i < kWidth; i++) online.top = larger(online.top, v[i]);
      }
      if (Smooth && p.weight != nullptr) {
        int column = row.column(pack);
        A part = 0;
        GRADUS_UNROLL
        for (int i = 0; i < kWidth; i++) {
          if (decltype(whole)::value || row.holds(pack, i)) part += p.weight[column + i];
        }
        weights += part;
      }
    });
    A top = lanes_max(online.top, lanes), shift = softmax_shift(top);
    A log_of_sum = 0, g = 0;
    if constexpr (Fused) {
      log_of_sum = log(lanes_sum(online.about(top), lanes));
      g = scale == nullptr ? A(1) : *scale;
    } else if (active) {
      log_of_sum = log_sum[index];
      g = scale[index];
    }
    if (Smooth) weights = p.weight == nullptr ? A(p.classes) : lanes_sum(weights, lanes);
    Label<T> label(p, active ? index : 0);
    A peak = p.hard * label.weight, mass = peak + p.soft * weights, smooth = 0;
    // The lane that holds the label's logit has that part of the loss; where there is no such logit it is lane 0.
    bool owner = label.index < 0 && lane == 0;
    A loss = label.counted ? label.weight : A(0);
    for (int step = 0, pack = lane; pack < row.packs; pack += lanes, step++) {
      RowPack<T> raw = cache.load(step, row, p.logits, pack, p.aligned);
      int column = row.column(pack), place = label.index - column;
      if (Fused && label.index >= 0 && place >= 0 && place < kWidth) {
        owner = true;
        GRADUS_UNROLL
        for (int i = 0; i < kWidth; i++) loss = i == place ? peak * (log_of_sum - (to_float(raw.value[i]) - shift)) : loss;
      }
      GRADUS_UNROLL
      for (int i = 0; i < kWidth; i++) {
        A distance = log_of_sum - (to_float(raw.value[i]) - shift), q = i == place ? peak : A(0);
        if (Smooth && row.holds(pack, i)) {
          A w = p.weight_of(column + i);
          q += p.soft * w;
          if (Fused) smooth += w * distance;
        }
        raw.value[i] = from_accumulator<T>(label.counted ? g * (exponential<T>(-distance) * mass - q) : A(0));
      }
      row.store(grad_logits, pack, raw, p.aligned);
    }
    if constexpr (Fused) {
      if (Smooth) loss = (owner ? loss : A(0)) + (label.counted ? p.soft * smooth : A(0));
      if (Smooth) loss = lanes_sum(loss, lanes);
      if (active && (Smooth ? lane == 0 : owner)) {
        p.loss[index] = loss;
        p.row_weight[index] = label.weight;
      }
    }
  }
}

template <class T>
CrossEntropy<T> cross_entropy(int64_t logits, int64_t target, int64_t weight, int64_t loss, int64_t row_weight, int64_t rows,
                              int64_t classes, double smoothing, int64_t ignored, int lanes) {
  using A = accumulator_t<T>;
  const T* x = pointer<const T>(logits);
  A hard = A(1 - smoothing), soft = A(smoothing / double(classes));
  return {x, pointer<const int64_t>(target), pointer<const A>(weight), pointer<A>(loss), pointer<A>(row_weight), rows, classes,
          ignored, hard, soft, lanes, is_aligned(x, sizeof(RowPack<T>))};
}

template <class T, bool Fused, class... P>
int launch_gradient(const CachedRowPlan& plan, const CrossEntropy<T>& p, int64_t stream, P... parameters) {
  LaunchConfig config(blocks_for(p.rows, plan.rows_per_block()), unsigned(plan.threads));
  config.shared(plan.shared).stream(stream_of(stream));
  auto kernel = p.soft == 0 ? cross_entropy_gradient_kernel<T, Fused, false> : cross_entropy_gradient_kernel<T, Fused, true>;
  return finish(launch("cross_entropy_gradient_kernel", kernel, config, p, parameters..., plan.slots));
}

// f for the type of the logits, where there is something to do and a kernel for it.
template <class F>
int with_logits(int32_t dtype, int64_t rows, int64_t classes, F&& f) {
  return with_floating(dtype, [&](auto type) -> int {
    if (rows * classes == 0) return GR_OK;
    if (classes > kLongestRow) return GR_UNSUPPORTED;
    return f(type);
  });
}

}  // namespace
}  // namespace gradus

using namespace gradus;

extern "C" {

int gr_cross_entropy_forward(int64_t logits, int64_t target, int64_t weight, int64_t loss, int64_t row_weight, int64_t log_sum,
                             int64_t rows, int64_t classes, double smoothing, int64_t ignored, int32_t dtype, int64_t stream) {
  return with_logits(dtype, rows, classes, [&](auto type) {
    using T = typename decltype(type)::type;
    CachedRowPlan plan = plan_cached_rows<T>(classes, 1);
    auto p = cross_entropy<T>(logits, target, weight, loss, row_weight, rows, classes, smoothing, ignored, plan.lanes);
    auto* out = pointer<accumulator_t<T>>(log_sum);
    LaunchConfig config(blocks_for(rows, plan.rows_per_block()), unsigned(plan.threads));
    config.stream(stream_of(stream));
    return finish(p.soft == 0 ? GRADUS_LAUNCH((cross_entropy_forward_kernel<T, false>), config, p, out)
                              : GRADUS_LAUNCH((cross_entropy_forward_kernel<T, true>), config, p, out));
  });
}

int gr_cross_entropy_backward(int64_t grad_loss, int64_t logits, int64_t log_sum, int64_t target, int64_t weight,
                              int64_t grad_logits, int64_t rows, int64_t classes, double smoothing, int64_t ignored,
                              int32_t dtype, int64_t stream) {
  return with_logits(dtype, rows, classes, [&](auto type) {
    using T = typename decltype(type)::type;
    using A = accumulator_t<T>;
    CachedRowPlan plan = plan_cached_rows<T>(classes, 1);
    auto p = cross_entropy<T>(logits, target, weight, 0, 0, rows, classes, smoothing, ignored, plan.lanes);
    T* out = pointer<T>(grad_logits);
    p.aligned = p.aligned && is_aligned(out, sizeof(RowPack<T>));
    return launch_gradient<T, false>(plan, p, stream, pointer<const A>(grad_loss), pointer<const A>(log_sum), out);
  });
}

int gr_cross_entropy_fused(int64_t logits, int64_t target, int64_t weight, int64_t loss, int64_t row_weight, int64_t grad_scale,
                           int64_t rows, int64_t classes, double smoothing, int64_t ignored, int32_t dtype, int64_t stream) {
  return with_logits(dtype, rows, classes, [&](auto type) {
    using T = typename decltype(type)::type;
    using A = accumulator_t<T>;
    CachedRowPlan plan = plan_cached_rows<T>(classes, 1);
    auto p = cross_entropy<T>(logits, target, weight, loss, row_weight, rows, classes, smoothing, ignored, plan.lanes);
    const A* no_log_sum = nullptr;
    return launch_gradient<T, true>(plan, p, stream, pointer<const A>(grad_scale), no_log_sum, pointer<T>(logits));
  });
}

}  // extern "C"
