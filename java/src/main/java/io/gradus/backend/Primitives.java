package io.gradus.backend;

import io.gradus.core.DType;
import io.gradus.core.Device;
import org.jspecify.annotations.Nullable;

/**
 * What a backend must implement; everything else has a default body. Buffers are dense unless
 * strides are given (in elements, 0 where an axis is broadcast); shapes and types were checked by
 * the caller. Calls are in order; {@link #synchronize()} and {@link #download} wait.
 *
 * <p>Types: all operands of one call have the same type unless said otherwise. 16-bit floating
 * types accumulate in float32 or better. The order of every sum is fixed by the shapes alone, so
 * that results do not depend on the number of threads.
 */
public interface Primitives {
  /** The device this backend computes on. */
  Device device();

  /** The allocator, for its statistics. */
  Allocator allocator();

  /** Memory of undefined contents. */
  default Memory allocate(DType dtype, long length) {
    return allocator().allocate(dtype, length);
  }

  /**
   * Copies from a host array of the type's Java carrier: float[], double[], short[] (16-bit
   * floating bits), int[], long[] or byte[] (UINT8, BOOL).
   */
  void upload(Object array, int at, Buffer dst);

  /**
   * New memory with elements of a host array. Calls from now on see them, and the copy may overlap
   * with the work of the calls before: so a batch comes while the one before is computed.
   */
  default Memory uploadAhead(DType dtype, Object array, int at, long length) {
    Memory memory = allocate(dtype, length);
    try {
      upload(array, at, Buffer.of(memory));
    } catch (RuntimeException e) {
      memory.release();
      throw e;
    }
    return memory;
  }

  /** Copies to a host array of the type's Java carrier. */
  void download(Buffer src, Object array, int at);

  /** Copies between strided layouts of the same shape. */
  void copy(Buffer src, long[] srcStrides, Buffer dst, long[] dstStrides, long[] shape);

  /** Sets every element to a value, converted to the type. */
  void fill(Buffer dst, double value);

  /**
   * Converts: floats to integers toward zero (saturating), anything to BOOL by "is not 0", floats
   * to narrower floats to nearest even.
   */
  void cast(Buffer src, Buffer dst);

  /** y = op(x), element-wise; y may be x. */
  void unary(UnaryOp op, Buffer x, Buffer y);

  /** out = op(a, b) over the broadcast shape; out is dense and may be an operand of that layout. */
  void binary(
      BinaryOp op, Buffer a, long[] aStrides, Buffer b, long[] bStrides, Buffer out, long[] shape);

  /** out = op(a, b) over the broadcast shape; out is dense and BOOL. */
  void compare(
      CompareOp op, Buffer a, long[] aStrides, Buffer b, long[] bStrides, Buffer out, long[] shape);

  /** out = condition ? a : b over the broadcast shape; condition is BOOL, out dense. */
  void where(
      Buffer condition,
      long[] conditionStrides,
      Buffer a,
      long[] aStrides,
      Buffer b,
      long[] bStrides,
      Buffer out,
      long[] shape);

  /** Reduces x [outer, n, inner] along its middle axis to out [outer, inner]. */
  void reduce(ReduceOp op, Buffer x, Buffer out, long outer, long n, long inner);

  /**
   * Position of the maximum (or minimum) along the middle axis of x [outer, n, inner], as INT64
   * [outer, inner]: the first of equals; a NaN counts as the extreme.
   */
  void argReduce(boolean max, Buffer x, Buffer index, long outer, long n, long inner);

  /**
   * C = op(A) op(B), batched; C is dense [batch, m, n]. Where A and B are of 16 bits, C may be
   * FLOAT32: it has the sums as they are.
   */
  void matmul(MatmulShape shape, Buffer a, Buffer b, Buffer c);

  /** Reads the selected part of x; {@code index} is INT64 and in range. */
  void gather(IndexShape shape, Buffer x, Buffer index, Buffer out);

  /**
   * Adds src to the selected part of x, in the order of src; {@code index} is INT64 and in range.
   */
  void scatterAdd(IndexShape shape, Buffer src, Buffer index, Buffer x);

  /**
   * Fills out with random numbers. The words of element i come from Philox with key {@code rng[0]}
   * and counter (i / 4, {@code rng[1]} + stream), word i % 4; float64 uniforms use counter i / 2
   * and two words; normals pair words by Box and Muller.
   *
   * @param rng INT64 [seed, base], on the device so that a captured step draws anew
   * @param stream number of the random operation since the seed was set
   * @param a lower bound or mean
   * @param b upper bound or standard deviation
   */
  void random(RandomKind kind, Buffer out, Buffer rng, long stream, double a, double b);

  /** Waits until every call so far has taken effect. */
  void synchronize();

  /**
   * Begins to record this thread's calls in place of running them; null where the device cannot.
   *
   * @throws IllegalStateException when a recording of the device is under way
   */
  default @Nullable Recording record() {
    return null;
  }

  /** Whether this thread's calls are being recorded. */
  default boolean isRecording() {
    return false;
  }

  /** Room to copy values to while the device goes on. */
  default HostCopy hostCopy(DType dtype, int length) {
    return new ArrayCopy(this, dtype, length);
  }
}
