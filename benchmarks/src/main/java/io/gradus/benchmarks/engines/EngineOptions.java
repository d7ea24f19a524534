package io.gradus.benchmarks.engines;

import io.gradus.benchmarks.report.RunOptions;
import java.util.ArrayList;
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
              + " for kernels pytorch-cudnn, cublas and cudnn.")
  private List<String> peers = List.of();

  /** For picocli. */
  public EngineOptions() {}

  /**
   * Ends the command as bad use where a name is none of an engine.
   *
   * @param kernels whether the command measures single kernels, too
   */
  public void check(RunOptions run, boolean kernels) {
    List<String> known = new ArrayList<>(Peers.NAMES);
    known.addAll(kernels ? PythonWorker.NAMES : PythonWorker.TRAINING);
    if (kernels) {
      known.addAll(LibraryWorker.NAMES);
    }
    run.requireKnown("--peers", peers, known);
  }

  /** Names of other engines that train. */
  List<String> peers() {
    return peers.stream()
        .filter(name -> Peers.NAMES.contains(name) || PythonWorker.TRAINING.contains(name))
        .toList();
  }

  /** Names of those that have single kernels. */
  public List<String> ofKernels() {
    return peers.stream()
        .filter(name -> LibraryWorker.isNamed(name) || PythonWorker.isNamed(name))
        .toList();
  }
}
