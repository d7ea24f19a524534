/**
 * Training: the loop, its history and chart, checkpoints and resuming, and the networks of the
 * command line.
 *
 * <p>Wires {@code nn}, {@code optim}, {@code data}, {@code metrics} and {@code io}, which do not
 * know each other.
 */
@NullMarked
package io.gradus.train;

import org.jspecify.annotations.NullMarked;
