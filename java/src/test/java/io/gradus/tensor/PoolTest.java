package io.gradus.tensor;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;

import io.gradus.core.ArgumentException;
import io.gradus.core.DType;
import io.gradus.core.DTypeException;
import io.gradus.core.Device;
import io.gradus.core.ShapeException;
import io.gradus.testing.Nd;
import io.gradus.testing.TestDevices;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Objects;
import java.util.function.ToDoubleFunction;
import java.util.function.UnaryOperator;
import org.junit.jupiter.api.Test;

/** Two-dimensional pooling. */
class PoolTest extends OpTestCase {
  /** First row (or column) of a window and the one after its last, padding included. */
  @FunctionalInterface
  private interface Span {
    long[] of(long window, long size, long windows);
  }

  private static final Span ADAPTIVE =
      (i, size, n) ->
          new long[] {(long) Math.floor(i * size / (double) n), -Math.floorDiv(-(i + 1) * size, n)};

  private static Span regular(int kernel, int stride, int pad) {
    return (i, size, n) -> new long[] {i * stride - pad, i * stride - pad + kernel};
  }

  private static Nd pool(
      Nd x, long oh, long ow, Span rows, Span cols, ToDoubleFunction<List<Double>> f) {
    return Nd.generate(
        new long[] {x.dim(0), oh, ow, x.dim(3)},
        at -> {
          List<Double> values = new ArrayList<>();
          long[] r = rows.of(at[1], x.dim(1), oh);
          long[] c = cols.of(at[2], x.dim(2), ow);
          for (long i = Math.max(0, r[0]); i < Math.min(x.dim(1), r[1]); i++) {
            for (long j = Math.max(0, c[0]); j < Math.min(x.dim(2), c[1]); j++) {
              values.add(x.at(at[0], i, j, at[3]));
            }
          }
          return f.applyAsDouble(values);
        });
  }

  private static double max(List<Double> values) {
    return values.stream().reduce(Double.NEGATIVE_INFINITY, Math::max);
  }

  private static double sum(List<Double> values) {
    return values.stream().reduce(0.0, Double::sum);
  }

  private static double mean(List<Double> values) {
    return sum(values) / values.size();
  }

  private static Nd windows(Nd x, Pool.Window w, ToDoubleFunction<List<Double>> f) {
    return pool(
        x,
        (x.dim(1) + 2 * w.padH() - w.height()) / w.strideH() + 1,
        (x.dim(2) + 2 * w.padW() - w.width()) / w.strideW() + 1,
        regular(w.height(), w.strideH(), w.padH()),
        regular(w.width(), w.strideW(), w.padW()),
        f);
  }

  private static final double NAN = Double.NaN;
  private static final double INF = Double.POSITIVE_INFINITY;

  /** Four rows of four pixels of two channels. */
  private static final double[] SPECIAL = {
    NAN, 1, 2, NAN, 3, 4, 5, 6, -INF, 1, 7, 8, -1, -2, INF, 3, NAN, 9, 0, 0, -0.0, 0, 4, 4, 1, 1, 2,
    2, 3, NAN, 5, 5
  };

  private static OpSpec onImages(OpSpec spec) {
    return spec.on(Operand.x(2, 6, 8, 3))
        .on(Operand.x(1, 5, 7, 1))
        .on(Operand.x(0, 4, 5, 2))
        .on(Operand.x(1, 4, 4, 130))
        .on(Operand.x(3, 9, 4, 2))
        .on(Operand.x(2, 5, 5, 0))
        .on(Operand.x(2, 11, 13, 17))
        .on(Operand.x(1, 4, 6, 5))
        .on(Operand.x(2, 5, 6, 3).transposed())
        .on(Operand.x(2, 4, 5, 3).sliced())
        .on(Operand.x(2, 4, 5, 3).expanded());
  }

  private static OpSpec max(Pool.Window w) {
    return max("Pool.maxPool2d(Tensor,Window)", w, x -> Pool.maxPool2d(x, w));
  }

  private static OpSpec max(String signature, Pool.Window w, UnaryOperator<Tensor> op) {
    return onImages(
            OpSpec.op(signature)
                .variant(w)
                .apply(in -> op.apply(in[0]))
                .gives(in -> windows(in[0], w, PoolTest::max)))
        .on(Operand.x(1, 4, 4, 2).values(SPECIAL).constant())
        .on(Operand.x(1, 4, 5, 2).range(-1e30, 1e30).grid(1e31).constant());
  }

  private static OpSpec average(Pool.Window w, boolean countPadding) {
    return average(
        "Pool.avgPool2d(Tensor,Window,boolean)",
        w,
        countPadding,
        x -> Pool.avgPool2d(x, w, countPadding));
  }

  private static OpSpec average(
      String signature, Pool.Window w, boolean countPadding, UnaryOperator<Tensor> op) {
    double size = w.height() * w.width();
    return onImages(
        OpSpec.op(signature)
            .variant(w, countPadding)
            .apply(in -> op.apply(in[0]))
            .gives(in -> windows(in[0], w, v -> countPadding ? sum(v) / size : mean(v)))
            .terms(in -> size));
  }

  private static OpSpec adaptive(int height, int width, boolean max) {
    return onImages(
            OpSpec.op(
                    max
                        ? "Pool.adaptiveMaxPool2d(Tensor,int,int)"
                        : "Pool.adaptiveAvgPool2d(Tensor,int,int)")
                .variant(height, width)
                .apply(
                    in ->
                        max
                            ? Pool.adaptiveMaxPool2d(in[0], height, width)
                            : Pool.adaptiveAvgPool2d(in[0], height, width))
                .gives(
                    in ->
                        pool(
                            in[0],
                            height,
                            width,
                            ADAPTIVE,
                            ADAPTIVE,
                            max ? PoolTest::max : PoolTest::mean))
                .terms(in -> max ? 1 : in[0].dim(1) * in[0].dim(2)))
        .refuses(
            ArgumentException.class,
            "[adaptiveAvgPool2d] the output (0, 3)",
            () -> Pool.adaptiveAvgPool2d(Tensor.ones(1, 4, 4, 1), 0, 3))
        .refuses(
            ArgumentException.class,
            "[adaptiveMaxPool2d] the output (3, -1)",
            () -> Pool.adaptiveMaxPool2d(Tensor.ones(1, 4, 4, 1), 3, -1))
        .refuses(
            ShapeException.class,
            "no pixels",
            () -> Pool.adaptiveMaxPool2d(Tensor.ones(1, 0, 4, 1), 2, 3));
  }

  @Override
  protected List<OpSpec> specs() {
    List<OpSpec> specs = new ArrayList<>();
    Pool.Window halving = Pool.Window.of(2);
    Pool.Window overlapping = Pool.Window.of(3, 2, 1);
    specs.add(refusals(max("Pool.maxPool2d(Tensor,int)", halving, x -> Pool.maxPool2d(x, 2))));
    specs.add(
        max("Pool.maxPool2d(Tensor,int,int,int)", overlapping, x -> Pool.maxPool2d(x, 3, 2, 1)));
    specs.add(max(new Pool.Window(2, 2, 1, 1, 0, 0)));
    specs.add(max(new Pool.Window(3, 4, 1, 3, 0, 2)));
    specs.add(max(new Pool.Window(3, 2, 2, 1, 1, 1)));
    specs.add(average("Pool.avgPool2d(Tensor,int)", halving, true, x -> Pool.avgPool2d(x, 2)));
    specs.add(
        average(
            "Pool.avgPool2d(Tensor,int,int,int)",
            overlapping,
            true,
            x -> Pool.avgPool2d(x, 3, 2, 1)));
    specs.add(average(overlapping, false));
    specs.add(average(new Pool.Window(3, 2, 2, 1, 1, 1), true));
    specs.add(average(new Pool.Window(4, 2, 3, 1, 2, 0), false));
    specs.add(adaptive(3, 2, true));
    specs.add(adaptive(3, 2, false));
    specs.add(adaptive(7, 5, true));
    specs.add(adaptive(7, 5, false));
    specs.add(
        onImages(
            OpSpec.op("Pool.globalAvgPool2d(Tensor)")
                .apply(in -> Pool.globalAvgPool2d(in[0]))
                .gives(in -> in[0].reduce(false, v -> Arrays.stream(v).average().orElse(0), 1, 2))
                .terms(in -> in[0].dim(1) * in[0].dim(2))
                .refuses(
                    ShapeException.class,
                    "[globalAvgPool2d] the images of x [1, 0, 2, 1] have no pixels",
                    () -> Pool.globalAvgPool2d(Tensor.ones(1, 0, 2, 1)))));
    return specs;
  }

  private static OpSpec refusals(OpSpec spec) {
    Tensor x = Tensor.ones(1, 4, 4, 2);
    return spec.refuses(
            ShapeException.class,
            "[maxPool2d] the window (5, 5) is larger than the padded image (4, 4)",
            () -> Pool.maxPool2d(x, 5))
        .refuses(ShapeException.class, "[avgPool2d] the window (5, 5)", () -> Pool.avgPool2d(x, 5))
        .refuses(
            ShapeException.class,
            "[maxPool2d] x [4, 4] must be [N, H, W, C]",
            () -> Pool.maxPool2d(Tensor.ones(4, 4), 2))
        .refuses(
            DTypeException.class,
            "[avgPool2d] x is UINT8",
            () -> Pool.avgPool2d(x.to(DType.UINT8), 2))
        .refuses(
            DTypeException.class,
            "[maxPool2d] x is INT32",
            () -> Pool.maxPool2d(x.to(DType.INT32), 2))
        .refuses(ArgumentException.class, "[pool2d] window (0, 0)", () -> Pool.maxPool2d(x, 0))
        .refuses(
            ArgumentException.class, "[pool2d] stride (0, 0)", () -> Pool.maxPool2d(x, 2, 0, 0))
        .refuses(
            ArgumentException.class,
            "[pool2d] padding (2, 2) must be from 0 to half",
            () -> Pool.maxPool2d(x, 2, 2, 2));
  }

  @Test
  void gradientGoesToTheFirstOfEqualMaxima() {
    for (Device device : List.of(Device.cpu(), Device.reference(), TestDevices.primitives())) {
      for (DType dtype : List.of(DType.FLOAT32, DType.FLOAT64, DType.BFLOAT16)) {
        Tensor x =
            Tensor.of(new double[] {1, 5, 5, 5, 5, 2, 5, 0, 0}, 1, 3, 3, 1)
                .to(device)
                .to(dtype)
                .detach()
                .requiresGrad(true);
        Pool.maxPool2d(x, 2, 1, 0).sum().backward();
        double[] overlapping = {0, 2, 0, 1, 1, 0, 0, 0, 0};
        assertArrayEquals(overlapping, gradient(x), device + " " + dtype);
        Pool.maxPool2d(x, 3, 3, 1).sum().backward();
        double[] padded = {0, 3, 0, 1, 1, 0, 0, 0, 0};
        assertArrayEquals(padded, gradient(x), device + " " + dtype);
      }
    }
  }

  @Test
  void gradientGoesToTheFirstNaN() {
    for (Device device : List.of(Device.cpu(), Device.reference(), TestDevices.primitives())) {
      Tensor x =
          Tensor.of(new float[] {1, Float.NaN, Float.NaN, 7}, 1, 2, 2, 1)
              .to(device)
              .detach()
              .requiresGrad(true);
      Pool.maxPool2d(x, 2)
          .backward(Tensor.full(device, DType.FLOAT32, x.shape().with(1, 1).with(2, 1), 1));
      assertArrayEquals(new double[] {0, 1, 0, 0}, gradient(x), device.toString());
    }
  }

  private static double[] gradient(Tensor x) {
    return Objects.requireNonNull(x.grad()).toDoubles();
  }
}
