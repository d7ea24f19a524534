package io.gradus.backend.reference;

/**
 * The two 16-bit floating formats in their bit patterns. Conversions to them round to nearest even,
 * overflow to infinity, keep subnormals, and keep NaN (quiet, with the upper bits of its payload).
 *
 * <p>Subnormal results come from adding a power of two whose unit in the last place is the smallest
 * subnormal, so that the hardware's addition does the rounding.
 */
final class HalfFloat {
  private static final int FLOAT_INFINITY = 0x7F800000;
  private static final long DOUBLE_INFINITY = 0x7FF0000000000000L;

  private HalfFloat() {}

  /** The value of BFLOAT16 bits, exact. */
  static float fromBfloat16(short bits) {
    return Float.intBitsToFloat(bits << 16);
  }

  /** The value of FLOAT16 bits, exact. */
  static float fromFloat16(short bits) {
    int sign = (bits & 0x8000) << 16;
    int abs = bits & 0x7FFF;
    // Scaling by 2^112 mends the exponent's bias and normalises subnormals alike.
    int value =
        abs >= 0x7C00
            ? abs << 13 | FLOAT_INFINITY
            : Float.floatToRawIntBits(Float.intBitsToFloat(abs << 13) * 0x1p112f);
    return Float.intBitsToFloat(sign | value);
  }

  /** The nearest BFLOAT16 bits. */
  static short toBfloat16(float value) {
    int bits = Float.floatToRawIntBits(value);
    int rounded = (bits + 0x7FFF + (bits >>> 16 & 1)) >>> 16;
    int quiet = bits >>> 16 | 0x40;
    return (short) ((bits & 0x7FFFFFFF) > FLOAT_INFINITY ? quiet : rounded);
  }

  /** The nearest FLOAT16 bits. */
  static short toFloat16(float value) {
    int bits = Float.floatToRawIntBits(value);
    int sign = bits >>> 16 & 0x8000;
    int abs = bits & 0x7FFFFFFF;
    if (abs > FLOAT_INFINITY) {
      return (short) (sign | 0x7E00 | (abs >>> 13 & 0x3FF));
    }
    if (abs >= 0x47800000) {
      return (short) (sign | 0x7C00);
    }
    if (abs >= 0x38800000) {
      int rebiased = abs - 0x38000000;
      return (short) (sign | (rebiased + 0xFFF + (rebiased >>> 13 & 1)) >>> 13);
    }
    float shifted = Float.intBitsToFloat(abs) + 0.5f;
    return (short) (sign | (Float.floatToRawIntBits(shifted) - 0x3F000000));
  }

  /** The nearest BFLOAT16 bits, rounded once. */
  static short toBfloat16(double value) {
    return round(value, 7, 127, 0x1p-81);
  }

  /** The nearest FLOAT16 bits, rounded once. */
  static short toFloat16(double value) {
    return round(value, 10, 15, 0x1p28);
  }

  /** The largest value below the given one, in either format; not for NaN and minus infinity. */
  static short nextDown(short bits) {
    if ((bits & 0x7FFF) == 0) {
      return (short) 0x8001;
    }
    return (short) (bits < 0 ? bits + 1 : bits - 1);
  }

  private static short round(double value, int fractionBits, int bias, double subnormalShift) {
    long bits = Double.doubleToRawLongBits(value);
    int sign = (int) (bits >>> 48) & 0x8000;
    long abs = bits & Long.MAX_VALUE;
    int drop = 52 - fractionBits;
    int infinity = (2 * bias + 1) << fractionBits;
    if (abs > DOUBLE_INFINITY) {
      int payload = (int) (abs >>> drop) & ((1 << fractionBits) - 1);
      return (short) (sign | infinity | 1 << (fractionBits - 1) | payload);
    }
    if (abs >= (long) (1023 + bias + 1) << 52) {
      return (short) (sign | infinity);
    }
    if (abs >= (long) (1023 - bias + 1) << 52) {
      long rebiased = abs - ((long) (1023 - bias) << 52);
      long tie = (1L << (drop - 1)) - 1 + (rebiased >>> drop & 1);
      return (short) (sign | (int) ((rebiased + tie) >>> drop));
    }
    double shifted = Double.longBitsToDouble(abs) + subnormalShift;
    return (short)
        (sign
            | (int)
                (Double.doubleToRawLongBits(shifted) - Double.doubleToRawLongBits(subnormalShift)));
  }
}
