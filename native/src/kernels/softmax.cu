// Softmax and its logarithm, forward and backward.
//
// Rows (inner = 1) of up to 128 packs are held in the registers of up to 32 lanes: one read, one write. Longer ones get a block,
// which keeps what it reads in shared memory for its second pass, so that DRAM again sees one read and one write; forward finds
// maximum and sum in one pass (OnlineSoftmax). Columns (inner > 1): a thread goes down a column, or a part of it, twice; the
// second time mostly in cache. Sums are formed per lane, then in a tree.
//
// Bytes per element of size s: forward 2 s, backward 3 s.

#include "gradus/softmax.h"

#include "kernels/lines.h"

namespace gradus {
namespace {

// Turns a score into an element of the result.
template <class T>
struct SoftmaxOutput {
  using A = accumulator_t<T>;
  A shift, inverse, log_sum;

  GRADUS_DEVICE SoftmaxOutput(A top, A sum)
      : shift(softmax_shift(top)), inverse(sum == 0 ? A(1) : 1 / sum), log_sum(sum == 0 ? A(0) : log(sum)) {}
  GRADUS_DEVICE T of(A x, bool logarithm) const {
    return from_accumulator<T>(logarithm ? x - shift - log_sum : exponential<T>(x - shift) * inverse);
  }
};

// Backward: what a line's sum collects, and the gradient.
template <class T>
GRADUS_DEVICE accumulator_t<T> softmax_share(T grad_y, T y, bool logarithm) {
  return logarithm ? to_float(grad_y) : to_float(grad_y) * to_float(y);
}
template <class T>
GRADUS_DEVICE T softmax_gradient(T grad_y, T y, accumulator_t<T> sum, bool logarithm) {
  accumulator_t<T> g = to_float(grad_y), p = to_float(y);
  return from_accumulator<T>(logarithm ? g - exponential<T>(p) * sum : p * (g - sum));
}

template <class T, int Packs>
__global__ void __launch_bounds__(kLineThreads)
    softmax_forward_kernel_in_registers(const T* x, T* y, int64_t rows, int64_t n, int lanes, bool logarithm, bool aligned) {
  using A = accumulator_t<T>;
  constexpr int kWidth = kRowPack<T>;
  int lane = int(threadIdx.x) % lanes;
  int64_t per_block = kLineThreads / lanes;
  for (int64_t base = blockIdx.x * per_block; base < rows; base += gridDim.x * per_block) {
    int64_t index = base + int(threadIdx.x) / lanes;
    bool active = index < rows;
    RowCut<T> row(active ? index : 0, n);
    A v[Packs][kWidth], top = -INFINITY;
    RowPack<T> raw[Packs];
    GRADUS_UNROLL
    for (int p = 0; p < Packs; p++) {
      int pack = lane + p * lanes;
      if (active && pack < row.packs) raw[p] = row.load(x, pack, aligned);
    }
    GRADUS_UNROLL
    for (int p = 0; p < Packs; p++) {
      int pack = lane + p * lanes;
      bool inside = active && pack < row.packs;
      GRADUS_UNROLL
      for (int i = 0; i < kWidth; i++) {
        v[p][i] = inside && row.holds(pack, i) ? to_float(raw[p].value[i]) : A(-INFINITY);
        top = larger(top, v[p][i]);
      }
    }
    top = lanes_max(top, lanes);
    A shift = softmax_shift(top), sum = 0;
    GRADUS_UNROLL
    for (int p = 0; p < Packs; p++) {
      GRADUS_UNROLL
      for (int i = 0; i < kWidth; i++) {
        v[p][i] -= shift;
        A e = exponential<T>(v[p][i]);
        sum += e;
        if (!logarithm) v[p][i] = e;
      }
    }
    sum = lanes_sum(sum, lanes);
    SoftmaxOutput<T> output(top, sum);
    GRADUS_UNROLL
    for (int p = 0; p < Packs; p++) {
      int pack = lane + p * lanes;
      if (!active || pack >= row.packs) continue;
      GRADUS_UNROLL
      for (int i = 0; i < kWidth; i++) {
        raw[p].value[i] = from_accumulator<T>(logarithm ? v[p][i] - output.log_sum : v[p][i] * output.inverse);
      }
      row.store(y, pack, raw[p], aligned);
    }
  }
}

// A block per row.
template <class T>
__global__ void __launch_bounds__(kLongRowThreads, kLongRowBlocks<T>)
    softmax_forward_kernel_cached(const T* x, T* y, int64_t rows, int64_t n, int slots, bool logarithm, bool aligned) {
  using A = accumulator_t<T>;
  constexpr int kWidth = kRowPack<T>;
  GRADUS_DYNAMIC_SHARED(RowPack<T>, slot);
  RowCache<T> cache{slot, slots};
  int lane = int(threadIdx.x), lanes = int(blockDim.x);
  for (int64_t index = blockIdx.x; index < rows; index += gridDim.x) {
    RowCut<T> row(index, n);
    OnlineSoftmax<T> online;
    for_each_pack(row, x, lane, lanes, aligned, [&](int step, int pack, const RowPack<T>& raw, auto whole) {
      cache.keep(step, raw);
      A v[kWidth];
      unpack_scores(row, pack, raw, whole, v);
      online.take(v);
    });
    A top = lanes_max(online.top, lanes);
    SoftmaxOutput<T> output(top, lanes_sum(online.about(top), lanes));
    for (int step = 0, pack = lane; pack < row.packs; pack += lanes, step++) {
      RowPack<T> raw = cache.load(step, row, x, pack, aligned);
      GRADUS_UNROLL
      for (int i = 0; i < kWidth; i++) raw.value[i] = output.of(to_float(raw.value[i]), logarithm);
      row.store(y, pack, raw, aligned);
    }
  }
}

// Every thread of a column gets combine over them. All threads of the block must come here.
template <class A, class F>
GRADUS_DEVICE A column_reduce(A value, int width, F combine, Site site = Site::here()) {
  (void)site;
  if (width == kLineThreads) return value;
  GRADUS_SHARED(A, cell, [kLineThreads]);
  int thread = int(threadIdx.x);
  cell[thread] = value;
  for (int reach = kLineThreads / 2; reach >= width; reach /= 2) {
    __syncthreads();  // what the upper half holds is there before the lower half takes it
    if (thread < reach) cell[thread] = combine(cell[thread], cell[thread + reach]);
  }
  __syncthreads();  // the results are there before they are read
  value = cell[thread % width];
  __syncthreads();  // everybody has read before the next reduction overwrites
  return value;
}

// Elements of a column that a thread has in flight.
constexpr int kColumnAhead = 4;

template <class T>
__global__ void __launch_bounds__(kLineThreads, 2)
    softmax_forward_kernel_columns(const T* x, T* y, int64_t outer, int64_t n, int64_t inner, int width, bool logarithm) {
  using A = accumulator_t<T>;
  int64_t height = kLineThreads / width, columns = outer * inner, step = height * inner;
  int tx = int(threadIdx.x) % width, ty = int(threadIdx.x) / width;
  for (int64_t base = blockIdx.x * int64_t(width); base < columns; base += gridDim.x * int64_t(width)) {
    int64_t column = base + tx;
    int64_t length = column < columns && ty < n ? (n - ty + height - 1) / height : 0;  // elements of this thread
    int64_t start = (column / inner * n + ty) * inner + column % inner;
    OnlineSoftmax<T> online;
    for (int64_t i = 0, at = start; i < length; i += kColumnAhead, at += kColumnAhead * step) {
      A v[kColumnAhead];
      GRADUS_UNROLL
      for (int u = 0; u < kColumnAhead; u++) v[u] = i + u < length ? to_float(x[at + u * step]) : A(-INFINITY);
      online.take(v);
    }
    A top = column_reduce(online.top, width, [](A a, A b) { return larger(a, b); });
    SoftmaxOutput<T> output(top, column_reduce(online.about(top), width, [](A a, A b) { return a + b; }));
    for (int64_t i = 0, at = start; i < length; i += kColumnAhead, at += kColumnAhead * step) {
      T v[kColumnAhead];
      GRADUS_UNROLL
      for (int u = 0; u < kColumnAhead; u++) v[u] = i + u < length ? x[at + u * step] : T{};
      GRADUS_UNROLL
      for (int u = 0; u < kColumnAhead; u++) {
        if (i + u < length) y[at + u * step] = output.of(to_float(v[u]), logarithm);
      }
    }
  }
}

template <class T, int Packs>
__global__ void __launch_bounds__(kLineThreads)
    softmax_backward_kernel_in_registers(const T* grad_y, const T* y, T* grad_x, int64_t rows, int64_t n, int lanes,
                                         bool logarithm, bool aligned) {
  using A = accumulator_t<T>;
  constexpr int kWidth = kRowPack<T>;
  int lane = int(threadIdx.x) % lanes;
  int64_t per_block = kLineThreads / lanes;
  for (int64_t base = blockIdx.x * per_block; base < rows; base += gridDim.x * per_block) {
    int64_t index = base + int(threadIdx.x) / lanes;
    bool active = index < rows;
    RowCut<T> row(active ? index : 0, n);
    RowPack<T> g[Packs], p[Packs];
    A sum = 0;
    GRADUS_UNROLL
    for (int q = 0; q < Packs; q++) {
      int pack = lane + q * lanes;
      if (!active || pack >= row.packs) continue;
      g[q] = row.load(grad_y, pack, aligned);
      p[q] = row.load(y, pack, aligned);
    }
    GRADUS_UNROLL
    for (int q = 0; q < Packs; q++) {
      if (!active || lane + q * lanes >= row.packs) continue;
      GRADUS_UNROLL
      for (int i = 0; i < kWidth; i++) sum += softmax_share(g[q].value[i], p[q].value[i], logarithm);
    }
    sum = lanes_sum(sum, lanes);
    GRADUS_UNROLL
    for (int q = 0; q < Packs; q++) {
      int pack = lane + q * lanes;
      if (!active || pack >= row.packs) continue;
      GRADUS_UNROLL
      for (int i = 0; i < kWidth; i++) g[q].value[i] = softmax_gradient(g[q].value[i], p[q].value[i], sum, logarithm);
      row.store(grad_x, pack, g[q], aligned);
    }
  }
}

// A block per row.
template <class T>
__global__ void __launch_bounds__(kLongRowThreads, kLongRowBlocks<T>)
    softmax_backward_kernel_cached(const T* grad_y, const T* y, T* grad_x, int64_t rows, int64_t n, int slots, bool logarithm,
                                   bool aligned) {
  using A = accumulator_t<T>;
  constexpr int kWidth = kRowPack<T>;
  GRADUS_DYNAMIC_SHARED(RowPack<T>, slot);
  int lane = int(threadIdx.x), lanes = int(blockDim.x);
  RowCache<T> cached_grad{slot, slots}, cached_y{slot + slots * lanes, slots};
  for (int64_t index = blockIdx.x; index < rows; index += gridDim.x) {
    RowCut<T> row(index, n);
    A sum = 0;
    for_each_pack(row, grad_y, lane, lanes, aligned, [&](int step, int pack, const RowPack<T>& g, auto) {
      RowPack<T> p = row.load(y, pack, aligned);
      cached_grad.keep(step, g);
      cached_y.keep(step, p);
      A part = 0;
      GRADUS_UNROLL
      for (int i = 0; i < kWidth; i++) part += softmax_share(g.value[i], p.value[i], logarithm);
      sum += part;
    });
    sum = lanes_sum(sum, lanes);
    for (int step = 0, pack = lane; pack < row.packs; pack += lanes, step++) {
      RowPack<T> g = cached_grad.load(step, row, grad_y, pack, aligned), p = cached_y.load(step, row, y, pack, aligned);
      GRADUS_UNROLL
      for (int i = 0; i < kWidth; i++) g.value[i] = softmax_gradient(g.value[i], p.value[i], sum, logarithm);
      row.store(grad_x, pack, g, aligned);
    }
  }
}

template <class T>
__global__ void __launch_bounds__(kLineThreads)
    softmax_backward_kernel_columns(const T* grad_y, const T* y, T* grad_x, int64_t outer, int64_t n, int64_t inner, int width,
                                    bool logarithm) {
  using A = accumulator_t<T>;
  int64_t height = kLineThreads / width, columns = outer * inner, step = height * inner;
  int tx = int(threadIdx.x) % width, ty = int(threadIdx.x) / width;
  for (int64_t base = blockIdx.x * int64_t(width); base < columns; base += gridDim.x * int64_t(width)) {
    int64_t column = base + tx;
    int64_t length = column < columns && ty < n ? (n - ty + height - 1) / height : 0;
    int64_t start = (column / inner * n + ty) * inner + column % inner;
    auto load = [&](int64_t i, int64_t at, T(&g)[kColumnAhead], T(&p)[kColumnAhead]) {
      GRADUS_UNROLL
      for (int u = 0; u < kColumnAhead; u++) {
        g[u] = i + u < length ? grad_y[at + u * step] : T{};
        p[u] = i + u < length ? y[at + u * step] : T{};
      }
    };
    A sum = 0;
    for (int64_t i = 0, at = start; i < length; i += kColumnAhead, at += kColumnAhead * step) {
      T g[kColumnAhead], p[kColumnAhead];
      load(i, at, g, p);
      A part = 0;
      GRADUS_UNROLL
      for (int u = 0; u < kColumnAhead; u++) part += softmax_share(g[u], p[u], logarithm);
      sum += part;
    }
    sum = column_reduce(sum, width, [](A a, A b) { return a + b; });
    for (int64_t i = 0, at = start; i < length; i += kColumnAhead, at += kColumnAhead * step) {
      T g[kColumnAhead], p[kColumnAhead];
      load(i, at, g, p);
      GRADUS_UNROLL
      for (int u = 0; u < kColumnAhead; u++) {
        if (i + u < length) grad_x[at + u * step] = softmax_gradient(g[u], p[u], sum, logarithm);
      }
    }
  }
}

}  // namespace
}  // namespace gradus

using namespace gradus;

extern "C" {

int gr_softmax_forward(int64_t x_at, int64_t y_at, int64_t outer, int64_t n, int64_t inner, int32_t logarithm, int32_t dtype,
                       int64_t stream) {
  return with_floating(dtype, [&](auto type) {
    using T = typename decltype(type)::type;
    if (outer * n * inner == 0) return int(GR_OK);
    if (inner == 1 && n > kLongestRow) return int(GR_UNSUPPORTED);
    const T* x = pointer<const T>(x_at);
    T* y = pointer<T>(y_at);
    bool aligned = is_aligned(x, sizeof(RowPack<T>)) && is_aligned(y, sizeof(RowPack<T>));
    stream_t native = stream_of(stream);
    if (inner > 1) {
      ColumnPlan plan = plan_columns(outer * inner, n, 32);
      return finish(GRADUS_LAUNCH((softmax_forward_kernel_columns<T>),
                                  LaunchConfig(blocks_for(outer * inner, plan.width), kLineThreads).stream(native), x, y, outer,
                                  n, inner, plan.width, logarithm != 0));
    }
    int64_t packs = row_packs<T>(n);
    int lanes = row_lanes(packs);
    if (lanes == kLineThreads) {
      CachedRowPlan plan = plan_cached_rows<T>(n, 1);
      return finish(GRADUS_LAUNCH((softmax_forward_kernel_cached<T>),
                                  LaunchConfig(blocks_for(outer, 1), unsigned(plan.threads)).shared(plan.shared).stream(native),
                                  x, y, outer, n, plan.slots, logarithm != 0, aligned));
    }
    LaunchConfig config = LaunchConfig(blocks_for(outer, kLineThreads / lanes), kLineThreads).stream(native);
    auto kernel = packs <= lanes ? softmax_forward_kernel_in_registers<T, 1> : softmax_forward_kernel_in_registers<T, 4>;
    return finish(launch("softmax_forward_kernel_in_registers", kernel, config, x, y, outer, n, lanes, logarithm != 0, aligned));
  });
}

int gr_softmax_backward(int64_t grad_y_at, int64_t y_at, int64_t grad_x_at, int64_t outer, int64_t n, int64_t inner,
                        int32_t logarithm, int32_t dtype, int64_t stream) {
  return with_floating(dtype, [&](auto type) {
    using T = typename decltype(type)::type;
    if (outer * n * inner == 0) return int(GR_OK);
    if (inner == 1 && n > kLongestRow) return int(GR_UNSUPPORTED);
    const T* grad_y = pointer<const T>(grad_y_at);
    const T* y = pointer<const T>(y_at);
    T* grad_x = pointer<T>(grad_x_at);
    constexpr size_t kBytes = sizeof(RowPack<T>);
    bool aligned = is_aligned(grad_y, kBytes) && is_aligned(y, kBytes) && is_aligned(grad_x, kBytes);
    stream_t native = stream_of(stream);
    if (inner > 1) {
      ColumnPlan plan = plan_columns(outer * inner, n, 32);
      return finish(GRADUS_LAUNCH((softmax_backward_kernel_columns<T>),
                                  LaunchConfig(blocks_for(outer * inner, plan.width), kLineThreads).stream(native), grad_y, y,
                                  grad_x, outer, n, inner, plan.width, logarithm != 0));
    }
    int64_t packs = row_packs<T>(n);
    int lanes = row_lanes(packs);
    if (lanes == kLineThreads) {
      CachedRowPlan plan = plan_cached_rows<T>(n, 2);
      return finish(GRADUS_LAUNCH((softmax_backward_kernel_cached<T>),
                                  LaunchConfig(blocks_for(outer, 1), unsigned(plan.threads)).shared(plan.shared).stream(native),
                                  grad_y, y, grad_x, outer, n, plan.slots, logarithm != 0, aligned));
    }
    LaunchConfig config = LaunchConfig(blocks_for(outer, kLineThreads / lanes), kLineThreads).stream(native);
    auto kernel = packs <= lanes ? softmax_backward_kernel_in_registers<T, 1> : softmax_backward_kernel_in_registers<T, 4>;
    return finish(launch("softmax_backward_kernel_in_registers", kernel, config, grad_y, y, grad_x, outer, n, lanes,
                         logarithm != 0, aligned));
  });
}

}  // extern "C"
