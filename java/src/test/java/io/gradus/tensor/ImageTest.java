package io.gradus.tensor;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.gradus.backend.Philox;
import io.gradus.core.ArgumentException;
import io.gradus.core.DType;
import io.gradus.core.DTypeException;
import io.gradus.core.Shape;
import io.gradus.core.ShapeException;
import io.gradus.testing.Nd;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;

/** Normalisation and augmentation of images, pixel by pixel. */
class ImageTest extends OpTestCase {
  private static final String NORMALISE = "Image.normalise(Tensor,Tensor,Tensor,DType)";
  private static final String AUGMENT = "Image.augment(Tensor,Tensor,Tensor,Tensor,AugmentOptions)";

  private static Operand bytes(long... dims) {
    return Operand.x(dims).range(0, 255).grid(1).typed(DType.UINT8);
  }

  private static Operand mean(long channels) {
    return Operand.x(channels).range(0.2, 0.6).typed(DType.FLOAT32);
  }

  private static double value(double b, Nd mean, Nd std, long c) {
    return (b / 255 - mean.at(c)) / std.at(c);
  }

  private static OpSpec normalise(DType dtype) {
    return OpSpec.op(NORMALISE)
        .variant(dtype)
        .apply(in -> Image.normalise(in[0], in[1], in[2], dtype))
        .gives(
            in ->
                Nd.generate(
                    in[0].dims(), at -> value(in[0].at(at), in[1], in[2], at[at.length - 1])))
        .dtypes(DType.FLOAT32)
        .result(dtype)
        .notDifferentiable()
        // Three float32 roundings of numbers larger than the result.
        .loosen(4)
        .on(bytes(3), mean(3), mean(3))
        .on(bytes(1), mean(1), mean(1))
        .on(bytes(5, 2), mean(2), mean(2))
        .on(bytes(2, 4, 3), mean(3), mean(3))
        .on(bytes(2, 5, 4, 3), mean(3), mean(3))
        .on(bytes(2, 5, 4, 1), mean(1), mean(1).sliced())
        .on(bytes(0, 5, 4, 3), mean(3), mean(3))
        .on(bytes(3, 40, 50, 3), mean(3), mean(3))
        .on(bytes(2, 4, 3).transposed(), mean(3), mean(3))
        .on(bytes(2, 4, 3).sliced(), mean(3).sliced(), mean(3));
  }

  /** Without mean and standard deviation. */
  private static OpSpec plain(AugmentOptions options) {
    return OpSpec.op(NORMALISE, AUGMENT)
        .variant("plain")
        .applyAll(
            in ->
                new Tensor[] {
                  Image.normalise(in[0], null, null, DType.FLOAT32),
                  Image.augment(in[0], in[1], null, null, options)
                })
        .givesAll(
            in ->
                new Nd[] {
                  in[0].map(b -> b / 255),
                  Nd.generate(
                      new long[] {in[1].dim(0), in[0].dim(1), in[0].dim(2), in[0].dim(3)},
                      at -> in[0].at((long) in[1].at(at[0]), at[1], at[2], at[3]) / 255)
                })
        .dtypes(DType.FLOAT32)
        .notDifferentiable()
        .on(bytes(4, 3, 5, 2), Operand.index(4, 6));
  }

  private static long below(int word, long n) {
    return ((word & 0xFFFFFFFFL) * n) >> 32;
  }

  /** Where a coordinate falls in the image, or -1. */
  private static long shown(long at, long extent, boolean reflect) {
    long i = at;
    while (reflect && extent > 1 && (i < 0 || i >= extent)) {
      i = i < 0 ? -i : 2 * (extent - 1) - i;
    }
    if (reflect && extent == 1) {
      return 0;
    }
    return i >= 0 && i < extent ? i : -1;
  }

  private static Nd naive(AugmentOptions o, Nd x, Nd index, Nd mean, Nd std) {
    long height = x.dim(1);
    long width = x.dim(2);
    long rows = o.outHeight() == 0 ? height : o.outHeight();
    long columns = o.outWidth() == 0 ? width : o.outWidth();
    long spareH = height + 2L * o.padding() - rows;
    long spareW = width + 2L * o.padding() - columns;
    return Nd.generate(
        new long[] {index.dim(0), rows, columns, x.dim(3)},
        at -> {
          int[] w = new int[8];
          Philox.block(SEED, 0, 2 * at[0], w, 0);
          Philox.block(SEED, 0, 2 * at[0] + 1, w, 4);
          long top = o.crop() ? below(w[0], spareH + 1) : spareH / 2;
          long left = o.crop() ? below(w[1], spareW + 1) : spareW / 2;
          long down = below(w[2], 2L * o.translate() + 1) - o.translate();
          long right = below(w[3], 2L * o.translate() + 1) - o.translate();
          long j = o.flip() && w[4] >>> 31 == 1 ? columns - 1 - at[2] : at[2];
          long fromRow = at[1] - (below(w[5], rows) - o.cutout() / 2);
          long fromColumn = at[2] - (below(w[6], columns) - o.cutout() / 2);
          if (fromRow >= 0 && fromRow < o.cutout() && fromColumn >= 0 && fromColumn < o.cutout()) {
            return 0;
          }
          long row = shown(at[1] + top - o.padding() - down, height, o.reflect());
          long column = shown(j + left - o.padding() - right, width, o.reflect());
          double b = row < 0 || column < 0 ? 0 : x.at((long) index.at(at[0]), row, column, at[3]);
          return value(b, mean, std, at[3]);
        });
  }

  private static OpSpec augment(AugmentOptions options) {
    return OpSpec.op(AUGMENT)
        .variant(options)
        .apply(in -> Image.augment(in[0], in[1], in[2], in[3], options))
        .gives(in -> naive(options, in[0], in[1], in[2], in[3]))
        .dtypes(DType.FLOAT32)
        .result(options.dtype())
        .notDifferentiable()
        .random()
        .loosen(4)
        .on(bytes(3, 6, 5, 3), Operand.index(3, 7), mean(3), mean(3))
        .on(bytes(1, 8, 8, 1), Operand.index(1, 3), mean(1), mean(1))
        .on(bytes(2, 5, 9, 2), Operand.index(2, 1), mean(2), mean(2))
        .on(bytes(4, 5, 5, 4), Operand.index(4, 20), mean(4), mean(4))
        .on(bytes(3, 5, 6, 3), Operand.index(3, 0), mean(3), mean(3))
        .on(bytes(3, 7, 4, 3).sliced(), Operand.index(3, 5), mean(3), mean(3))
        .on(bytes(3, 5, 6, 3).transposed(), Operand.index(3, 5), mean(3), mean(3))
        .on(bytes(2, 4, 4, 3).expanded(), Operand.index(2, 5), mean(3).sliced(), mean(3))
        .on(bytes(2, 32, 32, 3), Operand.index(2, 9), mean(3), mean(3))
        .on(bytes(2, 4, 4, 1), Operand.index(2, 33).sliced(), mean(1), mean(1));
  }

  @Override
  protected int minCases(OpSpec spec) {
    return spec.name().endsWith("[plain]") ? 1 : super.minCases(spec);
  }

  @Override
  protected List<OpSpec> specs() {
    AugmentOptions none = AugmentOptions.DEFAULT;
    Tensor x = Tensor.zeros(Tensor.ones(1).device(), DType.UINT8, Shape.of(2, 8, 8, 3));
    Tensor index = Tensor.of(new long[] {0, 1});
    Tensor c2 = Tensor.ones(2);
    List<OpSpec> specs = new ArrayList<>();
    specs.add(
        normalise(DType.FLOAT32)
            .refuses(
                DTypeException.class,
                "[normalise] the result cannot be FLOAT64",
                () -> Image.normalise(x, null, null, DType.FLOAT64))
            .refuses(
                DTypeException.class,
                "[normalise] images are FLOAT32, not UINT8",
                () -> Image.normalise(c2, null, null, DType.FLOAT32))
            .refuses(
                ShapeException.class,
                "[normalise] images have 3 channels but std has shape [2]",
                () -> Image.normalise(x, null, c2, DType.FLOAT32)));
    specs.add(normalise(DType.BFLOAT16));
    specs.add(plain(none));
    specs.add(augment(none));
    specs.add(augment(none.withCrop(0, 0, 2)));
    specs.add(augment(none.withCrop(3, 4, 0).withDType(DType.FLOAT16)));
    specs.add(augment(none.withFlip(true).withReflect(true).withCrop(4, 4, 3)));
    specs.add(augment(none.withTranslate(2)));
    specs.add(augment(none.withTranslate(9).withReflect(true)));
    specs.add(augment(none.withCutout(3)));
    specs.add(
        augment(none.withCrop(0, 0, 1).withFlip(true).withTranslate(1).withCutout(2))
            .refuses(
                ShapeException.class,
                "[augment] a crop of 9 x 8 pixels does not fit",
                () -> Image.augment(x, index, null, null, none.withCrop(9, 0, 0)))
            .refuses(
                ShapeException.class,
                "[augment] images [2] must be [K, H, W, C]",
                () -> Image.augment(index, index, null, null, none))
            .refuses(
                ShapeException.class,
                "[augment] index [1, 2] must be [N]",
                () -> Image.augment(x, index.unsqueeze(0), null, null, none))
            .refuses(
                ShapeException.class,
                "[augment] images have 3 channels but mean has shape [2]",
                () -> Image.augment(x, index, c2, null, none))
            .refuses(
                DTypeException.class,
                "[augment] mean is FLOAT64",
                () -> Image.augment(x, index, Tensor.ones(3).to(DType.FLOAT64), null, none))
            .refuses(
                ArgumentException.class,
                "[augment] index 2 is out of range",
                () -> Image.augment(x, Tensor.of(new long[] {0, 2}), null, null, none))
            .refuses(ArgumentException.class, "cannot be negative", () -> none.withCutout(-1))
            .refuses(
                DTypeException.class,
                "the result cannot be INT64",
                () -> none.withDType(DType.INT64)));
    return specs;
  }

  @Test
  void aChoiceDoesNotChangeTheOthers() {
    Tensor x = Tensor.randint(1, 256, 1, 6, 6, 1).to(DType.UINT8);
    Tensor index = Tensor.zeros(x.device(), DType.INT64, Shape.of(40));
    AugmentOptions crop = AugmentOptions.DEFAULT.withCrop(0, 0, 2);
    Generator.seed(8);
    Tensor plain = Image.augment(x, index, null, null, crop);
    Generator.seed(8);
    Tensor cut = Image.augment(x, index, null, null, crop.withCutout(2));
    Tensor rest = Tensor.where(cut.eq(0), cut, plain);
    assertArrayEquals(rest.toFloats(), cut.toFloats());
    double changed = cut.ne(plain).sum().item();
    assertTrue(changed > 40 && changed <= 160, "pixels cut out: " + changed);
  }

  @Test
  void nothingIsDrawnWhereNothingIsRandom() {
    Generator generator = Generator.seed(3);
    Tensor x = Tensor.zeros(Tensor.ones(1).device(), DType.UINT8, Shape.of(1, 2, 2, 1));
    Tensor index = Tensor.of(new long[] {0});
    Image.augment(x, index, null, null, AugmentOptions.DEFAULT);
    assertEquals(0, generator.offset());
    Image.augment(x, index, null, null, AugmentOptions.DEFAULT.withFlip(true));
    assertEquals(1, generator.offset());
  }
}
