/**
 * Measures of a model over a data set, taken in batch by batch on the host: accuracy, top-k,
 * confusion matrix, precision, recall, F1, ROC-AUC and mean loss, each also per subgroup.
 *
 * <p>A {@link io.gradus.metrics.Metric} takes batches, {@link io.gradus.metrics.Predictions} or
 * {@link io.gradus.metrics.Losses}, and can be asked for its value at any time. Counts are exact
 * and sums are in double, so a value does not depend on how the samples were split into batches
 * (mean loss: up to the rounding of double). Imports {@code tensor} and {@code core} only.
 */
@NullMarked
package io.gradus.metrics;

import org.jspecify.annotations.NullMarked;
