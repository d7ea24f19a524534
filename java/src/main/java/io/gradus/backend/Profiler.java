package io.gradus.backend;

import io.gradus.core.Checks;
import java.util.List;
import java.util.Map;
import java.util.Queue;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ConcurrentLinkedQueue;
import org.jspecify.annotations.Nullable;

/**
 * Records every operation that devices execute, in all threads, from {@link #start} to {@link
 * #stop}: what it is, its sizes and types, when it began, how long it took, and whether it belongs
 * to the forward pass, the backward pass or the optimizer. One profiler runs at a time. While none
 * does, an operation costs one read of a field more and makes no garbage.
 *
 * <pre>{@code
 * try (Profiler profiler = Profiler.start()) {
 *   for (int i = 0; i < 20; i++) {
 *     trainStep();
 *   }
 *   Profile profile = profiler.stop();
 *   System.out.print(profile.toTable(15));
 *   profile.writeChromeTrace(Path.of("profile.json"));
 * }
 * }</pre>
 *
 * <p><b>What is measured.</b> An operation is a call of a {@link Backend}. Where its default body
 * does the work, the operations that this calls are recorded too, and the time that they take is
 * not the outer one's own ({@linkplain Profile.Entry#self() self time}). Every operation is waited
 * for ({@link Primitives#synchronize}), so that the time is its own also on devices that work
 * behind the caller's back, such as GPUs; there, steps take longer under the profiler, and short
 * operations have the cost of a launch and of waiting in their times. Warm up before: let some
 * steps run under a profiler that is closed, then start another.
 *
 * <p>Some 50 bytes are kept for each operation: profile dozens of steps, not a training run.
 *
 * <p>A captured step is repeated in one call ({@code capturedStep}) without the operations that
 * were recorded for it: profile steps that run eagerly.
 */
public final class Profiler implements AutoCloseable {
  /** What operations are part of. */
  public enum Phase {
    /** All that is none of the others: the forward pass, losses, metrics, copies of batches. */
    FORWARD,
    /** The gradients: what {@code backward} does. */
    BACKWARD,
    /** The step of an optimizer, with clipping, the loss scale and the schedule. */
    OPTIMIZER
  }

  /** Something that takes time until it is closed. */
  @FunctionalInterface
  public interface Span extends AutoCloseable {
    @Override
    void close();
  }

  private static final Span NOTHING = () -> {};

  /** Read by every operation. */
  private static volatile @Nullable Profiler running;

  private final Map<Backend, Backend> profiled = new ConcurrentHashMap<>();
  private final Queue<ProfiledThread> threads = new ConcurrentLinkedQueue<>();
  private final ThreadLocal<ProfiledThread> current = ThreadLocal.withInitial(this::newThread);
  private final ProfiledThread starter;
  private final long started;

  private Profiler() {
    starter = current.get();
    started = System.nanoTime();
  }

  private ProfiledThread newThread() {
    ProfiledThread thread = new ProfiledThread(Thread.currentThread());
    threads.add(thread);
    return thread;
  }

  /**
   * Starts to record.
   *
   * @throws IllegalStateException when another profiler runs
   */
  public static Profiler start() {
    synchronized (Profiler.class) {
      Checks.state(running == null, "[profiler] another one runs: stop it first");
      Profiler profiler = new Profiler();
      running = profiler;
      return profiler;
    }
  }

  /** Whether one runs. */
  public static boolean isRunning() {
    return running != null;
  }

  /**
   * Stops recording. What other threads have not finished by then is left out.
   *
   * @throws IllegalStateException when it was stopped before
   */
  public Profile stop() {
    long ended = System.nanoTime();
    synchronized (Profiler.class) {
      Checks.state(running == this, "[profiler] was stopped already");
      running = null;
    }
    List<ProfiledThread.Recorded> recorded =
        threads.stream().map(ProfiledThread::end).filter(r -> !r.isEmpty()).toList();
    return Profile.of(started, ended, recorded, starter.outside(ended - started));
  }

  /** Stops recording and forgets what was recorded; after {@link #stop} it does nothing. */
  @Override
  public void close() {
    synchronized (Profiler.class) {
      if (running == this) {
        running = null;
      }
    }
  }

  /**
   * Says that this thread's operations belong to a phase until the span is closed, in the same
   * thread. Autograd and optimizers do; a training loop of another kind can.
   */
  public static Span phase(Phase phase) {
    Profiler now = running;
    return now == null ? NOTHING : now.current.get().enter(phase);
  }

  /** A backend as operations are to call it: recorded by the profiler that runs. */
  public static Backend of(Backend backend) {
    Profiler now = running;
    return now == null ? backend : now.profiled(backend);
  }

  private Backend profiled(Backend backend) {
    return profiled.computeIfAbsent(plain(backend), b -> ProfiledBackend.of(b, this));
  }

  /** The backend itself, where what is given is {@link #of} it: what to keep and to compare. */
  public static Backend plain(Backend backend) {
    return ProfiledBackend.plain(backend);
  }

  /** Runs recorded work, as one operation that nothing is known of but its time. */
  public static void launch(Backend backend, RecordedWork work) {
    Profiler now = running;
    if (now == null) {
      work.launch();
      return;
    }
    ProfiledThread thread = now.current.get();
    ProfiledThread.Call call = thread.begin();
    try {
      work.launch();
      backend.synchronize();
    } finally {
      thread.end(call, System.nanoTime(), OperationSignature.of("capturedStep"));
    }
  }

  /** Where the calling thread records; null when this profiler was stopped. */
  @Nullable ProfiledThread thread() {
    return running == this ? current.get() : null;
  }
}
