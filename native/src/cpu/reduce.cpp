// Sums, extremes and products of lines, sums of squares, and the check for finite numbers. Every element is read once.
#include "gradus/reduce.h"

#include <atomic>

#include "cpu/reduce_lines.h"

namespace gradus::cpu {
namespace {

template <class T>
int64_t reduce_scratch(const LinePlan& plan) {
  return plan.parts == 1 ? 0 : plan.states() * int64_t(sizeof(state_t<T>));
}

template <class T, ReduceOp op>
int reduce(const T* x, T* out, int64_t scratch, int64_t scratch_bytes, int64_t outer, int64_t n, int64_t inner, bool to_bool) {
  using R = Reduction<T, op>;
  using S = state_t<T>;
  LinePlan plan(outer, n, inner);
  int64_t needed = reduce_scratch<T>(plan);
  if (scratch_bytes < needed) return scratch_too_small("reduce", scratch_bytes, needed);
  S* partial = pointer<S>(scratch);
  auto result = [&](S state) {
    if constexpr (std::is_same_v<T, uint8_t>) return to_bool ? T(state != 0) : T(state);
    else return from_state<T>(state);
  };
  plan.for_each_unit([&](int64_t o, int64_t number, int64_t row, int64_t rows, int64_t column, int64_t columns) {
    const T* from = x + (o * n + row) * inner + column;
    S state[kColumns];
    if (inner == 1) state[0] = reduce_row<R>(from, rows);
    else reduce_columns<R>(from, rows, inner, columns, state);
    if (plan.parts > 1) {
      std::copy(state, state + columns, partial + (o * plan.parts + number) * inner + column);
    } else {
      for (int64_t i = 0; i < columns; i++) out[o * inner + column + i] = result(state[i]);
    }
  });
  if (plan.parts == 1) return GR_OK;
  for (int64_t o = 0; o < outer; o++) {
    parallel_for(inner, kDearGrain, [&](int64_t begin, int64_t end) {
      for (int64_t first = begin; first < end; first += kColumns) {
        S state[kColumns];
        int64_t columns = std::min(kColumns, end - first);
        std::fill(state, state + columns, R::neutral());
        for (int64_t number = 0; number < plan.parts; number++) {
          const S* from = partial + (o * plan.parts + number) * inner + first;
          for (int64_t i = 0; i < columns; i++) state[i] = R::combine(state[i], from[i]);
        }
        for (int64_t i = 0; i < columns; i++) out[o * inner + first + i] = result(state[i]);
      }
    });
  }
  return GR_OK;
}

template <class T>
double sum_of_squares(const T* x, int64_t n) {
  constexpr int64_t kPiece = 64;
  double lanes[kPiece] = {}, total = 0;
  int64_t i = 0;
  for (; i + kPiece <= n; i += kPiece) {
    if constexpr (kInFloats<T>) {
      // Products of floats are exact in double precision.
      float wide[kPiece];
      for (int64_t j = 0; j < kPiece; j += kLanes) store(wide + j, load_floats(x + i + j));
      for (int64_t j = 0; j < kPiece; j++) lanes[j] += double(wide[j]) * double(wide[j]);
    } else {
      for (int64_t j = 0; j < kPiece; j++) lanes[j] += x[i + j] * x[i + j];
    }
  }
  for (; i < n; i++) total += double(to_float(x[i])) * double(to_float(x[i]));
  for (int64_t width = kPiece / 2; width > 0; width /= 2) {
    for (int64_t j = 0; j < width; j++) lanes[j] += lanes[j + width];
  }
  return total + lanes[0];
}

template <class T>
bool all_finite(const T* x, int64_t n) {
  if constexpr (kInFloats<T>) {
    Ints found = {};
    int64_t i = 0;
    for (; i < n; i += kLanes) {
      found |= Ints((as_ints(load_floats_some(x + i, lanes_left(n - i))) & 0x7F800000) == 0x7F800000);
    }
    return bits_of_mask(found) == 0;
  } else {
    bool finite = true;
    for (int64_t i = 0; i < n; i++) finite &= std::fabs(x[i]) < INFINITY;
    return finite;
  }
}

// All types; BOOL as bytes.
template <class F>
int with_reducible(int32_t dtype, F&& f) {
  return with_type<float, double, bfloat16, float16, int32_t, int64_t, uint8_t>(dtype == GR_BOOL ? int32_t(GR_UINT8) : dtype, f);
}

}  // namespace
}  // namespace gradus::cpu

using namespace gradus;

extern "C" {

int gr_reduce(int32_t op, int64_t x, int64_t out, int64_t scratch, int64_t scratch_bytes, int64_t outer, int64_t n, int64_t inner,
              int32_t dtype, int64_t) {
  return cpu::with_reducible(dtype, [&](auto type) -> int {
    using T = typename decltype(type)::type;
    using cpu::ReduceOp;
    auto run = [&](auto chosen) {
      return cpu::reduce<T, chosen()>(pointer<const T>(x), pointer<T>(out), scratch, scratch_bytes, outer, n, inner,
                                      dtype == GR_BOOL);
    };
    switch (ReduceOp(op)) {
      case ReduceOp::sum: return run(std::integral_constant<ReduceOp, ReduceOp::sum>{});
      case ReduceOp::max: return run(std::integral_constant<ReduceOp, ReduceOp::max>{});
      case ReduceOp::min: return run(std::integral_constant<ReduceOp, ReduceOp::min>{});
      case ReduceOp::prod: return run(std::integral_constant<ReduceOp, ReduceOp::prod>{});
    }
    return GR_UNSUPPORTED;
  });
}

int64_t gr_reduce_scratch(int64_t outer, int64_t n, int64_t inner, int32_t dtype, int64_t) {
  int64_t bytes = 0;
  cpu::with_reducible(dtype, [&](auto type) {
    bytes = cpu::reduce_scratch<typename decltype(type)::type>(cpu::LinePlan(outer, n, inner));
    return GR_OK;
  });
  return bytes;
}

int gr_sum_of_squares(int64_t x, int64_t out, int64_t, int64_t, int64_t n, int32_t dtype, int64_t) {
  return with_floating(dtype, [&](auto type) {
    using T = typename decltype(type)::type;
    const T* from = pointer<const T>(x);
    double partial[cpu::kMaxChunks], total = 0;
    int64_t size = cpu::chunk_size(n, cpu::kCheapGrain), count = cpu::chunk_count(n, cpu::kCheapGrain);
    cpu::parallel_chunks(count, [&](int64_t chunk) {
      partial[chunk] = cpu::sum_of_squares(from + chunk * size, std::min(size, n - chunk * size));
    });
    for (int64_t chunk = 0; chunk < count; chunk++) total += partial[chunk];
    *pointer<double>(out) = total;
    return GR_OK;
  });
}

int64_t gr_sum_of_squares_scratch(int64_t, int32_t, int64_t) { return 0; }

int gr_all_finite(int64_t x, int64_t flag, int64_t n, int32_t dtype, int64_t) {
  return with_floating(dtype, [&](auto type) {
    using T = typename decltype(type)::type;
    std::atomic<bool> finite{true};
    cpu::parallel_for(n, cpu::kCheapGrain, [&](int64_t begin, int64_t end) {
      if (!cpu::all_finite(pointer<const T>(x) + begin, end - begin)) finite.store(false, std::memory_order_relaxed);
    });
    if (!finite) *pointer<int32_t>(flag) = 1;
    return GR_OK;
  });
}

}  // extern "C"
