/**
 * Backends behind the C ABI: {@code cuda} and {@code emulated}, the same kernels compiled by nvcc
 * and by the host's compiler, and {@code cpu}, the same functions in SIMD C++. A group's class
 * calls the kernels and falls back to the group's default body where a plug-in has none for the
 * arguments.
 *
 * <p>Imports {@code core}, {@code backend} and the binding that JavaCPP made of the C headers.
 */
@NullMarked
package io.gradus.backend.plugin;

import org.jspecify.annotations.NullMarked;
