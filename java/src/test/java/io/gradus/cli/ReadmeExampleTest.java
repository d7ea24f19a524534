package io.gradus.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.File;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import javax.tools.JavaCompiler;
import javax.tools.ToolProvider;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The first Java program of README.md is what a newcomer copies: it compiles, runs and learns. */
class ReadmeExampleTest {
  private static final Pattern BLOCK = Pattern.compile("(?s)```java\\R(.*?)```");
  private static final Pattern CLASS = Pattern.compile("\\bclass\\s+(\\w+)");
  private static final Pattern ACCURACY = Pattern.compile("accuracy (\\d+\\.\\d+)%");
  private static final int LINES = 20;

  @TempDir private Path folder;

  /** The repository's root is the folder above with Maven's settings. */
  private static Path readme() {
    Path root = Path.of("").toAbsolutePath();
    while (root != null && !Files.isDirectory(root.resolve(".mvn"))) {
      root = root.getParent();
    }
    assertNotNull(root, "no folder above this one is the repository's root");
    return root.resolve("README.md");
  }

  private static String find(Pattern pattern, String text, String what) {
    Matcher matcher = pattern.matcher(text);
    assertTrue(matcher.find(), "there is no " + what + " in:\n" + text);
    return matcher.group(1);
  }

  @Test
  void compilesRunsAndLearns() throws IOException, InterruptedException {
    String source = find(BLOCK, Files.readString(readme()), "block of Java");
    assertTrue(source.lines().count() <= LINES, source);
    String name = find(CLASS, source, "class");
    Path file = folder.resolve(name + ".java");
    Files.writeString(file, source);
    String classPath =
        String.join(File.pathSeparator, folder.toString(), System.getProperty("java.class.path"));

    JavaCompiler compiler = ToolProvider.getSystemJavaCompiler();
    assertNotNull(compiler, "these tests need a JDK");
    Path messages = folder.resolve("messages");
    int compiled;
    try (var stream = Files.newOutputStream(messages)) {
      compiled =
          compiler.run(
              null,
              stream,
              stream,
              "-Xlint:all,-path",
              "-Werror",
              "-proc:none",
              "-cp",
              classPath,
              "-d",
              folder.toString(),
              file.toString());
    }
    assertEquals(0, compiled, Files.readString(messages));

    Path output = folder.resolve("output");
    Path java = Path.of(System.getProperty("java.home"), "bin", "java");
    Process process =
        new ProcessBuilder(List.of(java.toString(), "-Dgradus.threads=2", "-cp", classPath, name))
            .directory(folder.toFile())
            .redirectErrorStream(true)
            .redirectOutput(output.toFile())
            .start();
    String printed = process.waitFor() + "\n" + Files.readString(output);
    assertTrue(printed.startsWith("0\n"), printed);
    double accuracy = Double.parseDouble(find(ACCURACY, printed, "accuracy"));
    assertTrue(accuracy > 50, printed);
  }
}
