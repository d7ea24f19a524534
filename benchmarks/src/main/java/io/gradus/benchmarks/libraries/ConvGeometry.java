package io.gradus.benchmarks.libraries;

/**
 * A convolution of square images with a square kernel, padded by half the kernel.
 *
 * @param x the images
 * @param w the weight
 * @param y the result
 * @param stride from one place of the kernel to the next
 * @param pad zeros on each side
 */
public record ConvGeometry(ImageLayout x, ImageLayout w, ImageLayout y, int stride, int pad) {
  /** Reads it: a kind, then images, side, channels, outputs, kernel and stride. */
  public static ConvGeometry of(KernelSpec spec) {
    int side = spec.number(2);
    int channels = spec.number(3);
    int outputs = spec.number(4);
    int kernel = spec.number(5);
    int stride = spec.number(6);
    int pad = kernel / 2;
    int out = (side + 2 * pad - kernel) / stride + 1;
    return new ConvGeometry(
        new ImageLayout(spec.number(1), channels, side, side),
        new ImageLayout(outputs, channels, kernel, kernel),
        new ImageLayout(spec.number(1), outputs, out, out),
        stride,
        pad);
  }
}
