package io.gradus.benchmarks.kernels;

import static io.gradus.benchmarks.kernels.CaseMaker.by;

import io.gradus.core.DType;

/** Softmax of rows and cross-entropy, forward, gradient, and both together; losses are float32. */
final class LossCases {
  private static final DType F32 = DType.FLOAT32;

  private LossCases() {}

  /** Softmax of each row, and its gradient. */
  static void softmax(CaseMaker to, long rows, long cols) {
    DType dtype = to.dtype();
    long n = rows * cols;
    to.add(
        "softmax",
        by(rows, cols),
        5.0 * n,
        2.0 * n,
        0,
        bench -> {
          var x = bench.normal(dtype, n);
          var y = bench.empty(dtype, n);
          return () -> bench.backend().softmaxForward(x, y, rows, cols, 1);
        },
        "softmax",
        rows,
        cols);
    to.add(
        "softmax, gradient",
        by(rows, cols),
        4.0 * n,
        3.0 * n,
        0,
        bench -> {
          var g = bench.normal(dtype, n);
          var y = bench.normal(dtype, n);
          var gradX = bench.empty(dtype, n);
          return () -> bench.backend().softmaxBackward(g, y, gradX, rows, cols, 1);
        },
        "softmax_gradient",
        rows,
        cols);
  }

  /** The loss of each row, and its gradient. */
  static void crossEntropy(CaseMaker to, long rows, int classes) {
    DType dtype = to.dtype();
    long n = rows * classes;
    to.add(
        "cross-entropy",
        by(rows, classes),
        4.0 * n,
        1.0 * n,
        5.0 * rows,
        bench -> {
          var logits = bench.normal(dtype, n);
          var target = bench.labels(rows, classes);
          var loss = bench.empty(F32, rows);
          var rowWeight = bench.empty(F32, rows);
          var logSum = bench.empty(F32, rows);
          return () ->
              bench
                  .backend()
                  .crossEntropyForward(
                      logits, target, null, loss, rowWeight, logSum, rows, classes, 0, -100);
        },
        "cross_entropy",
        rows,
        classes);
    to.add(
        "cross-entropy, gradient",
        by(rows, classes),
        4.0 * n,
        2.0 * n,
        4.0 * rows,
        bench -> {
          var logits = bench.normal(dtype, n);
          var target = bench.labels(rows, classes);
          var gradLoss = bench.uniform(rows);
          var logSum = bench.uniform(rows);
          var gradX = bench.empty(dtype, n);
          return () ->
              bench
                  .backend()
                  .crossEntropyBackward(
                      gradLoss, logits, logSum, target, null, gradX, rows, classes, 0, -100);
        },
        "cross_entropy_gradient",
        rows,
        classes);
  }

  /** The loss and its gradient, which need the logits read and the gradient written. */
  static void crossEntropyAndGradient(CaseMaker to, long rows, int classes) {
    DType dtype = to.dtype();
    long n = rows * classes;
    to.add(
        "cross-entropy and gradient",
        by(rows, classes),
        8.0 * n,
        2.0 * n,
        5.0 * rows,
        bench -> {
          var logits = bench.normal(dtype, n);
          var target = bench.labels(rows, classes);
          var loss = bench.empty(F32, rows);
          var rowWeight = bench.empty(F32, rows);
          var logSum = bench.empty(F32, rows);
          var gradLoss = bench.uniform(rows);
          var gradX = bench.empty(dtype, n);
          var backend = bench.backend();
          return () -> {
            backend.crossEntropyForward(
                logits, target, null, loss, rowWeight, logSum, rows, classes, 0, -100);
            backend.crossEntropyBackward(
                gradLoss, logits, logSum, target, null, gradX, rows, classes, 0, -100);
          };
        },
        "cross_entropy_both",
        rows,
        classes);
  }
}
