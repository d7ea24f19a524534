package io.gradus.tensor;

import io.gradus.backend.Activation;
import io.gradus.core.DType;
import io.gradus.core.DTypeException;
import io.gradus.core.ShapeException;
import io.gradus.testing.Nd;
import java.util.Arrays;
import java.util.List;

/** The affine map of a fully connected layer. */
class LinearTest extends OpTestCase {
  private static Nd naive(Nd... in) {
    long[] dims = in[0].dims();
    dims[dims.length - 1] = in[1].dim(0);
    return Nd.generate(
        dims,
        at -> {
          double sum = in.length > 2 ? in[2].at(at[at.length - 1]) : 0;
          for (long i = 0; i < in[1].dim(1); i++) {
            long[] source = at.clone();
            source[source.length - 1] = i;
            sum += in[0].at(source) * in[1].at(at[at.length - 1], i);
          }
          return sum;
        });
  }

  @Override
  protected List<OpSpec> specs() {
    return List.of(
        refusals(
            cases(
                OpSpec.op("Linear.linear(Tensor,Tensor,Tensor)")
                    .apply(in -> Linear.linear(in[0], in[1], in.length > 2 ? in[2] : null))
                    .gives(LinearTest::naive))),
        cases(
            OpSpec.op("Linear.linear(Tensor,Tensor,Tensor,Activation)")
                .apply(
                    in ->
                        Linear.linear(in[0], in[1], in.length > 2 ? in[2] : null, Activation.RELU))
                .gives(in -> naive(in).map(v -> Math.max(v, 0)))));
  }

  private static OpSpec cases(OpSpec start) {
    // The product rounds to the type before the bias is added.
    OpSpec spec = start.terms(in -> in[1].dim(1)).halfSteps(2);
    long[][] leading = {{}, {1}, {5}, {2, 3}, {0}, {3, 0}, {2, 1, 2}, {70}};
    for (long[] lead : leading) {
      long[] dims = Arrays.copyOf(lead, lead.length + 1);
      dims[lead.length] = 4;
      spec.on(Operand.x(dims), Operand.x(3, 4));
      spec.on(Operand.x(dims), Operand.x(3, 4), Operand.x(3));
    }
    return spec.on(Operand.x(33, 65), Operand.x(130, 65), Operand.x(130))
        .on(Operand.x(1, 1), Operand.x(1, 1), Operand.x(1))
        .on(Operand.x(2, 0), Operand.x(3, 0), Operand.x(3))
        .on(Operand.x(5, 4).transposed(), Operand.x(3, 4).transposed(), Operand.x(3).sliced())
        .on(Operand.x(2, 3, 4).sliced(), Operand.x(3, 4).sliced())
        .on(Operand.x(5, 4).expanded(), Operand.x(3, 4).expanded())
        .on(Operand.x(5, 4).constant(), Operand.x(3, 4), Operand.x(3))
        .on(Operand.x(5, 4), Operand.x(3, 4).constant(), Operand.x(3).constant());
  }

  private static OpSpec refusals(OpSpec spec) {
    Tensor x = Tensor.ones(5, 4);
    return spec.refuses(
            ShapeException.class,
            "[linear] x has 4 features but weight expects 6 (x [5, 4], weight [3, 6])",
            () -> Linear.linear(x, Tensor.ones(3, 6), null))
        .refuses(
            ShapeException.class, "must be [out, in]", () -> Linear.linear(x, Tensor.ones(4), null))
        .refuses(
            ShapeException.class,
            "x is a scalar",
            () -> Linear.linear(Tensor.scalar(1), Tensor.ones(3, 1), null))
        .refuses(
            ShapeException.class,
            "bias [4]",
            () -> Linear.linear(x, Tensor.ones(3, 4), Tensor.ones(4)))
        .refuses(
            DTypeException.class,
            "x is FLOAT32 but weight is FLOAT16",
            () -> Linear.linear(x, Tensor.ones(3, 4).to(DType.FLOAT16), null))
        .refuses(
            DTypeException.class,
            "x is INT64",
            () -> Linear.linear(x.to(DType.INT64), Tensor.ones(3, 4), null));
  }
}
