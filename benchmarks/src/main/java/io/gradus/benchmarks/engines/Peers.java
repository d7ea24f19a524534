package io.gradus.benchmarks.engines;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * The engines that were asked for.
 *
 * @param found those that can be started
 * @param missing why others cannot
 */
record Peers(List<Engine> found, Map<String, String> missing) {
  /** Their folders' names; that of single kernels is {@link LibraryWorker}'s. */
  static final List<String> NAMES = List.of("torch", "djl", "tf", "nd4j");

  /** What the launcher says where the peers are with. */
  private static final String FOLDER = "GRADUS_PEERS";

  /** Where the peers are, a folder for each. */
  static Path folder() {
    String told = System.getenv(FOLDER);
    return Path.of(told == null ? "benchmarks/peers" : told);
  }

  /** Those of names, in their order. */
  static Peers find(List<String> names) {
    return find(folder(), names);
  }

  static Peers find(Path folder, List<String> names) {
    List<Engine> found = new ArrayList<>();
    Map<String, String> missing = new LinkedHashMap<>();
    for (String name : names) {
      try {
        found.add(Engine.peer(folder, name));
      } catch (PeerException e) {
        missing.put(name, String.valueOf(e.getMessage()));
      }
    }
    return new Peers(found, missing);
  }

  /** A line for each that is missing. */
  List<Result> missing(String what, Unit unit, int threads) {
    List<Result> lines = new ArrayList<>();
    missing.forEach((name, why) -> lines.add(Result.missing(what, unit, threads, name, why)));
    return lines;
  }
}
