package io.gradus.benchmarks.engines;

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
 * @param jars what is on its class path
 * @param java whether the virtual machine of this process runs it; else the command is all
 */
record Engine(String name, List<String> command, List<Path> jars, boolean java) {
  /** The name of our own. */
  static final String GRADUS = "gradus";

  /** One for this process's virtual machine. */
  Engine(String name, List<String> command, List<Path> jars) {
    this(name, command, jars, true);
  }

  /** Our own on the processor, from this process's class path. */
  static Engine gradus() {
    return gradus("cpu");
  }

  /**
   * Our own on a device.
   *
   * @param device as {@code --device} names it
   */
  static Engine gradus(String device) {
    return gradus(device, "float32", false);
  }

  /**
   * The same with products in a precision, and steps that are captured.
   *
   * @param precision as {@code --precision} names it
   */
  static Engine gradus(String device, String precision, boolean capture) {
    String path = System.getProperty("java.class.path", "");
    List<Path> jars = new ArrayList<>();
    for (String entry : path.split(File.pathSeparator, -1)) {
      if (entry.endsWith(".jar")) {
        jars.add(Path.of(entry));
      }
    }
    return new Engine(
        (device.equals("cpu") ? GRADUS : GRADUS + "-" + device) + (capture ? "-captured" : ""),
        List.of(
            "-D" + GradusWorker.DEVICE + "=" + device,
            "-D" + GradusWorker.PRECISION + "=" + precision,
            "-D" + GradusWorker.CAPTURE + "=" + capture,
            "-cp",
            path,
            GradusWorker.class.getName()),
        jars);
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
          return new Engine(
              name, List.of(cache, "-jar", jar.toString()), list(target.resolve("lib")));
        }
      } catch (IOException e) {
        throw new PeerException("cannot read " + target + ": " + e.getMessage());
      }
    }
    throw new PeerException("not here: its jar could not be downloaded or built");
  }

  private static List<Path> list(Path folder) throws IOException {
    List<Path> jars = new ArrayList<>();
    try (DirectoryStream<Path> found = Files.newDirectoryStream(folder, "*.jar")) {
      found.forEach(jars::add);
    }
    return jars;
  }

  /** The whole command line; of a virtual machine with this process's own options. */
  List<String> line() {
    List<String> line = new ArrayList<>();
    if (java) {
      line.add(
          System.getProperty("java.home", "") + File.separator + "bin" + File.separator + "java");
      line.addAll(ManagementFactory.getRuntimeMXBean().getInputArguments());
    }
    line.addAll(command);
    return line;
  }

  /**
   * Starts a worker.
   *
   * @param setting whose environment variables are set; see {@link Training.Factory#settings}
   * @param patienceS after how many seconds of silence it is given up
   */
  Child start(int threads, String setting, Path log, int patienceS) throws PeerException {
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
      return new Child(line(), environment, log, patienceS);
    } catch (IOException e) {
      throw new PeerException("cannot be started: " + e.getMessage());
    }
  }

  /** Writes the state that all engines start from. */
  static void writeState(Workload workload, Path file) throws PeerException, IOException {
    gradus().run(List.of("--state", workload.label(), file.toString()));
  }

  /** The profile of a training from such a state; for our own that captures nothing. */
  StepProfile profile(Workload workload, int threads, Path state, Plan plan, Path file)
      throws PeerException, IOException {
    run(
        List.of(
            "--profile",
            workload.label(),
            Integer.toString(threads),
            state.toString(),
            Double.toString(plan.warmUpS()),
            Double.toString(plan.roundS()),
            Integer.toString(plan.rounds()),
            file.toString()));
    return StepProfile.read(file);
  }

  /** Runs our own to its end. */
  private void run(List<String> arguments) throws PeerException, IOException {
    List<String> line = new ArrayList<>();
    line.add(
        System.getProperty("java.home", "") + File.separator + "bin" + File.separator + "java");
    line.addAll(ManagementFactory.getRuntimeMXBean().getInputArguments());
    line.addAll(command);
    line.addAll(arguments);
    try {
      int status = new ProcessBuilder(line).inheritIO().start().waitFor();
      if (status != 0) {
        throw new IOException("gradus ended with " + status + ": " + String.join(" ", arguments));
      }
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new PeerException("interrupted");
    }
  }
}
