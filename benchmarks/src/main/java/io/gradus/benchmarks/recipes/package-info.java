/**
 * The contest of a whole recipe: cifar10-fast, trained with many seeds, of Gradus and of PyTorch.
 */
@NullMarked
package io.gradus.benchmarks.recipes;

import org.jspecify.annotations.NullMarked;
