/**
 * Tensors and the autograd engine: eager, define-by-run, with PyTorch's semantics.
 *
 * <p>{@link io.gradus.tensor.Tensor} has the element-wise, shape, reduction and indexing
 * operations; operations of networks stand in one class per group ({@code Conv}, {@code Pool},
 * {@code Norm}, {@code Loss}, ...), under the same group name as in {@code backend}. Every
 * differentiable operation is a {@link io.gradus.tensor.Function}. Imports {@code core} and {@code
 * backend}.
 */
@NullMarked
package io.gradus.tensor;

import org.jspecify.annotations.NullMarked;
