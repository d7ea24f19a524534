package io.gradus.benchmarks.engines;

import java.io.File;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * The workers of NVIDIA's libraries, which are taken from where this machine has them: the folders
 * of {@code LD_LIBRARY_PATH}, then the packages of Python, so that PyTorch and we call the same,
 * then the CUDA toolkit.
 */
public final class LibraryWorker {
  /** Products of matrices, through cublasLt. */
  public static final String CUBLAS = "cublas";

  /** Convolutions, batch norm, softmax, pooling and dropout. */
  public static final String CUDNN = "cudnn";

  /** Both. */
  public static final List<String> NAMES = List.of(CUBLAS, CUDNN);

  /** The folder of their peer. */
  static final String PEER = "cuda";

  private static final String PATH = "LD_LIBRARY_PATH";

  private static final Map<String, Set<String>> KERNELS =
      Map.of(
          CUBLAS,
          Set.of("matmul", "batched_matmul", "linear"),
          CUDNN,
          Set.of(
              "conv",
              "batch_norm",
              "batch_norm_gradient",
              "softmax",
              "softmax_gradient",
              "max_pool",
              "max_pool_gradient",
              "average_pool",
              "dropout"));

  /** Prints the folders with libraries of Python's packages; nothing where there are none. */
  private static final String FOLDERS =
      "import glob, nvidia, os;"
          + " print(os.pathsep.join(d for p in nvidia.__path__"
          + " for d in sorted(glob.glob(os.path.join(p, '*', 'lib')))))";

  private LibraryWorker() {}

  /** Whether an engine's name is one of these. */
  public static boolean isNamed(String name) {
    return NAMES.contains(name);
  }

  /**
   * Whether a library has a kernel.
   *
   * @param spec the kernel as workers are told it, its name first
   */
  public static boolean knows(String library, String spec) {
    return KERNELS.getOrDefault(library, Set.of()).contains(spec.split(" ", 2)[0]);
  }

  /**
   * The command line of a worker.
   *
   * @param name {@link #CUBLAS} or {@link #CUDNN}
   * @throws PeerException when its jar is not here
   */
  public static List<String> command(String name) throws PeerException {
    List<String> line = new ArrayList<>(Engine.peer(Peers.folder(), PEER).line());
    line.add(name);
    return line;
  }

  /** What a worker's environment has besides this process's own. */
  public static Map<String, String> environment() {
    return Map.of(
        PATH, path(System.getenv(), ofPython(List.of(PythonWorker.python(), "-c", FOLDERS))));
  }

  /**
   * The folders to search.
   *
   * @param python those of Python's packages, with colons between them
   */
  static String path(Map<String, String> environment, String python) {
    String toolkit = environment.getOrDefault("CUDA_HOME", "/usr/local/cuda") + "/lib64";
    List<String> folders = new ArrayList<>();
    for (String part : List.of(environment.getOrDefault(PATH, ""), python, toolkit)) {
      if (!part.isBlank()) {
        folders.add(part);
      }
    }
    return String.join(File.pathSeparator, folders);
  }

  /** What Python prints; nothing where it fails. */
  static String ofPython(List<String> command) {
    try {
      Process process =
          new ProcessBuilder(command).redirectError(ProcessBuilder.Redirect.DISCARD).start();
      process.getOutputStream().close();
      String text = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
      return process.waitFor() == 0 ? text.strip() : "";
    } catch (IOException e) {
      return "";
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      return "";
    }
  }
}
