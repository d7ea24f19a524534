package io.gradus.io;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.gradus.io.FaultyFiles.Fault;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.Channels;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class AtomicFilesTest {
  @TempDir Path folder;

  private List<String> names() throws IOException {
    try (Stream<Path> files = Files.list(folder)) {
      return files.map(f -> f.getFileName().toString()).sorted().toList();
    }
  }

  @Test
  void replacesTheFileAndLeavesNothingElse() throws IOException {
    Path file = folder.resolve("metrics.csv");
    AtomicFiles.writeString(file, "old, and longer");
    AtomicFiles.writeString(file, "new é");
    assertEquals("new é", Files.readString(file));
    assertEquals(List.of("metrics.csv"), names());
  }

  @Test
  void aBodyMayCloseItsStream() throws IOException {
    Path file = folder.resolve("a/b/c.bin");
    AtomicFiles.write(
        file,
        out -> {
          try (var stream = Channels.newOutputStream(out)) {
            stream.write(1);
          }
          out.write(ByteBuffer.wrap(new byte[] {2}));
        });
    assertEquals(2, Files.size(file));
  }

  @Test
  void everyFailureBeforeTheRenameKeepsTheOldFileAndRemovesTheNew() throws IOException {
    Path file = folder.resolve("f");
    int k = 0;
    while (true) {
      Files.writeString(file, "old");
      FaultyFiles files = new FaultyFiles(folder, k++, Fault.FAIL, "Input/output error");
      IOException error = null;
      try {
        AtomicFiles.write(files, file, out -> out.write(ByteBuffer.wrap("newer".getBytes(UTF_8))));
      } catch (IOException e) {
        error = e;
      }
      assertEquals(List.of("f"), names());
      if (!files.struck()) {
        assertEquals("newer", Files.readString(file));
        break;
      }
      assertTrue(error != null, "operation " + k + " failed silently");
      boolean renamed = error.getMessage().contains("may not survive");
      assertEquals(renamed ? "newer" : "old", Files.readString(file), error.getMessage());
    }
    assertTrue(k > 6, "only " + k + " operations");
  }

  @Test
  void anErrorOfTheBodyKeepsTheOldFile() throws IOException {
    Path file = folder.resolve("f");
    Files.writeString(file, "old");
    assertThrows(
        IllegalStateException.class,
        () ->
            AtomicFiles.write(
                file,
                out -> {
                  out.write(ByteBuffer.wrap(new byte[100]));
                  throw new IllegalStateException("no");
                }));
    assertEquals("old", Files.readString(file));
    assertEquals(List.of("f"), names());
  }

  @ParameterizedTest
  @CsvSource({
    "No space left on device, free some space",
    "Disk quota exceeded, free some space",
    "Read-only file system, writable file system",
    "Permission denied, make the folder writable",
    "Input/output error, check the disk"
  })
  void messagesNamePathCauseAndRemedy(String reason, String remedy) throws IOException {
    Path file = folder.resolve("model");
    Files.writeString(file, "old");
    FaultyFiles files = new FaultyFiles(folder, 2, Fault.FAIL, reason);
    IOException e =
        assertThrows(
            IOException.class,
            () -> AtomicFiles.write(files, file, out -> out.write(ByteBuffer.allocate(9))));
    assertTrue(e.getMessage().startsWith("[save] cannot write " + file + ": " + reason));
    assertTrue(e.getMessage().contains(remedy), e.getMessage());
    assertTrue(e.getMessage().endsWith("the file that was there before is unchanged"));
    assertEquals(1, e.getMessage().lines().count());
  }

  @Test
  void aFileInPlaceOfAFolderIsNamed() throws IOException {
    Files.writeString(folder.resolve("out"), "a file");
    IOException e =
        assertThrows(
            IOException.class,
            () -> AtomicFiles.writeString(folder.resolve("out/metrics.csv"), "x"));
    assertTrue(e.getMessage().contains("a file is where a folder should be"), e.getMessage());
  }

  @Test
  void aFolderInPlaceOfTheFileStays() throws IOException {
    Path target = Files.createDirectories(folder.resolve("target/full")).getParent();
    IOException e = assertThrows(IOException.class, () -> AtomicFiles.writeString(target, "x"));
    assertTrue(e.getMessage().contains("cannot write " + target), e.getMessage());
    assertEquals(List.of("target"), names());
  }

  @Test
  void writesThroughASymbolicLink() throws IOException {
    Path real = Files.writeString(folder.resolve("real"), "old");
    Path link = Files.createSymbolicLink(folder.resolve("link"), real);
    AtomicFiles.writeString(link, "new");
    assertTrue(Files.isSymbolicLink(link));
    assertEquals("new", Files.readString(real));
  }
}
