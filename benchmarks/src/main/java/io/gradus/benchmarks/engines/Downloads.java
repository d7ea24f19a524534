package io.gradus.benchmarks.engines;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/** The size of what a user's build downloads for an engine on this platform. */
final class Downloads {
  static final String WHAT = "download";
  private static final double MB = 1e6;

  /** The benchmarks' own, which nobody else needs. */
  private static final List<String> OURS =
      List.of("gradus-benchmarks", "gradus-peer", "jmh-", "jopt-simple", "commons-math3-3.6");

  private Downloads() {}

  /** A result for each engine, ours first. */
  static List<Result> measure(int threads, Engine ours, List<Engine> peers) {
    List<Engine> engines = new ArrayList<>(List.of(ours));
    engines.addAll(peers);
    List<Result> results = new ArrayList<>();
    double first = 0;
    for (Engine engine : engines) {
      try {
        List<Path> jars = counted(engine.jars());
        double size = 0;
        for (Path jar : jars) {
          size += Files.size(jar) / MB;
        }
        first = engine.equals(ours) ? size : first;
        results.add(
            new Result(
                WHAT,
                Unit.MEGABYTES,
                threads,
                engine.name(),
                jars.size() + " jars",
                List.of(size),
                engine.equals(ours) || first == 0
                    ? null
                    : Result.advantage(Unit.MEGABYTES, List.of(first), List.of(size)),
                0,
                null));
      } catch (IOException e) {
        String reason = String.valueOf(e.getMessage());
        results.add(Result.missing(WHAT, Unit.MEGABYTES, threads, engine.name(), reason));
      }
    }
    return results;
  }

  private static List<Path> counted(List<Path> jars) throws IOException {
    List<Path> counted =
        jars.stream()
            .filter(
                jar -> OURS.stream().noneMatch(own -> jar.getFileName().toString().startsWith(own)))
            .toList();
    if (counted.isEmpty()) {
      throw new IOException("it runs from classes, not from jars");
    }
    return counted;
  }
}
