package io.gradus.backend.reference;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import io.gradus.backend.BinaryOp;
import io.gradus.backend.Buffer;
import io.gradus.backend.CompareOp;
import io.gradus.backend.UnaryOp;
import io.gradus.core.DType;
import io.gradus.core.DTypeException;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

class ElementwiseTest {
  private static final ReferenceBackend BACKEND = new ReferenceBackend(2);
  private static final int TRIALS = 40;

  /** A random strided operand of small values. */
  private static final class Operand {
    final long[] strides;
    final double[] values;
    final Buffer buffer;

    Operand(Random random, DType dtype, long[] shape) {
      strides = Naive.strides(random, shape, true);
      values = Naive.random(Naive.span(shape, strides), () -> Naive.small(random, dtype));
      buffer = Naive.buffer(BACKEND, dtype, values);
    }

    double at(long[] shape, int i) {
      return values[Naive.position(shape, strides, i)];
    }
  }

  private static double apply(UnaryOp op, DType dtype, double x) {
    if (dtype == DType.FLOAT32) {
      return op.onFloat().apply((float) x);
    }
    var onLong = op.onLong();
    return dtype.isFloating() || onLong == null
        ? op.onDouble().applyAsDouble(x)
        : onLong.applyAsLong((long) x);
  }

  private static double apply(BinaryOp op, DType dtype, double a, double b) {
    if (dtype == DType.FLOAT32) {
      return op.onFloat().apply((float) a, (float) b);
    }
    return dtype.isFloating()
        ? op.onDouble().applyAsDouble(a, b)
        : op.onLong().applyAsLong((long) a, (long) b);
  }

  @ParameterizedTest
  @EnumSource
  void unaryAgreesWithTheScalarFunctionInEveryType(UnaryOp op) {
    Random random = new Random(op.name().hashCode());
    for (DType dtype : DType.values()) {
      if (!dtype.isFloating() && op.onLong() == null) {
        continue;
      }
      for (int n : new int[] {0, 1, 7, 1025}) {
        double[] x = Naive.random(n, () -> Naive.small(random, dtype));
        double[] expected = new double[n];
        for (int i = 0; i < n; i++) {
          expected[i] = Naive.as(dtype, apply(op, dtype, x[i]));
        }
        Buffer in = Naive.buffer(BACKEND, dtype, x);
        Buffer out = Naive.empty(BACKEND, dtype, n);
        BACKEND.unary(op, in, out);
        assertArrayEquals(expected, Naive.values(BACKEND, out), dtype + " " + n);
        BACKEND.unary(op, in, in);
        assertArrayEquals(expected, Naive.values(BACKEND, in), "in place " + dtype);
      }
    }
  }

  @Test
  void unaryOfAnIntegerNamesTheRemedy() {
    Buffer x = Naive.buffer(BACKEND, DType.INT32, 1, 2);
    DTypeException e = assertThrows(DTypeException.class, () -> BACKEND.unary(UnaryOp.EXP, x, x));
    assertEquals("[exp] needs a floating type, not INT32: cast first", e.getMessage());
  }

  @ParameterizedTest
  @EnumSource
  void binaryBroadcastsAnyLayoutInEveryType(DType dtype) {
    Random random = new Random(dtype.name().hashCode());
    for (BinaryOp op : BinaryOp.values()) {
      for (int trial = 0; trial < TRIALS; trial++) {
        long[] shape = Naive.shape(random);
        Operand a = new Operand(random, dtype, shape);
        Operand b = new Operand(random, dtype, shape);
        double[] expected = new double[Naive.size(shape)];
        for (int i = 0; i < expected.length; i++) {
          expected[i] = Naive.as(dtype, apply(op, dtype, a.at(shape, i), b.at(shape, i)));
        }
        Buffer out = Naive.empty(BACKEND, dtype, expected.length);
        BACKEND.binary(op, a.buffer, a.strides, b.buffer, b.strides, out, shape);
        assertArrayEquals(expected, Naive.values(BACKEND, out), op.toString());
      }
    }
  }

  @Test
  void binaryHandlesRowsOfAllLengthsAndWritesOverAnOperand() {
    Random random = new Random(3);
    for (long rows : new long[] {1, 3, 700}) {
      for (long columns : new long[] {1, 2, 31, 100, 5000}) {
        long[] shape = {rows, columns};
        int n = Naive.size(shape);
        double[] a = Naive.random(n, () -> random.nextInt(1000));
        double[] b = Naive.random((int) columns, () -> random.nextInt(1000));
        double[] left = new double[n];
        double[] right = new double[n];
        for (int i = 0; i < n; i++) {
          left[i] = a[i] - b[i % (int) columns];
          right[i] = b[i % (int) columns] - a[i];
        }
        Buffer x = Naive.buffer(BACKEND, DType.FLOAT32, a);
        Buffer y = Naive.buffer(BACKEND, DType.FLOAT32, b);
        Buffer out = Naive.empty(BACKEND, DType.FLOAT32, n);
        long[] dense = {columns, 1};
        long[] row = {0, 1};
        BACKEND.binary(BinaryOp.SUB, y, row, x, dense, out, shape);
        assertArrayEquals(right, Naive.values(BACKEND, out));
        BACKEND.binary(BinaryOp.SUB, x, dense, y, row, x, shape);
        assertArrayEquals(left, Naive.values(BACKEND, x));
      }
    }
  }

  @Test
  void integersWrapAndDivideByZeroToZero() {
    Buffer a = Naive.buffer(BACKEND, DType.UINT8, 250, 3, 7);
    Buffer b = Naive.buffer(BACKEND, DType.UINT8, 10, 5, 0);
    Buffer out = Naive.empty(BACKEND, DType.UINT8, 3);
    long[] dense = {1};
    long[] shape = {3};
    BACKEND.binary(BinaryOp.ADD, a, dense, b, dense, out, shape);
    assertArrayEquals(new double[] {4, 8, 7}, Naive.values(BACKEND, out));
    BACKEND.binary(BinaryOp.SUB, b, dense, a, dense, out, shape);
    assertArrayEquals(new double[] {16, 2, 249}, Naive.values(BACKEND, out));
    BACKEND.binary(BinaryOp.DIV, a, dense, b, dense, out, shape);
    assertArrayEquals(new double[] {25, 0, 0}, Naive.values(BACKEND, out));
  }

  @ParameterizedTest
  @EnumSource
  void compareBroadcastsAnyLayoutInEveryType(DType dtype) {
    Random random = new Random(dtype.name().hashCode());
    for (CompareOp op : CompareOp.values()) {
      for (int trial = 0; trial < TRIALS; trial++) {
        long[] shape = Naive.shape(random);
        Operand a = new Operand(random, dtype, shape);
        Operand b = new Operand(random, dtype, shape);
        double[] expected = new double[Naive.size(shape)];
        for (int i = 0; i < expected.length; i++) {
          expected[i] = op.onDouble().test(a.at(shape, i), b.at(shape, i)) ? 1 : 0;
        }
        Buffer out = Naive.empty(BACKEND, DType.BOOL, expected.length);
        BACKEND.compare(op, a.buffer, a.strides, b.buffer, b.strides, out, shape);
        assertArrayEquals(expected, Naive.values(BACKEND, out), op.toString());
      }
    }
  }

  @Test
  void comparisonsWithNanAreFalseButForNe() {
    for (DType dtype : new DType[] {DType.FLOAT32, DType.FLOAT64, DType.FLOAT16}) {
      Buffer nan = Naive.buffer(BACKEND, dtype, Double.NaN);
      Buffer out = Naive.empty(BACKEND, DType.BOOL, 1);
      for (CompareOp op : CompareOp.values()) {
        BACKEND.compare(op, nan, new long[0], nan, new long[0], out, new long[0]);
        assertEquals(op == CompareOp.NE ? 1 : 0, Naive.values(BACKEND, out)[0], op.toString());
      }
    }
  }

  @Test
  void longsCompareExactly() {
    Buffer a = Naive.empty(BACKEND, DType.INT64, 1);
    Buffer b = Naive.empty(BACKEND, DType.INT64, 1);
    BACKEND.upload(new long[] {(1L << 53) + 1}, 0, a);
    BACKEND.upload(new long[] {1L << 53}, 0, b);
    Buffer out = Naive.empty(BACKEND, DType.BOOL, 1);
    BACKEND.compare(CompareOp.GT, a, new long[0], b, new long[0], out, new long[0]);
    assertEquals(1, Naive.values(BACKEND, out)[0]);
  }

  @ParameterizedTest
  @EnumSource
  void whereBroadcastsAnyLayoutInEveryType(DType dtype) {
    Random random = new Random(dtype.name().hashCode());
    for (int trial = 0; trial < TRIALS; trial++) {
      long[] shape = Naive.shape(random);
      Operand condition = new Operand(random, DType.BOOL, shape);
      Operand a = new Operand(random, dtype, shape);
      Operand b = new Operand(random, dtype, shape);
      double[] expected = new double[Naive.size(shape)];
      for (int i = 0; i < expected.length; i++) {
        expected[i] = condition.at(shape, i) != 0 ? a.at(shape, i) : b.at(shape, i);
      }
      Buffer out = Naive.empty(BACKEND, dtype, expected.length);
      BACKEND.where(
          condition.buffer,
          condition.strides,
          a.buffer,
          a.strides,
          b.buffer,
          b.strides,
          out,
          shape);
      assertArrayEquals(expected, Naive.values(BACKEND, out));
    }
  }
}
