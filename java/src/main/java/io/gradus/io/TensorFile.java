package io.gradus.io;

import io.gradus.core.Checks;
import io.gradus.tensor.Tensor;
import java.util.Map;
import java.util.Objects;

/**
 * What a safetensors file holds.
 *
 * @param tensors the tensors by name, in the order of the file's header
 * @param metadata the file's free text pairs, in the order of the header; empty where it has none
 */
public record TensorFile(Map<String, Tensor> tensors, Map<String, String> metadata)
    implements AutoCloseable {

  /**
   * The tensor of a name.
   *
   * @throws io.gradus.core.ArgumentException when there is none
   */
  public Tensor get(String name) {
    Tensor tensor = tensors.get(name);
    Checks.argument(
        tensor != null,
        "[safetensors] there is no tensor '%s' among the %d of the file",
        name,
        tensors.size());
    return Objects.requireNonNull(tensor);
  }

  /** Frees all tensors. */
  @Override
  public void close() {
    tensors.values().forEach(Tensor::close);
  }
}
