package io.gradus.backend.reference;

import static io.gradus.backend.reference.HeapArrays.array;
import static io.gradus.backend.reference.HeapArrays.at;

import io.gradus.backend.Buffer;
import java.util.Arrays;

/** Constant contents. */
final class Fills {
  private Fills() {}

  static void fill(Parallel pool, Buffer dst, double value) {
    Object one = HeapArrays.newArray(dst.dtype(), 1);
    Lanes.write(dst.dtype(), new double[] {value}, 0, one, 0, 1);
    Object y = array(dst);
    int at = at(dst);
    pool.range(dst.length(), HeapArrays.GRAIN, (from, to) -> fill(y, at + from, at + to, one));
  }

  private static void fill(Object array, int from, int to, Object one) {
    if (array instanceof float[] y && one instanceof float[] v) {
      Arrays.fill(y, from, to, v[0]);
    } else if (array instanceof double[] y && one instanceof double[] v) {
      Arrays.fill(y, from, to, v[0]);
    } else if (array instanceof short[] y && one instanceof short[] v) {
      Arrays.fill(y, from, to, v[0]);
    } else if (array instanceof int[] y && one instanceof int[] v) {
      Arrays.fill(y, from, to, v[0]);
    } else if (array instanceof long[] y && one instanceof long[] v) {
      Arrays.fill(y, from, to, v[0]);
    } else if (array instanceof byte[] y && one instanceof byte[] v) {
      Arrays.fill(y, from, to, v[0]);
    }
  }
}
