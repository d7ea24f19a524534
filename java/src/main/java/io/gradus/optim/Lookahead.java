package io.gradus.optim;

import io.gradus.core.Checks;
import io.gradus.core.DType;
import io.gradus.tensor.GradMode;
import io.gradus.tensor.Scope;
import io.gradus.tensor.Tensor;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * Slow weights that follow the weights of an optimizer, and from which it goes on every few steps.
 *
 * <pre>{@code
 * slow = decay slow + (1 - decay) weight;   weight = slow
 * }</pre>
 *
 * <p>Source: Zhang, Lucas, Hinton, Ba, "Lookahead optimizer: k steps forward, 1 step back", NeurIPS
 * 2019, with alpha = 1 - decay.
 *
 * <pre>{@code
 * var lookahead = new Lookahead(model.parameters());
 * if (step % 5 == 0) {
 *   lookahead.update(0.5);
 * }
 * }</pre>
 */
public final class Lookahead {
  private final List<Tensor> weights;
  private final List<Tensor> slow = new ArrayList<>();

  /**
   * Slow weights that begin at the weights.
   *
   * @param weights floating tensors: parameters, and buffers such as running means
   * @throws io.gradus.core.DTypeException when a tensor is not floating
   */
  public Lookahead(List<Tensor> weights) {
    this.weights = List.copyOf(weights);
    try (Scope s = Scope.open();
        GradMode.Guard g = GradMode.noGrad()) {
      for (Tensor weight : weights) {
        DType dtype = weight.dtype();
        Checks.dtype(dtype.isFloating(), "[lookahead] a tensor is %s: not floating", dtype);
        slow.add(
            Scope.escape(Tensor.empty(weight.device(), dtype, weight.shape()).copyFrom(weight)));
      }
    }
  }

  /**
   * Moves the slow weights and sets the weights to them.
   *
   * @param decay weight of the past, 0 to 1
   * @throws io.gradus.core.ArgumentException when the decay is out of range
   */
  public void update(double decay) {
    Checks.argument(0 <= decay && decay <= 1, "[lookahead] decay %s must be in [0, 1]", decay);
    try (Scope s = Scope.open();
        GradMode.Guard g = GradMode.noGrad()) {
      for (int i = 0; i < slow.size(); i++) {
        Tensor weight = weights.get(i);
        slow.get(i).mulInPlace(decay).addInPlace(weight.detach().mul(1 - decay));
        weight.copyFrom(slow.get(i));
      }
    }
  }

  /** The slow weights by number, such as {@code slow0}; they share memory with this. */
  public Map<String, Tensor> stateDict() {
    Map<String, Tensor> out = new LinkedHashMap<>();
    for (int i = 0; i < slow.size(); i++) {
      out.put("slow" + i, slow.get(i).detach());
    }
    return out;
  }

  /**
   * Restores what {@link #stateDict()} gave, bit for bit. Nothing is changed when it fails.
   *
   * @throws io.gradus.core.ArgumentException when names are missing or unexpected
   * @throws io.gradus.core.ShapeException when a tensor has another shape
   * @throws io.gradus.core.DTypeException when a tensor has another type
   */
  public void loadStateDict(Map<String, Tensor> state) {
    Map<String, Tensor> own = stateDict();
    States.check("lookahead", own, state);
    try (Scope s = Scope.open();
        GradMode.Guard g = GradMode.noGrad()) {
      own.forEach((name, target) -> target.copyFrom(States.get("lookahead", state, name)));
    }
  }
}
