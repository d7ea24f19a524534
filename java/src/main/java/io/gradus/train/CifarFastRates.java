package io.gradus.train;

import io.gradus.optim.Muon;
import io.gradus.optim.Optimizer;
import io.gradus.optim.SGD;
import io.gradus.optim.Schedule;
import io.gradus.tensor.Tensor;
import java.util.ArrayList;
import java.util.List;

/** What learns how fast in {@link CifarFast}. */
final class CifarFastRates {
  private static final double MOMENTUM = 0.85;

  /** Learning rate for 1024 samples, before the momentum is taken into account. */
  private static final double RATE = 11.5;

  private static final double WEIGHT_DECAY = 0.0153;

  /** Of ours: on 2000 images it learns at least as fast as SGD does. */
  private static final double MUON_RATE = 0.1;

  /** As in Jordan's airbench94_muon. */
  private static final double MUON_MOMENTUM = 0.6;

  private static final double BIAS_FACTOR = 64;

  private CifarFastRates() {}

  /** Rate and decay are per sample, as the loss is a sum, and for momentum in the long run. */
  static Optimizer optimizer(CifarFastNetwork network, CifarFast.Options options) {
    double kilo = 1024 * (1 + 1 / (1 - MOMENTUM));
    double rate = RATE / kilo;
    double decay = WEIGHT_DECAY * options.batch() / kilo;
    List<Tensor> biases = network.normBiases();
    List<Tensor> filters = new ArrayList<>();
    List<Tensor> others = new ArrayList<>();
    for (Tensor parameter : network.parameters()) {
      if (parameter.requiresGrad() && biases.stream().noneMatch(b -> b == parameter)) {
        (parameter.rank() == 4 ? filters : others).add(parameter);
      }
    }
    SGD.Options most = settings(rate, decay / rate);
    SGD.Options fast = settings(rate * BIAS_FACTOR, decay / (rate * BIAS_FACTOR));
    if (options.method() == CifarFast.Method.MUON) {
      Muon muon =
          new Muon(
              filters,
              Muon.Options.of(MUON_RATE)
                  .withMomentum(MUON_MOMENTUM)
                  .withPrecision(options.precision()));
      muon.addSgd(others, most);
      muon.addSgd(biases, fast);
      return muon;
    }
    others.addAll(filters);
    SGD sgd = new SGD(others, most);
    sgd.add(biases, fast);
    return sgd;
  }

  private static SGD.Options settings(double rate, double decay) {
    return SGD.Options.of(rate).withMomentum(MOMENTUM).withNesterov(true).withWeightDecay(decay);
  }

  /** From 0.2 of the rate up to all of it at 0.23 of the steps, then down to 0.07. */
  static Schedule triangle(long steps) {
    double peak = Math.floor(0.23 * steps);
    return (base, step) ->
        base
            * (step < peak
                ? 0.2 + 0.8 * step / peak
                : 1 - 0.93 * Math.min(1, (step - peak) / Math.max(1, steps - peak)));
  }
}
