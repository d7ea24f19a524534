/**
 * The contract between tensors and the machines that compute: {@link io.gradus.backend.Primitives}
 * must be implemented, the group interfaces ({@code ConvOps}, {@code NormOps}, ...) come with
 * default bodies composed from primitives and may be overridden by fused kernels.
 *
 * <p>A default body is at once the portable implementation, the readable specification and the
 * parity reference. Imports {@code core} only.
 */
@NullMarked
package io.gradus.backend;

import org.jspecify.annotations.NullMarked;
