package io.gradus.benchmarks.report;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/**
 * Where the measurements were made.
 *
 * @param cpu the processor's name
 * @param cores processors available to this process
 * @param isas its vector instruction sets
 * @param os operating system and its version
 * @param java version of the virtual machine
 */
public record Machine(String cpu, int cores, String isas, String os, String java) {
  private static final List<String> ISAS =
      List.of("sse2", "avx", "avx2", "fma", "avx512f", "avx512_bf16", "amx_bf16", "asimd", "sve");

  /** This machine. */
  public static Machine here() {
    List<String> flags =
        Arrays.asList((cpuinfo("flags") + " " + cpuinfo("Features")).split(" +", -1));
    String isas = ISAS.stream().filter(flags::contains).collect(Collectors.joining(" "));
    String cpu = cpuinfo("model name");
    return new Machine(
        cpu.isEmpty() ? property("os.arch") : cpu,
        Runtime.getRuntime().availableProcessors(),
        isas,
        property("os.name") + " " + property("os.version"),
        property("java.vm.name") + " " + property("java.runtime.version"));
  }

  /** The mean number of running processes over the last minute; empty where it is not told. */
  public static String load() {
    try {
      return Files.readString(Path.of("/proc/loadavg")).split(" ", 2)[0];
    } catch (IOException e) {
      return "";
    }
  }

  private static String property(String name) {
    return System.getProperty(name, "");
  }

  private static String cpuinfo(String key) {
    try (Stream<String> lines = Files.lines(Path.of("/proc/cpuinfo"))) {
      return lines
          .filter(line -> line.split(":", 2)[0].strip().equals(key))
          .map(line -> line.substring(line.indexOf(':') + 1).strip())
          .findFirst()
          .orElse("");
    } catch (IOException e) {
      return "";
    }
  }
}
