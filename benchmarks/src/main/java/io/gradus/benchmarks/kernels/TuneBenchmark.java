package io.gradus.benchmarks.kernels;

import io.gradus.benchmarks.Bench;
import io.gradus.benchmarks.report.RunOptions;
import io.gradus.benchmarks.report.Table;
import io.gradus.core.Checks;
import io.gradus.core.Device;
import io.gradus.core.DeviceInfo;
import java.io.File;
import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/**
 * Measures the tiles of the Hopper product on this device: {@code ./gradus bench tune}. Each choice
 * is forced upon a process of its own; a run that is stopped goes on where it was.
 */
@Command(
    name = "gradus bench tune",
    description = {
      "Measures every choice of tiles of the Hopper matrix product, and writes the table of those",
      "that are faster than the plan's own. Copied to native/src/kernels, it is part of the next",
      "build."
    },
    sortOptions = false)
public final class TuneBenchmark implements Callable<Integer> {
  private static final String FORCED = "GRADUS_MATMUL_HOPPER";
  private static final String TABLE = "matmul_hopper_tuned.inc";
  private static final String HEAD =
      """
      // What was measured to be faster than the plan's own choice, one product a line, as `gradus bench tune` writes it:
      //   TUNED(kind, trans_a, trans_b, m, n, k, tile, cluster, splits)   with tiles of kHopperTiles counted from 0
      """;

  @Mixin private RunOptions run = new RunOptions();

  @Option(
      names = "--device",
      paramLabel = "NAME",
      description = "What to measure on (default: ${DEFAULT-VALUE}).")
  private String device = "cuda";

  @Option(
      names = "--faster",
      paramLabel = "PERCENT",
      description = "By how much a choice must be faster (default: ${DEFAULT-VALUE}).")
  private double faster = 2;

  /** For picocli. */
  public TuneBenchmark() {}

  /** Gives 0 when the table is written; fails where a device cannot be used. */
  @Override
  public Integer call() throws IOException {
    Device chosen = Device.parse(device);
    checkHasTiles(chosen);
    int rounds = run.rounds(5, 3);
    Tuning tuning = new Tuning(measure(chosen, "plan", "", rounds));
    for (Tuning.Choice choice : Tuning.choices()) {
      System.err.println("tune: " + choice.text());
      tuning.add(choice, measure(chosen, choice.label(), choice.text(), rounds));
    }
    Table about = new Table("product", "the plan's own", "the fastest", "tile,cluster,splits", "");
    List<String> lines = tuning.lines(KernelRun.cases(chosen), faster, about);
    Path table = run.out().resolve(TABLE);
    Files.writeString(table, HEAD + String.join("", lines.stream().map(l -> l + "\n").toList()));
    System.out.print(about.text());
    System.out.println("\nwritten to " + table);
    return 0;
  }

  /**
   * Refuses devices whose products the choices say nothing about; the emulated one serves trials.
   */
  static void checkHasTiles(Device device) {
    for (DeviceInfo info : Device.all()) {
      Checks.argument(
          !info.device().equals(device)
              || !info.usable()
              || device.type().equals("emulated")
              || info.description().contains("compute capability 9.0"),
          "[tune] %s does not use the tiles of the Hopper product: measure them on a GPU of compute"
              + " capability 9.0, by --device cuda",
          device);
    }
  }

  /** Microseconds of every product with a choice, by the kernel's key. */
  private Map<String, Double> measure(Device on, String name, String forced, int rounds)
      throws IOException {
    Path folder = run.out().resolve("tune").resolve(name);
    Path results = folder.resolve("regression.csv");
    if (!Files.exists(results)) {
      List<String> line = new ArrayList<>();
      line.add(
          System.getProperty("java.home", "") + File.separator + "bin" + File.separator + "java");
      line.addAll(ManagementFactory.getRuntimeMXBean().getInputArguments());
      line.addAll(List.of("-cp", System.getProperty("java.class.path", ""), Bench.class.getName()));
      line.addAll(List.of("kernels", "--device", device, "--groups", "matmul", "--quick"));
      line.addAll(List.of("--resume", "--rounds", Integer.toString(rounds)));
      line.addAll(List.of("--threads", "1", "--out", folder.toString()));
      Files.createDirectories(folder);
      ProcessBuilder builder =
          new ProcessBuilder(line)
              .redirectErrorStream(true)
              .redirectOutput(folder.resolve("log").toFile());
      builder.environment().put(FORCED, forced);
      try {
        if (builder.start().waitFor() != 0) {
          throw new IOException("the products could not be measured, see " + folder + "/log");
        }
      } catch (InterruptedException e) {
        Thread.currentThread().interrupt();
        throw new IOException("interrupted", e);
      }
    }
    Map<String, Double> micros = new HashMap<>();
    String prefix = on + "|";
    Regression.read(results)
        .forEach(
            (key, value) -> {
              if (key.startsWith(prefix)) {
                micros.put(key.substring(prefix.length()), value);
              }
            });
    return micros;
  }
}
