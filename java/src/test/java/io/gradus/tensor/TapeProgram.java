package io.gradus.tensor;

import io.gradus.core.DType;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.function.BinaryOperator;
import java.util.function.Function;
import java.util.function.IntUnaryOperator;
import java.util.function.ToIntFunction;

/**
 * A program of tensor operations kept in two forms: as steps that the engine can run, and as arrays
 * of numbers of {@link ScalarTape}, where views only rearrange numbers. The last value is the loss.
 */
final class TapeProgram {
  /** An array of numbers on the tape. */
  static final class Numbers {
    final long[] dims;
    final int[] ids;

    Numbers(long[] dims, int[] ids) {
      this.dims = dims;
      this.ids = ids;
    }

    int at(long[] index) {
      long flat = 0;
      for (int i = 0; i < dims.length; i++) {
        flat = flat * dims[i] + (dims[i] == 1 ? 0 : index[index.length - dims.length + i]);
      }
      return ids[(int) flat];
    }

    static Numbers generate(long[] dims, ToIntFunction<long[]> f) {
      int[] ids = new int[(int) Arrays.stream(dims).reduce(1, (a, b) -> a * b)];
      long[] index = new long[dims.length];
      for (int i = 0; i < ids.length; i++) {
        ids[i] = f.applyAsInt(index);
        for (int k = dims.length - 1; k >= 0 && ++index[k] == dims[k]; k--) {
          index[k] = 0;
        }
      }
      return new Numbers(dims.clone(), ids);
    }
  }

  /** An operation of the engine on earlier results. */
  private static final class Step {
    final String text;
    final int[] arguments;
    final Function<Tensor[], Tensor> op;

    Step(String text, int[] arguments, Function<Tensor[], Tensor> op) {
      this.text = text;
      this.arguments = arguments;
      this.op = op;
    }
  }

  private final ScalarTape tape = new ScalarTape();
  private final List<Numbers> values = new ArrayList<>();
  private final List<Step> steps = new ArrayList<>();

  ScalarTape tape() {
    return tape;
  }

  /** Number of values so far, leaves among them. */
  int size() {
    return values.size();
  }

  /** A value on the tape. */
  Numbers numbers(int x) {
    return values.get(x);
  }

  /** Adds a value that depends on no other: a step without arguments. */
  int leaf(Numbers numbers) {
    return push("leaf", numbers, in -> in[0]);
  }

  /** Adds an operation in both forms and returns the number of its value. */
  int push(String text, Numbers numbers, Function<Tensor[], Tensor> op, int... arguments) {
    values.add(numbers);
    steps.add(new Step(text, arguments, op));
    return values.size() - 1;
  }

  /** Adds a function of every element. */
  int map(String text, int x, IntUnaryOperator f, Function<Tensor, Tensor> op) {
    Numbers in = values.get(x);
    int[] ids = Arrays.stream(in.ids).map(f).toArray();
    return push(text, new Numbers(in.dims, ids), t -> op.apply(t[0]), x);
  }

  /** Two numbers of the tape to one. */
  @FunctionalInterface
  interface Pair {
    int apply(int a, int b);
  }

  /** Adds a function of every pair of elements that broadcasts to the given extents. */
  void zip(String text, int x, int y, long[] dims, Pair f, BinaryOperator<Tensor> op) {
    Numbers a = values.get(x);
    Numbers b = values.get(y);
    push(
        text,
        Numbers.generate(dims, i -> f.apply(a.at(i), b.at(i))),
        t -> op.apply(t[0], t[1]),
        x,
        y);
  }

  /** Where an element of the result comes from: changes a copy of its index. */
  @FunctionalInterface
  interface Source {
    void set(long[] index, long[] at);
  }

  /** Adds an operation whose elements are elements of its input. */
  void pick(String text, int x, long[] dims, Source source, Function<Tensor, Tensor> op) {
    Numbers in = values.get(x);
    push(
        text,
        Numbers.generate(
            dims,
            i -> {
              long[] at = i.clone();
              source.set(i, at);
              return in.at(at);
            }),
        t -> op.apply(t[0]),
        x);
  }

  /** Adds a reduction. */
  void fold(
      String text,
      int x,
      boolean keep,
      int[] axes,
      ToIntFunction<int[]> f,
      Function<Tensor, Tensor> op) {
    Numbers in = values.get(x);
    boolean[] reduced = new boolean[in.dims.length];
    Arrays.fill(reduced, axes.length == 0);
    for (int axis : axes) {
      reduced[axis] = true;
    }
    long[] inner = in.dims.clone();
    long[] outer = in.dims.clone();
    List<Long> left = new ArrayList<>();
    for (int i = 0; i < reduced.length; i++) {
      if (reduced[i]) {
        outer[i] = 1;
      } else {
        inner[i] = 1;
      }
      if (keep || !reduced[i]) {
        left.add(outer[i]);
      }
    }
    Numbers out =
        Numbers.generate(
            outer,
            at ->
                f.applyAsInt(
                    Numbers.generate(
                            inner,
                            i -> {
                              long[] sum = at.clone();
                              for (int k = 0; k < sum.length; k++) {
                                sum[k] += i[k];
                              }
                              return in.at(sum);
                            })
                        .ids));
    long[] dims = left.stream().mapToLong(Long::longValue).toArray();
    push(text, new Numbers(dims, out.ids), t -> op.apply(t[0]), x);
  }

  /** The loss on the tape. */
  double loss() {
    return tape.value(values.get(values.size() - 1).ids[0]);
  }

  /** The gradients of the leaves on the tape, in their order. */
  List<double[]> gradients() {
    double[] all = tape.gradients(values.get(values.size() - 1).ids[0]);
    List<double[]> out = new ArrayList<>();
    for (int i = 0; i < steps.size(); i++) {
      if (steps.get(i).arguments.length == 0) {
        out.add(Arrays.stream(values.get(i).ids).mapToDouble(id -> all[id]).toArray());
      }
    }
    return out;
  }

  /** What the engine makes of the program: the loss first, then the leaves. */
  Tensor[] run(DType dtype) {
    Tensor[] results = new Tensor[steps.size()];
    List<Tensor> out = new ArrayList<>();
    for (int i = 0; i < results.length; i++) {
      Step step = steps.get(i);
      if (step.arguments.length == 0) {
        Numbers numbers = values.get(i);
        double[] data = Arrays.stream(numbers.ids).mapToDouble(tape::value).toArray();
        results[i] = Tensor.of(data).reshape(numbers.dims).to(dtype).detach().requiresGrad(true);
        out.add(results[i]);
      } else {
        Tensor[] arguments = new Tensor[step.arguments.length];
        for (int k = 0; k < arguments.length; k++) {
          arguments[k] = results[step.arguments[k]];
        }
        results[i] = step.op.apply(arguments);
      }
    }
    out.add(0, results[results.length - 1]);
    return out.toArray(new Tensor[0]);
  }

  @Override
  public String toString() {
    StringBuilder text = new StringBuilder();
    for (int i = 0; i < steps.size(); i++) {
      text.append('%').append(i).append(" = ").append(steps.get(i).text);
      text.append(Arrays.toString(steps.get(i).arguments)).append(" -> ");
      text.append(Arrays.toString(values.get(i).dims)).append("; ");
    }
    return text.toString();
  }
}
