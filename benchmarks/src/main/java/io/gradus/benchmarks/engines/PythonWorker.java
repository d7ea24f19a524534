package io.gradus.benchmarks.engines;

import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.ArrayList;
import java.util.List;

/**
 * The worker of PyTorch as Python's users know it, a script that is part of this jar; the
 * environment variable {@code GRADUS_PYTHON} names another Python than {@code python3}.
 */
public final class PythonWorker {
  /** PyTorch as it is. */
  public static final String EAGER = "pytorch";

  /** PyTorch with {@code torch.compile}. */
  public static final String COMPILED = "pytorch-compile";

  private static final String SCRIPT = "torch_worker.py";

  private PythonWorker() {}

  /** Whether an engine's name is one of these. */
  public static boolean isNamed(String name) {
    return name.equals(EAGER) || name.equals(COMPILED);
  }

  /**
   * The command line of a worker.
   *
   * @param folder where the script is put
   * @param name {@link #EAGER} or {@link #COMPILED}
   * @param more arguments of the script
   */
  public static List<String> command(Path folder, String name, String... more) throws IOException {
    Path script = Files.createDirectories(folder).resolve(SCRIPT);
    try (InputStream text =
        PythonWorker.class.getResourceAsStream("/io/gradus/benchmarks/" + SCRIPT)) {
      if (text == null) {
        throw new IOException(SCRIPT + " is missing in this build");
      }
      Files.copy(text, script, StandardCopyOption.REPLACE_EXISTING);
    }
    String told = System.getenv("GRADUS_PYTHON");
    List<String> line = new ArrayList<>();
    line.add(told == null ? "python3" : told);
    line.add(script.toString());
    line.add(name.equals(COMPILED) ? "compile" : "eager");
    line.addAll(List.of(more));
    return line;
  }
}
