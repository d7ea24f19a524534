/**
 * Files that outlive the process: safetensors weights, checkpoints that a run resumes from bit for
 * bit, and atomic replacement of any file.
 *
 * <p>Works on {@code Map<String, Tensor>}; imports {@code tensor}, {@code backend} and {@code core}
 * only. Everything read is taken as hostile: no Java serialization, every length is checked against
 * the file before memory is spent on it, and damage is a {@link io.gradus.core.FormatException}.
 * Everything written goes to a temporary file first and replaces the old one in a single rename.
 */
@NullMarked
package io.gradus.io;

import org.jspecify.annotations.NullMarked;
