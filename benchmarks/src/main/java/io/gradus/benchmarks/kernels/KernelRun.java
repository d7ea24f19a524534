package io.gradus.benchmarks.kernels;

import io.gradus.backend.Backend;
import io.gradus.backend.Backends;
import io.gradus.benchmarks.report.RunOptions;
import io.gradus.benchmarks.report.Section;
import io.gradus.core.Device;
import io.gradus.core.DeviceInfo;
import io.gradus.core.GradusException;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** Measures kernels, one after another, on one device after another, in this virtual machine. */
public final class KernelRun {
  /** What devices are that model others, and for which small kernels take long. */
  private static final String EMULATED = "emulated";

  private static final int FULL_ROUNDS = 7;
  private static final int QUICK_ROUNDS = 3;
  private static final double FULL_S = 0.3;
  private static final double QUICK_S = 0.04;

  private final List<String> groups;
  private final int rounds;
  private final double roundS;
  private final Map<String, Limits> limits = new LinkedHashMap<>();
  private final List<KernelResult> results = new ArrayList<>();
  private final Limits processor;

  /**
   * A run; threads are set before any device opens, so there is one number of them.
   *
   * @param groups the groups to measure; all where empty
   */
  public KernelRun(RunOptions run, List<String> groups) {
    this.groups = groups;
    run.require(
        KernelCases.groups().containsAll(groups),
        "--groups: there are " + String.join(", ", KernelCases.groups()));
    rounds = run.rounds(FULL_ROUNDS, QUICK_ROUNDS);
    roundS = run.quick() ? QUICK_S : FULL_S;
    int threads = run.threads().get(run.threads().size() - 1);
    System.setProperty("gradus.threads", Integer.toString(threads));
    progress("the processor's limits");
    processor = Probe.processor(threads);
  }

  /** The devices that can be used here: processor and GPUs first, then those that stand in. */
  public static List<String> usable() {
    List<String> names = new ArrayList<>();
    for (DeviceInfo info : Device.all()) {
      if (info.usable()) {
        names.add(info.device().toString());
      }
    }
    return names;
  }

  /**
   * Measures every kernel on a device.
   *
   * @throws io.gradus.core.DeviceException when it cannot be used
   */
  public void measure(String name) {
    Device device = Device.parse(name);
    Backend backend = Backends.of(device);
    Limits most = limits(device, backend);
    limits.put(name, most);
    boolean emulated = device.type().equals(EMULATED);
    for (KernelCase kernel : emulated ? KernelCases.small() : KernelCases.ofNetworks()) {
      if (groups.isEmpty() || groups.contains(kernel.group())) {
        progress(name + ": " + kernel.name() + " " + kernel.shape());
        results.add(measure(name, backend, kernel, most));
      }
    }
  }

  private Limits limits(Device device, Backend backend) {
    return switch (device.type()) {
      case "cpu", "reference" -> processor;
      case EMULATED -> Limits.unknown("an emulator has none");
      default ->
          Device.all().stream()
              .filter(info -> info.device().equals(device))
              .map(info -> Gpus.limits(backend, info.description()))
              .findFirst()
              .orElseGet(() -> Limits.unknown("unknown device"));
    };
  }

  private KernelResult measure(String device, Backend backend, KernelCase kernel, Limits most) {
    try (Workbench bench = new Workbench(backend)) {
      return new KernelResult(
          device, kernel, most, time(backend, kernel.setup().prepare(bench)), "");
    } catch (GradusException | OutOfMemoryError e) {
      String problem = String.valueOf(e.getMessage()).lines().findFirst().orElse("");
      return new KernelResult(device, kernel, most, List.of(), problem);
    }
  }

  /** Seconds of a call, by round. */
  private List<Double> time(Backend backend, Runnable call) {
    double perCall = calls(backend, call, 1);
    double passed = perCall;
    for (int n = 1; passed < 2 * roundS; n = 2 * n) {
      double seconds = calls(backend, call, n);
      passed += seconds;
      perCall = seconds / n;
    }
    int n = (int) Math.max(1, Math.round(roundS / perCall));
    List<Double> seconds = new ArrayList<>();
    for (int round = 0; round < rounds; round++) {
      seconds.add(calls(backend, call, n) / n);
    }
    return seconds;
  }

  private static double calls(Backend backend, Runnable call, int n) {
    long began = System.nanoTime();
    for (int i = 0; i < n; i++) {
      call.run();
    }
    backend.synchronize();
    return Math.max(1, System.nanoTime() - began) * 1e-9;
  }

  /** What was measured. */
  public Section section() {
    return new KernelSection(limits, results);
  }

  private static void progress(String text) {
    System.err.println("kernels: " + text);
  }
}
