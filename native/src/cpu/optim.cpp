// Optimizer steps in one pass over memory: parameters, states, gradient, average and 16-bit copy of a vector at a time.
#include "gradus/optim.h"

#include <algorithm>

#include "cpu/optim_rules.h"
#include "cpu/parallel.h"
#include "plugin/handle.h"
#include "plugin/types.h"

namespace gradus::cpu {
namespace {

constexpr int kMaxStates = 3;
constexpr int64_t kGrain = 1 << 13;

// The operands of a step. null: absent.
template <class T>
struct Operands {
  const void* grad;
  T* param;
  T* state[kMaxStates];
  T* ema;
  void* half_copy;
  T factor;  // of gradients
  T ema_kept, ema_share;
};

// The 16-bit copy counts where it is not what the parameter rounds to.
template <class T, class H>
GRADUS_INLINE void adopt(const H* half, int64_t at, int lanes, Vec<T>& param) {
  if constexpr (sizeof(T) == 4) {
    H rounded[kLanes] = {};
    store_floats(rounded, param);
    Floats set = load_floats_some(half + at, lanes);
    // Values are compared, not bits: a NaN that somebody set counts, whatever the parameter.
    param = select(set == load_floats(rounded), param, set);
  } else {
    for (int i = 0; i < lanes; i++) {
      float set = to_float(half[at + i]);
      if (set != to_float(from_float<H>(float(param[i])))) param[i] = T(set);
    }
  }
}

template <class T, class H>
GRADUS_INLINE void store_half(H* half, Vec<T> param, int lanes) {
  if constexpr (sizeof(T) == 4) {
    store_floats_some(half, param, lanes);
  } else {
    for (int i = 0; i < lanes; i++) half[i] = from_float<H>(float(param[i]));
  }
}

template <class T, class G>
GRADUS_INLINE Vec<T> load_gradient(const G* grad, int lanes) {
  if constexpr (sizeof(T) == 4 || sizeof(G) == 8) {
    return load_wide_some(grad, lanes);
  } else {
    Vec<T> out{};
    for (int i = 0; i < lanes; i++) out[i] = T(to_float(grad[i]));
    return out;
  }
}

// H is void where there is no 16-bit copy.
template <class G, class H, bool Adopt, class T, class Rule>
void update_range(const Rule& given, const Operands<T>& operands, double lr, double weight_decay, int64_t begin, int64_t end) {
  const Rule rule = given;  // known not to change in the loop
  const Operands<T> op = operands;
  const Decay<T> decay{T(weight_decay), T(1 - lr * weight_decay)};
  auto update = [&](int64_t at, int lanes) __attribute__((always_inline)) {
    Vec<T> param = load_wide_some(op.param + at, lanes), state[Rule::kStates] = {};
    for (int k = 0; k < Rule::kStates; k++) {
      if (op.state[k] != nullptr) state[k] = load_wide_some(op.state[k] + at, lanes);
    }
    Vec<T> grad = load_gradient<T>(static_cast<const G*>(op.grad) + at, lanes) * op.factor;
    if constexpr (Adopt) adopt<T>(static_cast<const H*>(op.half_copy), at, lanes, param);
    param = rule.update(decay, grad, param, state);
    store_wide_some(op.param + at, param, lanes);
    for (int k = 0; k < Rule::kStates; k++) {
      if (op.state[k] != nullptr) store_wide_some(op.state[k] + at, state[k], lanes);
    }
    if (op.ema != nullptr) {
      Vec<T> ema = load_wide_some(op.ema + at, lanes);
      store_wide_some(op.ema + at, op.ema_kept * ema + op.ema_share * param, lanes);
    }
    if constexpr (!std::is_void_v<H>) store_half<T>(static_cast<H*>(op.half_copy) + at, param, lanes);
  };
  constexpr int L = lanes_of<T>;
  int64_t at = begin;
  for (; at + L <= end; at += L) update(at, L);
  if (at < end) update(at, int(end - at));
}

// The first chunk that ends behind an element.
int64_t first_chunk(const gr_chunk* chunks, int64_t count, int64_t element) {
  return std::partition_point(chunks, chunks + count, [&](const gr_chunk& c) { return c.begin + c.length <= element; }) - chunks;
}

struct Call {
  int64_t grad, param, state[kMaxStates], lr, step, n;
  double weight_decay;
  int64_t extras;
  int32_t dtype;
};

bool is_half(int64_t dtype) { return dtype == GR_BFLOAT16 || dtype == GR_FLOAT16; }

template <class T, class Rule>
int run_rule(const Call& call, const gr_optim_extras& extras, double lr, const Rule& rule) {
  double scale = extras.grad_scale == 0 ? 1 : double(*pointer<const float>(extras.grad_scale));
  if (extras.clip != 0) scale *= double(*pointer<const float>(extras.clip));
  Operands<T> op{pointer<const void>(call.grad),
                 pointer<T>(call.param),
                 {},
                 pointer<T>(extras.ema),
                 pointer<void>(extras.half_copy),
                 T(scale),
                 T(extras.ema_decay),
                 T(1 - extras.ema_decay)};
  for (int k = 0; k < kMaxStates; k++) op.state[k] = pointer<T>(call.state[k]);
  const auto* chunks = pointer<const gr_chunk>(extras.chunks);
  auto over_arena = [&](auto update) {
    parallel_for(call.n, kGrain, [&](int64_t begin, int64_t end) {
      if (chunks == nullptr) return update(rule, op, lr, call.weight_decay, begin, end);
      for (int64_t k = first_chunk(chunks, extras.chunk_count, begin); k < extras.chunk_count && chunks[k].begin < end; k++) {
        update(rule, op, lr, chunks[k].weight_decay, std::max(begin, chunks[k].begin),
               std::min(end, chunks[k].begin + chunks[k].length));
      }
    });
  };
  auto with_gradient = [&](auto gradient) {
    using G = typename decltype(gradient)::type;
    if (extras.half_copy == 0) return over_arena(update_range<G, void, false, T, Rule>), int(GR_OK);
    return with_type<bfloat16, float16>(int32_t(extras.half_dtype), [&](auto half) {
      using H = typename decltype(half)::type;
      over_arena(extras.adopt_half != 0 ? update_range<G, H, true, T, Rule> : update_range<G, H, false, T, Rule>);
      return int(GR_OK);
    });
  };
  return is_half(extras.grad_dtype) ? with_type<bfloat16, float16>(int32_t(extras.grad_dtype), with_gradient)
                                    : with_gradient(Type<T>{});
}

// make_rule(type, lr, step) gives the rule for this step.
template <class F>
int run(const Call& call, F&& make_rule) {
  const gr_optim_extras none{};
  const gr_optim_extras& extras = call.extras == 0 ? none : *pointer<const gr_optim_extras>(call.extras);
  if (extras.grad_dtype != 0 && extras.grad_dtype != call.dtype && !is_half(extras.grad_dtype)) return GR_UNSUPPORTED;
  if (extras.half_copy != 0 && !is_half(extras.half_dtype)) return GR_UNSUPPORTED;
  return with_type<float, double>(call.dtype, [&](auto type) {
    using T = typename decltype(type)::type;
    if (call.n == 0 || (extras.found_inf != 0 && *pointer<const int32_t>(extras.found_inf) != 0)) return int(GR_OK);
    const double lr = *pointer<const double>(call.lr);
    return run_rule<T>(call, extras, lr, make_rule(type, lr, call.step == 0 ? 1 : *pointer<const int64_t>(call.step)));
  });
}

}  // namespace
}  // namespace gradus::cpu

using namespace gradus;
using namespace gradus::cpu;

extern "C" int gr_sgd(int64_t grad, int64_t param, int64_t velocity, int64_t lr, int64_t step, int64_t n, int64_t scalars,
                      int64_t extras, int32_t dtype, int64_t) {
  const auto& s = *pointer<const gr_sgd_scalars>(scalars);
  Call call{grad, param, {velocity, 0, 0}, lr, step, n, s.weight_decay, extras, dtype};
  return run(call, [&](auto type, double rate, int64_t number) {
    return SgdRule<typename decltype(type)::type>(rate, number, s.momentum, s.dampening, s.nesterov != 0, velocity != 0);
  });
}

extern "C" int gr_adam(int64_t grad, int64_t param, int64_t mean, int64_t variance, int64_t lr, int64_t step, int64_t n,
                       int64_t scalars, int64_t extras, int32_t dtype, int64_t) {
  const auto& s = *pointer<const gr_adam_scalars>(scalars);
  Call call{grad, param, {mean, variance, 0}, lr, step, n, s.weight_decay, extras, dtype};
  if (s.decoupled != 0) {
    return run(call, [&](auto type, double rate, int64_t number) {
      return AdamRule<typename decltype(type)::type, true>(rate, number, s.beta1, s.beta2, s.eps);
    });
  }
  return run(call, [&](auto type, double rate, int64_t number) {
    return AdamRule<typename decltype(type)::type, false>(rate, number, s.beta1, s.beta2, s.eps);
  });
}

extern "C" int gr_rms_prop(int64_t grad, int64_t param, int64_t square, int64_t mean, int64_t velocity, int64_t lr, int64_t n,
                           int64_t scalars, int64_t extras, int32_t dtype, int64_t) {
  const auto& s = *pointer<const gr_rms_prop_scalars>(scalars);
  Call call{grad, param, {square, mean, velocity}, lr, 0, n, s.weight_decay, extras, dtype};
  return run(call, [&](auto type, double rate, int64_t) {
    return RmsPropRule<typename decltype(type)::type>(rate, s.alpha, s.eps, s.momentum, mean != 0, velocity != 0);
  });
}

extern "C" int gr_adagrad(int64_t grad, int64_t param, int64_t sum, int64_t lr, int64_t step, int64_t n, int64_t scalars,
                          int64_t extras, int32_t dtype, int64_t) {
  const auto& s = *pointer<const gr_adagrad_scalars>(scalars);
  Call call{grad, param, {sum, 0, 0}, lr, step, n, s.weight_decay, extras, dtype};
  return run(call, [&](auto type, double rate, int64_t number) {
    return AdagradRule<typename decltype(type)::type>(rate, number, s.lr_decay, s.eps);
  });
}

extern "C" int gr_lion(int64_t grad, int64_t param, int64_t mean, int64_t lr, int64_t n, int64_t scalars, int64_t extras,
                       int32_t dtype, int64_t) {
  const auto& s = *pointer<const gr_lion_scalars>(scalars);
  Call call{grad, param, {mean, 0, 0}, lr, 0, n, s.weight_decay, extras, dtype};
  return run(call, [&](auto type, double rate, int64_t) {
    return LionRule<typename decltype(type)::type>(rate, s.beta1, s.beta2);
  });
}
