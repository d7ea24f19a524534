package io.gradus.backend.reference;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.gradus.core.DType;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

class HalfFloatTest {
  private static float decode(DType dtype, int pattern) {
    return dtype == DType.BFLOAT16
        ? HalfFloat.fromBfloat16((short) pattern)
        : HalfFloat.fromFloat16((short) pattern);
  }

  private static short encode(DType dtype, float value) {
    return dtype == DType.BFLOAT16 ? HalfFloat.toBfloat16(value) : HalfFloat.toFloat16(value);
  }

  private static short encode(DType dtype, double value) {
    return dtype == DType.BFLOAT16 ? HalfFloat.toBfloat16(value) : HalfFloat.toFloat16(value);
  }

  @ParameterizedTest
  @EnumSource(names = {"BFLOAT16", "FLOAT16"})
  void everyPatternDecodesByDefinitionAndSurvivesTheRoundTrip(DType dtype) {
    for (int pattern = 0; pattern < 1 << 16; pattern++) {
      double expected = Naive.decodeHalf(dtype, pattern);
      float value = decode(dtype, pattern);
      if (Double.isNaN(expected)) {
        assertTrue(Float.isNaN(value));
        assertTrue(Double.isNaN(Naive.decodeHalf(dtype, encode(dtype, value) & 0xFFFF)));
        assertTrue(Double.isNaN(Naive.decodeHalf(dtype, encode(dtype, (double) value) & 0xFFFF)));
      } else {
        assertEquals(expected, value);
        assertEquals((short) pattern, encode(dtype, value));
        assertEquals((short) pattern, encode(dtype, (double) value));
      }
    }
  }

  @ParameterizedTest
  @EnumSource(names = {"BFLOAT16", "FLOAT16"})
  void valuesBetweenNeighboursRoundToNearestEven(DType dtype) {
    int infinity = dtype == DType.BFLOAT16 ? 0x7F80 : 0x7C00;
    double overflow = dtype == DType.BFLOAT16 ? 0x1p128 : 0x1p16;
    for (int pattern = 0; pattern < infinity; pattern++) {
      double low = Naive.decodeHalf(dtype, pattern);
      double high = pattern + 1 == infinity ? overflow : Naive.decodeHalf(dtype, pattern + 1);
      double tie = (low + high) / 2;
      short even = (short) ((pattern & 1) == 0 ? pattern : pattern + 1);
      assertEquals(even, encode(dtype, tie));
      assertEquals((short) pattern, encode(dtype, Math.nextDown(tie)));
      assertEquals((short) (pattern + 1), encode(dtype, Math.nextUp(tie)));
      assertEquals((short) (even | 0x8000), encode(dtype, -tie));
      assertEquals(even, encode(dtype, (float) tie));
      assertEquals((short) pattern, encode(dtype, Math.nextDown((float) tie)));
      assertEquals((short) (pattern + 1), encode(dtype, Math.nextUp((float) tie)));
    }
  }

  @ParameterizedTest
  @EnumSource(names = {"BFLOAT16", "FLOAT16"})
  void randomFloatsRoundAsBisectionDoes(DType dtype) {
    Random random = new Random(5);
    for (int i = 0; i < 100_000; i++) {
      float value = Float.intBitsToFloat(random.nextInt());
      if (!Float.isNaN(value)) {
        assertEquals(Naive.encodeHalf(dtype, value), encode(dtype, value));
        assertEquals(Naive.encodeHalf(dtype, value), encode(dtype, (double) value));
      }
    }
  }

  @Test
  void nextDownStepsThroughZero() {
    assertEquals(HalfFloat.toFloat16(1f) - 1, HalfFloat.nextDown(HalfFloat.toFloat16(1f)));
    assertEquals((short) 0x8001, HalfFloat.nextDown((short) 0));
    assertEquals((short) 0x8002, HalfFloat.nextDown((short) 0x8001));
  }
}
