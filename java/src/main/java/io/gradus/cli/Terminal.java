package io.gradus.cli;

import java.io.Console;

/** Whether a person watches. */
final class Terminal {
  private Terminal() {}

  /** Whether input and output are a terminal that can show a progress bar. */
  @SuppressWarnings("SystemConsoleNull") // null before JDK 22; from then on isTerminal tells
  static boolean isInteractive() {
    Console console = System.console();
    if (console == null) {
      return false;
    }
    try {
      return (boolean) Console.class.getMethod("isTerminal").invoke(console);
    } catch (NoSuchMethodException e) {
      return true;
    } catch (ReflectiveOperationException e) {
      return false;
    }
  }
}
