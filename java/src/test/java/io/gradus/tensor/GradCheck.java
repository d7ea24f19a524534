package io.gradus.tensor;

import static org.junit.jupiter.api.Assertions.assertEquals;

import io.gradus.backend.Buffer;
import io.gradus.core.DType;
import io.gradus.core.Device;
import io.gradus.core.Shape;
import io.gradus.testing.Tolerances;
import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;

/**
 * Compares gradients in float64 with central differences of a random projection of the outputs. The
 * tolerances are those of PyTorch's {@code gradcheck}.
 */
final class GradCheck {
  private static final double EPS = 1e-6;
  private static final double RELATIVE = 1e-3;
  private static final double ABSOLUTE = 1e-5;

  private GradCheck() {}

  /** A function from tensors to tensors. */
  @FunctionalInterface
  interface Op {
    Tensor[] apply(Tensor... in);
  }

  /**
   * Checks the first derivative.
   *
   * @param inputs dense float64 leaves; those that require a gradient are checked
   * @param atMost of a larger input only so many elements, chosen at random, are perturbed
   */
  static void first(String what, Op op, Tensor[] inputs, SplittableRandom random, int atMost) {
    List<Tensor> wanted = new ArrayList<>();
    for (Tensor input : inputs) {
      if (input.requiresGrad()) {
        wanted.add(input);
      }
    }
    try (Scope s = Scope.open()) {
      Tensor[] outputs = op.apply(inputs);
      double[][] weights = new double[outputs.length][];
      List<Tensor> roots = new ArrayList<>();
      List<Tensor> gradients = new ArrayList<>();
      for (int i = 0; i < outputs.length; i++) {
        weights[i] = weights(random, outputs[i]);
        if (outputs[i].requiresGrad()) {
          roots.add(outputs[i]);
          gradients.add(like(outputs[i], weights[i]));
        }
      }
      Tensor[] leaves = wanted.toArray(new Tensor[0]);
      double[][] analytic = new double[leaves.length][];
      if (roots.isEmpty()) {
        for (int i = 0; i < leaves.length; i++) {
          analytic[i] = new double[(int) leaves[i].numel()];
        }
      } else {
        Tensor[] grads =
            Autograd.grad(
                roots.toArray(new Tensor[0]),
                leaves,
                gradients.toArray(new Tensor[0]),
                false,
                false);
        for (int i = 0; i < leaves.length; i++) {
          assertEquals(leaves[i].shape(), grads[i].shape(), what + ": shape of gradient " + i);
          assertEquals(leaves[i].dtype(), grads[i].dtype(), what + ": type of gradient " + i);
          analytic[i] = grads[i].toDoubles();
        }
      }
      for (int i = 0; i < leaves.length; i++) {
        compare(
            what + ", gradient of input " + i,
            op,
            inputs,
            leaves[i],
            analytic[i],
            weights,
            random,
            atMost);
      }
    }
  }

  /** Checks the derivative of the gradient, with respect to inputs and output gradients alike. */
  static void second(String what, Op op, Tensor[] inputs, SplittableRandom random, int atMost) {
    try (Scope s = Scope.open()) {
      Tensor[] outputs = op.apply(inputs);
      List<Tensor> all = new ArrayList<>(List.of(inputs));
      for (Tensor output : outputs) {
        if (output.requiresGrad()) {
          all.add(like(output, weights(random, output)).requiresGrad(true));
        }
      }
      int count = inputs.length;
      Op gradient =
          in -> {
            Tensor[] xs = new Tensor[count];
            List<Tensor> leaves = new ArrayList<>();
            for (int i = 0; i < count; i++) {
              xs[i] = in[i];
              if (in[i].requiresGrad()) {
                leaves.add(in[i]);
              }
            }
            List<Tensor> roots = new ArrayList<>();
            for (Tensor y : op.apply(xs)) {
              if (y.requiresGrad()) {
                roots.add(y);
              }
            }
            Tensor[] weights = new Tensor[roots.size()];
            for (int i = 0; i < weights.length; i++) {
              weights[i] = in[count + i];
            }
            return Autograd.grad(
                roots.toArray(new Tensor[0]), leaves.toArray(new Tensor[0]), weights, true, true);
          };
      if (all.size() > count) {
        first(what + ", second order", gradient, all.toArray(new Tensor[0]), random, atMost);
      }
    }
  }

  private static void compare(
      String what,
      Op op,
      Tensor[] inputs,
      Tensor leaf,
      double[] analytic,
      double[][] weights,
      SplittableRandom random,
      int atMost) {
    double[] values = leaf.toDoubles();
    int checks = Math.min(atMost, values.length);
    double[] expected = new double[checks];
    double[] actual = new double[checks];
    for (int i = 0; i < checks; i++) {
      int at = checks == values.length ? i : random.nextInt(values.length);
      set(leaf, at, values[at] + EPS);
      double above = projection(op, inputs, weights);
      set(leaf, at, values[at] - EPS);
      double below = projection(op, inputs, weights);
      set(leaf, at, values[at]);
      expected[i] = (above - below) / (2 * EPS);
      actual[i] = analytic[at];
    }
    Tolerances.assertClose(what, expected, actual, RELATIVE, ABSOLUTE);
  }

  private static void set(Tensor leaf, int index, double value) {
    long at = leaf.offset();
    long[] strides = leaf.stridesInternal();
    long rest = index;
    for (int axis = leaf.rank() - 1; axis >= 0; axis--) {
      at += rest % leaf.size(axis) * strides[axis];
      rest /= leaf.size(axis);
    }
    leaf.backend().upload(new double[] {value}, 0, new Buffer(leaf.memory(), at, 1));
  }

  private static double projection(Op op, Tensor[] inputs, double[][] weights) {
    try (Scope s = Scope.open()) {
      Tensor[] outputs = op.apply(inputs);
      double sum = 0;
      for (int i = 0; i < outputs.length; i++) {
        if (outputs[i].dtype().isFloating()) {
          double[] y = outputs[i].toDoubles();
          for (int k = 0; k < y.length; k++) {
            sum += y[k] * weights[i][k];
          }
        }
      }
      return sum;
    }
  }

  /** Weights of a projection: away from 0, so that every output counts. */
  static double[] weights(SplittableRandom random, Tensor output) {
    double[] out = new double[(int) output.numel()];
    for (int i = 0; i < out.length; i++) {
      out[i] = (0.5 + random.nextDouble()) * (random.nextBoolean() ? 1 : -1);
    }
    return out;
  }

  /** A tensor of a tensor's type, shape and device. */
  static Tensor like(Tensor model, double[] values) {
    Shape shape = model.shape();
    try (Scope s = Scope.open()) {
      Tensor host = Tensor.empty(Device.reference(), DType.FLOAT64, shape);
      host.backend().upload(values, 0, host.buffer());
      return s.keep(host.to(model.dtype()).to(model.device()));
    }
  }
}
