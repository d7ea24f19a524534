package io.gradus.backend;

import java.util.Locale;
import java.util.concurrent.atomic.AtomicLong;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Names where memory was allocated that the garbage collector had to return because nobody closed
 * it. The system property {@code gradus.leakDetector} sets the level: {@code off} (default), {@code
 * sampled} (one allocation in 128 records its stack) or {@code paranoid} (every one does, and freed
 * memory is overwritten so that reading it shows).
 *
 * <p>Source: the idea of levels is that of Netty's ResourceLeakDetector.
 */
public final class LeakDetector {
  /** How much is recorded. */
  public enum Level {
    /** Nothing. */
    OFF,
    /** The stack of one allocation in 128. */
    SAMPLED,
    /** The stack of every allocation; freed memory is poisoned. */
    PARANOID
  }

  private static final int SAMPLE_EVERY = 128;
  private static final AtomicLong LEAKS = new AtomicLong();
  private static final AtomicLong TICKS = new AtomicLong();
  private static volatile Level level = initialLevel();

  private LeakDetector() {}

  private static Level initialLevel() {
    String text = System.getProperty("gradus.leakDetector", "off");
    try {
      return Level.valueOf(text.toUpperCase(Locale.ROOT));
    } catch (IllegalArgumentException e) {
      Log.LOG.warn(
          "[memory] gradus.leakDetector={} is not off, sampled or paranoid: using off", text);
      return Level.OFF;
    }
  }

  /** The current level. */
  public static Level level() {
    return level;
  }

  /** Sets the level for allocations from now on. */
  public static void setLevel(Level newLevel) {
    level = newLevel;
  }

  /** How many recorded allocations were collected without having been closed. */
  public static long leaks() {
    return LEAKS.get();
  }

  static @Nullable Throwable site() {
    Level now = level;
    if (now == Level.OFF || (now == Level.SAMPLED && TICKS.incrementAndGet() % SAMPLE_EVERY != 0)) {
      return null;
    }
    return new Throwable("allocated here");
  }

  static void report(String what, Throwable site) {
    LEAKS.incrementAndGet();
    Log.LOG.warn("[memory] {} was collected without having been closed", what, site);
  }

  /**
   * Made when there is something to say: without a logger SLF4J complains as soon as it is asked.
   */
  private static final class Log {
    static final Logger LOG = LoggerFactory.getLogger(LeakDetector.class);
  }
}
