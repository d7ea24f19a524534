// Softmax-cross-entropy of class labels: forward, backward, and both at once in place.
//
// The smoothed part is summed as distances log_sum - (x - max) >= 0, by way of the sums of their two parts, neither of which is
// negative: the difference of two sums would cancel.
#include "gradus/loss.h"

#include "cpu/softmax_rows.h"
#include "cpu/workspace.h"

namespace gradus::cpu {
namespace {

template <class T>
struct CrossEntropy {
  using A = accumulator_t<T>;
  const int64_t* target;
  const A* weight;  // or null
  int64_t classes, ignored;
  A hard, soft;  // 1 - s, s / classes
  A weights;     // their sum; needed where labels are smoothed

  CrossEntropy(int64_t target_at, int64_t weight_at, int64_t classes, double smoothing, int64_t ignored)
      : target(pointer<const int64_t>(target_at)),
        weight(pointer<const A>(weight_at)),
        classes(classes),
        ignored(ignored),
        hard(A(1 - smoothing)),
        soft(A(smoothing / double(classes))),
        weights(A(classes)) {
    if (weight == nullptr || soft == 0) return;
    double sum = 0;
    for (int64_t c = 0; c < classes; c++) sum += double(weight[c]);
    weights = A(sum);
  }

  A weight_of(int64_t c) const { return weight == nullptr ? A(1) : weight[c]; }

  // The sum of w[c] (shift - x[c]).
  A weighted_depths(const T* x, A shift) const {
    if constexpr (kInFloats<T>) {
      return sum_along(classes, [&](int64_t i, int lanes) {
        Floats depth = fill_rest(shift - load_floats_some(x + i, lanes), lanes, 0);
        return weight == nullptr ? depth : depth * load_some(weight + i, lanes);
      });
    } else {
      double total = 0;
      for (int64_t i = 0; i < classes; i++) total += weight_of(i) * (shift - x[i]);
      return total;
    }
  }

  // grad[c] = g (softmax(i, lanes) mass - q[c]); `at_label` is the softmax of the label's class.
  template <class F>
  GRADUS_INLINE void write_gradient(T* grad, A g, A mass, A peak, int64_t label, A at_label, F softmax) const {
    A smooth = soft;
    write_row(grad, classes, [&](int64_t i, int lanes) {
      auto share = softmax(i, lanes) * mass;
      if (smooth != 0) share = weight == nullptr ? share - smooth : share - smooth * load_lanes(weight + i, lanes);
      return share * g;
    });
    if (label >= 0) grad[label] = from_accumulator<T>(g * (at_label * mass - (peak + soft * weight_of(label))));
  }
};

// The label of a row.
template <class T>
struct Label {
  using A = accumulator_t<T>;
  bool counted;
  int64_t index;  // -1 where it is no class
  A weight;       // NaN where it is no class

  Label(const CrossEntropy<T>& p, int64_t row) {
    int64_t label = p.target[row];
    counted = label != p.ignored;
    index = counted && label >= 0 && label < p.classes ? label : -1;
    weight = index >= 0 ? p.weight_of(index) : counted ? A(NAN) : A(0);
  }
};

// The loss of a row whose logits lie `shift` below 0 and sum up to log_sum.
template <class T>
accumulator_t<T> loss_of(const CrossEntropy<T>& p, const Label<T>& label, const T* x, accumulator_t<T> shift,
                         accumulator_t<T> log_sum) {
  using A = accumulator_t<T>;
  if (!label.counted) return 0;
  A distance = label.index >= 0 ? log_sum - (to_float(x[label.index]) - shift) : A(0);
  A total = p.hard * label.weight * distance;
  if (p.soft != 0) total += p.soft * (p.weights * log_sum + p.weighted_depths(x, shift));
  return total;
}

template <class T>
void forward_row(const CrossEntropy<T>& p, const T* x, int64_t row, accumulator_t<T>* loss, accumulator_t<T>* row_weight,
                 accumulator_t<T>* log_sum) {
  using A = accumulator_t<T>;
  Label<T> label(p, row);
  A shift = softmax_shift(row_max(x, p.classes));
  A log_of_sum = std::log(sum_of_exponentials<false>(x, p.classes, shift, static_cast<A*>(nullptr)));
  loss[row] = loss_of(p, label, x, shift, log_of_sum);
  row_weight[row] = label.weight;
  log_sum[row] = log_of_sum;
}

template <class T>
void backward_row(const CrossEntropy<T>& p, const T* x, T* grad, int64_t row, accumulator_t<T> g, accumulator_t<T> log_sum) {
  using A = accumulator_t<T>;
  Label<T> label(p, row);
  if (!label.counted) {
    std::fill(grad, grad + p.classes, T{});
    return;
  }
  A shift = softmax_shift(row_max(x, p.classes)), peak = p.hard * label.weight, mass = peak + p.soft * p.weights;
  A at_label = label.index < 0 ? A(0) : std::exp(to_float(x[label.index]) - shift - log_sum);
  p.write_gradient(grad, g, mass, peak, label.index, at_label,
                   [&](int64_t i, int lanes) { return exponential(load_lanes(x + i, lanes) - shift - log_sum); });
}

template <class T>
void fused_row(const CrossEntropy<T>& p, T* x, int64_t row, accumulator_t<T> g, accumulator_t<T>* loss,
               accumulator_t<T>* row_weight) {
  using A = accumulator_t<T>;
  Label<T> label(p, row);
  row_weight[row] = label.weight;
  if (!label.counted) {
    loss[row] = 0;
    std::fill(x, x + p.classes, T{});
    return;
  }
  A shift = softmax_shift(row_max(x, p.classes));
  A own = label.index < 0 ? A(0) : to_float(x[label.index]);
  // Floats keep their exponentials where the gradient will stand; what the loss needs of the logits is read before.
  A depths = p.soft != 0 ? p.weighted_depths(x, shift) : A(0);
  A* e;
  if constexpr (std::is_same_v<T, A>) {
    e = x;
  } else {
    struct Exponentials;
    e = workspace<Exponentials, A>(p.classes);
  }
  A sum = sum_of_exponentials<true>(x, p.classes, shift, e), log_sum = std::log(sum), inverse = 1 / sum;
  A peak = p.hard * label.weight, mass = peak + p.soft * p.weights;
  A total = peak * (label.index < 0 ? A(0) : log_sum - (own - shift));
  loss[row] = p.soft != 0 ? total + p.soft * (p.weights * log_sum + depths) : total;
  A at_label = label.index < 0 ? A(0) : e[label.index] * inverse;
  p.write_gradient(x, g, mass, peak, label.index, at_label,
                   [&](int64_t i, int lanes) { return load_lanes(e + i, lanes) * inverse; });
}

template <class F>
void for_rows(int64_t rows, int64_t classes, F f) {
  parallel_for(rows, rows_worth_a_chunk(classes), [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; row++) f(row);
  });
}

}  // namespace
}  // namespace gradus::cpu

using namespace gradus;

extern "C" {

int gr_cross_entropy_forward(int64_t logits, int64_t target, int64_t weight, int64_t loss, int64_t row_weight, int64_t log_sum,
                             int64_t rows, int64_t classes, double smoothing, int64_t ignored, int32_t dtype, int64_t) {
  return with_floating(dtype, [&](auto type) {
    using T = typename decltype(type)::type;
    using A = accumulator_t<T>;
    if (rows * classes == 0) return int(GR_OK);
    cpu::CrossEntropy<T> p(target, weight, classes, smoothing, ignored);
    cpu::for_rows(rows, classes, [&](int64_t row) {
      cpu::forward_row(p, pointer<const T>(logits) + row * classes, row, pointer<A>(loss), pointer<A>(row_weight),
                       pointer<A>(log_sum));
    });
    return int(GR_OK);
  });
}

int gr_cross_entropy_backward(int64_t grad_loss, int64_t logits, int64_t log_sum, int64_t target, int64_t weight,
                              int64_t grad_logits, int64_t rows, int64_t classes, double smoothing, int64_t ignored,
                              int32_t dtype, int64_t) {
  return with_floating(dtype, [&](auto type) {
    using T = typename decltype(type)::type;
    using A = accumulator_t<T>;
    if (rows * classes == 0) return int(GR_OK);
    cpu::CrossEntropy<T> p(target, weight, classes, smoothing, ignored);
    cpu::for_rows(rows, classes, [&](int64_t row) {
      int64_t at = row * classes;
      cpu::backward_row(p, pointer<const T>(logits) + at, pointer<T>(grad_logits) + at, row, pointer<const A>(grad_loss)[row],
                        pointer<const A>(log_sum)[row]);
    });
    return int(GR_OK);
  });
}

int gr_cross_entropy_fused(int64_t logits, int64_t target, int64_t weight, int64_t loss, int64_t row_weight, int64_t grad_scale,
                           int64_t rows, int64_t classes, double smoothing, int64_t ignored, int32_t dtype, int64_t) {
  return with_floating(dtype, [&](auto type) {
    using T = typename decltype(type)::type;
    using A = accumulator_t<T>;
    if (rows * classes == 0) return int(GR_OK);
    cpu::CrossEntropy<T> p(target, weight, classes, smoothing, ignored);
    A g = grad_scale == 0 ? A(1) : *pointer<const A>(grad_scale);
    cpu::for_rows(rows, classes, [&](int64_t row) {
      cpu::fused_row(p, pointer<T>(logits) + row * classes, row, g, pointer<A>(loss), pointer<A>(row_weight));
    });
    return int(GR_OK);
  });
}

}  // extern "C"
