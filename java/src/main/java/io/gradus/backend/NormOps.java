package io.gradus.backend;

import io.gradus.core.Checks;
import io.gradus.core.DType;
import org.jspecify.annotations.Nullable;

/**
 * Batch, layer, group and root-mean-square normalisation. Statistics are means of squared distances
 * from the mean, never E[x^2] - E[x]^2. For 16-bit x the statistics, and the weights if wished, are
 * FLOAT32.
 */
public interface NormOps extends Primitives {
  /**
   * Statistics of every column of x and the moving averages of layers in training:
   *
   * <pre>{@code
   * mean = sum(x) / rows;  variance = sum((x - mean)^2) / rows;  invStd = 1 / sqrt(variance + eps)
   * runningMean = (1 - momentum) runningMean + momentum mean
   * runningVar  = (1 - momentum) runningVar  + momentum variance rows / (rows - 1)
   * }</pre>
   *
   * @param x [rows, channels], rows at least 2
   * @param mean [channels]
   * @param invStd [channels]
   * @param runningMean [channels], updated, or null
   * @param runningVar [channels], updated, or null
   * @param shape sizes and options
   */
  default void batchNormStatistics(
      Buffer x,
      Buffer mean,
      Buffer invStd,
      @Nullable Buffer runningMean,
      @Nullable Buffer runningVar,
      BatchNormShape shape) {
    try (Scratch scratch = new Scratch(this)) {
      Rows m = new Rows(this, scratch, mean.dtype(), shape.rows(), shape.channels());
      ColumnMoments moments = ColumnMoments.of(m, scratch.as(mean.dtype(), x), shape.rows());
      m.store(moments.mean(), mean);
      batchNormFinish(mean, moments.variance(), invStd, runningMean, runningVar, shape);
    }
  }

  /**
   * {@link #batchNormStatistics} from mean and variance that are known already, of {@link
   * ConvOps#conv2dForwardStatistics}.
   *
   * @param mean [channels], of invStd's type
   * @param variance [channels], biased, of invStd's type
   * @param invStd [channels]
   * @param runningMean [channels], updated, or null
   * @param runningVar [channels], updated, or null
   * @param shape sizes and options
   */
  default void batchNormFinish(
      Buffer mean,
      Buffer variance,
      Buffer invStd,
      @Nullable Buffer runningMean,
      @Nullable Buffer runningVar,
      BatchNormShape shape) {
    DType dtype = invStd.dtype();
    try (Scratch scratch = new Scratch(this)) {
      Rows m = new Rows(this, scratch, dtype, shape.rows(), shape.channels());
      m.store(m.apply(UnaryOp.RSQRT, m.vector(BinaryOp.ADD, variance, shape.eps())), invStd);
      if (runningMean != null) {
        movingAverage(m, scratch.as(dtype, runningMean), mean, shape.momentum(), runningMean);
      }
      if (runningVar != null) {
        Buffer unbiased = m.vector(BinaryOp.MUL, variance, shape.rows() / (shape.rows() - 1.0));
        movingAverage(m, scratch.as(dtype, runningVar), unbiased, shape.momentum(), runningVar);
      }
    }
  }

  private static void movingAverage(
      Rows m, Buffer before, Buffer batch, double momentum, Buffer target) {
    Buffer kept = m.vector(BinaryOp.MUL, before, 1 - momentum);
    m.store(m.vector(BinaryOp.ADD, kept, m.vector(BinaryOp.MUL, batch, momentum)), target);
  }

  /**
   * y = activation((x - mean) invStd weight + bias + residual), statistics and weights by column.
   *
   * @param x [rows, channels]
   * @param mean [channels]
   * @param invStd [channels]
   * @param weight [channels], or null for 1
   * @param bias [channels], or null for 0
   * @param residual [rows, channels], or null for 0
   * @param y [rows, channels]
   * @param shape sizes and options
   */
  default void batchNormApply(
      Buffer x,
      Buffer mean,
      Buffer invStd,
      @Nullable Buffer weight,
      @Nullable Buffer bias,
      @Nullable Buffer residual,
      Buffer y,
      BatchNormShape shape) {
    DType dtype = mean.dtype();
    try (Scratch scratch = new Scratch(this)) {
      Rows m = new Rows(this, scratch, dtype, shape.rows(), shape.channels());
      Buffer distance = m.apply(BinaryOp.SUB, scratch.as(dtype, x), mean, m.row);
      Buffer out = m.apply(BinaryOp.MUL, distance, invStd, m.row);
      out = m.applyIfPresent(BinaryOp.MUL, out, weight, m.row);
      out = m.applyIfPresent(BinaryOp.ADD, out, bias, m.row);
      out = m.applyIfPresent(BinaryOp.ADD, out, residual, m.full);
      if (shape.activation() == Activation.RELU) {
        out = m.apply(UnaryOp.RELU, out);
      }
      m.store(out, y);
    }
  }

  /**
   * 32-bit words that {@link #batchNormApplyMasked} keeps the signs of so many elements in; 0 where
   * the backend has no such kernel.
   */
  default long batchNormMaskWords(long elements) {
    return 0;
  }

  /**
   * {@link #batchNormApply} with RELU, and the mask of its gradient at one bit an element: a tenth
   * of what backward would read of y.
   *
   * @param x [rows, channels]
   * @param mean [channels]
   * @param invStd [channels]
   * @param weight [channels], or null for 1
   * @param bias [channels], or null for 0
   * @param residual [rows, channels], or null for 0
   * @param y [rows, channels]
   * @param mask INT32 [batchNormMaskWords(rows channels)]: element i is bit i % 32 of word i / 32,
   *     1 where y is positive
   * @param shape sizes and options
   * @return false where there is no kernel for these types; nothing was done then
   */
  default boolean batchNormApplyMasked(
      Buffer x,
      Buffer mean,
      Buffer invStd,
      @Nullable Buffer weight,
      @Nullable Buffer bias,
      @Nullable Buffer residual,
      Buffer y,
      Buffer mask,
      BatchNormShape shape) {
    return false;
  }

  /**
   * A step of training: {@link #batchNormStatistics}, then {@link #batchNormApply}, in one call, so
   * that a backend may read x once.
   *
   * @param x [rows, channels], rows at least 2
   * @param weight [channels], or null for 1
   * @param bias [channels], or null for 0
   * @param residual [rows, channels], or null for 0
   * @param y [rows, channels]
   * @param mask as that of {@link #batchNormApplyMasked}, for RELU; null where it is not wanted
   * @param mean [channels]
   * @param invStd [channels]
   * @param runningMean [channels], updated, or null
   * @param runningVar [channels], updated, or null
   * @param shape sizes and options
   * @return whether the mask was written: false where it is null or there is no kernel for it
   */
  default boolean batchNormForward(
      Buffer x,
      @Nullable Buffer weight,
      @Nullable Buffer bias,
      @Nullable Buffer residual,
      Buffer y,
      @Nullable Buffer mask,
      Buffer mean,
      Buffer invStd,
      @Nullable Buffer runningMean,
      @Nullable Buffer runningVar,
      BatchNormShape shape) {
    batchNormStatistics(x, mean, invStd, runningMean, runningVar, shape);
    if (mask != null
        && batchNormApplyMasked(x, mean, invStd, weight, bias, residual, y, mask, shape)) {
      return true;
    }
    batchNormApply(x, mean, invStd, weight, bias, residual, y, shape);
    return false;
  }

  /**
   * Gradients of {@link #batchNormApply}, and in training of {@link #batchNormStatistics} before
   * it. With g = gradY where the activation let the value pass, else 0, and n = (x - mean) invStd:
   *
   * <pre>{@code
   * gradBias = sum(g);  gradWeight = sum(g n);  gradResidual = g
   * gradX = weight invStd (g - gradBias / rows - n gradWeight / rows)     in training
   * gradX = weight invStd g                                               else
   * }</pre>
   *
   * @param gradY [rows, channels]
   * @param x [rows, channels]
   * @param y the output, whose sign is the mask of RELU; null for NONE, or where the mask is given
   * @param mask the same mask as bits, of {@link #batchNormApplyMasked}, or null
   * @param mean [channels]
   * @param invStd [channels]
   * @param weight [channels], or null for 1
   * @param gradX [rows, channels], or null where not wanted
   * @param gradWeight [channels], or null
   * @param gradBias [channels], or null
   * @param gradResidual [rows, channels], or null
   * @param shape sizes and options
   */
  default void batchNormBackward(
      Buffer gradY,
      Buffer x,
      @Nullable Buffer y,
      @Nullable Buffer mask,
      Buffer mean,
      Buffer invStd,
      @Nullable Buffer weight,
      @Nullable Buffer gradX,
      @Nullable Buffer gradWeight,
      @Nullable Buffer gradBias,
      @Nullable Buffer gradResidual,
      BatchNormShape shape) {
    Checks.state(y != null || mask == null, "[batchNorm] the mask of bits needs its kernel, or y");
    DType dtype = mean.dtype();
    try (Scratch scratch = new Scratch(this)) {
      Rows m = new Rows(this, scratch, dtype, shape.rows(), shape.channels());
      Buffer g = scratch.as(dtype, gradY);
      if (y != null) {
        g = m.wherePositive(scratch.as(dtype, y), g);
      }
      Buffer distance = m.apply(BinaryOp.SUB, scratch.as(dtype, x), mean, m.row);
      Buffer normalised = m.apply(BinaryOp.MUL, distance, invStd, m.row);
      Buffer sumG = m.sumOfColumns(g);
      Buffer sumGn = m.sumOfColumns(m.apply(BinaryOp.MUL, g, normalised, m.full));
      m.store(g, gradResidual);
      m.store(sumG, gradBias);
      m.store(sumGn, gradWeight);
      if (gradX == null) {
        return;
      }
      Buffer out = g;
      if (shape.training()) {
        Buffer slope = m.vector(BinaryOp.DIV, sumGn, (double) shape.rows());
        out = m.apply(BinaryOp.SUB, g, m.vector(BinaryOp.DIV, sumG, (double) shape.rows()), m.row);
        Buffer along = m.apply(BinaryOp.MUL, normalised, slope, m.row);
        out = m.apply(BinaryOp.SUB, out, along, m.full);
      }
      out = m.apply(BinaryOp.MUL, out, invStd, m.row);
      m.store(m.applyIfPresent(BinaryOp.MUL, out, weight, m.row), gradX);
    }
  }

  /**
   * y = (x - mean) invStd weight + bias, statistics by row, weights by column.
   *
   * @param x [rows, cols]
   * @param weight [cols], or null for 1
   * @param bias [cols], or null for 0
   * @param y [rows, cols]
   * @param mean receives the mean of every row, [rows]
   * @param invStd receives 1 / sqrt(variance + eps) of every row, [rows]
   * @param shape sizes and options
   */
  default void layerNormForward(
      Buffer x,
      @Nullable Buffer weight,
      @Nullable Buffer bias,
      Buffer y,
      Buffer mean,
      Buffer invStd,
      RowNormShape shape) {
    DType dtype = mean.dtype();
    try (Scratch scratch = new Scratch(this)) {
      Rows m = new Rows(this, scratch, dtype, shape.rows(), shape.cols());
      Buffer wide = scratch.as(dtype, x);
      m.store(m.vector(BinaryOp.DIV, m.sumOfRows(wide), (double) shape.cols()), mean);
      Buffer distance = m.apply(BinaryOp.SUB, wide, mean, m.column);
      Buffer squares = m.sumOfRows(m.apply(BinaryOp.MUL, distance, distance, m.full));
      Buffer variance = m.vector(BinaryOp.DIV, squares, (double) shape.cols());
      m.store(m.apply(UnaryOp.RSQRT, m.vector(BinaryOp.ADD, variance, shape.eps())), invStd);
      Buffer out = m.apply(BinaryOp.MUL, distance, invStd, m.column);
      out = m.applyIfPresent(BinaryOp.MUL, out, weight, m.row);
      m.store(m.applyIfPresent(BinaryOp.ADD, out, bias, m.row), y);
    }
  }

  /**
   * Gradients of {@link #layerNormForward}. With n = (x - mean) invStd and h = gradY weight:
   *
   * <pre>{@code
   * gradBias = sum over rows of gradY;  gradWeight = sum over rows of gradY n
   * gradX = invStd (h - mean(h) - n mean(h n)), means over columns
   * }</pre>
   *
   * @param gradY [rows, cols]
   * @param x [rows, cols]
   * @param mean [rows]
   * @param invStd [rows]
   * @param weight [cols], or null for 1
   * @param gradX [rows, cols], or null where not wanted
   * @param gradWeight [cols], or null
   * @param gradBias [cols], or null
   * @param shape sizes and options
   */
  default void layerNormBackward(
      Buffer gradY,
      Buffer x,
      Buffer mean,
      Buffer invStd,
      @Nullable Buffer weight,
      @Nullable Buffer gradX,
      @Nullable Buffer gradWeight,
      @Nullable Buffer gradBias,
      RowNormShape shape) {
    DType dtype = mean.dtype();
    try (Scratch scratch = new Scratch(this)) {
      Rows m = new Rows(this, scratch, dtype, shape.rows(), shape.cols());
      Buffer g = scratch.as(dtype, gradY);
      Buffer distance = m.apply(BinaryOp.SUB, scratch.as(dtype, x), mean, m.column);
      Buffer normalised = m.apply(BinaryOp.MUL, distance, invStd, m.column);
      if (gradWeight != null) {
        m.store(m.sumOfColumns(m.apply(BinaryOp.MUL, g, normalised, m.full)), gradWeight);
      }
      if (gradBias != null) {
        m.store(m.sumOfColumns(g), gradBias);
      }
      if (gradX == null) {
        return;
      }
      Buffer h = m.applyIfPresent(BinaryOp.MUL, g, weight, m.row);
      Buffer level = m.vector(BinaryOp.DIV, m.sumOfRows(h), (double) shape.cols());
      Buffer product = m.apply(BinaryOp.MUL, h, normalised, m.full);
      Buffer slope = m.vector(BinaryOp.DIV, m.sumOfRows(product), (double) shape.cols());
      Buffer out = m.apply(BinaryOp.SUB, h, level, m.column);
      out = m.apply(BinaryOp.SUB, out, m.apply(BinaryOp.MUL, normalised, slope, m.column), m.full);
      m.store(m.apply(BinaryOp.MUL, out, invStd, m.column), gradX);
    }
  }

  /**
   * y = (x - mean) invStd weight + bias, statistics by sample and group of neighbouring channels,
   * over all positions; weights by channel. As many groups as channels make it instance
   * normalisation.
   *
   * @param x [samples, positions, channels]
   * @param weight [channels], or null for 1
   * @param bias [channels], or null for 0
   * @param y [samples, positions, channels]
   * @param mean receives the means, [samples, groups]
   * @param invStd receives 1 / sqrt(variance + eps), [samples, groups]
   * @param shape sizes and options
   */
  default void groupNormForward(
      Buffer x,
      @Nullable Buffer weight,
      @Nullable Buffer bias,
      Buffer y,
      Buffer mean,
      Buffer invStd,
      GroupNormShape shape) {
    DType dtype = mean.dtype();
    try (Scratch scratch = new Scratch(this)) {
      ChannelGroups layout = new ChannelGroups(this, shape);
      Buffer lines = layout.gather(scratch, scratch.as(dtype, x));
      Buffer normalised = scratch.take(dtype, x.length());
      layerNormForward(lines, null, null, normalised, mean, invStd, layout.rows());
      Rows m =
          new Rows(this, scratch, dtype, shape.samples() * shape.positions(), shape.channels());
      Buffer out = layout.spread(scratch, normalised);
      out = m.applyIfPresent(BinaryOp.MUL, out, weight, m.row);
      m.store(m.applyIfPresent(BinaryOp.ADD, out, bias, m.row), y);
    }
  }

  /**
   * Gradients of {@link #groupNormForward}. With n = (x - mean) invStd and h = gradY weight:
   *
   * <pre>{@code
   * gradBias = sum over samples and positions of gradY;  gradWeight = the same of gradY n
   * gradX = invStd (h - mean(h) - n mean(h n)), means over positions and channels of the group
   * }</pre>
   *
   * @param gradY [samples, positions, channels]
   * @param x [samples, positions, channels]
   * @param mean [samples, groups]
   * @param invStd [samples, groups]
   * @param weight [channels], or null for 1
   * @param gradX [samples, positions, channels], or null where not wanted
   * @param gradWeight [channels], or null
   * @param gradBias [channels], or null
   * @param shape sizes and options
   */
  default void groupNormBackward(
      Buffer gradY,
      Buffer x,
      Buffer mean,
      Buffer invStd,
      @Nullable Buffer weight,
      @Nullable Buffer gradX,
      @Nullable Buffer gradWeight,
      @Nullable Buffer gradBias,
      GroupNormShape shape) {
    DType dtype = mean.dtype();
    try (Scratch scratch = new Scratch(this)) {
      ChannelGroups layout = new ChannelGroups(this, shape);
      Rows m =
          new Rows(this, scratch, dtype, shape.samples() * shape.positions(), shape.channels());
      Buffer g = scratch.as(dtype, gradY);
      Buffer lines = layout.gather(scratch, scratch.as(dtype, x));
      if (gradWeight != null) {
        Rows byGroup = new Rows(this, scratch, dtype, layout.lines(), layout.length());
        Buffer distance = byGroup.apply(BinaryOp.SUB, lines, mean, byGroup.column);
        Buffer normalised = byGroup.apply(BinaryOp.MUL, distance, invStd, byGroup.column);
        Buffer along = m.apply(BinaryOp.MUL, g, layout.spread(scratch, normalised), m.full);
        m.store(m.sumOfColumns(along), gradWeight);
      }
      if (gradBias != null) {
        m.store(m.sumOfColumns(g), gradBias);
      }
      if (gradX == null) {
        return;
      }
      Buffer h = layout.gather(scratch, m.applyIfPresent(BinaryOp.MUL, g, weight, m.row));
      Buffer out = scratch.take(dtype, x.length());
      layerNormBackward(h, lines, mean, invStd, null, out, null, null, layout.rows());
      m.store(layout.spread(scratch, out), gradX);
    }
  }

  /**
   * y = x invRms weight, the root mean square by row, weights by column.
   *
   * @param x [rows, cols]
   * @param weight [cols], or null for 1
   * @param y [rows, cols]
   * @param invRms receives 1 / sqrt(mean(x^2) + eps) of every row, [rows]
   * @param shape sizes and options
   */
  default void rmsNormForward(
      Buffer x, @Nullable Buffer weight, Buffer y, Buffer invRms, RowNormShape shape) {
    DType dtype = invRms.dtype();
    try (Scratch scratch = new Scratch(this)) {
      Rows m = new Rows(this, scratch, dtype, shape.rows(), shape.cols());
      Buffer wide = scratch.as(dtype, x);
      Buffer squares = m.sumOfRows(m.apply(BinaryOp.MUL, wide, wide, m.full));
      Buffer meanSquare = m.vector(BinaryOp.DIV, squares, (double) shape.cols());
      m.store(m.apply(UnaryOp.RSQRT, m.vector(BinaryOp.ADD, meanSquare, shape.eps())), invRms);
      Buffer out = m.apply(BinaryOp.MUL, wide, invRms, m.column);
      m.store(m.applyIfPresent(BinaryOp.MUL, out, weight, m.row), y);
    }
  }

  /**
   * Gradients of {@link #rmsNormForward}. With n = x invRms and h = gradY weight:
   *
   * <pre>{@code
   * gradWeight = sum over rows of gradY n
   * gradX = invRms (h - n mean(h n)), the mean over columns
   * }</pre>
   *
   * @param gradY [rows, cols]
   * @param x [rows, cols]
   * @param invRms [rows]
   * @param weight [cols], or null for 1
   * @param gradX [rows, cols], or null where not wanted
   * @param gradWeight [cols], or null
   * @param shape sizes and options
   */
  default void rmsNormBackward(
      Buffer gradY,
      Buffer x,
      Buffer invRms,
      @Nullable Buffer weight,
      @Nullable Buffer gradX,
      @Nullable Buffer gradWeight,
      RowNormShape shape) {
    DType dtype = invRms.dtype();
    try (Scratch scratch = new Scratch(this)) {
      Rows m = new Rows(this, scratch, dtype, shape.rows(), shape.cols());
      Buffer g = scratch.as(dtype, gradY);
      Buffer normalised = m.apply(BinaryOp.MUL, scratch.as(dtype, x), invRms, m.column);
      if (gradWeight != null) {
        m.store(m.sumOfColumns(m.apply(BinaryOp.MUL, g, normalised, m.full)), gradWeight);
      }
      if (gradX == null) {
        return;
      }
      Buffer h = m.applyIfPresent(BinaryOp.MUL, g, weight, m.row);
      Buffer product = m.apply(BinaryOp.MUL, h, normalised, m.full);
      Buffer slope = m.vector(BinaryOp.DIV, m.sumOfRows(product), (double) shape.cols());
      Buffer along = m.apply(BinaryOp.MUL, normalised, slope, m.column);
      m.store(
          m.apply(BinaryOp.MUL, m.apply(BinaryOp.SUB, h, along, m.full), invRms, m.column), gradX);
    }
  }
}
