package io.gradus.tensor;

import io.gradus.core.ArgumentException;
import io.gradus.core.ShapeException;
import io.gradus.testing.Nd;
import java.util.Arrays;
import java.util.List;

/** Operations that join tensors. */
class JoinOpsTest extends OpTestCase {
  private static Nd concat(int axis, Nd... parts) {
    long[] dims = parts[0].dims();
    dims[axis] = Arrays.stream(parts).mapToLong(p -> p.dim(axis)).sum();
    return Nd.generate(
        dims,
        i -> {
          long[] at = i.clone();
          for (Nd part : parts) {
            if (at[axis] < part.dim(axis)) {
              return part.at(at);
            }
            at[axis] -= part.dim(axis);
          }
          throw new AssertionError("past the end");
        });
  }

  @Override
  protected List<OpSpec> specs() {
    OpSpec first =
        OpSpec.op("concat(int,Tensor[])")
            .apply(in -> Tensor.concat(0, in))
            .gives(in -> concat(0, in))
            .on(Operand.x(1))
            .on(Operand.x(3), Operand.x(2))
            .on(Operand.x(3, 2), Operand.x(1, 2), Operand.x(2, 2))
            .on(Operand.x(0), Operand.x(2))
            .on(Operand.x(0, 2), Operand.x(0, 2))
            .on(Operand.x(2, 3, 2), Operand.x(1, 3, 2))
            .on(Operand.x(1030), Operand.x(5))
            .on(Operand.x(3, 2).transposed(), Operand.x(4, 2).sliced())
            .on(Operand.x(3, 2).expanded(), Operand.x(1, 2))
            .on(Operand.x(2, 0), Operand.x(1, 0))
            .refuses(
                ShapeException.class,
                "[concat] shapes [2, 3] and [2, 4] differ in more than axis 0",
                () -> Tensor.concat(0, Tensor.ones(2, 3), Tensor.ones(2, 4)))
            .refuses(
                ArgumentException.class, "[concat] needs at least one", () -> Tensor.concat(0));
    OpSpec last =
        OpSpec.op("concat(int,Tensor[])")
            .apply(in -> Tensor.concat(-1, in))
            .gives(in -> concat(in[0].rank() - 1, in))
            .on(Operand.x(1))
            .on(Operand.x(3), Operand.x(2))
            .on(Operand.x(3, 2), Operand.x(3, 1), Operand.x(3, 4))
            .on(Operand.x(2, 0), Operand.x(2, 2))
            .on(Operand.x(0, 2), Operand.x(0, 1))
            .on(Operand.x(2, 3, 2), Operand.x(2, 3, 1))
            .on(Operand.x(9, 130), Operand.x(9, 5))
            .on(Operand.x(3, 2).transposed(), Operand.x(3, 4).sliced())
            .on(Operand.x(3, 2).expanded(), Operand.x(3, 1))
            .on(Operand.x(1, 1), Operand.x(1, 1));
    OpSpec stack =
        OpSpec.op("stack(int,Tensor[])")
            .apply(in -> Tensor.stack(-1, in))
            .gives(
                in ->
                    Nd.generate(
                        stacked(in),
                        i -> in[(int) i[i.length - 1]].at(Arrays.copyOf(i, i.length - 1))))
            .on(Operand.x())
            .on(Operand.x(), Operand.x())
            .on(Operand.x(3), Operand.x(3), Operand.x(3))
            .on(Operand.x(1), Operand.x(1))
            .on(Operand.x(2, 3), Operand.x(2, 3))
            .on(Operand.x(0), Operand.x(0))
            .on(Operand.x(2, 0), Operand.x(2, 0))
            .on(Operand.x(520), Operand.x(520))
            .on(Operand.x(3, 2).transposed(), Operand.x(3, 2).sliced())
            .on(Operand.x(3, 2).expanded(), Operand.x(3, 2))
            .refuses(
                ShapeException.class,
                "[stack] shapes [2] and [3] differ",
                () -> Tensor.stack(0, Tensor.ones(2), Tensor.ones(3)));
    OpSpec inside =
        OpSpec.op("stack(int,Tensor[])")
            .apply(in -> Tensor.stack(1, in))
            .gives(
                in ->
                    Nd.generate(
                        new long[] {in[0].dim(0), in.length, in[0].dim(1)},
                        i -> in[(int) i[1]].at(i[0], i[2])));
    for (long[] dims :
        new long[][] {{2, 3}, {1, 1}, {4, 1}, {1, 4}, {0, 2}, {2, 0}, {30, 40}, {3, 3}, {5, 2}}) {
      inside.on(Operand.x(dims), Operand.x(dims));
    }
    inside.on(Operand.x(3, 2).transposed(), Operand.x(3, 2).sliced());
    return List.of(first, last, stack, inside);
  }

  private static long[] stacked(Nd... in) {
    long[] dims = Arrays.copyOf(in[0].dims(), in[0].rank() + 1);
    dims[in[0].rank()] = in.length;
    return dims;
  }
}
