package io.gradus.nn;

import io.gradus.backend.Activation;
import io.gradus.core.Checks;
import io.gradus.tensor.Tensor;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * Modules one after the other, named 0, 1, 2, ... A module that {@link TakesEpilogue} and the
 * activation after it run as one, and so do in training a {@link Conv2d} and the batch norm after
 * it, unless the system property {@code gradus.fusion} is {@code off}; the results agree.
 *
 * <pre>{@code
 * Module model = new Sequential(
 *     new Flatten(), new Linear(784, 512), new ReLU(), new Dropout(0.5), new Linear(512, 10));
 * }</pre>
 */
public final class Sequential extends Module implements TakesEpilogue {
  private final List<Module> modules = new ArrayList<>();

  /** The modules in order; none gives the identity. */
  public Sequential(Module... modules) {
    for (Module module : modules) {
      add(module);
    }
  }

  /**
   * Appends a module.
   *
   * @return this
   */
  public Sequential add(Module module) {
    registerModule(Integer.toString(modules.size()), module);
    modules.add(module);
    return this;
  }

  /** Number of modules. */
  public int size() {
    return modules.size();
  }

  /**
   * A module by its position.
   *
   * @throws io.gradus.core.ArgumentException when there is none
   */
  public Module get(int index) {
    Checks.argument(
        0 <= index && index < modules.size(),
        "[sequential] has %d modules, no number %d",
        modules.size(),
        index);
    return modules.get(index);
  }

  @Override
  public Tensor forward(Tensor x) {
    return run(x, modules.size());
  }

  @Override
  public boolean takesEpilogue() {
    return !modules.isEmpty()
        && !hasHooks()
        && modules.get(modules.size() - 1) instanceof TakesEpilogue last
        && last.takesEpilogue();
  }

  @Override
  public Tensor forward(Tensor x, @Nullable Tensor residual, Activation activation) {
    int last = modules.size() - 1;
    if (last > 0 && get(last) instanceof BatchNorm norm && get(last - 1) instanceof Conv2d conv) {
      if (isOne(conv, norm)) {
        return conv.forward(run(x, last - 1), norm, residual, activation);
      }
    }
    return ((TakesEpilogue) get(last)).forward(run(x, last), residual, activation);
  }

  private Tensor run(Tensor x, int count) {
    boolean fusion = Fusion.isEnabled();
    Tensor y = x;
    for (int i = 0; i < count; i++) {
      Module module = modules.get(i);
      if (i + 1 < count
          && module instanceof Conv2d conv
          && modules.get(i + 1) instanceof BatchNorm norm
          && isOne(conv, norm)) {
        Activation next = i + 2 < count ? foldable(modules.get(i + 2)) : null;
        y = conv.forward(y, norm, null, next == null ? Activation.NONE : next);
        i += next == null ? 1 : 2;
        continue;
      }
      Activation next = fusion && i + 1 < count ? foldable(modules.get(i + 1)) : null;
      if (next != null && module instanceof TakesEpilogue head && head.takesEpilogue()) {
        y = head.forward(y, null, next);
        i++;
      } else {
        y = module.call(y);
      }
    }
    return y;
  }

  /** A convolution that gathers the statistics for the batch normalisation behind it. */
  private static boolean isOne(Conv2d conv, BatchNorm norm) {
    return Fusion.isEnabled() && !conv.hasHooks() && norm.followsConvolution();
  }

  private static @Nullable Activation foldable(Module module) {
    return module.hasHooks() ? null : module.epilogue();
  }
}
