// Functions of one array.
#include "cpu/element_functions.h"
#include "cpu/element_loops.h"
#include "gradus/elementwise.h"

namespace gradus::cpu {
namespace {

template <class F, class T>
void unary(const T* x, T* y, int64_t n) {
  bool past_cache = kIsCheap<F> && x != y && n * int64_t(sizeof(T)) >= kBeyondCache;
  parallel_for(n, kIsCheap<F> && kInFloats<T> ? kCheapGrain : kDearGrain, [&](int64_t begin, int64_t end) {
    if constexpr (kInFloats<T>) {
      write_floats(y, begin, end, past_cache, [&](int64_t i, int lanes) {
        return on_floats(F{}, load_floats_some(x + i, lanes));
      });
    } else {
      for (int64_t i = begin; i < end; i++) y[i] = convert<T>(F{}(widen(x[i])));
    }
  });
}

}  // namespace
}  // namespace gradus::cpu

using namespace gradus;

extern "C" int gr_unary(int32_t op, int64_t x, int64_t y, int64_t n, int32_t dtype, int64_t) {
  return cpu::with_any(dtype, [&](auto type) {
    using T = typename decltype(type)::type;
    return with_function(UnaryFunctions{}, op, [&](auto f) -> int {
      using F = decltype(f);
      if constexpr (!kIsFloating<T> && !F::on_integers) {
        return GR_UNSUPPORTED;
      } else {
        cpu::unary<F>(pointer<const T>(x), pointer<T>(y), n);
        return GR_OK;
      }
    });
  });
}
