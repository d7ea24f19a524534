package io.gradus.cli;

import io.gradus.core.GradusException;
import java.io.IOException;
import java.nio.file.AccessDeniedException;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.FileSystemException;
import java.nio.file.NoSuchFileException;
import java.util.List;
import picocli.CommandLine;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.ParseResult;

/** Turns errors into one line on standard error and an exit code. */
final class Failures {
  private static final int FAILED = 1;
  private static final int BAD_USE = 2;

  private Failures() {}

  /** The command line was wrong. */
  static int badUse(ParameterException e, String[] args) {
    CommandLine line = e.getCommandLine();
    String command = line.getCommandSpec().qualifiedName();
    line.getErr()
        .println(
            command
                + ": "
                + oneLine(String.valueOf(e.getMessage()))
                + " (see "
                + command
                + " --help)");
    if (List.of(args).contains("--verbose")) {
      e.printStackTrace(line.getErr());
    }
    return BAD_USE;
  }

  /** The command was right but did not succeed. */
  static int failedRun(Exception e, CommandLine line, ParseResult parsed) {
    List<CommandLine> commands = parsed.asCommandLineList();
    boolean verbose =
        commands.get(commands.size() - 1).getParseResult().hasMatchedOption("--verbose");
    report(line, e, verbose);
    return FAILED;
  }

  /** The heap is full outside of the tensors, whose allocator has an error of its own. */
  static int outOfMemory(OutOfMemoryError e, CommandLine line, String[] args) {
    report(
        line,
        new GradusException(
            "out of memory: raise the limit of the heap with GRADUS_JAVA_OPTS=-Xmx..., or use less"
                + " data with --subset",
            e),
        List.of(args).contains("--verbose"));
    return FAILED;
  }

  /** Prints what went wrong in one line, and where it did if that is wanted. */
  static void report(CommandLine line, Exception e, boolean verbose) {
    line.getErr().println(line.getCommandSpec().qualifiedName() + ": " + message(e));
    if (verbose) {
      e.printStackTrace(line.getErr());
    }
  }

  private static String message(Exception e) {
    if (e instanceof NoSuchFileException f) {
      return "there is no file " + f.getFile() + ": check the path";
    }
    if (e instanceof AccessDeniedException f) {
      return "no permission for "
          + f.getFile()
          + ": change its permissions or choose another place";
    }
    if (e instanceof FileAlreadyExistsException f) {
      return f.getFile() + " is a file, not a folder: choose another place";
    }
    if (e instanceof FileSystemException f) {
      return f.getFile()
          + " cannot be used"
          + (f.getReason() == null ? "" : " (" + f.getReason() + ")")
          + ": choose another place";
    }
    String text = e.getMessage();
    if (e instanceof GradusException
        || e instanceof IOException
        || e instanceof IllegalStateException) {
      return oneLine(text == null ? e.getClass().getSimpleName() : text);
    }
    // Anything else is a mistake of ours; say so rather than blame the user.
    return "internal error: " + oneLine(e.toString()) + "; run again with --verbose and report it";
  }

  private static String oneLine(String text) {
    return text.strip().replaceAll("\\s*\\R\\s*", "; ");
  }
}
