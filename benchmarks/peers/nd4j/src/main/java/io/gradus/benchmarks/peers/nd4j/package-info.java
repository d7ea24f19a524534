/** The training steps of {@code gradus bench} in Deeplearning4j, whose tensors are ND4J's. */
@NullMarked
package io.gradus.benchmarks.peers.nd4j;

import org.jspecify.annotations.NullMarked;
