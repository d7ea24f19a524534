package io.gradus.backend;

/**
 * The numbers of {@link OptimOps#sgd} that do not change from step to step.
 *
 * @param momentum weight of the past
 * @param dampening what is taken from the weight of the gradient
 * @param weightDecay factor of the parameters in the gradient (L2)
 * @param nesterov whether the direction looks ahead
 */
public record SgdScalars(double momentum, double dampening, double weightDecay, boolean nesterov) {}
