package io.gradus.backend;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonGenerator;
import java.io.BufferedWriter;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;

/** What a {@link Profiler} has recorded. */
public final class Profile {
  private static final double NANO = 1e-9;
  private static final double MILLI = 1e3;
  private static final double MICRO = 1e6;

  private final long started;
  private final double seconds;
  private final Outside outside;
  private final List<ProfiledThread.Recorded> threads;
  private final List<Entry> entries;

  /** The time of the starting thread that is no operation's, in nanoseconds. */
  record Outside(long nanos, long profiler) {}

  /**
   * All calls of one operation with the same sizes and types, in one phase.
   *
   * @param phase what the calls are part of
   * @param operation its name, with the kind where it has kinds, such as {@code unary relu}
   * @param types of its operands, such as {@code float32}
   * @param sizes such as {@code 64x28x28x32 -> 64, 3x3}
   * @param calls how many
   * @param total seconds in all of them
   * @param self the same without what operations took that these called
   * @param share self time of the time from start to stop
   * @param flops multiplications and additions of a call of a product, a convolution or attention,
   *     by their definitions; 0 for others
   * @param bytes of the operands of a call, in the mean
   */
  public record Entry(
      Profiler.Phase phase,
      String operation,
      String types,
      String sizes,
      long calls,
      double total,
      double self,
      double share,
      double flops,
      double bytes) {
    /** Mean seconds of a call. */
    public double mean() {
      return total / calls;
    }
  }

  /** What stands in a row. Calls that differ in optional operands alone are in one. */
  private record Row(Profiler.Phase phase, String operation, String types, String sizes) {}

  /** Calls of one signature in one phase. */
  private record Calls(Profiler.Phase phase, OperationSignature signature) {}

  private static final class Sum {
    private long calls;
    private long total;
    private long self;
    private double flops;
    private double bytes;

    void add(OperationSignature signature, Sum more) {
      calls += more.calls;
      total += more.total;
      self += more.self;
      flops += signature.flops() * more.calls;
      bytes += signature.bytes() * more.calls;
    }
  }

  private Profile(
      long started,
      double seconds,
      Outside outside,
      List<ProfiledThread.Recorded> threads,
      List<Entry> entries) {
    this.started = started;
    this.seconds = seconds;
    this.outside = outside;
    this.threads = threads;
    this.entries = entries;
  }

  static Profile of(
      long started, long ended, List<ProfiledThread.Recorded> threads, Outside outside) {
    Map<Calls, Sum> sums = new HashMap<>();
    for (ProfiledThread.Recorded thread : threads) {
      for (ProfiledThread.Event event : thread.events()) {
        Sum sum =
            sums.computeIfAbsent(new Calls(event.phase(), event.signature()), key -> new Sum());
        sum.calls++;
        sum.total += event.duration();
        sum.self += event.self();
      }
    }
    Map<Row, Sum> rows = new HashMap<>();
    sums.forEach(
        (calls, sum) -> {
          OperationSignature s = calls.signature();
          rows.computeIfAbsent(
                  new Row(calls.phase(), s.operation(), s.types(), s.sizes()), row -> new Sum())
              .add(s, sum);
        });
    double seconds = (ended - started) * NANO;
    List<Entry> entries = new ArrayList<>();
    rows.forEach((row, sum) -> entries.add(entry(row, sum, seconds)));
    entries.sort(Comparator.comparingDouble(Entry::self).reversed());
    return new Profile(started, seconds, outside, threads, List.copyOf(entries));
  }

  private static Entry entry(Row row, Sum sum, double seconds) {
    double self = sum.self * NANO;
    return new Entry(
        row.phase(),
        row.operation(),
        row.types(),
        row.sizes(),
        sum.calls,
        sum.total * NANO,
        self,
        self / seconds,
        sum.flops / sum.calls,
        sum.bytes / sum.calls);
  }

  /** Seconds from start to stop. */
  public double seconds() {
    return seconds;
  }

  /** The operations of all threads, those with the most self time first. */
  public List<Entry> entries() {
    return entries;
  }

  /**
   * Seconds that the thread which started the profiler spent outside of operations: in Java,
   * autograd and what waits for data; without the profiler's own time.
   */
  public double outside() {
    return outside.nanos() * NANO;
  }

  /** Seconds that the profiler took in that thread. */
  public double overhead() {
    return outside.profiler() * NANO;
  }

  /** All operations as a table for people; see {@link #toTable(int)}. */
  public String toTable() {
    return toTable(entries.size());
  }

  /**
   * A table for people: phase, operation, types, sizes, calls, total and self time, mean time of a
   * call, and share of the time from start to stop. Shares of operations of one thread and of what
   * is outside of them add up to 100%; threads beside it come on top of that.
   *
   * @param rows how many operations at most, those with the most self time; the others are summed
   *     up
   */
  public String toTable(int rows) {
    List<Entry> shown = entries.subList(0, Math.min(Math.max(rows, 0), entries.size()));
    ProfileTable table = new ProfileTable();
    shown.forEach(table::add);
    List<Entry> rest = entries.subList(shown.size(), entries.size());
    if (!rest.isEmpty()) {
      double self = rest.stream().mapToDouble(Entry::self).sum();
      table.line(rest.size() + " others", self, self / seconds);
    }
    table.line("outside of operations (Java, autograd, loading)", outside(), outside() / seconds);
    table.line("the profiler itself", overhead(), overhead() / seconds);
    table.line("all", seconds, 1);
    return table.text();
  }

  /**
   * Writes the operations and phases of all threads over time, as {@code chrome://tracing} and
   * Perfetto show them.
   *
   * <p>Source: the Trace Event Format, complete events.
   *
   * @throws IOException when the file cannot be written
   */
  public void writeChromeTrace(Path file) throws IOException {
    try (BufferedWriter out = Files.newBufferedWriter(file);
        JsonGenerator json = new JsonFactory().createGenerator(out)) {
      json.writeStartObject();
      json.writeStringField("displayTimeUnit", "ms");
      json.writeArrayFieldStart("traceEvents");
      for (int i = 0; i < threads.size(); i++) {
        write(json, threads.get(i), i + 1);
      }
      json.writeEndArray();
      json.writeEndObject();
    }
  }

  private void write(JsonGenerator json, ProfiledThread.Recorded thread, int number)
      throws IOException {
    json.writeStartObject();
    json.writeStringField("name", "thread_name");
    json.writeStringField("ph", "M");
    json.writeNumberField("pid", 1);
    json.writeNumberField("tid", number);
    json.writeObjectFieldStart("args");
    json.writeStringField("name", thread.thread());
    json.writeEndObject();
    json.writeEndObject();
    for (ProfiledThread.PhaseEvent phase : thread.phases()) {
      begin(json, name(phase.phase()), "phase", number, phase.start(), phase.duration());
      json.writeEndObject();
    }
    for (ProfiledThread.Event event : thread.events()) {
      OperationSignature signature = event.signature();
      begin(json, signature.operation(), "operation", number, event.start(), event.duration());
      json.writeObjectFieldStart("args");
      json.writeStringField("phase", name(event.phase()));
      json.writeStringField("types", signature.types());
      json.writeStringField("sizes", signature.sizes());
      json.writeEndObject();
      json.writeEndObject();
    }
  }

  /** An event but for its end: times are microseconds from the start. */
  private void begin(
      JsonGenerator json, String name, String category, int thread, long start, long duration)
      throws IOException {
    json.writeStartObject();
    json.writeStringField("name", name);
    json.writeStringField("cat", category);
    json.writeStringField("ph", "X");
    json.writeNumberField("pid", 1);
    json.writeNumberField("tid", thread);
    json.writeNumberField("ts", (start - started) / MILLI);
    json.writeNumberField("dur", duration / MILLI);
  }

  private static String name(Profiler.Phase phase) {
    return phase.name().toLowerCase(Locale.ROOT);
  }

  /** Columns of equal width. */
  private static final class ProfileTable {
    private static final int NUMBERS = 4;
    private final List<List<String>> rows = new ArrayList<>();

    ProfileTable() {
      rows.add(
          List.of(
              "phase",
              "operation",
              "types",
              "sizes",
              "calls",
              "total ms",
              "self ms",
              "mean us",
              "share"));
    }

    void add(Entry e) {
      rows.add(
          List.of(
              name(e.phase()),
              e.operation(),
              e.types(),
              e.sizes(),
              Long.toString(e.calls()),
              format("%.2f", MILLI * e.total()),
              format("%.2f", MILLI * e.self()),
              format("%.1f", MICRO * e.mean()),
              format("%.1f%%", 100 * e.share())));
    }

    void line(String what, double seconds, double share) {
      rows.add(
          List.of(
              "",
              what,
              "",
              "",
              "",
              "",
              format("%.2f", MILLI * seconds),
              "",
              format("%.1f%%", 100 * share)));
    }

    private static String format(String format, double value) {
      return String.format(Locale.ROOT, format, value);
    }

    String text() {
      int[] widths = new int[rows.get(0).size()];
      for (List<String> row : rows) {
        for (int i = 0; i < widths.length; i++) {
          widths[i] = Math.max(widths[i], row.get(i).length());
        }
      }
      StringBuilder text = new StringBuilder();
      for (List<String> row : rows) {
        StringBuilder line = new StringBuilder();
        for (int i = 0; i < widths.length; i++) {
          String padding = " ".repeat(widths[i] - row.get(i).length());
          boolean left = i < NUMBERS;
          line.append(left ? row.get(i) + padding : padding + row.get(i)).append("  ");
        }
        text.append(line.toString().stripTrailing()).append('\n');
      }
      return text.toString();
    }
  }
}
