package io.gradus.nn;

import io.gradus.core.DType;
import io.gradus.core.Device;
import io.gradus.core.Shape;
import io.gradus.tensor.GradMode;
import io.gradus.tensor.Scope;
import io.gradus.tensor.Tensor;
import java.util.ArrayList;
import java.util.IdentityHashMap;
import java.util.List;
import java.util.Locale;
import org.jspecify.annotations.Nullable;

/**
 * The layers of a module with what they give and hold; {@link #toString()} is a table.
 *
 * @param rows the modules without children or with parameters of their own, in order of
 *     registration
 * @param parameters number of parameters, each counted once
 * @param trainable number of those that are not frozen
 */
public record Summary(List<Row> rows, long parameters, long trainable) {
  /**
   * One layer.
   *
   * @param name dotted name
   * @param layer class and settings
   * @param output shape of its result; null where it was not called by {@link Module#call}
   * @param parameters number of its own parameters
   */
  public record Row(String name, String layer, @Nullable Shape output, long parameters) {}

  static Summary of(Module module, Shape inputShape, @Nullable DType inputType) {
    IdentityHashMap<Module, Shape> outputs = new IdentityHashMap<>();
    IdentityHashMap<Module, Boolean> modes = new IdentityHashMap<>();
    List<GradMode.Guard> guards = new ArrayList<>();
    module.apply(
        m -> {
          modes.put(m, m.isTraining());
          guards.add(m.registerForwardHook((self, x, y) -> outputs.put(self, y.shape())));
        });
    List<Tensor> parameters = module.parameters();
    Device device = parameters.isEmpty() ? Device.cpu() : parameters.get(0).device();
    DType dtype =
        inputType != null
            ? inputType
            : parameters.isEmpty() ? DType.FLOAT32 : parameters.get(0).dtype();
    try (Scope s = Scope.open();
        GradMode.Guard g = GradMode.noGrad()) {
      module.eval();
      module.call(Tensor.zeros(device, dtype, inputShape));
    } finally {
      guards.forEach(GradMode.Guard::close);
      modes.forEach(Module::setTraining);
    }
    List<Row> rows = new ArrayList<>();
    module
        .namedModules()
        .forEach(
            (name, m) -> {
              long own = m.ownParameterCount();
              if (m.children().isEmpty() || own > 0) {
                rows.add(new Row(name, m.describe(), outputs.get(m), own));
              }
            });
    long trainable =
        parameters.stream().filter(Tensor::requiresGrad).mapToLong(Tensor::numel).sum();
    return new Summary(List.copyOf(rows), module.parameterCount(), trainable);
  }

  /** A table of name, layer, output shape and parameters, and the totals. */
  @Override
  public String toString() {
    List<String[]> lines = new ArrayList<>();
    lines.add(new String[] {"name", "layer", "output", "parameters"});
    for (Row row : rows) {
      Shape shape = row.output();
      lines.add(
          new String[] {
            row.name(),
            row.layer(),
            shape == null ? "-" : shape.toString(),
            String.format(Locale.ROOT, "%,d", row.parameters())
          });
    }
    int[] widths = new int[4];
    for (String[] line : lines) {
      for (int i = 0; i < widths.length; i++) {
        widths[i] = Math.max(widths[i], line[i].length());
      }
    }
    StringBuilder out = new StringBuilder();
    for (String[] line : lines) {
      for (int i = 0; i < 3; i++) {
        out.append(line[i]).append(" ".repeat(widths[i] - line[i].length() + 2));
      }
      out.append(" ".repeat(widths[3] - line[3].length())).append(line[3]).append('\n');
    }
    return out.append(
            String.format(Locale.ROOT, "%,d parameters, %,d trainable", parameters, trainable))
        .toString();
  }
}
