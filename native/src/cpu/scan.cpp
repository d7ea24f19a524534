// Positions of extremes, and prefix sums.
//
// A position: first the extreme itself, which vectors find quickly, then the first place that has it.
//
// Prefix sums are formed in double precision, integers in 64 bits. Where there are few lines they are cut into parts: the sums of
// the parts, then each part begins with the sum of those before it.
// Source: Blelloch, "Prefix sums and their applications", CMU-CS-90-190, 1990.
#include "cpu/reduce_lines.h"
#include "gradus/reduce.h"

namespace gradus::cpu {
namespace {

template <class S>
bool is_the_same(S a, S b) {
  return a == b || (a != a && b != b);
}

// The first element that equals the extreme, or is NaN as it is.
template <class T>
int64_t place_of(const T* x, int64_t n, state_t<T> extreme) {
  constexpr int64_t kBlock = 64;
  int64_t i = 0;
  for (; i + kBlock <= n; i += kBlock) {
    int found = 0;
    for (int64_t j = 0; j < kBlock; j++) {
      auto state = to_state(x[i + j]);
      found |= (state == extreme) | ((state != state) & (extreme != extreme));
    }
    if (found != 0) break;
  }
  while (i < n - 1 && !is_the_same(to_state(x[i]), extreme)) i++;
  return i;
}

template <class T>
struct Best {
  state_t<T> value;
  int64_t place;
};

template <class R, class T>
Best<T> best_of_row(const T* x, int64_t n, int64_t first) {
  state_t<T> extreme = reduce_row<R>(x, n);
  return {extreme, first + place_of(x, n, extreme)};
}

constexpr int64_t kArgColumns = 256;

// Going down the rows, so that what comes first stays where it is equal.
template <bool Max, class T>
void best_of_columns(const T* x, int64_t rows, int64_t stride, int64_t columns, int64_t* out) {
  using S = state_t<T>;
  using I = std::conditional_t<sizeof(S) == 4, int32_t, int64_t>;
  S best[kArgColumns];
  I place[kArgColumns];
  for (int64_t i = 0; i < columns; i++) {
    best[i] = to_state(x[i]);
    place[i] = 0;
  }
  for (int64_t row = 1; row < rows; row++) {
    const T* p = x + row * stride;
    for (int64_t i = 0; i < columns; i++) {
      S value = to_state(p[i]), old = best[i];
      bool better = (Max ? value > old : value < old) | ((value != value) & (old == old));
      best[i] = better ? value : old;
      place[i] = better ? I(row) : place[i];
    }
  }
  for (int64_t i = 0; i < columns; i++) out[i] = place[i];
}

// Rows are cut where they are few, columns are not.
LinePlan arg_plan(int64_t outer, int64_t n, int64_t inner) {
  LinePlan plan(outer, n, inner, kArgColumns);
  if (inner > 1) {
    plan.part = n;
    plan.parts = 1;
  }
  return plan;
}
template <class T>
int64_t argreduce_scratch(const LinePlan& plan) {
  return plan.parts == 1 ? 0 : plan.states() * int64_t(sizeof(Best<T>));
}

template <bool Max, class T>
int argreduce(const T* x, int64_t* index, int64_t scratch, int64_t scratch_bytes, int64_t outer, int64_t n, int64_t inner) {
  using R = Reduction<T, Max ? ReduceOp::max : ReduceOp::min>;
  LinePlan plan = arg_plan(outer, n, inner);
  int64_t needed = argreduce_scratch<T>(plan);
  if (scratch_bytes < needed) return scratch_too_small("argreduce", scratch_bytes, needed);
  auto* partial = pointer<Best<T>>(scratch);
  plan.for_each_unit([&](int64_t o, int64_t number, int64_t row, int64_t rows, int64_t column, int64_t columns) {
    const T* from = x + (o * n + row) * inner + column;
    if (inner > 1) {
      best_of_columns<Max>(from, rows, inner, columns, index + o * inner + column);
    } else if (plan.parts == 1) {
      index[o] = best_of_row<R>(from, rows, row).place;
    } else {
      partial[o * plan.parts + number] = best_of_row<R>(from, rows, row);
    }
  });
  for (int64_t o = 0; plan.parts > 1 && o < outer; o++) {
    const Best<T>* from = partial + o * plan.parts;
    Best<T> best = from[0];
    for (int64_t number = 1; number < plan.parts; number++) {
      // The combination is the later one only where that is better.
      auto extreme = R::combine(best.value, from[number].value);
      if (!is_the_same(extreme, best.value)) best = from[number];
    }
    index[o] = best.place;
  }
  return GR_OK;
}

template <class T>
using sum_t = std::conditional_t<kIsFloating<T>, double, uint64_t>;

template <class T>
T rounded(sum_t<T> x) {
  if constexpr (sizeof(T) == 2) return from_float<T>(float(x));
  else return T(x);
}

template <class T>
void cumsum_row(const T* x, T* y, int64_t n, bool reverse, sum_t<T> sum) {
  if (reverse) {
    for (int64_t i = n - 1; i >= 0; i--) y[i] = rounded<T>(sum += sum_t<T>(to_state(x[i])));
  } else {
    for (int64_t i = 0; i < n; i++) y[i] = rounded<T>(sum += sum_t<T>(to_state(x[i])));
  }
}

constexpr int64_t kScanColumns = 256;

template <class T>
void cumsum_columns(const T* x, T* y, int64_t rows, int64_t stride, int64_t columns, bool reverse, sum_t<T>* sum) {
  for (int64_t row = 0; row < rows; row++) {
    int64_t at = (reverse ? rows - 1 - row : row) * stride;
#pragma GCC ivdep
    for (int64_t i = 0; i < columns; i++) {
      sum[i] += sum_t<T>(to_state(x[at + i]));
      y[at + i] = rounded<T>(sum[i]);
    }
  }
}

// The sums of columns, or of a row.
template <class T>
void sums_of(const T* x, int64_t rows, int64_t stride, int64_t columns, sum_t<T>* sum) {
  std::fill(sum, sum + columns, sum_t<T>(0));
  if (stride == 1) {
    constexpr int kCount = 16;
    sum_t<T> lanes[kCount] = {};
    int64_t i = 0;
    for (; i + kCount <= rows; i += kCount) {
      for (int j = 0; j < kCount; j++) lanes[j] += sum_t<T>(to_state(x[i + j]));
    }
    for (; i < rows; i++) lanes[0] += sum_t<T>(to_state(x[i]));
    for (int j = 0; j < kCount; j++) sum[0] += lanes[j];
    return;
  }
  for (int64_t row = 0; row < rows; row++) {
    for (int64_t i = 0; i < columns; i++) sum[i] += sum_t<T>(to_state(x[row * stride + i]));
  }
}

int64_t cumsum_scratch(const LinePlan& plan) { return plan.parts == 1 ? 0 : plan.states() * int64_t(sizeof(double)); }

template <class T>
int cumsum(const T* x, T* y, int64_t scratch, int64_t scratch_bytes, int64_t outer, int64_t n, int64_t inner, bool reverse) {
  using S = sum_t<T>;
  LinePlan plan(outer, n, inner, kScanColumns);
  int64_t needed = cumsum_scratch(plan);
  if (scratch_bytes < needed) return scratch_too_small("cumsum", scratch_bytes, needed);
  S* partial = plan.parts == 1 ? nullptr : pointer<S>(scratch);
  if (partial != nullptr) {
    plan.for_each_unit([&](int64_t o, int64_t number, int64_t row, int64_t rows, int64_t column, int64_t columns) {
      sums_of(x + (o * n + row) * inner + column, rows, inner, columns, partial + (o * plan.parts + number) * inner + column);
    });
    // Sums of the parts before.
    for (int64_t o = 0; o < outer; o++) {
      for (int64_t i = 0; i < inner; i++) {
        S sum = 0;
        for (int64_t step = 0; step < plan.parts; step++) {
          int64_t number = reverse ? plan.parts - 1 - step : step;
          S& part = partial[(o * plan.parts + number) * inner + i];
          S own = part;
          part = sum;
          sum += own;
        }
      }
    }
  }
  plan.for_each_unit([&](int64_t o, int64_t number, int64_t row, int64_t rows, int64_t column, int64_t columns) {
    int64_t at = (o * n + row) * inner + column;
    S sum[kScanColumns] = {};
    if (partial != nullptr) memcpy(sum, partial + (o * plan.parts + number) * inner + column, size_t(columns) * sizeof(S));
    if (inner == 1) cumsum_row(x + at, y + at, rows, reverse, sum[0]);
    else cumsum_columns(x + at, y + at, rows, inner, columns, reverse, sum);
  });
  return GR_OK;
}

template <class F>
int with_reducible(int32_t dtype, F&& f) {
  return with_type<float, double, bfloat16, float16, int32_t, int64_t, uint8_t>(dtype == GR_BOOL ? int32_t(GR_UINT8) : dtype, f);
}
template <class F>
int with_summable(int32_t dtype, F&& f) {
  return with_type<float, double, bfloat16, float16, int32_t, int64_t>(dtype, f);
}

}  // namespace
}  // namespace gradus::cpu

using namespace gradus;

extern "C" {

int gr_argreduce(int32_t max, int64_t x, int64_t index, int64_t scratch, int64_t scratch_bytes, int64_t outer, int64_t n,
                 int64_t inner, int32_t dtype, int64_t) {
  if (outer * n * inner == 0) return GR_OK;
  if (inner > 1 && n > INT32_MAX) return GR_UNSUPPORTED;
  return cpu::with_reducible(dtype, [&](auto type) {
    using T = typename decltype(type)::type;
    auto* run = max != 0 ? cpu::argreduce<true, T> : cpu::argreduce<false, T>;
    return run(pointer<const T>(x), pointer<int64_t>(index), scratch, scratch_bytes, outer, n, inner);
  });
}

int64_t gr_argreduce_scratch(int64_t outer, int64_t n, int64_t inner, int32_t dtype, int64_t) {
  int64_t bytes = 0;
  cpu::with_reducible(dtype, [&](auto type) {
    bytes = cpu::argreduce_scratch<typename decltype(type)::type>(cpu::arg_plan(outer, n, inner));
    return GR_OK;
  });
  return bytes;
}

int gr_cumsum(int64_t x, int64_t y, int64_t scratch, int64_t scratch_bytes, int64_t outer, int64_t n, int64_t inner,
              int32_t reverse, int32_t dtype, int64_t) {
  return cpu::with_summable(dtype, [&](auto type) {
    using T = typename decltype(type)::type;
    if (outer * n * inner == 0) return int(GR_OK);
    return cpu::cumsum(pointer<const T>(x), pointer<T>(y), scratch, scratch_bytes, outer, n, inner, reverse != 0);
  });
}

int64_t gr_cumsum_scratch(int64_t outer, int64_t n, int64_t inner, int32_t dtype, int64_t) {
  int64_t bytes = 0;
  cpu::with_summable(dtype, [&](auto) {
    bytes = cpu::cumsum_scratch(cpu::LinePlan(outer, n, inner, cpu::kScanColumns));
    return GR_OK;
  });
  return bytes;
}

}  // extern "C"
