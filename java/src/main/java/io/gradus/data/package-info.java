/**
 * Data sets on the host and the loader that turns them into batches of tensors.
 *
 * <p>{@link io.gradus.data.Datasets} recognises what a folder holds and {@link
 * io.gradus.data.Digits} draws a data set that needs no files; both give a {@link
 * io.gradus.data.Dataset} for training and one for testing. {@link io.gradus.data.Standardise}
 * learns mean and deviation from the training set, and {@link io.gradus.data.DataLoader} shuffles,
 * prefetches and applies them. Files are treated as hostile: whatever they hold, the answer is a
 * data set or a {@link io.gradus.core.FormatException}. Imports {@code core}, {@code backend} and
 * {@code tensor}; the last only where batches are made.
 */
@NullMarked
package io.gradus.data;

import org.jspecify.annotations.NullMarked;
