package io.gradus.backend;

import io.gradus.core.DType;
import org.jspecify.annotations.Nullable;

/**
 * Cross-entropy of class labels, with class weights w, label smoothing s and an ignored label. Row
 * i with label t weighs {@code v = w[t]}, or 0 when t is the ignored label, and then its loss is 0
 * too. Its target distribution is
 *
 * <pre>{@code
 * q[c] = (1 - s) w[t] (c = t) + s / classes w[c]
 * }</pre>
 */
public interface LossOps extends Primitives {
  /**
   * loss = sum over c of q[c] (log(sum(exp(logits))) - logits[c]), for every row.
   *
   * @param logits [rows, classes]
   * @param target INT64 [rows], in range or the ignored label
   * @param weight [classes], or null for 1
   * @param loss [rows]
   * @param rowWeight receives v, [rows]
   * @param logSum receives log(sum(exp(logits - max))), [rows]: beside the maximum it keeps its
   *     digits
   * @param rows rows
   * @param classes columns
   * @param smoothing s, 0 to 1
   * @param ignored label whose rows do not count
   */
  default void crossEntropyForward(
      Buffer logits,
      Buffer target,
      @Nullable Buffer weight,
      Buffer loss,
      Buffer rowWeight,
      Buffer logSum,
      long rows,
      long classes,
      double smoothing,
      long ignored) {
    DType dtype = loss.dtype();
    try (Scratch scratch = new Scratch(this)) {
      Lines lines = new Lines(this, scratch, dtype, rows, classes, 1);
      Rows m = new Rows(this, scratch, dtype, rows, classes);
      Labels labels = new Labels(this, scratch, target, ignored);
      Buffer x = scratch.as(dtype, logits);
      Buffer shift = lines.shift(x);
      Buffer shifted = m.apply(BinaryOp.SUB, x, shift, m.column);
      Buffer sum = m.sumOfRows(m.apply(UnaryOp.EXP, shifted));
      m.store(m.apply(UnaryOp.LOG, sum), logSum);
      Buffer weights = labels.weights(weight, dtype, classes);
      Buffer counted = labels.onlyCounted(labels.select(weights));
      // The distance of every class, before weights: a difference of two sums would cancel.
      Buffer distance = m.apply(UnaryOp.NEG, m.apply(BinaryOp.SUB, shifted, logSum, m.column));
      Buffer hard = m.vector(BinaryOp.MUL, labels.pick(distance, rows, classes), counted);
      Buffer total = m.vector(BinaryOp.MUL, hard, 1 - smoothing);
      if (smoothing != 0) {
        Buffer soft = m.sumOfRows(m.apply(BinaryOp.MUL, distance, weights, m.row));
        Buffer share = m.vector(BinaryOp.MUL, soft, smoothing / classes);
        total = m.vector(BinaryOp.ADD, total, share);
      }
      m.store(labels.onlyCounted(total), loss);
      m.store(counted, rowWeight);
    }
  }

  /**
   * gradLogits[c] = gradLoss (softmax[c] sum(q) - q[c]), for every row; 0 where the label is
   * ignored.
   *
   * @param gradLoss [rows]
   * @param logits [rows, classes]
   * @param logSum [rows], from forward
   * @param target INT64 [rows]
   * @param weight [classes], or null for 1
   * @param gradLogits [rows, classes]
   * @param rows rows
   * @param classes columns
   * @param smoothing s, 0 to 1
   * @param ignored label whose rows do not count
   */
  default void crossEntropyBackward(
      Buffer gradLoss,
      Buffer logits,
      Buffer logSum,
      Buffer target,
      @Nullable Buffer weight,
      Buffer gradLogits,
      long rows,
      long classes,
      double smoothing,
      long ignored) {
    DType dtype = gradLoss.dtype();
    try (Scratch scratch = new Scratch(this)) {
      Rows m = new Rows(this, scratch, dtype, rows, classes);
      Labels labels = new Labels(this, scratch, target, ignored);
      Buffer weights = labels.weights(weight, dtype, classes);
      Buffer hard = m.vector(BinaryOp.MUL, labels.select(weights), 1 - smoothing);
      Buffer soft = m.vector(BinaryOp.MUL, weights, smoothing / classes);
      Buffer q = scratch.take(dtype, rows * classes);
      copy(soft, m.row, q, m.full, new long[] {rows, classes});
      labels.add(hard, q, rows, classes);
      Buffer mass = m.sumOfRows(q);
      Buffer shifted =
          new Lines(this, scratch, dtype, rows, classes, 1).shifted(scratch.as(dtype, logits));
      Buffer distance = m.apply(BinaryOp.SUB, shifted, logSum, m.column);
      Buffer p = m.apply(BinaryOp.MUL, m.apply(UnaryOp.EXP, distance), mass, m.column);
      Buffer g = labels.onlyCounted(gradLoss);
      Buffer slope = m.apply(BinaryOp.SUB, p, q, m.full);
      m.store(m.apply(BinaryOp.MUL, slope, g, m.column), gradLogits);
    }
  }
}
