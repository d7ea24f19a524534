package io.gradus.nn;

/**
 * Whether neighbouring modules are folded; the system property {@code gradus.fusion=off} stops it.
 */
final class Fusion {
  private Fusion() {}

  static boolean isEnabled() {
    return !"off".equals(System.getProperty("gradus.fusion"));
  }
}
