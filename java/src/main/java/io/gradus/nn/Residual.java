package io.gradus.nn;

import io.gradus.backend.Activation;
import io.gradus.tensor.Tensor;
import org.jspecify.annotations.Nullable;

/**
 * A residual block: y = activation(main(x) + shortcut(x)). Where the main path ends in a module
 * that {@link TakesEpilogue}, such as batch norm, sum and activation run in that module's pass,
 * unless the system property {@code gradus.fusion} is {@code off}.
 *
 * <p>Shapes: main and shortcut must give the same. Source: He, Zhang, Ren, Sun, "Deep residual
 * learning for image recognition", CVPR 2016.
 *
 * <pre>{@code
 * Module block = new Residual(
 *     new Sequential(
 *         new Conv2d(16, 16, 3, Conv2dOptions.of(1, 1)), new BatchNorm2d(16), new ReLU(),
 *         new Conv2d(16, 16, 3, Conv2dOptions.of(1, 1)), new BatchNorm2d(16)),
 *     new Identity(),
 *     new ReLU());
 * }</pre>
 */
public final class Residual extends Module {
  private final Module main;
  private final Module shortcut;
  private final Module activation;

  /** With the identity as shortcut and no activation after the sum. */
  public Residual(Module main) {
    this(main, new Identity(), new Identity());
  }

  /** A block of a main path, a shortcut and what follows the sum. */
  public Residual(Module main, Module shortcut, Module activation) {
    this.main = registerModule("main", main);
    this.shortcut = registerModule("shortcut", shortcut);
    this.activation = registerModule("activation", activation);
  }

  @Override
  public Tensor forward(Tensor x) {
    Tensor side = shortcut.call(x);
    Activation last = epilogueOf(activation);
    if (Fusion.isEnabled()
        && last != null
        && !main.hasHooks()
        && main instanceof TakesEpilogue head
        && head.takesEpilogue()) {
      return head.forward(x, side, last);
    }
    return activation.call(main.call(x).add(side));
  }

  private static @Nullable Activation epilogueOf(Module module) {
    if (module.hasHooks()) {
      return null;
    }
    return module instanceof Identity ? Activation.NONE : module.epilogue();
  }
}
