/** The training steps of {@code gradus bench} in DJL with its PyTorch engine. */
@NullMarked
package io.gradus.benchmarks.peers.djl;

import org.jspecify.annotations.NullMarked;
