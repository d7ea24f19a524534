package io.gradus.tensor;

import io.gradus.core.ArgumentException;
import io.gradus.core.Checks;
import io.gradus.core.DType;
import io.gradus.core.Shape;
import java.util.Arrays;
import org.jspecify.annotations.Nullable;

/** Losses. Where no reduction is given it is the mean. */
public final class Loss {
  /** So many labels are read into the same array in every step. */
  private static final int LABELS_KEPT = 1 << 14;

  private static final ThreadLocal<long[]> LABELS = ThreadLocal.withInitial(() -> new long[0]);

  private Loss() {}

  /**
   * Cross-entropy with the default options; see {@link #crossEntropy(Tensor, Tensor,
   * CrossEntropyOptions)}.
   *
   * @param logits [.., classes]
   * @param target labels [..], or probabilities [.., classes]
   * @return the mean loss
   * @throws io.gradus.core.ShapeException when shapes do not fit
   * @throws io.gradus.core.ArgumentException when a label is out of range
   */
  public static Tensor crossEntropy(Tensor logits, Tensor target) {
    return crossEntropy(logits, target, CrossEntropyOptions.defaults());
  }

  /**
   * Cross-entropy of the softmax of logits and a target: labels or probabilities.
   *
   * <p>With class weights w (else 1), smoothing s and {@code logp = logSoftmax(logits)}, the loss
   * of a row with label t, or with probabilities p, is
   *
   * <pre>{@code
   * -(1 - s) w[t] logp[t] - s / classes sum over c of w[c] logp[c]      and 0 for an ignored label
   * -sum over c of w[c] ((1 - s) p[c] + s / classes) logp[c]
   * }</pre>
   *
   * <p>The mean of labels is {@code sum(losses) / sum(w[t])} over the rows that are not ignored
   * (NaN when all are), the mean of probabilities is {@code sum(losses) / rows}, as in PyTorch. The
   * class axis is the last. Losses of 16-bit logits are float32.
   *
   * <p>Shapes: {@code logits: [.., C]; target: [..] or [.., C]; weight: [C] -> [] or, with NONE,
   * [..]}
   *
   * <p>Source: Szegedy et al., "Rethinking the Inception architecture for computer vision", CVPR
   * 2016 (label smoothing).
   *
   * <pre>{@code
   * CrossEntropyOptions options = CrossEntropyOptions.defaults().labelSmoothing(0.1);
   * Tensor loss = Loss.crossEntropy(logits, labels, options);
   * }</pre>
   *
   * @param logits floating
   * @param target integer labels, or floating probabilities
   * @param options weights, smoothing, ignored label, reduction
   * @return the loss
   * @throws io.gradus.core.ShapeException when shapes do not fit
   * @throws io.gradus.core.DTypeException when logits are not floating
   * @throws io.gradus.core.ArgumentException when a label is out of range
   */
  public static Tensor crossEntropy(Tensor logits, Tensor target, CrossEntropyOptions options) {
    checkScores("crossEntropy", "logits", logits, target);
    try (Scope s = Scope.open()) {
      Tensor weight = classWeight("crossEntropy", logits, options);
      if (target.dtype().isFloating()) {
        return s.keep(probabilities(logits, target, weight, options));
      }
      Tensor labels = labels("crossEntropy", logits, target, options);
      Tensor[] result =
          new CrossEntropyFunction(labels, weight, options.labelSmoothing(), options.ignoreIndex())
              .applyAll(logits);
      return s.keep(reduce(result[0], result[1].detach(), options.reduction()));
    }
  }

  private static Tensor probabilities(
      Tensor logits, Tensor target, @Nullable Tensor weight, CrossEntropyOptions options) {
    Checks.shape(
        target.shape().equals(logits.shape()),
        "[crossEntropy] probabilities %s must have the shape of the logits %s: labels are integers",
        target.shape(),
        logits.shape());
    double smoothing = options.labelSmoothing();
    DType dtype = Norm.statistics(logits);
    Tensor q = target.to(dtype);
    if (smoothing != 0) {
      q = q.mul(1 - smoothing).add(smoothing / logits.size(-1));
    }
    if (weight != null) {
      q = q.mul(weight.to(dtype));
    }
    Tensor losses = Softmax.logSoftmax(logits.to(dtype), -1).mul(q).sum(-1).neg();
    return options.reduction().of(losses);
  }

  private static Tensor reduce(Tensor losses, Tensor rowWeight, Reduction reduction) {
    return reduction == Reduction.MEAN ? losses.sum().div(rowWeight.sum()) : reduction.of(losses);
  }

  /**
   * Negative log-likelihood with the default options; see {@link #nll(Tensor, Tensor,
   * CrossEntropyOptions)}.
   *
   * @param logProbabilities [.., classes]
   * @param target labels [..]
   * @return the mean loss
   * @throws io.gradus.core.ShapeException when shapes do not fit
   * @throws io.gradus.core.ArgumentException when a label is out of range
   */
  public static Tensor nll(Tensor logProbabilities, Tensor target) {
    return nll(logProbabilities, target, CrossEntropyOptions.defaults());
  }

  /**
   * Negative log-likelihood of labels under log-probabilities, such as {@link Softmax#logSoftmax}
   * gives.
   *
   * <p>{@code loss = -w[t] logProbabilities[t]}, 0 for an ignored label; the mean is {@code
   * sum(losses) / sum(w[t])} over the rows that are not ignored.
   *
   * <p>Shapes: {@code logProbabilities: [.., C]; target: [..]; weight: [C] -> [] or, with NONE,
   * [..]}
   *
   * <p>Source: PyTorch, {@code torch.nn.NLLLoss}.
   *
   * <pre>{@code
   * Tensor loss = Loss.nll(Softmax.logSoftmax(logits, -1), labels);
   * }</pre>
   *
   * @param logProbabilities floating
   * @param target integer labels
   * @param options weights, ignored label, reduction; no smoothing
   * @return the loss
   * @throws io.gradus.core.ShapeException when shapes do not fit
   * @throws io.gradus.core.DTypeException when the target is not integer
   * @throws io.gradus.core.ArgumentException when a label is out of range or smoothing is asked for
   */
  public static Tensor nll(Tensor logProbabilities, Tensor target, CrossEntropyOptions options) {
    checkScores("nll", "logProbabilities", logProbabilities, target);
    Checks.argument(
        options.labelSmoothing() == 0,
        "[nll] label smoothing %s is not defined here: use crossEntropy on the logits",
        options.labelSmoothing());
    try (Scope s = Scope.open()) {
      Tensor scores = Precision.wide(logProbabilities);
      Tensor weight = classWeight("nll", scores, options);
      Tensor labels = labels("nll", scores, target, options);
      Tensor skipped = labels.eq((double) options.ignoreIndex());
      Tensor safe = labels.maskedFill(skipped, 0);
      Tensor picked = scores.gather(-1, safe.unsqueeze(-1)).squeeze(-1);
      DType dtype = scores.dtype();
      Tensor rowWeight = Tensor.full(labels.backend(), dtype, labels.shape(), 1);
      if (weight != null) {
        rowWeight =
            weight.to(dtype).indexSelect(0, safe.reshape(-1)).reshape(labels.shape().dims());
      }
      rowWeight = rowWeight.maskedFill(skipped, 0);
      Tensor losses = picked.mul(rowWeight).neg().maskedFill(skipped, 0);
      return s.keep(reduce(losses, rowWeight, options.reduction()));
    }
  }

  private static void checkScores(String op, String name, Tensor scores, Tensor target) {
    scores.sameDevice(op, target);
    Checks.dtype(
        scores.dtype().isFloating(),
        "[%s] %s are %s: convert with to(DType.FLOAT32)",
        op,
        name,
        scores.dtype());
    Checks.shape(
        scores.rank() >= 1 && scores.size(-1) > 0,
        "[%s] %s %s have no classes: the last axis counts them",
        op,
        name,
        scores.shape());
  }

  private static @Nullable Tensor classWeight(
      String op, Tensor scores, CrossEntropyOptions options) {
    Tensor weight = options.weight();
    if (weight == null) {
      return null;
    }
    scores.sameDevice(op, weight);
    Checks.shape(
        weight.rank() == 1 && weight.size(0) == scores.size(-1),
        "[%s] the class weights %s must be a vector of the %d classes",
        op,
        weight.shape(),
        scores.size(-1));
    return weight.detach().to(Norm.statistics(scores)).contiguous();
  }

  /** INT64 and dense; every label is a class or ignored. */
  private static Tensor labels(
      String op, Tensor scores, Tensor target, CrossEntropyOptions options) {
    Checks.dtype(
        !target.dtype().isFloating() && target.dtype() != DType.BOOL,
        "[%s] labels must be integers, not %s: convert with to(DType.INT64)",
        op,
        target.dtype());
    Shape rows = scores.shape().without(-1);
    Checks.shape(
        target.shape().equals(rows),
        "[%s] labels %s do not fit scores %s: they must have shape %s, the class axis is the last",
        op,
        target.shape(),
        scores.shape(),
        rows);
    Tensor labels = target.detach().to(DType.INT64).contiguous();
    long classes = scores.size(-1);
    Capture capture = Capture.of(labels.backend());
    if (capture != null) {
      return capture.inRange(op, labels, classes, options.ignoreIndex());
    }
    long count = labels.numel();
    long[] values = LABELS.get();
    if (values.length < count) {
      values = (long[]) HostArrays.allocate(DType.INT64, count);
      if (count <= LABELS_KEPT) {
        LABELS.set(values);
      }
    }
    labels.backend().download(labels.buffer(), values, 0);
    for (int i = 0; i < count; i++) {
      long label = values[i];
      if ((label < 0 || label >= classes) && label != options.ignoreIndex()) {
        throw new ArgumentException(
            String.format(
                "[%s] label %d at position %s is out of range: there are %d classes (0 to %d)",
                op, label, position(i, rows), classes, classes - 1));
      }
    }
    return labels;
  }

  private static String position(int flat, Shape shape) {
    long[] index = new long[shape.rank()];
    long rest = flat;
    for (int axis = index.length - 1; axis >= 0; axis--) {
      index[axis] = rest % shape.dim(axis);
      rest /= shape.dim(axis);
    }
    return Arrays.toString(index);
  }

  /**
   * Mean squared error; see {@link #mse(Tensor, Tensor, Reduction)}.
   *
   * @param input predictions
   * @param target what they should be
   * @return the mean loss
   * @throws io.gradus.core.ShapeException when shapes differ
   */
  public static Tensor mse(Tensor input, Tensor target) {
    return mse(input, target, Reduction.MEAN);
  }

  /**
   * Squared error.
   *
   * <p>{@code loss = (input - target)^2}
   *
   * <p>Shapes: {@code input, target: [..] -> [] or, with NONE, [..]}
   *
   * <p>Source: PyTorch, {@code torch.nn.MSELoss}.
   *
   * <pre>{@code
   * Tensor loss = Loss.mse(prediction, target, Reduction.SUM);
   * }</pre>
   *
   * @param input predictions
   * @param target what they should be
   * @param reduction what is made of the losses
   * @return the loss
   * @throws io.gradus.core.ShapeException when shapes differ
   * @throws io.gradus.core.DTypeException when input or target is not floating
   */
  public static Tensor mse(Tensor input, Tensor target, Reduction reduction) {
    checkPair("mse", input, target);
    try (Scope s = Scope.open()) {
      return s.keep(reduction.of(distance(input, target).square()));
    }
  }

  /**
   * Mean absolute error; see {@link #l1(Tensor, Tensor, Reduction)}.
   *
   * @param input predictions
   * @param target what they should be
   * @return the mean loss
   * @throws io.gradus.core.ShapeException when shapes differ
   */
  public static Tensor l1(Tensor input, Tensor target) {
    return l1(input, target, Reduction.MEAN);
  }

  /**
   * Absolute error; the gradient at 0 is 0.
   *
   * <p>{@code loss = |input - target|}
   *
   * <p>Shapes: {@code input, target: [..] -> [] or, with NONE, [..]}
   *
   * <p>Source: PyTorch, {@code torch.nn.L1Loss}.
   *
   * <pre>{@code
   * Tensor loss = Loss.l1(prediction, target, Reduction.MEAN);
   * }</pre>
   *
   * @param input predictions
   * @param target what they should be
   * @param reduction what is made of the losses
   * @return the loss
   * @throws io.gradus.core.ShapeException when shapes differ
   * @throws io.gradus.core.DTypeException when input or target is not floating
   */
  public static Tensor l1(Tensor input, Tensor target, Reduction reduction) {
    checkPair("l1", input, target);
    try (Scope s = Scope.open()) {
      return s.keep(reduction.of(distance(input, target).abs()));
    }
  }

  /**
   * Mean Huber loss; see {@link #huber(Tensor, Tensor, double, Reduction)}.
   *
   * @param input predictions
   * @param target what they should be
   * @param delta distance at which the parabola becomes a line; 1 is usual
   * @return the mean loss
   * @throws io.gradus.core.ShapeException when shapes differ
   */
  public static Tensor huber(Tensor input, Tensor target, double delta) {
    return huber(input, target, delta, Reduction.MEAN);
  }

  /**
   * Huber loss: quadratic near 0, linear far away.
   *
   * <p>{@code loss = d^2 / 2 where |d| <= delta, else delta (|d| - delta / 2)}, with {@code d =
   * input - target}
   *
   * <p>Shapes: {@code input, target: [..] -> [] or, with NONE, [..]}
   *
   * <p>Source: Huber, "Robust estimation of a location parameter", Ann. Math. Statist. 35, 1964.
   *
   * <pre>{@code
   * Tensor loss = Loss.huber(prediction, target, 1, Reduction.MEAN);
   * }</pre>
   *
   * @param input predictions
   * @param target what they should be
   * @param delta distance at which the parabola becomes a line, positive
   * @param reduction what is made of the losses
   * @return the loss
   * @throws io.gradus.core.ShapeException when shapes differ
   * @throws io.gradus.core.DTypeException when input or target is not floating
   * @throws io.gradus.core.ArgumentException when delta is not positive
   */
  public static Tensor huber(Tensor input, Tensor target, double delta, Reduction reduction) {
    checkPair("huber", input, target);
    Checks.argument(delta > 0, "[huber] delta %s must be positive: 1 is usual", delta);
    try (Scope s = Scope.open()) {
      Tensor distance = distance(input, target).abs();
      // With q = min(|d|, delta) both branches are q^2 / 2 + delta (|d| - q).
      Tensor q = distance.minimum(Elementwise.number(distance, delta));
      return s.keep(reduction.of(q.square().mul(0.5).add(distance.sub(q).mul(delta))));
    }
  }

  private static Tensor distance(Tensor input, Tensor target) {
    return Precision.wide(input).sub(Precision.wide(target));
  }

  private static void checkPair(String op, Tensor input, Tensor target) {
    input.sameDevice(op, target);
    Checks.shape(
        input.shape().equals(target.shape()),
        "[%s] input %s and target %s must have the same shape: broadcasting here is most often a"
            + " mistake, use expand where it is meant",
        op,
        input.shape(),
        target.shape());
    Checks.dtype(
        input.dtype().isFloating() && target.dtype().isFloating(),
        "[%s] input is %s and target %s: convert with to(DType.FLOAT32)",
        op,
        input.dtype(),
        target.dtype());
  }

  /**
   * Mean binary cross-entropy with logits; see {@link #bceWithLogits(Tensor, Tensor, Tensor,
   * Tensor, Reduction)}.
   *
   * @param logits scores
   * @param target probabilities, 0 to 1
   * @return the mean loss
   * @throws io.gradus.core.ShapeException when shapes differ
   */
  public static Tensor bceWithLogits(Tensor logits, Tensor target) {
    return bceWithLogits(logits, target, null, null, Reduction.MEAN);
  }

  /**
   * Binary cross-entropy of the sigmoid of logits and target probabilities, without overflow.
   *
   * <pre>{@code
   * loss = weight (-posWeight t log sigmoid(x) - (1 - t) log(1 - sigmoid(x)))
   *      = weight ((1 - t) x + (1 + (posWeight - 1) t) softplus(-x))
   * }</pre>
   *
   * <p>The mean divides by the number of elements, whatever the weights.
   *
   * <p>Shapes: {@code logits, target: [..]; posWeight, weight: broadcast to it -> [] or, with NONE,
   * [..]}
   *
   * <p>Source: PyTorch, {@code torch.nn.BCEWithLogitsLoss}.
   *
   * <pre>{@code
   * Tensor loss = Loss.bceWithLogits(logits, target, posWeight, null, Reduction.MEAN);
   * }</pre>
   *
   * @param logits scores
   * @param target probabilities, 0 to 1
   * @param posWeight factor of the positive part, such as negatives per positive, or null for 1
   * @param weight factor of every loss, or null for 1
   * @param reduction what is made of the losses
   * @return the loss
   * @throws io.gradus.core.ShapeException when shapes do not fit
   * @throws io.gradus.core.DTypeException when logits or target are not floating
   */
  public static Tensor bceWithLogits(
      Tensor logits,
      Tensor target,
      @Nullable Tensor posWeight,
      @Nullable Tensor weight,
      Reduction reduction) {
    checkPair("bceWithLogits", logits, target);
    checkBroadcast("posWeight", posWeight, logits);
    checkBroadcast("weight", weight, logits);
    try (Scope s = Scope.open()) {
      Tensor x = Precision.wide(logits);
      Tensor t = Precision.wide(target);
      Tensor positive = x.neg().softplus();
      if (posWeight != null) {
        positive = positive.mul(t.mul(posWeight.detach().sub(1)).add(1));
      }
      Tensor losses = t.rsub(1).mul(x).add(positive);
      if (weight != null) {
        losses = losses.mul(weight.detach());
      }
      return s.keep(reduction.of(losses));
    }
  }

  private static void checkBroadcast(String name, @Nullable Tensor factor, Tensor logits) {
    if (factor != null) {
      logits.sameDevice("bceWithLogits", factor);
      Checks.shape(
          factor.shape().broadcastsTo(logits.shape()),
          "[bceWithLogits] %s %s does not broadcast to the logits %s",
          name,
          factor.shape(),
          logits.shape());
    }
  }
}
