package io.gradus.benchmarks.kernels;

import io.gradus.backend.Backend;
import io.gradus.backend.Backends;
import io.gradus.benchmarks.engines.Peak;
import io.gradus.benchmarks.engines.PeerException;
import io.gradus.benchmarks.report.RunOptions;
import io.gradus.benchmarks.report.Section;
import io.gradus.core.Device;
import io.gradus.core.DeviceInfo;
import io.gradus.core.GradusException;
import java.io.IOException;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** Measures kernels, one after another, on one device after another, in this virtual machine. */
public final class KernelRun implements AutoCloseable {
  /** What devices are that model GPUs, and for which small kernels take long. */
  private static final String EMULATED = "emulated";

  private static final long EMULATED_CACHE = 1 << 16;

  private static final int FULL_ROUNDS = 7;
  private static final int QUICK_ROUNDS = 3;
  private static final double FULL_S = 0.3;
  private static final double QUICK_S = 0.04;

  /** A GPU's clocks have settled before, and there are more kernels. */
  private static final double GPU_S = 0.1;

  private final List<String> groups;
  private final int rounds;
  private final boolean quick;
  private final KernelLog log;
  private final KernelPeers peers;
  private final List<String> notes = new ArrayList<>();
  private final Map<String, Limits> limits = new LinkedHashMap<>();
  private final List<KernelResult> results = new ArrayList<>();
  private final Limits processor;

  /**
   * A run; threads are set before any device opens, so there is one number of them.
   *
   * @param groups the groups to measure; all where empty
   * @param peers other engines beside ours, of {@link KernelPeers#NAMES}
   * @param resume whether what an earlier run has measured for the same folder stands
   */
  public KernelRun(RunOptions run, List<String> groups, List<String> peers, boolean resume)
      throws IOException {
    this.groups = groups;
    run.requireKnown("--groups", groups, KernelCases.groups());
    rounds = run.rounds(FULL_ROUNDS, QUICK_ROUNDS);
    quick = run.quick();
    log = new KernelLog(run.out().resolve("kernels-log.tsv"), resume);
    this.peers =
        peers.isEmpty()
            ? KernelPeers.none()
            : KernelPeers.start(peers, run.out().resolve("work").toAbsolutePath());
    int threads = run.threads().get(run.threads().size() - 1);
    System.setProperty("gradus.threads", Integer.toString(threads));
    progress("the processor's limits");
    processor = Probe.processor(threads);
  }

  /** The processor's limits with a number of threads, measured now. */
  public static Peak peak(int threads) {
    Limits limits = Probe.processor(threads);
    return new Peak(limits.flops(), limits.bytes(), limits.source());
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
  public void measure(String parsed) throws IOException {
    Device device = Device.parse(parsed);
    String name = device.toString();
    Backend backend = Backends.of(device);
    Limits most = limits(device, backend);
    limits.put(name, most);
    for (KernelCase kernel : cases(device)) {
      if (groups.isEmpty() || groups.contains(kernel.group())) {
        KernelResult known = log.find(name, kernel, most);
        if (known == null) {
          progress(name + ": " + kernel.name() + " " + kernel.shape() + " " + kernel.type());
          known = measure(device, backend, kernel, most);
          log.add(known);
        }
        results.add(known);
      }
    }
  }

  /** What is measured on a device. */
  static List<KernelCase> cases(Device device) {
    if (isProcessor(device)) {
      return KernelCases.ofNetworks();
    }
    if (!device.type().equals(EMULATED)) {
      return KernelCases.ofGpus();
    }
    List<KernelCase> small = new ArrayList<>(KernelCases.small());
    small.addAll(KernelCases.smallOfGpus());
    return small;
  }

  private static boolean isProcessor(Device device) {
    return device.type().equals("cpu") || device.type().equals("reference");
  }

  private Limits limits(Device device, Backend backend) {
    return switch (device.type()) {
      case "cpu", "reference" -> processor;
      case EMULATED ->
          // Operands are rotated as on a GPU, so that this can be tried without one.
          new Limits(
              Double.NaN,
              Double.NaN,
              Double.NaN,
              Double.NaN,
              EMULATED_CACHE,
              "an emulator has none");
      default ->
          Device.all().stream()
              .filter(info -> info.device().equals(device))
              .map(info -> Gpus.limits(backend, info.description()))
              .findFirst()
              .orElseGet(() -> Limits.unknown("unknown device"));
    };
  }

  private KernelResult measure(Device device, Backend backend, KernelCase kernel, Limits most) {
    String name = device.toString();
    try (DeviceCalls calls = DeviceCalls.of(backend, kernel, most.cacheBytes())) {
      double turnS = quick ? QUICK_S : isProcessor(device) ? FULL_S : GPU_S;
      return time(name, kernel, most, calls, turnS, !isProcessor(device));
    } catch (GradusException | OutOfMemoryError e) {
      String problem = String.valueOf(e.getMessage()).lines().findFirst().orElse("");
      return new KernelResult(name, kernel, most, List.of(), problem);
    }
  }

  /** One engine at a kernel. */
  private interface Stopwatch {
    /** Seconds that so many calls take. */
    double seconds(int calls) throws PeerException;
  }

  /** The engines take turns, round by round. */
  private KernelResult time(
      String device,
      KernelCase kernel,
      Limits most,
      DeviceCalls calls,
      double turnS,
      boolean record) {
    Map<String, Stopwatch> watches = new LinkedHashMap<>();
    watches.put("", calls::seconds);
    for (String peer : peers.prepare(kernel, most.cacheBytes())) {
      watches.put(peer, n -> peers.seconds(peer, n));
    }
    Map<String, Integer> counts = new HashMap<>();
    Map<String, List<Double>> seconds = new LinkedHashMap<>();
    for (int round = -1; round < rounds; round++) {
      for (String engine : List.copyOf(watches.keySet())) {
        Stopwatch watch = watches.getOrDefault(engine, calls::seconds);
        try {
          if (round < 0) {
            double perCall = warmUp(watch, 2 * turnS);
            if (engine.isEmpty() && record) {
              calls.record(perCall, turnS);
              perCall = warmUp(watch, turnS);
            }
            counts.put(engine, (int) Math.max(1, Math.round(turnS / perCall)));
            seconds.put(engine, new ArrayList<>());
          } else {
            int n = counts.getOrDefault(engine, 1);
            seconds.getOrDefault(engine, new ArrayList<>()).add(watch.seconds(n) / n);
          }
        } catch (PeerException e) {
          peers.failed(engine, kernel, e);
          watches.remove(engine);
          seconds.remove(engine);
        }
      }
    }
    if (record && !calls.isRecorded()) {
      notes.add(
          kernel.name() + " " + kernel.shape() + ": called one by one, since recording failed");
    }
    List<Double> ours = List.copyOf(seconds.getOrDefault("", List.of()));
    seconds.remove("");
    return new KernelResult(device, kernel, most, ours, seconds, "");
  }

  /** Calls for a while, in runs that get longer; gives the seconds of a call in the last. */
  private static double warmUp(Stopwatch watch, double atLeastS) throws PeerException {
    double perCall = watch.seconds(1);
    double passed = perCall;
    for (int n = 1; passed < atLeastS; n = 2 * n) {
      double run = watch.seconds(n);
      passed += run;
      perCall = run / n;
    }
    return perCall;
  }

  /** What was measured. */
  public Section section() {
    List<String> lines = new ArrayList<>(peers.notes());
    lines.addAll(notes);
    return new KernelSection(limits, results, lines);
  }

  /** Ends the other engines. */
  @Override
  public void close() {
    peers.close();
  }

  /** What was measured, kernel by kernel. */
  List<KernelResult> results() {
    return results;
  }

  private static void progress(String text) {
    System.err.println("kernels: " + text);
  }
}
