package io.gradus.benchmarks.steps;

import java.io.File;
import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/**
 * How to start the worker of an engine.
 *
 * @param name its name in the table
 * @param command the end of the command line, after the virtual machine's own options
 */
record Engine(String name, List<String> command) {
  /** The name of our own. */
  static final String GRADUS = "gradus";

  /** Our own, from this process's class path. */
  static Engine gradus() {
    return new Engine(
        GRADUS,
        List.of("-cp", System.getProperty("java.class.path", ""), GradusWorker.class.getName()));
  }

  /**
   * A peer, from the jar that the profile {@code peers} has built.
   *
   * @param folder where the peers are, a folder for each
   * @throws PeerException when there is no such jar
   */
  static Engine peer(Path folder, String name) throws PeerException {
    Path target = folder.resolve(name).resolve("target");
    if (Files.isDirectory(target)) {
      try (DirectoryStream<Path> jars =
          Files.newDirectoryStream(target, "gradus-peer-" + name + "-*.jar")) {
        for (Path jar : jars) {
          // JavaCPP unpacks native libraries into the user's home otherwise.
          String cache = "-Dorg.bytedeco.javacpp.cachedir=" + target.resolve("cache");
          return new Engine(name, List.of(cache, "-jar", jar.toString()));
        }
      } catch (IOException e) {
        throw new PeerException("cannot read " + target + ": " + e.getMessage());
      }
    }
    throw new PeerException("not here: its jar could not be downloaded or built");
  }

  /**
   * Starts a worker, with this process's own options of the virtual machine.
   *
   * @param setting whose environment variables are set; see {@link Training.Factory#settings}
   */
  Child start(int threads, String setting, Path log) throws PeerException {
    List<String> line = new ArrayList<>();
    line.add(
        System.getProperty("java.home", "") + File.separator + "bin" + File.separator + "java");
    line.addAll(ManagementFactory.getRuntimeMXBean().getInputArguments());
    line.addAll(command);
    String n = Integer.toString(threads);
    Map<String, String> environment = new HashMap<>();
    for (String name : List.of("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")) {
      environment.put(name, n);
    }
    for (String word : setting.split(",", -1)) {
      int equals = word.indexOf('=');
      if (equals > 0) {
        environment.put(word.substring(0, equals), word.substring(equals + 1));
      }
    }
    try {
      return new Child(line, environment, log);
    } catch (IOException e) {
      throw new PeerException("cannot be started: " + e.getMessage());
    }
  }

  /** Writes the state that all engines start from. */
  static void writeState(Workload workload, Path file) throws IOException, InterruptedException {
    List<String> line = new ArrayList<>();
    line.add(
        System.getProperty("java.home", "") + File.separator + "bin" + File.separator + "java");
    line.addAll(ManagementFactory.getRuntimeMXBean().getInputArguments());
    line.addAll(gradus().command());
    line.addAll(List.of("--state", workload.label(), file.toString()));
    int status = new ProcessBuilder(line).inheritIO().start().waitFor();
    if (status != 0) {
      throw new IOException("the state of " + workload.label() + " could not be written");
    }
  }
}
