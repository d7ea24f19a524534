package io.gradus.data;

import io.gradus.core.FormatException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeSet;

/**
 * The classes that the label column of a training table names: whole numbers in their order, or
 * words in alphabetical order.
 */
final class CsvClasses {
  private final boolean numeric;
  private final List<String> names;
  private final Map<String, Integer> index = new HashMap<>();

  private CsvClasses(boolean numeric, List<String> names) {
    this.numeric = numeric;
    this.names = names;
    for (int i = 0; i < names.size(); i++) {
      index.put(names.get(i), i);
    }
  }

  /** Collects the classes of a table. */
  static CsvClasses of(CsvTable table) throws FormatException {
    boolean numeric = true;
    for (String text : table.labelTexts()) {
      numeric &= !Float.isNaN(CsvTable.number(text));
    }
    if (!numeric) {
      return new CsvClasses(false, List.copyOf(new TreeSet<>(table.labelTexts())));
    }
    List<String> names = new ArrayList<>();
    TreeSet<Long> values = new TreeSet<>();
    for (String text : table.labelTexts()) {
      double value = Double.parseDouble(text);
      if (value != Math.rint(value) || Math.abs(value) > 1e15) {
        throw new FormatException(
            String.format(
                "[csv] %s: the label column holds %s, which is not a class: classes are whole"
                    + " numbers or words; choose another label column",
                table.where(text), text));
      }
      values.add((long) value);
    }
    values.forEach(v -> names.add(Long.toString(v)));
    return new CsvClasses(true, names);
  }

  /** Names of the classes, in the order of their numbers. */
  List<String> names() {
    return names;
  }

  /** The class of each row of a table, which may be another than the classes come from. */
  int[] labels(CsvTable table) throws FormatException {
    List<String> texts = table.labelTexts();
    int[] classOfText = new int[texts.size()];
    for (int i = 0; i < classOfText.length; i++) {
      String text = texts.get(i);
      Integer found = index.get(numeric ? wholeNumber(text) : text);
      if (found == null) {
        throw new FormatException(
            String.format(
                "[csv] %s: label '%s' does not occur in the training table, whose %d classes are"
                    + " %s: correct it or add such rows to the training table",
                table.where(text),
                CsvTable.shorten(text),
                names.size(),
                CsvTable.shorten(names.toString())));
      }
      classOfText[i] = found;
    }
    int[] codes = table.labelCodes();
    int[] labels = new int[codes.length];
    Arrays.setAll(labels, i -> classOfText[codes[i]]);
    return labels;
  }

  /** {@code 1}, {@code 1.0} and {@code 1e0} are one class. */
  private static String wholeNumber(String text) {
    if (Float.isNaN(CsvTable.number(text))) {
      return text;
    }
    double value = Double.parseDouble(text);
    return value == Math.rint(value) ? Long.toString((long) value) : text;
  }
}
