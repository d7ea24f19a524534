package io.gradus.backend.reference;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import io.gradus.backend.BinaryOp;
import io.gradus.backend.Buffer;
import io.gradus.backend.IndexShape;
import io.gradus.backend.MatmulShape;
import io.gradus.backend.RandomKind;
import io.gradus.backend.ReduceOp;
import io.gradus.backend.UnaryOp;
import io.gradus.core.ArgumentException;
import io.gradus.core.DType;
import io.gradus.core.Device;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

class ThreadCountTest {
  private static final int N = 200_000;

  @ParameterizedTest
  @EnumSource(names = {"FLOAT32", "FLOAT64", "BFLOAT16", "FLOAT16"})
  void resultsHaveTheSameBitsForAnyNumberOfThreads(DType dtype) {
    List<double[]> expected = results(new ReferenceBackend(1), dtype);
    for (int threads = 2; threads <= 3; threads++) {
      List<double[]> actual = results(new ReferenceBackend(threads), dtype);
      for (int i = 0; i < expected.size(); i++) {
        assertArrayEquals(expected.get(i), actual.get(i), "result " + i + ", threads " + threads);
      }
    }
  }

  private static List<double[]> results(ReferenceBackend backend, DType dtype) {
    Random random = new Random(9);
    List<double[]> out = new ArrayList<>();
    Buffer x = Naive.buffer(backend, dtype, Naive.random(N, random::nextGaussian));
    Buffer y = Naive.empty(backend, dtype, N);
    backend.unary(UnaryOp.TANH, x, y);
    out.add(Naive.values(backend, y));
    backend.binary(
        BinaryOp.MUL, y, new long[] {400, 1}, x, new long[] {0, 1}, y, new long[] {500, 400});
    out.add(Naive.values(backend, y));
    for (int[] size : new int[][] {{1, N, 1}, {1, N / 10, 10}, {500, 400, 1}, {1, 100, N / 100}}) {
      Buffer sum = Naive.empty(backend, dtype, (long) size[0] * size[2]);
      backend.reduce(ReduceOp.SUM, x, sum, size[0], size[1], size[2]);
      out.add(Naive.values(backend, sum));
      backend.reduce(ReduceOp.PROD, x, sum, size[0], size[1], size[2]);
      out.add(Naive.values(backend, sum));
    }
    Buffer index = Naive.buffer(backend, DType.INT64, Naive.random(2000, () -> random.nextInt(50)));
    Buffer table = Naive.buffer(backend, dtype, new double[5000]);
    backend.scatterAdd(IndexShape.rows(1, 50, 2000, 100), x, index, table);
    out.add(Naive.values(backend, table));
    Buffer product = Naive.empty(backend, dtype, 200 * 200);
    backend.matmul(MatmulShape.of(200, 200, 1000, false, true), x, x, product);
    out.add(Naive.values(backend, product));
    Buffer products = Naive.empty(backend, dtype, 50 * 64);
    backend.matmul(new MatmulShape(50, 8, 8, 500, false, false, 4000, 4000, false), x, x, products);
    out.add(Naive.values(backend, products));
    Buffer rng = Naive.buffer(backend, DType.INT64, 5, 6);
    backend.random(RandomKind.NORMAL, y, rng, 1, 0, 1);
    out.add(Naive.values(backend, y));
    return out;
  }

  @Test
  void theThreadCountComesFromTheSystemProperty() {
    String before = System.getProperty("gradus.threads");
    ReferenceProvider provider = new ReferenceProvider();
    try {
      System.setProperty("gradus.threads", "3");
      assertEquals(3, ((ReferenceBackend) provider.open(Device.cpu())).threads());
      assertEquals(
          "reference backend, plain Java, 3 threads", provider.devices().get(0).description());
      System.setProperty("gradus.threads", "none");
      ArgumentException e =
          assertThrows(ArgumentException.class, () -> provider.open(Device.cpu()));
      assertEquals(
          "[device] system property gradus.threads is 'none': give a number of threads, at least 1",
          e.getMessage());
    } finally {
      if (before == null) {
        System.clearProperty("gradus.threads");
      } else {
        System.setProperty("gradus.threads", before);
      }
    }
  }

  @Test
  void theServiceLoaderFindsTheProcessor() {
    assertEquals(Device.cpu(), Device.of("cpu", 0));
    assertEquals(Device.cpu(), io.gradus.backend.Backends.of(Device.cpu()).device());
  }
}
