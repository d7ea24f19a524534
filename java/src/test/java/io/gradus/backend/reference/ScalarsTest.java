package io.gradus.backend.reference;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.gradus.backend.Philox;
import io.gradus.backend.ScalarMath;
import org.junit.jupiter.api.Test;

class ScalarsTest {
  /** Source: kat_vectors of the Random123 distribution, philox4x32-10. */
  @Test
  void philoxGivesThePublishedVectors() {
    assertArrayEquals(new int[] {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}, philox(0, 0, 0));
    assertArrayEquals(
        new int[] {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}, philox(-1, -1, -1));
    assertArrayEquals(
        new int[] {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1},
        philox(0x299f31d0a4093822L, 0x0370734413198a2eL, 0x85a308d3243f6a88L));
  }

  private static int[] philox(long seed, long stream, long block) {
    int[] out = new int[6];
    Philox.block(seed, stream, block, out, 1);
    return java.util.Arrays.copyOfRange(out, 1, 5);
  }

  /** Source: Abramowitz and Stegun, table 7.1, and the same to the digits of float64. */
  @Test
  void erfHasItsKnownValues() {
    assertEquals(0, ScalarMath.erf(0));
    assertEquals(0.11246291601828488, ScalarMath.erf(0.1), 1e-15);
    assertEquals(0.5204998778130465, ScalarMath.erf(0.5), 1e-15);
    assertEquals(0.8427007929497149, ScalarMath.erf(1), 1e-15);
    assertEquals(0.9953222650189527, ScalarMath.erf(2), 1e-15);
    assertEquals(0.9999779095030014, ScalarMath.erf(3), 1e-15);
    assertEquals(-0.8427007929497149, ScalarMath.erf(-1), 1e-15);
    assertEquals(1.1283791670955126e-10, ScalarMath.erf(1e-10), 1e-24);
    assertEquals(1, ScalarMath.erf(6.5));
    assertEquals(-1, ScalarMath.erf(Double.NEGATIVE_INFINITY));
    assertTrue(Double.isNaN(ScalarMath.erf(Double.NaN)));
  }
}
