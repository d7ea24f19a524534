package io.gradus.benchmarks.kernels;

import static io.gradus.benchmarks.kernels.CaseMaker.by;

import io.gradus.backend.Activation;
import io.gradus.backend.BatchNormShape;
import io.gradus.backend.RowNormShape;
import io.gradus.core.DType;

/**
 * Normalization of batches and of layers, forward and gradient; statistics and parameters are
 * float32 beside 16-bit types.
 */
final class NormCases {
  private static final DType F32 = DType.FLOAT32;

  private NormCases() {}

  /** Of the columns, over all rows. */
  static void batch(CaseMaker to, long rows, long channels, Activation activation) {
    DType dtype = to.dtype();
    long n = rows * channels;
    var shape = new BatchNormShape(rows, channels, true, 0.1, 1e-5, activation);
    var plain = new BatchNormShape(rows, channels, true, 0.1, 1e-5, Activation.NONE);
    to.add(
        activation == Activation.RELU ? "batch, ReLU" : "batch",
        by(rows, channels),
        8.0 * n,
        2.0 * n,
        4.0 * channels,
        bench -> {
          var x = bench.normal(dtype, n);
          var y = bench.empty(dtype, n);
          var mean = bench.empty(F32, channels);
          var invStd = bench.empty(F32, channels);
          var weight = bench.uniform(channels);
          var bias = bench.normal(F32, channels);
          return () ->
              bench
                  .backend()
                  .batchNormForward(
                      x, weight, bias, null, y, null, mean, invStd, null, null, shape);
        },
        "batch_norm",
        rows,
        channels,
        activation);
    to.add(
        "batch, gradient",
        by(rows, channels),
        10.0 * n,
        3.0 * n,
        5.0 * channels,
        bench -> {
          var x = bench.normal(dtype, n);
          var g = bench.normal(dtype, n);
          var gradX = bench.empty(dtype, n);
          var mean = bench.normal(F32, channels);
          var invStd = bench.uniform(channels);
          var weight = bench.uniform(channels);
          var gradWeight = bench.empty(F32, channels);
          var gradBias = bench.empty(F32, channels);
          return () ->
              bench
                  .backend()
                  .batchNormBackward(
                      g,
                      x,
                      null,
                      null,
                      mean,
                      invStd,
                      weight,
                      gradX,
                      gradWeight,
                      gradBias,
                      null,
                      plain);
        },
        "batch_norm_gradient",
        rows,
        channels);
  }

  /** Of each row. */
  static void layer(CaseMaker to, long rows, long cols) {
    DType dtype = to.dtype();
    long n = rows * cols;
    var shape = new RowNormShape(rows, cols, 1e-5);
    to.add(
        "layer",
        by(rows, cols),
        8.0 * n,
        2.0 * n,
        2.0 * rows + 2.0 * cols,
        bench -> {
          var x = bench.normal(dtype, n);
          var y = bench.empty(dtype, n);
          var mean = bench.empty(F32, rows);
          var invStd = bench.empty(F32, rows);
          var weight = bench.uniform(cols);
          var bias = bench.normal(F32, cols);
          return () -> bench.backend().layerNormForward(x, weight, bias, y, mean, invStd, shape);
        },
        "layer_norm",
        rows,
        cols);
    to.add(
        "layer, gradient",
        by(rows, cols),
        12.0 * n,
        3.0 * n,
        2.0 * rows + 3.0 * cols,
        bench -> {
          var x = bench.normal(dtype, n);
          var g = bench.normal(dtype, n);
          var gradX = bench.empty(dtype, n);
          var mean = bench.normal(F32, rows);
          var invStd = bench.uniform(rows);
          var weight = bench.uniform(cols);
          var gradWeight = bench.empty(F32, cols);
          var gradBias = bench.empty(F32, cols);
          return () ->
              bench
                  .backend()
                  .layerNormBackward(
                      g, x, mean, invStd, weight, gradX, gradWeight, gradBias, shape);
        },
        "layer_norm_gradient",
        rows,
        cols);
  }
}
