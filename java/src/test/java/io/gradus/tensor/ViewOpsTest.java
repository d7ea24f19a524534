package io.gradus.tensor;

import io.gradus.core.ArgumentException;
import io.gradus.core.DType;
import io.gradus.core.ShapeException;
import io.gradus.testing.Nd;
import io.gradus.testing.TestDevices;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/** Operations that arrange elements: views and copies. */
class ViewOpsTest extends OpTestCase {
  private static final DType[] ALL = {
    DType.FLOAT64, DType.FLOAT32, DType.BFLOAT16, DType.FLOAT16, DType.INT32, DType.INT64
  };

  /** Shapes of rank 2 and more, integers so that every type holds them. */
  private static OpSpec on(OpSpec spec, long[]... shapes) {
    for (long[] dims : shapes) {
      spec.on(Operand.x(dims).range(-9, 9).grid(1));
    }
    return spec.dtypes(ALL);
  }

  private static OpSpec strided(OpSpec spec, long... dims) {
    Operand x = Operand.x(dims).range(-9, 9).grid(1);
    return spec.on(x.transposed()).on(x.sliced()).on(x.expanded());
  }

  private static long[] swapped(long[] dims, int a, int b) {
    long[] out = dims.clone();
    out[a] = dims[b];
    out[b] = dims[a];
    return out;
  }

  private static Nd transpose(Nd x, int a, int b) {
    int p = a < 0 ? a + x.rank() : a;
    int q = b < 0 ? b + x.rank() : b;
    return Nd.generate(swapped(x.dims(), p, q), i -> x.at(swapped(i, p, q)));
  }

  private static Nd slice(Nd x, int axis, long start, long end, long step) {
    long[] dims = x.dims();
    dims[axis] = (end - start + step - 1) / step;
    return Nd.generate(
        dims,
        i -> {
          long[] at = i.clone();
          at[axis] = start + i[axis] * step;
          return x.at(at);
        });
  }

  private static Nd flip(Nd x, int... axes) {
    return Nd.generate(
        x.dims(),
        i -> {
          long[] at = i.clone();
          for (int axis : axes) {
            at[axis] = x.dim(axis) - 1 - i[axis];
          }
          return x.at(at);
        });
  }

  @Override
  protected List<OpSpec> specs() {
    List<OpSpec> specs = new ArrayList<>();
    specs.addAll(shapesOnly());
    specs.addAll(orders());
    specs.addAll(ranges());
    specs.addAll(copies());
    return specs;
  }

  private static List<OpSpec> shapesOnly() {
    long[][] even = {
      {2}, {2, 3}, {4, 1}, {1, 2}, {2, 3, 4}, {0}, {0, 2}, {2, 0, 3}, {1030}, {2, 1, 2, 1}
    };
    return List.of(
        strided(
            on(
                OpSpec.op("reshape(long[])")
                    .apply(in -> in[0].reshape(2, in[0].numel() / 2))
                    .gives(in -> in[0].reshape(2, in[0].data().length / 2))
                    .refuses(
                        ShapeException.class,
                        "[reshape] [2, 3] has 6 elements",
                        () -> Tensor.ones(2, 3).reshape(4))
                    .refuses(
                        ShapeException.class,
                        "only one extent can be -1",
                        () -> Tensor.ones(2, 3).reshape(-1, -1))
                    .refuses(
                        ShapeException.class,
                        "cannot infer -1",
                        () -> Tensor.ones(2, 3).reshape(4, -1))
                    .refuses(
                        ShapeException.class, "[reshape]", () -> Tensor.ones(2, 3).reshape(-2, -3)),
                even),
            4,
            3),
        strided(
            on(
                OpSpec.op("reshape(long[])")
                    .apply(in -> in[0].reshape(-1))
                    .gives(in -> in[0].reshape(in[0].data().length)),
                new long[][] {{}, {1}, {2, 3}, {1, 1}, {2, 3, 4}, {0}, {3, 0}, {1030}}),
            4,
            3),
        strided(
            on(
                OpSpec.op("flatten(int)")
                    .apply(in -> in[0].flatten(1))
                    .gives(
                        in ->
                            in[0].reshape(
                                in[0].dim(0),
                                Nd.count(Arrays.copyOfRange(in[0].dims(), 1, in[0].rank()))))
                    .refuses(
                        ShapeException.class,
                        "[flatten] axis 2",
                        () -> Tensor.ones(2, 3).flatten(2)),
                new long[][] {
                  {2, 3}, {1, 1}, {2, 3, 4}, {2, 3, 1, 2}, {0, 3}, {3, 0}, {2, 0, 2}, {1, 1030}
                }),
            4,
            3),
        strided(
            on(
                OpSpec.op("unsqueeze(int)")
                    .apply(in -> in[0].unsqueeze(-1))
                    .gives(
                        in -> {
                          long[] dims = Arrays.copyOf(in[0].dims(), in[0].rank() + 1);
                          dims[in[0].rank()] = 1;
                          return in[0].reshape(dims);
                        })
                    .refuses(
                        ShapeException.class, "insert an axis", () -> Tensor.ones(2).unsqueeze(2)),
                new long[][] {{}, {1}, {5}, {2, 3}, {1, 1}, {2, 3, 4}, {0}, {3, 0}}),
            4,
            3),
        strided(
            on(
                OpSpec.op("squeeze(int)")
                    .apply(in -> in[0].unsqueeze(0).squeeze(0))
                    .gives(in -> in[0])
                    .refuses(
                        ShapeException.class,
                        "[squeeze] axis 0 of [2, 1] is not 1",
                        () -> Tensor.ones(2, 1).squeeze(0)),
                new long[][] {{}, {1}, {5}, {2, 3}, {1, 1}, {2, 3, 4}, {0}, {3, 0}}),
            4,
            3),
        strided(
            on(
                OpSpec.op("expand(long[])")
                    .apply(
                        in -> {
                          long[] dims = in[0].unsqueeze(0).shape().dims();
                          dims[0] = 3;
                          return in[0].unsqueeze(0).expand(dims);
                        })
                    .gives(
                        in -> Nd.zip(Nd.generate(larger(in[0].dims()), i -> 0), in[0], (a, b) -> b))
                    .refuses(
                        ShapeException.class,
                        "[expand] [2] does not broadcast to [3]",
                        () -> Tensor.ones(2).expand(3)),
                new long[][] {{}, {1}, {5}, {2, 3}, {1, 1}, {2, 3, 4}, {0}, {3, 0}}),
            4,
            3),
        expandInside());
  }

  private static long[] larger(long[] dims) {
    long[] out = new long[dims.length + 1];
    out[0] = 3;
    System.arraycopy(dims, 0, out, 1, dims.length);
    return out;
  }

  private static OpSpec expandInside() {
    return on(
        OpSpec.op("expand(long[])")
            .apply(in -> in[0].unsqueeze(-1).expand(repeated(in[0].shape().dims())))
            .gives(
                in ->
                    Nd.generate(
                        repeated(in[0].dims()), i -> in[0].at(Arrays.copyOf(i, i.length - 1)))),
        new long[][] {
          {}, {1}, {5}, {2, 3}, {1, 1}, {2, 3, 4}, {0}, {3, 0}, {700}, {1, 5, 1}, {2, 1, 2, 2}
        });
  }

  private static long[] repeated(long[] dims) {
    long[] out = Arrays.copyOf(dims, dims.length + 1);
    out[dims.length] = 2;
    return out;
  }

  private static List<OpSpec> orders() {
    long[][] matrices = {
      {2, 3}, {1, 1}, {1, 4}, {4, 1}, {2, 3, 4}, {0, 3}, {3, 0}, {40, 33}, {2, 1, 3, 2}
    };
    long[][] cubes = {
      {2, 3, 4}, {1, 1, 1}, {3, 1, 2}, {1, 4, 2}, {2, 2, 1}, {0, 2, 3}, {2, 0, 3}, {9, 17, 20}
    };
    return List.of(
        strided(
            on(
                OpSpec.op("transpose(int,int)")
                    .apply(in -> in[0].transpose(0, -1))
                    .gives(in -> transpose(in[0], 0, -1))
                    .refuses(
                        ShapeException.class,
                        "[transpose] axis 2",
                        () -> Tensor.ones(2, 3).transpose(0, 2)),
                matrices),
            4,
            3),
        strided(
            on(
                OpSpec.op("t()")
                    .apply(in -> in[0].t())
                    .gives(in -> transpose(in[0], -2, -1))
                    .refuses(ShapeException.class, "axis -2", () -> Tensor.ones(2).t()),
                matrices),
            4,
            3),
        strided(
            on(
                OpSpec.op("permute(int[])")
                    .apply(in -> in[0].permute(2, 0, -2))
                    .gives(
                        in ->
                            Nd.generate(
                                new long[] {in[0].dim(2), in[0].dim(0), in[0].dim(1)},
                                i -> in[0].at(i[1], i[2], i[0])))
                    .refuses(
                        ShapeException.class,
                        "[permute] [0, 1] names 2 axes",
                        () -> Tensor.ones(2, 3, 4).permute(0, 1))
                    .refuses(ShapeException.class, "twice", () -> Tensor.ones(2, 3).permute(0, -2)),
                cubes),
            2,
            3,
            4),
        strided(
            on(
                OpSpec.op("flip(int[])")
                    .apply(in -> in[0].flip(0, 2))
                    .gives(in -> flip(in[0], 0, 2))
                    .refuses(ShapeException.class, "[flip] axis 3", () -> Tensor.ones(2).flip(3)),
                cubes),
            2,
            3,
            4));
  }

  private static List<OpSpec> ranges() {
    long[][] long5 = {
      {5}, {5, 3}, {6, 1}, {5, 2, 2}, {9}, {5, 0}, {1030}, {7, 1, 2}, {8, 3}, {33, 5}
    };
    List<OpSpec> specs = new ArrayList<>();
    specs.add(
        strided(
            on(
                OpSpec.op("slice(int,long,long)")
                    .apply(in -> in[0].slice(0, 1, 4))
                    .gives(in -> slice(in[0], 0, 1, 4, 1))
                    .refuses(
                        ShapeException.class,
                        "[slice] 1 to 4 by 1 is not within axis 0 of [3]",
                        () -> Tensor.ones(3).slice(0, 1, 4))
                    .refuses(ShapeException.class, "[slice]", () -> Tensor.ones(3).slice(0, 2, 1)),
                long5),
            5,
            3));
    specs.add(
        strided(
            on(
                OpSpec.op("slice(int,long,long,long)")
                    .apply(in -> in[0].slice(0, 1, 5, 2))
                    .gives(in -> slice(in[0], 0, 1, 5, 2))
                    .refuses(ShapeException.class, "by 0", () -> Tensor.ones(3).slice(0, 0, 3, 0)),
                long5),
            5,
            3));
    specs.add(
        strided(
            on(
                OpSpec.op("slice(int,long,long)")
                    .apply(in -> in[0].slice(0, in[0].size(0), in[0].size(0)))
                    .gives(in -> slice(in[0], 0, in[0].dim(0), in[0].dim(0), 1)),
                long5),
            5,
            3));
    specs.add(
        strided(
            on(
                OpSpec.op("select(int,long)")
                    .apply(in -> in[0].select(0, -2))
                    .gives(
                        in ->
                            slice(in[0], 0, in[0].dim(0) - 2, in[0].dim(0) - 1, 1)
                                .reshape(Arrays.copyOfRange(in[0].dims(), 1, in[0].rank())))
                    .refuses(
                        ShapeException.class,
                        "[select] index 3 is not in axis 0 of [3]",
                        () -> Tensor.ones(3).select(0, 3)),
                long5),
            5,
            3));
    specs.add(
        strided(
            on(
                OpSpec.op("split(long,int)")
                    .applyAll(in -> in[0].split(3, 0))
                    .givesAll(ViewOpsTest::split)
                    .refuses(
                        ArgumentException.class,
                        "[split] the size 0 must be positive",
                        () -> Tensor.ones(3).split(0, 0)),
                new long[][] {
                  {5}, {5, 3}, {6, 1}, {5, 2, 2}, {9}, {5, 0}, {10}, {7, 1, 2}, {1, 3}, {2, 5}
                }),
            5,
            3));
    specs.add(
        strided(
            on(
                    OpSpec.op("pad(double,long[])")
                        .apply(in -> in[0].pad(0.5, amounts(in[0].rank())))
                        .gives(in -> pad(in[0]))
                        .refuses(
                            ShapeException.class,
                            "[pad] [1] must be two non-negative amounts",
                            () -> Tensor.ones(3).pad(0, 1))
                        .refuses(ShapeException.class, "[pad]", () -> Tensor.ones(3).pad(0, -1, 1)),
                    new long[][] {
                      {}, {1}, {5}, {5, 3}, {6, 1}, {2, 2, 2}, {0}, {5, 0}, {1030}, {1, 1, 1, 1}
                    })
                .dtypes(DType.FLOAT64, DType.FLOAT32, DType.BFLOAT16, DType.FLOAT16),
            5,
            3));
    return specs;
  }

  private static Nd[] split(Nd... in) {
    Nd x = in[0];
    int count = (int) ((x.dim(0) + 2) / 3);
    Nd[] parts = new Nd[count];
    for (int i = 0; i < count; i++) {
      parts[i] = slice(x, 0, 3L * i, Math.min(x.dim(0), 3L * i + 3), 1);
    }
    return parts;
  }

  /** One before and two after on the first axis, two and three on the second, and so on. */
  private static long[] amounts(int rank) {
    long[] out = new long[2 * rank];
    for (int i = 0; i < rank; i++) {
      out[2 * i] = i + 1L;
      out[2 * i + 1] = i + 2L;
    }
    return out;
  }

  private static Nd pad(Nd x) {
    long[] dims = x.dims();
    for (int i = 0; i < dims.length; i++) {
      dims[i] += 2 * i + 3;
    }
    return Nd.generate(
        dims,
        i -> {
          long[] at = i.clone();
          for (int k = 0; k < at.length; k++) {
            at[k] -= k + 1;
            if (at[k] < 0 || at[k] >= x.dim(k)) {
              return 0.5;
            }
          }
          return x.at(at);
        });
  }

  private static List<OpSpec> copies() {
    OpSpec copy =
        OpSpec.op("copy()", "contiguous()")
            .applyAll(in -> new Tensor[] {in[0].copy(), in[0].contiguous()})
            .givesAll(in -> new Nd[] {in[0], in[0]})
            .onShapes(-2, 2);
    OpSpec widen =
        OpSpec.op("to(DType)")
            .apply(in -> in[0].to(DType.FLOAT64))
            .gives(in -> in[0])
            .result(DType.FLOAT64)
            .onShapes(-2, 2);
    OpSpec integers =
        OpSpec.op("to(DType)")
            .apply(in -> in[0].to(DType.INT32))
            .givesEach(x -> (int) x)
            .result(DType.INT32)
            .notDifferentiable()
            .onShapes(-9, 9)
            .on(
                Operand.x(4)
                    .values(1e20, -1e20, Double.NaN, Double.POSITIVE_INFINITY)
                    .typed(DType.FLOAT32));
    OpSpec flags =
        OpSpec.op("to(DType)")
            .apply(in -> in[0].to(DType.BOOL))
            .givesEach(x -> x != 0 ? 1 : 0)
            .result(DType.BOOL)
            .notDifferentiable()
            .onShapes(-0.4, 0.4)
            .on(Operand.x(5).grid(1));
    OpSpec moved =
        OpSpec.op("to(Device)")
            .apply(in -> in[0].to(TestDevices.threads(3)).to(in[0].device()))
            .gives(in -> in[0])
            .onShapes(-2, 2);
    return List.of(copy, widen, integers, flags, moved);
  }
}
