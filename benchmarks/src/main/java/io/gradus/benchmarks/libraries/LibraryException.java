package io.gradus.benchmarks.libraries;

/** A library that is not here, or a call of it that failed, in one line. */
public final class LibraryException extends RuntimeException {
  private static final long serialVersionUID = 1;

  /** With a line that says what failed. */
  public LibraryException(String message) {
    super(message);
  }

  /**
   * Of the dynamic loader's message, which begins with the library that was to be loaded and goes
   * on with the one that is missing.
   */
  public static LibraryException ofLoading(LinkageError failed) {
    Throwable cause = failed;
    while (cause.getCause() != null) {
      cause = cause.getCause();
    }
    String line = String.valueOf(cause.getMessage()).lines().findFirst().orElse("");
    int path = line.lastIndexOf(".so: ");
    return new LibraryException(path < 0 ? line : line.substring(path + ".so: ".length()));
  }
}
