package io.gradus.backend.reference;

import io.gradus.backend.Buffer;
import java.util.Arrays;
import org.jspecify.annotations.Nullable;

/**
 * How loops over a matrix [rows, channels] are cut. Few channels make short inner loops, so several
 * rows are taken as one wide row whose lanes repeat the channels; the rows left over make one more,
 * narrower row. Wide rows come in blocks that stay in the cache, and blocks in tasks whose number
 * depends on the sizes alone: partial results of tasks are combined in their order, so that the
 * number of threads does not show.
 */
final class ChannelRows {
  /** Lanes of a wide row: long loops and long copies, but some rows fit the first-level cache. */
  private static final int WIDTH = 768;

  private static final int BLOCK_ROWS = 64;
  private static final int BLOCK_ELEMENTS = 1 << 15;
  private static final int TASKS = 64;

  final int channels;
  final int width;
  final int blockRows;
  final int tasks;

  private final int wideRows;
  private final int rest;
  private final int blocks;

  /** Work on a block. */
  interface Block {
    /**
     * Handles rows of {@code width} elements.
     *
     * @param at position of the first element in the matrix
     * @param rows number of wide rows, 1 to {@link #blockRows}
     * @param width their length, a multiple of the channels
     */
    void run(int at, int rows, int width);
  }

  ChannelRows(long rows, long channels) {
    this.channels = Math.toIntExact(channels);
    int n = Math.toIntExact(rows);
    int repeats = Math.max(1, WIDTH / Math.max(1, this.channels));
    this.width = this.channels * repeats;
    this.wideRows = width == 0 ? 0 : n / repeats;
    this.rest = (n - wideRows * repeats) * this.channels;
    int fitting = BLOCK_ELEMENTS / Math.max(1, width);
    this.blockRows = Math.max(4, Math.min(BLOCK_ROWS, fitting));
    this.blocks = (wideRows + blockRows - 1) / blockRows;
    this.tasks = Math.max(1, Math.min(TASKS, blocks));
  }

  /** Runs the blocks of one task, in order; the last task gets the rest. */
  void forEachBlock(int task, Block body) {
    int from = (int) ((long) blocks * task / tasks);
    int to = (int) ((long) blocks * (task + 1) / tasks);
    for (int block = from; block < to; block++) {
      int first = block * blockRows;
      body.run(first * width, Math.min(blockRows, wideRows - first), width);
    }
    if (task == tasks - 1 && rest > 0) {
      body.run(wideRows * width, 1, rest);
    }
  }

  /** One value per channel, repeated over a wide row; {@code absent} where there is no buffer. */
  float[] wide(@Nullable Buffer perChannel, float absent) {
    float[] out = new float[width];
    if (perChannel == null) {
      Arrays.fill(out, absent);
    } else {
      System.arraycopy(HeapArrays.floats(perChannel), HeapArrays.at(perChannel), out, 0, channels);
      repeat(out);
    }
    return out;
  }

  /** Repeats the first values of a wide row, one per channel, to its end. */
  void repeat(float[] row) {
    for (int j = channels; j < width; j++) {
      row[j] = row[j - channels];
    }
  }

  /** Adds the lanes of a wide row to one sum per channel, from {@code at} on. */
  void fold(float[] row, int width, double[] sums, int at) {
    for (int first = 0; first < width; first += channels) {
      for (int c = 0; c < channels; c++) {
        sums[at + c] += row[first + c];
      }
    }
  }
}
