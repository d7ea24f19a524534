package io.gradus.backend.reference;

/**
 * Visits operands of one shape but different strides row by row, in row-major order: axes of extent
 * 1 are dropped and axes that every operand lays out as one are merged, so that dense operands are
 * a single row. Rows may be cut where the work is divided among threads.
 */
final class StridedLoop {
  /** What is done with (a part of) a row. */
  @FunctionalInterface
  interface Row {
    /**
     * Handles {@code n} elements.
     *
     * @param at position of the first element in each operand's array; not to be kept
     */
    void run(int[] at, int n);
  }

  private final int operands;
  private final int[] offsets;
  private final int[] extents;
  private final int[][] strides;
  private final int last;
  private final int size;

  /**
   * Plans the visit.
   *
   * @param shape common shape
   * @param offsets position of each operand's first element
   * @param operandStrides strides of each operand
   */
  StridedLoop(long[] shape, int[] offsets, long[]... operandStrides) {
    this.operands = operandStrides.length;
    this.offsets = offsets;
    this.extents = new int[Math.max(1, shape.length)];
    this.strides = new int[operands][extents.length];
    long elements = 1;
    int axes = 0;
    for (int axis = 0; axis < shape.length; axis++) {
      elements *= shape[axis];
      if (shape[axis] == 1) {
        continue;
      }
      if (axes > 0 && merges(axes - 1, shape[axis], axis, operandStrides)) {
        axes--;
        extents[axes] = Math.toIntExact(extents[axes] * shape[axis]);
      } else {
        extents[axes] = Math.toIntExact(shape[axis]);
      }
      for (int k = 0; k < operands; k++) {
        strides[k][axes] = Math.toIntExact(operandStrides[k][axis]);
      }
      axes++;
    }
    if (axes == 0) {
      extents[0] = 1;
      for (int k = 0; k < operands; k++) {
        strides[k][0] = 1;
      }
      axes = 1;
    }
    this.last = axes - 1;
    this.size = Math.toIntExact(elements);
  }

  private boolean merges(int before, long extent, int axis, long[][] operandStrides) {
    for (int k = 0; k < operands; k++) {
      if (strides[k][before] != operandStrides[k][axis] * extent) {
        return false;
      }
    }
    return true;
  }

  /** The row-major strides of a shape. */
  static long[] denseStrides(long[] shape) {
    long[] out = new long[shape.length];
    long stride = 1;
    for (int axis = shape.length - 1; axis >= 0; axis--) {
      out[axis] = stride;
      stride *= shape[axis];
    }
    return out;
  }

  /** Number of elements. */
  int size() {
    return size;
  }

  /** Elements in a whole row. */
  int rowLength() {
    return extents[last];
  }

  /** Stride of an operand along a row. */
  int stride(int operand) {
    return strides[operand][last];
  }

  /** Visits every row. */
  void run(Parallel pool, Row body) {
    if (size > 0) {
      pool.range(size, HeapArrays.GRAIN, (from, to) -> visit(from, to, body));
    }
  }

  private void visit(int from, int to, Row body) {
    int row = from / extents[last];
    int skipped = from - row * extents[last];
    int[] index = new int[last];
    int[] start = offsets.clone();
    for (int axis = last - 1; axis >= 0; axis--) {
      index[axis] = row % extents[axis];
      row /= extents[axis];
      for (int k = 0; k < operands; k++) {
        start[k] += index[axis] * strides[k][axis];
      }
    }
    int[] at = new int[operands];
    int left = to - from;
    while (left > 0) {
      int n = Math.min(extents[last] - skipped, left);
      for (int k = 0; k < operands; k++) {
        at[k] = start[k] + skipped * strides[k][last];
      }
      body.run(at, n);
      left -= n;
      skipped = 0;
      advance(index, start);
    }
  }

  private void advance(int[] index, int[] start) {
    for (int axis = last - 1; axis >= 0; axis--) {
      for (int k = 0; k < operands; k++) {
        start[k] += strides[k][axis];
      }
      if (++index[axis] < extents[axis]) {
        return;
      }
      index[axis] = 0;
      for (int k = 0; k < operands; k++) {
        start[k] -= strides[k][axis] * extents[axis];
      }
    }
  }
}
