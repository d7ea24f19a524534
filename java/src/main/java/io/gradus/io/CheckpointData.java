package io.gradus.io;

import io.gradus.core.ArgumentException;
import io.gradus.core.Checks;
import io.gradus.tensor.Tensor;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * All that a run needs to go on as if it had never stopped: named groups of tensors (model,
 * optimizer, generator, ...) and named values. Doubles keep every bit, NaN payloads included.
 *
 * <pre>{@code
 * CheckpointData data = new CheckpointData()
 *     .putGroup("model", model.stateDict())
 *     .putLong("epoch", 3)
 *     .putDouble("best_loss", loss);
 * }</pre>
 */
public final class CheckpointData implements AutoCloseable {
  private final Map<String, Map<String, Tensor>> groups = new LinkedHashMap<>();
  private final Map<String, String> strings = new LinkedHashMap<>();
  private final Map<String, Long> longs = new LinkedHashMap<>();
  private final Map<String, Double> doubles = new LinkedHashMap<>();

  /** Makes data without anything in it. */
  public CheckpointData() {}

  /**
   * Sets a group of tensors; the tensors are not copied.
   *
   * @return this
   * @throws ArgumentException when the group's name is empty or has a slash
   */
  public CheckpointData putGroup(String name, Map<String, Tensor> tensors) {
    Checks.argument(
        !name.isEmpty() && name.indexOf('/') < 0,
        "[checkpoint] '%s' cannot name a group: use a name without '/'",
        name);
    groups.put(name, Collections.unmodifiableMap(new LinkedHashMap<>(tensors)));
    return this;
  }

  /**
   * Sets a text.
   *
   * @return this
   */
  public CheckpointData putString(String key, String value) {
    strings.put(key, value);
    return this;
  }

  /**
   * Sets a whole number.
   *
   * @return this
   */
  public CheckpointData putLong(String key, long value) {
    longs.put(key, value);
    return this;
  }

  /**
   * Sets a number, kept to the last bit.
   *
   * @return this
   */
  public CheckpointData putDouble(String key, double value) {
    doubles.put(key, value);
    return this;
  }

  /**
   * The tensors of a group, in their order.
   *
   * @throws ArgumentException when there is no such group
   */
  public Map<String, Tensor> group(String name) {
    return present(groups, "group", name);
  }

  /**
   * A text.
   *
   * @throws ArgumentException when there is none of that name
   */
  public String getString(String key) {
    return present(strings, "text", key);
  }

  /**
   * A whole number.
   *
   * @throws ArgumentException when there is none of that name
   */
  public long getLong(String key) {
    return present(longs, "whole number", key);
  }

  /**
   * A number, to the last bit.
   *
   * @throws ArgumentException when there is none of that name
   */
  public double getDouble(String key) {
    return present(doubles, "number", key);
  }

  /** All groups, in their order. */
  public Map<String, Map<String, Tensor>> groups() {
    return Collections.unmodifiableMap(groups);
  }

  /** All texts, in their order. */
  public Map<String, String> strings() {
    return Collections.unmodifiableMap(strings);
  }

  /** All whole numbers, in their order. */
  public Map<String, Long> longs() {
    return Collections.unmodifiableMap(longs);
  }

  /** All numbers, in their order. */
  public Map<String, Double> doubles() {
    return Collections.unmodifiableMap(doubles);
  }

  private static <T> T present(Map<String, T> map, String kind, String key) {
    @Nullable T value = map.get(key);
    if (value == null) {
      throw new ArgumentException(
          String.format(
              "[checkpoint] there is no %s '%s', only %s: was it saved by another version or"
                  + " model?",
              kind, key, map.keySet()));
    }
    return value;
  }

  /** Frees all tensors. */
  @Override
  public void close() {
    groups.values().forEach(group -> group.values().forEach(Tensor::close));
  }
}
