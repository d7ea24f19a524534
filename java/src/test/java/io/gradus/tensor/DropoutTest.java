package io.gradus.tensor;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertSame;

import io.gradus.backend.DropoutMask;
import io.gradus.core.ArgumentException;
import io.gradus.core.DType;
import io.gradus.core.DTypeException;
import io.gradus.core.ShapeException;
import io.gradus.testing.Nd;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;

/** Dropout by element and by channel, alone or between a bias and a residual. */
class DropoutTest extends OpTestCase {
  private static final String BIAS_RESIDUAL =
      "Dropout.biasDropoutResidual(Tensor,Tensor,Tensor,double,boolean)";

  /** The generator was just seeded: its first stream; sixteen bits resolve p. */
  private static double kept(double x, long index, double p) {
    return DropoutMask.keeps(SEED, 0, index, (int) Math.rint(p * 65536)) ? x / (1 - p) : 0;
  }

  private static Nd elements(Nd x, double p) {
    Nd out = x.map(v -> v);
    for (int i = 0; i < out.data().length; i++) {
      out.data()[i] = kept(x.data()[i], i, p);
    }
    return out;
  }

  private static Nd channels(Nd x, double p) {
    return Nd.generate(x.dims(), at -> kept(x.at(at), at[0] * x.dim(-1) + at[at.length - 1], p));
  }

  private static OpSpec spec(double p, boolean channels) {
    OpSpec spec =
        OpSpec.op(
                "Dropout." + (channels ? "dropoutChannels" : "dropout") + "(Tensor,double,boolean)")
            .variant(p)
            .apply(
                in ->
                    channels
                        ? Dropout.dropoutChannels(in[0], p, true)
                        : Dropout.dropout(in[0], p, true))
            .gives(in -> channels ? channels(in[0], p) : elements(in[0], p))
            // x times the rounded 1 / (1 - p): a second rounding beside that of the result.
            .halfSteps(2)
            .random();
    for (long[] shape :
        new long[][] {
          {2, 3}, {1, 1}, {8, 1}, {3, 5, 3}, {0, 2}, {17, 500}, {2, 3, 3, 4}, {20, 30, 9}, {5, 7}
        }) {
      spec.on(Operand.x(shape));
    }
    if (!channels) {
      spec.on(Operand.x()).on(Operand.x(7));
    }
    return spec.on(Operand.x(4, 5).transposed())
        .on(Operand.x(3, 4).sliced())
        .on(Operand.x(2, 3).expanded());
  }

  private static Nd batched(Nd x) {
    long[] dims = new long[x.rank() + 2];
    dims[0] = 1;
    dims[1] = 1;
    System.arraycopy(x.dims(), 0, dims, 2, x.rank());
    return x.reshape(dims);
  }

  /** Nothing is dropped, or everything. */
  private static OpSpec certain() {
    return OpSpec.op(
            "Dropout.dropout(Tensor,double,boolean)",
            "Dropout.dropoutChannels(Tensor,double,boolean)")
        .variant("certain")
        .applyAll(
            in -> {
              Tensor x = in[0].unsqueeze(0).unsqueeze(0);
              return new Tensor[] {
                Dropout.dropout(x, 0.5, false),
                Dropout.dropout(x, 0, true),
                Dropout.dropoutChannels(x, 0.5, false),
                Dropout.dropout(x, 1, true),
                Dropout.dropoutChannels(x, 1, true)
              };
            })
        .givesAll(
            in -> {
              Nd x = batched(in[0]);
              Nd none = x.map(v -> 0);
              return new Nd[] {x, x, x, none, none};
            })
        .random()
        .onShapes(-2, 2);
  }

  private static OpSpec biasResidual(double p, boolean bias, boolean residual) {
    OpSpec spec =
        OpSpec.op(BIAS_RESIDUAL)
            .variant(p, bias ? "bias" : "no bias", residual ? "residual" : "no residual")
            .apply(
                in ->
                    Dropout.biasDropoutResidual(
                        in[0], bias ? in[1] : null, residual ? in[bias ? 2 : 1] : null, p, true))
            .gives(
                in -> {
                  Nd x = bias ? Nd.zip(in[0], in[1], Double::sum) : in[0];
                  Nd dropped = p == 0 ? x : elements(x, p);
                  return residual ? Nd.zip(dropped, in[bias ? 2 : 1], Double::sum) : dropped;
                })
            .random();
    List<Operand> inputs = new ArrayList<>();
    for (long[] shape :
        new long[][] {{7}, {2, 3}, {1, 1}, {8, 1}, {3, 5, 3}, {0, 2}, {2, 0}, {17, 1500}}) {
      inputs.add(Operand.x(shape));
    }
    inputs.add(Operand.x(4, 5).transposed());
    inputs.add(Operand.x(3, 4).sliced());
    inputs.add(Operand.x(2, 3).expanded());
    for (Operand x : inputs) {
      List<Operand> operands = new ArrayList<>(List.of(x));
      if (bias) {
        operands.add(Operand.x(x.dim(-1)).sliced());
      }
      if (residual) {
        operands.add(x);
      }
      spec.on(operands.toArray(new Operand[0]));
    }
    return spec;
  }

  @Override
  protected List<OpSpec> specs() {
    Tensor x = Tensor.ones(2, 3);
    return List.of(
        spec(0.5, false)
            .refuses(
                ArgumentException.class, "[dropout] p is 1.5", () -> Dropout.dropout(x, 1.5, true))
            .refuses(
                ArgumentException.class,
                "[dropout] p is NaN",
                () -> Dropout.dropout(x, Double.NaN, false))
            .refuses(
                DTypeException.class,
                "[dropout] x is INT64",
                () -> Dropout.dropout(Tensor.arange(3), 0.5, true)),
        spec(0.1, false),
        certain(),
        biasResidual(0.5, true, true)
            .refuses(
                ArgumentException.class,
                "[biasDropoutResidual] p is -0.1",
                () -> Dropout.biasDropoutResidual(x, null, null, -0.1, true))
            .refuses(
                ShapeException.class,
                "[biasDropoutResidual] bias [2] must have one element for each of the 3 columns",
                () -> Dropout.biasDropoutResidual(x, Tensor.ones(2), null, 0.1, true))
            .refuses(
                ShapeException.class,
                "[biasDropoutResidual] residual [3] must have the shape of x [2, 3]",
                () -> Dropout.biasDropoutResidual(x, null, Tensor.ones(3), 0.1, true))
            .refuses(
                DTypeException.class,
                "[biasDropoutResidual] x is FLOAT32 but bias is FLOAT64",
                () ->
                    Dropout.biasDropoutResidual(
                        x, Tensor.ones(3).to(DType.FLOAT64), null, 0.1, true)),
        biasResidual(0.1, false, true),
        biasResidual(0.3, true, false),
        biasResidual(0.2, false, false),
        biasResidual(0, true, true),
        spec(0.25, true)
            .refuses(
                ShapeException.class,
                "[dropoutChannels] x [3] needs a sample axis",
                () -> Dropout.dropoutChannels(Tensor.ones(3), 0.5, true)));
  }

  @Test
  void nothingIsDrawnWithoutTrainingOrProbability() {
    Generator generator = Generator.seed(3);
    Tensor x = Tensor.ones(4, 4);
    assertSame(x, Dropout.dropout(x, 0.5, false));
    assertSame(x, Dropout.dropout(x, 0, true));
    assertSame(x, Dropout.dropoutChannels(x, 0.5, false));
    assertArrayEquals(
        x.mul(2).toFloats(), Dropout.biasDropoutResidual(x, null, x, 0.5, false).toFloats());
    Dropout.biasDropoutResidual(x, null, null, 0, true);
    assertEquals(0, generator.offset());
    Dropout.dropout(x, 0.5, true);
    assertEquals(1, generator.offset());
  }

  @Test
  void probabilityOneGivesZerosAlsoForInfinity() {
    Tensor x = Tensor.full(Double.POSITIVE_INFINITY, 3, 11);
    for (DType dtype : new DType[] {DType.FLOAT32, DType.FLOAT64, DType.FLOAT16}) {
      assertArrayEquals(new double[33], Dropout.dropout(x.to(dtype), 1, true).toDoubles());
      assertArrayEquals(new double[33], Dropout.dropoutChannels(x.to(dtype), 1, true).toDoubles());
    }
  }

  @Test
  void theShareOfZerosIsTheProbability() {
    Generator.seed(7);
    int n = 200_000;
    double zeros = Dropout.dropout(Tensor.ones(n), 0.3, true).eq(0).sum().item();
    // Five standard deviations.
    assertEquals(0.3, zeros / n, 5 * Math.sqrt(0.3 * 0.7 / n));
  }
}
