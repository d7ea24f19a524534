package io.gradus.benchmarks.engines;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * One thing that every engine does, each in a process of its own. Rounds alternate between the
 * engines, so that whatever else the machine does hits all alike. A process that waits for its turn
 * does nothing.
 */
abstract class Contest {
  private final String what;
  private final Unit unit;
  private final int threads;
  private final int rounds;
  private final Path folder;

  /** One engine at work, or out of it with the reason. */
  private static final class Lane {
    final Engine engine;
    final List<Double> laps = new ArrayList<>();
    @Nullable Entrant entrant;
    @Nullable String failure;

    Lane(Engine engine) {
      this.engine = engine;
    }

    void close() {
      Entrant open = entrant;
      if (open != null) {
        open.close();
      }
    }
  }

  /** What is done with an engine that takes part. */
  private interface Turn {
    void take(Lane lane, Entrant entrant) throws PeerException;
  }

  /**
   * A contest.
   *
   * @param what what the engines do
   * @param unit what is measured of it
   * @param folder for the processes' standard error
   */
  Contest(String what, Unit unit, int threads, int rounds, Path folder) {
    this.what = what;
    this.unit = unit;
    this.threads = threads;
    this.rounds = rounds;
    this.folder = folder;
  }

  /**
   * Gets an engine ready for its first lap.
   *
   * @throws PeerException when it cannot take part
   */
  abstract Entrant enter(Engine engine) throws PeerException;

  /**
   * Measures. A peer that fails gets a line that says why; the others go on without it.
   *
   * @param ours the engine that the others are compared with
   * @return a result for each engine, ours first
   * @throws PeerException when ours fails
   */
  final List<Result> run(Engine ours, List<Engine> peers) throws PeerException {
    List<Lane> lanes = new ArrayList<>();
    lanes.add(new Lane(ours));
    peers.forEach(peer -> lanes.add(new Lane(peer)));
    try {
      for (Lane lane : lanes) {
        progress(lane.engine.name() + " gets ready");
        try {
          lane.entrant = enter(lane.engine);
        } catch (PeerException e) {
          fail(lane, lanes.get(0), e);
        }
      }
      for (int round = 1; round <= rounds; round++) {
        progress("round " + round + " of " + rounds);
        turn(lanes, (lane, entrant) -> lane.laps.add(entrant.lap()));
      }
      List<Result> results = new ArrayList<>();
      turn(lanes, (lane, entrant) -> results.add(result(lane, entrant, lanes.get(0))));
      for (Lane lane : lanes) {
        String failure = lane.failure;
        if (failure != null) {
          results.add(Result.missing(what, unit, threads, lane.engine.name(), failure));
        }
      }
      return results;
    } finally {
      lanes.forEach(Lane::close);
    }
  }

  private static void turn(List<Lane> lanes, Turn turn) throws PeerException {
    for (Lane lane : lanes) {
      Entrant entrant = lane.entrant;
      if (entrant != null && lane.failure == null) {
        try {
          turn.take(lane, entrant);
        } catch (PeerException e) {
          fail(lane, lanes.get(0), e);
          lane.close();
        }
      }
    }
  }

  private static void fail(Lane lane, Lane ours, PeerException e) throws PeerException {
    if (lane == ours) {
      throw e;
    }
    lane.failure = String.valueOf(e.getMessage());
  }

  private Result result(Lane lane, Entrant entrant, Lane ours) throws PeerException {
    String name = lane.engine.name();
    Entrant first = ours.entrant;
    if (lane == ours || first == null) {
      return new Result(
          what, unit, threads, name, entrant.about(), lane.laps, null, entrant.peakBytes(), null);
    }
    Double difference =
        first.losses().isEmpty() ? null : Result.difference(first.losses(), entrant.losses());
    return new Result(
        what,
        unit,
        threads,
        name,
        entrant.about(),
        lane.laps,
        Result.advantage(unit, ours.laps, lane.laps),
        entrant.peakBytes(),
        difference,
        tolerance());
  }

  /** The largest relative difference of losses that is put down to rounding. */
  double tolerance() {
    return Result.TOLERANCE;
  }

  final int threads() {
    return threads;
  }

  /** The file for the standard error of an engine's process. */
  final Path log(Engine engine) {
    return folder.resolve(what.replace(' ', '-') + "-" + threads + "-" + engine.name() + ".log");
  }

  final void progress(String text) {
    System.err.printf("%s, threads %d: %s%n", what, threads, text);
  }
}
