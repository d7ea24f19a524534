package io.gradus.backend.reference;

import static io.gradus.backend.reference.HeapArrays.array;
import static io.gradus.backend.reference.HeapArrays.at;

import io.gradus.backend.Buffer;
import io.gradus.backend.MatmulShape;
import io.gradus.core.DType;

/**
 * Batched matrix products: float32 and float64 by the blocked kernels, the 16-bit floating types in
 * float32, which the result may be as well, integers by plain loops in int64.
 */
final class MatmulKernels {
  /** Multiplications below which a product is computed by one thread, several products at once. */
  private static final long SMALL = 1 << 20;

  private static final Parallel SERIAL = new Parallel(1);

  /** One product of a batch. */
  @FunctionalInterface
  private interface Product {
    void run(Parallel pool, int a, int b, int c);
  }

  private MatmulKernels() {}

  static void matmul(Parallel pool, MatmulShape shape, Buffer a, Buffer b, Buffer c) {
    if (shape.batch() * shape.m() * shape.n() == 0) {
      return;
    }
    boolean ta = shape.transA();
    boolean tb = shape.transB();
    boolean accumulate = shape.accumulate();
    int m = Math.toIntExact(shape.m());
    int n = Math.toIntExact(shape.n());
    int k = Math.toIntExact(shape.k());
    int lda = ta ? m : k;
    int ldb = tb ? k : n;
    DType dtype = c.dtype();
    if (k == 0) {
      if (!accumulate) {
        Fills.fill(pool, c, 0);
      }
    } else if (dtype == DType.FLOAT64) {
      double[] x = HeapArrays.doubles(a);
      double[] y = HeapArrays.doubles(b);
      double[] z = HeapArrays.doubles(c);
      Product gemm =
          (p, i, j, o) -> Dgemm.gemm(p, ta, tb, m, n, k, x, i, lda, y, j, ldb, z, o, n, accumulate);
      batch(pool, shape, at(a), at(b), at(c), gemm);
    } else if (dtype == DType.FLOAT32) {
      boolean wide = a.dtype().isHalf();
      float[] x = wide ? Casts.toFloats(pool, a) : HeapArrays.floats(a);
      float[] y = wide ? Casts.toFloats(pool, b) : HeapArrays.floats(b);
      float[] z = HeapArrays.floats(c);
      Product gemm =
          (p, i, j, o) -> Sgemm.gemm(p, ta, tb, m, n, k, x, i, lda, y, j, ldb, z, o, n, accumulate);
      batch(pool, shape, wide ? 0 : at(a), wide ? 0 : at(b), at(c), gemm);
    } else if (dtype.isHalf()) {
      float[] x = Casts.toFloats(pool, a);
      float[] y = Casts.toFloats(pool, b);
      float[] z = accumulate ? Casts.toFloats(pool, c) : new float[HeapArrays.length(c)];
      Product gemm =
          (p, i, j, o) -> Sgemm.gemm(p, ta, tb, m, n, k, x, i, lda, y, j, ldb, z, o, n, accumulate);
      batch(pool, shape, 0, 0, 0, gemm);
      Casts.fromFloats(pool, z, c);
    } else {
      long[] x = toLongs(a);
      long[] y = toLongs(b);
      long[] z = accumulate ? toLongs(c) : new long[HeapArrays.length(c)];
      Product plain = (p, i, j, o) -> plain(ta, tb, m, n, k, x, i, y, j, z, o);
      batch(pool, shape, 0, 0, 0, plain);
      Lanes.write(dtype, z, 0, array(c), at(c), z.length);
    }
  }

  /** Runs the products one after another, or, where they are many and small, side by side. */
  private static void batch(
      Parallel pool, MatmulShape shape, int a, int b, int c, Product product) {
    int batch = Math.toIntExact(shape.batch());
    int strideA = Math.toIntExact(shape.strideA());
    int strideB = Math.toIntExact(shape.strideB());
    int strideC = Math.toIntExact(shape.m() * shape.n());
    long work = Math.max(1, shape.m() * shape.n() * shape.k());
    if (batch > 1 && work < SMALL) {
      pool.range(
          batch,
          Math.max(1, SMALL / 4 / work),
          (from, to) -> {
            for (int i = from; i < to; i++) {
              product.run(SERIAL, a + i * strideA, b + i * strideB, c + i * strideC);
            }
          });
    } else {
      for (int i = 0; i < batch; i++) {
        product.run(pool, a + i * strideA, b + i * strideB, c + i * strideC);
      }
    }
  }

  private static void plain(
      boolean ta,
      boolean tb,
      int m,
      int n,
      int k,
      long[] a,
      int aAt,
      long[] b,
      int bAt,
      long[] c,
      int cAt) {
    for (int i = 0; i < m; i++) {
      for (int p = 0; p < k; p++) {
        long left = a[aAt + (ta ? p * m + i : i * k + p)];
        for (int j = 0; j < n; j++) {
          c[cAt + i * n + j] += left * b[bAt + (tb ? j * k + p : p * n + j)];
        }
      }
    }
  }

  private static long[] toLongs(Buffer x) {
    long[] out = new long[HeapArrays.length(x)];
    Lanes.read(x.dtype(), array(x), at(x), 1, out, 0, out.length);
    return out;
  }
}
