// The arithmetic of each optimizer on vectors of T. What depends on the step alone is formed in double and rounded once.
#pragma once

#include "cpu/simd.h"

namespace gradus::cpu {

// The weight decay of a chunk: as a part of the gradient, or as a factor of the parameter.
template <class T>
struct Decay {
  T l2, kept;
  GRADUS_INLINE Vec<T> gradient(Vec<T> g, Vec<T> w) const { return l2 == T(0) ? g : fma(w, broadcast(l2), g); }
};

template <class T>
struct SgdRule {
  using V = Vec<T>;
  static constexpr int kStates = 1;
  T rate, past, share;
  bool nesterov, has_velocity;

  SgdRule(double lr, int64_t step, double momentum, double dampening, bool nesterov, bool has_velocity)
      : rate(T(lr)), past(T(momentum)), share(T(step > 1 ? 1 - dampening : 1)), nesterov(nesterov), has_velocity(has_velocity) {}

  GRADUS_INLINE V update(const Decay<T>& decay, V grad, V w, V* s) const {
    V g = decay.gradient(grad, w);
    if (!has_velocity) return w - rate * g;
    s[0] = past * s[0] + share * g;
    return w - rate * (nesterov ? g + past * s[0] : s[0]);
  }
};

template <class T, bool Decoupled>
struct AdamRule {
  using V = Vec<T>;
  static constexpr int kStates = 2;
  T rate, narrow, share1, keep2, share2, eps;

  AdamRule(double lr, int64_t step, double beta1, double beta2, double eps)
      : rate(T(lr / (1 - std::pow(beta1, double(step))))),
        narrow(T(1 / std::sqrt(1 - std::pow(beta2, double(step))))),
        share1(T(1 - beta1)),
        keep2(T(beta2)),
        share2(T(1 - beta2)),
        eps(T(eps)) {}

  GRADUS_INLINE V update(const Decay<T>& decay, V grad, V w, V* s) const {
    V g = grad;
    if constexpr (Decoupled) {
      w *= decay.kept;
    } else {
      g = decay.gradient(grad, w);
    }
    s[0] += share1 * (g - s[0]);
    s[1] = keep2 * s[1] + share2 * (g * g);
    return w - rate * (s[0] / (sqrt(s[1]) * narrow + eps));
  }
};

template <class T>
struct RmsPropRule {
  using V = Vec<T>;
  static constexpr int kStates = 3;
  T rate, keep, share, eps, past;
  bool centered, has_velocity;

  RmsPropRule(double lr, double alpha, double eps, double momentum, bool centered, bool has_velocity)
      : rate(T(lr)),
        keep(T(alpha)),
        share(T(1 - alpha)),
        eps(T(eps)),
        past(T(momentum)),
        centered(centered),
        has_velocity(has_velocity) {}

  GRADUS_INLINE V update(const Decay<T>& decay, V grad, V w, V* s) const {
    V g = decay.gradient(grad, w);
    s[0] = keep * s[0] + share * (g * g);
    V square = s[0];
    if (centered) {
      s[1] += share * (g - s[1]);
      square -= s[1] * s[1];
    }
    V direction = g / (sqrt(square) + eps);
    if (has_velocity) direction = s[2] = past * s[2] + direction;
    return w - rate * direction;
  }
};

template <class T>
struct AdagradRule {
  using V = Vec<T>;
  static constexpr int kStates = 1;
  T rate, eps;

  AdagradRule(double lr, int64_t step, double lr_decay, double eps)
      : rate(T(lr / (1 + (double(step) - 1) * lr_decay))), eps(T(eps)) {}

  GRADUS_INLINE V update(const Decay<T>& decay, V grad, V w, V* s) const {
    V g = decay.gradient(grad, w);
    s[0] += g * g;
    return w - rate * (g / (sqrt(s[0]) + eps));
  }
};

template <class T>
struct LionRule {
  using V = Vec<T>;
  static constexpr int kStates = 1;
  T rate, keep1, share1, keep2, share2;

  LionRule(double lr, double beta1, double beta2)
      : rate(T(lr)), keep1(T(beta1)), share1(T(1 - beta1)), keep2(T(beta2)), share2(T(1 - beta2)) {}

  GRADUS_INLINE V update(const Decay<T>& decay, V g, V w, V* s) const {
    V blend = keep1 * s[0] + share1 * g;
    V sign = select(blend > T(0), broadcast(T(1)), select(blend < T(0), broadcast(T(-1)), blend));  // 0 and NaN stay
    s[0] = keep2 * s[0] + share2 * g;
    return w * decay.kept - rate * sign;
  }
};

}  // namespace gradus::cpu
