package io.gradus.tensor;

import io.gradus.backend.Backend;
import io.gradus.backend.Backends;
import io.gradus.backend.Buffer;
import io.gradus.backend.Memory;
import io.gradus.backend.Profiler;
import io.gradus.backend.RandomKind;
import io.gradus.core.Checks;
import io.gradus.core.DType;
import io.gradus.core.Device;
import io.gradus.core.Shape;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import org.jspecify.annotations.Nullable;

/**
 * A source of random numbers: a seed and a count of the operations that drew from it. The numbers
 * of an operation are a pure function of seed, count and element index (Philox4x32-10), so they are
 * the same on every backend and for any number of threads.
 *
 * <p>Every thread has a generator of its own with seed 0 until {@link #seed(long)} sets another.
 *
 * <p>Source: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011.
 *
 * <pre>{@code
 * Generator.seed(42);
 * Tensor x = Tensor.randn(2, 3);
 * Generator.seed(42);
 * Tensor same = Tensor.randn(2, 3);   // bit for bit
 * }</pre>
 */
public final class Generator {
  private static final ThreadLocal<Generator> CURRENT =
      ThreadLocal.withInitial(() -> new Generator(0));

  private final long seed;
  private long stream;

  /** Whose numbers are drawn once more; null for a generator of its own. */
  private final @Nullable Generator origin;

  private final Map<Backend, Memory> states = new ConcurrentHashMap<>();

  /** A generator at the start of a seed's sequence. */
  public Generator(long seed) {
    this(seed, 0);
  }

  /**
   * A generator at the place where another stood, such as one saved in a checkpoint.
   *
   * @param seed the other's {@link #seed()}
   * @param offset the other's {@link #offset()}
   */
  public Generator(long seed, long offset) {
    this.seed = seed;
    this.stream = offset;
    this.origin = null;
  }

  /** This thread's generator. */
  public static Generator current() {
    return CURRENT.get();
  }

  /** Gives this thread a new generator with a seed. */
  public static Generator seed(long seed) {
    return use(new Generator(seed));
  }

  /**
   * Makes a generator this thread's.
   *
   * @return the generator
   * @throws io.gradus.core.CaptureException in a captured step
   */
  public static Generator use(Generator generator) {
    Capture.forbid("generator");
    set(generator);
    return generator;
  }

  /** Makes a generator this thread's, within a captured step too. */
  static void set(Generator generator) {
    CURRENT.set(generator);
  }

  /**
   * A generator that draws once more what this one drew from an offset on, in repetitions of a
   * captured step too.
   */
  Generator again(long from) {
    return new Generator(origin == null ? this : origin, from);
  }

  private Generator(Generator origin, long from) {
    this.seed = origin.seed;
    this.stream = from;
    this.origin = origin;
  }

  /** The seed. */
  public long seed() {
    return seed;
  }

  /** How many operations have drawn. */
  public long offset() {
    return stream;
  }

  /** Takes the number of the next random operation, counted from the base of {@link #state}. */
  long nextStream(Backend backend) {
    if (origin != null) {
      return stream++ - origin.base(backend);
    }
    long number = stream;
    long base = base(backend);
    Capture.count(n -> stream += n);
    return number - base;
  }

  private long base(Backend backend) {
    Capture capture = Capture.of(backend);
    return capture == null ? 0 : captured(capture).base;
  }

  /** The device's copy of the state, [seed, base]. */
  Buffer state(Backend backend) {
    if (origin != null) {
      return origin.state(backend);
    }
    Capture capture = Capture.of(backend);
    if (capture != null) {
      return captured(capture).state.buffer();
    }
    Memory memory =
        states.computeIfAbsent(
            Profiler.plain(backend),
            b -> {
              Memory m = b.allocate(DType.INT64, 2);
              b.upload(new long[] {seed, 0}, 0, Buffer.of(m));
              return m;
            });
    return Buffer.of(memory);
  }

  private Captured captured(Capture capture) {
    return capture.part(this, () -> new Captured(capture.device()));
  }

  /**
   * The state of a captured step: its operations are numbered from 0, and the step moves the base
   * on by as many as it has.
   */
  private final class Captured implements Capture.Part {
    private final long base = stream;
    private final Tensor state;
    private long draws;

    /** The number of the next operation, as the device has it. */
    private long next;

    Captured(Device device) {
      state = Scope.escape(Tensor.empty(device, DType.INT64, Shape.of(2)));
      set();
    }

    private void set() {
      try (Scope s = Scope.open();
          GradMode.Guard g = GradMode.noGrad()) {
        state.copyFrom(Tensor.of(new long[] {seed, stream}));
      }
    }

    @Override
    public void finishStep() {
      draws = stream - base;
      next = stream;
      state.slice(0, 1, 2).addInPlace((double) draws);
    }

    @Override
    public void beforeReplay() {
      if (stream != next) {
        set();
      }
      next = stream + draws;
    }

    @Override
    public void close() {
      state.close();
    }
  }

  private Tensor draw(
      RandomKind kind, Device device, DType dtype, Shape shape, double a, double b) {
    Backend backend = Profiler.of(Backends.of(device));
    Tensor t = Tensor.empty(backend, dtype, shape);
    backend.random(kind, t.buffer(), state(backend), nextStream(backend), a, b);
    return t;
  }

  /**
   * Numbers uniform on {@code [low, high)}.
   *
   * <p>Shapes: {@code -> shape}
   *
   * @throws io.gradus.core.DTypeException when the type is not floating
   * @throws io.gradus.core.DeviceException when the device cannot be used
   */
  public Tensor uniform(Device device, DType dtype, Shape shape, double low, double high) {
    floating("uniform", dtype);
    return draw(RandomKind.UNIFORM, device, dtype, shape, low, high);
  }

  /**
   * Normal numbers of a mean and a standard deviation.
   *
   * <p>Shapes: {@code -> shape}
   *
   * <pre>{@code
   * Tensor w = new Generator(1)
   *     .normal(Device.cpu(), DType.FLOAT32, Shape.of(64, 128), 0, Math.sqrt(2.0 / 128));
   * }</pre>
   *
   * @throws io.gradus.core.DTypeException when the type is not floating
   * @throws io.gradus.core.DeviceException when the device cannot be used
   */
  public Tensor normal(Device device, DType dtype, Shape shape, double mean, double deviation) {
    floating("normal", dtype);
    return draw(RandomKind.NORMAL, device, dtype, shape, mean, deviation);
  }

  /**
   * Integers uniform on {@code [low, high)}.
   *
   * <p>Shapes: {@code -> shape}
   *
   * @throws io.gradus.core.ArgumentException when the range is empty or holds more than 2^32
   *     numbers
   * @throws io.gradus.core.DTypeException when the type is floating
   * @throws io.gradus.core.DeviceException when the device cannot be used
   */
  public Tensor integers(Device device, DType dtype, Shape shape, long low, long high) {
    Checks.dtype(!dtype.isFloating(), "[integers] needs an integer type, not %s", dtype);
    Checks.argument(
        low < high && high - low <= 1L << 32,
        "[integers] the range [%d, %d) must hold 1 to 2^32 numbers",
        low,
        high);
    return draw(RandomKind.INTEGER, device, dtype, shape, (double) low, (double) high);
  }

  private static void floating(String op, DType dtype) {
    Checks.dtype(dtype.isFloating(), "[%s] needs a floating type, not %s", op, dtype);
  }
}
