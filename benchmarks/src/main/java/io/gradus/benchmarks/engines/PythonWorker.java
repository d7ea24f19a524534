package io.gradus.benchmarks.engines;

import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.ArrayList;
import java.util.List;

/**
 * The worker of PyTorch as Python's users know it, scripts that are part of this jar; the
 * environment variable {@code GRADUS_PYTHON} names another Python than {@code python3}.
 */
public final class PythonWorker {
  /** PyTorch as it is. */
  public static final String EAGER = "pytorch";

  /** PyTorch with {@code torch.compile}. */
  public static final String COMPILED = "pytorch-compile";

  /** Those that train. */
  public static final List<String> TRAINING = List.of(EAGER, COMPILED);

  /** PyTorch as it is, with attention that is cuDNN's or fails; for these kernels alone. */
  public static final String CUDNN_ATTENTION = "pytorch-cudnn";

  /** All. */
  public static final List<String> NAMES = List.of(EAGER, COMPILED, CUDNN_ATTENTION);

  private static final String SCRIPT = "torch_worker.py";

  /** It and what it imports. */
  private static final List<String> SCRIPTS =
      List.of(
          SCRIPT,
          "device.py",
          "elements.py",
          "kernels.py",
          "layers.py",
          "networks.py",
          "products.py",
          "recipe.py",
          "training.py");

  private PythonWorker() {}

  /** Whether an engine's name is one of these. */
  public static boolean isNamed(String name) {
    return NAMES.contains(name);
  }

  /** The Python that is asked. */
  static String python() {
    String told = System.getenv("GRADUS_PYTHON");
    return told == null ? "python3" : told;
  }

  /**
   * The command line of a worker.
   *
   * @param folder in which the scripts get a folder of their own
   * @param name one of {@link #NAMES}
   * @param more arguments of the script
   */
  public static List<String> command(Path folder, String name, String... more) throws IOException {
    Path own = Files.createDirectories(folder.resolve("torch-worker"));
    for (String script : SCRIPTS) {
      try (InputStream text =
          PythonWorker.class.getResourceAsStream("/io/gradus/benchmarks/torch/" + script)) {
        if (text == null) {
          throw new IOException(script + " is missing in this build");
        }
        Files.copy(text, own.resolve(script), StandardCopyOption.REPLACE_EXISTING);
      }
    }
    List<String> line = new ArrayList<>();
    line.add(python());
    line.add(own.resolve(SCRIPT).toString());
    line.add(
        switch (name) {
          case COMPILED -> "compile";
          case CUDNN_ATTENTION -> "cudnn";
          default -> "eager";
        });
    line.addAll(List.of(more));
    return line;
  }
}
