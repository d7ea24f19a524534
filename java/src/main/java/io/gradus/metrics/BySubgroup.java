package io.gradus.metrics;

import io.gradus.core.Checks;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.OptionalDouble;
import java.util.SortedMap;
import java.util.TreeMap;
import java.util.function.Supplier;

/**
 * A metric over all samples and over each subgroup of them, such as sites, devices or age bands.
 *
 * <pre>{@code
 * var bySite = new BySubgroup<String, Predictions, Accuracy>(Accuracy::new);
 * bySite.update(Predictions.of(logits, labels), sites);
 * OptionalDouble gap = bySite.gap();
 * }</pre>
 *
 * @param <K> what names a group: a number, a text, an enum
 * @param <B> what a batch is made of
 * @param <M> the metric
 */
public final class BySubgroup<
    K extends Comparable<? super K>, B extends Batch<B>, M extends Metric<B>> {
  private final Supplier<M> factory;
  private final M overall;
  private final SortedMap<K, M> groups = new TreeMap<>();

  /**
   * Makes a metric without samples.
   *
   * @param factory makes a metric without samples, for all and for each group
   */
  public BySubgroup(Supplier<M> factory) {
    this.factory = factory;
    this.overall = factory.get();
  }

  /**
   * Takes in a batch.
   *
   * @param batch the samples
   * @param groupOf the group of each sample
   * @throws io.gradus.core.ShapeException when there is not one group per sample
   */
  public void update(B batch, List<? extends K> groupOf) {
    Checks.shape(
        groupOf.size() == batch.size(),
        "[bySubgroup] %d groups do not fit %d samples",
        groupOf.size(),
        batch.size());
    SortedMap<K, List<Integer>> rows = new TreeMap<>();
    int row = 0;
    for (K group : groupOf) {
      rows.computeIfAbsent(group, g -> new ArrayList<>()).add(row++);
    }
    overall.update(batch);
    rows.forEach(
        (group, list) ->
            groups
                .computeIfAbsent(group, g -> factory.get())
                .update(batch.select(list.stream().mapToInt(Integer::intValue).toArray())));
  }

  /** Forgets all samples and groups. */
  public void reset() {
    overall.reset();
    groups.clear();
  }

  /** The metric over all samples. */
  public M overall() {
    return overall;
  }

  /** The metric of each group, ordered by group. */
  public SortedMap<K, M> groups() {
    return Collections.unmodifiableSortedMap(groups);
  }

  /** The value of each group, ordered by group; empty where its samples do not determine one. */
  public SortedMap<K, OptionalDouble> values() {
    SortedMap<K, OptionalDouble> values = new TreeMap<>();
    groups.forEach((group, metric) -> values.put(group, metric.optionalValue()));
    return values;
  }

  /** The largest value of a group less the smallest; empty when no group has a value. */
  public OptionalDouble gap() {
    double min = Double.POSITIVE_INFINITY;
    double max = Double.NEGATIVE_INFINITY;
    boolean defined = false;
    for (M metric : groups.values()) {
      if (metric.isDefined()) {
        double value = metric.value();
        min = Math.min(min, value);
        max = Math.max(max, value);
        defined = true;
      }
    }
    return defined ? OptionalDouble.of(max - min) : OptionalDouble.empty();
  }
}
