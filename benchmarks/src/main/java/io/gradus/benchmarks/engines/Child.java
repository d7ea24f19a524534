package io.gradus.benchmarks.engines;

import java.io.BufferedReader;
import java.io.BufferedWriter;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.OutputStreamWriter;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;

/** A {@link Worker}'s process, seen from the benchmark. */
public final class Child implements AutoCloseable {
  private static final int GOODBYE_S = 10;

  private final Process process;
  private final Path log;
  private final int patienceS;
  private final BufferedReader in;
  private final BufferedWriter out;

  /**
   * Starts a worker.
   *
   * @param command its command line
   * @param environment added to that of this process
   * @param log the file for its standard error
   * @param patienceS after how many seconds of silence it is given up
   */
  public Child(List<String> command, Map<String, String> environment, Path log, int patienceS)
      throws IOException {
    this.log = log;
    this.patienceS = patienceS;
    ProcessBuilder builder = new ProcessBuilder(command).redirectError(log.toFile());
    builder.environment().putAll(environment);
    process = builder.start();
    in =
        new BufferedReader(new InputStreamReader(process.getInputStream(), StandardCharsets.UTF_8));
    out =
        new BufferedWriter(
            new OutputStreamWriter(process.getOutputStream(), StandardCharsets.UTF_8));
  }

  /**
   * Sends a command and waits for its answer.
   *
   * @throws PeerException when the worker reports an error, ends, or stays silent
   */
  public String ask(String command) throws PeerException {
    String answer;
    try {
      out.write(command);
      out.newLine();
      out.flush();
      answer = CompletableFuture.supplyAsync(this::line).get(patienceS, TimeUnit.SECONDS);
    } catch (IOException | ExecutionException e) {
      throw ended();
    } catch (TimeoutException e) {
      process.destroyForcibly();
      throw new PeerException("no answer to '" + command + "' in " + patienceS + " s");
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new PeerException("interrupted");
    }
    if (answer.isEmpty()) {
      throw ended();
    }
    if (answer.startsWith(Answers.ERROR)) {
      throw new PeerException(answer.substring(Answers.ERROR.length()));
    }
    return answer;
  }

  /** The same where the answer is the time that something took: more than nothing. */
  public double seconds(String command) throws PeerException {
    double seconds = number(command);
    if (!(seconds > 0) || Double.isInfinite(seconds)) {
      throw new PeerException("its worker measured " + seconds + " s");
    }
    return seconds;
  }

  /** The same where the answer is a number. */
  double number(String command) throws PeerException {
    return numbers(command).get(0);
  }

  /** The same where the answer is numbers with blanks between them. */
  public List<Double> numbers(String command) throws PeerException {
    String answer = ask(command);
    try {
      return Arrays.stream(answer.split(" ", -1)).map(Double::parseDouble).toList();
    } catch (NumberFormatException e) {
      throw new PeerException("its worker answered '" + answer + "'");
    }
  }

  private String line() {
    try {
      String line = in.readLine();
      return line == null ? "" : line;
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  private PeerException ended() {
    close();
    String reason = "";
    try {
      reason = Files.readString(log).lines().findFirst().orElse("");
    } catch (IOException e) {
      reason = String.valueOf(e.getMessage());
    }
    return new PeerException("its process ended: " + reason + " (" + log + ")");
  }

  /** Whether the process runs. */
  public boolean isAlive() {
    return process.isAlive();
  }

  /** Ends the process. */
  @Override
  public void close() {
    try {
      out.close();
    } catch (IOException e) {
      // It has ended already.
    }
    try {
      if (!process.waitFor(GOODBYE_S, TimeUnit.SECONDS)) {
        process.destroyForcibly();
      }
    } catch (InterruptedException e) {
      process.destroyForcibly();
      Thread.currentThread().interrupt();
    }
  }
}
