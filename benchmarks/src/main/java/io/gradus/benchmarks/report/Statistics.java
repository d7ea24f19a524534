package io.gradus.benchmarks.report;

import com.fasterxml.jackson.core.JsonGenerator;
import java.io.IOException;
import java.util.List;
import java.util.Locale;

/**
 * The middle and the ends of a few measurements.
 *
 * @param median the middle one
 * @param min the smallest
 * @param max the largest
 */
public record Statistics(double median, double min, double max) {
  /**
   * Of at least one value.
   *
   * @throws IllegalArgumentException when there is none
   */
  public static Statistics of(List<Double> values) {
    if (values.isEmpty()) {
      throw new IllegalArgumentException("no values");
    }
    List<Double> sorted = values.stream().sorted().toList();
    int n = sorted.size();
    double median = (sorted.get((n - 1) / 2) + sorted.get(n / 2)) / 2;
    return new Statistics(median, sorted.get(0), sorted.get(n - 1));
  }

  /** As {@code 1.42 (1.40-1.45)}. */
  @Override
  public String toString() {
    return String.format(Locale.ROOT, "%.2f (%.2f-%.2f)", median, min, max);
  }

  /** Writes an object of the three as a field of the current object. */
  public void write(JsonGenerator json, String field) throws IOException {
    json.writeObjectFieldStart(field);
    json.writeNumberField("median", median);
    json.writeNumberField("min", min);
    json.writeNumberField("max", max);
    json.writeEndObject();
  }
}
