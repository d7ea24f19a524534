package io.gradus.train;

import io.gradus.core.Checks;
import io.gradus.io.CheckpointData;
import io.gradus.nn.Module;
import io.gradus.tensor.GradMode;
import io.gradus.tensor.Scope;
import io.gradus.tensor.Tensor;
import java.util.LinkedHashMap;
import java.util.Map;

/**
 * Stops training when the loss on the test set has not improved for some epochs, and gives the
 * model back its best weights.
 *
 * <p>Source: Prechelt, "Early stopping - but when?", 1998.
 */
public final class EarlyStopping {
  private static final String GROUP = "best";

  private final int patience;
  private final double minDelta;
  private double best = Double.POSITIVE_INFINITY;
  private int bestEpoch;
  private int badEpochs;
  private final Map<String, Tensor> bestState = new LinkedHashMap<>();

  /**
   * A rule at its start.
   *
   * @param patience epochs without improvement after which training stops, at least 1
   * @param minDelta by how much the loss must fall to count as an improvement, at least 0
   */
  public EarlyStopping(int patience, double minDelta) {
    Checks.argument(patience >= 1, "[earlyStopping] patience %d must be at least 1", patience);
    Checks.argument(minDelta >= 0, "[earlyStopping] minDelta %s must not be negative", minDelta);
    this.patience = patience;
    this.minDelta = minDelta;
  }

  /** The epoch of the lowest loss so far, from 1; 0 before the first. */
  public int bestEpoch() {
    return bestEpoch;
  }

  /** Notes an epoch's loss; returns whether training should stop. A NaN is no improvement. */
  boolean update(int epoch, double loss, Module model) {
    if (loss < best - minDelta) {
      best = loss;
      bestEpoch = epoch;
      badEpochs = 0;
      remember(model.stateDict());
    } else {
      badEpochs++;
    }
    return shouldStop();
  }

  boolean shouldStop() {
    return badEpochs >= patience;
  }

  private void remember(Map<String, Tensor> state) {
    try (GradMode.Guard g = GradMode.noGrad()) {
      state.forEach(
          (name, tensor) -> {
            Tensor kept = bestState.get(name);
            if (kept == null) {
              bestState.put(name, Scope.escape(tensor.detach().copy()));
            } else {
              kept.copyFrom(tensor.detach());
            }
          });
    }
  }

  void restoreBest(Module model) {
    if (!bestState.isEmpty()) {
      model.loadStateDict(bestState);
    }
  }

  void save(CheckpointData data) {
    data.putDouble("early.best", best)
        .putLong("early.bestEpoch", bestEpoch)
        .putLong("early.badEpochs", badEpochs)
        .putGroup(GROUP, bestState);
  }

  void load(CheckpointData data) {
    best = data.getDouble("early.best");
    bestEpoch = (int) data.getLong("early.bestEpoch");
    badEpochs = (int) data.getLong("early.badEpochs");
    Map<String, Tensor> group = data.groups().get(GROUP);
    if (group != null) {
      remember(group);
    }
  }
}
