package io.gradus.benchmarks.report;

import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.Locale;

/** What is said about a word that is none of those that an option takes. */
final class Spelling {
  /** Letters by which a word may differ from the one that was meant. */
  private static final int SLIPS = 2;

  private Spelling() {}

  /**
   * The word, those there are, and the one that was likely meant where a slip or two explain it.
   */
  static String problem(String word, Collection<String> known) {
    String text = "'" + word + "' is none of " + String.join(", ", known);
    int least = SLIPS + 1;
    String nearest = "";
    for (String name : known) {
      int slips = distance(word.toLowerCase(Locale.ROOT), name);
      if (slips < least && slips < name.length() - 1) {
        least = slips;
        nearest = name;
      }
    }
    return nearest.isEmpty() ? text : text + "; did you mean " + nearest + "?";
  }

  /** How many letters must be put in, left out or replaced to make one word of the other. */
  static int distance(String from, String to) {
    List<Integer> before = new ArrayList<>();
    for (int j = 0; j <= to.length(); j++) {
      before.add(j);
    }
    for (int i = 1; i <= from.length(); i++) {
      List<Integer> now = new ArrayList<>(List.of(i));
      for (int j = 1; j <= to.length(); j++) {
        int replaced = before.get(j - 1) + (from.charAt(i - 1) == to.charAt(j - 1) ? 0 : 1);
        now.add(Math.min(replaced, 1 + Math.min(before.get(j), now.get(j - 1))));
      }
      before = now;
    }
    return before.get(to.length());
  }
}
