package io.gradus.benchmarks.kernels;

import io.gradus.backend.Backend;
import io.gradus.backend.RecordedWork;
import io.gradus.backend.Recording;
import io.gradus.benchmarks.libraries.Rotation;
import io.gradus.core.GradusException;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * The calls of a kernel, as they are timed: many of them between two moments at which the device
 * has nothing to do. On GPUs the calls take turns among sets of operands, so that none finds its
 * own in the cache, and they are recorded once and launched together, so that what the host does
 * for each does not count.
 */
final class DeviceCalls implements AutoCloseable {
  private final Backend backend;
  private final List<Workbench> benches = new ArrayList<>();
  private final List<Runnable> sets = new ArrayList<>();
  private @Nullable RecordedWork work;
  private int recorded;

  private DeviceCalls(Backend backend) {
    this.backend = backend;
  }

  /**
   * Makes the operands.
   *
   * @param cacheBytes what is rotated beyond; 0 for a single set
   */
  static DeviceCalls of(Backend backend, KernelCase kernel, long cacheBytes) {
    DeviceCalls calls = new DeviceCalls(backend);
    boolean ready = false;
    try {
      int n = sets(kernel, cacheBytes);
      for (int i = 0; i < n; i++) {
        Workbench bench = new Workbench(backend);
        calls.benches.add(bench);
        calls.sets.add(kernel.setup().prepare(bench));
      }
      ready = true;
      return calls;
    } finally {
      if (!ready) {
        calls.close();
      }
    }
  }

  /** How many sets of operands are three times the cache. */
  static int sets(KernelCase kernel, long cacheBytes) {
    return Rotation.sets(kernel.bytes(), cacheBytes);
  }

  /**
   * Has the calls launched together from now on, where the device and the kernel allow it.
   *
   * @param perCall about how long a call takes, in seconds
   * @param atMostS how long a launch may take
   */
  void record(double perCall, double atMostS) {
    int n = Math.max(sets.size(), (int) Math.min(Rotation.RECORDED, atMostS / perCall));
    try (Recording recording = backend.record()) {
      if (recording == null) {
        return;
      }
      for (int i = 0; i < n; i++) {
        sets.get(i % sets.size()).run();
      }
      RecordedWork done = recording.end();
      work = done;
      recorded = n;
      // A plug-in that works while it records has the first launch behind it.
      done.launch();
      backend.synchronize();
    } catch (GradusException e) {
      // What reads or sets numbers on the host can be called, but not be recorded.
      recorded = 0;
    }
  }

  boolean isRecorded() {
    return recorded > 0;
  }

  /** The seconds that so many calls take. */
  double seconds(int calls) {
    RecordedWork launched = work;
    int launches = launched == null ? calls : Math.max(1, Math.round((float) calls / recorded));
    long began = System.nanoTime();
    for (int i = 0; i < launches; i++) {
      if (launched == null) {
        sets.get(i % sets.size()).run();
      } else {
        launched.launch();
      }
    }
    backend.synchronize();
    double seconds = Math.max(1, System.nanoTime() - began) * 1e-9;
    return launched == null ? seconds : seconds * calls / ((double) launches * recorded);
  }

  @Override
  public void close() {
    RecordedWork launched = work;
    if (launched != null) {
      launched.close();
    }
    benches.forEach(Workbench::close);
  }
}
