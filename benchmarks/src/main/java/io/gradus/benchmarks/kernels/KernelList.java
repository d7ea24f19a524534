package io.gradus.benchmarks.kernels;

import io.gradus.backend.Activation;
import io.gradus.backend.AdamScalars;
import io.gradus.backend.AttentionShape;
import io.gradus.backend.BatchNormShape;
import io.gradus.backend.MatmulShape;
import io.gradus.backend.PoolShape;
import io.gradus.backend.ProductPrecision;
import io.gradus.backend.ReduceOp;
import io.gradus.backend.RowNormShape;
import io.gradus.core.DType;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.stream.Collectors;

/**
 * Kernels of one element type with sizes, to which others are added. Statistics, losses and
 * parameters of norms are float32 beside 16-bit types.
 */
final class KernelList {
  private static final DType F32 = DType.FLOAT32;
  private static final String GRADIENT = ", gradient";

  private final DType dtype;
  private final List<KernelCase> cases = new ArrayList<>();
  private Goal goal = Goal.NONE;
  private Goal gradientGoal = Goal.NONE;

  KernelList(DType dtype) {
    this.dtype = dtype;
  }

  List<KernelCase> cases() {
    return cases;
  }

  /** What the kernels that follow should reach. */
  KernelList goal(Goal goal) {
    return goals(goal, goal);
  }

  /** The same, with another goal for gradients. */
  KernelList goals(Goal forward, Goal gradient) {
    goal = forward;
    gradientGoal = gradient;
    return this;
  }

  /**
   * Adds a kernel.
   *
   * @param elements that are read or written, of the list's type
   * @param words of 4 bytes beside them
   * @param peer what another engine does the same by; see {@link KernelCase}
   */
  private void add(
      String group,
      String name,
      String shape,
      double flops,
      double elements,
      double words,
      KernelCase.Setup setup,
      Object... peer) {
    String spec = Arrays.stream(peer).map(String::valueOf).collect(Collectors.joining(" "));
    cases.add(
        new KernelCase(
            group,
            name,
            shape,
            dtype,
            ProductPrecision.EXACT,
            flops,
            elements * dtype.bytes() + words * Integer.BYTES,
            setup,
            name.endsWith(GRADIENT) ? gradientGoal : goal,
            spec + " " + dtype.name().toLowerCase(Locale.ROOT)));
  }

  /** Sizes with a cross between them. */
  static String by(long... sizes) {
    StringBuilder text = new StringBuilder();
    for (long size : sizes) {
      text.append(text.length() == 0 ? "" : "x").append(size);
    }
    return text.toString();
  }

  /** C = op(A) op(B), with C of m rows and n columns. */
  KernelList matmul(long m, long n, long k, boolean transA, boolean transB) {
    return matmul(ProductPrecision.EXACT, m, n, k, transA, transB);
  }

  /** The same, for float32 operands as exact as that. */
  KernelList matmul(
      ProductPrecision precision, long m, long n, long k, boolean transA, boolean transB) {
    String letters = (transA ? "T" : "N") + (transB ? "T" : "N");
    double bytes = (double) dtype.bytes() * (m * k + k * n + m * n);
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
    String mode =
        precision == ProductPrecision.TF32 ? "tf32" : dtype.name().toLowerCase(Locale.ROOT);
    String peer = String.join(" ", "matmul", letters, by(m, n, k).replace('x', ' '), mode);
    cases.add(
        new KernelCase(
            "matmul",
            "matmul " + letters,
            by(m, n, k),
            dtype,
            precision,
            2.0 * m * n * k,
            bytes,
            setup,
            goal,
            peer));
    return this;
  }

  KernelList linear(long rows, long outputs, long inputs) {
    add(
        "matmul",
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
    return this;
  }

  /** A convolution of square images and both its gradients. */
  KernelList conv(int n, int side, int channels, int outputs, int kernel, int stride) {
    return conv(List.of(goal, goal, goal), n, side, channels, outputs, kernel, stride);
  }

  /** The same with goals of the three. */
  KernelList conv(
      List<Goal> goals, int n, int side, int channels, int outputs, int kernel, int stride) {
    cases.addAll(new ConvCases(dtype, n, side, channels, outputs, kernel, stride).all(goals));
    return this;
  }

  /** What is done to every element of a dense tensor; the goal is that of dropout. */
  KernelList elements(long n) {
    cases.addAll(new ElementCases(dtype, n, goal).all());
    return this;
  }

  KernelList pool(int n, int side, int channels) {
    PoolShape shape = PoolShape.regular(n, side, side, channels, 2, 2, 2, 2, 0, 0);
    long in = (long) n * side * side * channels;
    long out = in / 4;
    String sizes = by(n, side, side, channels);
    add(
        "pool",
        "max 2x2",
        sizes,
        1.0 * in,
        1.0 * in + out,
        1.0 * out,
        bench -> {
          var x = bench.normal(dtype, in);
          var y = bench.empty(dtype, out);
          var index = bench.empty(DType.INT32, out);
          return () -> bench.backend().maxPool2dForward(x, y, index, shape);
        },
        "max_pool",
        n,
        side,
        channels);
    add(
        "pool",
        "max 2x2, gradient",
        sizes,
        1.0 * out,
        1.0 * in + out,
        1.0 * out,
        bench -> {
          var x = bench.normal(dtype, in);
          var y = bench.empty(dtype, out);
          var index = bench.empty(DType.INT32, out);
          var gradX = bench.empty(dtype, in);
          bench.backend().maxPool2dForward(x, y, index, shape);
          return () -> bench.backend().maxPool2dBackward(y, index, gradX, shape);
        },
        "max_pool_gradient",
        n,
        side,
        channels);
    add(
        "pool",
        "average 2x2",
        sizes,
        1.0 * in,
        1.0 * in + out,
        0,
        bench -> {
          var x = bench.normal(dtype, in);
          var y = bench.empty(dtype, out);
          return () -> bench.backend().avgPool2dForward(x, y, shape, true);
        },
        "average_pool",
        n,
        side,
        channels);
    return this;
  }

  KernelList batchNorm(long rows, long channels, Activation activation) {
    long n = rows * channels;
    var shape = new BatchNormShape(rows, channels, true, 0.1, 1e-5, activation);
    var plain = new BatchNormShape(rows, channels, true, 0.1, 1e-5, Activation.NONE);
    add(
        "norm",
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
    add(
        "norm",
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
    return this;
  }

  KernelList layerNorm(long rows, long cols) {
    long n = rows * cols;
    var shape = new RowNormShape(rows, cols, 1e-5);
    add(
        "norm",
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
    add(
        "norm",
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
    return this;
  }

  KernelList softmax(long rows, long cols) {
    long n = rows * cols;
    add(
        "softmax",
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
    add(
        "softmax",
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
    return this;
  }

  KernelList loss(long rows, int classes) {
    long n = rows * classes;
    add(
        "loss",
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
    add(
        "loss",
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
    return this;
  }

  /** The loss and its gradient, which need the logits read and the gradient written. */
  KernelList lossAndGradient(long rows, int classes) {
    long n = rows * classes;
    add(
        "loss",
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
    return this;
  }

  /** Products with q k^T and with the values; a causal mask needs half of them. */
  KernelList attention(long batch, long heads, long length, long dim, boolean causal) {
    AttentionShape shape = new AttentionShape(batch, heads, heads, length, length, dim, causal);
    long n = batch * heads * length * dim;
    double flops = 4.0 * n * length * (causal ? 0.5 : 1);
    String sizes = by(batch, heads, length, dim);
    String name = causal ? "causal attention" : "attention";
    double scale = 1 / Math.sqrt((double) dim);
    add(
        "attention",
        name,
        sizes,
        flops,
        4.0 * n,
        1.0 * shape.rows(),
        bench -> {
          var q = bench.normal(dtype, n);
          var k = bench.normal(dtype, n);
          var v = bench.normal(dtype, n);
          var out = bench.empty(dtype, n);
          var logSum = bench.empty(F32, shape.rows());
          return () ->
              bench.backend().attentionForward(q, k, v, null, out, logSum, shape, scale, 0, 0);
        },
        "attention",
        batch,
        heads,
        length,
        dim,
        causal);
    add(
        "attention",
        name + GRADIENT,
        sizes,
        2.5 * flops,
        8.0 * n,
        1.0 * shape.rows(),
        bench -> {
          var q = bench.normal(dtype, n);
          var k = bench.normal(dtype, n);
          var v = bench.normal(dtype, n);
          var g = bench.normal(dtype, n);
          var out = bench.empty(dtype, n);
          var logSum = bench.empty(F32, shape.rows());
          var gradQ = bench.empty(dtype, n);
          var gradK = bench.empty(dtype, n);
          var gradV = bench.empty(dtype, n);
          var backend = bench.backend();
          backend.attentionForward(q, k, v, null, out, logSum, shape, scale, 0, 0);
          return () ->
              backend.attentionBackward(
                  g, q, k, v, out, logSum, null, gradQ, gradK, gradV, shape, scale, 0, 0);
        },
        "attention_gradient",
        batch,
        heads,
        length,
        dim,
        causal);
    return this;
  }

  KernelList reduce(long rows, long cols) {
    long n = rows * cols;
    for (boolean ofRows : new boolean[] {true, false}) {
      long left = ofRows ? rows : cols;
      add(
          "reduce",
          ofRows ? "sums of rows" : "sums of columns",
          by(rows, cols),
          1.0 * n,
          1.0 * n + left,
          0,
          bench -> {
            var x = bench.normal(dtype, n);
            var y = bench.empty(dtype, left);
            return ofRows
                ? () -> bench.backend().reduce(ReduceOp.SUM, x, y, rows, cols, 1)
                : () -> bench.backend().reduce(ReduceOp.SUM, x, y, 1, rows, cols);
          },
          "sum",
          rows,
          cols,
          ofRows ? 1 : 0);
    }
    return this;
  }

  KernelList embedding(int vocabulary, long dim, long count) {
    add(
        "indexing",
        "embedding",
        String.format(Locale.ROOT, "%d of %dx%d", count, vocabulary, dim),
        0,
        2.0 * count * dim,
        2.0 * count,
        bench -> {
          var weight = bench.normal(dtype, vocabulary * dim);
          var index = bench.labels(count, vocabulary);
          var y = bench.empty(dtype, count * dim);
          return () -> bench.backend().embeddingForward(weight, index, y, vocabulary, count, dim);
        },
        "embedding",
        vocabulary,
        dim,
        count);
    return this;
  }

  KernelList adamW(long n) {
    var scalars = new AdamScalars(0.9, 0.999, 1e-8, 0.01, true);
    add(
        "optim",
        "AdamW",
        by(n),
        14.0 * n,
        7.0 * n,
        0,
        bench -> {
          var grad = bench.normal(dtype, n);
          var param = bench.normal(dtype, n);
          var mean = bench.zeros(F32, n);
          var variance = bench.zeros(F32, n);
          var lr = bench.doubles(1e-3);
          var step = bench.longs(1);
          return () ->
              bench.backend().adam(grad, param, mean, variance, lr, step, n, scalars, null);
        },
        "adamw",
        n);
    return this;
  }
}
