/**
 * Single kernels on every device, beside what the machine can do at most; run them with {@code
 * ./gradus bench kernels}. They are called as tensors call them, through {@link
 * io.gradus.backend.Backend}, without tensors, checks and gradients.
 */
@NullMarked
package io.gradus.benchmarks.kernels;

import org.jspecify.annotations.NullMarked;
