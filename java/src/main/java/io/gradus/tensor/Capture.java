package io.gradus.tensor;

import io.gradus.backend.Backend;
import io.gradus.backend.Profiler;
import io.gradus.backend.Recording;
import io.gradus.core.ArgumentException;
import io.gradus.core.CaptureException;
import io.gradus.core.DType;
import io.gradus.core.Device;
import io.gradus.core.Shape;
import java.util.ArrayList;
import java.util.IdentityHashMap;
import java.util.List;
import java.util.function.IntConsumer;
import java.util.function.Supplier;
import org.jspecify.annotations.Nullable;

/**
 * The step that this thread captures, for those who keep something on the host that changes from
 * step to step: {@link CapturedStep} repeats the step's work on the device without calling them
 * again. What they count they count through {@link #count}; what the device reads in its place,
 * such as a table of learning rates, they keep as a {@link Part}.
 */
public final class Capture {
  private static final ThreadLocal<@Nullable Capture[]> CURRENT =
      ThreadLocal.withInitial(() -> new Capture[1]);

  private final Backend backend;
  private final Recording recording;
  private final List<IntConsumer> counters = new ArrayList<>();
  private final IdentityHashMap<Object, Part> parts = new IdentityHashMap<>();
  private final List<Part> partList = new ArrayList<>();
  private final List<IndexCheck> checks = new ArrayList<>();

  private Capture(Backend backend, Recording recording) {
    this.backend = backend;
    this.recording = recording;
  }

  /** Device state that stands for something on the host. */
  public interface Part extends AutoCloseable {
    /** Adds the last of the step's work, after all that it does. */
    default void finishStep() {}

    /** Brings the device state in line with the host where it is not, before a repetition. */
    void beforeReplay();

    /** Frees the state. */
    @Override
    void close();
  }

  /** An index of the step that must be in a range; out of it, the nearest one counts. */
  private record IndexCheck(String op, long size, Tensor violations) {}

  /** The capture under way in this thread; null where operations run at once. */
  public static @Nullable Capture current() {
    return CURRENT.get()[0];
  }

  /** The capture under way in this thread, when it is one of a device. */
  static @Nullable Capture of(Backend backend) {
    Capture current = current();
    return current != null && current.backend == Profiler.plain(backend) ? current : null;
  }

  /** The device that is recorded. */
  public Device device() {
    return backend.device();
  }

  /** Begins a capture in this thread; null where the device records nothing. */
  static @Nullable Capture begin(Backend backend) {
    Recording recording = backend.record();
    if (recording == null) {
      return null;
    }
    Capture capture = new Capture(backend, recording);
    CURRENT.get()[0] = capture;
    return capture;
  }

  /** Ends it, whether it worked or not. */
  void leave() {
    CURRENT.get()[0] = null;
    recording.close();
  }

  /**
   * Counts a step of something on the host: calls {@code change} with 1, and where the step is
   * being captured, with 1 again at every repetition, or with -1 when the capture fails and the
   * device has done nothing.
   */
  public static void count(IntConsumer change) {
    change.accept(1);
    Capture capture = current();
    if (capture != null) {
      capture.counters.add(change);
    }
  }

  /**
   * Requires that this thread captures nothing.
   *
   * @throws CaptureException when it does
   */
  public static void forbid(String op) {
    if (current() != null) {
      throw new CaptureException(
          "["
              + op
              + "] a captured step cannot contain it: the step is recorded before it runs and then"
              + " repeated without Java; do it before or after the step");
    }
  }

  /**
   * What an owner keeps for this capture.
   *
   * @param maker makes it when it is asked for the first time; its operations run at once and are
   *     not part of the step
   */
  @SuppressWarnings("unchecked") // an owner asks for one type of part
  public <T extends Part> T part(Object owner, Supplier<T> maker) {
    Part part = parts.get(owner);
    if (part == null) {
      part = aside(maker);
      parts.put(owner, part);
      partList.add(part);
    }
    return (T) part;
  }

  /** Runs something at once that is not part of the step. */
  private <T> T aside(Supplier<T> work) {
    @Nullable Capture[] current = CURRENT.get();
    try (Recording.Pause pause = recording.pause();
        Scope s = Scope.open();
        GradMode.Guard g = GradMode.noGrad();
        Precision.Guard p = Precision.suspend()) {
      current[0] = null;
      return work.get();
    } finally {
      current[0] = this;
    }
  }

  /**
   * An index whose elements are in [0, size), or the ignored one: those out of range are brought to
   * the nearest one and counted, so that nothing is read beside a table; see {@link
   * CapturedStep#check()}.
   *
   * @param index INT64 and dense
   */
  Tensor inRange(String op, Tensor index, long size, @Nullable Long ignored) {
    if (index.numel() == 0 || size == 0) {
      return index;
    }
    Tensor violations =
        aside(() -> Scope.escape(Tensor.zeros(index.device(), DType.INT64, Shape.SCALAR)));
    checks.add(new IndexCheck(op, size, violations));
    try (Scope s = Scope.open();
        GradMode.Guard g = GradMode.noGrad()) {
      Tensor zero = Tensor.full(backend, DType.INT64, Shape.SCALAR, 0);
      Tensor last = Tensor.full(backend, DType.INT64, Shape.SCALAR, (double) (size - 1));
      Tensor near = index.maximum(zero).minimum(last);
      if (ignored != null) {
        near = Tensor.where(index.eq((double) ignored), index, near);
      }
      violations.addInPlace(near.ne(index).to(DType.INT64).sum());
      return s.keep(near);
    }
  }

  /** How often each checked index was out of range, as one tensor; null where there is none. */
  @Nullable Tensor violations() {
    return checks.isEmpty()
        ? null
        : Tensor.stack(0, checks.stream().map(IndexCheck::violations).toArray(Tensor[]::new));
  }

  /** Requires that no index was out of range. */
  void requireNone(Readback violations) {
    for (int i = 0; i < checks.size(); i++) {
      double count = violations.get(i);
      if (count > 0) {
        IndexCheck check = checks.get(i);
        throw new ArgumentException(
            String.format(
                "[%s] %.0f indices of captured steps were out of range: there are %d (0 to %d); the"
                    + " nearest one was taken in their place",
                check.op(), count, check.size(), check.size() - 1));
      }
    }
  }

  void finishStep() {
    for (Part part : partList) {
      part.finishStep();
    }
  }

  Recording recording() {
    return recording;
  }

  void beforeReplay() {
    for (int i = 0; i < partList.size(); i++) {
      partList.get(i).beforeReplay();
    }
  }

  /** Frees what the parts keep. */
  void close() {
    partList.forEach(Part::close);
    checks.forEach(c -> c.violations().close());
  }

  /** Counts a step on the host, forth or back. */
  void counted(int change) {
    for (int i = 0; i < counters.size(); i++) {
      counters.get(i).accept(change);
    }
  }
}
