package io.gradus.backend;

import static java.util.Objects.requireNonNull;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotSame;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonToken;
import io.gradus.backend.reference.ReferenceBackend;
import io.gradus.core.DType;
import io.gradus.core.Device;
import io.gradus.core.DeviceInfo;
import io.gradus.core.Shape;
import io.gradus.optim.SGD;
import io.gradus.tensor.CapturedStep;
import io.gradus.tensor.Conv;
import io.gradus.tensor.Conv2dOptions;
import io.gradus.tensor.Generator;
import io.gradus.tensor.Linear;
import io.gradus.tensor.Scope;
import io.gradus.tensor.Tensor;
import io.gradus.testing.TestDevices;
import java.io.IOException;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Proxy;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.function.Predicate;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

class ProfilerTest {
  private static final long SLEEP_MS = 20;
  private static final double EXACT = 1e-6;

  static Stream<Device> devices() {
    return Device.all().stream().filter(DeviceInfo::usable).map(DeviceInfo::device);
  }

  /** Profiles something in a scope. */
  private static Profile profile(Runnable work) {
    try (Profiler profiler = Profiler.start();
        Scope s = Scope.open()) {
      work.run();
      return profiler.stop();
    }
  }

  /** Calls by phase and operation. */
  private static Map<String, Long> calls(Profile profile) {
    Map<String, Long> calls = new TreeMap<>();
    for (Profile.Entry e : profile.entries()) {
      calls.merge(e.phase() + " " + e.operation(), e.calls(), Long::sum);
    }
    return calls;
  }

  private static Profile.Entry entry(Profile profile, Predicate<Profile.Entry> which) {
    List<Profile.Entry> found = profile.entries().stream().filter(which).toList();
    assertEquals(1, found.size(), profile::toTable);
    return found.get(0);
  }

  /**
   * What no operation took, the profiler and all self times are the whole, so none counts twice.
   */
  private static void assertAddsUp(Profile profile) {
    double self = profile.entries().stream().mapToDouble(Profile.Entry::self).sum();
    assertEquals(
        profile.seconds(), self + profile.outside() + profile.overhead(), EXACT, profile::toTable);
    profile.entries().forEach(e -> assertTrue(e.self() >= 0 && e.self() <= e.total() + EXACT));
  }

  @Test
  void aKnownSequenceGivesKnownCounts() {
    Device device = TestDevices.isolated();
    Tensor x = Tensor.full(device, DType.FLOAT32, Shape.of(2, 3), 1);
    Profile profile =
        profile(
            () -> {
              for (int i = 0; i < 3; i++) {
                x.neg();
              }
              x.add(x);
              x.add(x.reshape(3, 2).reshape(2, 3));
              x.to(DType.FLOAT64).neg();
              x.toFloats();
            });
    assertEquals(
        Map.of(
            "FORWARD unary neg", 4L,
            "FORWARD binary add", 2L,
            "FORWARD cast", 1L,
            "FORWARD download", 1L),
        calls(profile));
    Profile.Entry add = entry(profile, e -> e.operation().equals("binary add"));
    assertEquals("float32", add.types());
    assertEquals(3 * 6 * 4, add.bytes());
    assertEquals(0, add.flops());
    assertEquals(
        3,
        entry(profile, e -> e.operation().equals("unary neg") && e.types().equals("float32"))
            .calls());
    assertEquals("float32/float64", entry(profile, e -> e.operation().equals("cast")).types());
    assertAddsUp(profile);
  }

  @Test
  void aPlantedDelayIsFoundWhereItIs() {
    ReferenceBackend reference = new ReferenceBackend(1);
    Backend slow =
        (Backend)
            Proxy.newProxyInstance(
                getClass().getClassLoader(),
                new Class<?>[] {Backend.class},
                (proxy, method, arguments) -> {
                  if (method.getName().equals("unary")) {
                    Thread.sleep(SLEEP_MS);
                  }
                  try {
                    return method.invoke(reference, arguments);
                  } catch (InvocationTargetException e) {
                    throw e.getCause();
                  }
                });
    Memory memory = slow.allocate(DType.FLOAT32, 8);
    Buffer x = Buffer.of(memory);
    Profile profile =
        profile(
            () -> {
              Backend profiled = Profiler.of(slow);
              assertEquals(slow.device(), profiled.device());
              profiled.fill(x, 2);
              profiled.unary(UnaryOp.SQRT, x, x);
              profiled.unary(UnaryOp.SQRT, x, x);
              profiled.unary(UnaryOp.EXP, x, x);
            });
    memory.release();
    Profile.Entry sqrt = entry(profile, e -> e.operation().equals("unary sqrt"));
    assertEquals(2, sqrt.calls());
    assertTrue(sqrt.self() >= 2e-3 * SLEEP_MS, profile::toTable);
    assertEquals(sqrt.total() / 2, sqrt.mean());
    assertEquals(sqrt.self() / profile.seconds(), sqrt.share());
    assertTrue(profile.toTable(1).contains("2 others"), profile::toTable);
    assertTrue(
        profile.entries().get(0).self() >= sqrt.self() && profile.entries().get(2).calls() == 1,
        profile::toTable);
    assertAddsUp(profile);
  }

  @Test
  void whatADefaultBodyCallsIsNotItsOwn() {
    Tensor x = Tensor.full(Device.reference(), DType.FLOAT64, Shape.of(40, 60), 0.5);
    Tensor weight = Tensor.full(Device.reference(), DType.FLOAT64, Shape.of(50, 60), 0.5);
    Tensor bias = Tensor.full(Device.reference(), DType.FLOAT64, Shape.of(50), 1);
    Profile profile = profile(() -> Linear.linear(x, weight, bias));
    assertEquals(
        Map.of("FORWARD linearForward", 1L, "FORWARD copy", 1L, "FORWARD matmul", 1L),
        calls(profile));
    Profile.Entry linear = entry(profile, e -> e.operation().equals("linearForward"));
    Profile.Entry matmul = entry(profile, e -> e.operation().equals("matmul"));
    assertEquals(2.0 * 40 * 50 * 60, linear.flops());
    assertEquals(linear.flops(), matmul.flops());
    assertEquals("rows=40 inputs=60 outputs=50", linear.sizes());
    assertEquals("40x50x60 A B^T", matmul.sizes());
    assertEquals(matmul.total(), matmul.self());
    assertTrue(linear.total() > linear.self() + matmul.total(), profile::toTable);
    assertAddsUp(profile);
  }

  @ParameterizedTest
  @MethodSource("devices")
  void fusedOperationsOfEveryDeviceAreSeenOnce(Device device) {
    Generator.seed(1);
    Tensor x = Tensor.randn(1, 4, 4, 2).to(device);
    Tensor w = Tensor.randn(3, 3, 3, 2).to(device);
    Profile profile = profile(() -> Conv.conv2d(x, w, null, Conv2dOptions.of(1, 1)));
    Profile.Entry conv = entry(profile, e -> e.operation().startsWith("conv2dForward"));
    assertEquals(1, conv.calls());
    assertEquals("1x4x4x2 -> 3, 3x3", conv.sizes());
    assertEquals(2.0 * 16 * 3 * 9 * 2, conv.flops());
    assertAddsUp(profile);
  }

  @Test
  void callsThatDifferInOptionalOperandsAloneAreOneRow() {
    Backend backend = Backends.of(Device.reference());
    Memory memory = backend.allocate(DType.FLOAT32, 400);
    Buffer m = Buffer.of(memory);
    Buffer row = m.slice(0, 10);
    RowNormShape shape = new RowNormShape(4, 10, 1e-5);
    Buffer x = m.slice(20, 40);
    Profile profile =
        profile(
            () -> {
              backend.fill(m, 1);
              Backend profiled = Profiler.of(backend);
              profiled.rmsNormForward(x, null, m.slice(60, 40), m.slice(100, 4), shape);
              profiled.rmsNormForward(x, row, m.slice(60, 40), m.slice(100, 4), shape);
            });
    memory.release();
    Profile.Entry norm = entry(profile, e -> e.operation().equals("rmsNormForward"));
    assertEquals(2, norm.calls());
    assertEquals("rows=4 cols=10", norm.sizes());
    assertEquals(4 * (84 + 94) / 2.0, norm.bytes());
    assertAddsUp(profile);
  }

  @Test
  void theKindOfAFusedOperationIsPartOfItsName() {
    BatchNormShape relu = new BatchNormShape(6, 4, true, 0.1, 1e-5, Activation.RELU);
    BatchNormShape none = new BatchNormShape(6, 4, true, 0.1, 1e-5, Activation.NONE);
    assertEquals("rows=6 channels=4 relu", OperationSizes.text(relu));
    assertEquals("rows=6 channels=4", OperationSizes.text(none));
  }

  @ParameterizedTest
  @MethodSource("devices")
  void autogradAndTheOptimizerSayThePhase(Device device) {
    Tensor w = Tensor.full(device, DType.FLOAT32, Shape.of(4, 4), 0.5).requiresGrad(true);
    SGD sgd = new SGD(List.of(w), 0.1);
    Tensor x = Tensor.full(device, DType.FLOAT32, Shape.of(4, 4), 2);
    Profile profile =
        profile(
            () -> {
              Tensor loss = x.matmul(w).exp().sum();
              loss.backward();
              sgd.step();
              x.sqrt();
            });
    Map<String, Long> calls = calls(profile);
    assertEquals(1, calls.get("FORWARD matmul"), profile::toTable);
    assertEquals(1, calls.get("FORWARD unary exp"), profile::toTable);
    assertEquals(1, calls.get("FORWARD unary sqrt"), profile::toTable);
    assertEquals(1, calls.get("BACKWARD matmul"), profile::toTable);
    assertEquals(1, calls.get("OPTIMIZER sgd"), profile::toTable);
    assertFalse(calls.containsKey("BACKWARD unary exp"), profile::toTable);
    assertFalse(calls.containsKey("FORWARD sgd"), profile::toTable);
    assertAddsUp(profile);
  }

  @Test
  void nothingIsRecordedWhileNoneRuns() {
    Backend plain = Backends.of(Device.reference());
    Tensor x = Tensor.full(Device.reference(), DType.FLOAT32, Shape.of(3), 1);
    Memory memory = plain.allocate(DType.FLOAT32, 3);
    assertFalse(Profiler.isRunning());
    assertSame(plain, Profiler.of(plain));
    assertSame(Profiler.phase(Profiler.Phase.BACKWARD), Profiler.phase(Profiler.Phase.OPTIMIZER));
    x.neg().close();
    Profiler first = Profiler.start();
    assertTrue(Profiler.isRunning());
    Backend profiled = Profiler.of(plain);
    assertNotSame(plain, profiled);
    assertSame(plain, Profiler.plain(profiled));
    assertSame(profiled, Profiler.of(profiled));
    assertThrows(IllegalStateException.class, Profiler::start);
    x.neg().close();
    Profile profile = first.stop();
    assertThrows(IllegalStateException.class, first::stop);
    x.neg().close();
    profiled.fill(Buffer.of(memory), 1);
    assertEquals(Map.of("FORWARD unary neg", 1L), calls(profile));
    try (Profiler second = Profiler.start()) {
      // Of a profiler that has ended: it computes, and nobody hears of it.
      profiled.fill(Buffer.of(memory), 7);
      first.close();
      assertTrue(Profiler.isRunning());
      assertTrue(second.stop().entries().isEmpty());
    }
    assertFalse(Profiler.isRunning());
    memory.release();
  }

  @Test
  void resultsAreTheSameUnderAProfiler() {
    double[][] results = new double[2][];
    for (int i = 0; i < results.length; i++) {
      try (Profiler profiler = i == 0 ? null : Profiler.start();
          Scope s = Scope.open()) {
        Generator.seed(3);
        Tensor x = Tensor.randn(4, 6);
        Tensor w = Tensor.randn(5, 6).requiresGrad(true);
        Tensor loss = Linear.linear(x, w, null).relu().square().mean();
        loss.backward();
        results[i] = requireNonNull(w.grad()).toDoubles();
      }
    }
    assertArrayEquals(results[0], results[1]);
  }

  @Test
  void operationsOfTwoThreadsAreCountedAndTracedApart(@TempDir Path folder) throws Exception {
    Profile profile;
    try (Profiler profiler = Profiler.start()) {
      Thread other = new Thread(() -> negate(7), "the \"other\" one");
      other.start();
      try (Profiler.Span phase = Profiler.phase(Profiler.Phase.BACKWARD)) {
        negate(5);
      }
      negate(1);
      other.join();
      profile = profiler.stop();
    }
    // The phase is that of its thread alone.
    assertEquals(
        Map.of(
            "FORWARD unary neg", 8L,
            "FORWARD fill", 2L,
            "BACKWARD unary neg", 5L,
            "BACKWARD fill", 1L),
        calls(profile));
    Path file = folder.resolve("trace.json");
    profile.writeChromeTrace(file);
    Map<Object, Map<String, Long>> events = new HashMap<>();
    Map<Object, Object> names = new HashMap<>();
    for (Map<String, Object> event : trace(file)) {
      if (event.get("ph").equals("M")) {
        names.put(event.get("tid"), event.get("args.name"));
      } else {
        assertEquals("X", event.get("ph"));
        double start = (Double) event.get("ts");
        double end = start + (Double) event.get("dur");
        assertTrue(start >= 0 && end >= start && end <= 1e6 * profile.seconds() + 1);
        events
            .computeIfAbsent(event.get("tid"), t -> new TreeMap<>())
            .merge((String) event.get("name"), 1L, Long::sum);
      }
    }
    assertEquals(2, names.size());
    for (Map.Entry<Object, Object> name : names.entrySet()) {
      assertEquals(
          name.getValue().equals("the \"other\" one")
              ? Map.of("unary neg", 7L, "fill", 1L)
              : Map.of("unary neg", 6L, "fill", 2L, "backward", 1L),
          events.get(name.getKey()));
    }
  }

  private static void negate(int times) {
    try (Scope s = Scope.open()) {
      Tensor x = Tensor.full(Device.reference(), DType.FLOAT32, Shape.of(3), 1);
      for (int i = 0; i < times; i++) {
        x.neg();
      }
    }
  }

  /** The events of a file; fields of {@code args} as {@code args.name}. */
  private static List<Map<String, Object>> trace(Path file) throws IOException {
    List<Map<String, Object>> events = new ArrayList<>();
    try (JsonParser json = new JsonFactory().createParser(file.toFile())) {
      assertEquals(JsonToken.START_OBJECT, json.nextToken());
      while (!"traceEvents".equals(json.nextFieldName())) {
        json.nextToken();
      }
      assertEquals(JsonToken.START_ARRAY, json.nextToken());
      while (json.nextToken() == JsonToken.START_OBJECT) {
        Map<String, Object> event = new HashMap<>();
        fields(json, "", event);
        events.add(event);
      }
      assertEquals(JsonToken.END_OBJECT, json.nextToken());
      assertEquals(null, json.nextToken());
    }
    return events;
  }

  private static void fields(JsonParser json, String prefix, Map<String, Object> out)
      throws IOException {
    for (String name = json.nextFieldName(); name != null; name = json.nextFieldName()) {
      switch (json.nextToken()) {
        case START_OBJECT -> fields(json, name + ".", out);
        case VALUE_STRING -> out.put(prefix + name, json.getText());
        default -> out.put(prefix + name, json.getDoubleValue());
      }
    }
  }

  @ParameterizedTest
  @MethodSource("devices")
  void aCapturedStepIsRepeatedAsOneOperation(Device device) {
    try (Scope s = Scope.open()) {
      Tensor x = Tensor.full(device, DType.FLOAT32, Shape.of(3), 4);
      try (CapturedStep step = CapturedStep.of(device, in -> new Tensor[] {in[0].sqrt().neg()})) {
        Profile profile =
            profile(
                () -> {
                  for (int i = 0; i < 5; i++) {
                    assertArrayEquals(new double[] {-2, -2, -2}, step.run(x)[0].toDoubles());
                  }
                });
        Map<String, Long> calls = calls(profile);
        // The first run is eager, the second records, which takes no time on the device.
        assertEquals(step.isReplayed() ? 1L : 5L, calls.get("FORWARD unary neg"), profile::toTable);
        assertEquals(
            step.isReplayed() ? 4L : null, calls.get("FORWARD capturedStep"), profile::toTable);
      }
    }
  }
}
