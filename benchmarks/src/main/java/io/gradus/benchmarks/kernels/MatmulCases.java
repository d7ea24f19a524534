package io.gradus.benchmarks.kernels;

import static io.gradus.benchmarks.kernels.CaseMaker.by;

import io.gradus.backend.Activation;
import io.gradus.backend.MatmulShape;
import io.gradus.backend.ProductPrecision;
import io.gradus.core.DType;

/** Products of matrices, and of a layer with what follows it. */
final class MatmulCases {
  private MatmulCases() {}

  /** C = op(A) op(B), with C of m rows and n columns, for float32 operands as exact as told. */
  static void add(
      CaseMaker to,
      ProductPrecision precision,
      long m,
      long n,
      long k,
      boolean transA,
      boolean transB) {
    DType dtype = to.dtype();
    String letters = letters(transA, transB);
    KernelCase.Setup setup =
        bench -> {
          var a = bench.normal(dtype, m * k);
          var b = bench.normal(dtype, k * n);
          var c = bench.empty(dtype, m * n);
          MatmulShape shape = MatmulShape.of(m, n, k, transA, transB);
          return () -> {
            try (ProductPrecision.Guard g = precision.use()) {
              bench.backend().matmul(shape, a, b, c);
            }
          };
        };
    // Three products of TF32 stand for one of float32, so that is what they are compared with.
    String mode = precision == ProductPrecision.TF32 ? precision.name() : dtype.name();
    to.add(
        "matmul " + letters,
        by(m, n, k),
        precision,
        2.0 * m * n * k,
        (double) dtype.bytes() * (m * k + k * n + m * n),
        setup,
        CaseMaker.told(new Object[] {"matmul", letters, m, n, k}, mode));
  }

  /** A batch of such products of the list's type, each of its own operands. */
  static void batched(
      CaseMaker to, long batch, long m, long n, long k, boolean transA, boolean transB) {
    DType dtype = to.dtype();
    String letters = letters(transA, transB);
    MatmulShape shape = new MatmulShape(batch, m, n, k, transA, transB, m * k, k * n, false);
    to.add(
        "batched matmul " + letters,
        by(batch, m, n, k),
        2.0 * batch * m * n * k,
        1.0 * batch * (m * k + k * n + m * n),
        0,
        bench -> {
          var a = bench.normal(dtype, batch * m * k);
          var b = bench.normal(dtype, batch * k * n);
          var c = bench.empty(dtype, batch * m * n);
          return () -> bench.backend().matmul(shape, a, b, c);
        },
        "batched_matmul",
        letters,
        batch,
        m,
        n,
        k);
  }

  private static String letters(boolean transA, boolean transB) {
    return (transA ? "T" : "N") + (transB ? "T" : "N");
  }

  /** relu(x w^T + b), with w of one row for each output. */
  static void linear(CaseMaker to, long rows, long outputs, long inputs) {
    DType dtype = to.dtype();
    to.add(
        "linear, bias, ReLU",
        by(rows, outputs, inputs),
        2.0 * rows * outputs * inputs,
        1.0 * rows * inputs + inputs * outputs + outputs + rows * outputs,
        0,
        bench -> {
          var x = bench.normal(dtype, rows * inputs);
          var w = bench.normal(dtype, inputs * outputs);
          var b = bench.normal(dtype, outputs);
          var y = bench.empty(dtype, rows * outputs);
          return () ->
              bench.backend().linearForward(x, w, b, y, rows, inputs, outputs, Activation.RELU);
        },
        "linear",
        rows,
        outputs,
        inputs);
  }
}
