package io.gradus.benchmarks.libraries;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.gradus.benchmarks.engines.PeerException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class KernelWorkerTest {
  @TempDir private Path folder;

  /** A library that writes down what it is asked. */
  private static final class Recorder implements KernelLibrary {
    private final List<String> log = new ArrayList<>();

    @Override
    public String about() {
      return "a library 1.0";
    }

    @Override
    public Calls prepare(KernelSpec spec, long cacheBytes) {
      if (spec.name().equals("unknown")) {
        throw new IllegalArgumentException("no such kernel");
      }
      log.add(spec.name() + " beyond " + cacheBytes);
      return new Calls() {
        @Override
        public double seconds(int calls) {
          return calls * 0.5;
        }

        @Override
        public void close() {
          log.add("closed " + spec.name());
        }
      };
    }
  }

  @Test
  void commandsAreAnswered() throws PeerException {
    Recorder library = new Recorder();
    KernelWorker worker = new KernelWorker(() -> library);
    assertEquals("a library 1.0", worker.answer("about", ""));
    assertThrows(IllegalStateException.class, () -> worker.answer("repeat", "3"));
    assertEquals("ready", worker.answer("kernel", "1000 softmax 8 16 bfloat16"));
    assertEquals("1.5", worker.answer("repeat", "3"));
    assertEquals("ready", worker.answer("kernel", "0 dropout 64 float32"));
    assertThrows(IllegalArgumentException.class, () -> worker.answer("kernel", "0 unknown 1 f"));
    // The kernel before is gone, so its time cannot be taken for the other's.
    assertThrows(IllegalStateException.class, () -> worker.answer("repeat", "3"));
    assertThrows(IllegalArgumentException.class, () -> worker.answer("kernel", "7"));
    assertThrows(IllegalArgumentException.class, () -> worker.answer("dance", ""));
    assertEquals(
        List.of("softmax beyond 1000", "closed softmax", "dropout beyond 0", "closed dropout"),
        library.log);
  }

  @Test
  void aLibraryThatIsMissingIsAskedForAgain() {
    KernelWorker worker =
        new KernelWorker(
            () -> {
              throw new LibraryException("libx.so: not here");
            });
    for (int i = 0; i < 2; i++) {
      var e = assertThrows(PeerException.class, () -> worker.answer("about", ""));
      assertEquals("libx.so: not here", e.getMessage());
    }
  }

  @Test
  void theLoadersMessageIsCutToWhatIsMissing() {
    String said = "/cache/libjnicublas.so: libcublas.so.13: cannot open shared object file";
    LinkageError failed = new UnsatisfiedLinkError("no jnicublas in java.library.path");
    failed.initCause(new UnsatisfiedLinkError(said));
    assertEquals(
        "libcublas.so.13: cannot open shared object file",
        LibraryException.ofLoading(failed).getMessage());
    assertEquals(
        "something else",
        LibraryException.ofLoading(new NoClassDefFoundError("something else\nmore")).getMessage());
  }

  @Test
  void kernelsAreRead() {
    KernelSpec spec = KernelSpec.parse("matmul NT 64 32 16 bfloat16");
    assertEquals("NT", spec.word(0));
    assertEquals(16, spec.number(3));
    assertEquals(2, spec.bytes());
    assertEquals(4, KernelSpec.parse("matmul NT 64 32 16 tf32").bytes());
    assertThrows(IllegalArgumentException.class, () -> spec.word(4));
    assertThrows(IllegalArgumentException.class, () -> spec.number(0));
    assertThrows(IllegalArgumentException.class, () -> KernelSpec.parse("matmul float32"));
  }

  @Test
  void numbersAreThoseOfTheirType() {
    assertEquals((short) 0x3f80, Values.bfloat16(1));
    assertEquals((short) 0xc000, Values.bfloat16(-2));
    assertEquals((short) 0x3c00, Values.float16(1));
    assertEquals((short) 0xc100, Values.float16(-2.5f));
    assertEquals((short) 0x3555, Values.float16(1 / 3f));
    assertEquals((short) 0x8000, Values.float16(-1e-6f));
    ByteBuffer wide = Values.normal(KernelSpec.parse("softmax 1 1 float32"), 1001);
    ByteBuffer narrow = Values.normal(KernelSpec.parse("softmax 1 1 bfloat16"), 1001);
    assertEquals(1001 * 4, wide.limit());
    assertEquals(1001 * 2, narrow.limit());
    double squares = 0;
    for (int i = 0; i < 1001; i++) {
      double value = wide.getFloat(4 * i);
      squares += value * value;
      assertEquals((short) (wide.getInt(4 * i) >> 16), narrow.getShort(2 * i));
    }
    assertEquals(1, squares / 1001, 0.15);
  }

  @Test
  void theFirstFolderThatHasALibraryGivesIt() throws Exception {
    Path first = Files.createDirectory(folder.resolve("first"));
    Path second = Files.createDirectory(folder.resolve("second"));
    Files.createFile(first.resolve("a.so.1"));
    Files.createFile(second.resolve("a.so.1"));
    Files.createFile(second.resolve("b.so.1"));
    String path = ":" + folder.resolve("absent") + ":" + first + ":" + second;
    assertEquals(
        List.of(second.resolve("b.so.1"), first.resolve("a.so.1")),
        LibraryPath.find(path, List.of("b.so.1", "c.so.1", "a.so.1")));
    assertTrue(LibraryPath.find("", List.of("a.so.1")).isEmpty());
  }
}
