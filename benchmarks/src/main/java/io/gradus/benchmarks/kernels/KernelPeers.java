package io.gradus.benchmarks.kernels;

import io.gradus.benchmarks.engines.Child;
import io.gradus.benchmarks.engines.LibraryWorker;
import io.gradus.benchmarks.engines.PeerException;
import io.gradus.benchmarks.engines.PythonWorker;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;

/**
 * Others' kernels beside ours, in processes that take turns with this one: PyTorch's, as it is and
 * compiled, with cuDNN's attention, and those of cuBLAS and cuDNN.
 */
final class KernelPeers implements AutoCloseable {
  /** PyTorch without its compiler. */
  static final String EAGER = PythonWorker.EAGER;

  /** PyTorch with its compiler. */
  static final String COMPILED = PythonWorker.COMPILED;

  /** PyTorch with cuDNN's attention or none. */
  static final String CUDNN_ATTENTION = PythonWorker.CUDNN_ATTENTION;

  /** All that have single kernels. */
  static final List<String> NAMES =
      Stream.of(PythonWorker.NAMES, LibraryWorker.NAMES).flatMap(List::stream).toList();

  private static final int PATIENCE_S = 120;

  private final Map<String, Child> children = new LinkedHashMap<>();
  private final List<String> notes = new ArrayList<>();

  private KernelPeers() {}

  /** None. */
  static KernelPeers none() {
    return new KernelPeers();
  }

  /**
   * Starts those of names; one that cannot be started is a line of {@link #notes()}.
   *
   * @param folder for the script and the processes' standard error
   */
  static KernelPeers start(List<String> names, Path folder) throws IOException {
    Map<String, List<String>> commands = new LinkedHashMap<>();
    List<String> missing = new ArrayList<>();
    for (String name : names) {
      try {
        commands.put(
            name,
            LibraryWorker.isNamed(name)
                ? LibraryWorker.command(name)
                : PythonWorker.command(folder, name));
      } catch (PeerException e) {
        missing.add(leftOut(name, e));
      }
    }
    KernelPeers peers = start(commands, folder);
    peers.notes.addAll(missing);
    return peers;
  }

  private static String leftOut(String name, PeerException e) {
    return name + ": left out, " + e.getMessage();
  }

  /** The same by their command lines. */
  static KernelPeers start(Map<String, List<String>> commands, Path folder) {
    KernelPeers peers = new KernelPeers();
    commands.forEach(
        (name, command) -> {
          try {
            peers.start(name, command, folder);
          } catch (PeerException e) {
            peers.notes.add(leftOut(name, e));
          }
        });
    return peers;
  }

  private void start(String name, List<String> command, Path folder) throws PeerException {
    Child child;
    try {
      Map<String, String> environment =
          LibraryWorker.isNamed(name) ? LibraryWorker.environment() : Map.of();
      Path log = Files.createDirectories(folder).resolve("kernels-" + name + ".log");
      child = new Child(command, environment, log, PATIENCE_S);
    } catch (IOException e) {
      throw new PeerException("cannot be started: " + e.getMessage());
    }
    boolean ready = false;
    try {
      notes.add(name + ": " + child.ask("about"));
      children.put(name, child);
      ready = true;
    } finally {
      if (!ready) {
        child.close();
      }
    }
  }

  /** What each is, or why it is left out. */
  List<String> notes() {
    return notes;
  }

  /** The names of those that can do a kernel, which they now prepare; a failure is a line. */
  List<String> prepare(KernelCase kernel, long cacheBytes) {
    List<String> able = new ArrayList<>();
    for (String name : List.copyOf(children.keySet())) {
      if (!kernel.peer().isEmpty() && worthwhile(kernel, name)) {
        try {
          child(name).ask("kernel " + cacheBytes + " " + kernel.peer());
          able.add(name);
        } catch (PeerException e) {
          failed(name, kernel, e);
        }
      }
    }
    return able;
  }

  /** To compile takes longer than to measure, so it is done where it is the goal. */
  private static boolean worthwhile(KernelCase kernel, String name) {
    if (LibraryWorker.isNamed(name)) {
      return LibraryWorker.knows(name, kernel.peer());
    }
    if (name.equals(CUDNN_ATTENTION)) {
      return kernel.group().equals("attention");
    }
    return name.equals(EAGER) || name.equals(kernel.goal().peer());
  }

  /** The seconds that a peer takes for so many calls of what it has prepared. */
  double seconds(String name, int calls) throws PeerException {
    return child(name).seconds("repeat " + calls);
  }

  void failed(String name, KernelCase kernel, PeerException e) {
    notes.add(name + ": " + kernel.name() + " " + kernel.shape() + ": " + e.getMessage());
    Child child = children.get(name);
    if (child != null && !child.isAlive()) {
      children.remove(name);
      child.close();
    }
  }

  private Child child(String name) throws PeerException {
    Child child = children.get(name);
    if (child == null) {
      throw new PeerException("its process ended");
    }
    return child;
  }

  @Override
  public void close() {
    children.values().forEach(Child::close);
  }
}
