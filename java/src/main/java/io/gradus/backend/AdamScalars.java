package io.gradus.backend;

/**
 * The numbers of {@link OptimOps#adam} that do not change from step to step.
 *
 * @param beta1 decay of the first moment
 * @param beta2 decay of the second moment
 * @param eps added to the root
 * @param weightDecay weight decay
 * @param decoupled whether it acts on the parameters directly, as in AdamW
 */
public record AdamScalars(
    double beta1, double beta2, double eps, double weightDecay, boolean decoupled) {}
