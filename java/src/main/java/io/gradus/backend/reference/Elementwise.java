package io.gradus.backend.reference;

import static io.gradus.backend.reference.HeapArrays.array;
import static io.gradus.backend.reference.HeapArrays.at;
import static io.gradus.backend.reference.HeapArrays.bytes;
import static io.gradus.backend.reference.HeapArrays.floats;

import io.gradus.backend.BinaryOp;
import io.gradus.backend.Buffer;
import io.gradus.backend.CompareOp;
import io.gradus.backend.DoubleCompare;
import io.gradus.backend.LongCompare;
import io.gradus.backend.UnaryOp;
import io.gradus.core.DType;
import io.gradus.core.DTypeException;
import java.util.Locale;
import java.util.function.DoubleBinaryOperator;
import java.util.function.DoubleUnaryOperator;
import java.util.function.LongBinaryOperator;
import java.util.function.LongUnaryOperator;

/**
 * Element-wise functions: float32 by the loops of {@link FloatLoops}, the other floating types in
 * double[], integers in long[].
 */
final class Elementwise {
  private Elementwise() {}

  static void unary(Parallel pool, UnaryOp op, Buffer x, Buffer y) {
    DType dtype = x.dtype();
    Object in = array(x);
    Object out = array(y);
    int xAt = at(x);
    int yAt = at(y);
    LongUnaryOperator onLong = op.onLong();
    if (dtype == DType.FLOAT32) {
      FloatLoops.Unary loop = FloatLoops.of(op);
      float[] source = floats(x);
      float[] target = floats(y);
      pool.range(
          y.length(),
          HeapArrays.GRAIN,
          (from, to) -> loop.run(source, xAt + from, target, yAt + from, to - from));
    } else if (dtype.isFloating()) {
      DoubleUnaryOperator f = op.onDouble();
      pool.range(
          y.length(),
          HeapArrays.GRAIN,
          (from, to) -> unaryDoubles(f, dtype, in, xAt + from, out, yAt + from, to - from));
    } else if (onLong != null) {
      pool.range(
          y.length(),
          HeapArrays.GRAIN,
          (from, to) -> unaryLongs(onLong, dtype, in, xAt + from, out, yAt + from, to - from));
    } else {
      throw new DTypeException(
          "["
              + op.name().toLowerCase(Locale.ROOT)
              + "] needs a floating type, not "
              + dtype
              + ": cast first");
    }
  }

  private static void unaryDoubles(
      DoubleUnaryOperator f, DType dtype, Object x, int xAt, Object y, int yAt, int n) {
    double[] lane = new double[Math.min(n, Lanes.CHUNK)];
    for (int done = 0; done < n; done += lane.length) {
      int count = Math.min(lane.length, n - done);
      Lanes.read(dtype, x, xAt + done, 1, lane, 0, count);
      for (int i = 0; i < count; i++) {
        lane[i] = f.applyAsDouble(lane[i]);
      }
      Lanes.write(dtype, lane, 0, y, yAt + done, count);
    }
  }

  private static void unaryLongs(
      LongUnaryOperator f, DType dtype, Object x, int xAt, Object y, int yAt, int n) {
    long[] lane = new long[Math.min(n, Lanes.CHUNK)];
    for (int done = 0; done < n; done += lane.length) {
      int count = Math.min(lane.length, n - done);
      Lanes.read(dtype, x, xAt + done, 1, lane, 0, count);
      for (int i = 0; i < count; i++) {
        lane[i] = f.applyAsLong(lane[i]);
      }
      Lanes.write(dtype, lane, 0, y, yAt + done, count);
    }
  }

  static void binary(
      Parallel pool,
      BinaryOp op,
      Buffer a,
      long[] aStrides,
      Buffer b,
      long[] bStrides,
      Buffer out,
      long[] shape) {
    StridedLoop rows = rows(a, aStrides, b, bStrides, out, shape);
    DType dtype = a.dtype();
    int sa = rows.stride(0);
    int sb = rows.stride(1);
    Object x = array(a);
    Object y = array(b);
    Object z = array(out);
    if (dtype == DType.FLOAT32) {
      FloatLoops.Binary loop = FloatLoops.of(op);
      float[] fx = floats(a);
      float[] fy = floats(b);
      float[] fz = floats(out);
      rows.run(pool, (at, n) -> loop.run(fx, at[0], sa, fy, at[1], sb, fz, at[2], n));
    } else if (dtype.isFloating()) {
      DoubleBinaryOperator f = op.onDouble();
      rows.run(pool, (at, n) -> binaryDoubles(f, dtype, x, at[0], sa, y, at[1], sb, z, at[2], n));
    } else {
      LongBinaryOperator f = op.onLong();
      rows.run(pool, (at, n) -> binaryLongs(f, dtype, x, at[0], sa, y, at[1], sb, z, at[2], n));
    }
  }

  private static void binaryDoubles(
      DoubleBinaryOperator f,
      DType dtype,
      Object a,
      int aAt,
      int sa,
      Object b,
      int bAt,
      int sb,
      Object out,
      int at,
      int n) {
    double[] left = new double[Math.min(n, Lanes.CHUNK)];
    double[] right = new double[left.length];
    for (int done = 0; done < n; done += left.length) {
      int count = Math.min(left.length, n - done);
      Lanes.read(dtype, a, aAt + done * sa, sa, left, 0, count);
      Lanes.read(dtype, b, bAt + done * sb, sb, right, 0, count);
      for (int i = 0; i < count; i++) {
        left[i] = f.applyAsDouble(left[i], right[i]);
      }
      Lanes.write(dtype, left, 0, out, at + done, count);
    }
  }

  private static void binaryLongs(
      LongBinaryOperator f,
      DType dtype,
      Object a,
      int aAt,
      int sa,
      Object b,
      int bAt,
      int sb,
      Object out,
      int at,
      int n) {
    long[] left = new long[Math.min(n, Lanes.CHUNK)];
    long[] right = new long[left.length];
    for (int done = 0; done < n; done += left.length) {
      int count = Math.min(left.length, n - done);
      Lanes.read(dtype, a, aAt + done * sa, sa, left, 0, count);
      Lanes.read(dtype, b, bAt + done * sb, sb, right, 0, count);
      for (int i = 0; i < count; i++) {
        left[i] = f.applyAsLong(left[i], right[i]);
      }
      Lanes.write(dtype, left, 0, out, at + done, count);
    }
  }

  static void compare(
      Parallel pool,
      CompareOp op,
      Buffer a,
      long[] aStrides,
      Buffer b,
      long[] bStrides,
      Buffer out,
      long[] shape) {
    StridedLoop rows = rows(a, aStrides, b, bStrides, out, shape);
    DType dtype = a.dtype();
    int sa = rows.stride(0);
    int sb = rows.stride(1);
    Object x = array(a);
    Object y = array(b);
    byte[] z = bytes(out);
    if (dtype == DType.FLOAT32) {
      FloatLoops.Compare loop = FloatLoops.of(op);
      float[] fx = floats(a);
      float[] fy = floats(b);
      rows.run(pool, (at, n) -> loop.run(fx, at[0], sa, fy, at[1], sb, z, at[2], n));
    } else if (dtype.isFloating()) {
      DoubleCompare f = op.onDouble();
      rows.run(pool, (at, n) -> compareDoubles(f, dtype, x, at[0], sa, y, at[1], sb, z, at[2], n));
    } else {
      LongCompare f = op.onLong();
      rows.run(pool, (at, n) -> compareLongs(f, dtype, x, at[0], sa, y, at[1], sb, z, at[2], n));
    }
  }

  private static void compareDoubles(
      DoubleCompare f,
      DType dtype,
      Object a,
      int aAt,
      int sa,
      Object b,
      int bAt,
      int sb,
      byte[] out,
      int at,
      int n) {
    double[] left = new double[Math.min(n, Lanes.CHUNK)];
    double[] right = new double[left.length];
    for (int done = 0; done < n; done += left.length) {
      int count = Math.min(left.length, n - done);
      Lanes.read(dtype, a, aAt + done * sa, sa, left, 0, count);
      Lanes.read(dtype, b, bAt + done * sb, sb, right, 0, count);
      for (int i = 0; i < count; i++) {
        out[at + done + i] = (byte) (f.test(left[i], right[i]) ? 1 : 0);
      }
    }
  }

  private static void compareLongs(
      LongCompare f,
      DType dtype,
      Object a,
      int aAt,
      int sa,
      Object b,
      int bAt,
      int sb,
      byte[] out,
      int at,
      int n) {
    long[] left = new long[Math.min(n, Lanes.CHUNK)];
    long[] right = new long[left.length];
    for (int done = 0; done < n; done += left.length) {
      int count = Math.min(left.length, n - done);
      Lanes.read(dtype, a, aAt + done * sa, sa, left, 0, count);
      Lanes.read(dtype, b, bAt + done * sb, sb, right, 0, count);
      for (int i = 0; i < count; i++) {
        out[at + done + i] = (byte) (f.test(left[i], right[i]) ? 1 : 0);
      }
    }
  }

  private static StridedLoop rows(
      Buffer a, long[] aStrides, Buffer b, long[] bStrides, Buffer out, long[] shape) {
    return new StridedLoop(
        shape,
        new int[] {at(a), at(b), at(out)},
        aStrides,
        bStrides,
        StridedLoop.denseStrides(shape));
  }
}
