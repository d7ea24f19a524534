package io.gradus.benchmarks.engines;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;

/**
 * The protocol of all workers: commands come on standard input, one a line, and each is answered by
 * one line on standard output. What libraries print goes to standard error.
 */
public final class Answers {
  /** How the answer begins to a command that failed. */
  static final String ERROR = "error ";

  private Answers() {}

  /** What knows the answers. */
  public interface Answerer {
    /**
     * The answer to a command.
     *
     * @param argument the rest of its line; may be empty
     * @throws PeerException when there is none, with a line that says why
     */
    String answer(String command, String argument) throws IOException, PeerException;
  }

  /** Answers commands until the input ends. */
  public static void serve(Answerer answerer) throws IOException {
    PrintStream out = System.out;
    System.setOut(System.err);
    BufferedReader in =
        new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
    for (String line = in.readLine(); line != null; line = in.readLine()) {
      out.println(answer(answerer, line));
      out.flush();
    }
  }

  private static String answer(Answerer answerer, String line) {
    try {
      int blank = line.indexOf(' ');
      return blank < 0
          ? answerer.answer(line, "")
          : answerer.answer(line.substring(0, blank), line.substring(blank + 1));
    } catch (PeerException e) {
      e.printStackTrace();
      return ERROR + e.getMessage();
    } catch (IOException | RuntimeException | LinkageError e) {
      e.printStackTrace();
      return ERROR + String.valueOf(e).lines().findFirst().orElse("");
    }
  }
}
