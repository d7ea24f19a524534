package io.gradus.io;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.channels.WritableByteChannel;
import java.nio.file.AccessDeniedException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.util.Locale;

/**
 * The file-system operations that a durable write is made of. It is an interface so that tests can
 * fail or crash each of them.
 */
interface FileLayer {
  /** The file system of the machine. */
  FileLayer SYSTEM = new SystemFiles();

  /** Makes a folder and the missing ones above it. */
  void createDirectories(Path directory) throws IOException;

  /** Creates a file that must not exist yet. */
  Sink create(Path file) throws IOException;

  /** Renames a file over another in one step: at any moment one of the two is there. */
  void replace(Path from, Path to) throws IOException;

  /** Makes renames and deletions in a folder survive a power failure. */
  void forceDirectory(Path directory) throws IOException;

  /** Deletes a file where it exists. */
  void delete(Path file) throws IOException;

  /** A file being written; a write may take fewer bytes than it was given. */
  interface Sink extends WritableByteChannel {
    /** Makes everything written so far survive a power failure. */
    void force() throws IOException;
  }

  /** The operations as the operating system does them. */
  final class SystemFiles implements FileLayer {
    private static final boolean WINDOWS =
        System.getProperty("os.name", "").toLowerCase(Locale.ROOT).startsWith("windows");

    @Override
    public void createDirectories(Path directory) throws IOException {
      if (Files.isDirectory(directory)) {
        return;
      }
      Path parent = directory.getParent();
      if (parent != null) {
        createDirectories(parent);
      }
      Files.createDirectories(directory);
      if (parent != null) {
        forceDirectory(parent);
      }
    }

    @Override
    public Sink create(Path file) throws IOException {
      FileChannel channel =
          FileChannel.open(file, StandardOpenOption.CREATE_NEW, StandardOpenOption.WRITE);
      return new Sink() {
        @Override
        public int write(ByteBuffer bytes) throws IOException {
          return channel.write(bytes);
        }

        @Override
        public void force() throws IOException {
          channel.force(true);
        }

        @Override
        public boolean isOpen() {
          return channel.isOpen();
        }

        @Override
        public void close() throws IOException {
          channel.close();
        }
      };
    }

    @Override
    public void replace(Path from, Path to) throws IOException {
      Files.move(from, to, StandardCopyOption.ATOMIC_MOVE);
    }

    @Override
    public void forceDirectory(Path directory) throws IOException {
      // Windows opens no folder as a file; NTFS journals the rename itself.
      if (WINDOWS) {
        return;
      }
      try (FileChannel channel = FileChannel.open(directory, StandardOpenOption.READ)) {
        channel.force(true);
      } catch (AccessDeniedException e) {
        // A folder may be writable but not readable; then the rename stands, only later on disk.
        if (!Files.isWritable(directory)) {
          throw e;
        }
      }
    }

    @Override
    public void delete(Path file) throws IOException {
      Files.deleteIfExists(file);
    }
  }
}
