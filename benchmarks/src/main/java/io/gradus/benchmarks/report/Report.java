package io.gradus.benchmarks.report;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonGenerator;
import java.io.IOException;
import java.io.StringWriter;
import java.io.Writer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import org.knowm.xchart.ChartEncoder;
import org.knowm.xchart.internal.chartpart.IChart;

/**
 * What a run of the benchmarks has found, with what is needed to judge and to repeat it.
 *
 * @param name the beginning of its files' names
 * @param title the heading
 * @param date when the run began, in ISO 8601
 * @param command the command line
 * @param machine where it ran
 * @param loadBefore mean number of running processes when it began
 * @param loadAfter the same when it ended
 * @param sections the results
 */
public record Report(
    String name,
    String title,
    String date,
    String command,
    Machine machine,
    String loadBefore,
    String loadAfter,
    List<Section> sections) {

  /**
   * Writes {@code NAME.md}, {@code NAME.json} and for every section {@code NAME-SECTION.csv} and
   * its charts as PNG.
   */
  public void write(Path folder) throws IOException {
    Files.createDirectories(folder);
    for (Section section : sections) {
      Files.writeString(file(folder, section, "csv"), section.values().csv());
      for (Map.Entry<String, IChart> chart : section.charts().entrySet()) {
        Files.write(
            file(folder, section, chart.getKey() + ".png"),
            ChartEncoder.getBytes(chart.getValue(), "png"));
      }
    }
    Files.writeString(folder.resolve(name + ".json"), json());
    Files.writeString(folder.resolve(name + ".md"), markdown());
  }

  private Path file(Path folder, Section section, String ending) {
    return folder.resolve(fileName(section, ending));
  }

  private String fileName(Section section, String ending) {
    String stem = section.name().equals(name) ? name : name + "-" + section.name();
    return stem + (ending.indexOf('.') < 0 ? "." : "-") + ending;
  }

  /** The tables and the notes, for the terminal. */
  public String text() {
    StringBuilder text = new StringBuilder();
    for (Section section : sections) {
      text.append('\n').append(section.title()).append("\n\n").append(section.table().text());
      section.notes().forEach(note -> text.append(note).append('\n'));
    }
    return text.toString();
  }

  /** The whole as Markdown. */
  public String markdown() {
    StringBuilder text = new StringBuilder();
    text.append("# ").append(title).append("\n\n");
    line(text, "date: " + date);
    line(text, "command: `" + command + "`");
    line(
        text,
        String.format(
            Locale.ROOT,
            "machine: %s, %d cores, %s",
            machine.cpu(),
            machine.cores(),
            machine.isas()));
    line(text, "system: " + machine.os() + "; " + machine.java());
    line(text, "load average: " + loadBefore + " before, " + loadAfter + " after");
    for (Section section : sections) {
      text.append("\n## ").append(section.title()).append("\n\n");
      text.append(section.intro()).append("\n\n").append(section.table().text());
      if (!section.notes().isEmpty()) {
        text.append('\n');
        section.notes().forEach(note -> line(text, note));
      }
      for (String chart : section.charts().keySet()) {
        String png = fileName(section, chart + ".png");
        text.append("\n![").append(section.title()).append("](").append(png).append(")\n");
      }
    }
    return text.toString();
  }

  private static void line(StringBuilder text, String item) {
    text.append("- ").append(item).append('\n');
  }

  /** The whole as JSON. */
  public String json() throws IOException {
    Writer text = new StringWriter();
    try (JsonGenerator json = new JsonFactory().createGenerator(text).useDefaultPrettyPrinter()) {
      json.writeStartObject();
      json.writeStringField("date", date);
      json.writeStringField("command", command);
      json.writeObjectFieldStart("machine");
      json.writeStringField("cpu", machine.cpu());
      json.writeNumberField("cores", machine.cores());
      json.writeStringField("isas", machine.isas());
      json.writeStringField("os", machine.os());
      json.writeStringField("java", machine.java());
      json.writeStringField("loadBefore", loadBefore);
      json.writeStringField("loadAfter", loadAfter);
      json.writeEndObject();
      for (Section section : sections) {
        json.writeFieldName(section.name());
        section.json(json);
      }
      json.writeEndObject();
    }
    return text + "\n";
  }
}
