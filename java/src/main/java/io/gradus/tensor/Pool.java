package io.gradus.tensor;

import io.gradus.backend.IndexShape;
import io.gradus.backend.PoolShape;
import io.gradus.core.Checks;
import io.gradus.core.DType;
import io.gradus.core.Shape;
import org.jspecify.annotations.Nullable;

/**
 * Two-dimensional pooling. All operations keep the channels apart, take any floating type and a
 * batch of 0, give the same bits every run, and are differentiable any number of times.
 */
public final class Pool {
  private Pool() {}

  /**
   * The windows of a pooling: their size, distance and overhang.
   *
   * @param height rows of a window
   * @param width columns of a window
   * @param strideH rows from one window to the next
   * @param strideW columns from one window to the next
   * @param padH rows by which windows may stand out above and below, at most half a window
   * @param padW columns by which windows may stand out left and right, at most half a window
   */
  public record Window(int height, int width, int strideH, int strideW, int padH, int padW) {
    /**
     * Checks the ranges.
     *
     * @throws io.gradus.core.ArgumentException when a size or stride is below 1 or a padding
     *     negative or more than half a window
     */
    public Window {
      Checks.argument(
          height > 0 && width > 0,
          "[pool2d] window (%d, %d) must be at least 1 in both directions",
          height,
          width);
      Checks.argument(
          strideH > 0 && strideW > 0,
          "[pool2d] stride (%d, %d) must be at least 1 in both directions",
          strideH,
          strideW);
      Checks.argument(
          padH >= 0 && padW >= 0 && padH <= height / 2 && padW <= width / 2,
          "[pool2d] padding (%d, %d) must be from 0 to half the window (%d, %d), so that every"
              + " window holds a pixel",
          padH,
          padW,
          height,
          width);
    }

    /** A square window whose stride is its size, without padding. */
    public static Window of(int size) {
      return new Window(size, size, size, size, 0, 0);
    }

    /** A square window. */
    public static Window of(int size, int stride, int padding) {
      return new Window(size, size, stride, stride, padding, padding);
    }
  }

  /** Square windows side by side: see {@link #maxPool2d(Tensor, Window)}. */
  public static Tensor maxPool2d(Tensor x, int size) {
    return maxPool2d(x, Window.of(size));
  }

  /** Square windows: see {@link #maxPool2d(Tensor, Window)}. */
  public static Tensor maxPool2d(Tensor x, int size, int stride, int padding) {
    return maxPool2d(x, Window.of(size, stride, padding));
  }

  /**
   * Takes the maximum of every window.
   *
   * <pre>{@code
   * y[n, i, j, c] = max over u, v of x[n, i strideH + u - padH, j strideW + v - padW, c]
   * }</pre>
   *
   * <p>Padding counts as minus infinity; a NaN in a window makes its maximum NaN. The gradient goes
   * to the first of equal maxima.
   *
   * <p>Shapes: x: [N, H, W, C] -> y: [N, OH, OW, C] with OH = floor((H + 2 padH - height) /
   * strideH) + 1, OW likewise.
   *
   * <p>Source: Riesenhuber and Poggio, "Hierarchical models of object recognition in cortex",
   * Nature Neuroscience 1999.
   *
   * <pre>{@code
   * Tensor half = Pool.maxPool2d(features, 2);
   * }</pre>
   *
   * @throws io.gradus.core.ShapeException when x has not 4 axes or the window is larger than the
   *     padded image
   * @throws io.gradus.core.DTypeException when x is not of a floating type
   */
  public static Tensor maxPool2d(Tensor x, Window window) {
    return new MaxPool(regular("maxPool2d", x, window)).apply(x);
  }

  /** Square windows side by side: see {@link #avgPool2d(Tensor, Window, boolean)}. */
  public static Tensor avgPool2d(Tensor x, int size) {
    return avgPool2d(x, Window.of(size), true);
  }

  /** Square windows, padding counted as pixels: see {@link #avgPool2d(Tensor, Window, boolean)}. */
  public static Tensor avgPool2d(Tensor x, int size, int stride, int padding) {
    return avgPool2d(x, Window.of(size, stride, padding), true);
  }

  /**
   * Takes the average of every window.
   *
   * <pre>{@code
   * y[n, i, j, c] = sum over u, v of x[n, i strideH + u - padH, j strideW + v - padW, c] / count
   * }</pre>
   *
   * where x is 0 outside the image.
   *
   * <p>Shapes: x: [N, H, W, C] -> y: [N, OH, OW, C] with OH = floor((H + 2 padH - height) /
   * strideH) + 1, OW likewise.
   *
   * <p>Source: LeCun et al., "Gradient-based learning applied to document recognition", Proceedings
   * of the IEEE 1998.
   *
   * <pre>{@code
   * Tensor smooth = Pool.avgPool2d(images, Pool.Window.of(3, 1, 1), false);
   * }</pre>
   *
   * @param countPadding whether count is the window's size, or the number of its pixels inside the
   *     image
   * @throws io.gradus.core.ShapeException when x has not 4 axes or the window is larger than the
   *     padded image
   * @throws io.gradus.core.DTypeException when x is not of a floating type
   */
  public static Tensor avgPool2d(Tensor x, Window window, boolean countPadding) {
    return new AvgPool(regular("avgPool2d", x, window), countPadding).apply(x);
  }

  /**
   * Takes the maximum of each of height x width windows that cover the image: window i of n reaches
   * from floor(i H / n) to ceil((i + 1) H / n).
   *
   * <p>Shapes: x: [N, H, W, C] -> y: [N, height, width, C].
   *
   * <p>Source: He, Zhang, Ren, Sun, "Spatial pyramid pooling in deep convolutional networks for
   * visual recognition", ECCV 2014.
   *
   * <pre>{@code
   * Tensor fixed = Pool.adaptiveMaxPool2d(features, 7, 7);   // whatever the image's size
   * }</pre>
   *
   * @throws io.gradus.core.ShapeException when x has not 4 axes or no pixels
   * @throws io.gradus.core.ArgumentException when an output extent is below 1
   * @throws io.gradus.core.DTypeException when x is not of a floating type
   */
  public static Tensor adaptiveMaxPool2d(Tensor x, int height, int width) {
    return new MaxPool(adaptive("adaptiveMaxPool2d", x, height, width)).apply(x);
  }

  /**
   * Takes the average of each of height x width windows that cover the image: window i of n reaches
   * from floor(i H / n) to ceil((i + 1) H / n).
   *
   * <p>Shapes: x: [N, H, W, C] -> y: [N, height, width, C].
   *
   * <p>Source: He, Zhang, Ren, Sun, "Spatial pyramid pooling in deep convolutional networks for
   * visual recognition", ECCV 2014.
   *
   * <pre>{@code
   * Tensor fixed = Pool.adaptiveAvgPool2d(features, 7, 7);   // whatever the image's size
   * }</pre>
   *
   * @throws io.gradus.core.ShapeException when x has not 4 axes or no pixels
   * @throws io.gradus.core.ArgumentException when an output extent is below 1
   * @throws io.gradus.core.DTypeException when x is not of a floating type
   */
  public static Tensor adaptiveAvgPool2d(Tensor x, int height, int width) {
    return new AvgPool(adaptive("adaptiveAvgPool2d", x, height, width), false).apply(x);
  }

  /**
   * Averages every channel over the whole image.
   *
   * <p>Shapes: x: [N, H, W, C] -> y: [N, C].
   *
   * <p>Source: Lin, Chen and Yan, "Network in network", ICLR 2014.
   *
   * <pre>{@code
   * Tensor logits = Linear.linear(Pool.globalAvgPool2d(features), weight, bias);
   * }</pre>
   *
   * @throws io.gradus.core.ShapeException when x has not 4 axes or no pixels
   * @throws io.gradus.core.DTypeException when x is not of a floating type
   */
  public static Tensor globalAvgPool2d(Tensor x) {
    checkImages("globalAvgPool2d", x);
    try (Scope s = Scope.open()) {
      return s.keep(adaptiveAvgPool2d(x, 1, 1).reshape(x.size(0), x.size(3)));
    }
  }

  private static void checkImages(String op, Tensor x) {
    Checks.shape(
        x.rank() == 4, "[%s] x %s must be [N, H, W, C]: 4 axes, not %d", op, x.shape(), x.rank());
    Checks.dtype(
        x.dtype().isFloating(),
        "[%s] x is %s but must be of a floating type: convert it with to(DType.FLOAT32)",
        op,
        x.dtype());
    Checks.shape(
        x.size(1) > 0 && x.size(2) > 0, "[%s] the images of x %s have no pixels", op, x.shape());
  }

  private static PoolShape regular(String op, Tensor x, Window window) {
    checkImages(op, x);
    Checks.shape(
        window.height() <= x.size(1) + 2L * window.padH()
            && window.width() <= x.size(2) + 2L * window.padW(),
        "[%s] the window (%d, %d) is larger than the padded image (%d, %d): use a smaller one (x"
            + " %s)",
        op,
        window.height(),
        window.width(),
        x.size(1) + 2L * window.padH(),
        x.size(2) + 2L * window.padW(),
        x.shape());
    return PoolShape.regular(
        Math.toIntExact(x.size(0)),
        Math.toIntExact(x.size(1)),
        Math.toIntExact(x.size(2)),
        Math.toIntExact(x.size(3)),
        window.height(),
        window.width(),
        window.strideH(),
        window.strideW(),
        window.padH(),
        window.padW());
  }

  private static PoolShape adaptive(String op, Tensor x, int height, int width) {
    checkImages(op, x);
    Checks.argument(
        height > 0 && width > 0,
        "[%s] the output (%d, %d) must be at least 1 in both directions",
        op,
        height,
        width);
    return PoolShape.adaptive(
        Math.toIntExact(x.size(0)),
        Math.toIntExact(x.size(1)),
        Math.toIntExact(x.size(2)),
        Math.toIntExact(x.size(3)),
        height,
        width);
  }

  private static Shape inputShape(PoolShape s) {
    return Shape.of(s.n(), s.h(), s.w(), s.c());
  }

  private static Shape outputShape(PoolShape s) {
    return Shape.of(s.n(), s.oh(), s.ow(), s.c());
  }

  /** Maxima; remembers where they stood. */
  private static final class MaxPool extends Function {
    private final PoolShape shape;

    MaxPool(PoolShape shape) {
      super("maxPool2d");
      this.shape = shape;
    }

    @Override
    protected Tensor[] forward(Tensor... in) {
      Tensor x = in[0].contiguous();
      Tensor y = Tensor.empty(x.backend(), x.dtype(), outputShape(shape));
      if (needsGrad(0)) {
        Tensor index = Tensor.empty(x.backend(), DType.INT32, y.shape());
        x.backend().maxPool2dForward(x.buffer(), y.buffer(), index.buffer(), shape);
        save(index);
      } else {
        x.backend().maxPool2dForward(x.buffer(), y.buffer(), null, shape);
      }
      return new Tensor[] {y};
    }

    @Override
    protected @Nullable Tensor[] backward(@Nullable Tensor... grads) {
      Tensor g = grads[0];
      return new @Nullable Tensor[] {
        g == null ? null : new MaxPoolBackward(saved(0), shape).apply(g)
      };
    }
  }

  /** Gradients put where the maxima stood; its own gradient reads them there. */
  private static final class MaxPoolBackward extends Function {
    private final Tensor index;
    private final PoolShape shape;

    MaxPoolBackward(Tensor index, PoolShape shape) {
      super("maxPool2dBackward");
      this.index = index;
      this.shape = shape;
    }

    @Override
    protected Tensor[] forward(Tensor... in) {
      Tensor gradY = in[0].contiguous();
      Tensor gradX = Tensor.empty(gradY.backend(), gradY.dtype(), inputShape(shape));
      gradY.backend().maxPool2dBackward(gradY.buffer(), index.buffer(), gradX.buffer(), shape);
      save(index);
      return new Tensor[] {gradX};
    }

    @Override
    protected @Nullable Tensor[] backward(@Nullable Tensor... grads) {
      Tensor g = grads[0];
      if (g == null) {
        return new Tensor[1];
      }
      IndexShape plan =
          IndexShape.elements(
              shape.n(), (long) shape.h() * shape.w(), (long) shape.oh() * shape.ow(), shape.c());
      return new Tensor[] {
        new Indexing.Gather(saved(0).to(DType.INT64), plan, outputShape(shape)).apply(g)
      };
    }
  }

  /** Averages: a linear map, whose gradient is its transpose. */
  private static final class AvgPool extends Function {
    private final PoolShape shape;
    private final boolean countPadding;

    AvgPool(PoolShape shape, boolean countPadding) {
      super("avgPool2d");
      this.shape = shape;
      this.countPadding = countPadding;
    }

    @Override
    protected Tensor[] forward(Tensor... in) {
      Tensor x = in[0].contiguous();
      Tensor y = Tensor.empty(x.backend(), x.dtype(), outputShape(shape));
      x.backend().avgPool2dForward(x.buffer(), y.buffer(), shape, countPadding);
      return new Tensor[] {y};
    }

    @Override
    protected @Nullable Tensor[] backward(@Nullable Tensor... grads) {
      Tensor g = grads[0];
      return new @Nullable Tensor[] {
        g == null ? null : new AvgPoolBackward(shape, countPadding).apply(g)
      };
    }
  }

  private static final class AvgPoolBackward extends Function {
    private final PoolShape shape;
    private final boolean countPadding;

    AvgPoolBackward(PoolShape shape, boolean countPadding) {
      super("avgPool2dBackward");
      this.shape = shape;
      this.countPadding = countPadding;
    }

    @Override
    protected Tensor[] forward(Tensor... in) {
      Tensor gradY = in[0].contiguous();
      Tensor gradX = Tensor.empty(gradY.backend(), gradY.dtype(), inputShape(shape));
      gradY.backend().avgPool2dBackward(gradY.buffer(), gradX.buffer(), shape, countPadding);
      return new Tensor[] {gradX};
    }

    @Override
    protected @Nullable Tensor[] backward(@Nullable Tensor... grads) {
      Tensor g = grads[0];
      return new @Nullable Tensor[] {g == null ? null : new AvgPool(shape, countPadding).apply(g)};
    }
  }
}
