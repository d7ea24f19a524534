package io.gradus.train;

import io.gradus.core.ArgumentException;
import io.gradus.core.Checks;
import io.gradus.core.Shape;
import io.gradus.nn.BatchNorm2d;
import io.gradus.nn.Conv2d;
import io.gradus.nn.Dropout;
import io.gradus.nn.Flatten;
import io.gradus.nn.GlobalAvgPool2d;
import io.gradus.nn.Identity;
import io.gradus.nn.Linear;
import io.gradus.nn.MaxPool2d;
import io.gradus.nn.Module;
import io.gradus.nn.ReLU;
import io.gradus.nn.Residual;
import io.gradus.nn.Sequential;
import io.gradus.tensor.Conv2dOptions;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.stream.Collectors;

/** The networks of the command line. Input size, channels and classes follow the data. */
public enum Networks {
  /** Two hidden layers of 512 with ReLU and dropout 0.5; images are flattened. */
  MLP {
    @Override
    Module build(Shape sample, int classes) {
      return new Sequential(
          new Flatten(),
          new Linear(sample.numel(), HIDDEN),
          new ReLU(),
          new Dropout(0.5),
          new Linear(HIDDEN, HIDDEN),
          new ReLU(),
          new Dropout(0.5),
          new Linear(HIDDEN, classes));
    }
  },

  /**
   * Convolutions 3x3 to 32 and 64 channels, each with batch norm and ReLU; max-pool 2, dropout
   * 0.25; a hidden layer of 128 with ReLU and dropout 0.5.
   */
  CNN {
    @Override
    Module build(Shape sample, int classes) {
      image(sample, this, 2);
      long pixels = sample.dim(0) / 2 * (sample.dim(1) / 2);
      return new Sequential(
          conv(sample.dim(2), 32, 3, 1),
          new BatchNorm2d(32),
          new ReLU(),
          conv(32, 64, 3, 1),
          new BatchNorm2d(64),
          new ReLU(),
          new MaxPool2d(2),
          new Dropout(0.25),
          new Flatten(),
          new Linear(64 * pixels, 128),
          new ReLU(),
          new Dropout(0.5),
          new Linear(128, classes));
    }
  },

  /**
   * The residual network of 20 layers for CIFAR: 3x3 convolutions in three stages of three blocks
   * with 16, 32 and 64 channels. Where a stage begins the shortcut is a 1x1 convolution of stride 2
   * with batch norm (option B of the paper).
   *
   * <p>Source: He, Zhang, Ren, Sun, "Deep residual learning for image recognition", CVPR 2016,
   * section 4.2.
   */
  RESNET20 {
    @Override
    Module build(Shape sample, int classes) {
      image(sample, this, 4);
      List<Module> layers = new ArrayList<>();
      layers.add(conv(sample.dim(2), 16, 3, 1));
      layers.add(new BatchNorm2d(16));
      layers.add(new ReLU());
      int channels = 16;
      for (int width : new int[] {16, 32, 64}) {
        for (int block = 0; block < 3; block++) {
          int stride = width != channels ? 2 : 1;
          layers.add(residual(channels, width, stride));
          channels = width;
        }
      }
      layers.add(new GlobalAvgPool2d());
      layers.add(new Linear(channels, classes));
      return new Sequential(layers.toArray(Module[]::new));
    }
  };

  private static final int HIDDEN = 512;

  private static Module conv(long in, long out, int kernel, int stride) {
    // No bias: the batch norm behind every convolution would take it away again.
    return new Conv2d(in, out, kernel, kernel, Conv2dOptions.of(stride, kernel / 2), false);
  }

  private static Module residual(int in, int out, int stride) {
    Module main =
        new Sequential(
            conv(in, out, 3, stride),
            new BatchNorm2d(out),
            new ReLU(),
            conv(out, out, 3, 1),
            new BatchNorm2d(out));
    Module shortcut =
        stride == 1 && in == out
            ? new Identity()
            : new Sequential(conv(in, out, 1, stride), new BatchNorm2d(out));
    return new Residual(main, shortcut, new ReLU());
  }

  private static void image(Shape sample, Networks network, int least) {
    Checks.shape(
        sample.rank() == 3 && sample.dim(0) >= least && sample.dim(1) >= least,
        "[%s] needs images of at least %dx%d, but samples have shape %s: use the model mlp",
        network.label(),
        least,
        least,
        sample);
  }

  abstract Module build(Shape sample, int classes);

  /**
   * A network with fresh weights drawn from this thread's generator.
   *
   * @param sampleShape {@code [H, W, C]} for images, {@code [F]} for table rows
   * @param classes number of logits
   * @throws io.gradus.core.ShapeException when the network does not take such samples
   */
  public Module create(Shape sampleShape, int classes) {
    Checks.argument(classes >= 2, "[%s] needs at least 2 classes, not %d", label(), classes);
    return build(sampleShape, classes);
  }

  /** The name on the command line. */
  public String label() {
    return name().toLowerCase(Locale.ROOT);
  }

  /**
   * The network of a name.
   *
   * @throws io.gradus.core.ArgumentException when there is none
   */
  public static Networks parse(String label) {
    return Arrays.stream(values())
        .filter(n -> n.label().equals(label))
        .findFirst()
        .orElseThrow(
            () ->
                new ArgumentException(
                    "[model] there is no model '" + label + "'; there are " + labels()));
  }

  private static String labels() {
    return Arrays.stream(values()).map(Networks::label).collect(Collectors.joining(", "));
  }
}
