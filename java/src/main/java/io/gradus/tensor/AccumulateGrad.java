package io.gradus.tensor;

import org.jspecify.annotations.Nullable;

/** The end of every path of the graph: adds the gradient to a leaf's {@code grad}. */
final class AccumulateGrad extends Function {
  final AutogradMeta leaf;

  AccumulateGrad(AutogradMeta leaf) {
    super("accumulate");
    this.leaf = leaf;
  }

  /** Leaves come after every recorded function. */
  @Override
  long sequence() {
    return Long.MIN_VALUE;
  }

  @Override
  protected Tensor[] forward(Tensor... inputs) {
    throw new IllegalStateException("[accumulate] has no forward");
  }

  @Override
  protected @Nullable Tensor[] backward(@Nullable Tensor... gradOutputs) {
    Tensor gradient = gradOutputs[0];
    if (gradient != null) {
      leaf.accumulate(gradient, loans());
    }
    return new Tensor[0];
  }
}
