package io.gradus.benchmarks.steps;

import java.io.BufferedReader;
import java.io.BufferedWriter;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.OutputStreamWriter;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;

/** A {@link Worker}'s process, seen from the benchmark. */
final class Child implements AutoCloseable {
  // Far longer than a round: a worker that says nothing for so long will never do so.
  private static final int PATIENCE_S = 300;
  private static final int GOODBYE_S = 10;

  private final Process process;
  private final Path log;
  private final BufferedReader in;
  private final BufferedWriter out;

  /**
   * Starts a worker.
   *
   * @param command its command line
   * @param environment added to that of this process
   * @param log the file for its standard error
   */
  Child(List<String> command, Map<String, String> environment, Path log) throws IOException {
    this.log = log;
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
  String ask(String command) throws PeerException {
    String answer;
    try {
      out.write(command);
      out.newLine();
      out.flush();
      answer = CompletableFuture.supplyAsync(this::line).get(PATIENCE_S, TimeUnit.SECONDS);
    } catch (IOException | ExecutionException e) {
      throw ended();
    } catch (TimeoutException e) {
      throw new PeerException("no answer to '" + command + "' in " + PATIENCE_S + " s");
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new PeerException("interrupted");
    }
    if (answer.isEmpty()) {
      throw ended();
    }
    if (answer.startsWith(Worker.ERROR)) {
      throw new PeerException(answer.substring(Worker.ERROR.length()));
    }
    return answer;
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
