// Functions and comparisons of two arrays and the choice between two, with broadcasting.
//
// Where the innermost axis is long and operands of floats are dense along it, or one repeats one element, its runs are worked on in
// place by functions that are not dear. Other layouts go in blocks: what is not dense within a block is first copied together.
#include "cpu/element_functions.h"
#include "cpu/element_loops.h"
#include "cpu/strides.h"
#include "gradus/elementwise.h"

namespace gradus::cpu {
namespace {

constexpr int64_t kBlock = 1024;
constexpr int64_t kShortRun = 32;

// An operand along a run: an element for each of the result's, or one for all.
template <class T, bool Dense>
struct Operand {
  const T* p;

  T operator[](int64_t i) const { return p[Dense ? i : 0]; }
  GRADUS_INLINE Floats floats(int64_t i, int lanes) const {
    if constexpr (Dense) return load_floats_some(p + i, lanes);
    else return broadcast(float(to_float(*p)));
  }
};

// What is done along a run.
template <class F, class T>
struct BinaryRun {
  using Result = T;
  static constexpr int64_t kGrain = kIsCheap<F> ? kCheapGrain : kDearGrain;

  template <class A, class B>
  static void run(A a, B b, T* out, int64_t n, bool past_cache) {
    if constexpr (kInFloats<T>) {
      write_floats(out, 0, n, kIsCheap<F> && past_cache,
                   [&](int64_t i, int lanes) { return on_floats(F{}, a.floats(i, lanes), b.floats(i, lanes)); });
    } else {
#pragma GCC ivdep
      for (int64_t i = 0; i < n; i++) out[i] = convert<T>(F{}(widen(a[i]), widen(b[i])));
    }
  }
};
// A square is exact before it is rounded, as by way of double precision.
template <class T>
struct SquareRun {
  using Result = T;
  static constexpr int64_t kGrain = kCheapGrain;

  template <class A, class B>
  static void run(A a, B, T* out, int64_t n, bool past_cache) {
    write_floats(out, 0, n, past_cache, [&](int64_t i, int lanes) {
      Floats x = a.floats(i, lanes);
      return x * x;
    });
  }
};
template <class F, class T>
struct CompareRun {
  using Result = uint8_t;
  static constexpr int64_t kGrain = kCheapGrain;

  template <class A, class B>
  static void run(A a, B b, uint8_t* out, int64_t n, bool) {
    if constexpr (kInFloats<T> && sizeof(T) == 2) {
      for (int64_t first = 0; first < n; first += kBlock) {
        float left[kBlock], right[kBlock];
        int64_t count = std::min(kBlock, n - first);
        for (int64_t i = 0; i < count; i += kLanes) {
          int lanes = lanes_left(count - i);
          store(left + i, a.floats(first + i, lanes));
          store(right + i, b.floats(first + i, lanes));
        }
        for (int64_t i = 0; i < count; i++) out[first + i] = F{}(left[i], right[i]);
      }
    } else {
#pragma GCC ivdep
      for (int64_t i = 0; i < n; i++) {
        if constexpr (kIsFloating<T>) out[i] = F{}(a[i], b[i]);
        else out[i] = F{}(widen(a[i]), widen(b[i]));
      }
    }
  }
};

// Copies the elements of an operand from begin to end together.
template <class T, int K>
void stage(const Layout<K>& layout, int k, const T* from, int64_t begin, int64_t end, T* to) {
  int64_t step = layout.stride[k][layout.rank - 1];
  layout.for_each_run(begin, end, [&](int64_t at, const int64_t* offset, int64_t count) {
    const T* p = from + offset[k];
    T* out = to + (at - begin);
    for (int64_t i = 0; i < count; i++) out[i] = p[i * step];
  });
}

// Whether operand k is dense over all axes but those of one element.
template <int K>
bool is_dense(const Layout<K>& layout, int k) {
  int64_t stride = 1;
  for (int axis = layout.rank - 1; axis >= 0; axis--) {
    if (layout.shape[axis] != 1 && layout.stride[k][axis] != stride) return false;
    stride *= layout.shape[axis];
  }
  return true;
}

template <int K>
bool has_long_runs(const Layout<K>& layout) {
  bool plain = layout.inner() >= kShortRun || layout.rank == 1;
  for (int k = 0; k < K; k++) {
    int64_t stride = layout.stride[k][layout.rank - 1];
    plain = plain && (stride == 0 || stride == 1 || layout.inner() == 1);
  }
  return plain;
}

template <class R, class T>
void run_of(const T* a, bool dense_a, const T* b, bool dense_b, typename R::Result* out, int64_t n, bool past_cache) {
  using Dense = Operand<T, true>;
  using Repeated = Operand<T, false>;
  if (dense_a && dense_b) R::run(Dense{a}, Dense{b}, out, n, past_cache);
  else if (dense_a) R::run(Dense{a}, Repeated{b}, out, n, past_cache);
  else R::run(Repeated{a}, Dense{b}, out, n, past_cache);
}

template <class R, class T>
int binary(const T* a, const T* b, typename R::Result* out, const gr_layout& given) {
  auto layout = layout_of<2>(given);
  int64_t n = layout.elements();
  if (n == 0) return GR_OK;
  layout.collapse();
  const void* result = out;
  bool past_cache = n * int64_t(sizeof(*out)) >= kBeyondCache && layout.inner() >= kBlock && result != a && result != b;
  if constexpr (kInFloats<T> && R::kGrain == kCheapGrain) {
    const int64_t step_a = layout.stride[0][layout.rank - 1], step_b = layout.stride[1][layout.rank - 1];
    if (has_long_runs(layout) && (step_a != 0 || step_b != 0)) {
      parallel_for(n, R::kGrain, [&](int64_t begin, int64_t end) {
        layout.for_each_run(begin, end, [&](int64_t at, const int64_t* offset, int64_t count) {
          run_of<R>(a + offset[0], step_a != 0, b + offset[1], step_b != 0, out + at, count, past_cache);
        });
      });
      return GR_OK;
    }
  }
  bool dense_a = is_dense(layout, 0), dense_b = is_dense(layout, 1);
  parallel_for(n, R::kGrain / 4, [&](int64_t begin, int64_t end) {
    T left[kBlock], right[kBlock];
    for (int64_t at = begin; at < end; at += kBlock) {
      int64_t count = std::min(kBlock, end - at);
      if (!dense_a) stage(layout, 0, a, at, at + count, left);
      if (!dense_b) stage(layout, 1, b, at, at + count, right);
      R::run(Operand<T, true>{dense_a ? a + at : left}, Operand<T, true>{dense_b ? b + at : right}, out + at, count, false);
    }
  });
  return GR_OK;
}

template <class T>
void choose_run(const uint8_t* condition, const T* a, const T* b, T* out, int64_t n, int64_t step_a, int64_t step_b) {
  auto run = [&](auto dense_a, auto dense_b) {
#pragma GCC ivdep
    for (int64_t i = 0; i < n; i++) {
      T yes = a[dense_a ? i : 0], no = b[dense_b ? i : 0];
      out[i] = condition[i] != 0 ? yes : no;
    }
  };
  std::true_type dense;
  std::false_type repeated;
  if (step_a != 0 && step_b != 0) run(dense, dense);
  else if (step_a != 0) run(dense, repeated);
  else if (step_b != 0) run(repeated, dense);
  else run(repeated, repeated);
}

template <class T>
int choose(const uint8_t* condition, const T* a, const T* b, T* out, const gr_layout& given) {
  auto layout = layout_of<3>(given);
  int64_t n = layout.elements();
  if (n == 0) return GR_OK;
  layout.collapse();
  int inner = layout.rank - 1;
  bool long_runs = has_long_runs(layout);
  bool dense_condition = is_dense(layout, 0), dense_a = is_dense(layout, 1), dense_b = is_dense(layout, 2);
  parallel_for(n, kCheapGrain, [&](int64_t begin, int64_t end) {
    if (long_runs) {
      layout.for_each_run(begin, end, [&](int64_t at, const int64_t* offset, int64_t count) {
        if (layout.stride[0][inner] != 0) {
          choose_run(condition + offset[0], a + offset[1], b + offset[2], out + at, count, layout.stride[1][inner],
                     layout.stride[2][inner]);
          return;
        }
        int k = condition[offset[0]] != 0 ? 1 : 2;
        const T* chosen = (k == 1 ? a : b) + offset[k];
        int64_t step = layout.stride[k][inner];
        for (int64_t i = 0; i < count; i++) out[at + i] = chosen[i * step];
      });
      return;
    }
    uint8_t conditions[kBlock];
    T left[kBlock], right[kBlock];
    for (int64_t at = begin; at < end; at += kBlock) {
      int64_t count = std::min(kBlock, end - at);
      if (!dense_condition) stage(layout, 0, condition, at, at + count, conditions);
      if (!dense_a) stage(layout, 1, a, at, at + count, left);
      if (!dense_b) stage(layout, 2, b, at, at + count, right);
      choose_run(dense_condition ? condition + at : conditions, dense_a ? a + at : left, dense_b ? b + at : right, out + at,
                 count, 1, 1);
    }
  });
  return GR_OK;
}

// Whether an operand is one 2 for all.
template <class T>
bool is_two(const T* b, const gr_layout& layout) {
  for (int axis = 0; axis < layout.rank; axis++) {
    if (layout.shape[axis] == 0 || (layout.shape[axis] > 1 && layout.strides[1][axis] != 0)) return false;
  }
  return to_float(*b) == 2;
}

}  // namespace
}  // namespace gradus::cpu

using namespace gradus;

extern "C" int gr_binary(int32_t op, int64_t a, int64_t b, int64_t out, int64_t layout, int32_t dtype, int64_t) {
  const auto& given = *pointer<const gr_layout>(layout);
  return cpu::with_any(dtype, [&](auto type) {
    using T = typename decltype(type)::type;
    auto *left = pointer<const T>(a), *right = pointer<const T>(b);
    auto* result = pointer<T>(out);
    return with_function(BinaryFunctions{}, op, [&](auto f) {
      using F = decltype(f);
      if constexpr (std::is_same_v<F, Pow> && cpu::kInFloats<T>) {
        if (cpu::is_two(right, given)) return cpu::binary<cpu::SquareRun<T>>(left, right, result, given);
      }
      return cpu::binary<cpu::BinaryRun<F, T>>(left, right, result, given);
    });
  });
}

extern "C" int gr_compare(int32_t op, int64_t a, int64_t b, int64_t out, int64_t layout, int32_t dtype, int64_t) {
  const auto& given = *pointer<const gr_layout>(layout);
  return cpu::with_any(dtype, [&](auto type) {
    using T = typename decltype(type)::type;
    return with_function(CompareFunctions{}, op, [&](auto f) {
      return cpu::binary<cpu::CompareRun<decltype(f), T>>(pointer<const T>(a), pointer<const T>(b), pointer<uint8_t>(out), given);
    });
  });
}

extern "C" int gr_where(int64_t condition, int64_t a, int64_t b, int64_t out, int64_t layout, int32_t dtype, int64_t) {
  const auto& given = *pointer<const gr_layout>(layout);
  auto run = [&](auto type) {
    using T = typename decltype(type)::type;
    return cpu::choose(pointer<const uint8_t>(condition), pointer<const T>(a), pointer<const T>(b), pointer<T>(out), given);
  };
  return cpu::with_any(dtype, [&](auto type) {
    constexpr size_t kBytes = sizeof(typename decltype(type)::type);
    if constexpr (kBytes == 8) return run(Type<uint64_t>{});
    else if constexpr (kBytes == 4) return run(Type<uint32_t>{});
    else if constexpr (kBytes == 2) return run(Type<uint16_t>{});
    else return run(Type<uint8_t>{});
  });
}
