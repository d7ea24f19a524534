package io.gradus.tensor;

import io.gradus.backend.AugmentShape;
import io.gradus.backend.Buffer;
import io.gradus.core.Checks;
import io.gradus.core.DType;
import io.gradus.core.Shape;
import org.jspecify.annotations.Nullable;

/** From images of bytes to the input of a network, on the device of the images. */
public final class Image {
  private static final long LIMIT = 1L << 30;

  private Image() {}

  /**
   * Scales bytes to [0, 1] and normalises every channel.
   *
   * <p>{@code y = (x / 255 - mean) / std}, formed in float32 as a product with 1 / std, then
   * converted. No gradient.
   *
   * <p>Shapes: {@code x: [.., C]; mean, std: [C] -> y: [.., C]}
   *
   * <p>Source: LeCun, Bottou, Orr, Mueller, "Efficient BackProp", 1998, section 4.3.
   *
   * <pre>{@code
   * Tensor y = Image.normalise(bytes, mean, std, DType.FLOAT32);
   * }</pre>
   *
   * @param images UINT8, at least one axis, channels last
   * @param mean FLOAT32 [C], on the scale [0, 1], or null for 0
   * @param std FLOAT32 [C], on the same scale, or null for 1
   * @param dtype FLOAT32, BFLOAT16 or FLOAT16
   * @return y
   * @throws io.gradus.core.DTypeException when a type is not as above
   * @throws io.gradus.core.ShapeException when the shapes do not fit
   */
  public static Tensor normalise(
      Tensor images, @Nullable Tensor mean, @Nullable Tensor std, DType dtype) {
    String op = "normalise";
    Checks.dtype(
        dtype == DType.FLOAT32 || dtype.isHalf(),
        "[%s] the result cannot be %s: choose FLOAT32, BFLOAT16 or FLOAT16",
        op,
        dtype);
    Checks.shape(images.rank() >= 1, "[%s] images is a scalar: it needs a channel axis", op);
    check(op, images, mean, std);
    try (Scope s = Scope.open();
        GradMode.Guard g = GradMode.noGrad()) {
      Tensor y = Tensor.empty(images.backend(), dtype, images.shape());
      if (y.numel() > 0) {
        images
            .backend()
            .imageNormalise(
                images.contiguous().buffer(),
                buffer(mean),
                inverse(std),
                y.buffer(),
                y.numel() / y.size(-1),
                y.size(-1));
      }
      return s.keep(y);
    }
  }

  /**
   * Selects images and gives each a crop, a move, a mirroring and a cut-out square of its own, then
   * normalises: the input of a training step in one pass over the bytes.
   *
   * <pre>{@code
   * y = (x[index, shown row, shown column] / 255 - mean) / std, and 0 in the square
   * }</pre>
   *
   * <p>What is random is drawn from this thread's {@link Generator} by the place of a sample in the
   * batch, with one decision for each random word, and is the same on every device; where nothing
   * is random nothing is drawn. A square at the border is cut off by it. No gradient.
   *
   * <p>Shapes: {@code images: [K, H, W, C]; index: [N]; mean, std: [C] -> y: [N, outHeight,
   * outWidth, C]}
   *
   * <p>Source: Krizhevsky, Sutskever, Hinton, NeurIPS 2012, section 4.1 (crops and mirroring);
   * DeVries, Taylor, "Improved regularization of convolutional neural networks with cutout",
   * arXiv:1708.04552.
   *
   * <pre>{@code
   * AugmentOptions options = AugmentOptions.DEFAULT.withCrop(0, 0, 4).withFlip(true);
   * Tensor batch = Image.augment(trainingImages, index, mean, std, options);
   * }</pre>
   *
   * @param images UINT8
   * @param index numbers of the images, integers
   * @param mean FLOAT32 [C], on the scale [0, 1], or null for 0
   * @param std FLOAT32 [C], on the same scale, or null for 1
   * @param options what is done
   * @return y
   * @throws io.gradus.core.DTypeException when a type is not as above
   * @throws io.gradus.core.ShapeException when the shapes do not fit, or the result is larger than
   *     the padded images
   * @throws io.gradus.core.ArgumentException when an index is out of range
   */
  public static Tensor augment(
      Tensor images,
      Tensor index,
      @Nullable Tensor mean,
      @Nullable Tensor std,
      AugmentOptions options) {
    String op = "augment";
    Checks.shape(
        images.rank() == 4 && images.size(1) > 0 && images.size(2) > 0,
        "[%s] images %s must be [K, H, W, C] with pixels",
        op,
        images.shape());
    check(op, images, mean, std);
    Checks.shape(index.rank() == 1, "[%s] index %s must be [N]", op, index.shape());
    images.sameDevice(op, index);
    AugmentShape shape = shape(images, index, options);
    try (Scope s = Scope.open();
        GradMode.Guard g = GradMode.noGrad()) {
      Tensor rows = Indexing.checked(op, index, images.size(0));
      Tensor y =
          Tensor.empty(
              images.backend(),
              options.dtype(),
              Shape.of(shape.batch(), shape.outHeight(), shape.outWidth(), shape.channels()));
      @Nullable Buffer rng = null;
      long stream = 0;
      if (shape.isRandom()) {
        Generator generator = Generator.current();
        rng = generator.state(images.backend());
        stream = generator.nextStream(images.backend());
      }
      if (y.numel() > 0) {
        images
            .backend()
            .imageAugment(
                images.contiguous().buffer(),
                rows.buffer(),
                buffer(mean),
                inverse(std),
                rng,
                y.buffer(),
                shape,
                stream);
      }
      return s.keep(y);
    }
  }

  private static AugmentShape shape(Tensor images, Tensor index, AugmentOptions o) {
    long height = images.size(1);
    long width = images.size(2);
    long outHeight = o.outHeight() == 0 ? height : o.outHeight();
    long outWidth = o.outWidth() == 0 ? width : o.outWidth();
    Checks.shape(
        outHeight <= height + 2L * o.padding() && outWidth <= width + 2L * o.padding(),
        "[augment] a crop of %d x %d pixels does not fit in images %s with %d pixels of padding:"
            + " use more padding or a smaller crop",
        outHeight,
        outWidth,
        images.shape(),
        o.padding());
    Checks.shape(
        height + 2L * o.padding() < LIMIT
            && width + 2L * o.padding() < LIMIT
            && o.translate() < LIMIT / 2
            && o.cutout() < LIMIT,
        "[augment] images %s with %d pixels of padding, moves of %d and squares of %d are too large:"
            + " stay below 2^29",
        images.shape(),
        o.padding(),
        o.translate(),
        o.cutout());
    return new AugmentShape(
        index.size(0),
        height,
        width,
        images.size(3),
        outHeight,
        outWidth,
        o.padding(),
        o.reflect(),
        o.crop(),
        o.flip(),
        o.translate(),
        o.cutout());
  }

  private static void check(String op, Tensor images, @Nullable Tensor mean, @Nullable Tensor std) {
    Checks.dtype(
        images.dtype() == DType.UINT8, "[%s] images are %s, not UINT8", op, images.dtype());
    checkVector(op, "mean", mean, images);
    checkVector(op, "std", std, images);
  }

  private static void checkVector(String op, String name, @Nullable Tensor vector, Tensor images) {
    if (vector == null) {
      return;
    }
    images.sameDevice(op, vector);
    Checks.dtype(
        vector.dtype() == DType.FLOAT32,
        "[%s] %s is %s: convert with to(DType.FLOAT32)",
        op,
        name,
        vector.dtype());
    Checks.shape(
        vector.rank() == 1 && vector.size(0) == images.size(-1),
        "[%s] images have %d channels but %s has shape %s (images %s)",
        op,
        images.size(-1),
        name,
        vector.shape(),
        images.shape());
  }

  private static @Nullable Buffer buffer(@Nullable Tensor t) {
    return t == null ? null : t.contiguous().buffer();
  }

  private static @Nullable Buffer inverse(@Nullable Tensor std) {
    return std == null ? null : std.reciprocal().contiguous().buffer();
  }
}
