/**
 * Gradus beside other engines: training steps, tiny operations, cold starts and downloads.
 *
 * <p>Each engine works in a process of its own, a {@link io.gradus.benchmarks.engines.Worker},
 * which a {@link io.gradus.benchmarks.engines.Contest} tells over standard input what to do. {@link
 * io.gradus.benchmarks.engines.Workload}, {@link io.gradus.benchmarks.engines.Worker}, {@link
 * io.gradus.benchmarks.engines.Training}, {@link io.gradus.benchmarks.engines.Arrays} and {@link
 * io.gradus.benchmarks.engines.Answers} are what the peers in {@code benchmarks/peers} share with
 * Gradus; these five import nothing of its engine.
 */
@NullMarked
package io.gradus.benchmarks.engines;

import org.jspecify.annotations.NullMarked;
