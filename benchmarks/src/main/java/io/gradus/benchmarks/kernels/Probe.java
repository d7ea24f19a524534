package io.gradus.benchmarks.kernels;

import io.gradus.backend.plugin.jni.Native;
import java.io.File;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;
import java.util.concurrent.TimeUnit;
import org.bytedeco.javacpp.Loader;
import org.jspecify.annotations.Nullable;

/**
 * The processor's limits, measured by the native program {@code gradus_probe}: multiplications and
 * additions in registers, and STREAM's triad on arrays beyond every cache.
 */
final class Probe {
  private static final String PROGRAM = "gradus_probe";
  private static final double SECONDS = 1;
  private static final int PATIENCE_S = 60;

  private Probe() {}

  /** Measures with a number of threads; unknown limits where this build has no such program. */
  static Limits processor(int threads) {
    try {
      File program = find();
      if (program == null) {
        return Limits.unknown("this build has no " + PROGRAM + ": install g++ and CMake");
      }
      return run(
          List.of(program.getPath(), Integer.toString(threads), Double.toString(SECONDS)), threads);
    } catch (IOException | LinkageError e) {
      return Limits.unknown(PROGRAM + " cannot be run: " + e.getMessage());
    }
  }

  private static @Nullable File find() throws IOException {
    String folder = System.getProperty("gradus.plugins");
    if (folder != null) {
      File beside = Path.of(folder, PROGRAM).toFile();
      return beside.isFile() ? beside : null;
    }
    File program = Loader.cacheResource(Native.class, Loader.getPlatform() + "/" + PROGRAM);
    // A jar does not keep this.
    return program == null || program.canExecute() || program.setExecutable(true) ? program : null;
  }

  static Limits run(List<String> command, int threads) throws IOException {
    Process process =
        new ProcessBuilder(command).redirectError(ProcessBuilder.Redirect.DISCARD).start();
    try {
      if (!process.waitFor(PATIENCE_S, TimeUnit.SECONDS)) {
        process.destroyForcibly();
        return Limits.unknown(PROGRAM + " did not end in " + PATIENCE_S + " s");
      }
    } catch (InterruptedException e) {
      process.destroyForcibly();
      Thread.currentThread().interrupt();
      return Limits.unknown("interrupted");
    }
    String answer =
        new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8).strip();
    return parse(answer, threads);
  }

  /** Reads the program's line: instruction set, operations and bytes a second. */
  static Limits parse(String answer, int threads) {
    String[] words = answer.split(" ", -1);
    try {
      double flops = Double.parseDouble(words[1]);
      double bytes = Double.parseDouble(words[2]);
      String source =
          String.format(
              Locale.ROOT,
              "%.1f GFLOP/s in %s registers, %.1f GB/s in STREAM's triad, threads %d",
              flops * 1e-9,
              words[0],
              bytes * 1e-9,
              threads);
      return Limits.processor(flops, bytes, source);
    } catch (NumberFormatException | ArrayIndexOutOfBoundsException e) {
      return Limits.unknown(PROGRAM + " answered '" + answer + "'");
    }
  }
}
