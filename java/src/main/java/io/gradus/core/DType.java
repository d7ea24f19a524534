package io.gradus.core;

/** Element types of tensors, with their size in memory. */
public enum DType {
  /** IEEE 754 binary32; the default. */
  FLOAT32(4, true, 5),
  /** IEEE 754 binary64. */
  FLOAT64(8, true, 6),
  /** The upper half of a binary32: 8 exponent and 7 fraction bits. */
  BFLOAT16(2, true, 4),
  /** IEEE 754 binary16. */
  FLOAT16(2, true, 4),
  /** Signed 32-bit integer. */
  INT32(4, false, 2),
  /** Signed 64-bit integer; the type of indices and class labels. */
  INT64(8, false, 3),
  /** Unsigned 8-bit integer; the type of raw image bytes. */
  UINT8(1, false, 1),
  /** One byte, 0 or 1; the type of masks and comparisons. */
  BOOL(1, false, 0);

  private final int bytes;
  private final boolean floating;
  private final int rank;

  DType(int bytes, boolean floating, int rank) {
    this.bytes = bytes;
    this.floating = floating;
    this.rank = rank;
  }

  /** Bytes of one element. */
  public int bytes() {
    return bytes;
  }

  /** Whether this is one of the four floating types, which alone can require gradients. */
  public boolean isFloating() {
    return floating;
  }

  /** Whether this is a 16-bit floating type, whose arithmetic accumulates in float32. */
  public boolean isHalf() {
    return this == BFLOAT16 || this == FLOAT16;
  }

  /**
   * The type in which two operands meet: the higher of BOOL, UINT8, INT32, INT64, BFLOAT16 and
   * FLOAT16, FLOAT32, FLOAT64; BFLOAT16 with FLOAT16 gives FLOAT32, as in PyTorch.
   */
  public static DType promote(DType a, DType b) {
    if (a == b) {
      return a;
    }
    if (a.rank == b.rank) {
      return FLOAT32;
    }
    return a.rank > b.rank ? a : b;
  }
}
