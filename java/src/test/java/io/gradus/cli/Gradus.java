package io.gradus.cli;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/** Runs the command line, in this JVM or in one of its own. */
final class Gradus {
  private Gradus() {}

  /**
   * What a command left.
   *
   * @param code exit code
   * @param out lines of standard output
   * @param err lines of standard error
   */
  record Outcome(int code, List<String> out, List<String> err) {
    String lastLine() {
      return out.get(out.size() - 1);
    }
  }

  static Outcome run(Object... args) {
    String[] words = new String[args.length];
    for (int i = 0; i < args.length; i++) {
      words[i] = args[i].toString();
    }
    PrintStream out = System.out;
    PrintStream err = System.err;
    ByteArrayOutputStream capturedOut = new ByteArrayOutputStream();
    ByteArrayOutputStream capturedErr = new ByteArrayOutputStream();
    int code;
    try {
      System.setOut(new PrintStream(capturedOut, true, StandardCharsets.UTF_8));
      System.setErr(new PrintStream(capturedErr, true, StandardCharsets.UTF_8));
      code = Main.run(words);
    } finally {
      System.setOut(out);
      System.setErr(err);
    }
    return new Outcome(code, lines(capturedOut), lines(capturedErr));
  }

  private static List<String> lines(ByteArrayOutputStream bytes) {
    return bytes.toString(StandardCharsets.UTF_8).lines().toList();
  }

  /** A command in a JVM of its own, not yet started; what it prints goes to a file. */
  static ProcessBuilder process(Path output, List<String> jvm, Object... args) {
    List<String> command = new ArrayList<>();
    command.add(Path.of(System.getProperty("java.home"), "bin", "java").toString());
    command.addAll(List.of("-Djava.awt.headless=true", "-XX:TieredStopAtLevel=1"));
    command.addAll(jvm);
    command.addAll(List.of("-cp", System.getProperty("java.class.path"), Main.class.getName()));
    for (Object arg : args) {
      command.add(arg.toString());
    }
    return new ProcessBuilder(command).redirectErrorStream(true).redirectOutput(output.toFile());
  }

  /** Starts a command in a JVM of its own, waits for it and gives its exit code. */
  static int fork(Path output, Object... args) throws IOException, InterruptedException {
    return process(output, List.of(), args).start().waitFor();
  }
}
