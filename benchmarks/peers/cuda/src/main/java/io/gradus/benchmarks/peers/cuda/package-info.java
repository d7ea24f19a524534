/**
 * The workers of cuBLAS and cuDNN.
 *
 * <p>What is here besides {@link io.gradus.benchmarks.libraries} has been tried with the libraries
 * themselves up to where they look for a GPU, and beyond with stand-ins for them; it has not run on
 * a GPU.
 */
@NullMarked
package io.gradus.benchmarks.peers.cuda;

import org.jspecify.annotations.NullMarked;
