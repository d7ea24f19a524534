// Optimizer steps. One kernel serves all of them: it walks the arena in tiles, finds the chunks that a tile meets, and moves
// 16 bytes of parameters and of every state at a time; a rule holds the arithmetic of one optimizer.
//
// Traffic per float32 parameter (bound by memory, about 0.9 of a copy's rate): SGD 12 bytes, with momentum 20, Adam 28, RMSprop
// and Adagrad 20, Lion 20; a 16-bit gradient saves 2, the 16-bit copy adds 2 (4 when adopted), the average adds 8.
//
// What depends on the step alone is computed once a block, in double precision, and rounded once: raising to a power in every
// thread would cost more than the update, and even once a block it keeps the memory waiting for microseconds. So the grid is
// no larger than the multiprocessors hold at once (1024 threads each, with 16 bytes of gradient, parameter and every state in
// flight: 64 KiB for Adam, twice what hides the memory's latency), and a block walks over many tiles.
#include "gradus/optim.h"

#include "device/block.h"
#include "device/math.h"
#include "device/vector.h"
#include "device/warp.h"
#include "kernels/launcher.h"

namespace gradus {
namespace {

constexpr int kThreads = 256;
constexpr int kBlocksPerSm = 4;  // leaves 64 registers, so that none is spilled
constexpr int kMaxStates = 3;
// Tiles of a block from which on a thread takes several packs of each, so that chunks are seldom looked for; fewer would leave
// multiprocessors idle at the end.
constexpr int64_t kPlentyOfTiles = 8;
constexpr int64_t kMaxRounds = 8;
constexpr int64_t kUnscaleBlocks = 2048;

// The operands of a step as the kernel sees them. null: absent.
template <class T>
struct Operands {
  const void* grad;
  T* param;
  T* state[kMaxStates];
  const double* lr;
  const int64_t* step;
  int64_t n;
  double weight_decay;
  const float* grad_scale;
  const float* clip;
  const int32_t* found_inf;
  T* ema;
  void* half_copy;
  const gr_chunk* chunks;
  int64_t chunk_count;
  double ema_decay;
  int32_t grad_dtype, half_dtype;
  bool adopt_half;
  bool aligned;  // every array may be accessed by packs
  int rounds;    // packs of a thread in a tile
};

GRADUS_DEVICE float root(float x) { return sqrtf(x); }
GRADUS_DEVICE double root(double x) { return sqrt(x); }

// The weight decay of a chunk: as a part of the gradient, or as a factor of the parameter.
template <class T>
struct Decay {
  T l2, kept;
  GRADUS_DEVICE T gradient(T g, T w) const { return l2 == T(0) ? g : g + l2 * w; }
};

template <class T>
struct SgdRule {
  static constexpr int kStates = 1;
  double momentum, dampening;
  bool nesterov, has_velocity;

  struct Step {
    T rate, past, share;
  };
  GRADUS_DEVICE Step begin(double lr, int64_t step) const {
    return {T(lr), T(momentum), T(step > 1 ? 1 - dampening : 1)};
  }
  GRADUS_DEVICE T update(const Step& now, const Decay<T>& decay, T grad, T w, T* s) const {
    T g = decay.gradient(grad, w);
    if (!has_velocity) return w - now.rate * g;
    s[0] = now.past * s[0] + now.share * g;
    return w - now.rate * (nesterov ? g + now.past * s[0] : s[0]);
  }
};

template <class T>
struct AdamRule {
  static constexpr int kStates = 2;
  double beta1, beta2, eps;
  bool decoupled;

  struct Step {
    T rate, spread, share1, keep2, share2, eps;
  };
  GRADUS_DEVICE Step begin(double lr, int64_t step) const {
    T rate = T(lr / (1 - pow(beta1, double(step))));
    T spread = T(sqrt(1 - pow(beta2, double(step))));
    return {rate, spread, T(1 - beta1), T(beta2), T(1 - beta2), T(eps)};
  }
  GRADUS_DEVICE T update(const Step& now, const Decay<T>& decay, T grad, T w, T* s) const {
    T g = grad;
    if (decoupled) {
      w *= decay.kept;
    } else {
      g = decay.gradient(grad, w);
    }
    s[0] += now.share1 * (g - s[0]);
    s[1] = now.keep2 * s[1] + now.share2 * (g * g);
    return w - now.rate * (s[0] / (root(s[1]) / now.spread + now.eps));
  }
};

template <class T>
struct RmsPropRule {
  static constexpr int kStates = 3;
  double alpha, eps, momentum;
  bool centered, has_velocity;

  struct Step {
    T rate, keep, share, eps, past;
  };
  GRADUS_DEVICE Step begin(double lr, int64_t) const { return {T(lr), T(alpha), T(1 - alpha), T(eps), T(momentum)}; }
  GRADUS_DEVICE T update(const Step& now, const Decay<T>& decay, T grad, T w, T* s) const {
    T g = decay.gradient(grad, w);
    s[0] = now.keep * s[0] + now.share * (g * g);
    T square = s[0];
    if (centered) {
      s[1] += now.share * (g - s[1]);
      square -= s[1] * s[1];
    }
    T direction = g / (root(square) + now.eps);
    if (has_velocity) direction = s[2] = now.past * s[2] + direction;
    return w - now.rate * direction;
  }
};

template <class T>
struct AdagradRule {
  static constexpr int kStates = 1;
  double lr_decay, eps;

  struct Step {
    T rate, eps;
  };
  GRADUS_DEVICE Step begin(double lr, int64_t step) const {
    return {T(lr / (1 + (double(step) - 1) * lr_decay)), T(eps)};
  }
  GRADUS_DEVICE T update(const Step& now, const Decay<T>& decay, T grad, T w, T* s) const {
    T g = decay.gradient(grad, w);
    s[0] += g * g;
    return w - now.rate * (g / (root(s[0]) + now.eps));
  }
};

template <class T>
struct LionRule {
  static constexpr int kStates = 1;
  double beta1, beta2;

  struct Step {
    T rate, keep1, share1, keep2, share2;
  };
  GRADUS_DEVICE Step begin(double lr, int64_t) const {
    return {T(lr), T(beta1), T(1 - beta1), T(beta2), T(1 - beta2)};
  }
  GRADUS_DEVICE T update(const Step& now, const Decay<T>& decay, T g, T w, T* s) const {
    T blend = now.keep1 * s[0] + now.share1 * g;
    T sign = blend > T(0) ? T(1) : blend < T(0) ? T(-1) : blend;  // 0 and NaN stay
    s[0] = now.keep2 * s[0] + now.share2 * g;
    return w * decay.kept - now.rate * sign;
  }
};

// What thread 0 prepares for its block beside the learning rate; all of one type, so that no byte is padding, which a copy would
// read though nobody wrote it.
template <class T, class Step>
struct Prepared {
  Step step;
  T factor;  // of gradients
  T ema_kept, ema_share;
};
template <class T, class Rule>
using PreparedFor = Prepared<T, typename Rule::Step>;

// The part [low, high) of the arena that a pack may touch; a pack of which only some elements are in it goes by elements.
struct Bounds {
  int64_t low, high;
};

template <bool Whole, class T, int N>
GRADUS_DEVICE Pack<T, N> read(const T* x, int64_t at, Bounds bounds) {
  if constexpr (Whole) {
    return load_pack<T, N>(x + at);
  } else {
    Pack<T, N> out{};
    GRADUS_UNROLL
    for (int i = 0; i < N; i++) {
      if (at + i >= bounds.low && at + i < bounds.high) out.value[i] = x[at + i];
    }
    return out;
  }
}

template <bool Whole, class T, int N>
GRADUS_DEVICE void write(T* x, int64_t at, Bounds bounds, const Pack<T, N>& pack) {
  if constexpr (Whole) {
    store_pack(x + at, pack);
  } else {
    GRADUS_UNROLL
    for (int i = 0; i < N; i++) {
      if (at + i >= bounds.low && at + i < bounds.high) x[at + i] = pack.value[i];
    }
  }
}

template <bool Whole, class G, class T, int N>
GRADUS_DEVICE void read_as(const void* x, int64_t at, Bounds bounds, Pack<T, N>& out) {
  Pack<G, N> in = read<Whole, G, N>(static_cast<const G*>(x), at, bounds);
  GRADUS_UNROLL
  for (int i = 0; i < N; i++) out.value[i] = T(to_float(in.value[i]));
}

// The 16-bit copy counts where it is not what the parameter rounds to.
template <bool Whole, class H, class T, int N>
GRADUS_DEVICE void adopt(const void* half, int64_t at, Bounds bounds, Pack<T, N>& param) {
  Pack<H, N> copy = read<Whole, H, N>(static_cast<const H*>(half), at, bounds);
  GRADUS_UNROLL
  for (int i = 0; i < N; i++) {
    float set = to_float(copy.value[i]);
    if (set != to_float(from_float<H>(float(param.value[i])))) param.value[i] = T(set);
  }
}

template <bool Whole, class H, class T, int N>
GRADUS_DEVICE void write_half(void* half, int64_t at, Bounds bounds, const Pack<T, N>& param) {
  Pack<H, N> out;
  GRADUS_UNROLL
  for (int i = 0; i < N; i++) out.value[i] = from_float<H>(float(param.value[i]));
  write<Whole>(static_cast<H*>(half), at, bounds, out);
}

template <bool Whole, class Rule, class T>
GRADUS_DEVICE void update_pack(const Rule& rule, const Operands<T>& op, const PreparedFor<T, Rule>& now,
                               const Decay<T>& decay, int64_t at, Bounds bounds) {
  constexpr int N = kPackSize<T>;
  Pack<T, N> param = read<Whole, T, N>(op.param, at, bounds);
  Pack<T, N> state[Rule::kStates] = {};
  GRADUS_UNROLL
  for (int k = 0; k < Rule::kStates; k++) {
    if (op.state[k] != nullptr) state[k] = read<Whole, T, N>(op.state[k], at, bounds);
  }
  Pack<T, N> ema = {};
  if (op.ema != nullptr) ema = read<Whole, T, N>(op.ema, at, bounds);
  Pack<T, N> grad = {};
  if (op.grad_dtype == GR_BFLOAT16) {
    read_as<Whole, bfloat16>(op.grad, at, bounds, grad);
  } else if (op.grad_dtype == GR_FLOAT16) {
    read_as<Whole, float16>(op.grad, at, bounds, grad);
  } else {
    grad = read<Whole, T, N>(static_cast<const T*>(op.grad), at, bounds);
  }
  if (op.adopt_half) {
    if (op.half_dtype == GR_BFLOAT16) {
      adopt<Whole, bfloat16>(op.half_copy, at, bounds, param);
    } else {
      adopt<Whole, float16>(op.half_copy, at, bounds, param);
    }
  }
  GRADUS_UNROLL
  for (int i = 0; i < N; i++) {
    T s[Rule::kStates];
    GRADUS_UNROLL
    for (int k = 0; k < Rule::kStates; k++) s[k] = state[k].value[i];
    param.value[i] = rule.update(now.step, decay, grad.value[i] * now.factor, param.value[i], s);
    GRADUS_UNROLL
    for (int k = 0; k < Rule::kStates; k++) state[k].value[i] = s[k];
  }
  write<Whole>(op.param, at, bounds, param);
  GRADUS_UNROLL
  for (int k = 0; k < Rule::kStates; k++) {
    if (op.state[k] != nullptr) write<Whole>(op.state[k], at, bounds, state[k]);
  }
  if (op.ema != nullptr) {
    GRADUS_UNROLL
    for (int i = 0; i < N; i++) ema.value[i] = now.ema_kept * ema.value[i] + now.ema_share * param.value[i];
    write<Whole>(op.ema, at, bounds, ema);
  }
  if (op.half_copy != nullptr) {
    if (op.half_dtype == GR_BFLOAT16) {
      write_half<Whole, bfloat16>(op.half_copy, at, bounds, param);
    } else {
      write_half<Whole, float16>(op.half_copy, at, bounds, param);
    }
  }
}

template <class Rule, class T>
GRADUS_DEVICE void update_range(const Rule& rule, const Operands<T>& op, const PreparedFor<T, Rule>& now,
                                double lr, double weight_decay, Bounds bounds) {
  constexpr int N = kPackSize<T>;
  Decay<T> decay{T(weight_decay), T(1 - lr * weight_decay)};
  for (int64_t at = bounds.low / N * N + int64_t(threadIdx.x) * N; at < bounds.high; at += kThreads * N) {
    if (op.aligned && at >= bounds.low && at + N <= bounds.high) {
      update_pack<true>(rule, op, now, decay, at, bounds);
    } else {
      update_pack<false>(rule, op, now, decay, at, bounds);
    }
  }
}

// The first chunk that ends behind an element.
GRADUS_DEVICE int64_t first_chunk(const gr_chunk* chunks, int64_t count, int64_t element) {
  int64_t low = 0, high = count;
  while (low < high) {
    int64_t middle = (low + high) / 2;
    if (chunks[middle].begin + chunks[middle].length > element) {
      high = middle;
    } else {
      low = middle + 1;
    }
  }
  return low;
}

template <class Rule, class T>
__global__ void __launch_bounds__(kThreads, kBlocksPerSm) optimizer_kernel(const Rule rule, const Operands<T> op) {
  if (op.found_inf != nullptr && *op.found_inf != 0) return;
  using Numbers = PreparedFor<T, Rule>;
  GRADUS_SHARED(Numbers, prepared, [1]);
  GRADUS_SHARED(double, prepared_lr, [1]);
  if (threadIdx.x == 0) {
    prepared_lr[0] = *op.lr;
    prepared[0].step = rule.begin(prepared_lr[0], op.step == nullptr ? 1 : *op.step);
    double scale = op.grad_scale == nullptr ? 1 : double(*op.grad_scale);
    prepared[0].factor = T(op.clip == nullptr ? scale : scale * double(*op.clip));
    prepared[0].ema_kept = T(op.ema_decay);
    prepared[0].ema_share = T(1 - op.ema_decay);
  }
  __syncthreads();  // the numbers of the step are there before they are read
  const Numbers now = prepared[0];
  const double lr = prepared_lr[0];
  const int64_t tile = int64_t(kThreads) * kPackSize<T> * op.rounds;
  for (int64_t start = int64_t(blockIdx.x) * tile; start < op.n; start += int64_t(gridDim.x) * tile) {
    int64_t end = start + tile < op.n ? start + tile : op.n;
    if (op.chunks == nullptr) {
      update_range(rule, op, now, lr, op.weight_decay, {start, end});
      continue;
    }
    for (int64_t k = first_chunk(op.chunks, op.chunk_count, start); k < op.chunk_count; k++) {
      const gr_chunk chunk = op.chunks[k];
      if (chunk.begin >= end) break;
      int64_t chunk_end = chunk.begin + chunk.length;
      update_range(rule, op, now, lr, chunk.weight_decay,
                   {chunk.begin > start ? chunk.begin : start, chunk_end < end ? chunk_end : end});
    }
  }
}

__global__ void clip_factor_kernel(const double* sum_of_squares, const float* grad_scale, float* factor, double* norm_out,
                                   int32_t* found_inf, double max_norm, double eps) {
  double norm = sqrt(*sum_of_squares) * (grad_scale == nullptr ? 1 : double(*grad_scale));
  double limited = max_norm / (norm + eps);
  if (factor != nullptr) *factor = limited > 1 ? 1.0f : float(limited);  // NaN is not greater
  if (norm_out != nullptr) *norm_out = norm;
  if (found_inf != nullptr && !isfinite(norm)) *found_inf = 1;
}

__global__ void __launch_bounds__(kThreads) advance_step_kernel(int64_t* step, const int32_t* found_inf, int64_t n) {
  const int64_t i = int64_t(blockIdx.x) * kThreads + threadIdx.x;
  if (i < n && (found_inf == nullptr || *found_inf == 0)) step[i] += 1;
}

__global__ void loss_scale_update_kernel(float* scale, float* inverse, int32_t* growth_tracker, int32_t* found_inf, double growth,
                                         double backoff, int64_t interval) {
  if (*found_inf != 0) {
    *scale = float(double(*scale) * backoff);
    *growth_tracker = 0;
  } else if (*growth_tracker + int64_t(1) >= interval) {
    float grown = float(double(*scale) * growth);
    if (isfinite(grown)) *scale = grown;
    *growth_tracker = 0;
  } else {
    *growth_tracker += 1;
  }
  *found_inf = 0;
  if (inverse != nullptr) *inverse = float(1 / double(*scale));
}

template <int N, class T>
__global__ void __launch_bounds__(kThreads)
    unscale_check_kernel(T* grad, int32_t* found_inf, const float* grad_scale, int64_t n) {
  const auto factor = accumulator_t<T>(*grad_scale);
  bool bad = false;
  auto unscale = [&](T x) {
    T y = from_accumulator<T>(accumulator_t<T>(to_float(x)) * factor);
    bad = bad || !isfinite(to_float(y));
    return y;
  };
  int64_t thread = int64_t(blockIdx.x) * kThreads + threadIdx.x, threads = int64_t(gridDim.x) * kThreads;
  for (int64_t at = thread * N; at + N <= n; at += threads * N) {
    Pack<T, N> pack = load_pack<T, N>(grad + at);
    GRADUS_UNROLL
    for (int i = 0; i < N; i++) pack.value[i] = unscale(pack.value[i]);
    store_pack(grad + at, pack);
  }
  if (thread < n % N) grad[n - n % N + thread] = unscale(grad[n - n % N + thread]);
  // The flag is set by whoever finds something, to the same value: the order does not matter.
  if (__any_sync(kFullWarp, bad) != 0 && lane_index() == 0) atomicOr(found_inf, 1);
}

struct Call {
  int64_t grad, param, state[kMaxStates], lr, step, n;
  double weight_decay;
  int64_t extras;
  int32_t dtype;
  int64_t stream;
};

int bytes_of(int64_t dtype) { return dtype == GR_FLOAT64 ? 8 : dtype == GR_FLOAT32 ? 4 : 2; }

bool is_half(int64_t dtype) { return dtype == GR_BFLOAT16 || dtype == GR_FLOAT16; }

template <template <class> class Rule, class F>
int launch_optimizer(const Call& call, F&& make_rule) {
  const gr_optim_extras none{};
  const gr_optim_extras& extras = call.extras == 0 ? none : *pointer<const gr_optim_extras>(call.extras);
  if (extras.grad_dtype != 0 && extras.grad_dtype != call.dtype && !is_half(extras.grad_dtype)) return GR_UNSUPPORTED;
  if (extras.half_copy != 0 && !is_half(extras.half_dtype)) return GR_UNSUPPORTED;
  return with_type<float, double>(call.dtype, [&](auto type) {
    using T = typename decltype(type)::type;
    if (call.n == 0) return int(GR_OK);
    constexpr int N = kPackSize<T>;
    Operands<T> op{};
    op.grad = pointer<const void>(call.grad);
    op.param = pointer<T>(call.param);
    for (int k = 0; k < kMaxStates; k++) op.state[k] = pointer<T>(call.state[k]);
    op.lr = pointer<const double>(call.lr);
    op.step = pointer<const int64_t>(call.step);
    op.n = call.n;
    op.weight_decay = call.weight_decay;
    op.grad_scale = pointer<const float>(extras.grad_scale);
    op.clip = pointer<const float>(extras.clip);
    op.found_inf = pointer<const int32_t>(extras.found_inf);
    op.ema = pointer<T>(extras.ema);
    op.half_copy = pointer<void>(extras.half_copy);
    op.chunks = pointer<const gr_chunk>(extras.chunks);
    op.chunk_count = extras.chunk_count;
    op.ema_decay = extras.ema_decay;
    op.grad_dtype = is_half(extras.grad_dtype) ? int32_t(extras.grad_dtype) : call.dtype;
    op.half_dtype = int32_t(extras.half_dtype);
    op.adopt_half = extras.half_copy != 0 && extras.adopt_half != 0;
    op.aligned = is_aligned(op.param, 16) && is_aligned(op.ema, 16) && is_aligned(op.half_copy, 2 * N) &&
                 is_aligned(op.grad, size_t(bytes_of(op.grad_dtype)) * N);
    for (T* state : op.state) op.aligned = op.aligned && is_aligned(state, 16);
    int64_t packs = divide_up(call.n, int64_t(kThreads) * N);
    int64_t resident = int64_t(device_traits(call.stream).processors) * kBlocksPerSm;
    op.rounds = int(std::max<int64_t>(1, std::min(kMaxRounds, packs / (resident * kPlentyOfTiles))));
    return finish(GRADUS_LAUNCH((optimizer_kernel<Rule<T>, T>),
                                LaunchConfig(blocks_for(packs, op.rounds, resident), kThreads).stream(stream_of(call.stream)),
                                make_rule(type), op));
  });
}

}  // namespace
}  // namespace gradus

using namespace gradus;

extern "C" int gr_sgd(int64_t grad, int64_t param, int64_t velocity, int64_t lr, int64_t step, int64_t n, int64_t scalars,
                      int64_t extras, int32_t dtype, int64_t stream) {
  const auto& s = *pointer<const gr_sgd_scalars>(scalars);
  Call call{grad, param, {velocity, 0, 0}, lr, step, n, s.weight_decay, extras, dtype, stream};
  return launch_optimizer<SgdRule>(call, [&](auto type) {
    return SgdRule<typename decltype(type)::type>{s.momentum, s.dampening, s.nesterov != 0, velocity != 0};
  });
}

extern "C" int gr_adam(int64_t grad, int64_t param, int64_t mean, int64_t variance, int64_t lr, int64_t step, int64_t n,
                       int64_t scalars, int64_t extras, int32_t dtype, int64_t stream) {
  const auto& s = *pointer<const gr_adam_scalars>(scalars);
  Call call{grad, param, {mean, variance, 0}, lr, step, n, s.weight_decay, extras, dtype, stream};
  return launch_optimizer<AdamRule>(
      call, [&](auto type) { return AdamRule<typename decltype(type)::type>{s.beta1, s.beta2, s.eps, s.decoupled != 0}; });
}

extern "C" int gr_rms_prop(int64_t grad, int64_t param, int64_t square, int64_t mean, int64_t velocity, int64_t lr, int64_t n,
                           int64_t scalars, int64_t extras, int32_t dtype, int64_t stream) {
  const auto& s = *pointer<const gr_rms_prop_scalars>(scalars);
  Call call{grad, param, {square, mean, velocity}, lr, 0, n, s.weight_decay, extras, dtype, stream};
  return launch_optimizer<RmsPropRule>(call, [&](auto type) {
    return RmsPropRule<typename decltype(type)::type>{s.alpha, s.eps, s.momentum, mean != 0, velocity != 0};
  });
}

extern "C" int gr_adagrad(int64_t grad, int64_t param, int64_t sum, int64_t lr, int64_t step, int64_t n, int64_t scalars,
                          int64_t extras, int32_t dtype, int64_t stream) {
  const auto& s = *pointer<const gr_adagrad_scalars>(scalars);
  Call call{grad, param, {sum, 0, 0}, lr, step, n, s.weight_decay, extras, dtype, stream};
  return launch_optimizer<AdagradRule>(
      call, [&](auto type) { return AdagradRule<typename decltype(type)::type>{s.lr_decay, s.eps}; });
}

extern "C" int gr_lion(int64_t grad, int64_t param, int64_t mean, int64_t lr, int64_t n, int64_t scalars, int64_t extras,
                       int32_t dtype, int64_t stream) {
  const auto& s = *pointer<const gr_lion_scalars>(scalars);
  Call call{grad, param, {mean, 0, 0}, lr, 0, n, s.weight_decay, extras, dtype, stream};
  return launch_optimizer<LionRule>(call,
                                    [&](auto type) { return LionRule<typename decltype(type)::type>{s.beta1, s.beta2}; });
}

extern "C" int gr_clip_factor(int64_t sum_of_squares, int64_t grad_scale, int64_t factor, int64_t norm, int64_t found_inf,
                              double max_norm, double eps, int64_t stream) {
  return finish(GRADUS_LAUNCH(clip_factor_kernel, LaunchConfig(1, 1).stream(stream_of(stream)),
                              pointer<const double>(sum_of_squares), pointer<const float>(grad_scale), pointer<float>(factor),
                              pointer<double>(norm), pointer<int32_t>(found_inf), max_norm, eps));
}

extern "C" int gr_unscale_check(int64_t grad, int64_t found_inf, int64_t grad_scale, int64_t n, int32_t dtype, int64_t stream) {
  return with_floating(dtype, [&](auto type) {
    using T = typename decltype(type)::type;
    constexpr int N = kPackSize<T>;
    if (n == 0) return int(GR_OK);
    auto* x = pointer<T>(grad);
    auto* flag = pointer<int32_t>(found_inf);
    auto* factor = pointer<const float>(grad_scale);
    if (is_aligned(x, 16)) {
      LaunchConfig config(blocks_for(divide_up(n, N), kThreads, kUnscaleBlocks), kThreads);
      return finish(GRADUS_LAUNCH((unscale_check_kernel<N, T>), config.stream(stream_of(stream)), x, flag, factor, n));
    }
    LaunchConfig config(blocks_for(n, kThreads, kUnscaleBlocks), kThreads);
    return finish(GRADUS_LAUNCH((unscale_check_kernel<1, T>), config.stream(stream_of(stream)), x, flag, factor, n));
  });
}

extern "C" int gr_advance_step(int64_t step, int64_t found_inf, int64_t n, int64_t stream) {
  if (n == 0) return GR_OK;
  return finish(GRADUS_LAUNCH(advance_step_kernel, LaunchConfig(divide_up(n, kThreads), kThreads).stream(stream_of(stream)),
                              pointer<int64_t>(step), pointer<const int32_t>(found_inf), n));
}

extern "C" int gr_loss_scale_update(int64_t scale, int64_t inverse, int64_t growth_tracker, int64_t found_inf, double growth,
                                    double backoff, int64_t interval, int64_t stream) {
  return finish(GRADUS_LAUNCH(loss_scale_update_kernel, LaunchConfig(1, 1).stream(stream_of(stream)), pointer<float>(scale),
                              pointer<float>(inverse), pointer<int32_t>(growth_tracker), pointer<int32_t>(found_inf), growth,
                              backoff, interval));
}
