package io.gradus.backend;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/** What a {@link Profiler} has recorded in one thread, which alone adds to it. */
final class ProfiledThread {
  /**
   * An operation that was executed. Times are those of {@link System#nanoTime}.
   *
   * @param self the duration without the operations that it called
   */
  record Event(
      OperationSignature signature, Profiler.Phase phase, long start, long duration, long self) {}

  /** A phase that was gone through. */
  record PhaseEvent(Profiler.Phase phase, long start, long duration) {}

  /** All of a thread. */
  record Recorded(String thread, List<Event> events, List<PhaseEvent> phases) {
    boolean isEmpty() {
      return events.isEmpty() && phases.isEmpty();
    }
  }

  /** An operation that runs; filled in as it goes. */
  static final class Call {
    private final @Nullable Call outer;

    /** When the profiler was entered: earlier than the operation. */
    private final long entered = System.nanoTime();

    /** What the operations that this one called have taken, the profiler's own time included. */
    private long inner;

    private long start;

    private Call(@Nullable Call outer) {
      this.outer = outer;
    }
  }

  private final String name;
  private final Map<OperationSignature, OperationSignature> signatures = new HashMap<>();
  private final List<Event> events = new ArrayList<>();
  private final List<PhaseEvent> phases = new ArrayList<>();
  private Profiler.Phase phase = Profiler.Phase.FORWARD;
  private @Nullable Call call;

  /** Time in operations that no other one called, and in the profiler. */
  private long inside;

  private long overhead;
  private boolean ended;

  ProfiledThread(Thread thread) {
    name = thread.getName();
  }

  /** Begins an operation. */
  Call begin() {
    Call begun = new Call(call);
    call = begun;
    begun.start = System.nanoTime();
    return begun;
  }

  /**
   * Ends it.
   *
   * @param end when it was done: before the signature was made
   */
  void end(Call done, long end, OperationSignature signature) {
    long duration = end - done.start;
    synchronized (this) {
      if (!ended) {
        OperationSignature known = signatures.putIfAbsent(signature, signature);
        events.add(
            new Event(
                known == null ? signature : known,
                phase,
                done.start,
                duration,
                duration - done.inner));
      }
    }
    Call outer = done.outer;
    call = outer;
    long left = System.nanoTime();
    overhead += left - end + done.start - done.entered;
    if (outer == null) {
      inside += left - done.entered;
    } else {
      outer.inner += left - done.entered;
    }
  }

  /** Enters a phase until the span is closed. */
  Profiler.Span enter(Profiler.Phase entered) {
    Profiler.Phase before = phase;
    phase = entered;
    long start = System.nanoTime();
    return () -> {
      phase = before;
      synchronized (this) {
        if (!ended) {
          phases.add(new PhaseEvent(entered, start, System.nanoTime() - start));
        }
      }
    };
  }

  /** Ends recording; called by the thread that stops the profiler. */
  synchronized Recorded end() {
    ended = true;
    return new Recorded(name, List.copyOf(events), List.copyOf(phases));
  }

  /** How a time divides that this thread has spent; asked by itself. */
  Profile.Outside outside(long total) {
    return new Profile.Outside(total - inside, overhead);
  }
}
