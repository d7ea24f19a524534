// Around an optimizer step: clipping by the norm, dynamic loss scaling, the number of the step.
#include <atomic>
#include <cmath>

#include "cpu/parallel.h"
#include "cpu/simd.h"
#include "gradus/optim.h"
#include "plugin/handle.h"
#include "plugin/types.h"

using namespace gradus;
using namespace gradus::cpu;

extern "C" int gr_clip_factor(int64_t sum_of_squares, int64_t grad_scale, int64_t factor, int64_t norm, int64_t found_inf,
                              double max_norm, double eps, int64_t) {
  const double scale = grad_scale == 0 ? 1 : double(*pointer<const float>(grad_scale));
  const double length = std::sqrt(*pointer<const double>(sum_of_squares)) * scale, limited = max_norm / (length + eps);
  if (factor != 0) *pointer<float>(factor) = limited > 1 ? 1.0f : float(limited);  // NaN is not greater
  if (norm != 0) *pointer<double>(norm) = length;
  if (found_inf != 0 && !std::isfinite(length)) *pointer<int32_t>(found_inf) = 1;
  return GR_OK;
}

extern "C" int gr_unscale_check(int64_t grad, int64_t found_inf, int64_t grad_scale, int64_t n, int32_t dtype, int64_t) {
  return with_floating(dtype, [&](auto type) {
    using T = typename decltype(type)::type;
    using A = accumulator_t<T>;
    if (n == 0) return int(GR_OK);
    const auto factor = A(*pointer<const float>(grad_scale));
    T* x = pointer<T>(grad);
    std::atomic<bool> found{false};
    constexpr int64_t kGrain = 1 << 14;
    parallel_for(n, kGrain, [&](int64_t begin, int64_t end) {
      Vec<A> bad{};  // y - y is 0 for numbers, NaN for all else
      for (int64_t i = begin; i < end; i += lanes_of<A>) {
        const int lanes = lanes_left<A>(end - i);
        Vec<A> y = load_wide_some(x + i, lanes) * factor;
        store_wide_some(x + i, y, lanes);
        if constexpr (sizeof(T) == 2) y = load_wide_some(x + i, lanes);  // it may have become infinite
        bad += y - y;
      }
      A total = sum(bad);
      if (total != total) found.store(true, std::memory_order_relaxed);
    });
    if (found) *pointer<int32_t>(found_inf) = 1;
    return int(GR_OK);
  });
}

extern "C" int gr_advance_step(int64_t step, int64_t found_inf, int64_t n, int64_t) {
  if (found_inf != 0 && *pointer<const int32_t>(found_inf) != 0) return GR_OK;
  for (int64_t i = 0; i < n; i++) pointer<int64_t>(step)[i] += 1;
  return GR_OK;
}

extern "C" int gr_loss_scale_update(int64_t scale, int64_t inverse, int64_t growth_tracker, int64_t found_inf, double growth,
                                    double backoff, int64_t interval, int64_t) {
  auto& value = *pointer<float>(scale);
  auto& tracker = *pointer<int32_t>(growth_tracker);
  if (*pointer<int32_t>(found_inf) != 0) {
    value = float(double(value) * backoff);
    tracker = 0;
  } else if (tracker + int64_t(1) >= interval) {
    const auto grown = float(double(value) * growth);
    if (std::isfinite(grown)) value = grown;
    tracker = 0;
  } else {
    tracker += 1;
  }
  *pointer<int32_t>(found_inf) = 0;
  if (inverse != 0) *pointer<float>(inverse) = float(1 / double(value));
  return GR_OK;
}
