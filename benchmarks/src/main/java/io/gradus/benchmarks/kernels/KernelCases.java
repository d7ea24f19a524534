package io.gradus.benchmarks.kernels;

import io.gradus.backend.Activation;
import io.gradus.backend.AdamScalars;
import io.gradus.backend.AttentionShape;
import io.gradus.backend.BatchNormShape;
import io.gradus.backend.MatmulShape;
import io.gradus.backend.PoolShape;
import io.gradus.backend.ReduceOp;
import io.gradus.backend.RowNormShape;
import io.gradus.core.DType;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Set;
import java.util.TreeSet;

/**
 * The kernels that are measured: every group of operations at the sizes of real networks, and a
 * list of the same with small sizes for devices that are slow.
 */
final class KernelCases {
  private static final DType F32 = DType.FLOAT32;
  private static final DType BF16 = DType.BFLOAT16;

  private final List<KernelCase> cases = new ArrayList<>();

  private KernelCases() {}

  /** At the sizes of networks. */
  static List<KernelCase> ofNetworks() {
    KernelCases list = new KernelCases();
    // The MLP's layers at batch 128, a square, and a transformer's feed-forward layer.
    list.matmul(F32, 128, 512, 784, false, true);
    list.matmul(F32, 512, 784, 128, true, false);
    list.matmul(F32, 1024, 1024, 1024, false, false);
    list.matmul(F32, 512, 3072, 768, false, true);
    list.matmul(BF16, 1024, 1024, 1024, false, false);
    list.linear(128, 512, 784);
    // The CNN's second layer, stages of ResNet-20, and of ResNet-50 at batch 8.
    list.add(new ConvCases(64, 28, 32, 64, 3, 1).all());
    list.add(new ConvCases(64, 32, 16, 16, 3, 1).all());
    list.add(new ConvCases(64, 16, 32, 64, 3, 2).all());
    list.add(new ConvCases(64, 8, 64, 64, 3, 1).all());
    list.add(new ConvCases(8, 56, 64, 256, 1, 1).all());
    list.add(new ConvCases(8, 14, 256, 256, 3, 1).all());
    list.pool(64, 28, 64);
    list.batchNorm(64 * 28 * 28, 64);
    list.batchNorm(64 * 8 * 8, 64);
    list.layerNorm(2048, 768);
    list.softmax(4096, 512);
    list.loss(128, 10);
    list.loss(2048, 1000);
    list.attention(2, 8, 512, 64, false);
    list.attention(2, 8, 512, 64, true);
    list.add(new ElementCases(1 << 22).all());
    list.reduce(4096, 1024);
    list.embedding(8192, 768, 4096);
    list.adamW(1 << 22);
    return list.cases;
  }

  /** Small ones, of every group. */
  static List<KernelCase> small() {
    KernelCases list = new KernelCases();
    list.matmul(F32, 128, 128, 128, false, true);
    list.linear(64, 64, 64);
    list.add(new ConvCases(2, 8, 16, 16, 3, 1).all());
    list.pool(2, 8, 16);
    list.batchNorm(128, 16);
    list.layerNorm(16, 128);
    list.softmax(16, 128);
    list.loss(32, 10);
    list.attention(1, 2, 32, 32, false);
    list.add(new ElementCases(1 << 12).all());
    list.reduce(32, 128);
    list.embedding(64, 32, 64);
    list.adamW(1 << 12);
    return list.cases;
  }

  /** The names of all groups. */
  static Set<String> groups() {
    Set<String> groups = new TreeSet<>();
    small().forEach(kernel -> groups.add(kernel.group()));
    return groups;
  }

  private void add(List<KernelCase> more) {
    cases.addAll(more);
  }

  private void add(
      String group,
      String name,
      String shape,
      double flops,
      double floats,
      KernelCase.Setup setup) {
    cases.add(new KernelCase(group, name, shape, F32, flops, floats * F32.bytes(), setup));
  }

  /** Sizes with a cross between them. */
  static String by(long... sizes) {
    StringBuilder text = new StringBuilder();
    for (long size : sizes) {
      text.append(text.length() == 0 ? "" : "x").append(size);
    }
    return text.toString();
  }

  private void matmul(DType dtype, long m, long n, long k, boolean transA, boolean transB) {
    String name = "matmul " + (transA ? "T" : "N") + (transB ? "T" : "N");
    double bytes = (double) dtype.bytes() * (m * k + k * n + m * n);
    KernelCase.Setup setup =
        bench -> {
          var a = bench.normal(dtype, m * k);
          var b = bench.normal(dtype, k * n);
          var c = bench.empty(dtype, m * n);
          MatmulShape shape = MatmulShape.of(m, n, k, transA, transB);
          return () -> bench.backend().matmul(shape, a, b, c);
        };
    cases.add(new KernelCase("matmul", name, by(m, n, k), dtype, 2.0 * m * n * k, bytes, setup));
  }

  private void linear(long rows, long outputs, long inputs) {
    add(
        "matmul",
        "linear, bias, ReLU",
        by(rows, outputs, inputs),
        2.0 * rows * outputs * inputs,
        1.0 * rows * inputs + inputs * outputs + outputs + rows * outputs,
        bench -> {
          var x = bench.normal(F32, rows * inputs);
          var w = bench.normal(F32, inputs * outputs);
          var b = bench.normal(F32, outputs);
          var y = bench.empty(F32, rows * outputs);
          return () ->
              bench.backend().linearForward(x, w, b, y, rows, inputs, outputs, Activation.RELU);
        });
  }

  private void pool(int n, int side, int channels) {
    PoolShape shape = PoolShape.regular(n, side, side, channels, 2, 2, 2, 2, 0, 0);
    long in = (long) n * side * side * channels;
    long out = in / 4;
    String sizes = by(n, side, side, channels);
    add(
        "pool",
        "max 2x2",
        sizes,
        1.0 * in,
        in + 2.0 * out,
        bench -> {
          var x = bench.normal(F32, in);
          var y = bench.empty(F32, out);
          var index = bench.empty(DType.INT32, out);
          return () -> bench.backend().maxPool2dForward(x, y, index, shape);
        });
    add(
        "pool",
        "max 2x2, gradient",
        sizes,
        1.0 * out,
        in + 2.0 * out,
        bench -> {
          var x = bench.normal(F32, in);
          var y = bench.empty(F32, out);
          var index = bench.empty(DType.INT32, out);
          var gradX = bench.empty(F32, in);
          bench.backend().maxPool2dForward(x, y, index, shape);
          return () -> bench.backend().maxPool2dBackward(y, index, gradX, shape);
        });
    add(
        "pool",
        "average 2x2",
        sizes,
        1.0 * in,
        1.0 * in + out,
        bench -> {
          var x = bench.normal(F32, in);
          var y = bench.empty(F32, out);
          return () -> bench.backend().avgPool2dForward(x, y, shape, true);
        });
  }

  private void batchNorm(long rows, long channels) {
    long n = rows * channels;
    var shape = new BatchNormShape(rows, channels, true, 0.1, 1e-5, Activation.RELU);
    add(
        "norm",
        "batch, ReLU",
        by(rows, channels),
        8.0 * n,
        3.0 * n,
        bench -> {
          var x = bench.normal(F32, n);
          var y = bench.empty(F32, n);
          var mean = bench.empty(F32, channels);
          var invStd = bench.empty(F32, channels);
          var weight = bench.uniform(channels);
          var bias = bench.normal(F32, channels);
          return () -> {
            bench.backend().batchNormStatistics(x, mean, invStd, null, null, shape);
            bench.backend().batchNormApply(x, mean, invStd, weight, bias, null, y, shape);
          };
        });
    add(
        "norm",
        "batch, gradient",
        by(rows, channels),
        10.0 * n,
        5.0 * n,
        bench -> {
          var x = bench.normal(F32, n);
          var g = bench.normal(F32, n);
          var gradX = bench.empty(F32, n);
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
                      shape);
        });
  }

  private void layerNorm(long rows, long cols) {
    long n = rows * cols;
    var shape = new RowNormShape(rows, cols, 1e-5);
    add(
        "norm",
        "layer",
        by(rows, cols),
        8.0 * n,
        2.0 * n,
        bench -> {
          var x = bench.normal(F32, n);
          var y = bench.empty(F32, n);
          var mean = bench.empty(F32, rows);
          var invStd = bench.empty(F32, rows);
          var weight = bench.uniform(cols);
          var bias = bench.normal(F32, cols);
          return () -> bench.backend().layerNormForward(x, weight, bias, y, mean, invStd, shape);
        });
    add(
        "norm",
        "layer, gradient",
        by(rows, cols),
        12.0 * n,
        3.0 * n,
        bench -> {
          var x = bench.normal(F32, n);
          var g = bench.normal(F32, n);
          var gradX = bench.empty(F32, n);
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
        });
  }

  private void softmax(long rows, long cols) {
    long n = rows * cols;
    add(
        "softmax",
        "softmax",
        by(rows, cols),
        5.0 * n,
        2.0 * n,
        bench -> {
          var x = bench.normal(F32, n);
          var y = bench.empty(F32, n);
          return () -> bench.backend().softmaxForward(x, y, rows, cols, 1);
        });
    add(
        "softmax",
        "softmax, gradient",
        by(rows, cols),
        4.0 * n,
        3.0 * n,
        bench -> {
          var g = bench.normal(F32, n);
          var y = bench.uniform(n);
          var gradX = bench.empty(F32, n);
          return () -> bench.backend().softmaxBackward(g, y, gradX, rows, cols, 1);
        });
  }

  private void loss(long rows, int classes) {
    long n = rows * classes;
    add(
        "loss",
        "cross-entropy",
        by(rows, classes),
        4.0 * n,
        n + 5.0 * rows,
        bench -> {
          var logits = bench.normal(F32, n);
          var target = bench.labels(rows, classes);
          var loss = bench.empty(F32, rows);
          var rowWeight = bench.empty(F32, rows);
          var logSum = bench.empty(F32, rows);
          return () ->
              bench
                  .backend()
                  .crossEntropyForward(
                      logits, target, null, loss, rowWeight, logSum, rows, classes, 0, -100);
        });
    add(
        "loss",
        "cross-entropy, gradient",
        by(rows, classes),
        4.0 * n,
        2.0 * n + 4.0 * rows,
        bench -> {
          var logits = bench.normal(F32, n);
          var target = bench.labels(rows, classes);
          var gradLoss = bench.uniform(rows);
          var logSum = bench.uniform(rows);
          var gradX = bench.empty(F32, n);
          return () ->
              bench
                  .backend()
                  .crossEntropyBackward(
                      gradLoss, logits, logSum, target, null, gradX, rows, classes, 0, -100);
        });
  }

  /** Products with q k^T and with the values; a causal mask needs half of them. */
  private void attention(long batch, long heads, long length, long dim, boolean causal) {
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
        4.0 * n + shape.rows(),
        bench -> {
          var q = bench.normal(F32, n);
          var k = bench.normal(F32, n);
          var v = bench.normal(F32, n);
          var out = bench.empty(F32, n);
          var logSum = bench.empty(F32, shape.rows());
          return () ->
              bench.backend().attentionForward(q, k, v, null, out, logSum, shape, scale, 0, 0);
        });
    add(
        "attention",
        name + ", gradient",
        sizes,
        2.5 * flops,
        8.0 * n + shape.rows(),
        bench -> {
          var q = bench.normal(F32, n);
          var k = bench.normal(F32, n);
          var v = bench.normal(F32, n);
          var g = bench.normal(F32, n);
          var out = bench.empty(F32, n);
          var logSum = bench.empty(F32, shape.rows());
          var gradQ = bench.empty(F32, n);
          var gradK = bench.empty(F32, n);
          var gradV = bench.empty(F32, n);
          var backend = bench.backend();
          backend.attentionForward(q, k, v, null, out, logSum, shape, scale, 0, 0);
          return () ->
              backend.attentionBackward(
                  g, q, k, v, out, logSum, null, gradQ, gradK, gradV, shape, scale, 0, 0);
        });
  }

  private void reduce(long rows, long cols) {
    long n = rows * cols;
    for (boolean ofRows : new boolean[] {true, false}) {
      long left = ofRows ? rows : cols;
      add(
          "reduce",
          ofRows ? "sums of rows" : "sums of columns",
          by(rows, cols),
          1.0 * n,
          1.0 * n + left,
          bench -> {
            var x = bench.normal(F32, n);
            var y = bench.empty(F32, left);
            return ofRows
                ? () -> bench.backend().reduce(ReduceOp.SUM, x, y, rows, cols, 1)
                : () -> bench.backend().reduce(ReduceOp.SUM, x, y, 1, rows, cols);
          });
    }
  }

  private void embedding(int vocabulary, long dim, long count) {
    add(
        "indexing",
        "embedding",
        String.format(Locale.ROOT, "%d of %dx%d", count, vocabulary, dim),
        0,
        2.0 * count * dim + 2.0 * count,
        bench -> {
          var weight = bench.normal(F32, vocabulary * dim);
          var index = bench.labels(count, vocabulary);
          var y = bench.empty(F32, count * dim);
          return () -> bench.backend().embeddingForward(weight, index, y, vocabulary, count, dim);
        });
  }

  private void adamW(long n) {
    var scalars = new AdamScalars(0.9, 0.999, 1e-8, 0.01, true);
    add(
        "optim",
        "AdamW",
        by(n),
        14.0 * n,
        7.0 * n,
        bench -> {
          var grad = bench.normal(F32, n);
          var param = bench.normal(F32, n);
          var mean = bench.zeros(F32, n);
          var variance = bench.zeros(F32, n);
          var lr = bench.doubles(1e-3);
          var step = bench.longs(1);
          return () -> bench.backend().adam(grad, param, mean, variance, lr, step, n, scalars);
        });
  }
}
