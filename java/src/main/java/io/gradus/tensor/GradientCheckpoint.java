package io.gradus.tensor;

import org.jspecify.annotations.Nullable;

/**
 * Trades time for memory: a segment of the network runs without saving anything and is computed
 * again in backward. Random operations draw the same numbers the second time.
 *
 * <p>Source: Chen, Xu, Zhang, Guestrin, "Training deep nets with sublinear memory cost",
 * arXiv:1604.06174.
 */
public final class GradientCheckpoint {
  private GradientCheckpoint() {}

  /** A part of a network: from inputs to one output. */
  @FunctionalInterface
  public interface Segment {
    /** Computes the output. */
    Tensor forward(Tensor... inputs);
  }

  /**
   * Applies a segment so that only its inputs are saved.
   *
   * @param segment must compute the same at every call; parameters it uses that are not among the
   *     inputs get their gradients too
   * @param inputs the inputs; at least one must require a gradient for gradients to flow
   */
  public static Tensor apply(Segment segment, Tensor... inputs) {
    return new Recompute(segment).apply(inputs);
  }

  private static final class Recompute extends Function {
    private final Segment segment;
    private final Precision precision = Precision.current();
    private Generator generator = Generator.current();
    private long offset;

    Recompute(Segment segment) {
      super("checkpoint");
      this.segment = segment;
    }

    @Override
    protected Tensor[] forward(Tensor... in) {
      generator = Generator.current();
      offset = generator.offset();
      save(in);
      try (Precision.Guard policy = precision.use()) {
        return new Tensor[] {segment.forward(in)};
      }
    }

    @Override
    protected @Nullable Tensor[] backward(@Nullable Tensor... grads) {
      if (GradMode.isEnabled()) {
        throw new IllegalStateException(
            "[checkpoint] cannot be differentiated twice: call the segment directly for createGraph");
      }
      Tensor g = grads[0];
      @Nullable Tensor[] result = new Tensor[inputCount()];
      if (g == null) {
        return result;
      }
      Tensor[] leaves = new Tensor[result.length];
      for (int i = 0; i < leaves.length; i++) {
        leaves[i] = saved(i).detach();
        if (needsGrad(i)) {
          leaves[i].requiresGrad(true);
        }
      }
      Generator now = Generator.current();
      Generator.set(generator.again(offset));
      try (GradMode.Guard mode = GradMode.enableGrad();
          Precision.Guard policy = precision.use()) {
        Tensor output = segment.forward(leaves);
        Autograd.backward(new Tensor[] {output}, new Tensor[] {g}, false, false);
      } finally {
        Generator.set(now);
      }
      for (int i = 0; i < leaves.length; i++) {
        Tensor gradient = leaves[i].grad();
        if (gradient != null) {
          // The leaf's handle belongs to no scope: nobody else would close it.
          result[i] = gradient.alias();
          gradient.close();
        }
      }
      return result;
    }
  }
}
