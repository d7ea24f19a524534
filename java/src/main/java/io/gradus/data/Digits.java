package io.gradus.data;

import io.gradus.backend.Philox;
import io.gradus.core.Checks;
import io.gradus.core.Shape;
import io.gradus.data.DigitStrokes.Stroke;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.IntStream;

/**
 * Handwritten-like digits, 28x28 grey, light on dark, drawn from stroke skeletons: the data set
 * that is always there, with no download and no font.
 *
 * <p>A sample is a pure function of the seed and its number: a style of its digit, with jittered
 * points, under an elastic distortion (a smooth random displacement field) and a random affine map
 * (scale, shear, rotation, translation), drawn with a pen of random width, then blurred edges,
 * contrast and noise. Classes take turns, so every ten samples hold each digit once.
 *
 * <p>Source: Simard, Steinkraus, Platt, "Best practices for convolutional neural networks applied
 * to visual document analysis", ICDAR 2003 (elastic distortion).
 */
public final class Digits {
  /** Samples of the training set unless another number is asked for. */
  public static final int TRAIN = 12_000;

  /** Samples of the test set unless another number is asked for. */
  public static final int TEST = 2_000;

  private static final int SIDE = 28;
  private static final int CLASSES = 10;
  private static final Shape SHAPE = Shape.of(SIDE, SIDE, 1);

  /** Where the test samples are numbered from: far beyond any training set. */
  private static final long TEST_FROM = 1L << 40;

  /** Cells of the displacement field along each axis, over the unit box and a margin around it. */
  private static final int FIELD = 4;

  private static final double MARGIN = 1.5;

  private Digits() {}

  /** The usual training and test set. */
  public static TrainTest open() {
    return open(TRAIN, TEST, 1);
  }

  /**
   * A training and a test set without a common sample.
   *
   * @param train samples of the training set
   * @param test samples of the test set
   * @param seed fixes every sample
   * @throws io.gradus.core.ArgumentException when a number is below 1 or above a million
   */
  public static TrainTest open(int train, int test, long seed) {
    return new TrainTest(
        generate("digits/train", train, seed, 0), generate("digits/test", test, seed, TEST_FROM));
  }

  private static ImageDataset generate(String name, int count, long seed, long from) {
    Checks.argument(
        count >= 1 && count <= 1_000_000,
        "[digits] %d samples of %s were asked for: choose 1 to 1000000",
        count,
        name);
    byte[] pixels = new byte[count * SIDE * SIDE];
    int[] labels = new int[count];
    IntStream.range(0, count)
        .parallel()
        .forEach(
            i -> {
              labels[i] = i % CLASSES;
              draw(labels[i], new Draws(seed, from + i), pixels, i * SIDE * SIDE);
            });
    return new ImageDataset(name, SHAPE, Labels.numbered(CLASSES), pixels, labels);
  }

  private static void draw(int digit, Draws draws, byte[] out, int at) {
    List<List<Stroke>> styles = DigitStrokes.styles(digit);
    List<double[]> paths = new ArrayList<>();
    for (Stroke stroke : styles.get((int) (draws.uniform() * styles.size()))) {
      double[] points = stroke.points();
      for (int i = 0; i < points.length; i++) {
        points[i] += 0.018 * draws.normal();
      }
      paths.add(stroke.path(points));
    }
    distort(paths, draws);
    place(paths, draws);
    float[] ink = new float[SIDE * SIDE];
    pen(paths, draws, ink);
    double contrast = draws.between(0.7, 1);
    double noise = draws.between(0, 0.09);
    for (int i = 0; i < ink.length; i++) {
      double value = contrast * ink[i] + noise * draws.triangular();
      out[at + i] = (byte) Math.round(255 * Math.min(1, Math.max(0, value)));
    }
  }

  /** Moves every point by a field of random vectors, smoothed by a uniform cubic B-spline. */
  private static void distort(List<double[]> paths, Draws draws) {
    int knots = FIELD + 3;
    double strength = draws.between(0.02, 0.11);
    double[] field = new double[knots * knots * 2];
    for (int i = 0; i < field.length; i++) {
      field[i] = strength * draws.normal();
    }
    double[] wx = new double[4];
    double[] wy = new double[4];
    for (double[] path : paths) {
      for (int i = 0; i < path.length; i += 2) {
        int cx = weights(path[i], wx);
        int cy = weights(path[i + 1], wy);
        for (int a = 0; a < 4; a++) {
          for (int b = 0; b < 4; b++) {
            int knot = 2 * ((cy + a) * knots + cx + b);
            path[i] += wy[a] * wx[b] * field[knot];
            path[i + 1] += wy[a] * wx[b] * field[knot + 1];
          }
        }
      }
    }
  }

  /** The B-spline's four weights at a coordinate; returns the cell it lies in. */
  private static int weights(double coordinate, double[] w) {
    double u = ((coordinate - 0.5) / MARGIN + 0.5) * FIELD;
    int cell = Math.min(FIELD - 1, Math.max(0, (int) u));
    double t = Math.min(1, Math.max(0, u - cell));
    double s = 1 - t;
    w[0] = s * s * s / 6;
    w[1] = (3 * t * t * t - 6 * t * t + 4) / 6;
    w[2] = (3 * s * s * s - 6 * s * s + 4) / 6;
    w[3] = t * t * t / 6;
    return cell;
  }

  /** Maps the unit box to pixels by a random affine map that keeps all ink in the image. */
  private static void place(List<double[]> paths, Draws draws) {
    double height = draws.between(15, 21);
    double width = height * draws.between(0.62, 1);
    double shear = draws.between(-0.35, 0.2);
    double angle = Math.toRadians(draws.between(-15, 15));
    double cos = Math.cos(angle);
    double sin = Math.sin(angle);
    double[] low = {Double.MAX_VALUE, Double.MAX_VALUE};
    double[] high = {-Double.MAX_VALUE, -Double.MAX_VALUE};
    for (double[] path : paths) {
      for (int i = 0; i < path.length; i += 2) {
        double y = height * (path[i + 1] - 0.5);
        double x = width * (path[i] - 0.5) + shear * y;
        path[i] = cos * x - sin * y;
        path[i + 1] = sin * x + cos * y;
        for (int axis = 0; axis < 2; axis++) {
          low[axis] = Math.min(low[axis], path[i + axis]);
          high[axis] = Math.max(high[axis], path[i + axis]);
        }
      }
    }
    double room = SIDE - 4.0;
    for (int axis = 0; axis < 2; axis++) {
      double extent = high[axis] - low[axis];
      double scale = Math.min(1, room / Math.max(extent, 1e-6));
      double free = Math.min(2.5, (room - scale * extent) / 2);
      double centre = SIDE / 2.0 + free * draws.between(-1, 1);
      for (double[] path : paths) {
        for (int i = axis; i < path.length; i += 2) {
          path[i] = centre + scale * (path[i] - (low[axis] + high[axis]) / 2);
        }
      }
    }
  }

  /** Draws the paths with a round pen whose width changes along the stroke. */
  private static void pen(List<double[]> paths, Draws draws, float[] ink) {
    double radius = draws.between(0.75, 1.9);
    double edge = draws.between(0.8, 1.5);
    for (double[] path : paths) {
      double start = radius * draws.between(0.75, 1.1);
      double stop = radius * draws.between(0.75, 1.1);
      int pieces = path.length / 2 - 1;
      for (int i = 0; i < pieces; i++) {
        double r = start + (stop - start) * i / pieces;
        segment(path, 2 * i, r, edge, ink);
      }
    }
  }

  private static void segment(double[] path, int at, double radius, double edge, float[] ink) {
    double x0 = path[at];
    double y0 = path[at + 1];
    double dx = path[at + 2] - x0;
    double dy = path[at + 3] - y0;
    double squared = Math.max(dx * dx + dy * dy, 1e-12);
    double reach = radius + edge;
    int left = Math.max(0, (int) Math.floor(Math.min(x0, x0 + dx) - reach));
    int right = Math.min(SIDE - 1, (int) Math.ceil(Math.max(x0, x0 + dx) + reach));
    int top = Math.max(0, (int) Math.floor(Math.min(y0, y0 + dy) - reach));
    int bottom = Math.min(SIDE - 1, (int) Math.ceil(Math.max(y0, y0 + dy) + reach));
    for (int y = top; y <= bottom; y++) {
      for (int x = left; x <= right; x++) {
        double px = x + 0.5 - x0;
        double py = y + 0.5 - y0;
        double t = Math.min(1, Math.max(0, (px * dx + py * dy) / squared));
        double ex = px - t * dx;
        double ey = py - t * dy;
        double distance = Math.sqrt(ex * ex + ey * ey);
        double value = Math.min(1, (radius - distance) / edge + 0.5);
        int pixel = y * SIDE + x;
        ink[pixel] = (float) Math.max(ink[pixel], value);
      }
    }
  }

  /** The random numbers of one sample. */
  private static final class Draws {
    private final long seed;
    private final long sample;
    private final int[] words = new int[4];
    private long block;
    private int used = 4;

    Draws(long seed, long sample) {
      this.seed = seed;
      this.sample = sample;
    }

    private int word() {
      if (used == 4) {
        Philox.block(seed, sample, block++, words, 0);
        used = 0;
      }
      return words[used++];
    }

    double uniform() {
      return Philox.uniformFloat(word());
    }

    double between(double low, double high) {
      return low + (high - low) * uniform();
    }

    double normal() {
      double radius = Philox.normalRadius(word());
      return radius * StrictMath.cos(Philox.normalAngle(word()));
    }

    /** Mean 0, on (-1, 1), from the two halves of one word: cheap, for noise on every pixel. */
    double triangular() {
      int word = word();
      return ((word >>> 16) - (word & 0xFFFF)) * 0x1p-16;
    }
  }
}
