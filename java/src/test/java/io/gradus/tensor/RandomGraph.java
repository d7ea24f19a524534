package io.gradus.tensor;

import io.gradus.tensor.TapeProgram.Numbers;
import io.gradus.testing.Nd;
import java.util.Arrays;
import java.util.SplittableRandom;

/**
 * Chooses a small {@link TapeProgram} at random. Kinks and ties are avoided, since there the
 * gradient is a matter of convention.
 */
final class RandomGraph {
  private static final double MARGIN = 1e-3;
  private static final double LARGE = 4;

  private final SplittableRandom random;
  private final TapeProgram program = new TapeProgram();
  private final ScalarTape tape = program.tape();

  private RandomGraph(long seed) {
    random = new SplittableRandom(seed);
    int inputs = 1 + random.nextInt(2);
    for (int i = 0; i < inputs; i++) {
      leaf(randomDims());
    }
    int operations = 3 + random.nextInt(6);
    for (int i = 0; i < operations; i++) {
      grow();
    }
    finish();
  }

  /** The program of a seed. */
  static TapeProgram of(long seed) {
    return new RandomGraph(seed).program;
  }

  private long[] randomDims() {
    long[] dims = new long[random.nextInt(4)];
    for (int i = 0; i < dims.length; i++) {
      dims[i] = 1L + random.nextInt(4);
    }
    return dims;
  }

  private int leaf(long... dims) {
    return program.leaf(Numbers.generate(dims, i -> tape.constant(-1.5 + 3 * random.nextDouble())));
  }

  private void grow() {
    int x = random.nextInt(program.size());
    switch (random.nextInt(12)) {
      case 0, 1, 2 -> unary(x);
      case 3, 4, 5 -> binary(x);
      case 6, 7 -> rearrange(x);
      case 8, 9 -> reduce(x);
      case 10 -> matmul(x);
      default -> join(x);
    }
  }

  private boolean anyNear(int x, double point) {
    return Arrays.stream(program.numbers(x).ids)
        .anyMatch(id -> Math.abs(tape.value(id) - point) < MARGIN);
  }

  private double largest(int x) {
    return Arrays.stream(program.numbers(x).ids)
        .mapToDouble(id -> Math.abs(tape.value(id)))
        .max()
        .orElse(0);
  }

  private int tanh(int x) {
    return program.map("tanh", x, tape::tanh, Tensor::tanh);
  }

  private void unary(int x) {
    int kind = random.nextInt(12);
    if (largest(x) > LARGE || ((kind == 9 || kind == 10) && anyNear(x, 0))) {
      tanh(x);
      return;
    }
    switch (kind) {
      case 0 -> program.map("sigmoid", x, tape::sigmoid, Tensor::sigmoid);
      case 1 -> program.map("exp", x, tape::exp, Tensor::exp);
      case 2 -> program.map("sin", x, tape::sin, Tensor::sin);
      case 3 -> program.map("square", x, id -> tape.mul(id, id), Tensor::square);
      case 4 -> program.map("neg", x, id -> tape.scale(id, -1), Tensor::neg);
      case 5 -> program.map("softplus", x, tape::softplus, Tensor::softplus);
      case 6 -> program.map("mul(-0.75)", x, id -> tape.scale(id, -0.75), t -> t.mul(-0.75));
      case 7 ->
          program.map(
              "rsub(0.5)", x, id -> tape.unary(id, 0.5 - tape.value(id), -1), t -> t.rsub(0.5));
      case 8 ->
          program.map(
              "square + 0.5, log",
              x,
              id -> tape.log(tape.add(tape.mul(id, id), tape.constant(0.5))),
              t -> t.square().add(0.5).log());
      case 9 -> program.map("relu", x, tape::relu, Tensor::relu);
      case 10 -> program.map("abs", x, tape::abs, Tensor::abs);
      default -> tanh(x);
    }
  }

  /** A shape that broadcasts with another. */
  private long[] partner(long... dims) {
    int drop = random.nextInt(dims.length + 1);
    long[] out = Arrays.copyOfRange(dims, drop, dims.length);
    for (int i = 0; i < out.length; i++) {
      if (random.nextInt(3) == 0) {
        out[i] = 1;
      } else if (out[i] == 1 && random.nextInt(3) == 0) {
        out[i] = 1L + random.nextInt(3);
      }
    }
    if (drop == 0 && dims.length < 3 && random.nextInt(4) == 0) {
      long[] more = new long[out.length + 1];
      more[0] = 1L + random.nextInt(3);
      System.arraycopy(out, 0, more, 1, out.length);
      return more;
    }
    return out;
  }

  private static boolean compatible(long[] a, long[] b) {
    for (int i = 1; i <= Math.min(a.length, b.length); i++) {
      long x = a[a.length - i];
      long y = b[b.length - i];
      if (x != y && x != 1 && y != 1) {
        return false;
      }
    }
    return true;
  }

  private int other(int x) {
    for (int tries = 0; tries < 3; tries++) {
      int y = random.nextInt(program.size());
      if (compatible(program.numbers(x).dims, program.numbers(y).dims)) {
        return y;
      }
    }
    return leaf(partner(program.numbers(x).dims));
  }

  private void binary(int first) {
    int x = largest(first) > LARGE ? tanh(first) : first;
    int y = other(x);
    if (largest(y) > LARGE) {
      y = tanh(y);
    }
    Numbers a = program.numbers(x);
    Numbers b = program.numbers(y);
    long[] dims = Nd.broadcast(a.dims, b.dims);
    int kind = random.nextInt(6);
    boolean tie = false;
    if (kind >= 4) {
      boolean[] close = new boolean[1];
      Numbers.generate(
          dims,
          i -> {
            close[0] |= Math.abs(tape.value(a.at(i)) - tape.value(b.at(i))) < MARGIN;
            return 0;
          });
      tie = close[0];
    }
    switch (kind) {
      case 0 -> program.zip("add", x, y, dims, (p, q) -> tape.add(p, q), (s, t) -> s.add(t));
      case 1 ->
          program.zip(
              "sub",
              x,
              y,
              dims,
              (p, q) -> tape.binary(p, q, tape.value(p) - tape.value(q), 1, -1),
              (s, t) -> s.sub(t));
      case 2 ->
          program.zip(
              "div by square + 1",
              x,
              y,
              dims,
              (p, q) -> {
                double v = tape.value(q);
                double d = v * v + 1;
                return tape.binary(
                    p, q, tape.value(p) / d, 1 / d, -tape.value(p) * 2 * v / (d * d));
              },
              (s, t) -> s.div(t.square().add(1)));
      case 4, 5 -> {
        if (tie) {
          program.zip("add", x, y, dims, (p, q) -> tape.add(p, q), (s, t) -> s.add(t));
        } else {
          double sign = kind == 4 ? 1 : -1;
          program.zip(
              kind == 4 ? "maximum" : "minimum",
              x,
              y,
              dims,
              (p, q) -> {
                boolean left = sign * tape.value(p) > sign * tape.value(q);
                return tape.binary(p, q, tape.value(left ? p : q), left ? 1 : 0, left ? 0 : 1);
              },
              (s, t) -> kind == 4 ? s.maximum(t) : s.minimum(t));
        }
      }
      default -> program.zip("mul", x, y, dims, (p, q) -> tape.mul(p, q), (s, t) -> s.mul(t));
    }
  }

  private void rearrange(int x) {
    Numbers in = program.numbers(x);
    int rank = in.dims.length;
    if (rank == 0) {
      program.push("unsqueeze(0)", new Numbers(new long[] {1}, in.ids), t -> t[0].unsqueeze(0), x);
      return;
    }
    int axis = random.nextInt(rank);
    long extent = in.dims[axis];
    switch (random.nextInt(8)) {
      case 0 -> transpose(x, axis, random.nextInt(rank));
      case 1 -> {
        long step = 1L + random.nextInt(2);
        long start = random.nextInt((int) extent);
        long[] dims = in.dims.clone();
        dims[axis] = (extent - start + step - 1) / step;
        program.pick(
            "slice(" + axis + ", " + start + ", .., " + step + ")",
            x,
            dims,
            (i, at) -> at[axis] = start + i[axis] * step,
            t -> t.slice(axis, start, extent, step));
      }
      case 2 ->
          program.pick(
              "flip(" + axis + ")",
              x,
              in.dims,
              (i, at) -> at[axis] = extent - 1 - i[axis],
              t -> t.flip(axis));
      case 3 ->
          program.push(
              "reshape(-1)",
              new Numbers(new long[] {in.ids.length}, in.ids),
              t -> t[0].reshape(-1),
              x);
      case 4 -> {
        long[] dims = larger(in.dims, 2);
        program.push(
            "unsqueeze(0), expand(2, ..)",
            Numbers.generate(dims, in::at),
            t -> t[0].unsqueeze(0).expand(dims),
            x);
      }
      case 5 -> {
        long[] dims = in.dims.clone();
        dims[axis] += 3;
        long[] amounts = new long[2 * rank];
        amounts[2 * axis] = 1;
        amounts[2 * axis + 1] = 2;
        int frame = tape.constant(0.25);
        program.push(
            "pad(" + axis + ")",
            Numbers.generate(
                dims,
                i -> {
                  long[] at = i.clone();
                  at[axis] -= 1;
                  return at[axis] < 0 || at[axis] >= extent ? frame : in.at(at);
                }),
            t -> t[0].pad(0.25, amounts),
            x);
      }
      case 6 -> {
        long[] index = new long[1 + random.nextInt(4)];
        Arrays.setAll(index, i -> random.nextInt((int) extent));
        long[] dims = in.dims.clone();
        dims[axis] = index.length;
        program.pick(
            "indexSelect(" + axis + ", " + Arrays.toString(index) + ")",
            x,
            dims,
            (i, at) -> at[axis] = index[(int) i[axis]],
            t -> t.indexSelect(axis, Tensor.of(index)));
      }
      default -> {
        long at = random.nextInt((int) extent);
        long[] dims = new long[rank - 1];
        for (int i = 0; i < dims.length; i++) {
          dims[i] = in.dims[i < axis ? i : i + 1];
        }
        program.push(
            "select(" + axis + ", " + at + ")",
            Numbers.generate(
                dims,
                i -> {
                  long[] full = new long[rank];
                  for (int k = 0; k < rank; k++) {
                    full[k] = k == axis ? at : i[k < axis ? k : k - 1];
                  }
                  return in.at(full);
                }),
            t -> t[0].select(axis, at),
            x);
      }
    }
  }

  private void transpose(int x, int a, int b) {
    Numbers in = program.numbers(x);
    long[] dims = in.dims.clone();
    dims[a] = in.dims[b];
    dims[b] = in.dims[a];
    program.pick(
        "transpose(" + a + ", " + b + ")",
        x,
        dims,
        (i, at) -> {
          at[a] = i[b];
          at[b] = i[a];
        },
        t -> t.transpose(a, b));
  }

  private static long[] larger(long[] dims, long first) {
    long[] out = new long[dims.length + 1];
    out[0] = first;
    System.arraycopy(dims, 0, out, 1, dims.length);
    return out;
  }

  private void reduce(int x) {
    Numbers in = program.numbers(x);
    int rank = in.dims.length;
    boolean keep = random.nextBoolean();
    int count = random.nextInt(rank + 1);
    int[] axes = random.ints(0, Math.max(1, rank)).distinct().limit(count).toArray();
    String names = "(" + keep + ", " + Arrays.toString(axes) + ")";
    int kind = random.nextInt(5);
    if (kind == 4 && tied(x)) {
      kind = 0;
    }
    if (kind == 3 && largest(x) > LARGE) {
      kind = 1;
    }
    switch (kind) {
      case 0 -> program.fold("sum" + names, x, keep, axes, tape::sum, t -> t.sum(keep, axes));
      case 1 -> program.fold("mean" + names, x, keep, axes, tape::mean, t -> t.mean(keep, axes));
      case 2 ->
          program.fold(
              "variance" + names, x, keep, axes, tape::variance, t -> t.variance(0, keep, axes));
      case 3 ->
          program.fold(
              "logSumExp" + names, x, keep, axes, tape::logSumExp, t -> t.logSumExp(keep, axes));
      default -> program.fold("max" + names, x, keep, axes, tape::max, t -> t.max(keep, axes));
    }
  }

  private boolean tied(int x) {
    double[] sorted =
        Arrays.stream(program.numbers(x).ids).mapToDouble(tape::value).sorted().toArray();
    for (int i = 1; i < sorted.length; i++) {
      if (sorted[i] - sorted[i - 1] < MARGIN) {
        return true;
      }
    }
    return false;
  }

  private void matmul(int x) {
    Numbers a = program.numbers(x);
    if (a.dims.length < 2) {
      unary(x);
      return;
    }
    int first = largest(x) > LARGE ? tanh(x) : x;
    Numbers p = program.numbers(first);
    int rank = p.dims.length;
    long k = p.dims[rank - 1];
    long n = 1L + random.nextInt(3);
    boolean batched = rank == 3 && random.nextBoolean();
    int second = batched ? leaf(p.dims[0], k, n) : leaf(k, n);
    Numbers q = program.numbers(second);
    long[] dims = p.dims.clone();
    dims[rank - 1] = n;
    program.push(
        "matmul",
        Numbers.generate(
            dims,
            i -> {
              int[] terms = new int[(int) k];
              for (int j = 0; j < k; j++) {
                long[] l = i.clone();
                l[rank - 1] = j;
                long[] r = batched ? i.clone() : new long[2];
                r[r.length - 2] = j;
                r[r.length - 1] = i[rank - 1];
                terms[j] = tape.mul(p.at(l), q.at(r));
              }
              return tape.sum(terms);
            }),
        t -> t[0].matmul(t[1]),
        first,
        second);
  }

  private void join(int x) {
    Numbers a = program.numbers(x);
    int y = leaf(a.dims);
    Numbers b = program.numbers(y);
    if (a.dims.length == 0 || random.nextBoolean()) {
      program.push(
          "stack(0)",
          Numbers.generate(
              larger(a.dims, 2),
              i -> {
                Numbers part = i[0] == 0 ? a : b;
                return part.at(Arrays.copyOfRange(i, 1, i.length));
              }),
          t -> Tensor.stack(0, t),
          x,
          y);
      return;
    }
    int axis = random.nextInt(a.dims.length);
    long extent = a.dims[axis];
    long[] dims = a.dims.clone();
    dims[axis] = 2 * extent;
    program.push(
        "concat(" + axis + ")",
        Numbers.generate(
            dims,
            i -> {
              long[] at = i.clone();
              boolean second = at[axis] >= extent;
              at[axis] -= second ? extent : 0;
              return (second ? b : a).at(at);
            }),
        t -> Tensor.concat(axis, t),
        x,
        y);
  }

  /** The mean of the last values, each squashed, so that everything recent counts. */
  private void finish() {
    int last = program.size() - 1;
    int loss = -1;
    for (int x = Math.max(0, last - 2); x <= last; x++) {
      int squashed = tanh(x);
      program.fold("mean", squashed, false, new int[0], tape::mean, Tensor::mean);
      int mean = program.size() - 1;
      if (loss >= 0) {
        program.zip("add", loss, mean, new long[0], tape::add, Tensor::add);
        mean = program.size() - 1;
      }
      loss = mean;
    }
  }
}
