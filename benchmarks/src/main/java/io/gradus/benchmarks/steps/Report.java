package io.gradus.benchmarks.steps;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonGenerator;
import java.io.IOException;
import java.io.StringWriter;
import java.io.Writer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;

/**
 * The results as a table for people and as JSON for programs.
 *
 * @param date when the run began, in ISO 8601
 * @param command the command line
 * @param machine where it ran
 * @param loadBefore mean number of running processes when it began
 * @param loadAfter the same when it ended
 * @param results one for each workload, number of threads and engine
 */
record Report(
    String date,
    String command,
    Machine machine,
    String loadBefore,
    String loadAfter,
    List<Result> results) {
  private static final List<String> HEAD =
      List.of(
          "workload",
          "threads",
          "engine",
          "images/s",
          "Gradus / engine (min-max)",
          "peak memory",
          "about");
  private static final double MB = 1e6;

  /** Writes {@code steps.json} and {@code steps.md}. */
  void write(Path folder) throws IOException {
    Files.writeString(folder.resolve("steps.md"), markdown());
    Files.writeString(folder.resolve("steps.json"), json());
  }

  /** The table, with columns of equal width, which is also Markdown. */
  String table() {
    List<List<String>> rows = new ArrayList<>();
    rows.add(HEAD);
    results.forEach(result -> rows.add(cells(result)));
    int[] widths = new int[HEAD.size()];
    for (List<String> row : rows) {
      for (int i = 0; i < widths.length; i++) {
        widths[i] = Math.max(widths[i], row.get(i).length());
      }
    }
    StringBuilder text = new StringBuilder();
    for (int r = 0; r < rows.size(); r++) {
      line(text, rows.get(r), widths);
      if (r == 0) {
        List<String> rule = new ArrayList<>();
        for (int width : widths) {
          rule.add("-".repeat(width));
        }
        line(text, rule, widths);
      }
    }
    return text.toString();
  }

  private static void line(StringBuilder text, List<String> row, int[] widths) {
    for (int i = 0; i < widths.length; i++) {
      text.append("| ").append(row.get(i)).append(" ".repeat(widths[i] - row.get(i).length() + 1));
    }
    text.append("|\n");
  }

  private static List<String> cells(Result result) {
    String workload = result.workload().label();
    String threads = Integer.toString(result.threads());
    String about = result.about().replace('|', '/').split(";", 2)[0];
    if (!result.measured()) {
      return List.of(workload, threads, result.engine(), "-", "-", "-", about);
    }
    Statistics ratio = result.ratio();
    return List.of(
        workload,
        threads,
        result.engine(),
        format("%,.0f", Statistics.of(result.imagesPerSecond()).median()),
        ratio == null ? "" : format("%.2f (%.2f-%.2f)", ratio.median(), ratio.min(), ratio.max()),
        format("%,.0f MB", result.peakBytes() / MB),
        about);
  }

  /** One line for each peer that was measured: whether it computed the same. */
  String checks() {
    StringBuilder text = new StringBuilder();
    for (Result result : results) {
      Double difference = result.lossDifference();
      if (difference != null) {
        text.append(
            format(
                "%s, threads %d, %s: losses %s: max relative difference %.1e (tolerance %.0e)%n",
                result.workload().label(),
                result.threads(),
                result.engine(),
                result.disagrees() ? "DISAGREE" : "agree",
                difference,
                Result.TOLERANCE));
      }
    }
    return text.toString();
  }

  private String markdown() {
    return String.join(
        "\n",
        "# Training steps",
        "",
        "Forward, cross-entropy, backward and AdamW on fixed random data, float32. images/s is the",
        "median of the rounds; the ratio is the median of the rounds' ratios.",
        "",
        "- date: " + date,
        "- command: `" + command + "`",
        format("- machine: %s, %d cores, %s", machine.cpu(), machine.cores(), machine.isas()),
        "- system: " + machine.os() + "; " + machine.java(),
        "- load average: " + loadBefore + " before, " + loadAfter + " after",
        "",
        table(),
        checks().lines().map(line -> "- " + line + "\n").reduce("", String::concat));
  }

  private String json() throws IOException {
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
      json.writeArrayFieldStart("results");
      for (Result result : results) {
        write(json, result);
      }
      json.writeEndArray();
      json.writeEndObject();
    }
    return text + "\n";
  }

  private static void write(JsonGenerator json, Result result) throws IOException {
    json.writeStartObject();
    json.writeStringField("workload", result.workload().label());
    json.writeNumberField("batch", result.workload().batch());
    json.writeNumberField("threads", result.threads());
    json.writeStringField("engine", result.engine());
    json.writeBooleanField("measured", result.measured());
    json.writeStringField("about", result.about());
    if (result.measured()) {
      json.writeNumberField("peakBytes", result.peakBytes());
      json.writeNumberField(
          "medianImagesPerSecond", Statistics.of(result.imagesPerSecond()).median());
      json.writeArrayFieldStart("imagesPerSecond");
      for (double rate : result.imagesPerSecond()) {
        json.writeNumber(rate);
      }
      json.writeEndArray();
    }
    Statistics ratio = result.ratio();
    if (ratio != null) {
      json.writeObjectFieldStart("gradusOverEngine");
      json.writeNumberField("median", ratio.median());
      json.writeNumberField("min", ratio.min());
      json.writeNumberField("max", ratio.max());
      json.writeEndObject();
    }
    Double difference = result.lossDifference();
    if (difference != null) {
      json.writeNumberField("lossDifference", difference);
      json.writeBooleanField("lossesAgree", !result.disagrees());
    }
    json.writeEndObject();
  }

  private static String format(String format, Object... values) {
    return String.format(Locale.ROOT, format, values);
  }
}
