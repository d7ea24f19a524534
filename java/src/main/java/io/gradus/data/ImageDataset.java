package io.gradus.data;

import io.gradus.core.Checks;
import io.gradus.core.Shape;
import java.util.List;

/** Images of one size, kept as unsigned bytes: a quarter of the memory of floats. */
public final class ImageDataset implements Dataset {
  private static final float[] UNIT = new float[256];

  static {
    for (int i = 0; i < UNIT.length; i++) {
      UNIT[i] = i / 255f;
    }
  }

  private final String name;
  private final Shape sampleShape;
  private final List<String> classNames;
  private final byte[] pixels;
  private final int[] labels;
  private final int sampleSize;

  /**
   * Wraps pixels and labels without copying them; the caller no longer changes them.
   *
   * @param name a short name for messages
   * @param sampleShape {@code [H, W, C]}
   * @param classNames names of the classes
   * @param pixels unsigned bytes, {@code [N, H, W, C]} in row-major order
   * @param labels class of each image
   * @throws io.gradus.core.ShapeException when the pixels are not as many as the shape and the
   *     labels demand
   * @throws io.gradus.core.ArgumentException when a label is out of range
   */
  public ImageDataset(
      String name, Shape sampleShape, List<String> classNames, byte[] pixels, int[] labels) {
    Checks.shape(
        sampleShape.rank() == 3 && sampleShape.numel() > 0,
        "[dataset] images of %s need a shape [H, W, C] without zeros, not %s",
        name,
        sampleShape);
    Checks.shape(
        pixels.length == labels.length * sampleShape.numel(),
        "[dataset] %s has %d pixel values, but %d images of %s need %d",
        name,
        pixels.length,
        labels.length,
        sampleShape,
        labels.length * sampleShape.numel());
    Labels.check(name, labels, classNames.size());
    this.name = name;
    this.sampleShape = sampleShape;
    this.classNames = List.copyOf(classNames);
    this.pixels = pixels;
    this.labels = labels;
    this.sampleSize = (int) sampleShape.numel();
  }

  @Override
  public String name() {
    return name;
  }

  @Override
  public int size() {
    return labels.length;
  }

  @Override
  public Shape sampleShape() {
    return sampleShape;
  }

  @Override
  public List<String> classNames() {
    return classNames;
  }

  @Override
  public int label(int index) {
    return labels[index];
  }

  @Override
  public void read(int index, float[] out, int at) {
    int from = Math.multiplyExact(index, sampleSize);
    for (int i = 0; i < sampleSize; i++) {
      out[at + i] = UNIT[pixels[from + i] & 0xFF];
    }
  }

  /**
   * The unsigned bytes of one image, {@code [H, W, C]} in row-major order, as a fresh array.
   *
   * @throws IndexOutOfBoundsException when there is no such image
   */
  public byte[] pixels(int index) {
    byte[] out = new byte[sampleSize];
    System.arraycopy(pixels, Math.multiplyExact(index, sampleSize), out, 0, sampleSize);
    return out;
  }
}
