package io.gradus.benchmarks.libraries;

import io.gradus.benchmarks.engines.Answers;
import io.gradus.benchmarks.engines.PeerException;
import java.io.IOException;
import java.util.function.Supplier;
import org.jspecify.annotations.Nullable;

/**
 * The process of a library, by the commands that PyTorch's worker has for kernels:
 *
 * <pre>
 * about                      version and device
 * kernel CACHE NAME WORD... TYPE   prepares a kernel; its operands are rotated beyond CACHE bytes
 * repeat N                   the seconds that N calls of it took
 * </pre>
 */
public final class KernelWorker {
  private final Supplier<KernelLibrary> open;
  private @Nullable KernelLibrary library;
  private KernelLibrary.@Nullable Calls calls;

  /**
   * A worker.
   *
   * @param open opens the library, at the first command
   */
  KernelWorker(Supplier<KernelLibrary> open) {
    this.open = open;
  }

  /** Answers commands until the input ends. */
  public static void serve(Supplier<KernelLibrary> open) throws IOException {
    Answers.serve(new KernelWorker(open)::answer);
  }

  String answer(String command, String argument) throws PeerException {
    try {
      return told(command, argument);
    } catch (LibraryException e) {
      PeerException line = new PeerException(String.valueOf(e.getMessage()));
      line.initCause(e);
      throw line;
    }
  }

  private String told(String command, String argument) {
    return switch (command) {
      case "about" -> library().about();
      case "kernel" -> {
        prepare(argument.split(" ", 2));
        yield "ready";
      }
      case "repeat" -> {
        KernelLibrary.Calls prepared = calls;
        if (prepared == null) {
          throw new IllegalStateException("no kernel is prepared");
        }
        yield Double.toString(prepared.seconds(Integer.parseInt(argument)));
      }
      default -> throw new IllegalArgumentException("unknown command " + command);
    };
  }

  private void prepare(String[] words) {
    KernelLibrary.Calls before = calls;
    if (before != null) {
      calls = null;
      before.close();
    }
    if (words.length < 2) {
      throw new IllegalArgumentException("kernel wants a number of bytes and a kernel");
    }
    calls = library().prepare(KernelSpec.parse(words[1]), Long.parseLong(words[0]));
  }

  private KernelLibrary library() {
    KernelLibrary opened = library;
    if (opened == null) {
      opened = open.get();
      library = opened;
    }
    return opened;
  }
}
