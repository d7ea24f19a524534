package io.gradus.tensor;

/** What a loss makes of the losses of the elements. */
public enum Reduction {
  /** Their mean; NaN of nothing. */
  MEAN,
  /** Their sum. */
  SUM,
  /** Themselves. */
  NONE;

  /** Applies it. */
  Tensor of(Tensor losses) {
    return switch (this) {
      case MEAN -> losses.mean();
      case SUM -> losses.sum();
      case NONE -> losses;
    };
  }
}
