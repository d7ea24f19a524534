package io.gradus.backend.reference;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;

import io.gradus.backend.AdamScalars;
import io.gradus.backend.Buffer;
import io.gradus.backend.OptimOps;
import io.gradus.backend.Primitives;
import io.gradus.backend.RmsPropScalars;
import io.gradus.backend.SgdScalars;
import io.gradus.core.DType;
import java.lang.reflect.InvocationHandler;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Proxy;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;

/** The fused loops against the composed bodies, which are the specification. */
class ReferenceOptimTest {
  private static final int STATES = 4;
  private static final int[] SIZES = {1, 7, 100_003};

  private final ReferenceBackend backend = new ReferenceBackend(2);

  /** An instance of a group that has the primitives of a backend and its own default bodies. */
  private static <T extends OptimOps> T group(Class<T> type, ReferenceBackend on, int threads) {
    Parallel pool = new Parallel(threads);
    InvocationHandler handler =
        (proxy, method, args) -> {
          if (method.getName().equals("pool")) {
            return pool;
          }
          if (method.getDeclaringClass() != Primitives.class) {
            return InvocationHandler.invokeDefault(proxy, method, args);
          }
          try {
            return method.invoke(on, args);
          } catch (InvocationTargetException e) {
            throw e.getCause();
          }
        };
    return type.cast(Proxy.newProxyInstance(type.getClassLoader(), new Class<?>[] {type}, handler));
  }

  private Buffer upload(float[] values) {
    Buffer b = Buffer.of(backend.allocate(DType.FLOAT32, values.length));
    backend.upload(values, 0, b);
    return b;
  }

  private float[] download(Buffer b) {
    float[] out = new float[(int) b.length()];
    backend.download(b, out, 0);
    return out;
  }

  private Buffer lr() {
    Buffer b = Buffer.of(backend.allocate(DType.FLOAT64, 1));
    backend.fill(b, 0.03);
    return b;
  }

  /** Gradient, parameter, states; each starts within its memory, at the same place or not. */
  private Buffer[] inputs(int n, boolean aligned) {
    Random random = new Random(n);
    Buffer[] out = new Buffer[2 + STATES];
    for (int k = 0; k < out.length; k++) {
      float[] values = new float[n + 3];
      for (int i = 0; i < values.length; i++) {
        values[i] = k < 2 ? (float) random.nextGaussian() : random.nextFloat() + 0.5f;
      }
      out[k] = upload(values).slice(aligned ? 2 : k % 3, n);
    }
    return out;
  }

  private void agree(Update update) {
    agree(update, true);
    agree(update, false);
    leavesAlone(update);
  }

  /** A step with its flag set, in either form. */
  private void leavesAlone(Update update) {
    Buffer flag = Buffer.of(backend.allocate(DType.INT32, 1));
    backend.fill(flag, 2);
    for (Class<? extends OptimOps> type : List.of(OptimOps.class, ReferenceOptim.class)) {
      Buffer[] buffers = inputs(7, true);
      update.apply(group(type, backend, 2), buffers, flag);
      Buffer[] before = inputs(7, true);
      for (int k = 0; k < before.length; k++) {
        assertArrayEquals(download(before[k]), download(buffers[k]));
      }
    }
  }

  private void agree(Update update, boolean aligned) {
    for (int n : SIZES) {
      Buffer[] composed = inputs(n, aligned);
      Buffer[] fused = inputs(n, aligned);
      Buffer[] oneThread = inputs(n, aligned);
      update.apply(group(OptimOps.class, backend, 2), composed, null);
      update.apply(group(ReferenceOptim.class, backend, 2), fused, null);
      update.apply(group(ReferenceOptim.class, backend, 1), oneThread, null);
      for (int k = 0; k < composed.length; k++) {
        float[] want = download(composed[k]);
        float[] got = download(fused[k]);
        for (int i = 0; i < n; i++) {
          assertEquals(want[i], got[i], 1e-5f * Math.max(1, Math.abs(want[i])), k + " " + i);
        }
        assertArrayEquals(got, download(oneThread[k]));
      }
    }
  }

  private void agreeAtSteps(CountedUpdate update) {
    for (long step : new long[] {1, 5}) {
      Buffer count = Buffer.of(backend.allocate(DType.INT64, 1));
      backend.fill(count, (double) step);
      agree((ops, b, flag) -> update.apply(ops, b, count, flag));
    }
  }

  @FunctionalInterface
  private interface Update {
    void apply(OptimOps ops, Buffer[] b, @Nullable Buffer foundInf);
  }

  @FunctionalInterface
  private interface CountedUpdate {
    void apply(OptimOps ops, Buffer[] b, Buffer step, @Nullable Buffer foundInf);
  }

  @Test
  void sgdAgreesWithItsComposedForm() {
    agreeAtSteps(
        (o, b, t, f) ->
            o.sgd(b[0], b[1], null, lr(), t, b[0].length(), new SgdScalars(0, 0, 0.1, false), f));
    agreeAtSteps(
        (o, b, t, f) ->
            o.sgd(
                b[0], b[1], b[2], lr(), t, b[0].length(), new SgdScalars(0.9, 0.3, 0.1, false), f));
    agreeAtSteps(
        (o, b, t, f) ->
            o.sgd(b[0], b[1], b[2], lr(), t, b[0].length(), new SgdScalars(0.9, 0, 0.1, true), f));
  }

  @Test
  void adamAgreesWithItsComposedForm() {
    for (boolean decoupled : new boolean[] {false, true}) {
      agreeAtSteps(
          (o, b, t, f) ->
              o.adam(
                  b[0],
                  b[1],
                  b[2],
                  b[3],
                  lr(),
                  t,
                  b[0].length(),
                  new AdamScalars(0.8, 0.95, 1e-3, 0.2, decoupled),
                  f));
    }
  }

  @Test
  void rmsPropAgreesWithItsComposedForm() {
    agree(
        (o, b, f) ->
            o.rmsProp(
                b[0],
                b[1],
                b[2],
                null,
                null,
                lr(),
                b[0].length(),
                new RmsPropScalars(0.9, 1e-3, 0, 0.2),
                f));
  }

  @Test
  void adagradAgreesWithItsComposedForm() {
    agreeAtSteps(
        (o, b, t, f) -> o.adagrad(b[0], b[1], b[2], lr(), t, b[0].length(), 0.4, 1e-3, 0.2, f));
  }

  @Test
  void lionAgreesWithItsComposedForm() {
    agree((o, b, f) -> o.lion(b[0], b[1], b[2], lr(), b[0].length(), 0.9, 0.99, 0.2, f));
    agree((o, b, f) -> o.lion(b[0], b[1], b[2], lr(), b[0].length(), 0.9, 0.99, 0, f));
  }

  @Test
  void sumOfSquaresKeepsWhatFloatsWouldLose() {
    for (int n : SIZES) {
      // The squares overflow a float, and most are below its resolution of the sum.
      float large = 0x1p73f;
      float small = 0x1p60f;
      float[] values = new float[n];
      Arrays.fill(values, small);
      values[0] = large;
      double want = (double) large * large + (n - 1.0) * small * small;
      for (Class<? extends OptimOps> type : List.of(OptimOps.class, ReferenceOptim.class)) {
        Buffer out = Buffer.of(backend.allocate(DType.FLOAT64, 1));
        group(type, backend, 2).sumOfSquares(upload(values), out, n);
        double[] got = new double[1];
        backend.download(out, got, 0);
        assertEquals(want, got[0], n * 0x1p-52 * want);
      }
    }
  }
}
