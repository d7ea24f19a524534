package io.gradus.tensor;

import java.util.Arrays;

/**
 * Reverse-mode differentiation of single numbers: an independent implementation to hold the engine
 * against. Every number is an entry with at most two operands and their partial derivatives.
 */
final class ScalarTape {
  private double[] value = new double[1024];
  private int[] left = new int[1024];
  private int[] right = new int[1024];
  private double[] byLeft = new double[1024];
  private double[] byRight = new double[1024];
  private int size;

  private int push(double v, int a, double da, int b, double db) {
    if (size == value.length) {
      value = Arrays.copyOf(value, 2 * size);
      left = Arrays.copyOf(left, 2 * size);
      right = Arrays.copyOf(right, 2 * size);
      byLeft = Arrays.copyOf(byLeft, 2 * size);
      byRight = Arrays.copyOf(byRight, 2 * size);
    }
    value[size] = v;
    left[size] = a;
    right[size] = b;
    byLeft[size] = da;
    byRight[size] = db;
    return size++;
  }

  /** A number that depends on nothing. */
  int constant(double v) {
    return push(v, -1, 0, -1, 0);
  }

  /** f(a) with its derivative there. */
  int unary(int a, double v, double derivative) {
    return push(v, a, derivative, -1, 0);
  }

  /** f(a, b) with its partial derivatives there. */
  int binary(int a, int b, double v, double da, double db) {
    return push(v, a, da, b, db);
  }

  int add(int a, int b) {
    return binary(a, b, value[a] + value[b], 1, 1);
  }

  int mul(int a, int b) {
    return binary(a, b, value[a] * value[b], value[b], value[a]);
  }

  int scale(int a, double factor) {
    return unary(a, value[a] * factor, factor);
  }

  int sum(int... numbers) {
    int total = constant(0);
    for (int number : numbers) {
      total = add(total, number);
    }
    return total;
  }

  int exp(int a) {
    double y = Math.exp(value[a]);
    return unary(a, y, y);
  }

  int log(int a) {
    return unary(a, Math.log(value[a]), 1 / value[a]);
  }

  int sin(int a) {
    return unary(a, Math.sin(value[a]), Math.cos(value[a]));
  }

  int tanh(int a) {
    double y = Math.tanh(value[a]);
    return unary(a, y, 1 - y * y);
  }

  int sigmoid(int a) {
    double y = 1 / (1 + Math.exp(-value[a]));
    return unary(a, y, y * (1 - y));
  }

  int softplus(int a) {
    return unary(a, Math.log1p(Math.exp(value[a])), 1 / (1 + Math.exp(-value[a])));
  }

  int relu(int a) {
    return unary(a, Math.max(value[a], 0), value[a] > 0 ? 1 : 0);
  }

  int abs(int a) {
    return unary(a, Math.abs(value[a]), Math.signum(value[a]));
  }

  int mean(int... numbers) {
    return scale(sum(numbers), 1.0 / numbers.length);
  }

  /** The biased variance. */
  int variance(int... numbers) {
    int negative = scale(mean(numbers), -1);
    return mean(Arrays.stream(numbers).map(a -> add(a, negative)).map(d -> mul(d, d)).toArray());
  }

  int logSumExp(int... numbers) {
    return log(sum(Arrays.stream(numbers).map(this::exp).toArray()));
  }

  /** The first of the largest numbers. */
  int max(int... numbers) {
    int best = numbers[0];
    for (int a : numbers) {
      best = value[a] > value[best] ? a : best;
    }
    return best;
  }

  double value(int a) {
    return value[a];
  }

  /** The derivatives of one number by every number before it. */
  double[] gradients(int root) {
    double[] g = new double[size];
    g[root] = 1;
    for (int i = root; i >= 0; i--) {
      if (left[i] >= 0) {
        g[left[i]] += g[i] * byLeft[i];
      }
      if (right[i] >= 0) {
        g[right[i]] += g[i] * byRight[i];
      }
    }
    return g;
  }
}
