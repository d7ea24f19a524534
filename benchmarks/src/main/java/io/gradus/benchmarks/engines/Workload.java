package io.gradus.benchmarks.engines;

import java.util.Arrays;
import java.util.List;
import java.util.Locale;

/**
 * What is trained: the networks of the command line at batches and images that are common for them,
 * with 10 classes, and larger ones for GPUs. All have cross-entropy, and AdamW with the settings
 * below.
 */
public enum Workload {
  /** 784-512-512-10 with ReLU and dropout 0.5. */
  MLP(128, 28, 1, Workload.CLASSES),

  /** Convolutions 3x3 to 32 and 64 channels with batch norm, dropout, two linear layers. */
  CNN(64, 28, 1, Workload.CLASSES),

  /** The residual network of 20 layers for CIFAR. */
  RESNET20(64, 32, 3, Workload.CLASSES),

  /** The residual network of 18 layers for ImageNet. */
  RESNET18(256, 224, 3, 1000),

  /** The residual network of 50 layers for ImageNet. */
  RESNET50(128, 224, 3, 1000),

  /** A transformer of 6 layers and width 384 on 64 texts of 256 characters. */
  GPT(64, 256, 0, 96),

  /** GPT-2 (124M) on 8 texts of 1024 tokens; the vocabulary is a multiple of 64. */
  GPT2(8, 1024, 0, 50304),

  /** {@link #RESNET18} on images of 64x64, to be tried anywhere. */
  TINY_RESNET18(4, 64, 3, Workload.CLASSES),

  /** {@link #RESNET50} on images of 64x64, to be tried anywhere. */
  TINY_RESNET50(4, 64, 3, Workload.CLASSES),

  /** A transformer of one layer and width 64, to be tried anywhere. */
  TINY_GPT(2, 16, 0, 32);

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
  private final int classes;

  Workload(int batch, int side, int channels, int classes) {
    this.batch = batch;
    this.side = side;
    this.channels = channels;
    this.classes = classes;
  }

  /** Images in a step, or texts. */
  public int batch() {
    return batch;
  }

  /** Number of logits, or of tokens that there are. */
  public int classes() {
    return classes;
  }

  /** Whether it learns texts, of {@link #side} tokens. */
  public boolean isText() {
    return channels == 0;
  }

  /** What is counted in a step: images, or tokens. */
  int samples() {
    return isText() ? batch * side : batch;
  }

  /**
   * How many times more than the others it makes of rounding errors in its first steps: 50 batch
   * norms, each over few values at the end. Gradus' own devices differ by 2e-3 there.
   */
  double amplification() {
    return this == RESNET50 || this == TINY_RESNET50 ? 10 : 1;
  }

  /** What is measured. */
  Unit unit() {
    return isText() ? Unit.TOKENS_PER_SECOND : Unit.IMAGES_PER_SECOND;
  }

  /** Those that every engine knows. */
  public static List<Workload> common() {
    return List.of(MLP, CNN, RESNET20);
  }

  /** Height and width of an image, or tokens of a text. */
  public int side() {
    return side;
  }

  /** Channels of an image; 0 for texts. */
  public int channels() {
    return channels;
  }

  /** The name on the command line. */
  public String label() {
    return name().toLowerCase(Locale.ROOT).replace('_', '-');
  }

  /** All names. */
  static List<String> labels() {
    return Arrays.stream(values()).map(Workload::label).toList();
  }

  /**
   * The workload of a name.
   *
   * @throws IllegalArgumentException when there is none
   */
  public static Workload parse(String label) {
    return valueOf(label.toUpperCase(Locale.ROOT).replace('-', '_'));
  }
}
