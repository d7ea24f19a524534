package io.gradus.backend;

import io.gradus.core.Checks;

/**
 * How many threads of this machine a device that computes on its processor uses: the system
 * property {@code gradus.threads}, by default the number of available processors. It is read when
 * the device is opened, which the first tensor does.
 */
public final class HostThreads {
  private static final String THREADS = "gradus.threads";

  private HostThreads() {}

  /**
   * The number of threads.
   *
   * @throws io.gradus.core.ArgumentException when the property is not a positive number
   */
  public static int count() {
    String text = System.getProperty(THREADS);
    if (text == null) {
      return Runtime.getRuntime().availableProcessors();
    }
    int threads;
    try {
      threads = Integer.parseInt(text.strip());
    } catch (NumberFormatException e) {
      threads = 0;
    }
    Checks.argument(
        threads >= 1,
        "[device] system property %s is '%s': give a number of threads, at least 1",
        THREADS,
        text);
    return threads;
  }

  /** The same for people, whatever the property says. */
  public static String describe() {
    String text = System.getProperty(THREADS);
    String count =
        text == null ? String.valueOf(Runtime.getRuntime().availableProcessors()) : text.strip();
    return count + (count.equals("1") ? " thread" : " threads");
  }
}
