package io.gradus.backend.reference;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.gradus.backend.Buffer;
import io.gradus.backend.Philox;
import io.gradus.backend.RandomKind;
import io.gradus.core.DType;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

class RandomFillTest {
  private static final ReferenceBackend BACKEND = new ReferenceBackend(2);
  private static final long SEED = 0x1234_5678_9ABCL;
  private static final long BASE = 40;
  private static final long STREAM = 2;
  private static final int N = 9003;

  private static double[] draw(RandomKind kind, DType dtype, int n, double a, double b) {
    Buffer rng = Naive.empty(BACKEND, DType.INT64, 2);
    BACKEND.upload(new long[] {SEED, BASE}, 0, rng);
    Buffer out = Naive.empty(BACKEND, dtype, n);
    BACKEND.random(kind, out, rng, STREAM, a, b);
    return Naive.values(BACKEND, out);
  }

  private static int word(int i) {
    int[] words = new int[4];
    Philox.block(SEED, BASE + STREAM, i / 4, words, 0);
    return words[i % 4];
  }

  @Test
  void uniformsAreTheWordsOfTheirElements() {
    double[] floats = draw(RandomKind.UNIFORM, DType.FLOAT32, N, 0, 1);
    double[] doubles = draw(RandomKind.UNIFORM, DType.FLOAT64, N, -2, 3);
    int[] words = new int[4];
    for (int i = 0; i < N; i++) {
      assertEquals(Philox.uniformFloat(word(i)), floats[i]);
      Philox.block(SEED, BASE + STREAM, i / 2, words, 0);
      double u = Philox.uniformDouble(words[i % 2 * 2], words[i % 2 * 2 + 1]);
      assertEquals(-2 + 5 * u, doubles[i]);
    }
  }

  @Test
  void normalsPairTheirWords() {
    double[] floats = draw(RandomKind.NORMAL, DType.FLOAT32, N, 1, 2);
    double[] doubles = draw(RandomKind.NORMAL, DType.FLOAT64, N, 1, 2);
    for (int i = 0; i < N; i++) {
      double radius = Philox.normalRadius(word(i & ~1));
      double angle = Philox.normalAngle(word(i | 1));
      double z = radius * (i % 2 == 0 ? Math.cos(angle) : Math.sin(angle));
      assertEquals(1 + 2 * z, doubles[i]);
      assertEquals((float) (1 + 2 * z), floats[i]);
    }
    assertEquals(1, java.util.Arrays.stream(doubles).average().orElseThrow(), 0.1);
  }

  @ParameterizedTest
  @EnumSource
  void integersComeFromTheirWordsInEveryType(DType dtype) {
    double low = dtype == DType.UINT8 || dtype == DType.BOOL ? 0 : -3;
    double high = dtype == DType.BOOL ? 2 : 7;
    double[] y = draw(RandomKind.INTEGER, dtype, N, low, high);
    for (int i = 0; i < N; i++) {
      assertEquals(low + Philox.below(word(i), (long) (high - low)), y[i]);
    }
  }

  @ParameterizedTest
  @EnumSource(names = {"FLOAT32", "BFLOAT16", "FLOAT16"})
  void uniformsStayBelowTheBoundWhereRoundingWouldReachIt(DType dtype) {
    for (double[] bounds : new double[][] {{0, 1}, {-1, 0}, {1, 1.0078125}, {-2, -1}}) {
      for (double value : draw(RandomKind.UNIFORM, dtype, 20_000, bounds[0], bounds[1])) {
        assertTrue(value >= bounds[0] && value < bounds[1], () -> dtype + " " + value);
      }
    }
  }

  @ParameterizedTest
  @EnumSource
  void prefixesDoNotDependOnTheLength(DType dtype) {
    for (RandomKind kind : RandomKind.values()) {
      double[] all = draw(kind, dtype, N, 0, 2);
      for (int n : new int[] {0, 1, 2, 3, 1025}) {
        assertArrayEquals(java.util.Arrays.copyOf(all, n), draw(kind, dtype, n, 0, 2));
      }
    }
  }
}
