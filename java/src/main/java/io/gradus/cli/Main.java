package io.gradus.cli;

import io.gradus.tensor.Precision;
import io.gradus.train.CifarFast;
import io.gradus.train.Networks;
import java.io.PrintWriter;
import java.nio.charset.StandardCharsets;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;

/** The entry point of the command line. */
@Command(
    name = "gradus",
    description = "Trains neural networks from Java.",
    synopsisSubcommandLabel = "COMMAND",
    mixinStandardHelpOptions = true,
    versionProvider = Main.Version.class,
    subcommands = {
      TrainCommand.class,
      EvalCommand.class,
      PredictCommand.class,
      DevicesCommand.class,
      CommandLine.HelpCommand.class
    },
    footer = {
      "",
      "From a source checkout there are also:",
      "  test     Builds everything and runs every test.",
      "  bench    Runs the benchmarks."
    })
public final class Main implements Runnable {
  @Spec private CommandSpec spec = CommandSpec.create();

  /** For picocli. */
  public Main() {}

  /** Runs a command and ends the JVM with its exit code: 0 done, 1 failed, 2 bad use. */
  public static void main(String[] args) {
    // Commands say on their own what a person should know; a library's warnings would say it twice.
    System.setProperty("org.slf4j.simpleLogger.defaultLogLevel", "error");
    System.exit(run(args));
  }

  /** Runs a command and gives its exit code: 0 done, 1 failed, 2 bad use. */
  static int run(String... args) {
    CommandLine line = commandLine();
    try {
      return line.execute(args);
    } catch (OutOfMemoryError e) {
      return Failures.outOfMemory(e, line, args);
    }
  }

  static CommandLine commandLine() {
    CommandLine line = new CommandLine(new Main());
    line.registerConverter(Networks.class, new Choice<>(Networks.values()));
    line.registerConverter(Precision.class, new Choice<>(Precision.values()));
    line.registerConverter(CifarFast.Method.class, new Choice<>(CifarFast.Method.values()));
    line.registerConverter(RecipeOptions.Recipe.class, new Choice<>(RecipeOptions.Recipe.values()));
    line.setOut(new PrintWriter(System.out, true, StandardCharsets.UTF_8));
    line.setErr(new PrintWriter(System.err, true, StandardCharsets.UTF_8));
    line.setParameterExceptionHandler(Failures::badUse);
    line.setExecutionExceptionHandler(Failures::failedRun);
    return line;
  }

  @Override
  public void run() {
    throw new ParameterException(
        spec.commandLine(), "name a command: train, eval, predict, devices or help");
  }

  /** The version in the jar's manifest. */
  static final class Version implements CommandLine.IVersionProvider {
    @Override
    public String[] getVersion() {
      String version = Main.class.getPackage().getImplementationVersion();
      return new String[] {"gradus " + (version == null ? "(unpacked)" : version)};
    }
  }
}
