package io.gradus.benchmarks.engines;

import com.fasterxml.jackson.core.JsonGenerator;
import io.gradus.benchmarks.report.Section;
import io.gradus.benchmarks.report.Statistics;
import io.gradus.benchmarks.report.Table;
import java.awt.Color;
import java.io.IOException;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import org.knowm.xchart.CategoryChart;
import org.knowm.xchart.CategoryChartBuilder;
import org.knowm.xchart.internal.chartpart.IChart;
import org.knowm.xchart.style.Styler;

/** Gradus beside other engines, as one table. */
final class Comparison implements Section {
  private static final double MB = 1e6;
  private static final int WIDTH = 900;
  private static final int HEIGHT = 450;

  private final List<Result> results;

  Comparison(List<Result> results) {
    this.results = List.copyOf(results);
  }

  @Override
  public String name() {
    return "engines";
  }

  @Override
  public String title() {
    return "Engines";
  }

  @Override
  public String intro() {
    return """
        A step is forward, cross-entropy, backward and Adam with decoupled weight decay on fixed
        random data, in float32 unless the command names a precision. Results are medians of rounds in which the engines take turns; Gradus'
        advantage is the median of the rounds' ratios, above 1 where Gradus is faster or smaller.
        first step: from the start of a virtual machine to the end of the MLP's first step. tiny op:
        the sum of two tensors of one element. download: the jars for this platform, those of Gradus
        as built here.""";
  }

  @Override
  public Table table() {
    Table table =
        new Table(
            "what", "threads", "engine", "result", "advantage (min-max)", "peak memory", "about");
    for (Result result : results) {
      Statistics advantage = result.advantage();
      String peak = String.format(Locale.ROOT, "%,.0f MB", result.peakBytes() / MB);
      table.add(
          List.of(
              result.what(),
              Integer.toString(result.threads()),
              result.engine(),
              result.measured() ? result.unit().text(result.median()) : "-",
              advantage == null ? "" : advantage.toString(),
              result.peakBytes() == 0 ? "" : peak,
              result.about().split(";", 2)[0]));
    }
    return table;
  }

  /** One line for each peer with losses: whether it computed the same. */
  @Override
  public List<String> notes() {
    List<String> notes = new ArrayList<>();
    for (Result result : results) {
      Double difference = result.lossDifference();
      if (difference != null) {
        notes.add(
            String.format(
                Locale.ROOT,
                "%s, threads %d, %s: losses %s: max relative difference %.1e (tolerance %.0e)",
                result.what(),
                result.threads(),
                result.engine(),
                result.disagrees() ? "DISAGREE" : "agree",
                difference,
                result.tolerance()));
      }
    }
    return notes;
  }

  @Override
  public Table values() {
    Table table = new Table("what", "threads", "engine", "unit", "round", "value");
    for (Result result : results) {
      for (int round = 0; round < result.values().size(); round++) {
        table.add(
            List.of(
                result.what(),
                Integer.toString(result.threads()),
                result.engine(),
                result.unit().label(),
                Integer.toString(round + 1),
                Double.toString(result.values().get(round))));
      }
    }
    return table;
  }

  @Override
  public void json(JsonGenerator json) throws IOException {
    json.writeStartArray();
    for (Result result : results) {
      write(json, result);
    }
    json.writeEndArray();
  }

  private static void write(JsonGenerator json, Result result) throws IOException {
    json.writeStartObject();
    json.writeStringField("what", result.what());
    json.writeStringField("unit", result.unit().label());
    json.writeNumberField("threads", result.threads());
    json.writeStringField("engine", result.engine());
    json.writeBooleanField("measured", result.measured());
    json.writeStringField("about", result.about());
    if (result.measured()) {
      json.writeNumberField("median", result.median());
      json.writeArrayFieldStart("values");
      for (double value : result.values()) {
        json.writeNumber(value);
      }
      json.writeEndArray();
    }
    if (result.peakBytes() > 0) {
      json.writeNumberField("peakBytes", result.peakBytes());
    }
    Statistics advantage = result.advantage();
    if (advantage != null) {
      advantage.write(json, "advantage");
    }
    Double difference = result.lossDifference();
    if (difference != null) {
      json.writeNumberField("lossDifference", difference);
      json.writeBooleanField("lossesAgree", !result.disagrees());
    }
    json.writeEndObject();
  }

  @Override
  public Map<String, IChart> charts() {
    Map<String, IChart> charts = new LinkedHashMap<>();
    Set<String> groups = new LinkedHashSet<>();
    Set<String> engines = new LinkedHashSet<>();
    for (Result result : results) {
      if (result.unit() == Unit.IMAGES_PER_SECOND && result.measured()) {
        groups.add(group(result));
        engines.add(result.engine());
      }
    }
    if (engines.size() > 1) {
      charts.put("steps", bars(List.copyOf(groups), engines));
    }
    return charts;
  }

  private static String group(Result result) {
    return result.what() + " x" + result.threads();
  }

  /** Images/s in proportion to those of Gradus; what an engine did not do has no bar. */
  private CategoryChart bars(List<String> groups, Set<String> engines) {
    CategoryChart chart =
        new CategoryChartBuilder()
            .width(WIDTH)
            .height(HEIGHT)
            .title("Training steps: speed beside Gradus")
            .xAxisTitle("workload x threads")
            .yAxisTitle("images/s, Gradus = 1")
            .build();
    chart.getStyler().setChartBackgroundColor(Color.WHITE);
    chart.getStyler().setLegendPosition(Styler.LegendPosition.OutsideE);
    for (String engine : engines) {
      List<Double> heights = new ArrayList<>();
      for (String group : groups) {
        heights.add(height(group, engine));
      }
      chart.addSeries(engine, groups, heights);
    }
    return chart;
  }

  private double height(String group, String engine) {
    for (Result result : results) {
      if (result.measured() && group(result).equals(group) && result.engine().equals(engine)) {
        Statistics advantage = result.advantage();
        return advantage == null ? 1 : 1 / advantage.median();
      }
    }
    return 0;
  }
}
