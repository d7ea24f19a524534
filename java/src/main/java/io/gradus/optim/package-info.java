/**
 * Optimizers, learning-rate schedules, penalties and gradient clipping. An {@link
 * io.gradus.optim.Optimizer} takes tensors, not modules; the parameters of a group and their
 * gradients lie in one piece of memory, so a step is one fused call per group. Imports {@code
 * core}, {@code backend} and {@code tensor}.
 */
@NullMarked
package io.gradus.optim;

import org.jspecify.annotations.NullMarked;
