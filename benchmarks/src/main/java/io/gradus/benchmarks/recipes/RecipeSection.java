package io.gradus.benchmarks.recipes;

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
import org.knowm.xchart.internal.chartpart.IChart;

/** What the runs of all engines gave. */
final class RecipeSection implements Section {
  /** What the recipe is to reach on CIFAR-10, on average. */
  static final double WANTED = 0.94;

  private static final String OURS = "gradus";

  private final RecipeLog log;
  private final String what;
  private final Map<String, String> engines;
  private final List<String> notes = new ArrayList<>();

  /**
   * Results.
   *
   * @param what device and precision
   * @param engines in the order of the table, with what is wrong with them or nothing
   */
  RecipeSection(RecipeLog log, String what, Map<String, String> engines) {
    this.log = log;
    this.what = what;
    this.engines = new LinkedHashMap<>(engines);
    engines.forEach(
        (name, problem) -> {
          if (!problem.isEmpty()) {
            notes.add(name + ": " + problem);
          }
        });
  }

  @Override
  public String name() {
    return "recipe";
  }

  @Override
  public String title() {
    return "cifar10-fast";
  }

  @Override
  public String intro() {
    return String.format(
        Locale.ROOT,
        "The recipe %s on %s, from fresh weights, one seed after the other, engines in turns. Seconds"
            + " are those of all training steps with the choice of batches, without preparation and"
            + " tests, and without a first run that does not count. PyTorch with bf16 has weights of"
            + " fp16, which is faster there. Goal: %.0f%% on average of 20 runs.",
        title(),
        what,
        WANTED * 100);
  }

  @Override
  public Table table() {
    Table table =
        new Table("engine", "runs", "accuracy", "deviation", "at 94%", "seconds", "time / gradus'");
    List<Double> ours = seconds(OURS);
    for (String engine : engines.keySet()) {
      List<Racer.Outcome> outcomes = log.of(engine);
      if (outcomes.isEmpty()) {
        table.add(List.of(engine, "0", "", "", "", "", ""));
        continue;
      }
      double mean = mean(outcomes);
      long reached = outcomes.stream().filter(o -> o.accuracy() >= WANTED).count();
      List<Double> seconds = seconds(engine);
      table.add(
          List.of(
              engine,
              Integer.toString(outcomes.size()),
              percent(mean),
              percent(deviation(outcomes, mean)),
              reached + " of " + outcomes.size(),
              Statistics.of(seconds).toString(),
              ours.isEmpty() ? "" : ratios(seconds, ours).toString()));
    }
    return table;
  }

  private List<Double> seconds(String engine) {
    return log.of(engine).stream().map(Racer.Outcome::seconds).toList();
  }

  /** Of the runs that both have, in their order. */
  private static Statistics ratios(List<Double> others, List<Double> ours) {
    List<Double> ratios = new ArrayList<>();
    for (int i = 0; i < Math.min(others.size(), ours.size()); i++) {
      ratios.add(others.get(i) / ours.get(i));
    }
    return Statistics.of(ratios);
  }

  private static double mean(List<Racer.Outcome> outcomes) {
    return outcomes.stream().mapToDouble(Racer.Outcome::accuracy).average().orElse(Double.NaN);
  }

  private static double deviation(List<Racer.Outcome> outcomes, double mean) {
    double squares =
        outcomes.stream().mapToDouble(o -> (o.accuracy() - mean) * (o.accuracy() - mean)).sum();
    return Math.sqrt(squares / Math.max(1, outcomes.size() - 1));
  }

  private static String percent(double share) {
    return String.format(Locale.ROOT, "%.2f%%", share * 100);
  }

  @Override
  public List<String> notes() {
    return List.copyOf(notes);
  }

  @Override
  public Table values() {
    Table table = new Table("engine", "seed", "seconds", "accuracy");
    for (RecipeLog.Run run : log.runs()) {
      table.add(
          List.of(
              run.engine(),
              Integer.toString(run.seed()),
              Double.toString(run.outcome().seconds()),
              Double.toString(run.outcome().accuracy())));
    }
    return table;
  }

  @Override
  public void json(JsonGenerator json) throws IOException {
    json.writeStartArray();
    for (RecipeLog.Run run : log.runs()) {
      json.writeStartObject();
      json.writeStringField("engine", run.engine());
      json.writeNumberField("seed", run.seed());
      json.writeNumberField("seconds", run.outcome().seconds());
      json.writeNumberField("accuracy", run.outcome().accuracy());
      json.writeEndObject();
    }
    json.writeEndArray();
  }

  @Override
  public Map<String, IChart> charts() {
    return Map.of();
  }
}
