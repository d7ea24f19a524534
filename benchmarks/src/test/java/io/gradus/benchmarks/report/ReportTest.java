package io.gradus.benchmarks.report;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonGenerator;
import com.fasterxml.jackson.core.JsonParser;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.knowm.xchart.XYChart;
import org.knowm.xchart.XYChartBuilder;
import org.knowm.xchart.internal.chartpart.IChart;

class ReportTest {
  private static final byte[] PNG = {(byte) 0x89, 'P', 'N', 'G'};

  /** One row and one chart. */
  private static final class Sample implements Section {
    @Override
    public String name() {
      return "sample";
    }

    @Override
    public String title() {
      return "A sample";
    }

    @Override
    public String intro() {
      return "What it is.";
    }

    @Override
    public Table table() {
      Table table = new Table("what", "value");
      table.add(List.of("a|b", "1"));
      return table;
    }

    @Override
    public List<String> notes() {
      return List.of("a note");
    }

    @Override
    public Table values() {
      Table table = new Table("what", "value");
      table.add(List.of("a, \"b\"", "1.5"));
      return table;
    }

    @Override
    public void json(JsonGenerator json) throws IOException {
      json.writeStartArray();
      json.writeNumber(1.5);
      json.writeEndArray();
    }

    @Override
    public Map<String, IChart> charts() {
      XYChart chart = new XYChartBuilder().width(200).height(100).build();
      chart.addSeries("line", new double[] {1, 2}, new double[] {1, 2});
      return Map.of("line", chart);
    }
  }

  private static Report report() {
    return new Report(
        "bench",
        "Benchmarks",
        "2030-01-02T03:04:05Z",
        "./gradus bench --quick",
        new Machine("A processor", 4, "avx2", "An OS", "A JVM"),
        "0.10",
        "0.20",
        List.of(new Sample()));
  }

  @Test
  void writesEveryFormat(@TempDir Path folder) throws IOException {
    Path out = folder.resolve("deep/er");
    report().write(out);
    assertEquals("what,value\n\"a, \"\"b\"\"\",1.5\n", lines(out.resolve("bench-sample.csv")));
    byte[] png = Files.readAllBytes(out.resolve("bench-sample-line.png"));
    assertArrayEquals(PNG, Arrays.copyOf(png, PNG.length));
    String markdown = Files.readString(out.resolve("bench.md"));
    assertTrue(markdown.contains("# Benchmarks\n"), markdown);
    assertTrue(markdown.contains("- date: 2030-01-02T03:04:05Z\n"), markdown);
    assertTrue(markdown.contains("- machine: A processor, 4 cores, avx2\n"), markdown);
    assertTrue(markdown.contains("- load average: 0.10 before, 0.20 after\n"), markdown);
    assertTrue(markdown.contains("| a/b  | 1     |\n"), markdown);
    assertTrue(markdown.contains("- a note\n"), markdown);
    assertTrue(markdown.contains("(bench-sample-line.png)"), markdown);
    try (JsonParser json = new JsonFactory().createParser(out.resolve("bench.json").toFile())) {
      int depth = 0;
      while (json.nextToken() != null) {
        depth += json.currentToken().isStructStart() ? 1 : 0;
      }
      assertEquals(3, depth);
    }
  }

  private static String lines(Path file) throws IOException {
    return Files.readString(file).replace("\r\n", "\n");
  }

  @Test
  void theTerminalGetsTablesAndNotes() {
    String text = report().text();
    assertTrue(
        text.contains("A sample\n\n| what | value |\n| ---- | ----- |\n| a/b  | 1     |\n"), text);
    assertTrue(text.endsWith("a note\n"), text);
  }

  @Test
  void cellsKeepToTheirLine() {
    Table table = new Table("what");
    table.add(List.of("first\n  second"));
    assertTrue(table.text().contains("| first; second |\n"), table.text());
  }

  @Test
  void aRowHasAsManyCellsAsTheHead() {
    Table table = new Table("what", "value");
    assertThrows(IllegalArgumentException.class, () -> table.add(List.of("alone")));
  }

  @Test
  void foldersAreNotPartOfTheCommand() {
    assertEquals(
        "./gradus bench --quick --peers torch",
        RunOptions.commandLine(
            "gradus bench",
            List.of("--quick", "--out", "/home/me/x", "--peers", "torch", "--out=/home/me/y")));
  }
}
