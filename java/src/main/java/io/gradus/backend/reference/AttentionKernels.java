package io.gradus.backend.reference;

import static io.gradus.backend.reference.HeapArrays.at;
import static io.gradus.backend.reference.HeapArrays.floats;

import io.gradus.backend.AttentionShape;
import io.gradus.backend.Buffer;
import io.gradus.backend.DropoutMask;
import io.gradus.backend.Philox;
import java.util.Arrays;
import org.jspecify.annotations.Nullable;

/**
 * Attention in float32. The unit of work is a key head with the query heads that share it: two
 * matrix products forward and five backward, with one pass over the weights between them. The
 * weights of one unit are in memory, not those of all.
 */
final class AttentionKernels {
  /** Exponentials cost more than other arithmetic, so fewer of them are worth a thread. */
  private static final int GRAIN = HeapArrays.GRAIN / 8;

  /** Elements that one block of random words decides upon. */
  private static final int VALUES = 8;

  private final Parallel pool;
  private final AttentionShape shape;
  private final float scale;
  private final int pairs;
  private final int rows;
  private final int keys;
  private final int dim;
  private final int queries;
  private final boolean drops;
  private final long seed;
  private final long counter;
  private final int threshold;
  private final float keptScale;

  AttentionKernels(
      Parallel pool,
      AttentionShape shape,
      double scale,
      @Nullable Buffer rng,
      long stream,
      double p) {
    this.pool = pool;
    this.shape = shape;
    this.scale = (float) scale;
    this.pairs = Math.toIntExact(shape.batch() * shape.kvHeads());
    this.rows = Math.toIntExact(shape.heads() / shape.kvHeads() * shape.queries());
    this.keys = Math.toIntExact(shape.keys());
    this.dim = Math.toIntExact(shape.dim());
    this.queries = Math.toIntExact(shape.queries());
    this.drops = rng != null && p > 0;
    this.seed = rng == null ? 0 : HeapArrays.longs(rng)[at(rng)];
    this.counter = rng == null ? 0 : HeapArrays.longs(rng)[at(rng) + 1] + stream;
    this.threshold = DropoutMask.threshold(p);
    this.keptScale = (float) DropoutMask.scale(p);
  }

  void forward(Buffer q, Buffer k, Buffer v, Buffer out, Buffer logSumExp) {
    float[] log = floats(logSumExp);
    pool.run(
        pairs,
        pair -> {
          float[] weights = new float[Math.multiplyExact(rows, keys)];
          int q0 = pair * rows * dim;
          int k0 = pair * keys * dim;
          products(q, q0, k, k0, weights);
          forEachRow(
              row -> {
                softmax(weights, row, log, at(logSumExp) + pair * rows + row);
                if (drops) {
                  float[] factors = factors(pair, row);
                  multiply(weights, row * keys, factors, keys);
                }
              });
          overKeys(weights, v, k0, out, q0);
        });
  }

  void backward(
      Buffer gradOut, Buffer q, Buffer k, Buffer v, Buffer gradQ, Buffer gradK, Buffer gradV) {
    pool.run(
        pairs,
        pair -> {
          float[] weights = new float[Math.multiplyExact(rows, keys)];
          float[] gradient = new float[weights.length];
          int q0 = pair * rows * dim;
          int k0 = pair * keys * dim;
          products(q, q0, k, k0, weights);
          products(gradOut, q0, v, k0, gradient);
          forEachRow(
              row -> {
                softmax(weights, row, new float[1], 0);
                int first = row * keys;
                if (drops) {
                  float[] factors = factors(pair, row);
                  multiply(gradient, first, factors, keys);
                  softmaxGradient(weights, gradient, first);
                  multiply(weights, first, factors, keys);
                } else {
                  softmaxGradient(weights, gradient, first);
                }
              });
          overQueries(weights, gradOut, q0, gradV, k0);
          overKeys(gradient, k, k0, gradQ, q0);
          overQueries(gradient, q, q0, gradK, k0);
        });
  }

  /** The work on one row of the weights. */
  private interface RowWork {
    void run(int row);
  }

  private void forEachRow(RowWork body) {
    pool.range(
        rows,
        Math.max(1, GRAIN / keys),
        (from, to) -> {
          for (int row = from; row < to; row++) {
            body.run(row);
          }
        });
  }

  /** weights = a b^T. */
  private void products(Buffer a, int a0, Buffer b, int b0, float[] weights) {
    Sgemm.gemm(
        pool,
        false,
        true,
        rows,
        keys,
        dim,
        floats(a),
        at(a) + a0,
        dim,
        floats(b),
        at(b) + b0,
        dim,
        weights,
        0,
        keys,
        false);
  }

  /** out = weights b. */
  private void overKeys(float[] weights, Buffer b, int b0, Buffer out, int out0) {
    Sgemm.gemm(
        pool,
        false,
        false,
        rows,
        dim,
        keys,
        weights,
        0,
        keys,
        floats(b),
        at(b) + b0,
        dim,
        floats(out),
        at(out) + out0,
        dim,
        false);
  }

  /** out = weights^T b. */
  private void overQueries(float[] weights, Buffer b, int b0, Buffer out, int out0) {
    Sgemm.gemm(
        pool,
        true,
        false,
        keys,
        dim,
        rows,
        weights,
        0,
        keys,
        floats(b),
        at(b) + b0,
        dim,
        floats(out),
        at(out) + out0,
        dim,
        false);
  }

  /** Products become the softmax of scores; 0 where the query does not see the key. */
  private void softmax(float[] weights, int row, float[] logSumExp, int logAt) {
    int first = row * keys;
    int n = (int) shape.visible(row % queries);
    for (int j = first; j < first + n; j++) {
      weights[j] *= scale;
    }
    float shift = SoftmaxKernels.shift(weights, first, n);
    double sum = 0;
    for (int j = first; j < first + n; j++) {
      double e = Math.exp(weights[j] - shift);
      sum += e;
      weights[j] = (float) e;
    }
    float inverse = sum == 0 ? 1 : (float) (1 / sum);
    for (int j = first; j < first + n; j++) {
      weights[j] *= inverse;
    }
    Arrays.fill(weights, first + n, first + keys, 0);
    logSumExp[logAt] = (float) (shift + Math.log(sum));
  }

  /** The gradient of the products from that of the weights. */
  private void softmaxGradient(float[] weights, float[] gradient, int first) {
    double sum = 0;
    for (int j = first; j < first + keys; j++) {
      sum += (double) gradient[j] * weights[j];
    }
    float delta = (float) sum;
    for (int j = first; j < first + keys; j++) {
      gradient[j] = weights[j] * (gradient[j] - delta) * scale;
    }
  }

  /** What the weights of a row are multiplied with: 0 or 1 / (1 - p). */
  private float[] factors(int pair, int row) {
    long start = ((long) pair * rows + row) * keys;
    float[] out = new float[keys];
    int[] words = new int[4];
    for (int j = 0; j < keys; j++) {
      int value = (int) ((start + j) % VALUES);
      if (j == 0 || value == 0) {
        Philox.block(seed, counter, (start + j) / VALUES, words, 0);
      }
      int bits = (words[value / 2] >>> (16 * (value % 2))) & 0xFFFF;
      out[j] = bits >= threshold ? keptScale : 0;
    }
    return out;
  }

  /** A product would make NaN of a dropped infinity. */
  private static void multiply(float[] x, int at, float[] factors, int n) {
    for (int j = 0; j < n; j++) {
      x[at + j] = factors[j] == 0 ? 0 : x[at + j] * factors[j];
    }
  }
}
