package io.gradus.backend.reference;

import static io.gradus.backend.reference.HeapArrays.at;
import static io.gradus.backend.reference.HeapArrays.bytes;
import static io.gradus.backend.reference.HeapArrays.floats;

import io.gradus.backend.AugmentShape;
import io.gradus.backend.Buffer;
import io.gradus.backend.Philox;
import java.util.Arrays;
import org.jspecify.annotations.Nullable;

/** Images of bytes to float32, a row at a time, through a table of the 256 values per channel. */
final class ImageKernels {
  private static final int WORDS = 8;
  private static final int VALUES = 256;

  private final Parallel pool;
  private final int channels;

  /** The value of byte b in channel c at {@code c 256 + b}. */
  private final float[] values;

  ImageKernels(Parallel pool, @Nullable Buffer mean, @Nullable Buffer invStd, long channels) {
    this.pool = pool;
    this.channels = Math.toIntExact(channels);
    this.values = new float[this.channels * VALUES];
    for (int c = 0; c < this.channels; c++) {
      float center = mean == null ? 0 : floats(mean)[at(mean) + c];
      float scale = invStd == null ? 1 : floats(invStd)[at(invStd) + c];
      for (int b = 0; b < VALUES; b++) {
        values[c * VALUES + b] = (b / 255f - center) * scale;
      }
    }
  }

  void normalise(Buffer images, Buffer y, long pixels) {
    pool.range(
        pixels,
        Math.max(1, HeapArrays.GRAIN / channels),
        (from, to) -> {
          for (int i = from; i < to; i++) {
            pixel(bytes(images), at(images) + i * channels, floats(y), at(y) + i * channels);
          }
        });
  }

  private void pixel(byte[] image, int imageAt, float[] y, int yAt) {
    for (int c = 0; c < channels; c++) {
      y[yAt + c] = values[c * VALUES + (image[imageAt + c] & 0xFF)];
    }
  }

  void augment(
      Buffer images,
      Buffer index,
      @Nullable Buffer rng,
      Buffer y,
      AugmentShape shape,
      long stream) {
    long[] state = rng == null ? new long[2] : HeapArrays.longs(rng);
    int stateAt = rng == null ? 0 : at(rng);
    int outRows = (int) shape.outHeight();
    int outCols = (int) shape.outWidth();
    int area = Math.toIntExact(shape.height() * shape.width() * channels);
    pool.run(
        Math.toIntExact(shape.batch()),
        sample -> {
          byte[] black = new byte[channels];
          int[] w = new int[WORDS];
          Philox.block(state[stateAt], state[stateAt + 1] + stream, 2L * sample, w, 0);
          Philox.block(state[stateAt], state[stateAt + 1] + stream, 2L * sample + 1, w, 4);
          int[] rows = coordinates(shape, w[0], w[2], shape.spareHeight(), outRows, shape.height());
          int[] columns =
              coordinates(shape, w[1], w[3], shape.spareWidth(), outCols, shape.width());
          if (shape.flip() && w[4] < 0) {
            reverse(columns);
          }
          int image = at(images) + (int) HeapArrays.longs(index)[at(index) + sample] * area;
          int target = at(y) + sample * outRows * outCols * channels;
          for (int i = 0; i < outRows; i++) {
            int line = image + rows[i] * (int) shape.width() * channels;
            for (int j = 0; j < outCols; j++) {
              int pixelAt = target + (i * outCols + j) * channels;
              if (rows[i] < 0 || columns[j] < 0) {
                pixel(black, 0, floats(y), pixelAt);
              } else {
                pixel(bytes(images), line + columns[j] * channels, floats(y), pixelAt);
              }
            }
          }
          if (shape.cutout() > 0) {
            cutOut(shape, w[5], w[6], floats(y), target);
          }
        });
  }

  /** Which row or column of the image each of the result shows; -1 for none. */
  private static int[] coordinates(
      AugmentShape shape, int cropWord, int moveWord, long spare, int outExtent, long extent) {
    long start = shape.crop() ? Philox.below(cropWord, spare + 1) : spare / 2;
    long move = Philox.below(moveWord, 2 * shape.translate() + 1) - shape.translate();
    int[] out = new int[outExtent];
    for (int i = 0; i < outExtent; i++) {
      out[i] = (int) shown(i + start - shape.padding() - move, extent, shape.reflect());
    }
    return out;
  }

  private static long shown(long at, long extent, boolean reflect) {
    if (!reflect) {
      return at >= 0 && at < extent ? at : -1;
    }
    if (extent == 1) {
      return 0;
    }
    long forth = Math.floorMod(at, 2 * (extent - 1));
    return Math.min(forth, 2 * (extent - 1) - forth);
  }

  private static void reverse(int[] x) {
    for (int i = 0, j = x.length - 1; i < j; i++, j--) {
      int kept = x[i];
      x[i] = x[j];
      x[j] = kept;
    }
  }

  private void cutOut(AugmentShape shape, int rowWord, int columnWord, float[] y, int first) {
    long row = Philox.below(rowWord, shape.outHeight()) - shape.cutout() / 2;
    long column = Philox.below(columnWord, shape.outWidth()) - shape.cutout() / 2;
    int left = (int) Math.max(0, column);
    int right = (int) Math.min(shape.outWidth(), column + shape.cutout());
    for (int i = (int) Math.max(0, row);
        i < Math.min(shape.outHeight(), row + shape.cutout());
        i++) {
      int line = first + i * (int) shape.outWidth() * channels;
      Arrays.fill(y, line + left * channels, line + right * channels, 0);
    }
  }
}
