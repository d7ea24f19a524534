package io.gradus.benchmarks.engines;

import java.util.Locale;

/** What is measured, and whether more of it is better. */
enum Unit {
  IMAGES_PER_SECOND("images/s", true, "%,.0f"),
  TOKENS_PER_SECOND("tokens/s", true, "%,.0f"),
  NANOSECONDS("ns", false, "%,.0f"),
  SECONDS("s", false, "%.2f"),
  MEGABYTES("MB", false, "%,.1f");

  private final String label;
  private final boolean moreIsBetter;
  private final String format;

  Unit(String label, boolean moreIsBetter, String format) {
    this.label = label;
    this.moreIsBetter = moreIsBetter;
    this.format = format;
  }

  String label() {
    return label;
  }

  /** A value with its unit. */
  String text(double value) {
    return String.format(Locale.ROOT, format, value) + " " + label;
  }

  /** How many times better ours is than theirs. */
  double advantage(double ours, double theirs) {
    return moreIsBetter ? ours / theirs : theirs / ours;
  }
}
