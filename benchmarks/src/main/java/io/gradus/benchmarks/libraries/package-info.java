/**
 * What the workers of vendors' libraries for kernels are made of besides the libraries themselves:
 * the protocol, how a kernel is told, and how dense row-major operands look to a library that
 * counts in columns or in NCHW. None of it needs the engine or a GPU.
 */
@NullMarked
package io.gradus.benchmarks.libraries;

import org.jspecify.annotations.NullMarked;
