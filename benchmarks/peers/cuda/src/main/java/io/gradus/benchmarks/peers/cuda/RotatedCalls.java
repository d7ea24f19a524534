package io.gradus.benchmarks.peers.cuda;

import io.gradus.benchmarks.libraries.KernelLibrary;
import io.gradus.benchmarks.libraries.KernelSpec;
import io.gradus.benchmarks.libraries.LibraryException;
import io.gradus.benchmarks.libraries.Rotation;
import org.bytedeco.cuda.cudart.CUgraphExec_st;
import org.jspecify.annotations.Nullable;

/**
 * Calls of the fastest way of a plan, which take turns among sets of operands, and are recorded and
 * launched together where CUDA can do that.
 */
final class RotatedCalls implements KernelLibrary.Calls {
  /** Calls by which a way is judged. */
  private static final int TRIED = 5;

  private final Gpu gpu;
  private final Operands operands;
  private final int sets;
  private final Plan.Way way;
  private final int recorded;
  private final @Nullable CUgraphExec_st launched;

  /** Makes the operands and chooses the way. */
  RotatedCalls(Gpu gpu, KernelSpec spec, long cacheBytes, Plan plan) {
    this.gpu = gpu;
    operands = new Operands(gpu, spec);
    boolean ready = false;
    try {
      plan.addSet(operands);
      sets = Rotation.sets((double) operands.bytes(), cacheBytes);
      for (int i = 1; i < sets; i++) {
        plan.addSet(operands);
      }
      way = fastest(plan);
      recorded = Math.max(sets, Rotation.RECORDED);
      launched = record();
      ready = true;
    } finally {
      if (!ready) {
        operands.close();
      }
    }
  }

  private Plan.Way fastest(Plan plan) {
    Plan.Way best = null;
    double least = Double.POSITIVE_INFINITY;
    LibraryException failed = new LibraryException("the library has no way to compute this");
    for (Plan.Way candidate : plan.ways(operands)) {
      try {
        // The first call loads the kernel.
        gpu.seconds(() -> call(candidate, 1));
        double seconds = gpu.seconds(() -> call(candidate, TRIED));
        if (seconds < least) {
          least = seconds;
          best = candidate;
        }
      } catch (LibraryException e) {
        failed = e;
      }
    }
    if (best == null) {
      throw failed;
    }
    return best;
  }

  private @Nullable CUgraphExec_st record() {
    try {
      CUgraphExec_st work = gpu.record(() -> call(way, recorded));
      gpu.seconds(() -> gpu.launch(work));
      return work;
    } catch (LibraryException e) {
      System.err.println("not recorded: " + e.getMessage());
      return null;
    }
  }

  private void call(Plan.Way called, int times) {
    for (int i = 0; i < times; i++) {
      called.call(i % sets);
    }
  }

  @Override
  public double seconds(int calls) {
    CUgraphExec_st work = launched;
    if (work == null) {
      return gpu.seconds(() -> call(way, calls));
    }
    int launches = Math.max(1, Math.round((float) calls / recorded));
    double seconds =
        gpu.seconds(
            () -> {
              for (int i = 0; i < launches; i++) {
                gpu.launch(work);
              }
            });
    return seconds * calls / ((double) launches * recorded);
  }

  @Override
  public void close() {
    if (launched != null) {
      Gpu.destroy(launched);
    }
    operands.close();
  }
}
