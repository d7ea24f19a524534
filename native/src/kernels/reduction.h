// Reductions of the lines of [outer, n, inner]: what is reduced (a small class), and the kernels that do it.
//
// A reduction R has the types Element, State and Result; neutral(), lift(element, position along n) and combine(state, state)
// make the state; store() writes the result. combine() is commutative to the bit, so that butterflies give every lane the same.
//
// Each thread folds four packs at a time in a tree, so that a sum of n has of the order of n / 4096 additions in a row, and
// then lanes are folded in a tree. Traffic: every element is read once.
#pragma once

#include "kernels/lines.h"

namespace gradus {
namespace {

template <class T>
struct StateOf {
  using type = int64_t;
};
template <>
struct StateOf<float> {
  using type = float;
};
template <>
struct StateOf<double> {
  using type = double;
};
template <>
struct StateOf<bfloat16> {
  using type = float;
};
template <>
struct StateOf<float16> {
  using type = float;
};
template <class T>
constexpr bool kIsInteger = std::is_same_v<typename StateOf<T>::type, int64_t>;

template <class T>
GRADUS_DEVICE typename StateOf<T>::type widen(T x) {
  if constexpr (kIsInteger<T>) return int64_t(x);
  else return to_float(x);
}
template <class T>
GRADUS_DEVICE T narrow(typename StateOf<T>::type x) {
  if constexpr (kIsInteger<T>) return T(x);
  else return from_accumulator<T>(x);
}

// Integers wrap.
GRADUS_DEVICE int64_t plus(int64_t a, int64_t b) { return int64_t(uint64_t(a) + uint64_t(b)); }
GRADUS_DEVICE float plus(float a, float b) { return a + b; }
GRADUS_DEVICE double plus(double a, double b) { return a + b; }
GRADUS_DEVICE int64_t times(int64_t a, int64_t b) { return int64_t(uint64_t(a) * uint64_t(b)); }
GRADUS_DEVICE float times(float a, float b) { return a * b; }
GRADUS_DEVICE double times(double a, double b) { return a * b; }

// The ordinals of io.gradus.backend.ReduceOp.
enum class ReduceOp { sum, max, min, prod };

// The least or greatest value of a type, as its state.
template <class T>
GRADUS_DEVICE typename StateOf<T>::type extreme(bool greatest) {
  if constexpr (std::is_same_v<T, uint8_t>) return greatest ? 255 : 0;
  else if constexpr (std::is_same_v<T, int32_t>) return greatest ? INT32_MAX : INT32_MIN;
  else if constexpr (std::is_same_v<T, int64_t>) return greatest ? INT64_MAX : INT64_MIN;
  else return greatest ? INFINITY : -INFINITY;
}

// BOOL comes as bytes of 0 and 1, and its results are 1 where they are not 0.
template <class T, ReduceOp op>
struct Reduction {
  using Element = T;
  using State = typename StateOf<T>::type;
  using Result = T;
  bool to_bool;

  GRADUS_DEVICE State neutral() const {
    if constexpr (op == ReduceOp::sum) return 0;
    else if constexpr (op == ReduceOp::prod) return 1;
    else return extreme<T>(op == ReduceOp::min);
  }
  GRADUS_DEVICE State lift(T x, int64_t) const { return widen(x); }
  GRADUS_DEVICE State combine(State a, State b) const {
    if constexpr (op == ReduceOp::sum) return plus(a, b);
    else if constexpr (op == ReduceOp::prod) return times(a, b);
    else if constexpr (op == ReduceOp::max) return a > b || a != a ? a : b;  // a NaN stays
    else return a < b || a != a ? a : b;
  }
  GRADUS_DEVICE void store(T* out, State s) const {
    if constexpr (std::is_same_v<T, uint8_t>) *out = to_bool ? uint8_t(s != 0) : uint8_t(s);
    else *out = narrow<T>(s);
  }
};

template <class T>
struct SumOfSquares {
  using Element = T;
  using State = double;
  using Result = double;

  GRADUS_DEVICE double neutral() const { return 0; }
  GRADUS_DEVICE double lift(T x, int64_t) const {
    double wide = to_float(x);
    return wide * wide;
  }
  GRADUS_DEVICE double combine(double a, double b) const { return a + b; }
  GRADUS_DEVICE void store(double* out, double s) const { *out = s; }
};

template <class A>
struct Best {
  A value;
  int64_t index;
};
template <class A>
GRADUS_DEVICE Best<A> shuffle_xor(Best<A> best, int distance, Site site) {
  return {gradus::shuffle_xor(best.value, distance, site), gradus::shuffle_xor(best.index, distance, site)};
}

template <class T>
struct ArgReduction {
  using Element = T;
  using A = typename StateOf<T>::type;
  using State = Best<A>;
  using Result = int64_t;
  bool max;

  GRADUS_DEVICE State neutral() const { return {max ? lowest(false) : lowest(true), INT64_MAX}; }
  GRADUS_DEVICE State lift(T x, int64_t index) const { return {widen(x), index}; }
  // The first of equals, and of NaNs, which beat everything.
  GRADUS_DEVICE State combine(State a, State b) const {
    bool a_is_nan = a.value != a.value, b_is_nan = b.value != b.value;
    bool equal = a.value == b.value || (a_is_nan && b_is_nan);
    bool better = a_is_nan || (!b_is_nan && (max ? a.value > b.value : a.value < b.value));
    return (equal ? a.index < b.index : better) ? a : b;
  }
  GRADUS_DEVICE void store(int64_t* out, State s) const { *out = s.index; }

 private:
  GRADUS_DEVICE static A lowest(bool greatest) {
    if constexpr (kIsInteger<T>) return extreme<int64_t>(greatest);
    else return extreme<T>(greatest);
  }
};

// Packs that a thread has in flight. States with an index need more registers.
template <class R>
constexpr int kAhead = sizeof(typename R::State) > 8 ? 2 : 4;

// Combines N states in a tree; N is a power of two.
template <int N, class R>
GRADUS_DEVICE typename R::State fold(const R& reduction, const typename R::State* s) {
  if constexpr (N == 1) return s[0];
  else return reduction.combine(fold<N / 2>(reduction, s), fold<N / 2>(reduction, s + N / 2));
}

// A whole pack of a row.
template <class R, class T = typename R::Element>
GRADUS_DEVICE typename R::State fold_pack(const R& reduction, int64_t column, const RowPack<T>& values) {
  constexpr int kWidth = kRowPack<T>;
  typename R::State s[kWidth];
  GRADUS_UNROLL
  for (int i = 0; i < kWidth; i++) s[i] = reduction.lift(values.value[i], column + i);
  return fold<kWidth>(reduction, s);
}

// A pack of which some elements lie outside the row.
template <class R, class T = typename R::Element>
GRADUS_DEVICE typename R::State fold_edge(const R& reduction, const RowCut<T, int64_t>& row, int64_t pack, const T* x,
                                          bool aligned) {
  RowPack<T> values = row.load(x, pack, aligned);
  typename R::State state = reduction.neutral();
  GRADUS_UNROLL
  for (int i = 0; i < kRowPack<T>; i++) {
    if (row.holds(pack, i)) state = reduction.combine(state, reduction.lift(values.value[i], row.column(pack) + i));
  }
  return state;
}

// inner = 1. A unit is a part of a row; with more than one part a row, states go to `partial` [rows, parts].
template <class R, class T = typename R::Element>
__global__ void __launch_bounds__(kLineThreads, 2)
    reduce_rows_kernel(R reduction, const T* __restrict__ x, typename R::Result* __restrict__ out,
                       typename R::State* __restrict__ partial, int64_t rows, int64_t n, int lanes, int64_t parts,
                       int64_t part_packs, bool aligned) {
  using State = typename R::State;
  constexpr int kWidth = kRowPack<T>;
  int lane = int(threadIdx.x) % lanes;
  int64_t per_block = kLineThreads / lanes, units = rows * parts;
  for (int64_t base = blockIdx.x * per_block; base < units; base += gridDim.x * per_block) {
    int64_t unit = base + int(threadIdx.x) / lanes;
    State state = reduction.neutral();
    if (unit < units) {
      RowCut<T, int64_t> row(parts == 1 ? unit : unit / parts, n);
      int64_t from = parts == 1 ? 0 : unit % parts * part_packs, to = min(row.packs, from + part_packs);
      bool first_is_edge = row.packs > 0 && !row.whole(0);
      bool last_is_edge = row.packs > 1 && !row.whole(row.packs - 1);
      int64_t pack = from + (from == 0 && first_is_edge ? 1 : 0) + lane;
      int64_t whole = to - (to == row.packs && last_is_edge ? 1 : 0);
      const T* p = x + row.begin + pack * kWidth;
      int64_t column = row.column(pack), step = lanes * int64_t(kWidth);
      auto load = [&](const T* at) {
        if (aligned) return load_pack<T, kWidth>(at);
        RowPack<T> values;
        GRADUS_UNROLL
        for (int i = 0; i < kWidth; i++) values.value[i] = at[i];
        return values;
      };
      constexpr int kBatch = kAhead<R>;
      constexpr int64_t kMore = kBatch - 1;
      for (; pack + kMore * lanes < whole; pack += kBatch * int64_t(lanes), p += kBatch * step, column += kBatch * step) {
        RowPack<T> values[kBatch];
        GRADUS_UNROLL
        for (int i = 0; i < kBatch; i++) values[i] = load(p + i * step);
        State s[kBatch];
        GRADUS_UNROLL
        for (int i = 0; i < kBatch; i++) s[i] = fold_pack(reduction, column + i * step, values[i]);
        state = reduction.combine(state, fold<kBatch>(reduction, s));
      }
      for (; pack < whole; pack += lanes, p += step, column += step) {
        state = reduction.combine(state, fold_pack(reduction, column, load(p)));
      }
      if (lane == 0 && from == 0 && first_is_edge) state = reduction.combine(state, fold_edge(reduction, row, 0, x, aligned));
      if (lane == lanes - 1 && from < to && to == row.packs && last_is_edge) {
        state = reduction.combine(state, fold_edge(reduction, row, row.packs - 1, x, aligned));
      }
    }
    state = lanes_reduce(state, lanes, reduction.neutral(), [&](State a, State b) { return reduction.combine(a, b); });
    if (unit < units && lane == 0) {
      if (parts == 1) reduction.store(out + unit, state);
      else partial[unit] = state;
    }
  }
}

// inner > 1. A thread reads packs of neighbouring columns, every height-th along n; the last pack of a line of columns may be
// partial. With more than one part, states go to `partial` [outer, inner, parts].
template <class R, class T = typename R::Element>
__global__ void __launch_bounds__(kLineThreads, 2)
    reduce_columns_kernel(R reduction, const T* __restrict__ x, typename R::Result* __restrict__ out,
                          typename R::State* __restrict__ partial, int64_t outer, int64_t n, int64_t inner, int width,
                          int64_t parts, int64_t part_length, bool aligned) {
  using State = typename R::State;
  constexpr int kWidth = kRowPack<T>;
  GRADUS_SHARED(State, cell, [kWidth][kLineThreads]);
  int thread = int(threadIdx.x), tx = thread % width, ty = thread / width;
  int64_t height = kLineThreads / width, packs = (inner + kWidth - 1) / kWidth, columns = outer * packs;
  int64_t units = (columns + width - 1) / width * parts;
  for (int64_t unit = blockIdx.x; unit < units; unit += gridDim.x) {
    int64_t part = unit % parts, column = unit / parts * width + tx;
    int64_t o = column / packs, j = column % packs * kWidth;
    int count = column < columns ? int(min(int64_t(kWidth), inner - j)) : 0;
    State state[kWidth];
    GRADUS_UNROLL
    for (int v = 0; v < kWidth; v++) state[v] = reduction.neutral();
    if (count > 0) {
      auto load = [&](const T* at) {
        if (aligned) return load_pack<T, kWidth>(at);
        RowPack<T> values;
        GRADUS_UNROLL
        for (int v = 0; v < kWidth; v++) values.value[v] = v < count ? at[v] : T{};
        return values;
      };
      constexpr int kBatch = kAhead<R>;
      int64_t to = min(n, (part + 1) * part_length), i = part * part_length + ty, step = height * inner;
      const T* p = x + (o * n + i) * inner + j;
      for (; i + (kBatch - 1) * height < to; i += kBatch * height, p += kBatch * step) {
        RowPack<T> values[kBatch];
        GRADUS_UNROLL
        for (int u = 0; u < kBatch; u++) values[u] = load(p + u * step);
        GRADUS_UNROLL
        for (int v = 0; v < kWidth; v++) {
          State s[kBatch];
          GRADUS_UNROLL
          for (int u = 0; u < kBatch; u++) s[u] = reduction.lift(values[u].value[v], i + u * height);
          state[v] = reduction.combine(state[v], fold<kBatch>(reduction, s));
        }
      }
      for (; i < to; i += height, p += step) {
        RowPack<T> values = load(p);
        GRADUS_UNROLL
        for (int v = 0; v < kWidth; v++) state[v] = reduction.combine(state[v], reduction.lift(values.value[v], i));
      }
    }
    if (height > 1) {
      GRADUS_UNROLL
      for (int v = 0; v < kWidth; v++) cell[v][thread] = state[v];
      for (int reach = kLineThreads / 2; reach >= width; reach /= 2) {
        __syncthreads();  // what the upper half holds is there before the lower half takes it
        if (thread < reach) {
          GRADUS_UNROLL
          for (int v = 0; v < kWidth; v++) {
            state[v] = reduction.combine(state[v], cell[v][thread + reach]);
            cell[v][thread] = state[v];
          }
        }
      }
      __syncthreads();  // all was taken before the next unit overwrites it
    }
    if (ty == 0) {
      GRADUS_UNROLL
      for (int v = 0; v < kWidth; v++) {
        if (v >= count) break;
        int64_t output = o * inner + j + v;
        if (parts == 1) reduction.store(out + output, state[v]);
        else partial[output * parts + part] = state[v];
      }
    }
  }
}

// Combines the parts of every output, a warp each.
template <class R>
__global__ void __launch_bounds__(kLineThreads, 2)
    reduce_parts_kernel(R reduction, const typename R::State* __restrict__ partial, typename R::Result* __restrict__ out,
                        int64_t outputs, int64_t parts) {
  using State = typename R::State;
  int64_t per_block = kLineThreads / 32;
  for (int64_t base = blockIdx.x * per_block; base < outputs; base += gridDim.x * per_block) {
    int64_t output = base + int(threadIdx.x) / 32;
    State state = reduction.neutral();
    if (output < outputs) {
      for (int64_t i = lane_index(); i < parts; i += 32) state = reduction.combine(state, partial[output * parts + i]);
    }
    state = lanes_reduce(state, 32, reduction.neutral(), [&](State a, State b) { return reduction.combine(a, b); });
    if (output < outputs && lane_index() == 0) reduction.store(out + output, state);
  }
}

// Parts into which the lines are cut, so that their states need scratch memory; 1 where they are not cut.
template <class T>
int64_t reduction_parts(int64_t outer, int64_t n, int64_t inner) {
  if (inner == 1) return plan_rows<T>(outer, n).parts;
  return plan_column_parts(outer * divide_up(inner, kRowPack<T>), n, 16).parts;
}
template <class R>
int64_t reduction_scratch(int64_t outer, int64_t n, int64_t inner) {
  if (outer * inner == 0) return 0;
  int64_t parts = reduction_parts<typename R::Element>(outer, n, inner);
  return parts == 1 ? 0 : outer * inner * parts * int64_t(sizeof(typename R::State));
}

inline int scratch_too_small(const char* op, int64_t have, int64_t need) {
  return failed(GR_ERROR, std::string("[") + op + "] " + std::to_string(have) + " bytes of scratch memory were given, " +
                              std::to_string(need) + " are needed");
}

template <class R, class T = typename R::Element>
int launch_rows(const R& reduction, const RowPlan& plan, const T* x, typename R::Result* out, typename R::State* partial,
                int64_t rows, int64_t n, int64_t stream) {
  LaunchConfig config(blocks_for(rows * plan.parts, plan.rows_per_block()), kLineThreads);
  bool aligned = is_aligned(x, sizeof(RowPack<T>));
  return GRADUS_LAUNCH((reduce_rows_kernel<R>), config.stream(stream_of(stream)), reduction, x, out, partial, rows, n, plan.lanes,
                       plan.parts, plan.part_packs, aligned);
}

template <class R, class T = typename R::Element>
int launch_columns(const R& reduction, const ColumnPlan& plan, const T* x, typename R::Result* out, typename R::State* partial,
                   int64_t outer, int64_t n, int64_t inner, int64_t stream) {
  int64_t columns = outer * divide_up(inner, kRowPack<T>);
  bool aligned = is_aligned(x, sizeof(RowPack<T>)) && inner % kRowPack<T> == 0;
  LaunchConfig config(blocks_for(divide_up(columns, plan.width) * plan.parts, 1), kLineThreads);
  return GRADUS_LAUNCH((reduce_columns_kernel<R>), config.stream(stream_of(stream)), reduction, x, out, partial, outer, n, inner,
                       plan.width, plan.parts, plan.part_length, aligned);
}

template <class R, class T = typename R::Element>
int launch_reduction(const char* op, const R& reduction, const T* x, typename R::Result* out, int64_t scratch,
                     int64_t scratch_bytes, int64_t outer, int64_t n, int64_t inner, int64_t stream) {
  int64_t outputs = outer * inner;
  if (outputs == 0) return GR_OK;
  int64_t needed = reduction_scratch<R>(outer, n, inner);
  if (scratch_bytes < needed) return scratch_too_small(op, scratch_bytes, needed);
  auto* partial = pointer<typename R::State>(scratch);
  int64_t parts = reduction_parts<T>(outer, n, inner);
  int status = 0;
  if (inner == 1) {
    status = launch_rows(reduction, plan_rows<T>(outer, n), x, out, partial, outer, n, stream);
  } else {
    ColumnPlan plan = plan_column_parts(outer * divide_up(inner, kRowPack<T>), n, 16);
    status = launch_columns(reduction, plan, x, out, partial, outer, n, inner, stream);
  }
  if (status == 0 && parts > 1) {
    LaunchConfig config(blocks_for(outputs, kLineThreads / 32), kLineThreads);
    status = GRADUS_LAUNCH((reduce_parts_kernel<R>), config.stream(stream_of(stream)), reduction, partial, out, outputs, parts);
  }
  return finish(status);
}

}  // namespace
}  // namespace gradus
