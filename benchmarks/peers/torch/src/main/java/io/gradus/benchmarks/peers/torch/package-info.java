/** The training steps of {@code gradus bench steps} in libtorch, by JavaCPP's binding. */
@NullMarked
package io.gradus.benchmarks.peers.torch;

import org.jspecify.annotations.NullMarked;
