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
              + " downloaded. Beside GPUs pytorch and pytorch-compile, which python3 must have.")
  private List<String> peers = List.of();

  /** For picocli. */
  public EngineOptions() {}

  /** Names of other engines. */
  List<String> peers() {
    return peers;
  }
}
