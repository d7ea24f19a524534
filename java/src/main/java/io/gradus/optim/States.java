package io.gradus.optim;

import io.gradus.core.ArgumentException;
import io.gradus.core.Checks;
import io.gradus.tensor.Tensor;
import java.util.List;
import java.util.Map;

/** The comparison of a saved state with the one it is to replace. */
final class States {
  private States() {}

  /** Requires that two states have the same names, shapes and types. */
  static void check(String who, Map<String, Tensor> own, Map<String, Tensor> state) {
    List<String> missing = own.keySet().stream().filter(k -> !state.containsKey(k)).toList();
    List<String> unexpected = state.keySet().stream().filter(k -> !own.containsKey(k)).toList();
    Checks.argument(
        missing.isEmpty() && unexpected.isEmpty(),
        "[%s] the state is of another one: missing %s, unexpected %s; make it as it was when saved",
        who,
        missing,
        unexpected);
    own.forEach(
        (name, target) -> {
          Tensor source = get(who, state, name);
          Checks.shape(
              source.shape().equals(target.shape()),
              "[%s] '%s' has shape %s in the state but %s here: the parameters differ",
              who,
              name,
              source.shape(),
              target.shape());
          Checks.dtype(
              source.dtype() == target.dtype(),
              "[%s] '%s' is %s in the state but %s here",
              who,
              name,
              source.dtype(),
              target.dtype());
        });
  }

  /** An entry that must be there. */
  static Tensor get(String who, Map<String, Tensor> state, String name) {
    Tensor tensor = state.get(name);
    if (tensor == null) {
      throw new ArgumentException("[" + who + "] the state lacks '" + name + "'");
    }
    return tensor;
  }
}
