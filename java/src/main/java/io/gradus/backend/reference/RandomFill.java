package io.gradus.backend.reference;

import static io.gradus.backend.reference.HeapArrays.array;
import static io.gradus.backend.reference.HeapArrays.at;
import static io.gradus.backend.reference.HeapArrays.longs;

import io.gradus.backend.Buffer;
import io.gradus.backend.Philox;
import io.gradus.backend.RandomKind;
import io.gradus.core.DType;

/**
 * Random numbers, computed in float64 and rounded once to the element type. An element is a
 * function of the seed, the stream and its number alone; words 0 and 1 of a block give elements 0
 * and 1 of a normal pair (radius times cosine and sine), words 2 and 3 the elements 2 and 3.
 */
final class RandomFill {
  /** A multiple of a block's elements. */
  private static final int RUN = Lanes.CHUNK;

  private RandomFill() {}

  static void random(
      Parallel pool, RandomKind kind, Buffer out, Buffer rng, long stream, double a, double b) {
    long[] state = longs(rng);
    long seed = state[at(rng)];
    long counter = state[at(rng) + 1] + stream;
    DType dtype = out.dtype();
    Object y = array(out);
    int at = at(out);
    int n = HeapArrays.length(out);
    int runs = (n + RUN - 1) / RUN;
    pool.range(
        runs,
        4,
        (from, to) -> {
          int[] words = new int[RUN];
          double[] lane = new double[RUN];
          for (int run = from; run < to; run++) {
            int first = run * RUN;
            int count = Math.min(RUN, n - first);
            if (kind == RandomKind.UNIFORM && dtype == DType.FLOAT64) {
              uniformDoubles(seed, counter, first, words, lane, count);
            } else {
              words(seed, counter, first / 4, words, count);
              draw(kind, words, lane, count, a, b);
            }
            if (kind == RandomKind.UNIFORM) {
              scale(lane, count, a, b);
            }
            Lanes.write(dtype, lane, 0, y, at + first, count);
            if (kind == RandomKind.UNIFORM && dtype.isFloating() && a < b) {
              keepBelow(y, at + first, count, dtype, b);
            }
          }
        });
  }

  private static void words(long seed, long counter, long block, int[] words, int count) {
    for (int i = 0; i < count; i += 4) {
      Philox.block(seed, counter, block + i / 4, words, i);
    }
  }

  private static void uniformDoubles(
      long seed, long counter, int first, int[] words, double[] lane, int count) {
    for (int i = 0; i < count; i += 2) {
      Philox.block(seed, counter, (first + i) / 2, words, 0);
      lane[i] = Philox.uniformDouble(words[0], words[1]);
      lane[i + 1] = Philox.uniformDouble(words[2], words[3]);
    }
  }

  private static void draw(
      RandomKind kind, int[] words, double[] lane, int count, double a, double b) {
    switch (kind) {
      case UNIFORM -> {
        for (int i = 0; i < count; i++) {
          lane[i] = Philox.uniformFloat(words[i]);
        }
      }
      case NORMAL -> {
        for (int i = 0; i < count; i += 2) {
          double radius = Philox.normalRadius(words[i]);
          double angle = Philox.normalAngle(words[i + 1]);
          lane[i] = a + b * (radius * Math.cos(angle));
          lane[i + 1] = a + b * (radius * Math.sin(angle));
        }
      }
      case INTEGER -> {
        long low = (long) a;
        long bound = (long) b - low;
        for (int i = 0; i < count; i++) {
          lane[i] = low + Philox.below(words[i], bound);
        }
      }
    }
  }

  private static void scale(double[] lane, int count, double a, double b) {
    for (int i = 0; i < count; i++) {
      lane[i] = a + (b - a) * lane[i];
    }
  }

  /** Rounding may reach the excluded upper bound: the largest value below it takes its place. */
  private static void keepBelow(Object array, int at, int n, DType dtype, double bound) {
    if (array instanceof float[] y) {
      for (int i = at; i < at + n; i++) {
        if (y[i] >= bound) {
          y[i] = Math.nextDown(y[i]);
        }
      }
    } else if (array instanceof double[] y) {
      for (int i = at; i < at + n; i++) {
        if (y[i] >= bound) {
          y[i] = Math.nextDown(bound);
        }
      }
    } else if (array instanceof short[] y) {
      for (int i = at; i < at + n; i++) {
        float value =
            dtype == DType.BFLOAT16 ? HalfFloat.fromBfloat16(y[i]) : HalfFloat.fromFloat16(y[i]);
        if (value >= bound) {
          y[i] = HalfFloat.nextDown(y[i]);
        }
      }
    }
  }
}
