package io.gradus.benchmarks.report;

import java.io.IOException;
import java.nio.file.Path;
import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;
import picocli.CommandLine.Spec.Target;

/** What every benchmark is told on its command line, and how its report is made. */
public final class RunOptions {
  private static final String OUT = "--out";

  @Spec(Target.MIXEE)
  private CommandSpec spec = CommandSpec.create();

  @Option(names = "--quick", description = "Few and short rounds: a trial, not a measurement.")
  private boolean quick;

  @Option(
      names = "--threads",
      paramLabel = "N",
      split = ",",
      description =
          "Threads of the CPU, several numbers one after the other (default: one per core).")
  private List<Integer> threads = List.of(Runtime.getRuntime().availableProcessors());

  @Option(names = "--rounds", paramLabel = "R", description = "Rounds (default: 7; quick: 3).")
  private @Nullable Integer rounds;

  @Option(
      names = OUT,
      paramLabel = "DIR",
      description = "Folder for the report and logs (default: ${DEFAULT-VALUE}).")
  private Path out = Path.of("out", "bench");

  @SuppressWarnings("UnusedVariable") // picocli acts on it
  @Option(
      names = {"-h", "--help"},
      usageHelp = true,
      description = "Show this help.")
  private boolean help;

  private final String date = Instant.now().truncatedTo(ChronoUnit.SECONDS).toString();
  private final String loadBefore = Machine.load();

  /** For picocli. */
  public RunOptions() {}

  /** Runs a command whose options these are; 0 done, 1 failed, 2 bad use. */
  public static int execute(Object command, String[] args) {
    CommandLine line = new CommandLine(command);
    line.setParameterExceptionHandler(
        (e, words) -> {
          String name = e.getCommandLine().getCommandName();
          System.err.println(name + ": " + e.getMessage() + " (see " + name + " --help)");
          return CommandLine.ExitCode.USAGE;
        });
    line.setExecutionExceptionHandler(
        (e, failed, parsed) -> {
          System.err.println(failed.getCommandName() + ": " + e.getMessage());
          return CommandLine.ExitCode.SOFTWARE;
        });
    return line.execute(args);
  }

  /** Whether a trial was asked for. */
  public boolean quick() {
    return quick;
  }

  /** Numbers of threads, at least one. */
  public List<Integer> threads() {
    require(
        !threads.isEmpty() && threads.stream().allMatch(n -> n >= 1),
        "--threads must be at least 1");
    return threads;
  }

  /** The number of rounds that was asked for, or else one of these. */
  public int rounds(int full, int quickOnes) {
    Integer asked = rounds;
    require(asked == null || asked >= 1, "--rounds must be at least 1");
    return asked == null ? (quick ? quickOnes : full) : asked;
  }

  /** Where the report goes. */
  public Path out() {
    return out;
  }

  /** Ends the command as bad use where a condition does not hold. */
  public void require(boolean ok, String message) {
    if (!ok) {
      throw new ParameterException(spec.commandLine(), message);
    }
  }

  /**
   * Ends the command as bad use where an option names what there is not.
   *
   * @param names what was given
   * @param known what there is, in the order in which the message lists it
   */
  public void requireKnown(String option, Collection<String> names, Collection<String> known) {
    for (String name : names) {
      require(known.contains(name), option + ": " + Spelling.problem(name, known));
    }
  }

  /**
   * Writes the report, and prints its tables.
   *
   * @param name the beginning of its files' names
   * @param title the heading
   */
  public void publish(String name, String title, List<Section> sections) throws IOException {
    Report report =
        new Report(
            name, title, date, command(), Machine.here(), loadBefore, Machine.load(), sections);
    report.write(out);
    System.out.print(report.text());
    System.out.println("\nwritten to " + out.resolve(name + ".md"));
  }

  /** The command line, without the folder, which is a matter of this machine. */
  private String command() {
    return commandLine(spec.qualifiedName(), spec.commandLine().getParseResult().originalArgs());
  }

  static String commandLine(String command, List<String> args) {
    List<String> words = new ArrayList<>(List.of("./" + command));
    for (int i = 0; i < args.size(); i++) {
      if (args.get(i).equals(OUT)) {
        i++;
      } else if (!args.get(i).startsWith(OUT + "=")) {
        words.add(args.get(i));
      }
    }
    return String.join(" ", words);
  }
}
