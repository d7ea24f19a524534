package io.gradus.backend.reference;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.gradus.backend.Buffer;
import io.gradus.core.DType;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

class CopyAndCastTest {
  private static final ReferenceBackend BACKEND = new ReferenceBackend(2);

  private static void checkCopy(
      Random random, DType dtype, long[] shape, long[] srcStrides, long[] dstStrides) {
    double[] x = Naive.random(Naive.span(shape, srcStrides), () -> Naive.small(random, dtype));
    double[] y = Naive.random(Naive.span(shape, dstStrides), () -> Naive.small(random, dtype));
    Buffer src = Naive.buffer(BACKEND, dtype, x);
    Buffer dst = Naive.buffer(BACKEND, dtype, y);
    BACKEND.copy(src, srcStrides, dst, dstStrides, shape);
    for (int i = 0; i < Naive.size(shape); i++) {
      y[Naive.position(shape, dstStrides, i)] = x[Naive.position(shape, srcStrides, i)];
    }
    assertArrayEquals(y, Naive.values(BACKEND, dst), java.util.Arrays.toString(shape));
  }

  @ParameterizedTest
  @EnumSource
  void copiesBetweenAnyLayoutsAndLeavesTheRestAlone(DType dtype) {
    Random random = new Random(dtype.name().hashCode());
    for (int trial = 0; trial < 300; trial++) {
      long[] shape = Naive.shape(random);
      checkCopy(
          random,
          dtype,
          shape,
          Naive.strides(random, shape, true),
          Naive.strides(random, shape, false));
    }
  }

  @ParameterizedTest
  @EnumSource
  void copiesLargeTransposesAndRows(DType dtype) {
    Random random = new Random(1);
    checkCopy(random, dtype, new long[] {130, 270}, new long[] {1, 130}, new long[] {270, 1});
    checkCopy(random, dtype, new long[] {100_003}, new long[] {1}, new long[] {1});
    checkCopy(random, dtype, new long[] {50_001}, new long[] {2}, new long[] {1});
    checkCopy(
        random,
        dtype,
        new long[] {9, 3, 41, 37},
        new long[] {4551, 1, 111, 3},
        new long[] {4551, 1517, 37, 1});
    checkCopy(
        random,
        dtype,
        new long[] {9, 41, 37, 3},
        new long[] {4551, 37, 1, 1517},
        new long[] {4551, 111, 3, 1});
    checkCopy(random, dtype, new long[] {5000, 3}, new long[] {4, 1}, new long[] {3, 1});
    checkCopy(random, dtype, new long[] {600, 90}, new long[] {0, 1}, new long[] {90, 1});
    checkCopy(random, dtype, new long[] {600, 90}, new long[] {1, 0}, new long[] {90, 1});
  }

  @Test
  void copiesNegativeStridesWithinTheAllocation() {
    Buffer src = Naive.buffer(BACKEND, DType.FLOAT32, 1, 2, 3, 4, 5, 6);
    Buffer dst = Naive.empty(BACKEND, DType.FLOAT32, 6);
    BACKEND.copy(src.slice(2, 4), new long[] {3, -1}, dst, new long[] {3, 1}, new long[] {2, 3});
    assertArrayEquals(new double[] {3, 2, 1, 6, 5, 4}, Naive.values(BACKEND, dst));
  }

  @ParameterizedTest
  @EnumSource
  void uploadAndDownloadTakePartsOfHostArrays(DType dtype) {
    Buffer buffer = Naive.buffer(BACKEND, dtype, 1, 0, 1, 1);
    Object host = Naive.carrier(dtype, new double[] {1, 1, 0, 0, 1});
    BACKEND.upload(host, 2, buffer.slice(1, 2));
    assertArrayEquals(new double[] {1, 0, 0, 1}, Naive.values(BACKEND, buffer));
    BACKEND.download(buffer.slice(2, 2), host, 1);
    assertArrayEquals(new double[] {1, 0, 1, 0, 1}, Naive.values(dtype, host));
    BACKEND.upload(host, 5, buffer.slice(4, 0));
    BACKEND.download(buffer.slice(4, 0), host, 5);
  }

  @ParameterizedTest
  @EnumSource
  void fillConvertsTheValue(DType dtype) {
    Buffer buffer = Naive.buffer(BACKEND, dtype, new double[100]);
    BACKEND.fill(buffer.slice(1, 98), 300.75);
    double expected =
        switch (dtype) {
          case FLOAT32, FLOAT64, FLOAT16 -> 300.75;
          case BFLOAT16 -> 300;
          case INT32, INT64 -> 300;
          case UINT8 -> 255;
          case BOOL -> 1;
        };
    double[] y = Naive.values(BACKEND, buffer);
    assertEquals(0, y[0]);
    assertEquals(expected, y[1]);
    assertEquals(expected, y[98]);
    assertEquals(0, y[99]);
    BACKEND.fill(buffer.slice(3, 0), 7);
  }

  @ParameterizedTest
  @EnumSource
  void castsSmallValuesBetweenAllTypes(DType from) {
    Random random = new Random(2);
    double[] x = Naive.random(70_000, () -> Naive.small(random, from));
    Buffer src = Naive.buffer(BACKEND, from, x);
    for (DType to : DType.values()) {
      Buffer dst = Naive.empty(BACKEND, to, x.length);
      BACKEND.cast(src, dst);
      double[] y = Naive.values(BACKEND, dst);
      for (int i = 0; i < x.length; i++) {
        // Floats saturate where integers wrap.
        double expected =
            to == DType.UINT8 && from.isFloating() ? Math.max(0, x[i]) : Naive.as(to, x[i]);
        assertEquals(expected, y[i], from + " to " + to);
      }
    }
  }

  @Test
  void castsFloatsToIntegersTowardZeroAndSaturates() {
    double[] x = {2.9, -2.9, 1e10, -1e10, 1e30, Double.NaN, 0.4, Double.POSITIVE_INFINITY};
    for (DType from : new DType[] {DType.FLOAT64, DType.FLOAT32}) {
      Buffer src = Naive.buffer(BACKEND, from, x);
      assertArrayEquals(
          new double[] {
            2, -2, Integer.MAX_VALUE, Integer.MIN_VALUE, Integer.MAX_VALUE, 0, 0, Integer.MAX_VALUE
          },
          castTo(src, DType.INT32));
      assertArrayEquals(new double[] {2, 0, 255, 0, 255, 0, 0, 255}, castTo(src, DType.UINT8));
      assertArrayEquals(new double[] {1, 1, 1, 1, 1, 1, 1, 1}, castTo(src, DType.BOOL));
      assertEquals(Long.MAX_VALUE, castTo(src, DType.INT64)[4]);
    }
  }

  @Test
  void castsKeepNanAndRoundOnce() {
    Buffer src = Naive.buffer(BACKEND, DType.FLOAT64, Double.NaN, 1 + 0x1p-8 + 0x1p-40, 65519.99);
    assertTrue(Double.isNaN(castTo(src, DType.BFLOAT16)[0]));
    assertTrue(Double.isNaN(castTo(src, DType.FLOAT16)[0]));
    assertEquals(1 + 0x1p-7, castTo(src, DType.BFLOAT16)[1]);
    assertEquals(65504, castTo(src, DType.FLOAT16)[2]);
    Buffer big = Naive.empty(BACKEND, DType.INT64, 2);
    BACKEND.upload(new long[] {(1L << 62) + (1L << 54) + 1, -(1L << 62) - (1L << 54) - 1}, 0, big);
    assertArrayEquals(
        new double[] {0x1p62 + 0x1p55, -0x1p62 - 0x1p55}, castTo(big, DType.BFLOAT16));
    BACKEND.upload(new long[] {(1L << 62) + (1L << 38) + 1, (1L << 40) + 257}, 0, big);
    assertEquals(0x1p62 + 0x1p39, castTo(big, DType.FLOAT32)[0]);
    assertEquals(257, castTo(big, DType.INT32)[1]);
    assertEquals(1, castTo(big, DType.UINT8)[1]);
  }

  private static double[] castTo(Buffer src, DType to) {
    Buffer dst = Naive.empty(BACKEND, to, src.length());
    BACKEND.cast(src, dst);
    return Naive.values(BACKEND, dst);
  }
}
