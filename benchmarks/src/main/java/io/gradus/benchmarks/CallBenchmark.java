package io.gradus.benchmarks;

import io.gradus.backend.plugin.jni.Native;
import io.gradus.core.Device;
import io.gradus.tensor.GradMode;
import io.gradus.tensor.Scope;
import io.gradus.tensor.Tensor;
import java.io.File;
import java.io.IOException;
import java.util.concurrent.TimeUnit;
import org.bytedeco.javacpp.Loader;
import org.bytedeco.javacpp.LongPointer;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.BenchmarkMode;
import org.openjdk.jmh.annotations.Fork;
import org.openjdk.jmh.annotations.Measurement;
import org.openjdk.jmh.annotations.Mode;
import org.openjdk.jmh.annotations.OutputTimeUnit;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;
import org.openjdk.jmh.annotations.Warmup;

/**
 * What a call costs on its way to a kernel: through JNI to a function that returns at once, to an
 * emulated kernel that does nothing, and from a tensor to a kernel on one element. The last two
 * have the checks and the allocation of the result in them.
 */
@State(org.openjdk.jmh.annotations.Scope.Thread)
@BenchmarkMode(Mode.AverageTime)
@OutputTimeUnit(TimeUnit.NANOSECONDS)
@Warmup(iterations = 3, time = 1)
@Measurement(iterations = 5, time = 1)
@Fork(1)
public class CallBenchmark {
  private long stream;
  private Tensor cpu = Tensor.scalar(0);
  private Tensor emulated = Tensor.scalar(0);

  /** For JMH. */
  public CallBenchmark() {}

  /** Loads the emulated plug-in beside the one that the engine holds. */
  @Setup
  public void open() throws IOException {
    Loader.load(Native.class);
    File library =
        Loader.cacheResource(Native.class, Loader.getPlatform() + "/libgradus_emulated.so");
    if (library == null) {
      throw new IllegalStateException("this build has no emulated plug-in: install g++ and CMake");
    }
    try (LongPointer word = new LongPointer(1)) {
      check(Native.gr_load(library.getPath(), word.address()));
      check(Native.gr_stream_create(0, word.address(), word.get()));
      stream = word.get();
    }
    cpu = Tensor.ones(1);
    emulated = Tensor.ones(1).to(Device.emulated());
  }

  private static void check(int status) {
    if (status != Native.GR_OK) {
      throw new IllegalStateException(Native.gr_load_error().getString());
    }
  }

  /** JNI and the function table. */
  @Benchmark
  public int jni() {
    return Native.gr_stream_synchronize(stream);
  }

  /** The same and the launch of an emulated kernel that does nothing. */
  @Benchmark
  public int emulatedNoop() {
    return Native.gr_noop(0, 0, 0, 0, stream);
  }

  /** From a tensor to a kernel on one element, which the processor's own plug-in runs at once. */
  @Benchmark
  public long tensor() {
    return negate(cpu);
  }

  /** The same with an emulated kernel: a block of threads that are fibers. */
  @Benchmark
  public long tensorEmulated() {
    return negate(emulated);
  }

  private static long negate(Tensor x) {
    try (GradMode.Guard off = GradMode.noGrad();
        Scope scope = Scope.open()) {
      return x.neg().numel();
    }
  }
}
