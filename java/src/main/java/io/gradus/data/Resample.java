package io.gradus.data;

/**
 * Changes the size of images by a triangle filter as wide as an output pixel, or an input pixel
 * where that is larger: linear interpolation when an image grows, a weighted mean of areas when it
 * shrinks.
 */
final class Resample {
  private Resample() {}

  /** Resizes {@code [h, w, channels]} to {@code [toH, toW, channels]}. */
  static float[] resize(float[] image, int h, int w, int channels, int toH, int toW) {
    float[] rows = axis(image, 1, h, w * channels, toH);
    return axis(rows, toH, w, channels, toW);
  }

  /** Resizes the middle axis of {@code [outer, from, inner]} to {@code to}. */
  private static float[] axis(float[] in, int outer, int from, int inner, int to) {
    if (from == to) {
      return in;
    }
    float[] out = new float[Math.multiplyExact(Math.multiplyExact(outer, to), inner)];
    double scale = (double) from / to;
    double support = Math.max(1, scale);
    for (int i = 0; i < to; i++) {
      double centre = (i + 0.5) * scale;
      int first = Math.max(0, (int) Math.floor(centre - support));
      int last = Math.min(from - 1, (int) Math.ceil(centre + support));
      double[] weights = new double[last - first + 1];
      double sum = 0;
      for (int k = 0; k < weights.length; k++) {
        weights[k] = Math.max(0, 1 - Math.abs(first + k + 0.5 - centre) / support);
        sum += weights[k];
      }
      for (int o = 0; o < outer; o++) {
        for (int c = 0; c < inner; c++) {
          double value = 0;
          for (int k = 0; k < weights.length; k++) {
            value += weights[k] * in[(o * from + first + k) * inner + c];
          }
          out[(o * to + i) * inner + c] = (float) (value / sum);
        }
      }
    }
    return out;
  }
}
