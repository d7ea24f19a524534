#include "gradus/loss.h"

#include "cpu/threads.h"
#include "kernels/arrays.h"

using namespace gradus;
using test::Array;

namespace {

template <class F>
void for_floats(F f) {
  f(float{}), f(double{}), f(bfloat16{}), f(float16{});
}

template <class A>
Array<int64_t> labels(int64_t rows, int64_t classes, A ignored) {
  Array<int64_t> out(rows);
  auto* p = reinterpret_cast<int64_t*>(uintptr_t(out.address()));
  for (int64_t i = 0; i < rows; i++) p[i] = i % 5 == 3 ? int64_t(ignored) : i * 7 % classes;
  return out;
}

// One row by the definition.
struct Row {
  double loss = 0, log_sum = 0, weight = 0;
  std::vector<double> gradient;

  template <class T, class A>
  Row(const Array<T>& x, int64_t row, int64_t classes, int64_t label, bool counted, const Array<A>* w, double s) {
    auto weight_of = [&](int64_t c) { return w == nullptr ? 1 : (*w)[c]; };
    auto logit = [&](int64_t c) { return x[row * classes + c]; };
    double top = -INFINITY, sum = 0, all = 0;
    for (int64_t c = 0; c < classes; c++) top = std::max(top, logit(c));
    for (int64_t c = 0; c < classes; c++) sum += std::exp(logit(c) - top);
    log_sum = std::log(sum);
    gradient.assign(size_t(classes), 0);
    if (!counted) return;
    weight = weight_of(label);
    auto q = [&](int64_t c) { return (c == label ? (1 - s) * weight : 0) + s / double(classes) * weight_of(c); };
    for (int64_t c = 0; c < classes; c++) {
      loss += q(c) * (log_sum - (logit(c) - top));
      all += q(c);
    }
    for (int64_t c = 0; c < classes; c++) gradient[size_t(c)] = std::exp(logit(c) - top - log_sum) * all - q(c);
  }
};

}  // namespace

TEST(cross_entropy_forward_backward_and_fused) {
  for_floats([](auto type) {
    using T = decltype(type);
    using A = accumulator_t<T>;
    constexpr double kExact = sizeof(T) == 8 ? 1e-13 : 2e-6;
    for (int64_t classes : {1, 5, 8, 31, 1000}) {
      int64_t rows = 9, n = rows * classes, ignored = -100;
      auto x = Array<T>::random(n, 3, -8, 8);
      auto target = labels(rows, classes, ignored);
      auto weight = Array<A>::random(classes, 5, 0.5, 2);
      for (double smoothing : {0.0, 0.1}) {
        for (bool weighted : {false, true}) {
          int64_t w = weighted ? weight.address() : 0;
          Array<A> loss(rows), row_weight(rows), log_sum(rows), g(rows, 0.5), fused_loss(rows), fused_weight(rows), scale(1, 0.5);
          CALL(gr_cross_entropy_forward(x.address(), target.address(), w, loss.address(), row_weight.address(), log_sum.address(),
                                        rows, classes, smoothing, ignored, x.dtype(), 0));
          Array<T> gradient(n), fused = x;
          CALL(gr_cross_entropy_backward(g.address(), x.address(), log_sum.address(), target.address(), w, gradient.address(), rows,
                                         classes, smoothing, ignored, x.dtype(), 0));
          CALL(gr_cross_entropy_fused(fused.address(), target.address(), w, fused_loss.address(), fused_weight.address(),
                                      scale.address(), rows, classes, smoothing, ignored, x.dtype(), 0));
          for (int64_t i = 0; i < rows; i++) {
            Row row(x, i, classes, target.raw(i), target.raw(i) != ignored, weighted ? &weight : nullptr, smoothing);
            CHECK_NEAR(loss[i], row.loss, kExact, kExact);
            CHECK_NEAR(fused_loss[i], row.loss, kExact, kExact);
            CHECK_NEAR(log_sum[i], row.log_sum, kExact, kExact);
            CHECK(row_weight[i] == row.weight && fused_weight[i] == row.weight);
            for (int64_t c = 0; c < classes; c++) {
              double expected = 0.5 * row.gradient[size_t(c)];
              CHECK_NEAR(gradient[i * classes + c], expected, test::unit<T>(), kExact);
              CHECK_NEAR(fused[i * classes + c], expected, test::unit<T>(), kExact);
            }
          }
        }
      }
    }
  });
}

TEST(labels_that_are_no_class_give_nan) {
  int64_t classes = 20;
  auto x = Array<float>::random(2 * classes, 3);
  Array<int64_t> target(2, 20);
  Array<float> loss(2), weight(2), log_sum(2), g(2, 1), gradient(2 * classes);
  CALL(gr_cross_entropy_forward(x.address(), target.address(), 0, loss.address(), weight.address(), log_sum.address(), 2, classes,
                                0, -1, GR_FLOAT32, 0));
  CALL(gr_cross_entropy_backward(g.address(), x.address(), log_sum.address(), target.address(), 0, gradient.address(), 2, classes,
                                 0, -1, GR_FLOAT32, 0));
  CHECK(std::isnan(loss[1]) && std::isnan(weight[0]) && std::isnan(gradient[7]));
  CALL(gr_cross_entropy_fused(x.address(), target.address(), 0, loss.address(), weight.address(), 0, 2, classes, 0, -1,
                              GR_FLOAT32, 0));
  CHECK(std::isnan(loss[0]) && std::isnan(x[9]));
}

TEST(cross_entropy_is_the_same_for_all_threads) {
  int64_t rows = 700, classes = 90;
  auto x = Array<float>::random(rows * classes, 3, -4, 4);
  auto target = labels(rows, classes, -1);
  CHECK(test::same_for_all_threads([&] {
    auto y = x;
    Array<float> loss(rows), weight(rows);
    CALL(gr_cross_entropy_fused(y.address(), target.address(), 0, loss.address(), weight.address(), 0, rows, classes, 0.1, -1,
                                GR_FLOAT32, 0));
    return test::bytes_of(y);
  }));
}
