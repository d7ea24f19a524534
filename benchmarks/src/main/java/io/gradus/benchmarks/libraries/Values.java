package io.gradus.benchmarks.libraries;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Random;

/**
 * Standard normal numbers as a GPU's operands hold them: a product of zeros takes less power, so
 * that the GPU's clock is higher than in use.
 */
public final class Values {
  private static final int SEED = 1;
  private static final int HALF_BIAS = 127 - 15;

  private Values() {}

  /**
   * So many of them, in a buffer from its start to its limit.
   *
   * @param spec whose type they have
   */
  public static ByteBuffer normal(KernelSpec spec, int count) {
    ByteBuffer values = ByteBuffer.allocateDirect(count * spec.bytes());
    values.order(ByteOrder.LITTLE_ENDIAN);
    Random random = new Random(SEED);
    for (int i = 0; i < count; i++) {
      float value = (float) random.nextGaussian();
      switch (spec.type()) {
        case "bfloat16" -> values.putShort(bfloat16(value));
        case "float16" -> values.putShort(float16(value));
        default -> values.putFloat(value);
      }
    }
    return values.flip();
  }

  /** The bits of the bfloat16 that is next to a number towards 0. */
  static short bfloat16(float value) {
    return (short) (Float.floatToIntBits(value) >>> 16);
  }

  /** The bits of the float16 that is next to a number below 65504 towards 0; tiny ones are 0. */
  static short float16(float value) {
    int bits = Float.floatToIntBits(value);
    int sign = bits >>> 16 & 0x8000;
    int exponent = (bits >>> 23 & 0xff) - HALF_BIAS;
    return (short) (exponent <= 0 ? sign : sign | (exponent << 10) | (bits >>> 13 & 0x3ff));
  }
}
