package io.gradus.data;

import io.gradus.core.FormatException;
import java.io.BufferedInputStream;
import java.io.EOFException;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.zip.GZIPInputStream;
import java.util.zip.ZipException;
import org.jspecify.annotations.Nullable;
import org.tukaani.xz.XZIOException;
import org.tukaani.xz.XZInputStream;

/** Reads files that nobody vouches for: plain, gzip or xz, within limits. */
final class SourceFiles {
  /** Suffixes a file may carry for its compression. */
  static final List<String> COMPRESSIONS = List.of("", ".gz", ".xz");

  /** Decoding xz needs the dictionary its header asks for: {@code xz -9} takes 65 MiB. */
  private static final int XZ_MEMORY_KIB = 128 * 1024;

  private static final int BUFFER = 1 << 16;

  private SourceFiles() {}

  /** What is done with the decompressed contents of a file. */
  interface Reader<T> {
    /** Reads the stream, which the caller closes. */
    T read(InputStream in) throws IOException;
  }

  /**
   * Reads a file, decompressed as its suffix says.
   *
   * @throws FormatException when the reader says so or the compressed data is damaged
   */
  static <T> T read(String format, Path file, Reader<T> reader) throws IOException {
    try (InputStream in = open(file)) {
      return reader.read(in);
    } catch (ZipException | EOFException | XZIOException e) {
      throw new FormatException(
          String.format(
              "[%s] %s is damaged or truncated (%s): fetch or copy it again",
              format, file, e.getMessage()),
          e);
    }
  }

  private static InputStream open(Path file) throws IOException {
    InputStream raw = new BufferedInputStream(Files.newInputStream(file), BUFFER);
    try {
      String name = file.toString();
      if (name.endsWith(".gz")) {
        return new GZIPInputStream(raw, BUFFER);
      }
      return name.endsWith(".xz") ? new XZInputStream(raw, XZ_MEMORY_KIB) : raw;
    } catch (IOException | RuntimeException e) {
      raw.close();
      throw e;
    }
  }

  /**
   * Reads exactly {@code count} bytes, which must be all that is left. Memory grows with what
   * really arrives, so a false count costs nothing.
   */
  static byte[] exactly(String format, Path file, InputStream in, int count) throws IOException {
    byte[] data = in.readNBytes(count);
    if (data.length < count) {
      throw new FormatException(
          String.format(
              "[%s] %s is truncated: its header promises %d bytes of data and %d are there; fetch"
                  + " or copy it again",
              format, file, count, data.length));
    }
    if (in.read() >= 0) {
      throw new FormatException(
          String.format(
              "[%s] %s goes on after the %d bytes of data that its header promises: it is corrupt"
                  + " or of another format",
              format, file, count));
    }
    return data;
  }

  /** Requires that so many bytes fit into one array and leave most of the Java heap free. */
  static void fits(String format, Path file, long bytes) throws FormatException {
    long limit = Math.min(Integer.MAX_VALUE - 8, Runtime.getRuntime().maxMemory() / 3);
    if (bytes < 0 || bytes > limit) {
      throw new FormatException(
          String.format(
              "[%s] %s holds or promises %d bytes, more than the %d that this Java heap allows: it"
                  + " is corrupt, or raise -Xmx (2 GiB at most)",
              format, file, bytes, limit));
    }
  }

  /** The first file of the folder with one of the names and any compression, or null. */
  static @Nullable Path find(Path dir, String... names) {
    for (String name : names) {
      for (String compression : COMPRESSIONS) {
        Path file = dir.resolve(name + compression);
        if (Files.isRegularFile(file)) {
          return file;
        }
      }
    }
    return null;
  }

  /**
   * What lies in a folder, hidden files left out, sorted by name so that no file system matters.
   */
  static List<Path> list(Path dir) throws IOException {
    List<Path> out = new ArrayList<>();
    try (var entries = Files.newDirectoryStream(dir)) {
      for (Path entry : entries) {
        if (!fileName(entry).startsWith(".")) {
          out.add(entry);
        }
      }
    } catch (java.nio.file.DirectoryIteratorException e) {
      throw e.getCause();
    }
    out.sort((a, b) -> fileName(a).compareTo(fileName(b)));
    return out;
  }

  /** The last part of a path. */
  static String fileName(Path file) {
    Path name = file.getFileName();
    return name == null ? file.toString() : name.toString();
  }

  /** Name of a data set for messages: that of its folder and its part. */
  static String dataName(Path dir, String part) {
    return fileName(dir.toAbsolutePath().normalize()) + "/" + part;
  }
}
