package io.gradus.benchmarks.kernels;

import com.fasterxml.jackson.core.JsonGenerator;
import io.gradus.benchmarks.report.Section;
import io.gradus.benchmarks.report.Statistics;
import io.gradus.benchmarks.report.Table;
import java.io.IOException;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import org.knowm.xchart.internal.chartpart.IChart;

/** Kernels beside the limits of their devices. */
final class KernelSection implements Section {
  private final Map<String, Limits> limits;
  private final List<KernelResult> results;
  private final List<String> peerNotes;

  KernelSection(Map<String, Limits> limits, List<KernelResult> results, List<String> peerNotes) {
    this.peerNotes = List.copyOf(peerNotes);
    this.limits = new LinkedHashMap<>(limits);
    this.results = List.copyOf(results);
  }

  @Override
  public String name() {
    return "kernels";
  }

  @Override
  public String title() {
    return "Kernels";
  }

  @Override
  public String intro() {
    return """
        Medians of rounds; spread is what the slowest round is behind the fastest, of the median.
        GFLOP/s counts additions, multiplications and other functions alike, GB/s every operand
        once. The limit is the larger of both times at the device's own rates; a share above 100%
        means that operands stayed in the processor's caches. On GPUs operands are rotated beyond
        the cache, and beside others stands their time over ours, above 1 where ours is faster, as
        median of rounds in which the engines take turns.""";
  }

  @Override
  public Table table() {
    Set<String> engines = new TreeSet<>();
    results.forEach(result -> engines.addAll(result.peers().keySet()));
    List<String> head =
        new ArrayList<>(
            List.of("device", "group", "kernel", "sizes", "type", "time", "spread", "GFLOP/s"));
    head.addAll(List.of("GB/s", "of the limit"));
    engines.forEach(engine -> head.add("beside " + engine));
    head.add("goal");
    Table table = new Table(head.toArray(String[]::new));
    for (KernelResult result : results) {
      List<String> row = row(result);
      for (String engine : engines) {
        Statistics ratio = result.ratio(engine);
        row.add(ratio == null ? "" : ratio.toString());
      }
      row.add(result.kernel().goal().verdict(result));
      table.add(row);
    }
    return table;
  }

  private static List<String> row(KernelResult result) {
    KernelCase kernel = result.kernel();
    List<String> row =
        new ArrayList<>(
            List.of(result.device(), kernel.group(), kernel.name(), kernel.shape(), kernel.type()));
    if (!result.measured()) {
      row.addAll(List.of("-", "-", "-", "-", result.problem()));
      return row;
    }
    row.add(format("%,.1f us", result.micros()));
    row.add(format("%.0f%%", 100 * result.spread()));
    row.add(kernel.flops() == 0 ? "" : rate(result.gflops()));
    row.add(rate(result.gigabytes()));
    row.add(Double.isNaN(result.share()) ? "" : format("%.0f%%", 100 * result.share()));
    return row;
  }

  @Override
  public List<String> notes() {
    List<String> notes = new ArrayList<>();
    limits.forEach((device, most) -> notes.add("limits of " + device + ": " + most.source()));
    notes.addAll(peerNotes);
    return notes;
  }

  @Override
  public Table values() {
    Table table =
        new Table(
            "device", "group", "kernel", "sizes", "type", "flops", "bytes", "engine", "round",
            "seconds");
    for (KernelResult result : results) {
      values(table, result, "gradus", result.seconds());
      result.peers().forEach((engine, seconds) -> values(table, result, engine, seconds));
    }
    return table;
  }

  private static void values(
      Table table, KernelResult result, String engine, List<Double> seconds) {
    KernelCase kernel = result.kernel();
    for (int round = 0; round < seconds.size(); round++) {
      table.add(
          List.of(
              result.device(),
              kernel.group(),
              kernel.name(),
              kernel.shape(),
              kernel.type(),
              format("%.0f", kernel.flops()),
              format("%.0f", kernel.bytes()),
              engine,
              Integer.toString(round + 1),
              Double.toString(seconds.get(round))));
    }
  }

  @Override
  public void json(JsonGenerator json) throws IOException {
    json.writeStartObject();
    json.writeObjectFieldStart("limits");
    for (Map.Entry<String, Limits> entry : limits.entrySet()) {
      Limits most = entry.getValue();
      json.writeObjectFieldStart(entry.getKey());
      json.writeStringField("source", most.source());
      number(json, "flops", most.flops());
      number(json, "tf32Flops", most.tf32Flops());
      number(json, "halfFlops", most.halfFlops());
      number(json, "bytes", most.bytes());
      json.writeEndObject();
    }
    json.writeEndObject();
    json.writeArrayFieldStart("results");
    for (KernelResult result : results) {
      write(json, result);
    }
    json.writeEndArray();
    json.writeEndObject();
  }

  private static void write(JsonGenerator json, KernelResult result) throws IOException {
    KernelCase kernel = result.kernel();
    json.writeStartObject();
    json.writeStringField("device", result.device());
    json.writeStringField("group", kernel.group());
    json.writeStringField("kernel", kernel.name());
    json.writeStringField("sizes", kernel.shape());
    json.writeStringField("type", kernel.type());
    json.writeNumberField("flops", kernel.flops());
    json.writeNumberField("bytes", kernel.bytes());
    json.writeBooleanField("measured", result.measured());
    if (result.measured()) {
      number(json, "share", result.share());
      json.writeStringField("goal", kernel.goal().verdict(result));
      seconds(json, "seconds", result.seconds());
      json.writeObjectFieldStart("peers");
      for (Map.Entry<String, List<Double>> peer : result.peers().entrySet()) {
        seconds(json, peer.getKey(), peer.getValue());
      }
      json.writeEndObject();
    } else {
      json.writeStringField("problem", result.problem());
    }
    json.writeEndObject();
  }

  private static void seconds(JsonGenerator json, String field, List<Double> seconds)
      throws IOException {
    json.writeArrayFieldStart(field);
    for (double second : seconds) {
      json.writeNumber(second);
    }
    json.writeEndArray();
  }

  /** JSON has no word for what is not a number: such a field is left out. */
  private static void number(JsonGenerator json, String field, double value) throws IOException {
    if (Double.isFinite(value)) {
      json.writeNumberField(field, value);
    }
  }

  @Override
  public Map<String, IChart> charts() {
    Map<String, IChart> charts = new LinkedHashMap<>();
    limits.forEach(
        (device, most) -> {
          List<KernelResult> drawn =
              results.stream()
                  .filter(r -> r.device().equals(device) && r.measured() && r.kernel().flops() > 0)
                  .toList();
          if (most.known() && !drawn.isEmpty()) {
            charts.put("roofline-" + device.replace(':', '-'), Roofline.chart(device, most, drawn));
          }
        });
    return charts;
  }

  private static String rate(double value) {
    return format(value < 1 ? "%.3f" : "%,.1f", value);
  }

  private static String format(String format, double value) {
    return String.format(Locale.ROOT, format, value);
  }
}
