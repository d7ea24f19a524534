package io.gradus.benchmarks.engines;

import java.util.List;
import picocli.CommandLine.Option;

/** Which engines a benchmark measures. */
public final class EngineOptions {
  @Option(
      names = "--peers",
      paramLabel = "NAME",
      split = ",",
      description =
          "Other engines to measure, of torch, djl, tf, nd4j; the first time their libraries are"
              + " downloaded. Beside GPUs pytorch and pytorch-compile, which python3 must have, and"
              + " for kernels cublas and cudnn.")
  private List<String> peers = List.of();

  /** For picocli. */
  public EngineOptions() {}

  /** Names of other engines. */
  List<String> peers() {
    return peers.stream().filter(name -> !LibraryWorker.isNamed(name)).toList();
  }

  /** Names of those that have single kernels. */
  public List<String> ofKernels() {
    return peers.stream()
        .filter(name -> LibraryWorker.isNamed(name) || PythonWorker.isNamed(name))
        .toList();
  }
}
