package io.gradus.benchmarks.engines;

import java.util.List;

/** One engine's training of one workload. Weights and the batch come from {@link #load}. */
public interface Training {
  /** Opens the training of a workload; the engine's threads and the setting are chosen once. */
  interface Factory {
    /**
     * A training.
     *
     * @param workload what to train
     * @param threads threads of the CPU
     * @param setting one of those that {@link #settings} gives
     */
    Training open(Workload workload, int threads, String setting);

    /**
     * The ways in which this engine can train a workload, of which the benchmark takes the best.
     * Each is a list of words with commas between them; one such as {@code NAME=value} is set in
     * the environment of the process.
     */
    List<String> settings(Workload workload, int threads);

    /**
     * The sum of two tensors of one element, as a user of this engine writes it without gradients;
     * each run computes it once and frees what it made.
     *
     * @param threads threads of the CPU
     */
    TinyOp tinyOp(int threads);
  }

  /**
   * An operation that costs nothing but its call.
   *
   * @param about one line: how it is called
   * @param run computes it once
   */
  record TinyOp(String about, Runnable run) {}

  /** One line: the engine, its version, and with what it computes. */
  String about();

  /**
   * Takes the network's weights and the batch: {@code x} [N, H, W, C], {@code y} [N], and the state
   * by Gradus' names and in Gradus' layout (convolution weights [out, kh, kw, in], linear weights
   * [out, in]).
   */
  void load(List<Arrays.Named> state);

  /**
   * One step: forward, cross-entropy, backward, AdamW.
   *
   * @param dropout whether dropout drops
   * @return the loss
   */
  double step(boolean dropout);

  /**
   * So many steps with dropout; all of their work is done at the end. By default each gives its
   * loss; engines on GPUs need not wait for it.
   */
  default void train(int steps) {
    for (int i = 0; i < steps; i++) {
      step(true);
    }
  }

  /** The bytes of a GPU's memory that were in use at most; 0 where it computes on the processor. */
  default long peakBytes() {
    return 0;
  }
}
