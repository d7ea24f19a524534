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
import org.jspecify.annotations.Nullable;

/**
 * A moving average of parameters, which often tests better than the parameters themselves.
 *
 * <pre>{@code
 * average = decay average + (1 - decay) param
 * }</pre>
 *
 * <p>It begins as a copy of the parameters. Averages of 16-bit parameters are FLOAT32. Buffers such
 * as running means can be averaged too: name them with the parameters.
 *
 * <p>Source: Polyak, Juditsky, "Acceleration of stochastic approximation by averaging", SIAM J.
 * Control Optim. 30, 1992; with exponential weights as in Tarvainen, Valpola, "Mean teachers",
 * NeurIPS 2017.
 *
 * <pre>{@code
 * var average = new ExponentialMovingAverage(model.parameters(), 0.999);
 * optimizer.step();
 * average.update();
 * try (ExponentialMovingAverage.Guard g = average.use()) {
 *   evaluate(model);   // with the averages
 * }
 * }</pre>
 */
public final class ExponentialMovingAverage {
  private final List<Tensor> params;
  private final List<Tensor> averages = new ArrayList<>();
  private final double decay;

  /**
   * Averages that begin at the parameters' values.
   *
   * @param params floating tensors
   * @param decay weight of the past, 0 to 1
   * @throws io.gradus.core.ArgumentException when the decay is out of range
   * @throws io.gradus.core.DTypeException when a tensor is not floating
   */
  public ExponentialMovingAverage(List<Tensor> params, double decay) {
    Checks.argument(0 <= decay && decay <= 1, "[ema] decay %s must be in [0, 1]", decay);
    this.params = List.copyOf(params);
    this.decay = decay;
    try (Scope s = Scope.open();
        GradMode.Guard g = GradMode.noGrad()) {
      for (Tensor param : params) {
        Checks.dtype(
            param.dtype().isFloating(), "[ema] a tensor is %s: not floating", param.dtype());
        DType dtype = param.dtype().isHalf() ? DType.FLOAT32 : param.dtype();
        Tensor average = Tensor.empty(param.device(), dtype, param.shape());
        averages.add(Scope.escape(average.copyFrom(param)));
      }
    }
  }

  /** Takes the parameters in as they are. */
  public void update() {
    take(null);
  }

  /**
   * As {@link #update()}, where the scaler does not leave the step out: then the averages stay as
   * they are, too. Between {@link LossScaler#step} and {@link LossScaler#update}.
   */
  public void update(LossScaler scaler) {
    take(scaler.foundInf());
  }

  private void take(@Nullable Tensor foundInf) {
    try (Scope s = Scope.open();
        GradMode.Guard g = GradMode.noGrad()) {
      Tensor skip = foundInf == null ? null : foundInf.ne(0);
      for (int i = 0; i < averages.size(); i++) {
        Tensor average = averages.get(i);
        Tensor fresh = params.get(i).detach().to(average.dtype()).mul(1 - decay);
        if (skip == null) {
          average.mulInPlace(decay).addInPlace(fresh);
        } else {
          average.copyFrom(Tensor.where(skip, average, average.mul(decay).add(fresh)));
        }
      }
    }
  }

  /** The averages, in the order of the parameters. */
  public List<Tensor> averages() {
    return List.copyOf(averages);
  }

  /** Puts the parameters back. */
  public interface Guard extends AutoCloseable {
    @Override
    void close();
  }

  /** Gives the parameters the values of the averages for good. */
  public void apply() {
    try (Scope s = Scope.open();
        GradMode.Guard g = GradMode.noGrad()) {
      for (int i = 0; i < averages.size(); i++) {
        params.get(i).copyFrom(averages.get(i));
      }
    }
  }

  /** Gives the parameters the values of the averages until the guard is closed. */
  public Guard use() {
    List<Tensor> before = new ArrayList<>();
    try (Scope s = Scope.open()) {
      for (Tensor param : params) {
        before.add(Scope.escape(param.detach().copy()));
      }
    }
    apply();
    return () -> {
      try (Scope s = Scope.open();
          GradMode.Guard g = GradMode.noGrad()) {
        for (int i = 0; i < before.size(); i++) {
          params.get(i).copyFrom(before.get(i));
          before.get(i).close();
        }
      }
      before.clear();
    };
  }

  /** The averages by number, such as {@code average0}; they share memory with this. */
  public Map<String, Tensor> stateDict() {
    Map<String, Tensor> out = new LinkedHashMap<>();
    for (int i = 0; i < averages.size(); i++) {
      out.put("average" + i, averages.get(i).detach());
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
    States.check("ema", own, state);
    try (Scope s = Scope.open();
        GradMode.Guard g = GradMode.noGrad()) {
      own.forEach((name, target) -> target.copyFrom(States.get("ema", state, name)));
    }
  }

  /** The decay and the number of parameters. */
  @Override
  public String toString() {
    return "ExponentialMovingAverage(params=" + params.size() + ", decay=" + decay + ")";
  }
}
