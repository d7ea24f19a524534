package io.gradus.backend.plugin;

import java.nio.ByteBuffer;

/** Copies between the Java arrays that carry element types and native memory. */
final class HostArrays {
  private HostArrays() {}

  static void put(Object array, int at, ByteBuffer to, int count) {
    if (array instanceof float[] a) {
      to.asFloatBuffer().put(a, at, count);
    } else if (array instanceof double[] a) {
      to.asDoubleBuffer().put(a, at, count);
    } else if (array instanceof long[] a) {
      to.asLongBuffer().put(a, at, count);
    } else if (array instanceof int[] a) {
      to.asIntBuffer().put(a, at, count);
    } else if (array instanceof short[] a) {
      to.asShortBuffer().put(a, at, count);
    } else {
      to.put((byte[]) array, at, count);
    }
  }

  static void get(ByteBuffer from, Object array, int at, int count) {
    if (array instanceof float[] a) {
      from.asFloatBuffer().get(a, at, count);
    } else if (array instanceof double[] a) {
      from.asDoubleBuffer().get(a, at, count);
    } else if (array instanceof long[] a) {
      from.asLongBuffer().get(a, at, count);
    } else if (array instanceof int[] a) {
      from.asIntBuffer().get(a, at, count);
    } else if (array instanceof short[] a) {
      from.asShortBuffer().get(a, at, count);
    } else {
      from.get((byte[]) array, at, count);
    }
  }
}
