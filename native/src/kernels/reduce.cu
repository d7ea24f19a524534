// Reductions, positions of extremes, prefix sums and the check for finite numbers.
//
// Reductions: the kernels of reduction.h; one read of x.
//
// Prefix sums along rows: a lane holds a pack, a block a tile of 256 packs; a tile is a scan within packs, over a warp's lanes
// and over the warps, and begins with the sum of the tiles before. Along columns a thread goes down its column. Where there are
// few lines they are cut into parts: the parts' sums (one read), their scan, then each part begins with the sum of those before
// it (one read, one write). A sum has of the order of n / tile additions in a row, not n.
// Source: Blelloch, "Prefix sums and their applications", CMU-CS-90-190, 1990.

#include "gradus/reduce.h"

#include "kernels/reduction.h"

namespace gradus {
namespace {

// Sums over the lanes up to this one; lanes is a power of two up to 32.
template <class A>
GRADUS_DEVICE A lanes_scan(A value, int lanes, Site site = Site::here()) {
  (void)site;
  int lane = lane_index() % lanes;
  GRADUS_UNROLL
  for (int distance = 1; distance < 32; distance *= 2) {
    if (distance < lanes) {
      A before = __shfl_up_sync(kFullWarp, value, distance, lanes GRADUS_AT(site));
      if (lane >= distance) value = plus(before, value);
    }
  }
  return value;
}

// inner = 1. `start` [rows, parts] holds the sum of the parts before each, or is null where there is one part.
template <class T>
__global__ void __launch_bounds__(kLineThreads)
    cumsum_rows_kernel(const T* x, T* y, const typename StateOf<T>::type* __restrict__ start, int64_t rows, int64_t n, int lanes,
                       int64_t parts, int64_t part_packs, bool reverse, bool aligned) {
  using A = typename StateOf<T>::type;
  constexpr int kWidth = kRowPack<T>, kWarps = kLineThreads / 32;
  GRADUS_SHARED(A, warp_total, [kWarps]);
  int lane = int(threadIdx.x) % lanes, warp = int(threadIdx.x) / 32;
  int within = min(lanes, 32);
  int64_t per_block = kLineThreads / lanes, units = rows * parts;
  for (int64_t base = blockIdx.x * per_block; base < units; base += gridDim.x * per_block) {
    int64_t unit = base + int(threadIdx.x) / lanes;
    bool active = unit < units;
    RowCut<T, int64_t> row(active ? unit / parts : 0, n);
    int64_t from = unit % parts * part_packs, to = min(row.packs, from + part_packs);
    A carry = start != nullptr && active ? start[unit] : A(0);
    // All lanes of a warp go through the same rounds, whatever the rows that they belong to.
    for (int64_t round = 0; round < part_packs; round += lanes) {
      int64_t pack = reverse ? to - 1 - round - lane : from + round + lane;
      bool inside = active && pack >= from && pack < to;
      RowPack<T> values;
      A prefix[kWidth] = {}, total = 0;
      if (inside) {
        values = row.load(x, pack, aligned);
        GRADUS_UNROLL
        for (int i = 0; i < kWidth; i++) {
          total = plus(total, reverse ? widen(values.value[kWidth - 1 - i]) : widen(values.value[i]));
          prefix[i] = total;
        }
      }
      A sums = lanes_scan(total, within);
      A before = __shfl_up_sync(kFullWarp, sums, 1, within);
      if (lane_index() % within == 0) before = 0;
      A tile = __shfl_sync(kFullWarp, sums, within - 1, within);
      if (lanes > 32) {
        if (lane_index() == 0) warp_total[warp] = tile;
        __syncthreads();  // every warp's total is there before it is added up
        A all = 0, earlier = 0;
        GRADUS_UNROLL
        for (int w = 0; w < kWarps; w++) {
          if (w == warp) earlier = all;
          all = plus(all, warp_total[w]);
        }
        before = plus(earlier, before);
        tile = all;
        __syncthreads();  // the totals were read before the next round overwrites them
      }
      if (inside) {
        A offset = plus(carry, before);
        GRADUS_UNROLL
        for (int v = 0; v < kWidth; v++) values.value[v] = narrow<T>(plus(offset, reverse ? prefix[kWidth - 1 - v] : prefix[v]));
        row.store(y, pack, values, aligned);
      }
      carry = plus(carry, tile);
    }
  }
}

// inner > 1. A thread goes down a part of a column; its sum restarts every 64 elements, so that errors do not add up over n.
template <class T>
__global__ void __launch_bounds__(kLineThreads)
    cumsum_columns_kernel(const T* x, T* y, const typename StateOf<T>::type* __restrict__ start, int64_t outer, int64_t n,
                          int64_t inner, int64_t parts, int64_t part_length, bool reverse) {
  using A = typename StateOf<T>::type;
  constexpr int kRestart = 64, kAhead = 4;
  int64_t threads = outer * parts * inner;
  for (int64_t t = blockIdx.x * int64_t(kLineThreads) + threadIdx.x; t < threads; t += gridDim.x * int64_t(kLineThreads)) {
    int64_t j = t % inner, part = t / inner % parts, o = t / inner / parts;
    int64_t from = part * part_length, length = min(n, from + part_length) - from;
    int64_t at = (o * n + (reverse ? from + length - 1 : from)) * inner + j, step = reverse ? -inner : inner;
    A offset = start != nullptr ? start[(o * inner + j) * parts + part] : A(0), sum = 0;
    for (int64_t i = 0; i < length; i += kAhead) {
      if (i % kRestart == 0) {
        offset = plus(offset, sum);
        sum = 0;
      }
      A values[kAhead];
      GRADUS_UNROLL
      for (int u = 0; u < kAhead; u++) values[u] = i + u < length ? widen(x[at + u * step]) : A(0);
      GRADUS_UNROLL
      for (int u = 0; u < kAhead; u++) {
        sum = plus(sum, values[u]);
        if (i + u < length) y[at + u * step] = narrow<T>(plus(offset, sum));
      }
      at += kAhead * step;
    }
  }
}

// Replaces the sums of the parts of every line by the sums of the parts before them, a warp each.
template <class A>
__global__ void __launch_bounds__(kLineThreads) cumsum_parts_kernel(A* partial, int64_t lines, int64_t parts, bool reverse) {
  int64_t per_block = kLineThreads / 32;
  for (int64_t base = blockIdx.x * per_block; base < lines; base += gridDim.x * per_block) {
    int64_t line = base + int(threadIdx.x) / 32;
    A carry = 0;
    for (int64_t round = 0; round < parts; round += 32) {
      int64_t i = round + lane_index();
      A* part = partial + line * parts + (reverse ? parts - 1 - i : i);
      bool inside = line < lines && i < parts;
      A sums = lanes_scan(inside ? *part : A(0), 32);
      A before = __shfl_up_sync(kFullWarp, sums, 1);
      if (lane_index() == 0) before = 0;
      if (inside) *part = plus(carry, before);
      carry = plus(carry, __shfl_sync(kFullWarp, sums, 31));
    }
  }
}

template <class T>
__global__ void __launch_bounds__(kLineThreads)
    all_finite_kernel(const T* __restrict__ x, int32_t* flag, int64_t n, bool aligned) {
  RowCut<T, int64_t> row(0, n);
  bool finite = true;
  int64_t lane = blockIdx.x * int64_t(kLineThreads) + threadIdx.x, lanes = gridDim.x * int64_t(kLineThreads);
  for (int64_t pack = lane; pack < row.packs; pack += lanes) {
    RowPack<T> values = row.load(x, pack, aligned);  // 0 beyond the end
    GRADUS_UNROLL
    for (int i = 0; i < kRowPack<T>; i++) finite &= bool(isfinite(to_float(values.value[i])));
  }
  bool found = __any_sync(kFullWarp, !finite);
  if (found && lane_index() == 0) atomicOr(flag, 1);
}

// All types; BOOL as bytes.
template <class F>
int with_reducible(int32_t dtype, F&& f) {
  return with_type<float, double, bfloat16, float16, int32_t, int64_t, uint8_t>(dtype == GR_BOOL ? int32_t(GR_UINT8) : dtype, f);
}


template <class T, ReduceOp op>
int reduce(int64_t x, int64_t out, int64_t scratch, int64_t scratch_bytes, int64_t outer, int64_t n, int64_t inner, int32_t dtype,
           int64_t stream) {
  return launch_reduction("reduce", Reduction<T, op>{dtype == GR_BOOL}, pointer<const T>(x), pointer<T>(out), scratch,
                          scratch_bytes, outer, n, inner, stream);
}

// How a prefix sum is cut: at least 4 tiles a part for rows, 64 elements for columns.
struct CumsumPlan {
  RowPlan rows;
  ColumnPlan columns;
  int64_t parts;
};
template <class T>
CumsumPlan plan_cumsum(int64_t outer, int64_t n, int64_t inner) {
  if (inner == 1) {
    RowPlan rows = plan_rows<T>(outer, n);
    return {rows, {}, rows.parts};
  }
  constexpr int64_t kEnoughThreads = 1 << 17;
  int64_t parts = std::min<int64_t>({divide_up(n, 64), kEnoughThreads / (outer * inner), 1024});
  int64_t length = divide_up(n, std::max<int64_t>(1, parts));
  ColumnPlan columns = plan_columns(outer * divide_up(inner, kRowPack<T>), length, 16);
  columns.part_length = length;
  columns.parts = divide_up(n, length);
  return {{}, columns, columns.parts};
}

template <class T>
int cumsum(int64_t x_at, int64_t y_at, int64_t scratch, int64_t scratch_bytes, int64_t outer, int64_t n, int64_t inner,
           bool reverse, int64_t stream) {
  using A = typename StateOf<T>::type;
  using Sum = Reduction<T, ReduceOp::sum>;
  CumsumPlan plan = plan_cumsum<T>(outer, n, inner);
  int64_t lines = outer * inner, needed = plan.parts == 1 ? 0 : lines * plan.parts * int64_t(sizeof(A));
  if (scratch_bytes < needed) return scratch_too_small("cumsum", scratch_bytes, needed);
  const T* x = pointer<const T>(x_at);
  T* y = pointer<T>(y_at);
  A* partial = plan.parts == 1 ? nullptr : pointer<A>(scratch);
  stream_t native = stream_of(stream);
  if (partial != nullptr) {
    int status = inner == 1 ? launch_rows(Sum{}, plan.rows, x, (T*)nullptr, partial, outer, n, stream)
                            : launch_columns(Sum{}, plan.columns, x, (T*)nullptr, partial, outer, n, inner, stream);
    if (status == 0) {
      LaunchConfig config(blocks_for(lines, kLineThreads / 32), kLineThreads);
      status = GRADUS_LAUNCH((cumsum_parts_kernel<A>), config.stream(native), partial, lines, plan.parts, reverse);
    }
    if (status != 0) return finish(status);
  }
  if (inner == 1) {
    LaunchConfig config(blocks_for(outer * plan.parts, plan.rows.rows_per_block()), kLineThreads);
    bool aligned = is_aligned(x, sizeof(RowPack<T>)) && is_aligned(y, sizeof(RowPack<T>));
    return finish(GRADUS_LAUNCH((cumsum_rows_kernel<T>), config.stream(native), x, y, partial, outer, n, plan.rows.lanes,
                                plan.parts, plan.rows.part_packs, reverse, aligned));
  }
  LaunchConfig config(blocks_for(lines * plan.parts, kLineThreads), kLineThreads);
  return finish(GRADUS_LAUNCH((cumsum_columns_kernel<T>), config.stream(native), x, y, partial, outer, n, inner, plan.parts,
                              plan.columns.part_length, reverse));
}

template <class F>
int with_summable(int32_t dtype, F&& f) {
  return with_type<float, double, bfloat16, float16, int32_t, int64_t>(dtype, f);
}

}  // namespace
}  // namespace gradus

using namespace gradus;

extern "C" {

int gr_reduce(int32_t op, int64_t x, int64_t out, int64_t scratch, int64_t scratch_bytes, int64_t outer, int64_t n, int64_t inner,
              int32_t dtype, int64_t stream) {
  return with_reducible(dtype, [&](auto type) -> int {
    using T = typename decltype(type)::type;
    switch (ReduceOp(op)) {
      case ReduceOp::sum: return reduce<T, ReduceOp::sum>(x, out, scratch, scratch_bytes, outer, n, inner, dtype, stream);
      case ReduceOp::max: return reduce<T, ReduceOp::max>(x, out, scratch, scratch_bytes, outer, n, inner, dtype, stream);
      case ReduceOp::min: return reduce<T, ReduceOp::min>(x, out, scratch, scratch_bytes, outer, n, inner, dtype, stream);
      case ReduceOp::prod: return reduce<T, ReduceOp::prod>(x, out, scratch, scratch_bytes, outer, n, inner, dtype, stream);
    }
    return GR_UNSUPPORTED;
  });
}

int64_t gr_reduce_scratch(int64_t outer, int64_t n, int64_t inner, int32_t dtype, int64_t) {
  int64_t bytes = 0;
  with_reducible(dtype, [&](auto type) {
    bytes = reduction_scratch<Reduction<typename decltype(type)::type, ReduceOp::sum>>(outer, n, inner);
    return GR_OK;
  });
  return bytes;
}

int gr_argreduce(int32_t max, int64_t x, int64_t index, int64_t scratch, int64_t scratch_bytes, int64_t outer, int64_t n,
                 int64_t inner, int32_t dtype, int64_t stream) {
  if (n == 0) return GR_OK;
  return with_reducible(dtype, [&](auto type) {
    using T = typename decltype(type)::type;
    return launch_reduction("argreduce", ArgReduction<T>{max != 0}, pointer<const T>(x), pointer<int64_t>(index), scratch,
                            scratch_bytes, outer, n, inner, stream);
  });
}

int64_t gr_argreduce_scratch(int64_t outer, int64_t n, int64_t inner, int32_t dtype, int64_t) {
  int64_t bytes = 0;
  with_reducible(dtype, [&](auto type) {
    bytes = reduction_scratch<ArgReduction<typename decltype(type)::type>>(outer, n, inner);
    return GR_OK;
  });
  return bytes;
}

int gr_sum_of_squares(int64_t x, int64_t out, int64_t scratch, int64_t scratch_bytes, int64_t n, int32_t dtype, int64_t stream) {
  return with_floating(dtype, [&](auto type) {
    using T = typename decltype(type)::type;
    return launch_reduction("sumOfSquares", SumOfSquares<T>{}, pointer<const T>(x), pointer<double>(out), scratch, scratch_bytes,
                            1, n, 1, stream);
  });
}

int64_t gr_sum_of_squares_scratch(int64_t n, int32_t dtype, int64_t) {
  int64_t bytes = 0;
  with_floating(dtype, [&](auto type) {
    bytes = reduction_scratch<SumOfSquares<typename decltype(type)::type>>(1, n, 1);
    return GR_OK;
  });
  return bytes;
}

int gr_cumsum(int64_t x, int64_t y, int64_t scratch, int64_t scratch_bytes, int64_t outer, int64_t n, int64_t inner,
              int32_t reverse, int32_t dtype, int64_t stream) {
  return with_summable(dtype, [&](auto type) {
    using T = typename decltype(type)::type;
    if (outer * n * inner == 0) return int(GR_OK);
    return cumsum<T>(x, y, scratch, scratch_bytes, outer, n, inner, reverse != 0, stream);
  });
}

int64_t gr_cumsum_scratch(int64_t outer, int64_t n, int64_t inner, int32_t dtype, int64_t) {
  int64_t bytes = 0;
  if (outer * n * inner == 0) return bytes;
  with_summable(dtype, [&](auto type) {
    using T = typename decltype(type)::type;
    int64_t parts = plan_cumsum<T>(outer, n, inner).parts;
    bytes = parts == 1 ? 0 : outer * inner * parts * int64_t(sizeof(typename StateOf<T>::type));
    return GR_OK;
  });
  return bytes;
}

int gr_all_finite(int64_t x, int64_t flag, int64_t n, int32_t dtype, int64_t stream) {
  return with_floating(dtype, [&](auto type) {
    using T = typename decltype(type)::type;
    if (n == 0) return int(GR_OK);
    LaunchConfig config(blocks_for(row_packs<T>(n), 4 * kLineThreads, 2048), kLineThreads);
    bool aligned = is_aligned(pointer<const T>(x), sizeof(RowPack<T>));
    return finish(GRADUS_LAUNCH((all_finite_kernel<T>), config.stream(stream_of(stream)), pointer<const T>(x),
                                pointer<int32_t>(flag), n, aligned));
  });
}

}  // extern "C"
