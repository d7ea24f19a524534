package io.gradus.backend;

/**
 * The two orders of x [samples, positions, channels] in group normalisation: as it is stored, and
 * with the elements of every group of channels in one line, [samples, groups, positions, channels /
 * groups].
 */
final class ChannelGroups {
  private final Primitives primitives;
  private final long[] shape;
  private final long[] stored;
  private final long[] dense;
  private final double eps;

  ChannelGroups(Primitives primitives, GroupNormShape norm) {
    this.primitives = primitives;
    long size = norm.channels() / norm.groups();
    long area = norm.positions() * norm.channels();
    eps = norm.eps();
    shape = new long[] {norm.samples(), norm.groups(), norm.positions(), size};
    stored = new long[] {area, size, norm.channels(), 1};
    dense = new long[] {area, norm.positions() * size, size, 1};
  }

  /** Number of groups of all samples. */
  long lines() {
    return shape[0] * shape[1];
  }

  /** Elements of a group. */
  long length() {
    return shape[2] * shape[3];
  }

  /** The groups as rows that are normalised. */
  RowNormShape rows() {
    return new RowNormShape(lines(), length(), eps);
  }

  /** From the stored order to lines. */
  Buffer gather(Scratch scratch, Buffer x) {
    Buffer out = scratch.take(x.dtype(), x.length());
    primitives.copy(x, stored, out, dense, shape);
    return out;
  }

  /** From lines to the stored order. */
  Buffer spread(Scratch scratch, Buffer lines) {
    Buffer out = scratch.take(lines.dtype(), lines.length());
    primitives.copy(lines, dense, out, stored, shape);
    return out;
  }
}
