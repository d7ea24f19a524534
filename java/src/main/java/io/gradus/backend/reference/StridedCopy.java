package io.gradus.backend.reference;

import static io.gradus.backend.reference.HeapArrays.array;
import static io.gradus.backend.reference.HeapArrays.at;

import io.gradus.backend.Buffer;
import java.util.Arrays;
import java.util.Comparator;

/**
 * Copies between strided layouts. Axes are put in the order of the destination's memory and merged;
 * what remains is cut into planes of two axes: the one that is innermost in the destination and the
 * one that is innermost in the source. A plane is copied in square tiles, so that a transposition
 * touches every cache line once.
 */
final class StridedCopy {
  /** Edge of a tile: 32 lines of 64 bytes on either side stay in the first-level cache. */
  private static final int TILE = 16;

  /** Rows at least this long are worth a block copy. */
  private static final int BLOCK_ROW = 16;

  private record Axis(int extent, int src, int dst) {}

  private StridedCopy() {}

  static void copy(
      Parallel pool, Buffer src, long[] srcStrides, Buffer dst, long[] dstStrides, long[] shape) {
    for (long extent : shape) {
      if (extent == 0) {
        return;
      }
    }
    Axis[] axes = merged(shape, srcStrides, dstStrides);
    Axis inner = axes[axes.length - 1];
    boolean blocks = inner.src == 1 && inner.dst == 1;
    int second = secondAxis(axes, blocks);
    Axis other = second < 0 ? new Axis(1, 0, 0) : axes[second];
    blocks &= second < 0;

    int outerAxes = axes.length - (second < 0 ? 1 : 2);
    long[] outerShape = new long[outerAxes];
    long[] outerSrc = new long[outerAxes];
    long[] outerDst = new long[outerAxes];
    int kept = 0;
    for (int axis = 0; axis < axes.length - 1; axis++) {
      if (axis != second) {
        outerShape[kept] = axes[axis].extent;
        outerSrc[kept] = axes[axis].src;
        outerDst[kept] = axes[axis].dst;
        kept++;
      }
    }
    new Planes(array(src), array(dst), inner, other, blocks)
        .run(pool, at(src), at(dst), outerShape, outerSrc, outerDst);
  }

  /**
   * The axis that makes a plane with the innermost one: that of the smallest source stride if it is
   * below the innermost axis's, or the next one if rows are short; -1 for none.
   */
  private static int secondAxis(Axis[] axes, boolean blocks) {
    int last = axes.length - 1;
    if (last == 0 || (blocks && axes[last].extent >= BLOCK_ROW)) {
      return -1;
    }
    int best = last - 1;
    for (int axis = last - 2; axis >= 0; axis--) {
      if (axes[axis].src != 0 && Math.abs(axes[axis].src) < Math.abs(axes[best].src)) {
        best = axis;
      }
    }
    return blocks || Math.abs(axes[best].src) >= Math.abs(axes[last].src) ? last - 1 : best;
  }

  private static Axis[] merged(long[] shape, long[] srcStrides, long[] dstStrides) {
    Axis[] axes = new Axis[shape.length];
    int count = 0;
    for (int axis = 0; axis < shape.length; axis++) {
      if (shape[axis] != 1) {
        axes[count++] =
            new Axis(
                Math.toIntExact(shape[axis]),
                Math.toIntExact(srcStrides[axis]),
                Math.toIntExact(dstStrides[axis]));
      }
    }
    if (count == 0) {
      return new Axis[] {new Axis(1, 1, 1)};
    }
    Arrays.sort(
        axes, 0, count, Comparator.comparingInt((Axis axis) -> Math.abs(axis.dst)).reversed());
    int out = 0;
    for (int i = 1; i < count; i++) {
      Axis a = axes[out];
      Axis b = axes[i];
      if (a.src == b.src * b.extent && a.dst == b.dst * b.extent) {
        axes[out] = new Axis(a.extent * b.extent, b.src, b.dst);
      } else {
        axes[++out] = b;
      }
    }
    return Arrays.copyOf(axes, out + 1);
  }

  /** The copies of all planes between two arrays. */
  private record Planes(Object src, Object dst, Axis inner, Axis other, boolean blocks) {

    void run(
        Parallel pool, int srcAt, int dstAt, long[] shape, long[] srcStrides, long[] dstStrides) {
      // Units of work: tile rows of a plane; a single long row is cut along itself.
      boolean alongInner = other.extent == 1;
      Axis cut = alongInner ? inner : other;
      int piece = alongInner ? Math.min(inner.extent, HeapArrays.GRAIN) : TILE;
      int pieces = (cut.extent + piece - 1) / piece;
      int planes = 1;
      for (long extent : shape) {
        planes *= (int) extent;
      }
      int elements = Math.max(1, alongInner ? piece : Math.min(piece, cut.extent) * inner.extent);
      int grain = Math.max(1, HeapArrays.GRAIN / elements);
      pool.range(
          Math.multiplyExact(planes, pieces),
          grain,
          (from, to) -> {
            for (int unit = from; unit < to; unit++) {
              int plane = unit / pieces;
              int start = (unit - plane * pieces) * piece;
              int s = srcAt + start * cut.src;
              int d = dstAt + start * cut.dst;
              for (int axis = shape.length - 1; axis >= 0; axis--) {
                int index = plane % (int) shape[axis];
                plane /= (int) shape[axis];
                s += index * (int) srcStrides[axis];
                d += index * (int) dstStrides[axis];
              }
              piece(s, d, alongInner, Math.min(piece, cut.extent - start));
            }
          });
    }

    private void piece(int s, int d, boolean alongInner, int n) {
      if (alongInner) {
        if (blocks) {
          System.arraycopy(src, s, dst, d, n);
        } else {
          plane(s, d, 1, n);
        }
        return;
      }
      for (int q = 0; q < inner.extent; q += TILE) {
        plane(s + q * inner.src, d + q * inner.dst, n, Math.min(TILE, inner.extent - q));
      }
    }

    private void plane(int s, int d, int rows, int columns) {
      int sp = other.src;
      int dp = other.dst;
      int sq = inner.src;
      int dq = inner.dst;
      if (src instanceof float[] x && dst instanceof float[] y) {
        for (int p = 0; p < rows; p++) {
          for (int q = 0; q < columns; q++) {
            y[d + p * dp + q * dq] = x[s + p * sp + q * sq];
          }
        }
      } else if (src instanceof double[] x && dst instanceof double[] y) {
        for (int p = 0; p < rows; p++) {
          for (int q = 0; q < columns; q++) {
            y[d + p * dp + q * dq] = x[s + p * sp + q * sq];
          }
        }
      } else if (src instanceof short[] x && dst instanceof short[] y) {
        for (int p = 0; p < rows; p++) {
          for (int q = 0; q < columns; q++) {
            y[d + p * dp + q * dq] = x[s + p * sp + q * sq];
          }
        }
      } else if (src instanceof int[] x && dst instanceof int[] y) {
        for (int p = 0; p < rows; p++) {
          for (int q = 0; q < columns; q++) {
            y[d + p * dp + q * dq] = x[s + p * sp + q * sq];
          }
        }
      } else if (src instanceof long[] x && dst instanceof long[] y) {
        for (int p = 0; p < rows; p++) {
          for (int q = 0; q < columns; q++) {
            y[d + p * dp + q * dq] = x[s + p * sp + q * sq];
          }
        }
      } else if (src instanceof byte[] x && dst instanceof byte[] y) {
        for (int p = 0; p < rows; p++) {
          for (int q = 0; q < columns; q++) {
            y[d + p * dp + q * dq] = x[s + p * sp + q * sq];
          }
        }
      }
    }
  }
}
