package io.gradus.benchmarks.peers.tf;

import io.gradus.benchmarks.engines.Workload;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.tensorflow.Operand;
import org.tensorflow.ndarray.Shape;
import org.tensorflow.op.Op;
import org.tensorflow.op.Ops;
import org.tensorflow.types.TFloat32;

/** TensorFlow's Adam after a decay of the weights. */
final class TfAdamW {
  private final Map<String, TfVariable> weights;
  private final Map<String, TfVariable> first = new LinkedHashMap<>();
  private final Map<String, TfVariable> second = new LinkedHashMap<>();
  private final TfVariable power1;
  private final TfVariable power2;

  /**
   * An optimizer.
   *
   * @param resets receives what gives its own variables their first values
   */
  TfAdamW(Ops tf, Map<String, TfVariable> weights, List<Op> resets) {
    this.weights = weights;
    power1 = new TfVariable(tf, "adam/power1", Shape.scalar());
    power2 = new TfVariable(tf, "adam/power2", Shape.scalar());
    resets.add(power1.assign(tf, tf.constant((float) Workload.BETA1)));
    resets.add(power2.assign(tf, tf.constant((float) Workload.BETA2)));
    weights.forEach(
        (name, weight) -> {
          first.put(name, zeros(tf, "adam/first/" + name, weight, resets));
          second.put(name, zeros(tf, "adam/second/" + name, weight, resets));
        });
  }

  private static TfVariable zeros(Ops tf, String name, TfVariable like, List<Op> resets) {
    TfVariable variable = new TfVariable(tf, name, like.shape());
    resets.add(variable.assign(tf, tf.zeros(tf.constant(like.shape().asArray()), TFloat32.class)));
    return variable;
  }

  /** The operations of one update. */
  List<Op> update(
      Ops tf, Map<String, Operand<TFloat32>> values, Map<String, Operand<TFloat32>> gradients) {
    Operand<TFloat32> rate = tf.constant((float) Workload.LR);
    Operand<TFloat32> beta1 = tf.constant((float) Workload.BETA1);
    Operand<TFloat32> beta2 = tf.constant((float) Workload.BETA2);
    Operand<TFloat32> eps = tf.constant((float) Workload.EPS);
    Operand<TFloat32> decay = tf.constant((float) (Workload.LR * Workload.WEIGHT_DECAY));
    Operand<TFloat32> now1 = power1.read(tf);
    Operand<TFloat32> now2 = power2.read(tf);
    List<Op> updates = new ArrayList<>();
    gradients.forEach(
        (name, gradient) -> {
          TfVariable weight = known(weights, name);
          Op decayed =
              tf.assignSubVariableOp(weight.handle(), tf.math.mul(known(values, name), decay));
          updates.add(
              tf.withControlDependencies(decayed)
                  .train
                  .resourceApplyAdam(
                      weight.handle(),
                      known(first, name).handle(),
                      known(second, name).handle(),
                      now1,
                      now2,
                      rate,
                      beta1,
                      beta2,
                      eps,
                      gradient));
        });
    Ops after = tf.withControlDependencies(updates);
    updates.add(power1.assign(after, tf.math.mul(now1, beta1)));
    updates.add(power2.assign(after, tf.math.mul(now2, beta2)));
    return updates;
  }

  private static <T> T known(Map<String, T> map, String name) {
    T value = map.get(name);
    if (value == null) {
      throw new IllegalStateException("no weight is named " + name);
    }
    return value;
  }
}
