package io.gradus.benchmarks.kernels;

import io.gradus.backend.Activation;
import io.gradus.backend.ProductPrecision;
import io.gradus.core.DType;
import java.util.ArrayList;
import java.util.List;

/**
 * Kernels of one element type with sizes, to which others are added; each group of operations has a
 * class that makes them. Statistics, losses and parameters of norms are float32 beside 16-bit
 * types.
 */
final class KernelList {
  private final DType dtype;
  private final List<KernelCase> cases = new ArrayList<>();
  private Goal goal = Goal.NONE;
  private Goal gradientGoal = Goal.NONE;

  KernelList(DType dtype) {
    this.dtype = dtype;
  }

  List<KernelCase> cases() {
    return cases;
  }

  /** What the kernels that follow should reach. */
  KernelList goal(Goal goal) {
    return goals(goal, goal);
  }

  /** The same, with another goal for gradients. */
  KernelList goals(Goal forward, Goal gradient) {
    goal = forward;
    gradientGoal = gradient;
    return this;
  }

  private CaseMaker group(String name) {
    return new CaseMaker(name, dtype, goal, gradientGoal, cases);
  }

  /** C = op(A) op(B), with C of m rows and n columns. */
  KernelList matmul(long m, long n, long k, boolean transA, boolean transB) {
    return matmul(ProductPrecision.EXACT, m, n, k, transA, transB);
  }

  /** The same, for float32 operands as exact as that. */
  KernelList matmul(
      ProductPrecision precision, long m, long n, long k, boolean transA, boolean transB) {
    MatmulCases.add(group("matmul"), precision, m, n, k, transA, transB);
    return this;
  }

  /** A batch of exact products, each of its own operands. */
  KernelList batchedMatmul(long batch, long m, long n, long k, boolean transA, boolean transB) {
    MatmulCases.batched(group("matmul"), batch, m, n, k, transA, transB);
    return this;
  }

  KernelList linear(long rows, long outputs, long inputs) {
    MatmulCases.linear(group("matmul"), rows, outputs, inputs);
    return this;
  }

  /** A convolution of square images and both its gradients. */
  KernelList conv(int n, int side, int channels, int outputs, int kernel, int stride) {
    return conv(List.of(goal, goal, goal), n, side, channels, outputs, kernel, stride);
  }

  /** The same with goals of the three. */
  KernelList conv(
      List<Goal> goals, int n, int side, int channels, int outputs, int kernel, int stride) {
    return conv(ProductPrecision.EXACT, goals, n, side, channels, outputs, kernel, stride);
  }

  /** The same, for float32 operands as exact as that. */
  KernelList conv(
      ProductPrecision precision,
      List<Goal> goals,
      int n,
      int side,
      int channels,
      int outputs,
      int kernel,
      int stride) {
    cases.addAll(
        new ConvCases(dtype, precision, n, side, channels, outputs, kernel, stride).all(goals));
    return this;
  }

  /** A convolution of one pixel, with batch normalisation and ReLU before it. */
  KernelList normalisedConv(int n, int side, int channels, int outputs) {
    var exact = ProductPrecision.EXACT;
    cases.addAll(new ConvCases(dtype, exact, n, side, channels, outputs, 1, 1).normalised());
    return this;
  }

  /** What is done to every element of a dense tensor; the goal is that of dropout. */
  KernelList elements(long n) {
    cases.addAll(new ElementCases(dtype, n, goal).all());
    return this;
  }

  KernelList pool(int n, int side, int channels) {
    PoolCases.add(group("pool"), n, side, channels);
    return this;
  }

  KernelList batchNorm(long rows, long channels, Activation activation) {
    NormCases.batch(group("norm"), rows, channels, activation);
    return this;
  }

  KernelList layerNorm(long rows, long cols) {
    NormCases.layer(group("norm"), rows, cols);
    return this;
  }

  KernelList softmax(long rows, long cols) {
    LossCases.softmax(group("softmax"), rows, cols);
    return this;
  }

  KernelList loss(long rows, int classes) {
    LossCases.crossEntropy(group("loss"), rows, classes);
    return this;
  }

  /** The loss and its gradient, which need the logits read and the gradient written. */
  KernelList lossAndGradient(long rows, int classes) {
    LossCases.crossEntropyAndGradient(group("loss"), rows, classes);
    return this;
  }

  /** Products with q k^T and with the values; a causal mask needs half of them. */
  KernelList attention(long batch, long heads, long length, long dim, boolean causal) {
    AttentionCases.add(group("attention"), batch, heads, length, dim, causal);
    return this;
  }

  KernelList reduce(long rows, long cols) {
    ReduceCases.add(group("reduce"), rows, cols);
    return this;
  }

  KernelList embedding(int vocabulary, long dim, long count) {
    IndexingCases.add(group("indexing"), vocabulary, dim, count);
    return this;
  }

  KernelList adamW(long n) {
    OptimCases.adamW(group("optim"), n);
    return this;
  }
}
