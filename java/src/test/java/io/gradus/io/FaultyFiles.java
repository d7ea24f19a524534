package io.gradus.io;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.FileSystemException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;

/**
 * A file layer whose k-th operation fails, or after which the machine is dead, and that knows what
 * of a folder a power failure would leave.
 */
final class FaultyFiles implements FileLayer {
  /** What happens at the k-th operation. */
  enum Fault {
    /** It fails; later ones work. */
    FAIL,
    /** The process dies before it: nothing works any more. */
    DIE_BEFORE,
    /** The process dies right after it. */
    DIE_AFTER
  }

  /** What a crash leaves on disk. */
  enum Loss {
    /** All that was written: the process was killed, the system runs on. */
    NONE,
    /** Renames and deletions stay, file contents only as far as forced. */
    UNFORCED_CONTENT,
    /** Renames and deletions are undone unless the folder was forced. */
    UNFORCED_ENTRIES
  }

  private final Path folder;
  private final int at;
  private final Fault fault;
  private final String reason;
  private final Map<Path, byte[]> forced = new HashMap<>();
  private Map<Path, byte[]> durable = new HashMap<>();
  private int operations;
  private boolean dead;
  private boolean struck;

  FaultyFiles(Path folder, int at, Fault fault, String reason) throws IOException {
    this.folder = folder;
    this.at = at;
    this.fault = fault;
    this.reason = reason;
    for (Path file : files()) {
      forced.put(file, Files.readAllBytes(file));
    }
    durable = new HashMap<>(forced);
  }

  /** Whether the fault has happened. */
  boolean struck() {
    return struck;
  }

  private List<Path> files() throws IOException {
    if (!Files.isDirectory(folder)) {
      return List.of();
    }
    try (Stream<Path> list = Files.list(folder)) {
      return list.map(Path::toAbsolutePath).toList();
    }
  }

  /** Leaves the folder as a crash would. */
  void crash(Loss loss) throws IOException {
    if (loss == Loss.NONE) {
      return;
    }
    List<Path> present = files();
    for (Path file : present) {
      Files.delete(file);
    }
    if (loss == Loss.UNFORCED_ENTRIES) {
      for (Map.Entry<Path, byte[]> entry : durable.entrySet()) {
        Files.write(entry.getKey(), entry.getValue());
      }
    } else {
      for (Path file : present) {
        Files.write(file, forced.getOrDefault(file, new byte[0]));
      }
    }
  }

  private interface Operation {
    void run() throws IOException;
  }

  private void step(Operation operation, Operation partial) throws IOException {
    if (dead) {
      throw new IOException("the process is dead");
    }
    if (operations++ == at) {
      struck = true;
      dead = fault != Fault.FAIL;
      if (fault == Fault.DIE_AFTER) {
        operation.run();
      } else {
        partial.run();
      }
      throw new FileSystemException("disk", null, reason);
    }
    operation.run();
  }

  private void step(Operation operation) throws IOException {
    step(operation, () -> {});
  }

  @Override
  public void createDirectories(Path directory) throws IOException {
    step(() -> Files.createDirectories(directory));
  }

  @Override
  public Sink create(Path file) throws IOException {
    Sink[] sink = new Sink[1];
    step(() -> sink[0] = SYSTEM.create(file));
    return new Sink() {
      @Override
      public int write(ByteBuffer bytes) throws IOException {
        int before = bytes.remaining();
        int half = bytes.position() + (before + 1) / 2;
        // Every write is short, so that each buffer takes several operations.
        Operation some =
            () -> {
              int limit = bytes.limit();
              bytes.limit(half);
              sink[0].write(bytes);
              bytes.limit(limit);
            };
        step(some, some);
        return before - bytes.remaining();
      }

      @Override
      public void force() throws IOException {
        step(() -> forced.put(file, Files.readAllBytes(file)));
      }

      @Override
      public boolean isOpen() {
        return sink[0].isOpen();
      }

      @Override
      public void close() throws IOException {
        sink[0].close();
      }
    };
  }

  @Override
  public void replace(Path from, Path to) throws IOException {
    step(
        () -> {
          SYSTEM.replace(from, to);
          byte[] content = forced.remove(from);
          forced.put(to, content == null ? new byte[0] : content);
        });
  }

  @Override
  public void forceDirectory(Path directory) throws IOException {
    step(() -> durable = new HashMap<>(forced));
  }

  @Override
  public void delete(Path file) throws IOException {
    step(
        () -> {
          SYSTEM.delete(file);
          forced.remove(file);
        });
  }
}
