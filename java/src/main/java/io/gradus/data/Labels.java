package io.gradus.data;

import io.gradus.core.Checks;
import java.util.ArrayList;
import java.util.List;

/** Rules that class labels follow. */
final class Labels {
  private Labels() {}

  /** Requires every label to be a class. */
  static void check(String name, int[] labels, int classes) {
    for (int i = 0; i < labels.length; i++) {
      Checks.argument(
          labels[i] >= 0 && labels[i] < classes,
          "[dataset] sample %d of %s has label %d, out of range for %d classes",
          i,
          name,
          labels[i],
          classes);
    }
  }

  /** Class names {@code 0}, {@code 1}, and so on. */
  static List<String> numbered(int classes) {
    List<String> names = new ArrayList<>(classes);
    for (int i = 0; i < classes; i++) {
      names.add(Integer.toString(i));
    }
    return names;
  }
}
