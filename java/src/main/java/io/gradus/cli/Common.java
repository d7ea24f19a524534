package io.gradus.cli;

import io.gradus.core.ArgumentException;
import io.gradus.core.Device;
import io.gradus.core.DeviceException;
import io.gradus.data.Datasets;
import io.gradus.data.Digits;
import io.gradus.data.TrainTest;
import io.gradus.train.ProfiledSteps;
import io.gradus.train.TrainedModel;
import java.io.IOException;
import java.io.PrintWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;

/** Options that several commands share. */
final class Common {
  static final String DIGITS = "digits";
  private static final int PROFILE_ROWS = 12;
  private static final String MODEL_FILE = "model.safetensors";

  @Spec(Spec.Target.MIXEE)
  private CommandSpec spec = CommandSpec.create();

  @Option(
      names = "--device",
      paramLabel = "DEVICE",
      defaultValue = "auto",
      description = "auto, cpu, or a device that 'gradus devices' lists (default: auto).")
  private String device = "auto";

  @Option(
      names = "--threads",
      paramLabel = "N",
      description = "Threads of the CPU (default: one per core); results do not depend on it.")
  private @Nullable Integer threads;

  @SuppressWarnings("UnusedVariable") // picocli only has to know it: Failures asks picocli
  @Option(names = "--verbose", description = "Show the stack trace of an error.")
  private boolean verbose;

  @SuppressWarnings("UnusedVariable") // picocli acts on it
  @Option(
      names = {"-h", "--help"},
      usageHelp = true,
      description = "Show this help.")
  private boolean help;

  PrintWriter out() {
    return spec.commandLine().getOut();
  }

  /** Prints where the time of the profiled steps went; nothing where none were asked for. */
  void show(@Nullable ProfiledSteps profiled) {
    if (profiled != null) {
      out().print(profiled.summary(PROFILE_ROWS));
    }
  }

  /** Reports an error after which the command goes on. */
  void report(Exception e) {
    Failures.report(spec.commandLine(), e, verbose);
  }

  ParameterException badUse(String message) {
    return new ParameterException(spec.commandLine(), message);
  }

  /**
   * Sets the number of threads, then opens the device: the backend reads the number as it opens.
   */
  Device open() {
    Integer n = threads;
    if (n != null) {
      require(n >= 1, "--threads must be at least 1, not " + n);
      System.setProperty("gradus.threads", Integer.toString(n));
    }
    try {
      return Device.parse(device);
    } catch (DeviceException e) {
      throw badUse(String.valueOf(e.getMessage()));
    }
  }

  /** The device for people: with the reason where it was left to us. */
  String describe(Device opened) {
    return device.equals("auto") ? Device.choose().toString() : opened.toString();
  }

  /** Whether an option stands on the command line. */
  boolean isGiven(String option) {
    return spec.commandLine().getParseResult().hasMatchedOption(option);
  }

  void require(boolean ok, String message) {
    if (!ok) {
      throw badUse(message);
    }
  }

  /** The model that train left in a folder. */
  TrainedModel model(Path folder, Device target) throws IOException {
    Path file = folder.resolve(MODEL_FILE);
    require(
        Files.isRegularFile(file),
        "there is no trained model in "
            + folder
            + ": make one with 'gradus train --out "
            + folder
            + "', or name another folder with --out");
    return TrainedModel.load(file, target);
  }

  /** The data of a folder, or the digits where none is named. */
  TrainTest data(@Nullable Path folder) throws IOException {
    if (folder == null) {
      return Digits.open();
    }
    require(Files.exists(folder), "there is no folder " + folder + ": check --data");
    require(
        Files.isDirectory(folder),
        folder + " is a file: name the folder that holds it with --data");
    try (Stream<Path> files = Files.list(folder)) {
      require(
          files.findAny().isPresent(),
          folder + " is empty: put data there, or name another folder with --data");
    }
    try {
      return Datasets.open(folder);
    } catch (ArgumentException e) {
      throw badUse(String.valueOf(e.getMessage()));
    }
  }
}
