// Group and instance normalisation: every sample is a matrix [positions, channels] whose columns' moments and sums are combined
// by groups. A sample that is one chunk is worked on by one thread from beginning to end, while it is in the cache; larger ones
// are shared, in phases.
#include "cpu/norm_totals.h"
#include "gradus/norm.h"

namespace gradus::cpu {
namespace {

struct Extent {
  int64_t samples, positions, channels, groups;
  int64_t matrix() const { return positions * channels; }
  int64_t size() const { return channels / groups; }
  // Samples of a task where each is one chunk.
  int64_t together() const { return chunk_size(samples, divide_up(kChunkElements, std::max<int64_t>(1, matrix()))); }
};

// The doubles of the partial results: for each chunk and each sample where samples are shared, else for each task; and for the
// total.
template <class T>
int64_t scratch_doubles(const Extent& e) {
  if (e.samples * e.channels == 0) return 2 * e.channels;
  const int64_t chunks = SumChunks(lines_of<accumulator_t<T>>(e.channels), e.positions).count;
  const int64_t entries = chunks > 1 ? e.samples * (chunks + 1) : divide_up(e.samples, e.together());
  return 2 * e.channels * (entries + 1);
}

int64_t scratch_of(const Extent& e, int32_t dtype) {
  int64_t bytes = 0;
  with_floating(dtype, [&](auto type) {
    bytes = scratch_doubles<typename decltype(type)::type>(e) * int64_t(sizeof(double));
    return int(GR_OK);
  });
  return bytes;
}

struct SampleFactors;
struct SampleTotals;

template <class T>
class GroupNorm {
 public:
  using A = accumulator_t<T>;
  explicit GroupNorm(const Extent& e) : e_(e), lines_(lines_of<A>(e.channels)), chunks_(lines_, e.positions) {}

 protected:
  // Calls f(first sample, last sample, task) where samples are not shared.
  template <class F>
  void for_samples(F&& f) const {
    const int64_t together = e_.together();
    parallel_chunks(divide_up(e_.samples, together), [&](int64_t task) {
      f(task * together, std::min(e_.samples, (task + 1) * together), task);
    });
  }
  // Calls f(sample, begin, end, chunk) for the chunks of all samples.
  template <class F>
  void for_parts(F&& f) const {
    parallel_chunks(e_.samples * chunks_.count, [&](int64_t i) {
      int64_t chunk = i % chunks_.count;
      f(i / chunks_.count, chunks_.begin(chunk), chunks_.end(chunk), chunk);
    });
  }
  double* part(double* parts, int64_t sample, int64_t chunk) const {
    return parts + (sample * chunks_.count + chunk) * 2 * e_.channels;
  }
  Factors<A> factors(bool tilted) const {
    const int64_t length = padded<A>(lines_.width());
    return {workspace<SampleFactors, A>(Factors<A>::kLines * length), length, tilted};
  }

  Extent e_;
  Lines lines_;
  SumChunks chunks_;
};

template <class T>
class Forward : GroupNorm<T> {
 public:
  using A = accumulator_t<T>;
  Forward(const Extent& e, const Normalise<T>& p, A* mean, A* inv_std, double eps)
      : GroupNorm<T>(e), p_(p), mean_(mean), inv_std_(inv_std), eps_(eps) {}
  Weights<T> weight{}, bias{};

  void run(double* scratch) const {
    const int64_t channels = this->e_.channels;
    if (this->chunks_.count <= 1) {
      return this->for_samples([&](int64_t first, int64_t last, int64_t) {
        double* moments = workspace<SampleTotals, double>(2 * channels);
        for (int64_t s = first; s < last; s++) {
          if (this->e_.positions > 0) {
            column_moments(this->lines_, p_.x + s * this->e_.matrix(), this->e_.positions, moments, moments + channels);
          }
          finish(s, moments);
          normalise(s, 0, this->e_.positions);
        }
      });
    }
    this->for_parts([&](int64_t s, int64_t begin, int64_t end, int64_t chunk) {
      double* moments = this->part(scratch, s, chunk);
      column_moments(this->lines_, p_.x + s * this->e_.matrix() + begin * channels, end - begin, moments, moments + channels);
    });
    parallel_chunks(this->e_.samples, [&](int64_t s) {
      double* moments = workspace<SampleTotals, double>(2 * channels);
      total_moments(this->part(scratch, s, 0), this->chunks_, channels, 0, channels, moments, moments + channels);
      finish(s, moments);
    });
    this->for_parts([&](int64_t s, int64_t begin, int64_t end, int64_t) { normalise(s, begin, end); });
  }

 private:
  // Mean and deviation of a sample's groups from its columns' moments.
  void finish(int64_t sample, const double* moments) const {
    const int64_t size = this->e_.size();
    const auto rows = double(this->e_.positions);
    for (int64_t g = 0; g < this->e_.groups; g++) {
      const double *mean = moments + g * size, *squares = mean + this->e_.channels;
      double center = 0, total = 0;
      if (rows == 0) {
        center = total = std::nan("");  // of nothing
      } else {
        for (int64_t k = 0; k < size; k++) center += mean[k] / double(size);
        for (int64_t k = 0; k < size; k++) total += squares[k] + rows * (mean[k] - center) * (mean[k] - center);
      }
      mean_[sample * this->e_.groups + g] = A(center);
      inv_std_[sample * this->e_.groups + g] = inverse_root<A>(total / (rows * double(size)), eps_);
    }
  }

  void normalise(int64_t sample, int64_t begin, int64_t end) const {
    if (begin == end) return;
    auto factors = this->factors(false);
    const int64_t size = this->e_.size();
    for (int64_t g = 0; g < this->e_.groups; g++) {
      const A mean = mean_[sample * this->e_.groups + g], inv_std = inv_std_[sample * this->e_.groups + g];
      for (int64_t k = g * size; k < (g + 1) * size; k++) {
        factors.mean[k] = mean;
        factors.scale[k] = inv_std * weight.at(k, A(1));
        factors.shift[k] = bias.at(k, A(0));
      }
    }
    factors.repeat_all(this->lines_);
    const int64_t offset = sample * this->e_.matrix();
    normalise_rows(this->lines_, Normalise<T>{p_.x + offset, nullptr, p_.y + offset, nullptr, false}, factors, begin, end);
  }

  Normalise<T> p_;
  A *mean_, *inv_std_;
  double eps_;
};

template <class T>
class Backward : GroupNorm<T> {
 public:
  using A = accumulator_t<T>;
  Backward(const Extent& e, const T* grad_y, const T* x, T* grad_x, const A* mean, const A* inv_std)
      : GroupNorm<T>(e), grad_y_(grad_y), x_(x), grad_x_(grad_x), mean_(mean), inv_std_(inv_std) {}
  Weights<T> weight{};
  WeightsOut<T> grad_weight{}, grad_bias{};

  void run(double* scratch) const {
    const int64_t channels = this->e_.channels;
    double *total = scratch, *entries = scratch + 2 * channels;
    int64_t count = 0;
    if (this->e_.samples == 0 || this->e_.positions == 0) {
      // sums of nothing
    } else if (this->chunks_.count == 1) {
      count = divide_up(this->e_.samples, this->e_.together());
      this->for_samples([&](int64_t first, int64_t last, int64_t task) {
        double *sums = workspace<SampleTotals, double>(2 * channels), *entry = entries + task * 2 * channels;
        std::fill(entry, entry + 2 * channels, 0.0);
        for (int64_t s = first; s < last; s++) {
          sum(s, 0, this->e_.positions, sums);
          scale(s, sums);
          for (int64_t i = 0; i < 2 * channels; i++) entry[i] += sums[i];
          differentiate(s, 0, this->e_.positions, sums);
        }
      });
    } else {
      count = this->e_.samples;
      double* parts = entries + count * 2 * channels;
      this->for_parts([&](int64_t s, int64_t begin, int64_t end, int64_t chunk) {
        sum(s, begin, end, this->part(parts, s, chunk));
      });
      parallel_chunks(count, [&](int64_t s) {
        total_sums(this->part(parts, s, 0), this->chunks_.count, channels, 0, channels, entries + s * 2 * channels);
        scale(s, entries + s * 2 * channels);
      });
      this->for_parts([&](int64_t s, int64_t begin, int64_t end, int64_t) {
        differentiate(s, begin, end, entries + s * 2 * channels);
      });
    }
    total_sums(entries, count, channels, 0, channels, total);
    for (int64_t k = 0; k < channels; k++) {
      grad_bias.set(k, A(total[k]));
      grad_weight.set(k, A(total[channels + k]));
    }
  }

 private:
  // Calls f(group's index, channel) for the channels of a sample.
  template <class F>
  void for_channels(int64_t sample, F&& f) const {
    const int64_t size = this->e_.size();
    for (int64_t g = 0; g < this->e_.groups; g++) {
      for (int64_t k = g * size; k < (g + 1) * size; k++) f(sample * this->e_.groups + g, k);
    }
  }

  void sum(int64_t sample, int64_t begin, int64_t end, double* sums) const {
    auto factors = this->factors(false);
    for_channels(sample, [&](int64_t group, int64_t k) { factors.mean[k] = mean_[group]; });
    repeat(this->lines_, factors.mean);
    const int64_t offset = sample * this->e_.matrix();
    const MaskedGradient<T> gradient{grad_y_ + offset, nullptr, nullptr};
    gradient_sums<T>(this->lines_, gradient, x_ + offset, factors.mean, nullptr, begin, end, sums, sums + this->e_.channels);
  }

  // From sums of g (x - mean) to those of g n.
  void scale(int64_t sample, double* sums) const {
    for_channels(sample, [&](int64_t group, int64_t k) { sums[this->e_.channels + k] *= double(inv_std_[group]); });
  }

  void differentiate(int64_t sample, int64_t begin, int64_t end, const double* sums) const {
    if (grad_x_ == nullptr) return;
    auto factors = this->factors(true);
    const int64_t size = this->e_.size();
    const auto values = double(this->e_.positions * size);
    for (int64_t g = 0; g < this->e_.groups; g++) {
      const double inv_std = double(inv_std_[sample * this->e_.groups + g]);
      double level = 0, slope = 0;
      for (int64_t k = g * size; k < (g + 1) * size; k++) {
        const auto w = double(weight.at(k, A(1)));
        level += w * sums[k];
        slope += w * sums[this->e_.channels + k];
      }
      for (int64_t k = g * size; k < (g + 1) * size; k++) {
        factors.mean[k] = mean_[sample * this->e_.groups + g];
        factors.scale[k] = A(inv_std * double(weight.at(k, A(1))));
        factors.tilt[k] = A(-slope / values * inv_std * inv_std);
        factors.shift[k] = A(-level / values * inv_std);
      }
    }
    factors.repeat_all(this->lines_);
    const int64_t offset = sample * this->e_.matrix();
    const InputGradient<T> pass{{grad_y_ + offset, nullptr, nullptr}, x_ + offset, grad_x_ + offset, nullptr};
    input_gradient(this->lines_, pass, factors, begin, end);
  }

  const T *grad_y_, *x_;
  T* grad_x_;
  const A *mean_, *inv_std_;
};

}  // namespace
}  // namespace gradus::cpu

using namespace gradus;
using namespace gradus::cpu;

extern "C" int64_t gr_group_norm_forward_scratch(int64_t samples, int64_t positions, int64_t channels, int64_t groups,
                                                 int32_t dtype, int64_t) {
  return scratch_of({samples, positions, channels, groups}, dtype);
}

extern "C" int64_t gr_group_norm_backward_scratch(int64_t samples, int64_t positions, int64_t channels, int64_t groups,
                                                  int32_t dtype, int64_t) {
  return scratch_of({samples, positions, channels, groups}, dtype);
}

extern "C" int gr_group_norm_forward(int64_t x, int64_t weight, int64_t bias, int64_t y, int64_t mean, int64_t inv_std,
                                     int64_t scratch, int64_t scratch_bytes, int64_t samples, int64_t positions, int64_t channels,
                                     int64_t groups, double eps, int32_t dtype, int32_t weight_dtype, int32_t bias_dtype, int64_t) {
  if (samples * channels == 0) return GR_OK;
  const Extent e{samples, positions, channels, groups};
  return with_floating(dtype, [&](auto type) {
    using T = typename decltype(type)::type;
    using A = accumulator_t<T>;
    const int64_t needed = scratch_of(e, dtype);
    if (scratch_bytes < needed) return too_little_scratch("groupNorm", needed, scratch_bytes);
    const Normalise<T> p{pointer<const T>(x), nullptr, pointer<T>(y), nullptr, false};
    Forward<T> norm(e, p, pointer<A>(mean), pointer<A>(inv_std), eps);
    if (!typed<T>(weight, weight_dtype, norm.weight) || !typed<T>(bias, bias_dtype, norm.bias)) return int(GR_UNSUPPORTED);
    norm.run(pointer<double>(scratch));
    return int(GR_OK);
  });
}

extern "C" int gr_group_norm_backward(int64_t grad_y, int64_t x, int64_t mean, int64_t inv_std, int64_t weight, int64_t grad_x,
                                      int64_t grad_weight, int64_t grad_bias, int64_t scratch, int64_t scratch_bytes,
                                      int64_t samples, int64_t positions, int64_t channels, int64_t groups, int32_t dtype,
                                      int32_t weight_dtype, int32_t bias_dtype, int64_t) {
  if (channels == 0) return GR_OK;
  const Extent e{samples, positions, channels, groups};
  return with_floating(dtype, [&](auto type) {
    using T = typename decltype(type)::type;
    using A = accumulator_t<T>;
    const int64_t needed = scratch_of(e, dtype);
    if (scratch_bytes < needed) return too_little_scratch("groupNorm", needed, scratch_bytes);
    Backward<T> norm(e, pointer<const T>(grad_y), pointer<const T>(x), pointer<T>(grad_x), pointer<const A>(mean),
                     pointer<const A>(inv_std));
    if (!typed<T>(weight, weight_dtype, norm.weight) || !typed<T>(grad_weight, weight_dtype, norm.grad_weight) ||
        !typed<T>(grad_bias, bias_dtype, norm.grad_bias)) {
      return int(GR_UNSUPPORTED);
    }
    norm.run(pointer<double>(scratch));
    return int(GR_OK);
  });
}
