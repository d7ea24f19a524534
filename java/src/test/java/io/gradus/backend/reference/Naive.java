package io.gradus.backend.reference;

import io.gradus.backend.Backend;
import io.gradus.backend.Buffer;
import io.gradus.core.DType;
import java.util.Random;
import java.util.function.DoubleSupplier;

/** Slow, obvious conversions and layouts that the backend is held against. */
final class Naive {
  private static final double[] BFLOAT16 = decodeAll(DType.BFLOAT16);
  private static final double[] FLOAT16 = decodeAll(DType.FLOAT16);

  private Naive() {}

  /** The value of a 16-bit pattern. */
  static double decodeHalf(DType dtype, int pattern) {
    return (dtype == DType.BFLOAT16 ? BFLOAT16 : FLOAT16)[pattern];
  }

  private static double[] decodeAll(DType dtype) {
    double[] out = new double[1 << 16];
    for (int pattern = 0; pattern < out.length; pattern++) {
      out[pattern] = decode(dtype, pattern);
    }
    return out;
  }

  /** From the definition of the format. */
  private static double decode(DType dtype, int pattern) {
    int fractionBits = dtype == DType.BFLOAT16 ? 7 : 10;
    int bias = dtype == DType.BFLOAT16 ? 127 : 15;
    double sign = (pattern & 0x8000) != 0 ? -1 : 1;
    int exponent = (pattern & 0x7FFF) >> fractionBits;
    int fraction = pattern & ((1 << fractionBits) - 1);
    if (exponent == 2 * bias + 1) {
      return fraction == 0 ? sign * Double.POSITIVE_INFINITY : Double.NaN;
    }
    double scale = Math.pow(2, Math.max(exponent, 1) - bias - fractionBits);
    return sign * (fraction + (exponent == 0 ? 0 : 1 << fractionBits)) * scale;
  }

  /** The nearest pattern, found by bisection; ties go to the even pattern. */
  static short encodeHalf(DType dtype, double value) {
    int infinity = dtype == DType.BFLOAT16 ? 0x7F80 : 0x7C00;
    int sign = Double.doubleToRawLongBits(value) < 0 ? 0x8000 : 0;
    double abs = Math.abs(value);
    if (Double.isNaN(value)) {
      return (short) (sign | infinity | 1);
    }
    int low = 0;
    int high = infinity;
    while (high - low > 1) {
      int middle = (low + high) / 2;
      if (decodeHalf(dtype, middle) <= abs) {
        low = middle;
      } else {
        high = middle;
      }
    }
    // What infinity's pattern would stand for if the exponent range went on.
    double above =
        high == infinity ? Math.pow(2, infinity == 0x7C00 ? 16 : 128) : decodeHalf(dtype, high);
    double below = decodeHalf(dtype, low);
    boolean up = abs - below > above - abs || (abs - below == above - abs && (low & 1) == 1);
    return (short) (sign | (up ? high : low));
  }

  /** The values as an array of the type's carrier. */
  static Object carrier(DType dtype, double[] values) {
    Object out = HeapArrays.newArray(dtype, values.length);
    for (int i = 0; i < values.length; i++) {
      switch (dtype) {
        case FLOAT32 -> ((float[]) out)[i] = (float) values[i];
        case FLOAT64 -> ((double[]) out)[i] = values[i];
        case BFLOAT16, FLOAT16 -> ((short[]) out)[i] = encodeHalf(dtype, values[i]);
        case INT32 -> ((int[]) out)[i] = (int) (long) values[i];
        case INT64 -> ((long[]) out)[i] = (long) values[i];
        case UINT8 -> ((byte[]) out)[i] = (byte) (long) values[i];
        case BOOL -> ((byte[]) out)[i] = (byte) (values[i] != 0 ? 1 : 0);
      }
    }
    return out;
  }

  /** The values of an array of the type's carrier. */
  static double[] values(DType dtype, Object array) {
    double[] out = new double[java.lang.reflect.Array.getLength(array)];
    for (int i = 0; i < out.length; i++) {
      out[i] =
          switch (dtype) {
            case FLOAT32 -> ((float[]) array)[i];
            case FLOAT64 -> ((double[]) array)[i];
            case BFLOAT16, FLOAT16 -> decodeHalf(dtype, ((short[]) array)[i] & 0xFFFF);
            case INT32 -> ((int[]) array)[i];
            case INT64 -> ((long[]) array)[i];
            case UINT8, BOOL -> ((byte[]) array)[i] & 0xFF;
          };
    }
    return out;
  }

  /** What the value becomes in the type: rounded, wrapped or made 0 or 1. */
  static double as(DType dtype, double value) {
    return values(dtype, carrier(dtype, new double[] {value}))[0];
  }

  /** A buffer at an odd offset of a larger allocation. */
  static Buffer buffer(Backend backend, DType dtype, double... values) {
    Buffer out = empty(backend, dtype, values.length);
    backend.upload(carrier(dtype, values), 0, out);
    return out;
  }

  /** A buffer of undefined contents at an odd offset of a larger allocation. */
  static Buffer empty(Backend backend, DType dtype, long length) {
    return Buffer.of(backend.allocate(dtype, length + 7)).slice(3, length);
  }

  /** The contents of a buffer. */
  static double[] values(Backend backend, Buffer buffer) {
    Object out = HeapArrays.newArray(buffer.dtype(), (int) buffer.length());
    backend.download(buffer, out, 0);
    return values(buffer.dtype(), out);
  }

  /** Small values that every type but BOOL holds exactly, now and then equal ones. */
  static double small(Random random, DType dtype) {
    return switch (dtype) {
      case BOOL -> random.nextInt(2);
      case UINT8 -> random.nextInt(12);
      default -> random.nextInt(25) - 12;
    };
  }

  static double[] random(int n, DoubleSupplier next) {
    double[] out = new double[n];
    for (int i = 0; i < n; i++) {
      out[i] = next.getAsDouble();
    }
    return out;
  }

  /** Number of elements of a shape. */
  static int size(long[] shape) {
    int out = 1;
    for (long extent : shape) {
      out *= (int) extent;
    }
    return out;
  }

  /** Position of row-major element {@code i} of a shape in a layout. */
  static int position(long[] shape, long[] strides, int i) {
    int out = 0;
    int rest = i;
    for (int axis = shape.length - 1; axis >= 0; axis--) {
      out += (int) (rest % shape[axis] * strides[axis]);
      rest /= (int) shape[axis];
    }
    return out;
  }

  /** A shape of rank 0 to 4, now and then empty. */
  static long[] shape(Random random) {
    long[] shape = new long[random.nextInt(5)];
    for (int axis = 0; axis < shape.length; axis++) {
      shape[axis] =
          random.nextInt(30) == 0 ? 0 : 1 + random.nextInt(random.nextInt(8) == 0 ? 40 : 5);
    }
    return shape;
  }

  /** Strides of a random layout: permuted, with gaps and, if allowed, broadcast axes. */
  static long[] strides(Random random, long[] shape, boolean broadcast) {
    int[] order = new int[shape.length];
    for (int i = 0; i < order.length; i++) {
      order[i] = i;
    }
    if (random.nextBoolean()) {
      for (int i = order.length - 1; i > 0; i--) {
        int j = random.nextInt(i + 1);
        int swap = order[i];
        order[i] = order[j];
        order[j] = swap;
      }
    }
    long[] strides = new long[shape.length];
    long next = random.nextInt(4) == 0 ? 2 : 1;
    for (int i = order.length - 1; i >= 0; i--) {
      if (broadcast && random.nextInt(4) == 0) {
        continue;
      }
      strides[order[i]] = next;
      next *= Math.max(1, shape[order[i]]) + (random.nextInt(4) == 0 ? 1 : 0);
    }
    return strides;
  }

  /** Elements that a layout spans. */
  static int span(long[] shape, long[] strides) {
    long out = 1;
    for (int axis = 0; axis < shape.length; axis++) {
      out += Math.max(0, shape[axis] - 1) * strides[axis];
    }
    return (int) out;
  }
}
