/**
 * Whole training steps beside other engines; run them with {@code ./gradus bench steps}.
 *
 * <p>Each engine trains in a process of its own, a {@link io.gradus.benchmarks.steps.Worker}, which
 * the {@link io.gradus.benchmarks.steps.StepsBenchmark} tells over standard input what to do.
 * {@link io.gradus.benchmarks.steps.Workload}, {@link io.gradus.benchmarks.steps.Worker}, {@link
 * io.gradus.benchmarks.steps.Training} and {@link io.gradus.benchmarks.steps.Arrays} are what the
 * peers in {@code benchmarks/peers} share with Gradus; these four import nothing of its engine.
 */
@NullMarked
package io.gradus.benchmarks.steps;

import org.jspecify.annotations.NullMarked;
