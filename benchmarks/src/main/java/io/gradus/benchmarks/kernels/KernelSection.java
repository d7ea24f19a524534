package io.gradus.benchmarks.kernels;

import com.fasterxml.jackson.core.JsonGenerator;
import io.gradus.benchmarks.report.Section;
import io.gradus.benchmarks.report.Table;
import java.io.IOException;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import org.knowm.xchart.internal.chartpart.IChart;

/** Kernels beside the limits of their devices. */
final class KernelSection implements Section {
  private final Map<String, Limits> limits;
  private final List<KernelResult> results;

  KernelSection(Map<String, Limits> limits, List<KernelResult> results) {
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
        Medians of rounds. GFLOP/s counts additions, multiplications and other functions alike, GB/s
        every operand once. The limit is the larger of both times at the device's own rates; a share
        above 100% means that operands stayed in the processor's caches.""";
  }

  @Override
  public Table table() {
    Table table =
        new Table("device", "group", "kernel", "sizes", "time", "GFLOP/s", "GB/s", "of the limit");
    for (KernelResult result : results) {
      KernelCase kernel = result.kernel();
      String name = kernel.name() + (kernel.dtype().isHalf() ? ", bfloat16" : "");
      if (!result.measured()) {
        table.add(
            List.of(
                result.device(),
                kernel.group(),
                name,
                kernel.shape(),
                "-",
                "-",
                "-",
                result.problem()));
        continue;
      }
      table.add(
          List.of(
              result.device(),
              kernel.group(),
              name,
              kernel.shape(),
              format("%,.1f us", result.micros()),
              kernel.flops() == 0 ? "" : rate(result.gflops()),
              rate(result.gigabytes()),
              Double.isNaN(result.share()) ? "" : format("%.0f%%", 100 * result.share())));
    }
    return table;
  }

  @Override
  public List<String> notes() {
    List<String> notes = new ArrayList<>();
    limits.forEach((device, most) -> notes.add("limits of " + device + ": " + most.source()));
    return notes;
  }

  @Override
  public Table values() {
    Table table =
        new Table(
            "device", "group", "kernel", "sizes", "type", "flops", "bytes", "round", "seconds");
    for (KernelResult result : results) {
      KernelCase kernel = result.kernel();
      for (int round = 0; round < result.seconds().size(); round++) {
        table.add(
            List.of(
                result.device(),
                kernel.group(),
                kernel.name(),
                kernel.shape(),
                kernel.dtype().name().toLowerCase(Locale.ROOT),
                format("%.0f", kernel.flops()),
                format("%.0f", kernel.bytes()),
                Integer.toString(round + 1),
                Double.toString(result.seconds().get(round))));
      }
    }
    return table;
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
    json.writeStringField("type", kernel.dtype().name().toLowerCase(Locale.ROOT));
    json.writeNumberField("flops", kernel.flops());
    json.writeNumberField("bytes", kernel.bytes());
    json.writeBooleanField("measured", result.measured());
    if (result.measured()) {
      number(json, "share", result.share());
      json.writeArrayFieldStart("seconds");
      for (double seconds : result.seconds()) {
        json.writeNumber(seconds);
      }
      json.writeEndArray();
    } else {
      json.writeStringField("problem", result.problem());
    }
    json.writeEndObject();
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
