package io.gradus.backend;

/**
 * The numbers of {@link OptimOps#rmsProp} that do not change from step to step.
 *
 * @param alpha decay of the means
 * @param eps added to the root
 * @param momentum weight of the past directions
 * @param weightDecay factor of the parameters in the gradient (L2)
 */
public record RmsPropScalars(double alpha, double eps, double momentum, double weightDecay) {}
