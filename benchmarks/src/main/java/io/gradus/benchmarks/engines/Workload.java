package io.gradus.benchmarks.engines;

import java.util.Locale;

/**
 * What is trained: the networks of the command line at batches and images that are common for them.
 * All have 10 classes, cross-entropy, and AdamW with the settings below.
 */
public enum Workload {
  /** 784-512-512-10 with ReLU and dropout 0.5. */
  MLP(128, 28, 1),

  /** Convolutions 3x3 to 32 and 64 channels with batch norm, dropout, two linear layers. */
  CNN(64, 28, 1),

  /** The residual network of 20 layers for CIFAR. */
  RESNET20(64, 32, 3);

  /** Number of logits. */
  public static final int CLASSES = 10;

  /** AdamW's learning rate. */
  public static final double LR = 1e-3;

  /** AdamW's decay of the first moment. */
  public static final double BETA1 = 0.9;

  /** AdamW's decay of the second moment. */
  public static final double BETA2 = 0.999;

  /** What AdamW adds to the root of the second moment. */
  public static final double EPS = 1e-8;

  /** AdamW's weight decay. */
  public static final double WEIGHT_DECAY = 0.01;

  private final int batch;
  private final int side;
  private final int channels;

  Workload(int batch, int side, int channels) {
    this.batch = batch;
    this.side = side;
    this.channels = channels;
  }

  /** Images in a step. */
  public int batch() {
    return batch;
  }

  /** Height and width of an image. */
  public int side() {
    return side;
  }

  /** Channels of an image. */
  public int channels() {
    return channels;
  }

  /** The name on the command line. */
  public String label() {
    return name().toLowerCase(Locale.ROOT);
  }

  /**
   * The workload of a name.
   *
   * @throws IllegalArgumentException when there is none
   */
  public static Workload parse(String label) {
    return valueOf(label.toUpperCase(Locale.ROOT));
  }
}
