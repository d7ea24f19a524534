package io.gradus.optim;

import io.gradus.backend.Profiler;
import io.gradus.core.Checks;
import io.gradus.core.DType;
import io.gradus.core.Device;
import io.gradus.core.Shape;
import io.gradus.tensor.GradMode;
import io.gradus.tensor.Scope;
import io.gradus.tensor.Tensor;
import io.gradus.tensor.Updates;
import java.util.Collections;
import java.util.IdentityHashMap;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Set;

/**
 * Multiplies the loss so that small gradients do not vanish in 16 bits, and finds the factor by
 * itself: it grows after a number of steps without overflow, and shrinks after a step with one,
 * which is left out. The factor lives on the device.
 *
 * <pre>{@code
 * LossScaler scaler = new LossScaler(device);
 * try (Precision.Guard g = Precision.FP16.use()) {
 *   loss = Loss.crossEntropy(model.call(x), y);
 * }
 * optimizer.zeroGrad();
 * scaler.scale(loss).backward();
 * scaler.step(optimizer);
 * scaler.update();
 * }</pre>
 *
 * <p>To clip, call {@link #unscale} between backward and clipping. With several optimizers call it
 * for all of them before the first step: then a gradient that is not finite stops them all.
 *
 * <p>Source: Micikevicius et al., "Mixed precision training", ICLR 2018; the procedure is PyTorch's
 * GradScaler.
 */
public final class LossScaler {
  /**
   * Settings.
   *
   * @param initial first factor of the loss
   * @param growth factor of the scale after interval steps without overflow, above 1
   * @param backoff factor of the scale after an overflow, between 0 and 1
   * @param interval steps without overflow after which the scale grows
   */
  public record Options(double initial, double growth, double backoff, int interval) {
    /** PyTorch's: 65536, 2, 0.5 and 2000. Powers of 2 do not round. */
    public static final Options DEFAULT = new Options(65536, 2, 0.5, 2000);

    /** Checks the ranges. */
    public Options {
      Checks.argument(
          initial > 0 && initial <= Float.MAX_VALUE,
          "[lossScaler] the initial scale %s must be positive and finite",
          initial);
      Checks.argument(
          growth > 1 && growth <= Float.MAX_VALUE,
          "[lossScaler] growth %s must be above 1 and finite",
          growth);
      Checks.argument(
          backoff > 0 && backoff < 1, "[lossScaler] backoff %s must be between 0 and 1", backoff);
      Checks.argument(interval >= 1, "[lossScaler] interval %d must be at least 1", interval);
    }

    /** These settings with another initial scale. */
    public Options withInitial(double value) {
      return new Options(value, growth, backoff, interval);
    }

    /** These settings with another interval. */
    public Options withInterval(int value) {
      return new Options(initial, growth, backoff, value);
    }
  }

  private final Options options;
  private final Tensor scale;
  private final Tensor inverse;
  private final Tensor growthTracker;
  private final Tensor foundInf;
  private final Set<Optimizer> unscaled = Collections.newSetFromMap(new IdentityHashMap<>());

  /** With {@link Options#DEFAULT}, for losses and parameters on a device. */
  public LossScaler(Device device) {
    this(device, Options.DEFAULT);
  }

  /** For losses and parameters on a device. */
  public LossScaler(Device device, Options options) {
    this.options = options;
    try (Scope s = Scope.open()) {
      scale =
          Scope.escape(Tensor.full(device, DType.FLOAT32, Shape.SCALAR, (float) options.initial));
      inverse = Scope.escape(Tensor.empty(device, DType.FLOAT32, Shape.SCALAR));
      inverse.copyFrom(scale.reciprocal());
      growthTracker = Scope.escape(Tensor.zeros(device, DType.INT32, Shape.SCALAR));
      foundInf = Scope.escape(Tensor.zeros(device, DType.INT32, Shape.SCALAR));
    }
  }

  /**
   * The loss times the scale: what to call backward on.
   *
   * @throws io.gradus.core.DeviceException when the loss is on another device
   */
  public Tensor scale(Tensor loss) {
    return loss.mul(scale);
  }

  /**
   * Takes the scale out of an optimizer's gradients, once in a step; {@link #step} does where this
   * was not called.
   *
   * @throws IllegalStateException when it was called in this step already
   */
  public void unscale(Optimizer optimizer) {
    Checks.state(
        unscaled.add(optimizer),
        "[lossScaler] the gradients have no scale any more: call unscale once, then step and"
            + " update");
    optimizer.unscale(inverse, foundInf);
  }

  /**
   * Lets the optimizer step, unless a gradient is infinite or NaN: then nothing changes, neither
   * parameters nor states nor the number of steps. The device decides; nothing waits for it.
   */
  public void step(Optimizer optimizer) {
    if (!unscaled.contains(optimizer)) {
      unscale(optimizer);
    }
    optimizer.stepUnless(foundInf);
  }

  /**
   * Whether a gradient of this step is infinite or NaN, which leaves the step out: between {@link
   * #step} or {@link #unscale} and {@link #update}. Waits for the device.
   */
  public boolean overflowed() {
    return foundInf.item() != 0;
  }

  /** INT32 [], not 0 where the step is left out. */
  Tensor foundInf() {
    return foundInf;
  }

  /** Changes the scale by what the step found; call it once after the last {@link #step}. */
  public void update() {
    unscaled.clear();
    try (Profiler.Span phase = Profiler.phase(Profiler.Phase.OPTIMIZER)) {
      Updates.lossScaleUpdate(
          scale,
          inverse,
          growthTracker,
          foundInf,
          options.growth,
          options.backoff,
          options.interval);
    }
  }

  /** The scale; waits for the device. */
  public double scale() {
    return scale.item();
  }

  /**
   * What a resumed run needs, taken between {@link #update} and the next step. The tensors share
   * memory with the scaler.
   */
  public Map<String, Tensor> stateDict() {
    Map<String, Tensor> out = new LinkedHashMap<>();
    out.put("scale", scale.detach());
    out.put("growth_tracker", growthTracker.detach());
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
    try (Scope s = Scope.open();
        GradMode.Guard g = GradMode.noGrad()) {
      States.check("lossScaler", stateDict(), state);
      scale.copyFrom(States.get("lossScaler", state, "scale"));
      growthTracker.copyFrom(States.get("lossScaler", state, "growth_tracker"));
      inverse.copyFrom(scale.reciprocal());
      foundInf.fill(0);
      unscaled.clear();
    }
  }

  /** The settings; says nothing of the scale, which is on the device. */
  @Override
  public String toString() {
    return "LossScaler" + options;
  }
}
