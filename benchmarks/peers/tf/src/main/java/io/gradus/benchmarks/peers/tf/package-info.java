/** The training steps of {@code gradus bench} in TensorFlow, by its Java API. */
@NullMarked
package io.gradus.benchmarks.peers.tf;

import org.jspecify.annotations.NullMarked;
