package io.gradus.nn;

import io.gradus.backend.Activation;
import io.gradus.core.Checks;
import io.gradus.tensor.Convolved;
import io.gradus.tensor.Tensor;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * Modules one after the other, named 0, 1, 2, ... A module that {@link TakesEpilogue} and the
 * activation after it run as one, and so do in training a {@link Conv2d} and the batch norm after
 * it, and a batch norm, {@link ReLU} and the convolution after them, unless the system property
 * {@code gradus.fusion} is {@code off}; the results agree.
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
    return run(x, modules.size()).image();
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
    try (Convolved y = run(x, last)) {
      return get(last) instanceof BatchNorm norm
          ? norm.forward(y, residual, activation)
          : ((TakesEpilogue) get(last)).forward(y.image(), residual, activation);
    }
  }

  /** The first modules; with statistics where a convolution is the last, for the norm behind it. */
  private Convolved run(Tensor x, int count) {
    Convolved y = Convolved.of(x);
    for (int i = 0; i < count; ) {
      try (Convolved before = y) {
        Conv2d next = normalised(i, count);
        if (next != null) {
          y = next.forward(before, (BatchNorm) get(i), gathers(i + 2));
          i += 3;
        } else if (gathers(i)) {
          y = ((Conv2d) get(i)).gather(before.image());
          i++;
        } else {
          Activation activation = Fusion.isEnabled() ? foldable(i + 1, count) : null;
          boolean folds =
              activation != null && get(i) instanceof TakesEpilogue head && head.takesEpilogue();
          y = Convolved.of(step(i, before, folds ? activation : null));
          i += folds ? 2 : 1;
        }
      }
    }
    return y;
  }

  /** A module, with the activation behind it where that is not null. */
  private Tensor step(int i, Convolved x, @Nullable Activation activation) {
    Module module = get(i);
    if (module instanceof BatchNorm norm && joins(norm)) {
      return norm.forward(x, null, activation == null ? Activation.NONE : activation);
    }
    return activation == null
        ? module.call(x.image())
        : ((TakesEpilogue) module).forward(x.image(), null, activation);
  }

  /** The convolution that a batch normalisation and RELU stand before, one operation with them. */
  private @Nullable Conv2d normalised(int i, int count) {
    return i + 2 < count
            && get(i) instanceof BatchNorm norm
            && joins(norm)
            && foldable(i + 1, count) == Activation.RELU
            && get(i + 2) instanceof Conv2d conv
            && !conv.hasHooks()
        ? conv
        : null;
  }

  /** A convolution that gathers the statistics for the batch normalisation behind it. */
  private boolean gathers(int i) {
    return i + 1 < modules.size()
        && get(i) instanceof Conv2d conv
        && get(i + 1) instanceof BatchNorm norm
        && !conv.hasHooks()
        && joins(norm);
  }

  private static boolean joins(BatchNorm norm) {
    return Fusion.isEnabled() && norm.joinsConvolution();
  }

  private @Nullable Activation foldable(int i, int count) {
    return i >= count || get(i).hasHooks() ? null : get(i).epilogue();
  }
}
