package io.gradus.backend.plugin;

/**
 * A shape with the strides of several operands, merged to as few axes as it takes, which is what
 * the kernels want. Axes of extent 1 vanish, and neighbours that all operands walk as one become
 * one.
 */
final class Layout {
  /** Operands with strides in a gr_layout; further ones are dense. */
  static final int OPERANDS = 3;

  private int rank;
  private final long[] shape;
  private final long[][] strides;

  Layout(long[] shape, long[]... strides) {
    this.shape = new long[shape.length];
    this.strides = new long[strides.length][shape.length];
    for (int axis = 0; axis < shape.length; axis++) {
      if (shape[axis] != 1) {
        add(shape[axis], axis, strides);
      }
    }
  }

  private void add(long extent, int axis, long[]... from) {
    boolean merges = rank > 0;
    for (int i = 0; i < from.length && merges; i++) {
      merges = strides[i][rank - 1] == from[i][axis] * extent;
    }
    if (merges) {
      shape[rank - 1] *= extent;
    } else {
      shape[rank++] = extent;
    }
    for (int i = 0; i < from.length; i++) {
      strides[i][rank - 1] = from[i][axis];
    }
  }

  /** The strides of a dense operand. */
  static long[] dense(long[] shape) {
    long[] out = new long[shape.length];
    long step = 1;
    for (int i = shape.length - 1; i >= 0; i--) {
      out[i] = step;
      step *= shape[i];
    }
    return out;
  }

  int rank() {
    return rank;
  }

  int operands() {
    return strides.length;
  }

  long extent(int axis) {
    return shape[axis];
  }

  /** Moves the operands' positions by steps along an axis. */
  void advance(long[] at, int axis, long steps) {
    for (int i = 0; i < at.length; i++) {
      at[i] += steps * strides[i][axis];
    }
  }

  /** Writes the axes from {@code first} on as a gr_layout and gives its address. */
  long write(Call call, int first, int maxRank, int maxOperands) {
    int axes = rank - first;
    call.struct().put((long) axes);
    write(call, shape, first, maxRank);
    for (int i = 0; i < maxOperands; i++) {
      if (i < strides.length) {
        write(call, strides[i], first, maxRank);
      } else {
        call.skip(maxRank);
      }
    }
    return call.address();
  }

  private void write(Call call, long[] values, int first, int maxRank) {
    for (int i = first; i < rank; i++) {
      call.put(values[i]);
    }
    call.skip(maxRank - (rank - first));
  }
}
