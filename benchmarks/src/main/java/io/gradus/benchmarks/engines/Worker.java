package io.gradus.benchmarks.engines;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import java.util.stream.Stream;

/**
 * The process of one engine, by the protocol of {@link Answers}.
 *
 * <pre>
 * settings WORKLOAD THREADS       the settings, separated by blanks
 * open WORKLOAD THREADS SETTING   about the engine
 * load FILE                       loaded
 * losses N                        the losses of N steps without dropout
 * run N                           the seconds that N steps with dropout took
 * tiny THREADS                    about the sum of two tensors of one element
 * repeat N                        the seconds that N such sums took
 * memory                          the bytes of memory, a GPU's where it computes on one, that it
 *                                 has had at most
 * </pre>
 *
 * An answer that begins with {@code error} says what went wrong. The end of the input ends the
 * process.
 */
public final class Worker {
  private static final Path STATUS = Path.of("/proc/self/status");

  private final Training.Factory factory;
  private Training training = new NotOpened();
  private Runnable tinyOp = NotOpened::noOp;

  private Worker(Training.Factory factory) {
    this.factory = factory;
  }

  /** Answers commands until the input ends. */
  public static void serve(Training.Factory factory) throws IOException {
    Answers.serve(new Worker(factory)::answer);
  }

  private String answer(String command, String argument) throws IOException {
    return switch (command) {
      case "settings" -> settings(argument.split(" ", 2));
      case "open" -> open(argument.split(" ", 3));
      case "load" -> {
        training.load(Arrays.read(Path.of(argument)));
        yield "loaded";
      }
      case "losses" ->
          IntStream.range(0, Integer.parseInt(argument))
              .mapToObj(i -> Double.toString(training.step(false)))
              .collect(Collectors.joining(" "));
      case "run" -> Double.toString(run(Integer.parseInt(argument)));
      case "tiny" -> {
        Training.TinyOp op = factory.tinyOp(Integer.parseInt(argument));
        tinyOp = op.run();
        yield op.about();
      }
      case "repeat" -> Double.toString(repeat(Long.parseLong(argument)));
      case "memory" -> {
        long onDevice = training.peakBytes();
        yield Long.toString(onDevice > 0 ? onDevice : peakBytes());
      }
      default -> throw new IllegalArgumentException("unknown command " + command);
    };
  }

  private String settings(String[] words) {
    return String.join(" ", factory.settings(Workload.parse(words[0]), Integer.parseInt(words[1])));
  }

  private String open(String[] words) {
    training = factory.open(Workload.parse(words[0]), Integer.parseInt(words[1]), words[2]);
    return training.about();
  }

  private double run(int steps) {
    long began = System.nanoTime();
    training.train(steps);
    return (System.nanoTime() - began) * 1e-9;
  }

  private double repeat(long times) {
    Runnable op = tinyOp;
    long began = System.nanoTime();
    for (long i = 0; i < times; i++) {
      op.run();
    }
    return (System.nanoTime() - began) * 1e-9;
  }

  /** The largest resident set so far; 0 where the system does not tell. */
  private static long peakBytes() throws IOException {
    if (!Files.isReadable(STATUS)) {
      return 0;
    }
    try (Stream<String> lines = Files.lines(STATUS)) {
      return lines
          .filter(line -> line.startsWith("VmHWM:"))
          .mapToLong(line -> 1024 * Long.parseLong(line.replaceAll("[^0-9]", "")))
          .findFirst()
          .orElse(0);
    }
  }

  private static final class NotOpened implements Training {
    private static IllegalStateException misuse() {
      return new IllegalStateException("no workload is open");
    }

    private static void noOp() {
      throw misuse();
    }

    @Override
    public String about() {
      throw misuse();
    }

    @Override
    public void load(List<Arrays.Named> state) {
      throw misuse();
    }

    @Override
    public double step(boolean dropout) {
      throw misuse();
    }
  }
}
