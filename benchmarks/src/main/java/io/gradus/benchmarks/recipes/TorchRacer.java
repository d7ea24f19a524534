package io.gradus.benchmarks.recipes;

import io.gradus.benchmarks.engines.Child;
import io.gradus.benchmarks.engines.PeerException;
import io.gradus.benchmarks.engines.PythonWorker;
import io.gradus.data.Dataset;
import io.gradus.data.TrainTest;
import java.io.BufferedOutputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;

/** PyTorch in a process of its own, see {@code recipe.py}. */
final class TorchRacer implements Racer {
  /** To compile a network for all its shapes takes minutes. */
  private static final int PATIENCE_S = 1200;

  private final String name;
  private final Child child;

  /**
   * Starts it.
   *
   * @param command of its process
   * @param images the file of {@link #write}
   * @param log for its standard error
   * @throws PeerException when it cannot read the images, or has no device
   */
  TorchRacer(String name, List<String> command, Path images, RecipeSizes sizes, Path log)
      throws PeerException, IOException {
    this.name = name;
    child = new Child(command, Map.of(), log, PATIENCE_S);
    String widths = sizes.widths().stream().map(String::valueOf).collect(Collectors.joining(" "));
    try {
      child.ask("recipe " + images + " " + sizes.epochs() + " " + sizes.batch() + " " + widths);
    } catch (PeerException e) {
      child.close();
      throw e;
    }
  }

  /** Starts {@link PythonWorker#EAGER} or {@link PythonWorker#COMPILED}. */
  static TorchRacer start(
      String name, String precision, Path images, RecipeSizes sizes, Path folder)
      throws PeerException, IOException {
    List<String> command = PythonWorker.command(folder, name, precision);
    return new TorchRacer(name, command, images, sizes, folder.resolve("recipe-" + name + ".log"));
  }

  /**
   * Writes the images as the worker reads them: two numbers, and for both sets pixels and labels.
   */
  static void write(TrainTest data, Path file) throws IOException {
    Files.createDirectories(file.toAbsolutePath().getParent());
    try (DataOutputStream out =
        new DataOutputStream(new BufferedOutputStream(Files.newOutputStream(file)))) {
      out.writeInt(data.train().size());
      out.writeInt(data.test().size());
      write(data.train(), out);
      write(data.test(), out);
    }
  }

  private static void write(Dataset images, DataOutputStream out) throws IOException {
    float[] values = new float[(int) images.sampleShape().numel()];
    for (int i = 0; i < images.size(); i++) {
      images.read(i, values, 0);
      for (float value : values) {
        out.writeByte(Math.round(value * 255));
      }
    }
    for (int i = 0; i < images.size(); i++) {
      out.writeByte(images.label(i));
    }
  }

  @Override
  public String name() {
    return name;
  }

  @Override
  public Outcome train(int seed) throws PeerException {
    List<Double> answer = child.numbers("train " + seed);
    if (answer.size() != 2 || !(answer.get(0) > 0)) {
      throw new PeerException("its worker answered " + answer);
    }
    return new Outcome(answer.get(0), answer.get(1));
  }

  @Override
  public void close() {
    child.close();
  }
}
