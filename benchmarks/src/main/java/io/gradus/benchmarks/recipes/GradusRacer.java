package io.gradus.benchmarks.recipes;

import io.gradus.core.Device;
import io.gradus.data.TrainTest;
import io.gradus.tensor.Precision;
import io.gradus.tensor.Scope;
import io.gradus.train.CifarFast;
import io.gradus.train.EpochResult;
import io.gradus.train.History;
import java.io.IOException;
import java.util.List;

/** Gradus, in this process. */
final class GradusRacer implements Racer {
  private final TrainTest data;
  private final Device device;
  private final CifarFast.Options options;

  GradusRacer(TrainTest data, Device device, RecipeSizes sizes, Precision precision) {
    this.data = data;
    this.device = device;
    this.options =
        CifarFast.Options.DEFAULT
            .withEpochs(sizes.epochs())
            .withBatch(sizes.batch())
            .withWidths(sizes.widths())
            .withPrecision(precision);
  }

  @Override
  public String name() {
    return "gradus";
  }

  @Override
  public Outcome train(int seed) throws IOException {
    try (Scope s = Scope.open()) {
      CifarFast recipe = new CifarFast(data, device, options.withSeed(seed));
      History history = recipe.fit(List.of());
      long perEpoch = data.train().size() / options.batch();
      long left = recipe.steps();
      double seconds = 0;
      for (EpochResult epoch : history.epochs()) {
        long steps = Math.min(perEpoch, left);
        seconds += steps * options.batch() / epoch.imagesPerSecond();
        left -= steps;
      }
      return new Outcome(seconds, history.last().testAccuracy());
    }
  }

  @Override
  public void close() {}
}
