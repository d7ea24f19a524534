// Cross-entropy forward, backward and fused against naive loops in float64.

#include "gradus/loss.h"

#include <limits>

#include "kernels/arrays.h"

using namespace gradus;
using namespace test;

namespace {

constexpr double kInf = std::numeric_limits<double>::infinity();
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr int64_t kIgnored = -100;

template <class T>
struct Case {
  using A = accumulator_t<T>;
  int64_t rows, classes;
  Array<T> logits;
  Array<int64_t> target;
  Array<A> weight;
  bool weighted;
  double smoothing;

  Case(int64_t rows, int64_t classes, bool weighted, double smoothing)
      : rows(rows), classes(classes), logits(Array<T>::random(rows * classes, 61, -6, 6)), target(rows),
        weight(Array<A>::random(classes, 62, 0.25, 2)), weighted(weighted), smoothing(smoothing) {
    for (int64_t i = 0; i < rows; i++) target.set(i, double((i * 7 + classes / 2) % classes));
    if (rows > 2) target.set(rows / 2, double(kIgnored));
  }
  int64_t weights() const { return weighted ? weight.address() : 0; }
  double w(int64_t c) const { return weighted ? weight[c] : 1; }
  double at(int64_t row, int64_t c) const { return logits[row * classes + c]; }
};

// What a row should give.
struct Row {
  double loss = 0, weight = 0, log_sum = 0;
  std::vector<double> slope;
};
template <class T>
Row naive_row(const Case<T>& k, int64_t row) {
  Row out;
  double top = -kInf, sum = 0, mass = 0;
  for (int64_t c = 0; c < k.classes; c++) top = std::isnan(k.at(row, c)) || std::isnan(top) ? kNan : std::max(top, k.at(row, c));
  double shift = top == -kInf ? 0 : top;
  for (int64_t c = 0; c < k.classes; c++) sum += std::exp(k.at(row, c) - shift);
  out.log_sum = std::log(sum);
  out.slope.resize(size_t(k.classes), 0.0);
  int64_t label = k.target.raw(row);
  if (label == kIgnored) return out;
  bool valid = label >= 0 && label < k.classes;
  out.weight = valid ? k.w(label) : kNan;
  std::vector<double> q(size_t(k.classes), 0.0);
  for (int64_t c = 0; c < k.classes; c++) {
    q[size_t(c)] = k.smoothing == 0 ? 0 : k.smoothing / double(k.classes) * k.w(c);
    if (c == label || !valid) q[size_t(c)] += (1 - k.smoothing) * out.weight;
    mass += q[size_t(c)];
  }
  for (int64_t c = 0; c < k.classes; c++) {
    double distance = out.log_sum - (k.at(row, c) - shift), p = std::exp(-distance);
    if (q[size_t(c)] != 0) out.loss += q[size_t(c)] * distance;
    out.slope[size_t(c)] = p * mass - q[size_t(c)];
  }
  return out;
}

template <class T>
void check(const Case<T>& k) {
  using A = accumulator_t<T>;
  double exact = sizeof(A) == 8 ? 1e-13 : 3e-6, rounded = sizeof(T) == 8 ? 1e-13 : unit<T>() + 3e-6;
  double least = std::is_same_v<T, float16> ? 0x1p-24 : 0;  // half of a subnormal step, and the exponential's part
  double scale = 0.75;
  Array<A> loss(k.rows, 9), row_weight(k.rows, 9), log_sum(k.rows, 9), grad_loss = Array<A>::random(k.rows, 63, 0.5, 1.5),
      grad_scale(1, scale);
  Array<T> grad(k.rows * k.classes, 9), over = k.logits, fused = k.logits;
  CALL(gr_cross_entropy_forward(k.logits.address(), k.target.address(), k.weights(), loss.address(), row_weight.address(),
                                log_sum.address(), k.rows, k.classes, k.smoothing, kIgnored, grad.dtype(), 0));
  CALL(gr_cross_entropy_backward(grad_loss.address(), k.logits.address(), log_sum.address(), k.target.address(), k.weights(),
                                 grad.address(), k.rows, k.classes, k.smoothing, kIgnored, grad.dtype(), 0));
  CALL(gr_cross_entropy_backward(grad_loss.address(), over.address(), log_sum.address(), k.target.address(), k.weights(),
                                 over.address(), k.rows, k.classes, k.smoothing, kIgnored, grad.dtype(), 0));
  Array<A> fused_loss(k.rows, 9), fused_weight(k.rows, 9);
  CALL(gr_cross_entropy_fused(fused.address(), k.target.address(), k.weights(), fused_loss.address(), fused_weight.address(),
                              grad_scale.address(), k.rows, k.classes, k.smoothing, kIgnored, grad.dtype(), 0));
  for (int64_t row = 0; row < k.rows; row++) {
    Row expected = naive_row(k, row);
    CHECK_NEAR(loss[row], expected.loss, exact, exact);
    CHECK_NEAR(fused_loss[row], expected.loss, exact, exact);
    CHECK_NEAR(row_weight[row], expected.weight, exact, 0);
    CHECK_NEAR(fused_weight[row], expected.weight, exact, 0);
    CHECK_NEAR(log_sum[row], expected.log_sum, exact, exact);
    for (int64_t c = 0; c < k.classes; c++) {
      int64_t at = row * k.classes + c;
      double slope = expected.slope[size_t(c)];
      CHECK_NEAR(grad[at], grad_loss[row] * slope, rounded, exact + least);
      CHECK_NEAR(fused[at], scale * slope, rounded, exact + least);
      CHECK(over[at] == grad[at] || (std::isnan(over[at]) && std::isnan(grad[at])));
    }
  }
}

// Few lanes, a warp with several packs, a block.
template <class T>
void check_sizes() {
  for (int64_t classes : {1, 2, 10, 33, 100, 500, 1001}) {
    int64_t rows = classes < 20 ? 37 : 3;
    check(Case<T>(rows, classes, false, 0));
    check(Case<T>(rows, classes, true, 0));
    check(Case<T>(rows, classes, false, 0.1));
    check(Case<T>(rows, classes, true, 0.2));
  }
}
TEST(cross_entropy_of_float32) { check_sizes<float>(); }
TEST(cross_entropy_of_float64) { check_sizes<double>(); }
TEST(cross_entropy_of_bfloat16) { check_sizes<bfloat16>(); }
TEST(cross_entropy_of_float16) { check_sizes<float16>(); }

TEST(large_vocabularies) {
  check(Case<float>(2, 4001, false, 0));     // a block
  check(Case<float>(1, 10001, true, 0.1));   // a large block
  check(Case<float>(1, 26001, false, 0));    // beyond the cache
  check(Case<double>(1, 13001, true, 0.1));
  check(Case<bfloat16>(1, 50257, false, 0));
  check(Case<float16>(1, 20011, true, 0.3));
}

TEST(labels_in_every_place) {
  for (int64_t label = 0; label < 37; label++) {
    Case<float> k(2, 37, true, 0);
    k.target.set(0, double(label));
    k.target.set(1, double(36 - label));
    check(k);
  }
}

TEST(labels_that_are_no_class) {
  for (double smoothing : {0.0, 0.1}) {
    for (double label : {-1.0, 10.0, 1e15}) {
      Case<float> k(2, 10, false, smoothing);
      k.target.set(1, label);
      check(k);
    }
  }
}

TEST(ignored_rows_are_zero_whatever_they_hold) {
  for (double smoothing : {0.0, 0.1}) {
    Case<float> k(3, 40, false, smoothing);
    k.logits.set(40, kNan);
    Array<float> loss(3), row_weight(3), grad = k.logits;
    CALL(gr_cross_entropy_fused(grad.address(), k.target.address(), 0, loss.address(), row_weight.address(), 0, 3, 40, smoothing,
                                kIgnored, GR_FLOAT32, 0));
    CHECK_EQUAL(loss[1], 0.0);
    CHECK_EQUAL(row_weight[1], 0.0);
    for (int64_t c = 0; c < 40; c++) CHECK_EQUAL(grad[40 + c], 0.0);
    Row expected = naive_row(k, 0);
    for (int64_t c = 0; c < 40; c++) CHECK_NEAR(grad[c], expected.slope[size_t(c)], 1e-5, 1e-6);  // absent scale: 1
  }
}

TEST(not_finite_logits) {
  for (int64_t classes : {int64_t(12), int64_t(700)}) {
    Case<float> k(2, classes, false, 0);
    k.logits.set(3, kNan);
    k.logits.set(classes + 1, -kInf);  // a masked class has probability 0
    k.logits.set(classes + 3, 3e38);
    check(k);
    Case<float> infinite(1, classes, false, 0);
    infinite.logits.set(classes - 1, kInf);
    check(infinite);
  }
  Case<float> masked_label(1, 12, false, 0);
  masked_label.logits.set(masked_label.target.raw(0), -kInf);
  check(masked_label);
}

TEST(small_losses_keep_their_digits) {
  Case<float> k(1, 64, false, 0);
  for (int64_t c = 0; c < 64; c++) k.logits.set(c, c == k.target.raw(0) ? 1000 : 985);
  Row expected = naive_row(k, 0);
  Array<float> loss(1), row_weight(1), log_sum(1);
  CALL(gr_cross_entropy_forward(k.logits.address(), k.target.address(), 0, loss.address(), row_weight.address(),
                                log_sum.address(), 1, 64, 0, kIgnored, GR_FLOAT32, 0));
  CHECK_NEAR(loss[0], expected.loss, 5e-2, 0);  // log(1 + 1.9e-5) of a float32 sum
}

TEST(unaligned_logits) {
  int64_t rows = 3, classes = 150;
  Case<bfloat16> k(rows, classes, false, 0);
  Array<bfloat16> moved(rows * classes + 1), grad = k.logits;
  for (int64_t i = 0; i < rows * classes; i++) moved.set(i + 1, k.logits[i]);
  Array<float> loss(rows), row_weight(rows), moved_loss(rows);
  CALL(gr_cross_entropy_fused(grad.address(), k.target.address(), 0, loss.address(), row_weight.address(), 0, rows, classes, 0,
                              kIgnored, GR_BFLOAT16, 0));
  CALL(gr_cross_entropy_fused(moved.address() + 2, k.target.address(), 0, moved_loss.address(), row_weight.address(), 0, rows,
                              classes, 0, kIgnored, GR_BFLOAT16, 0));
  for (int64_t i = 0; i < rows * classes; i++) CHECK_EQUAL(moved[i + 1], grad[i]);
  for (int64_t i = 0; i < rows; i++) CHECK_EQUAL(moved_loss[i], loss[i]);
}

TEST(nothing_and_unknown_types) {
  CALL(gr_cross_entropy_forward(0, 0, 0, 0, 0, 0, 0, 5, 0, kIgnored, GR_FLOAT32, 0));
  CALL(gr_cross_entropy_backward(0, 0, 0, 0, 0, 0, 0, 5, 0, kIgnored, GR_FLOAT16, 0));
  CALL(gr_cross_entropy_fused(0, 0, 0, 0, 0, 0, 0, 5, 0, kIgnored, GR_FLOAT64, 0));
  CHECK_EQUAL(gr_cross_entropy_forward(0, 0, 0, 0, 0, 0, 1, 5, 0, kIgnored, GR_INT64, 0), int(GR_UNSUPPORTED));
}

}  // namespace
