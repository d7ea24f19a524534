package io.gradus.tensor;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestFactory;

/** Holds the Javadoc of public operations to its sections; one overload of each name suffices. */
class JavadocSectionsTest {
  private static final List<String> SHAPES = List.of("Shapes");
  private static final List<String> ALL = List.of("Shapes", "Source", "example");

  private static final List<String> TENSOR =
      List.of(
          "Tensor",
          "TensorMath",
          "TensorReductions",
          "TensorViews",
          "TensorIndexing",
          "TensorContents",
          "TensorUpdates");

  private static final List<String> GROUPS =
      List.of(
          "Conv",
          "Pool",
          "Norm",
          "Loss",
          "Softmax",
          "Dropout",
          "Embedding",
          "Linear",
          "Attention",
          "Image");

  /** A public operation of a top-level type: its indentation tells it from those of nested ones. */
  private static final Pattern OPERATION =
      Pattern.compile("^  (?:default|public static) .*?(\\w+)\\(");

  private static final Map<String, Pattern> SECTIONS =
      Map.of(
          "Shapes", Pattern.compile("<p>Shapes: \\S"),
          "Source", Pattern.compile("<p>Source: \\w"),
          "example", Pattern.compile("<pre>\\{@code[^}]*\\b\\w+\\("));

  @TestFactory
  List<DynamicTest> everyOperationHasItsSections() {
    List<DynamicTest> tests = new ArrayList<>();
    TENSOR.forEach(name -> tests.add(check(name, SHAPES)));
    GROUPS.forEach(name -> tests.add(check(name, ALL)));
    return tests;
  }

  private static DynamicTest check(String type, List<String> sections) {
    return DynamicTest.dynamicTest(
        type,
        () -> {
          Map<String, String> docs = docs(Files.readAllLines(sources().resolve(type + ".java")));
          assertFalse(docs.isEmpty(), "no operation found in " + type);
          assertEquals(List.of(), missing(docs, sections), "operations of " + type + " that lack");
        });
  }

  @Test
  void namesWhatIsMissing() {
    List<String> source =
        """
        final class Example {
          /**
           * Doubles.
           *
           * <p>Shapes: {@code [..] -> [..]}
           */
          @Deprecated
          public static Tensor twice(Tensor x) {

          /** As {@link #twice(Tensor)}. */
          public static Tensor twice(double x) {

          /** Shapes: unmarked. */
          public static Tensor half(Tensor x) {
          }

          public static Tensor bare(Tensor x) {
        """
            .lines()
            .toList();
    Map<String, String> docs = docs(source);
    assertEquals(List.of("bare: Shapes", "half: Shapes"), missing(docs, SHAPES));
    assertEquals(
        List.of("twice: Source", "twice: example"),
        missing(docs, ALL).stream().filter(s -> s.startsWith("twice")).toList());
  }

  private static Path sources() throws IOException {
    Path directory = Path.of(System.getProperty("user.dir")).toAbsolutePath();
    for (Path at = directory; at != null; at = at.getParent()) {
      for (String module : List.of("", "java")) {
        Path sources = at.resolve(module).resolve("src/main/java/io/gradus/tensor");
        if (Files.isDirectory(sources)) {
          return sources;
        }
      }
    }
    throw new IOException("no src/main/java/io/gradus/tensor in or above " + directory);
  }

  /** From the name of each operation to the Javadoc of all its overloads. */
  private static Map<String, String> docs(List<String> lines) {
    Map<String, String> docs = new TreeMap<>();
    for (int i = 0; i < lines.size(); i++) {
      Matcher operation = OPERATION.matcher(lines.get(i));
      if (operation.find()) {
        docs.merge(operation.group(1), docAbove(lines, i), (a, b) -> a + "\n" + b);
      }
    }
    return docs;
  }

  private static String docAbove(List<String> lines, int declaration) {
    int end = declaration;
    while (lines.get(end - 1).startsWith("  @")) {
      end--;
    }
    if (!lines.get(end - 1).endsWith("*/")) {
      return "";
    }
    int start = end - 1;
    while (!lines.get(start).startsWith("  /**")) {
      start--;
    }
    return String.join("\n", lines.subList(start, end));
  }

  private static List<String> missing(Map<String, String> docs, List<String> sections) {
    List<String> missing = new ArrayList<>();
    docs.forEach(
        (name, doc) -> {
          for (String section : sections) {
            if (!SECTIONS.get(section).matcher(doc).find()) {
              missing.add(name + ": " + section);
            }
          }
        });
    return missing;
  }
}
