package io.gradus.backend.plugin;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.gradus.backend.plugin.jni.Native;
import java.io.File;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;
import org.bytedeco.javacpp.Loader;

/** Shared libraries of C, for tests that need one with a fault. */
final class CLibrary {
  private CLibrary() {}

  /** Compiles a library; the test is skipped where there is no C compiler. */
  static void compile(Path library, String source) throws IOException, InterruptedException {
    String compiler =
        Stream.of("cc", "gcc", "clang").filter(CLibrary::isOnPath).findFirst().orElse("");
    assumeTrue(!compiler.isEmpty(), "skipped: no C compiler on PATH");
    Path code = Files.writeString(library.resolveSibling(library.getFileName() + ".c"), source);
    Process process =
        new ProcessBuilder(
                List.of(compiler, "-shared", "-fPIC", "-o", library.toString(), code.toString()))
            .redirectErrorStream(true)
            .start();
    String output = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
    assertEquals(0, process.waitFor(), output);
  }

  private static boolean isOnPath(String program) {
    for (String folder : System.getenv("PATH").split(File.pathSeparator, -1)) {
      if (Files.isExecutable(Path.of(folder, program))) {
        return true;
      }
    }
    return false;
  }

  /** Skips the test where the plug-in of a name was not built. */
  static void assumeBuilt(String plugin) {
    String file = "libgradus_" + plugin + ".so";
    String folder = System.getProperty("gradus.plugins");
    boolean built =
        folder != null
            ? Files.isRegularFile(Path.of(folder, file))
            : Native.class.getResource(Loader.getPlatform() + "/" + file) != null;
    assumeTrue(built, "skipped: this build has no " + file);
  }
}
