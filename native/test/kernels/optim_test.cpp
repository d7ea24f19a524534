// Optimizer steps against the same formulas written element by element, and the scalar kernels of mixed precision.

#include "gradus/optim.h"

#include "arrays.h"

using namespace test;
using gradus::bfloat16;
using gradus::float16;

namespace {

int64_t host(const void* p) { return int64_t(reinterpret_cast<uintptr_t>(p)); }

enum class Kind { sgd, momentum, nesterov, adam, adamw, rms_prop, rms_prop_full, adagrad, lion };
constexpr Kind kAll[] = {Kind::sgd,      Kind::momentum,      Kind::nesterov, Kind::adam, Kind::adamw,
                         Kind::rms_prop, Kind::rms_prop_full, Kind::adagrad,  Kind::lion};

constexpr double kLr = 0.03125 + 1e-4, kDecay = 0.013;

// The update of one element in the type's own arithmetic.
template <class T>
void update(Kind kind, int64_t step, double weight_decay, T g, T& w, T* s) {
  T wd = T(weight_decay), rate = T(kLr);
  auto l2 = [&] { return g + wd * w; };
  switch (kind) {
    case Kind::sgd:
      w = w - rate * l2();
      return;
    case Kind::momentum:
    case Kind::nesterov: {
      T d = l2(), past = T(0.9), share = T(step > 1 ? 1 - 0.25 : 1);
      s[0] = past * s[0] + share * d;
      w = w - rate * (kind == Kind::nesterov ? d + past * s[0] : s[0]);
      return;
    }
    case Kind::adam:
    case Kind::adamw: {
      T d = g;
      if (kind == Kind::adamw) w = w * T(1 - kLr * weight_decay);
      else d = l2();
      s[0] = s[0] + T(1 - 0.9) * (d - s[0]);
      s[1] = T(0.95) * s[1] + T(1 - 0.95) * (d * d);
      T corrected = T(kLr / (1 - std::pow(0.9, double(step)))), spread = T(std::sqrt(1 - std::pow(0.95, double(step))));
      w = w - corrected * (s[0] / (std::sqrt(s[1]) / spread + T(1e-6)));
      return;
    }
    case Kind::rms_prop:
    case Kind::rms_prop_full: {
      T d = l2();
      s[0] = T(0.97) * s[0] + T(1 - 0.97) * (d * d);
      T square = s[0];
      if (kind == Kind::rms_prop_full) {
        s[1] = s[1] + T(1 - 0.97) * (d - s[1]);
        square = square - s[1] * s[1];
      }
      T direction = d / (std::sqrt(square) + T(1e-3));
      if (kind == Kind::rms_prop_full) direction = s[2] = T(0.8) * s[2] + direction;
      w = w - rate * direction;
      return;
    }
    case Kind::adagrad: {
      T d = l2();
      s[0] = s[0] + d * d;
      w = w - T(kLr / (1 + double(step - 1) * 0.1)) * (d / (std::sqrt(s[0]) + T(1e-6)));
      return;
    }
    case Kind::lion: {
      T blend = T(0.9) * s[0] + T(1 - 0.9) * g;
      s[0] = T(0.95) * s[0] + T(1 - 0.95) * g;
      w = w * T(1 - kLr * weight_decay) - rate * T((blend > 0) - (blend < 0));
      return;
    }
  }
}

int run(Kind kind, int64_t grad, int64_t param, const int64_t* s, int64_t lr, int64_t step, int64_t n, double weight_decay,
        const gr_optim_extras* extras, int32_t dtype) {
  switch (kind) {
    case Kind::sgd:
    case Kind::momentum:
    case Kind::nesterov: {
      gr_sgd_scalars scalars{0.9, 0.25, weight_decay, kind == Kind::nesterov};
      return gr_sgd(grad, param, kind == Kind::sgd ? 0 : s[0], lr, step, n, host(&scalars), host(extras), dtype, 0);
    }
    case Kind::adam:
    case Kind::adamw: {
      gr_adam_scalars scalars{0.9, 0.95, 1e-6, weight_decay, kind == Kind::adamw};
      return gr_adam(grad, param, s[0], s[1], lr, step, n, host(&scalars), host(extras), dtype, 0);
    }
    case Kind::rms_prop:
    case Kind::rms_prop_full: {
      gr_rms_prop_scalars scalars{0.97, 1e-3, 0.8, weight_decay};
      bool full = kind == Kind::rms_prop_full;
      return gr_rms_prop(grad, param, s[0], full ? s[1] : 0, full ? s[2] : 0, lr, n, host(&scalars), host(extras), dtype, 0);
    }
    case Kind::adagrad: {
      gr_adagrad_scalars scalars{0.1, 1e-6, weight_decay};
      return gr_adagrad(grad, param, s[0], lr, step, n, host(&scalars), host(extras), dtype, 0);
    }
    case Kind::lion: {
      gr_lion_scalars scalars{0.9, 0.95, weight_decay};
      return gr_lion(grad, param, s[0], lr, n, host(&scalars), host(extras), dtype, 0);
    }
  }
  return GR_ERROR;
}

// An arena with what one step needs; `offset` elements before it, so that addresses may be unaligned.
template <class T, class G = T>
struct Arena {
  Arena(int64_t n, uint64_t seed, int64_t offset = 0)
      : n(n),
        offset(offset),
        grad(Array<G>::random(n + offset, seed)),
        param(Array<T>::random(n + offset, seed + 1)),
        state{Array<T>::random(n + offset, seed + 2, 0.5, 1), Array<T>::random(n + offset, seed + 3, 0, 0.1),
              Array<T>::random(n + offset, seed + 4)} {
    lr.set(0, kLr);
  }
  int step(Kind kind, int64_t number, double weight_decay, const gr_optim_extras* extras = nullptr) {
    count.set(0, double(number));
    int64_t s[3];
    for (int k = 0; k < 3; k++) s[k] = state[k].address() + offset * int64_t(sizeof(T));
    return run(kind, grad.address() + offset * int64_t(sizeof(G)), param.address() + offset * int64_t(sizeof(T)), s, lr.address(),
               count.address(), n, weight_decay, extras, Array<T>::dtype());
  }
  // What the arena should hold after the step; T(factor) times the gradient.
  void expect(Kind kind, int64_t number, double weight_decay, double factor, int64_t from, int64_t to) {
    for (int64_t i = from + offset; i < to + offset; i++) {
      T s[3] = {state[0].raw(i), state[1].raw(i), state[2].raw(i)};
      T w = param.raw(i);
      update<T>(kind, number, weight_decay, T(wide(grad.raw(i))) * T(factor), w, s);
      for (int k = 0; k < 3; k++) state[k].set(i, double(s[k]));
      param.set(i, double(w));
    }
  }
  int64_t n, offset;
  Array<G> grad;
  Array<T> param;
  Array<T> state[3];
  Array<double> lr{1};
  Array<int64_t> count{1};
};

template <class T, class G>
void check_same(const Arena<T, G>& actual, const Arena<T, G>& expected) {
  double ulp = unit<T>() * 4;
  for (int64_t i = 0; i < actual.param.size(); i++) {
    CHECK_NEAR(actual.param[i], expected.param[i], ulp, ulp);
    for (int k = 0; k < 3; k++) CHECK_NEAR(actual.state[k][i], expected.state[k][i], ulp, ulp);
  }
}

template <class T>
void check_steps(int64_t n, int64_t offset, double weight_decay) {
  for (Kind kind : kAll) {
    Arena<T> actual(n, 5, offset), expected = actual;
    for (int64_t step = 1; step <= 3; step++) {
      CALL(actual.step(kind, step, weight_decay));
      expected.expect(kind, step, weight_decay, 1, 0, n);
    }
    check_same(actual, expected);
  }
}

TEST(every_optimizer) {
  for (int64_t n : {1, 3, 4, 1031}) {
    check_steps<float>(n, 0, kDecay);
    check_steps<double>(n, 0, kDecay);
  }
  check_steps<float>(70, 0, 0);
  check_steps<float>(300, 1, kDecay);  // unaligned
  check_steps<double>(301, 1, kDecay);
}

TEST(nothing_to_update) {
  Arena<float> arena(0, 1);
  for (Kind kind : kAll) CALL(arena.step(kind, 1, 0));
  CALL(gr_unscale_check(0, 0, 0, 0, GR_FLOAT32, 0));
}

TEST(several_packs_of_a_thread) {
  // Twice the plenty of tiles for the emulated device, on a rule with little to compute.
  int64_t n = 1024 * 128 * 2 + 5;
  Arena<float> arena(n, 3);
  float before = arena.param.raw(n - 1), g = arena.grad.raw(n - 1), middle = arena.param.raw(n / 2), gm = arena.grad.raw(n / 2);
  CALL(arena.step(Kind::sgd, 1, 0));
  // Whether product and difference are rounded apart is the compiler's choice, here and there.
  CHECK_NEAR(arena.param[n - 1], before - float(kLr) * g, 4 * unit<float>(), 0);
  CHECK_NEAR(arena.param[n / 2], middle - float(kLr) * gm, 4 * unit<float>(), 0);
}

template <class T, class G, class H>
void check_extras(int64_t n, int64_t offset) {
  Array<float> scale(1, 0.25), clip(1, 0.5);
  Array<int32_t> found(1);
  Array<T> ema = Array<T>::random(n + offset, 11), ema_before = ema;
  Array<H> half(n + offset);
  for (Kind kind : {Kind::adamw, Kind::sgd, Kind::lion}) {
    Arena<T, G> actual(n, 7, offset);
    gr_optim_extras extras{};
    extras.grad_scale = scale.address();
    extras.clip = clip.address();
    extras.found_inf = found.address();
    extras.ema = ema.address() + offset * int64_t(sizeof(T));
    extras.half_copy = half.address() + offset * int64_t(sizeof(H));
    extras.half_dtype = Array<H>::dtype();
    extras.grad_dtype = Array<G>::dtype();
    extras.ema_decay = 0.75;
    Arena<T, G> expected = actual;
    ema_before = ema;
    CALL(actual.step(kind, 2, kDecay, &extras));
    expected.expect(kind, 2, kDecay, 0.125, 0, n);
    check_same(actual, expected);
    for (int64_t i = offset; i < n + offset; i++) {
      CHECK_EQUAL(half[i], wide(narrow<H>(actual.param[i])));
      CHECK_NEAR(ema[i], 0.75 * ema_before[i] + 0.25 * actual.param[i], 4 * unit<T>(), 4 * unit<T>());
    }
    // Found an infinity: nothing moves.
    found.set(0, 1);
    Arena<T, G> kept = actual;
    Array<T> ema_kept = ema;
    Array<H> half_kept = half;
    CALL(actual.step(kind, 3, kDecay, &extras));
    for (int64_t i = 0; i < n + offset; i++) {
      CHECK_EQUAL(actual.param[i], kept.param[i]);
      for (int k = 0; k < 3; k++) CHECK_EQUAL(actual.state[k][i], kept.state[k][i]);
      CHECK_EQUAL(ema[i], ema_kept[i]);
      CHECK_EQUAL(half[i], half_kept[i]);
    }
    found.set(0, 0);
  }
}

TEST(extras) {
  check_extras<float, float, bfloat16>(1027, 0);
  check_extras<float, bfloat16, bfloat16>(517, 0);
  check_extras<float, float16, float16>(130, 0);
  check_extras<float, float16, bfloat16>(130, 1);
  check_extras<double, double, float16>(131, 0);
  check_extras<double, bfloat16, bfloat16>(131, 0);
}

TEST(foreign_types_are_refused) {
  Arena<float> arena(8, 1);
  gr_optim_extras extras{};
  extras.grad_dtype = GR_FLOAT64;
  CHECK_EQUAL(arena.step(Kind::adam, 1, 0, &extras), int(GR_UNSUPPORTED));
  extras.grad_dtype = 0;
  extras.half_copy = arena.state[0].address();
  CHECK_EQUAL(arena.step(Kind::adam, 1, 0, &extras), int(GR_UNSUPPORTED));
  Arena<bfloat16> half(8, 1);
  CHECK_EQUAL(half.step(Kind::adam, 1, 0), int(GR_UNSUPPORTED));
}

TEST(a_16_bit_copy_that_was_set_counts) {
  int64_t n = 100;
  Arena<float> arena(n, 9);
  Array<bfloat16> half(n);
  for (int64_t i = 0; i < n; i++) half.set(i, arena.param[i]);
  half.set(5, 3);
  half.set(64, -2);
  Arena<float> expected = arena;
  expected.param.set(5, 3);
  expected.param.set(64, -2);
  gr_optim_extras extras{};
  extras.half_copy = half.address();
  extras.half_dtype = GR_BFLOAT16;
  extras.adopt_half = 1;
  CALL(arena.step(Kind::adamw, 1, kDecay, &extras));
  expected.expect(Kind::adamw, 1, kDecay, 1, 0, n);
  check_same(arena, expected);
  for (int64_t i = 0; i < n; i++) CHECK_EQUAL(half[i], wide(narrow<bfloat16>(arena.param[i])));
}

// Chunks of all lengths and alignments, with gaps between them that must stay.
template <class T>
void check_chunks(int64_t offset) {
  test::Memory<gr_chunk> chunks;
  int64_t at = 2;
  for (int64_t length : {1, 3, 64, 0, 7, 1500, 2, 5, 1024, 9}) {
    chunks.push_back({at, length, chunks.size() % 2 == 0 ? 0.5 : 0.0});
    at += length + int64_t(chunks.size()) % 3;
  }
  for (Kind kind : {Kind::adamw, Kind::momentum}) {
    Arena<T> actual(at + 6, 13, offset), expected = actual;
    gr_optim_extras extras{};
    extras.chunks = host(chunks.data());
    extras.chunk_count = int64_t(chunks.size());
    CALL(actual.step(kind, 4, 77, &extras));
    for (const gr_chunk& c : chunks) expected.expect(kind, 4, c.weight_decay, 1, c.begin, c.begin + c.length);
    check_same(actual, expected);
    for (int64_t i = 0; i < 2; i++) CHECK_EQUAL(actual.param[i], expected.param[i]);
  }
}

TEST(chunks) {
  check_chunks<float>(0);
  check_chunks<float>(3);
  check_chunks<double>(0);
}

TEST(lion_keeps_zero_and_nan) {
  Array<float> grad(3), param(3, 1), mean(3);
  Array<double> lr(1, 0.5);
  grad.set(1, NAN);
  grad.set(2, -2);
  gr_lion_scalars scalars{0.9, 0.99, 0};
  CALL(gr_lion(grad.address(), param.address(), mean.address(), lr.address(), 3, host(&scalars), 0, GR_FLOAT32, 0));
  CHECK_EQUAL(param[0], 1);
  CHECK(std::isnan(param[1]));
  CHECK_EQUAL(param[2], 1.5);
}

TEST(clip_factor) {
  Array<double> sum(1, 100), norm(1);
  Array<float> scale(1, 0.5), factor(1);
  Array<int32_t> found(1);
  CALL(gr_clip_factor(sum.address(), scale.address(), factor.address(), norm.address(), found.address(), 1, 1e-6, 0));
  CHECK_EQUAL(norm[0], 5);
  CHECK_EQUAL(factor.raw(0), float(1 / (5 + 1e-6)));
  CHECK_EQUAL(found[0], 0);
  CALL(gr_clip_factor(sum.address(), 0, factor.address(), 0, 0, 11, 1e-6, 0));
  CHECK_EQUAL(factor[0], 1);
  sum.set(0, INFINITY);
  CALL(gr_clip_factor(sum.address(), 0, factor.address(), norm.address(), found.address(), 1, 1e-6, 0));
  CHECK_EQUAL(factor[0], 0);
  CHECK_EQUAL(found[0], 1);
  sum.set(0, NAN);
  found.set(0, 0);
  CALL(gr_clip_factor(sum.address(), 0, factor.address(), 0, found.address(), 1, 1e-6, 0));
  CHECK(std::isnan(factor[0]));
  CHECK_EQUAL(found[0], 1);
}

template <class T>
void check_unscale(int64_t n, int64_t offset) {
  Array<T> grad = Array<T>::random(n + offset, 17, -100, 100), before = grad;
  Array<float> scale(1, 0.125);
  Array<int32_t> found(1);
  int64_t address = grad.address() + offset * int64_t(sizeof(T));
  CALL(gr_unscale_check(address, found.address(), scale.address(), n, grad.dtype(), 0));
  for (int64_t i = offset; i < n + offset; i++) CHECK_EQUAL(grad[i], wide(narrow<T>(before[i] * 0.125)));
  CHECK_EQUAL(found[0], 0);
  for (int64_t bad : {int64_t(0), n / 2, n - 1}) {
    for (double value : {double(INFINITY), -double(INFINITY), double(NAN)}) {
      grad = before;
      grad.set(offset + bad, value);
      found.set(0, 0);
      CALL(gr_unscale_check(grad.address() + offset * int64_t(sizeof(T)), found.address(), scale.address(), n, grad.dtype(), 0));
      CHECK_EQUAL(found[0], 1);
    }
  }
}

TEST(unscale_check) {
  check_unscale<float>(1, 0);
  check_unscale<float>(1030, 0);
  check_unscale<float>(77, 1);
  check_unscale<double>(259, 0);
  check_unscale<bfloat16>(2053, 0);
  check_unscale<float16>(77, 1);
}

TEST(steps_advance_when_nothing_was_found) {
  for (int64_t n : {0, 1, 7, 300}) {
    Array<int64_t> step(n + 1, 4);
    Array<int32_t> found(1);
    CALL(gr_advance_step(step.address(), 0, n, 0));
    CALL(gr_advance_step(step.address(), found.address(), n, 0));
    for (int64_t i = 0; i < n; i++) CHECK_EQUAL(step[i], 6);
    found.set(0, 1);
    CALL(gr_advance_step(step.address(), found.address(), n, 0));
    for (int64_t i = 0; i < n; i++) CHECK_EQUAL(step[i], 6);
    CHECK_EQUAL(step[n], 4);
  }
}

TEST(loss_scale) {
  Array<float> scale(1, 1024), inverse(1);
  Array<int32_t> tracker(1), found(1);
  auto update = [&](double growth = 2) {
    CALL(gr_loss_scale_update(scale.address(), inverse.address(), tracker.address(), found.address(), growth, 0.5, 3, 0));
  };
  update();
  update();
  CHECK_EQUAL(scale[0], 1024);
  CHECK_EQUAL(tracker[0], 2);
  CHECK_EQUAL(inverse[0], 1.0 / 1024);
  update();
  CHECK_EQUAL(scale[0], 2048);
  CHECK_EQUAL(tracker[0], 0);
  update();
  found.set(0, 1);
  update();
  CHECK_EQUAL(scale[0], 1024);
  CHECK_EQUAL(tracker[0], 0);
  CHECK_EQUAL(found[0], 0);
  CHECK_EQUAL(inverse[0], 1.0 / 1024);
  tracker.set(0, 2);
  update(1e38);  // would overflow
  CHECK_EQUAL(scale[0], 1024);
  CHECK_EQUAL(tracker[0], 0);
}

}  // namespace
