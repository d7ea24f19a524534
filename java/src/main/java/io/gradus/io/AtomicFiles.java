package io.gradus.io;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.WritableByteChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.AccessDeniedException;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.FileSystemException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Locale;
import java.util.concurrent.atomic.AtomicLong;
import org.jspecify.annotations.Nullable;

/**
 * Replaces files so that a reader, a crash or a full disk never meets half of one.
 *
 * <p>The content goes to a temporary file in the same folder, is forced to disk, and takes the
 * target's name in one rename; then the folder is forced. Whatever fails before the rename leaves
 * the old file as it was and removes the temporary one.
 *
 * <pre>{@code
 * AtomicFiles.writeString(out.resolve("metrics.csv"), csv);
 * AtomicFiles.write(png, channel -> ImageIO.write(image, "png", Channels.newOutputStream(channel)));
 * }</pre>
 */
public final class AtomicFiles {
  /** How temporary files end; they begin with a dot and the target's name. */
  static final String TEMPORARY_SUFFIX = ".tmp";

  private static final AtomicLong COUNTER = new AtomicLong();

  private AtomicFiles() {}

  /** Produces the content of a file. */
  @FunctionalInterface
  public interface Body {
    /**
     * Writes the whole content, in as many pieces as it likes; each write takes all its bytes.
     *
     * @throws IOException when writing fails; it must not be swallowed
     */
    void writeTo(WritableByteChannel out) throws IOException;
  }

  /**
   * Writes a file from a body that streams, making missing folders.
   *
   * @throws IOException when it cannot be written; the message names path, cause and remedy, and
   *     the file that was there before is unchanged
   */
  public static void write(Path target, Body body) throws IOException {
    write(FileLayer.SYSTEM, target, body);
  }

  /**
   * Writes bytes as a file, making missing folders.
   *
   * @throws IOException as {@link #write}
   */
  public static void writeBytes(Path target, byte[] bytes) throws IOException {
    write(target, out -> out.write(ByteBuffer.wrap(bytes)));
  }

  /**
   * Writes text as a UTF-8 file, making missing folders.
   *
   * @throws IOException as {@link #write}
   */
  public static void writeString(Path target, String text) throws IOException {
    writeBytes(target, text.getBytes(StandardCharsets.UTF_8));
  }

  static void write(FileLayer files, Path target, Body body) throws IOException {
    Path file = target.toAbsolutePath();
    boolean renamed = false;
    Path temporary = null;
    try {
      // A rename would replace the link instead of the file it points to.
      if (Files.isSymbolicLink(file) && Files.exists(file)) {
        file = file.toRealPath();
      }
      Path folder = parent(file);
      files.createDirectories(folder);
      temporary = temporary(file);
      try (FileLayer.Sink sink = files.create(temporary)) {
        body.writeTo(new Whole(sink));
        sink.force();
      }
      files.replace(temporary, file);
      renamed = true;
      files.forceDirectory(folder);
    } catch (IOException e) {
      throw explain(target, e, renamed);
    } finally {
      if (!renamed && temporary != null) {
        try {
          files.delete(temporary);
        } catch (IOException ignored) {
          // The write's own error is the one worth reporting; the leftover has a telling name.
        }
      }
    }
  }

  private static Path parent(Path file) throws IOException {
    Path folder = file.getParent();
    if (folder == null) {
      throw new FileSystemException(file.toString(), null, "it is not the path of a file");
    }
    return folder;
  }

  /** A name that no other writer has: two writers of one target each rename a whole file. */
  private static Path temporary(Path file) {
    return file.resolveSibling(
        String.format(
            Locale.ROOT,
            ".%s.%d-%d%s",
            file.getFileName(),
            ProcessHandle.current().pid(),
            COUNTER.incrementAndGet(),
            TEMPORARY_SUFFIX));
  }

  private static IOException explain(Path target, IOException e, boolean renamed) {
    String reason = reason(e);
    String state;
    if (renamed) {
      state = "; the new file is in place but may not survive a power failure";
    } else if (Files.exists(target)) {
      state = "; the file that was there before is unchanged";
    } else {
      state = "";
    }
    return new IOException(
        "[save] cannot write " + target + ": " + reason + "; " + remedy(reason) + state, e);
  }

  /** The cause of an I/O error in a few words; file-system exceptions alone say only the path. */
  static String reason(IOException e) {
    if (e instanceof AccessDeniedException) {
      return "permission denied";
    }
    if (e instanceof FileAlreadyExistsException) {
      return "a file is where a folder should be (" + e.getMessage() + ")";
    }
    @Nullable String reason = e instanceof FileSystemException f ? f.getReason() : e.getMessage();
    if (reason == null) {
      reason = e.getClass().getSimpleName() + (e.getMessage() == null ? "" : " " + e.getMessage());
    }
    return reason.replaceAll("\\s+", " ");
  }

  private static String remedy(String reason) {
    String text = reason.toLowerCase(Locale.ROOT);
    if (text.contains("no space") || text.contains("quota") || text.contains("not enough space")) {
      return "free some space or choose another folder";
    }
    if (text.contains("read-only")) {
      return "choose a folder on a writable file system";
    }
    if (text.contains("permission denied")) {
      return "make the folder writable or choose another";
    }
    if (text.contains("directory") || text.contains("folder")) {
      return "choose another path";
    }
    return "check the disk and try again";
  }

  /** Turns short writes into whole ones. */
  private record Whole(FileLayer.Sink sink) implements WritableByteChannel {
    @Override
    public int write(ByteBuffer bytes) throws IOException {
      int total = bytes.remaining();
      while (bytes.hasRemaining()) {
        if (sink.write(bytes) <= 0) {
          throw new IOException("the disk took no more bytes");
        }
      }
      return total;
    }

    @Override
    public boolean isOpen() {
      return sink.isOpen();
    }

    /** Leaves the file open: a body that closes its stream must not end the write before fsync. */
    @Override
    public void close() {}
  }
}
