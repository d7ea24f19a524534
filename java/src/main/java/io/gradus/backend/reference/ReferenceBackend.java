package io.gradus.backend.reference;

import static io.gradus.backend.reference.HeapArrays.array;
import static io.gradus.backend.reference.HeapArrays.at;
import static io.gradus.backend.reference.HeapArrays.length;

import io.gradus.backend.Allocator;
import io.gradus.backend.Backend;
import io.gradus.backend.BinaryOp;
import io.gradus.backend.Buffer;
import io.gradus.backend.CompareOp;
import io.gradus.backend.IndexShape;
import io.gradus.backend.MatmulShape;
import io.gradus.backend.RandomKind;
import io.gradus.backend.ReduceOp;
import io.gradus.backend.UnaryOp;
import io.gradus.core.Checks;
import io.gradus.core.Device;

/**
 * The processor, in plain Java. A dispatcher: every family of operations is a class of its own,
 * which gets the threads and the buffers. Calls take effect before they return.
 */
public final class ReferenceBackend
    implements Backend,
        ReferenceConv,
        ReferencePool,
        ReferenceEmbedding,
        ReferenceNorm,
        ReferenceDropout,
        ReferenceSoftmax,
        ReferenceAttention,
        ReferenceScan,
        ReferenceImage,
        ReferenceLoss,
        ReferenceOptim {
  private final Device device;
  private final HeapAllocator allocator = new HeapAllocator();
  private final Parallel pool;

  /**
   * A backend that computes with a number of threads; the results are the same for any number.
   *
   * @param threads at least 1
   */
  public ReferenceBackend(int threads) {
    this(Device.reference(), threads);
  }

  /** The same under the name of a device. */
  ReferenceBackend(Device device, int threads) {
    Checks.argument(threads >= 1, "[device] %d threads: give at least 1", threads);
    this.device = device;
    this.pool = new Parallel(threads);
  }

  /** Number of threads that compute. */
  public int threads() {
    return pool.threads();
  }

  @Override
  public Parallel pool() {
    return pool;
  }

  @Override
  public Device device() {
    return device;
  }

  @Override
  public Allocator allocator() {
    return allocator;
  }

  @Override
  public void upload(Object array, int at, Buffer dst) {
    System.arraycopy(array, at, array(dst), at(dst), length(dst));
  }

  @Override
  public void download(Buffer src, Object array, int at) {
    System.arraycopy(array(src), at(src), array, at, length(src));
  }

  @Override
  public void copy(Buffer src, long[] srcStrides, Buffer dst, long[] dstStrides, long[] shape) {
    StridedCopy.copy(pool, src, srcStrides, dst, dstStrides, shape);
  }

  @Override
  public void fill(Buffer dst, double value) {
    Fills.fill(pool, dst, value);
  }

  @Override
  public void cast(Buffer src, Buffer dst) {
    Casts.cast(pool, src, dst);
  }

  @Override
  public void unary(UnaryOp op, Buffer x, Buffer y) {
    Elementwise.unary(pool, op, x, y);
  }

  @Override
  public void binary(
      BinaryOp op, Buffer a, long[] aStrides, Buffer b, long[] bStrides, Buffer out, long[] shape) {
    Elementwise.binary(pool, op, a, aStrides, b, bStrides, out, shape);
  }

  @Override
  public void compare(
      CompareOp op,
      Buffer a,
      long[] aStrides,
      Buffer b,
      long[] bStrides,
      Buffer out,
      long[] shape) {
    Elementwise.compare(pool, op, a, aStrides, b, bStrides, out, shape);
  }

  @Override
  public void where(
      Buffer condition,
      long[] conditionStrides,
      Buffer a,
      long[] aStrides,
      Buffer b,
      long[] bStrides,
      Buffer out,
      long[] shape) {
    Selection.where(pool, condition, conditionStrides, a, aStrides, b, bStrides, out, shape);
  }

  @Override
  public void reduce(ReduceOp op, Buffer x, Buffer out, long outer, long n, long inner) {
    Reductions.reduce(pool, op, x, out, outer, n, inner);
  }

  @Override
  public void argReduce(boolean max, Buffer x, Buffer index, long outer, long n, long inner) {
    ArgReductions.argReduce(pool, max, x, index, outer, n, inner);
  }

  @Override
  public void matmul(MatmulShape shape, Buffer a, Buffer b, Buffer c) {
    MatmulKernels.matmul(pool, shape, a, b, c);
  }

  @Override
  public void gather(IndexShape shape, Buffer x, Buffer index, Buffer out) {
    Indexing.gather(pool, shape, x, index, out);
  }

  @Override
  public void scatterAdd(IndexShape shape, Buffer src, Buffer index, Buffer x) {
    Indexing.scatterAdd(pool, shape, src, index, x);
  }

  @Override
  public void random(RandomKind kind, Buffer out, Buffer rng, long stream, double a, double b) {
    RandomFill.random(pool, kind, out, rng, stream, a, b);
  }

  @Override
  public void synchronize() {
    // Every call has taken effect when it returns.
  }
}
