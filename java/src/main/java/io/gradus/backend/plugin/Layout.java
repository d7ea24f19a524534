package io.gradus.backend.plugin;

import io.gradus.backend.plugin.jni.Native;
import java.util.Arrays;
import org.jspecify.annotations.Nullable;

/**
 * A shape with the strides of several operands, merged to as few axes as it takes, which is what
 * the kernels want: axes of extent 1 vanish, and neighbours that all operands walk as one become
 * one. Shapes with more axes than the kernels have room for take several launches, over the
 * innermost axes:
 *
 * <pre>{@code
 * Layout layout = call.layout(shape, strides, Layout.DENSE);
 * while (layout.next()) {
 *   call.require(Native.gr_copy(call.at(x, layout.at(0)), call.at(y, layout.at(1)), layout.address(), ...));
 * }
 * }</pre>
 *
 * <p>There is one per {@link Call}, reused.
 */
final class Layout {
  /** Stands for the strides of a dense operand. */
  static final long[] DENSE = {};

  /** Operands with strides in a gr_layout; further ones are dense. */
  private static final int WRITTEN = 3;

  private static final int OPERANDS = WRITTEN + 1;

  private final Call call;
  private int rank;
  private long[] shape = {};
  private long[] dense = {};
  private final long[][] strides = new long[OPERANDS][0];
  private int operands;

  /** The axes that the kernels have no room for, and where the launch is there. */
  private int outer;

  private long[] index = {};
  private final long[] at = new long[OPERANDS];
  private boolean begun;
  private boolean empty;

  Layout(Call call) {
    this.call = call;
  }

  /** Begins a walk; null stands for an operand that there is not. */
  Layout begin(long[] extents, long[] a, long[] b, long @Nullable [] c, long @Nullable [] d) {
    rank = 0;
    operands = c == null ? 2 : d == null ? 3 : OPERANDS;
    makeRoom(extents.length);
    long step = 1;
    for (int axis = extents.length - 1; axis >= 0; axis--) {
      dense[axis] = step;
      step *= extents[axis];
    }
    for (int axis = 0; axis < extents.length; axis++) {
      if (extents[axis] != 1) {
        add(
            extents[axis],
            stride(a, axis),
            stride(b, axis),
            c == null ? 0 : stride(c, axis),
            d == null ? 0 : stride(d, axis));
      }
    }
    outer = Math.max(0, rank - Native.GR_MAX_RANK);
    Arrays.fill(index, 0, outer, 0);
    Arrays.fill(at, 0);
    begun = false;
    empty = step == 0;
    return this;
  }

  private void makeRoom(int axes) {
    if (shape.length < axes) {
      shape = new long[axes];
      dense = new long[axes];
      index = new long[axes];
      for (int i = 0; i < OPERANDS; i++) {
        strides[i] = new long[axes];
      }
    }
  }

  private long stride(long[] of, int axis) {
    return of == DENSE ? dense[axis] : of[axis];
  }

  private void add(long extent, long a, long b, long c, long d) {
    boolean merges =
        rank > 0
            && continues(0, a, extent)
            && continues(1, b, extent)
            && continues(2, c, extent)
            && continues(3, d, extent);
    if (merges) {
      shape[rank - 1] *= extent;
    } else {
      shape[rank++] = extent;
    }
    strides[0][rank - 1] = a;
    strides[1][rank - 1] = b;
    strides[2][rank - 1] = c;
    strides[3][rank - 1] = d;
  }

  /** Whether an operand walks an axis as it walks the one before. */
  private boolean continues(int operand, long stride, long extent) {
    return strides[operand][rank - 1] == stride * extent;
  }

  /** Moves to the next launch; false where there is none. */
  boolean next() {
    if (!begun) {
      begun = true;
      write();
      return !empty;
    }
    int axis = outer - 1;
    while (axis >= 0 && ++index[axis] == shape[axis]) {
      advance(axis, 1 - shape[axis]);
      index[axis--] = 0;
    }
    if (axis < 0) {
      return false;
    }
    advance(axis, 1);
    return true;
  }

  /** Moves the operands' positions by steps along an axis. */
  private void advance(int axis, long steps) {
    for (int i = 0; i < operands; i++) {
      at[i] += steps * strides[i][axis];
    }
  }

  /** The first element of an operand in this launch. */
  long at(int operand) {
    return at[operand];
  }

  /** The gr_layout of every launch. */
  long address() {
    return call.address();
  }

  private void write() {
    call.struct().put((long) (rank - outer));
    write(shape);
    for (int i = 0; i < WRITTEN; i++) {
      if (i < operands) {
        write(strides[i]);
      } else {
        call.skip(Native.GR_MAX_RANK);
      }
    }
  }

  private void write(long[] values) {
    for (int i = outer; i < rank; i++) {
      call.put(values[i]);
    }
    call.skip(Native.GR_MAX_RANK - (rank - outer));
  }
}
