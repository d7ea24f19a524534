package io.gradus.benchmarks.engines;

import com.fasterxml.jackson.core.JsonGenerator;
import io.gradus.backend.Profile;
import io.gradus.benchmarks.report.Section;
import io.gradus.benchmarks.report.Table;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import org.knowm.xchart.internal.chartpart.IChart;

/** Where the time of Gradus' training steps goes, and how far each operation is from the limits. */
final class ProfileSection implements Section {
  /** Rows of the table have this share of the time at least; the others are summed up. */
  private static final double SHOWN = 0.01;

  /** An operation that others do the work of has no rate: its parts have. */
  private static final double OWN = 0.8;

  /**
   * The profile of a workload.
   *
   * @param what workload and device, for people
   * @param peak limits of the processor with as many threads; not numbers for other devices
   */
  record Measured(String what, int threads, StepProfile profile, Peak peak) {
    Measured with(Peak other) {
      return new Measured(what, threads, profile, other);
    }
  }

  private final List<Measured> all;

  ProfileSection(List<Measured> all) {
    this.all = List.copyOf(all);
  }

  @Override
  public String name() {
    return "profile";
  }

  @Override
  public String title() {
    return "Where the time of a step goes";
  }

  @Override
  public String intro() {
    return """
        Operations of Gradus' steps under its profiler, in the fastest of some rounds. The time is an
        operation's own, per step, and the share that of a profiled step. GFLOP/s count products,
        convolutions and attention by their definitions, beside the multiplications and additions
        that the processor does in registers in the same run, before or after: above 100% where an algorithm such as
        Winograd's needs fewer. All others have GB/s, every operand once, beside STREAM's triad:
        above 100% where operands stay in caches. Operations with less than 1% are summed up; the CSV has
        all.""";
  }

  @Override
  public Table table() {
    Table table =
        new Table(
            "what",
            "threads",
            "phase",
            "operation",
            "types",
            "sizes",
            "calls",
            "time",
            "share",
            "GFLOP/s",
            "of FMA peak",
            "GB/s",
            "of triad");
    for (Measured m : all) {
      double rest = 0;
      int others = 0;
      for (Profile.Entry e : m.profile().entries()) {
        if (e.share() >= SHOWN) {
          table.add(row(m, e));
        } else {
          rest += e.self();
          others++;
        }
      }
      whole(table, m, others + " others", rest);
      whole(table, m, "outside of operations (Java, autograd, loading)", m.profile().outside());
      whole(table, m, "the profiler itself", m.profile().overhead());
    }
    return table;
  }

  private static List<String> row(Measured m, Profile.Entry e) {
    StepProfile profile = m.profile();
    boolean own = e.self() >= OWN * e.total();
    double flops = own ? flops(e) : 0;
    double bytes = own && flops == 0 ? e.bytes() / e.mean() : 0;
    return List.of(
        m.what(),
        Integer.toString(m.threads()),
        e.phase().name().toLowerCase(Locale.ROOT),
        e.operation(),
        e.types(),
        e.sizes(),
        format("%.0f", (double) e.calls() / profile.steps()),
        time(e.self() / profile.steps()),
        percent(e.share()),
        flops == 0 ? "" : format("%,.1f", flops * 1e-9),
        flops == 0 ? "" : percent(flops / m.peak().flops()),
        bytes == 0 ? "" : format("%,.1f", bytes * 1e-9),
        bytes == 0 ? "" : percent(bytes / m.peak().bytes()));
  }

  private static double flops(Profile.Entry e) {
    return e.flops() / e.mean();
  }

  private static void whole(Table table, Measured m, String what, double seconds) {
    StepProfile profile = m.profile();
    table.add(
        List.of(
            m.what(),
            Integer.toString(m.threads()),
            "",
            what,
            "",
            "",
            "",
            time(seconds / profile.steps()),
            percent(seconds / profile.seconds()),
            "",
            "",
            "",
            ""));
  }

  /** For each workload: the step, and what its products make of the processor. */
  @Override
  public List<String> notes() {
    List<String> notes = new ArrayList<>();
    for (Measured m : all) {
      StepProfile p = m.profile();
      double products = 0;
      double flops = 0;
      for (Profile.Entry e : p.entries()) {
        if (e.flops() > 0 && e.self() >= OWN * e.total()) {
          products += e.self();
          flops += e.flops() * e.calls();
        }
      }
      String line =
          String.format(
              Locale.ROOT,
              "%s, threads %d: %s a step, %s under the profiler, %d steps in a round; products have"
                  + " %s of it",
              m.what(),
              m.threads(),
              time(p.plain() / p.steps()),
              time(p.seconds() / p.steps()),
              p.steps(),
              percent(products / p.seconds()));
      String share = percent(flops / products / m.peak().flops());
      notes.add(
          line
              + (share.isEmpty() ? "" : " at " + share + " of the FMA peak")
              + "; limits: "
              + m.peak().source());
    }
    return notes;
  }

  @Override
  public Table values() {
    Table table =
        new Table(
            "what",
            "threads",
            "phase",
            "operation",
            "types",
            "sizes",
            "steps",
            "calls",
            "total",
            "self",
            "flops",
            "bytes");
    for (Measured m : all) {
      for (Profile.Entry e : m.profile().entries()) {
        table.add(
            List.of(
                m.what(),
                Integer.toString(m.threads()),
                e.phase().name().toLowerCase(Locale.ROOT),
                e.operation(),
                e.types(),
                e.sizes(),
                Integer.toString(m.profile().steps()),
                Long.toString(e.calls()),
                Double.toString(e.total()),
                Double.toString(e.self()),
                Double.toString(e.flops()),
                Double.toString(e.bytes())));
      }
    }
    return table;
  }

  @Override
  public void json(JsonGenerator json) throws IOException {
    json.writeStartArray();
    for (Measured m : all) {
      StepProfile p = m.profile();
      json.writeStartObject();
      json.writeStringField("what", m.what());
      json.writeNumberField("threads", m.threads());
      json.writeNumberField("steps", p.steps());
      json.writeNumberField("plainSeconds", p.plain());
      json.writeNumberField("seconds", p.seconds());
      json.writeNumberField("outsideSeconds", p.outside());
      json.writeNumberField("profilerSeconds", p.overhead());
      if (Double.isFinite(m.peak().flops())) {
        json.writeNumberField("peakFlops", m.peak().flops());
        json.writeNumberField("peakBytes", m.peak().bytes());
      }
      json.writeArrayFieldStart("operations");
      for (Profile.Entry e : p.entries()) {
        json.writeStartObject();
        json.writeStringField("phase", e.phase().name().toLowerCase(Locale.ROOT));
        json.writeStringField("operation", e.operation());
        json.writeStringField("types", e.types());
        json.writeStringField("sizes", e.sizes());
        json.writeNumberField("calls", e.calls());
        json.writeNumberField("totalSeconds", e.total());
        json.writeNumberField("selfSeconds", e.self());
        json.writeNumberField("share", e.share());
        json.writeNumberField("flops", e.flops());
        json.writeNumberField("bytes", e.bytes());
        json.writeEndObject();
      }
      json.writeEndArray();
      json.writeEndObject();
    }
    json.writeEndArray();
  }

  @Override
  public Map<String, IChart> charts() {
    return Map.of();
  }

  private static String time(double seconds) {
    return seconds < 1e-3 ? format("%,.1f us", 1e6 * seconds) : format("%,.2f ms", 1e3 * seconds);
  }

  private static String percent(double share) {
    return Double.isFinite(share) ? format("%.1f%%", 100 * share) : "";
  }

  private static String format(String format, double value) {
    return String.format(Locale.ROOT, format, value);
  }
}
