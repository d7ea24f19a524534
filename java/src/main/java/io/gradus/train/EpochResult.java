package io.gradus.train;

/**
 * What one epoch gave.
 *
 * @param epoch number from 1
 * @param trainLoss mean loss over the epoch's training batches, as they were trained on
 * @param trainAccuracy share of training samples that were classified rightly, from 0 to 1, as they
 *     were trained on (dropout on)
 * @param testLoss mean loss over the test set; NaN where there is none
 * @param testAccuracy accuracy on the test set, from 0 to 1; NaN where there is none
 * @param imagesPerSecond training samples per second of training time, loading included
 * @param seconds duration of the epoch with its evaluation
 */
public record EpochResult(
    int epoch,
    double trainLoss,
    double trainAccuracy,
    double testLoss,
    double testAccuracy,
    double imagesPerSecond,
    double seconds) {}
