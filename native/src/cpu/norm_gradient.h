// The backward passes of batch, group and instance normalisation over rows of a matrix; see norm_columns.h.
#pragma once

#include "cpu/norm_columns.h"

namespace gradus::cpu {

// Whether by nothing, by bits of which a vector's begin anywhere, by bits of which they begin at a multiple of its lanes, by y > 0.
enum class Masking { kNone, kBits, kWholeBits, kOutput };

// The gradient g: gradY where the mask is set, or without a mask where y > 0.
template <class T>
struct MaskedGradient {
  const T* grad_y;
  const T* y;            // or null
  const uint32_t* mask;  // or null

  Masking masking(const Lines& lines) const {
    if (mask != nullptr) return lines.width() % lanes_of<accumulator_t<T>> == 0 ? Masking::kWholeBits : Masking::kBits;
    return y != nullptr ? Masking::kOutput : Masking::kNone;
  }

  template <Masking M>
  GRADUS_INLINE Vec<accumulator_t<T>> load(int64_t element, int lanes) const {
    using V = Vec<accumulator_t<T>>;
    V g = load_wide_some(grad_y + element, lanes);
    if constexpr (M == Masking::kBits) {
      // The word after the first is read only where bits of it are wanted.
      uint64_t words = mask[element / 32] | uint64_t(mask[(element + lanes - 1) / 32]) << 32;
      g = select(mask_of_bits<decltype(g > g)>(uint32_t(words >> element % 32)), g, V{});
    }
    if constexpr (M == Masking::kWholeBits) {
      constexpr int L = lanes_of<accumulator_t<T>>;
      uint16_t bits = 0;
      memcpy(&bits, reinterpret_cast<const uint8_t*>(mask) + element / 8, L > 8 ? 2 : 1);
      g = select(mask_of_bits<decltype(g > g)>(L < 8 ? uint32_t(bits) >> element % 8 : bits), g, V{});
    }
    if constexpr (M == Masking::kOutput) g = select(load_wide_some(y + element, lanes) > 0, g, V{});
    return g;
  }
};

template <class F>
void with_masking(Masking masking, F&& f) {
  if (masking == Masking::kBits) return f(std::integral_constant<Masking, Masking::kBits>{});
  if (masking == Masking::kWholeBits) return f(std::integral_constant<Masking, Masking::kWholeBits>{});
  if (masking == Masking::kOutput) return f(std::integral_constant<Masking, Masking::kOutput>{});
  f(std::integral_constant<Masking, Masking::kNone>{});
}

template <Masking M, class T>
void add_gradients(const MaskedGradient<T> gradient, const T* x, const accumulator_t<T>* mean, T* grad_residual, int64_t at,
                   int64_t width, accumulator_t<T>* sum, accumulator_t<T>* product) {
  using A = accumulator_t<T>;
  for_vectors<A>(width, [&](int64_t v, auto lanes) {
    const int64_t element = at + v;
    Vec<A> g = gradient.template load<M>(element, lanes);
    if (grad_residual != nullptr) store_wide_some(grad_residual + element, g, lanes);
    // Past the last element g is 0 and changes nothing.
    store(sum + v, load(sum + v) + g);
    store(product + v, fma(g, load_wide_some(x + element, lanes) - load(mean + v), load(product + v)));
  });
}

struct GradientLines;

// sum(g) and sum(g (x - mean)) of every column of rows begin to end, [channels]. `mean` is a line. The masked g is kept as the
// residual's gradient where wanted.
template <class T>
void gradient_sums(const Lines& lines, MaskedGradient<T> gradient, const T* x, const accumulator_t<T>* mean, T* grad_residual,
                   int64_t begin, int64_t end, double* sums, double* along) {
  using A = accumulator_t<T>;
  const int64_t channels = lines.channels, length = padded<A>(lines.width()), block = kSumLines * lines.fold;
  A* sum = workspace<GradientLines, A>(2 * length);
  A* product = sum + length;
  std::fill(sums, sums + channels, 0.0);
  std::fill(along, along + channels, 0.0);
  with_masking(gradient.masking(lines), [&](auto masking) {
    for (int64_t row = begin; row < end; row += block) {
      std::fill(sum, sum + 2 * length, A(0));
      for_lines(lines, row, std::min(end, row + block), [&](int64_t at, int64_t width) {
        add_gradients<decltype(masking)::value>(gradient, x, mean, grad_residual, at, width, sum, product);
      });
      fold_line(lines, sum, sums);
      fold_line(lines, product, along);
    }
  });
}

// gradX (optional) = g scale + (x - mean) tilt + shift, or without tilt g scale; gradResidual (optional) = g.
template <class T>
struct InputGradient {
  MaskedGradient<T> gradient;
  const T* x;
  T* grad_x;         // may be gradY
  T* grad_residual;  // may be gradY
};

template <Masking M, bool Tilted, class T>
void input_gradient_as(const Lines& lines, const InputGradient<T> p, const Factors<accumulator_t<T>> factors, int64_t begin,
                       int64_t end) {
  using A = accumulator_t<T>;
  for_lines(lines, begin, end, [&](int64_t at, int64_t width) {
    for_vectors<A>(width, [&](int64_t v, auto lanes) {
      Vec<A> g = p.gradient.template load<M>(at + v, lanes);
      if (p.grad_residual != nullptr) store_wide_some(p.grad_residual + at + v, g, lanes);
      if (p.grad_x == nullptr) return;
      Vec<A> value = g * load(factors.scale + v);
      if constexpr (Tilted) {
        Vec<A> distance = load_wide_some(p.x + at + v, lanes) - load(factors.mean + v);
        value += fma(distance, load(factors.tilt + v), load(factors.shift + v));
      }
      store_wide_some(p.grad_x + at + v, value, lanes);
    });
  });
}

template <class T>
void input_gradient(const Lines& lines, const InputGradient<T>& p, const Factors<accumulator_t<T>>& factors, int64_t begin,
                    int64_t end) {
  with_masking(p.gradient.masking(lines), [&](auto masking) {
    with_flags(
        [&](auto tilted) { input_gradient_as<decltype(masking)::value, decltype(tilted)::value>(lines, p, factors, begin, end); },
        factors.tilt != nullptr && p.grad_x != nullptr);
  });
}

}  // namespace gradus::cpu
