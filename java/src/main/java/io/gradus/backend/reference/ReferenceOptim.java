package io.gradus.backend.reference;

import static io.gradus.backend.reference.HeapArrays.GRAIN;
import static io.gradus.backend.reference.HeapArrays.at;
import static io.gradus.backend.reference.HeapArrays.doubles;
import static io.gradus.backend.reference.HeapArrays.floats;
import static io.gradus.backend.reference.HeapArrays.ints;
import static io.gradus.backend.reference.HeapArrays.longs;
import static java.util.Objects.requireNonNull;

import io.gradus.backend.AdamScalars;
import io.gradus.backend.Buffer;
import io.gradus.backend.OptimOps;
import io.gradus.backend.RmsPropScalars;
import io.gradus.backend.SgdScalars;
import io.gradus.core.DType;
import org.jspecify.annotations.Nullable;

/** Optimizer updates on FLOAT32: one pass over parameters, gradients and states. */
interface ReferenceOptim extends OptimOps {
  /** The threads. */
  Parallel pool();

  @Override
  default void sgd(
      Buffer grad,
      Buffer param,
      @Nullable Buffer velocity,
      Buffer lr,
      Buffer step,
      long n,
      SgdScalars scalars,
      @Nullable Buffer foundInf) {
    if (isSet(foundInf)) {
      return;
    }
    if (!fits(grad, param, velocity)) {
      OptimOps.super.sgd(grad, param, velocity, lr, step, n, scalars, null);
      return;
    }
    float[] g = floats(grad);
    float[] p = floats(param);
    int o = at(param);
    float rate = (float) number(lr);
    float decay = (float) scalars.weightDecay();
    if (velocity == null) {
      pool().range(n, GRAIN, (from, to) -> OptimLoops.sgd(g, p, o + from, o + to, rate, decay));
      return;
    }
    float[] v = floats(velocity);
    float share = (float) (count(step) > 1 ? 1 - scalars.dampening() : 1);
    float past = (float) scalars.momentum();
    if (scalars.nesterov()) {
      pool()
          .range(
              n,
              GRAIN,
              (from, to) ->
                  OptimLoops.nesterov(g, p, v, o + from, o + to, rate, past, share, decay));
    } else {
      pool()
          .range(
              n,
              GRAIN,
              (from, to) ->
                  OptimLoops.momentum(g, p, v, o + from, o + to, rate, past, share, decay));
    }
  }

  @Override
  default void adam(
      Buffer grad,
      Buffer param,
      Buffer mean,
      Buffer variance,
      Buffer lr,
      Buffer step,
      long n,
      AdamScalars scalars,
      @Nullable Buffer foundInf) {
    if (isSet(foundInf)) {
      return;
    }
    if (!fits(grad, param, mean, variance)) {
      OptimOps.super.adam(grad, param, mean, variance, lr, step, n, scalars, null);
      return;
    }
    float[] g = floats(grad);
    float[] p = floats(param);
    int o = at(param);
    float[] m = floats(mean);
    float[] v = floats(variance);
    double count = count(step);
    float kept = scalars.decoupled() ? (float) (1 - number(lr) * scalars.weightDecay()) : 1;
    float l2 = scalars.decoupled() ? 0 : (float) scalars.weightDecay();
    float rate = (float) (number(lr) / (1 - Math.pow(scalars.beta1(), count)));
    float spread = (float) Math.sqrt(1 - Math.pow(scalars.beta2(), count));
    float share1 = (float) (1 - scalars.beta1());
    float decay2 = (float) scalars.beta2();
    float share2 = (float) (1 - scalars.beta2());
    float small = (float) scalars.eps();
    pool()
        .range(
            n,
            GRAIN,
            (from, to) ->
                OptimLoops.adam(
                    g, p, m, v, o + from, o + to, kept, l2, rate, spread, share1, decay2, share2,
                    small));
  }

  @Override
  default void rmsProp(
      Buffer grad,
      Buffer param,
      Buffer square,
      @Nullable Buffer mean,
      @Nullable Buffer velocity,
      Buffer lr,
      long n,
      RmsPropScalars scalars,
      @Nullable Buffer foundInf) {
    if (isSet(foundInf)) {
      return;
    }
    // Centering and momentum are rare: they take the composed form.
    if (mean != null || velocity != null || !fits(grad, param, square)) {
      OptimOps.super.rmsProp(grad, param, square, mean, velocity, lr, n, scalars, null);
      return;
    }
    float[] g = floats(grad);
    float[] p = floats(param);
    int o = at(param);
    float[] s = floats(square);
    float rate = (float) number(lr);
    float keep = (float) scalars.alpha();
    float share = (float) (1 - scalars.alpha());
    float small = (float) scalars.eps();
    float decay = (float) scalars.weightDecay();
    pool()
        .range(
            n,
            GRAIN,
            (from, to) ->
                OptimLoops.rmsProp(g, p, s, o + from, o + to, rate, keep, share, small, decay));
  }

  @Override
  default void adagrad(
      Buffer grad,
      Buffer param,
      Buffer sum,
      Buffer lr,
      Buffer step,
      long n,
      double lrDecay,
      double eps,
      double weightDecay,
      @Nullable Buffer foundInf) {
    if (isSet(foundInf)) {
      return;
    }
    if (!fits(grad, param, sum)) {
      OptimOps.super.adagrad(grad, param, sum, lr, step, n, lrDecay, eps, weightDecay, null);
      return;
    }
    float[] g = floats(grad);
    float[] p = floats(param);
    int o = at(param);
    float[] s = floats(sum);
    float rate = (float) (number(lr) / (1 + (count(step) - 1) * lrDecay));
    float small = (float) eps;
    float decay = (float) weightDecay;
    pool()
        .range(
            n,
            GRAIN,
            (from, to) -> OptimLoops.adagrad(g, p, s, o + from, o + to, rate, small, decay));
  }

  @Override
  default void lion(
      Buffer grad,
      Buffer param,
      Buffer mean,
      Buffer lr,
      long n,
      double beta1,
      double beta2,
      double weightDecay,
      @Nullable Buffer foundInf) {
    if (isSet(foundInf)) {
      return;
    }
    if (!fits(grad, param, mean)) {
      OptimOps.super.lion(grad, param, mean, lr, n, beta1, beta2, weightDecay, null);
      return;
    }
    float[] g = floats(grad);
    float[] p = floats(param);
    int o = at(param);
    float[] m = floats(mean);
    float rate = (float) number(lr);
    float kept = (float) (1 - number(lr) * weightDecay);
    float past = (float) beta1;
    float share = (float) (1 - beta1);
    float decay = (float) beta2;
    float share2 = (float) (1 - beta2);
    pool()
        .range(
            n,
            GRAIN,
            (from, to) ->
                OptimLoops.lion(g, p, m, o + from, o + to, kept, rate, past, share, decay, share2));
  }

  @Override
  default void sumOfSquares(Buffer x, Buffer out, long n) {
    if (x.dtype() != DType.FLOAT32) {
      OptimOps.super.sumOfSquares(x, out, n);
      return;
    }
    float[] a = floats(x);
    int ao = at(x);
    int size = Math.toIntExact(n);
    // A fixed division into chunks, whatever the number of threads, fixes the order of the sum.
    int chunks = (size + GRAIN - 1) / GRAIN;
    double[] parts = new double[chunks];
    pool()
        .run(
            chunks,
            c -> {
              int from = c * GRAIN;
              parts[c] = OptimLoops.sumOfSquares(a, ao + from, ao + Math.min(size, from + GRAIN));
            });
    double sum = 0;
    for (double part : parts) {
      sum += part;
    }
    doubles(out)[at(out)] = sum;
  }

  /**
   * Whether the loops take these buffers: FLOAT32, and at the same place of their arrays, as in an
   * optimizer's arena.
   */
  private static boolean fits(@Nullable Buffer... buffers) {
    Buffer first = requireNonNull(buffers[0]);
    for (Buffer buffer : buffers) {
      if (buffer != null
          && (buffer.dtype() != DType.FLOAT32 || buffer.offset() != first.offset())) {
        return false;
      }
    }
    return true;
  }

  /** The heap is at hand: a step that is left out is not begun. */
  private static boolean isSet(@Nullable Buffer flag) {
    return flag != null && ints(flag)[at(flag)] != 0;
  }

  private static double number(Buffer scalar) {
    return doubles(scalar)[at(scalar)];
  }

  private static long count(Buffer step) {
    return longs(step)[at(step)];
  }
}
