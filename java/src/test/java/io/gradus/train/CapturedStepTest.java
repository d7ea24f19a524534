package io.gradus.train;

import static io.gradus.train.StoppedRuns.assertSameState;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.sun.management.ThreadMXBean;
import io.gradus.backend.Allocator;
import io.gradus.backend.Backends;
import io.gradus.backend.LeakDetector;
import io.gradus.core.ArgumentException;
import io.gradus.core.CaptureException;
import io.gradus.core.DType;
import io.gradus.core.DTypeException;
import io.gradus.core.Device;
import io.gradus.core.DeviceInfo;
import io.gradus.core.Shape;
import io.gradus.core.ShapeException;
import io.gradus.nn.BatchNorm2d;
import io.gradus.nn.Conv2d;
import io.gradus.nn.Dropout;
import io.gradus.nn.Flatten;
import io.gradus.nn.GELU;
import io.gradus.nn.Linear;
import io.gradus.nn.MaxPool2d;
import io.gradus.nn.Module;
import io.gradus.nn.ReLU;
import io.gradus.nn.Sequential;
import io.gradus.optim.AdamW;
import io.gradus.optim.Clip;
import io.gradus.optim.ExponentialMovingAverage;
import io.gradus.optim.LossScaler;
import io.gradus.optim.Optimizer;
import io.gradus.optim.SGD;
import io.gradus.optim.Schedule;
import io.gradus.optim.Scheduler;
import io.gradus.tensor.CapturedStep;
import io.gradus.tensor.Conv2dOptions;
import io.gradus.tensor.Generator;
import io.gradus.tensor.GradientCheckpoint;
import io.gradus.tensor.Loss;
import io.gradus.tensor.Precision;
import io.gradus.tensor.Readback;
import io.gradus.tensor.Scope;
import io.gradus.tensor.Tensor;
import java.lang.management.ManagementFactory;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.atomic.AtomicReference;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.MethodSource;

/** A captured step does what the eager one does, bit for bit, on every device. */
class CapturedStepTest {
  private static final int STEPS = 200;
  private static final int BATCH = 6;
  private static final int CLASSES = 3;

  private enum Network {
    MLP(Shape.of(BATCH, 10)) {
      @Override
      Module create() {
        return new Sequential(
            new Linear(10, 16), new GELU(), new Dropout(0.3), new Linear(16, CLASSES));
      }
    },
    CNN(Shape.of(BATCH, 4, 4, 2)) {
      @Override
      Module create() {
        return new Sequential(
            new Conv2d(2, 4, 3, 3, Conv2dOptions.of(1, 1), false),
            new BatchNorm2d(4),
            new ReLU(),
            new MaxPool2d(2),
            new Dropout(0.25),
            new Flatten(),
            new Linear(16, CLASSES));
      }
    };

    private final Shape input;

    Network(Shape input) {
      this.input = input;
    }

    abstract Module create();
  }

  /** Everything that a step changes, and the step. */
  private static final class Training implements CapturedStep.Step {
    final Device device;
    final Shape input;
    final Module model;
    final Optimizer optimizer;
    final Scheduler scheduler;
    final ExponentialMovingAverage average;

    Training(Network network, Device device) {
      this.device = device;
      this.input = network.input;
      Generator.seed(3);
      model = network.create();
      model.to(device);
      optimizer = new AdamW(model.parameters(), 1e-2);
      scheduler = new Scheduler(optimizer, Schedule.cosine(STEPS, 1e-4).warmUp(20, 0.1));
      average = new ExponentialMovingAverage(model.parameters(), 0.9);
    }

    @Override
    public Tensor[] run(Tensor[] in) {
      Tensor loss = Loss.crossEntropy(model.call(in[0]), in[1]);
      optimizer.zeroGrad();
      loss.backward();
      Clip.byNorm(model.parameters(), 0.5);
      optimizer.step();
      scheduler.step();
      average.update();
      return new Tensor[] {loss};
    }

    Tensor x(int step) {
      Generator data = new Generator(1000 + step);
      return data.normal(Device.reference(), DType.FLOAT32, input, 0, 1).to(device);
    }

    Tensor y(int step) {
      Generator data = new Generator(2000 + step);
      return data.integers(Device.reference(), DType.INT64, Shape.of(BATCH), 0, CLASSES).to(device);
    }

    Map<String, Object> state() {
      Map<String, Object> out = new LinkedHashMap<>();
      model.stateDict().forEach((name, t) -> out.put("model " + name, t.detach().toBytes()));
      optimizer.stateDict().forEach((name, t) -> out.put("optimizer " + name, t.toBytes()));
      average.stateDict().forEach((name, t) -> out.put(name, t.toBytes()));
      out.put("rate", optimizer.lr());
      out.put("optimizer", optimizer.toString());
      out.put("schedule", scheduler.steps());
      out.put("generator", Generator.current().offset());
      return out;
    }
  }

  static Stream<Device> devices() {
    return Device.all().stream().filter(DeviceInfo::usable).map(DeviceInfo::device);
  }

  /** Devices that record. */
  static Stream<Device> recording() {
    return devices().filter(d -> !d.equals(Device.reference()));
  }

  static Stream<Object[]> networksAndDevices() {
    return devices().flatMap(d -> Stream.of(Network.values()).map(n -> new Object[] {n, d}));
  }

  private static double[] eager(Training training, int from, int to) {
    double[] losses = new double[to - from];
    for (int i = from; i < to; i++) {
      try (Scope s = Scope.open()) {
        losses[i - from] = training.run(new Tensor[] {training.x(i), training.y(i)})[0].item();
      }
    }
    return losses;
  }

  private static double[] captured(CapturedStep step, Training training, int from, int to) {
    double[] losses = new double[to - from];
    for (int i = from; i < to; i++) {
      try (Scope s = Scope.open()) {
        losses[i - from] = step.run(training.x(i), training.y(i))[0].item();
      }
    }
    return losses;
  }

  @ParameterizedTest
  @MethodSource("networksAndDevices")
  void bitEqualToEagerOver200Steps(Network network, Device device) {
    Training eager = new Training(network, device);
    double[] expected = eager(eager, 0, STEPS);
    Map<String, Object> state = eager.state();
    Training training = new Training(network, device);
    try (CapturedStep step = CapturedStep.of(device, training)) {
      assertArrayEquals(expected, captured(step, training, 0, STEPS));
      assertEquals(!device.equals(Device.reference()), step.isReplayed());
      step.check();
    }
    assertSameState(state, training.state());
    assertTrue(expected[STEPS - 1] != expected[STEPS - 2]);
  }

  @ParameterizedTest
  @MethodSource("recording")
  void eagerStepsInBetweenAndEvaluationChangeNothing(Device device) {
    Training eager = new Training(Network.CNN, device);
    double[] expected = eager(eager, 0, 30);
    Map<String, Object> state = eager.state();
    Training training = new Training(Network.CNN, device);
    double[] losses = new double[30];
    try (CapturedStep step = CapturedStep.of(device, training)) {
      for (int from = 0; from < 30; from += 10) {
        System.arraycopy(captured(step, training, from, from + 7), 0, losses, from, 7);
        training.model.eval();
        try (Scope s = Scope.open()) {
          training.model.call(training.x(5)).toFloats();
        }
        training.model.train();
        System.arraycopy(eager(training, from + 7, from + 10), 0, losses, from + 7, 3);
      }
    }
    assertArrayEquals(expected, losses);
    assertSameState(state, training.state());
  }

  @ParameterizedTest
  @MethodSource("devices")
  void severalStepsInOneRun(Device device) {
    int repeats = 5;
    Training eager = new Training(Network.CNN, device);
    double[] expected = eager(eager, 0, 40);
    Map<String, Object> state = eager.state();
    Training training = new Training(Network.CNN, device);
    double[] losses = new double[40];
    try (CapturedStep step = CapturedStep.of(device, repeats, training)) {
      for (int from = 0; from < 40; from += repeats) {
        try (Scope s = Scope.open()) {
          Tensor[] x = new Tensor[repeats];
          Tensor[] y = new Tensor[repeats];
          for (int i = 0; i < repeats; i++) {
            x[i] = training.x(from + i);
            y[i] = training.y(from + i);
          }
          Tensor loss = step.run(Tensor.stack(0, x), Tensor.stack(0, y))[0];
          assertEquals(Shape.of(repeats), loss.shape());
          System.arraycopy(loss.toDoubles(), 0, losses, from, repeats);
        }
      }
    }
    assertArrayEquals(expected, losses);
    assertSameState(state, training.state());
  }

  @ParameterizedTest
  @MethodSource("recording")
  void schedulesGoOnBeyondTheirTable(Device device) {
    Tensor[] weights = new Tensor[2];
    for (int run = 0; run < 2; run++) {
      Tensor w = Tensor.full(device, DType.FLOAT32, Shape.of(3), 1).requiresGrad(true);
      Optimizer optimizer = new SGD(List.of(w), SGD.Options.of(0.1).withMomentum(0.5));
      Scheduler scheduler = new Scheduler(optimizer, Schedule.exponential(0.999));
      CapturedStep.Step body =
          in -> {
            optimizer.zeroGrad();
            w.mul(w).sum().backward();
            optimizer.step();
            scheduler.step();
            return new Tensor[0];
          };
      try (CapturedStep step = CapturedStep.of(device, body)) {
        for (int i = 0; i < 2100; i++) {
          if (run == 0) {
            step.run();
          } else {
            try (Scope s = Scope.open()) {
              body.run(new Tensor[0]);
            }
          }
          if (i == 700) {
            scheduler.step();
          }
        }
      }
      weights[run] = w;
    }
    assertArrayEquals(weights[1].toFloats(), weights[0].toFloats());
  }

  @ParameterizedTest
  @MethodSource("recording")
  void recomputedSegmentsDrawTheSameMask(Device device) {
    float[][] weights = new float[2][];
    for (int run = 0; run < 2; run++) {
      Generator.seed(11);
      Tensor w = Tensor.randn(8, 8).to(device).detach().requiresGrad(true);
      Optimizer optimizer = new SGD(List.of(w), 0.1);
      CapturedStep.Step body =
          in -> {
            Tensor hidden = io.gradus.tensor.Dropout.dropout(in[0], 0.3, true);
            Tensor y =
                GradientCheckpoint.apply(
                    x -> io.gradus.tensor.Dropout.dropout(x[0].matmul(x[1]), 0.5, true).tanh(),
                    hidden,
                    w);
            optimizer.zeroGrad();
            y.mul(y).sum().backward();
            optimizer.step();
            return new Tensor[0];
          };
      Tensor x = Tensor.full(device, DType.FLOAT32, Shape.of(4, 8), 1);
      try (CapturedStep step = CapturedStep.of(device, body)) {
        for (int i = 0; i < 12; i++) {
          if (run == 0) {
            step.run(x);
          } else {
            try (Scope s = Scope.open()) {
              body.run(new Tensor[] {x});
            }
          }
        }
      }
      weights[run] = w.toFloats();
    }
    assertArrayEquals(weights[1], weights[0]);
  }

  @ParameterizedTest
  @MethodSource("recording")
  void ratesSetBetweenRunsCount(Device device) {
    Tensor w = Tensor.full(device, DType.FLOAT32, Shape.SCALAR, 1).requiresGrad(true);
    Optimizer optimizer = new SGD(List.of(w), 0.5);
    try (CapturedStep step =
        CapturedStep.of(
            device,
            in -> {
              optimizer.zeroGrad();
              w.mul(2).backward();
              optimizer.step();
              return new Tensor[0];
            })) {
      step.run();
      step.run();
      step.run();
      assertEquals(-2, w.item());
      optimizer.setLr(0.25);
      step.run();
      assertEquals(-2.5, w.item());
    }
  }

  @ParameterizedTest
  @MethodSource("recording")
  void theLossScaleAndStepsLeftOut(Device device) {
    List<Map<String, Object>> states = new ArrayList<>();
    for (boolean isCaptured : new boolean[] {false, true}) {
      Training training = new Training(Network.MLP, device);
      LossScaler scaler =
          new LossScaler(device, LossScaler.Options.DEFAULT.withInitial(0x1p21).withInterval(3));
      CapturedStep.Step body =
          in -> {
            Tensor loss;
            try (Precision.Guard g = Precision.FP16.use()) {
              loss = Loss.crossEntropy(training.model.call(in[0]), in[1]);
              training.optimizer.zeroGrad();
              scaler.scale(loss).backward();
            }
            scaler.unscale(training.optimizer);
            Clip.byNorm(training.model.parameters(), 1);
            scaler.step(training.optimizer);
            training.average.update(scaler);
            scaler.update();
            return new Tensor[0];
          };
      try (CapturedStep step = CapturedStep.of(device, body)) {
        for (int i = 0; i < 40; i++) {
          try (Scope s = Scope.open()) {
            Tensor x = training.x(i);
            Tensor y = training.y(i);
            if (isCaptured) {
              step.run(x, y);
            } else {
              body.run(new Tensor[] {x, y});
            }
          }
        }
        assertEquals(isCaptured, step.isReplayed());
      }
      Map<String, Object> state = training.state();
      scaler.stateDict().forEach((name, t) -> state.put("scaler " + name, t.toBytes()));
      states.add(state);
      long taken = training.optimizer.stateDict().get("group0.step").toLongs()[0];
      assertTrue(taken > 20 && taken < 40, () -> taken + " steps");
    }
    assertSameState(states.get(0), states.get(1));
  }

  /** What a step cannot contain, with the name that its message begins with. */
  private enum Mistake {
    ITEM("[item]") {
      @Override
      void make(Tensor x) {
        x.sum().item();
      }
    },
    VALUES("[toFloats]") {
      @Override
      void make(Tensor x) {
        x.toFloats();
      }
    },
    DATA("[of]") {
      @Override
      void make(Tensor x) {
        x.add(Tensor.of(new float[] {1}).to(x.device()));
      }
    },
    TRANSFER("[to]") {
      @Override
      void make(Tensor x) {
        x.to(Device.reference().equals(x.device()) ? Device.cpu() : Device.reference());
      }
    },
    WAIT("[synchronize]") {
      @Override
      void make(Tensor x) {
        Backends.of(x.device()).synchronize();
      }
    },
    UPLOAD("[upload]") {
      @Override
      void make(Tensor x) {
        Backends.of(x.device()).uploadAhead(DType.FLOAT32, new float[1], 0, 1);
      }
    },
    SEED("[generator]") {
      @Override
      void make(Tensor x) {
        Generator.seed(1);
      }
    },
    RATE("[setLr]") {
      @Override
      void make(Tensor x) {
        Tensor w = Tensor.full(x.device(), DType.FLOAT32, Shape.SCALAR, 1);
        new SGD(List.of(w), 0.1).setLr(0.2);
      }
    },
    NESTED("[capturedStep]") {
      @Override
      void make(Tensor x) {
        try (CapturedStep inner = CapturedStep.of(x.device(), in -> in)) {
          inner.run(x);
        }
      }
    };

    private final String name;

    Mistake(String name) {
      this.name = name;
    }

    abstract void make(Tensor x);
  }

  @ParameterizedTest
  @EnumSource(Mistake.class)
  void whatCannotBeCapturedIsNamedAndLeavesNoTrace(Mistake mistake) {
    Device device = Device.of("emulated", 0);
    Training training = new Training(Network.MLP, device);
    boolean[] wrong = {false};
    try (CapturedStep step =
        CapturedStep.of(
            device,
            in -> {
              Tensor[] out = training.run(in);
              if (wrong[0]) {
                mistake.make(in[0]);
              }
              return out;
            })) {
      captured(step, training, 0, 1);
      Map<String, Object> before = training.state();
      wrong[0] = true;
      CaptureException e =
          assertThrows(CaptureException.class, () -> captured(step, training, 1, 2));
      assertTrue(e.getMessage().startsWith(mistake.name), e.getMessage());
      assertSameState(before, training.state());
      wrong[0] = false;
      double[] losses = captured(step, training, 1, 5);
      assertTrue(step.isReplayed());
      Training eager = new Training(Network.MLP, device);
      eager(eager, 0, 1);
      assertArrayEquals(eager(eager, 1, 5), losses);
    }
  }

  @ParameterizedTest
  @MethodSource("recording")
  void labelsOutOfRangeAreFoundOut(Device device) {
    Training training = new Training(Network.MLP, device);
    try (CapturedStep step = CapturedStep.of(device, training)) {
      captured(step, training, 0, 4);
      step.check();
      Tensor wrong = Tensor.of(new long[] {0, 1, CLASSES, 2, -1, 0}).to(device);
      // Found out by this run, or by the next.
      ArgumentException e =
          assertThrows(
              ArgumentException.class,
              () -> {
                step.run(training.x(4), wrong);
                step.check();
              });
      assertTrue(e.getMessage().startsWith("[crossEntropy] 2 indices"), e.getMessage());
    }
  }

  @ParameterizedTest
  @MethodSource("recording")
  void inputsOfOtherShapesAndTypesAreRefused(Device device) {
    Training training = new Training(Network.MLP, device);
    try (CapturedStep step = CapturedStep.of(device, training)) {
      captured(step, training, 0, 3);
      Tensor y = training.y(3);
      assertThrows(ArgumentException.class, () -> step.run(y));
      ShapeException shape =
          assertThrows(ShapeException.class, () -> step.run(training.x(3).slice(0, 0, 2), y));
      assertTrue(shape.getMessage().contains("input 0 has shape [2, 10]"), shape.getMessage());
      assertThrows(DTypeException.class, () -> step.run(training.x(3), y.to(DType.INT32)));
    }
    CapturedStep closed = CapturedStep.of(device, training);
    closed.close();
    closed.close();
    assertThrows(IllegalStateException.class, () -> closed.run(training.x(0), training.y(0)));
  }

  @ParameterizedTest
  @MethodSource("recording")
  void closingFreesEverything(Device device) {
    Allocator allocator = Backends.of(device).allocator();
    Training training = new Training(Network.CNN, device);
    eager(training, 0, 2);
    try (Scope s = Scope.open()) {
      Tensor x = training.x(0);
      Tensor y = training.y(0);
      long before = allocator.liveCount();
      try (CapturedStep step = CapturedStep.of(device, training)) {
        Tensor[] out = step.run(x, y);
        step.run(x, y);
        assertTrue(allocator.liveCount() > before);
        assertEquals(1, out.length);
        assertSame(step.run(x, y), step.run(x, y));
      }
      assertEquals(before, allocator.liveCount());
    }
  }

  @ParameterizedTest
  @MethodSource("recording")
  void memoryThatOthersCloseStaysUntilTheStepIsClosed(Device device) {
    Tensor constant = Tensor.full(device, DType.FLOAT32, Shape.of(100), 3);
    Tensor x = Tensor.full(device, DType.FLOAT32, Shape.of(100), 1);
    try (CapturedStep step =
        CapturedStep.of(device, in -> new Tensor[] {in[0].mul(constant).sum()})) {
      step.run(x);
      step.run(x);
      constant.close();
      try (Scope s = Scope.open()) {
        for (int i = 0; i < 20; i++) {
          Tensor.full(device, DType.FLOAT32, Shape.of(100), i);
        }
      }
      assertEquals(300, step.run(x)[0].item());
    }
  }

  @ParameterizedTest
  @MethodSource("recording")
  void otherThreadsComputeMeanwhile(Device device) throws InterruptedException {
    Tensor x = Tensor.full(device, DType.FLOAT32, Shape.of(64), 1);
    AtomicReference<Throwable> failure = new AtomicReference<>();
    try (CapturedStep step =
        CapturedStep.of(
            device,
            in -> {
              Tensor y = in[0].add(1);
              Thread other =
                  new Thread(
                      () -> {
                        try (Scope s = Scope.open()) {
                          assertEquals(128, x.add(x).sum().item());
                        } catch (Throwable e) {
                          failure.set(e);
                        }
                      });
              other.start();
              join(other);
              return new Tensor[] {y.sum()};
            })) {
      step.run(x);
      assertEquals(128, step.run(x)[0].item());
      assertEquals(128, step.run(x)[0].item());
    }
    assertEquals(null, failure.get());
  }

  private static void join(Thread thread) {
    try {
      thread.join();
    } catch (InterruptedException e) {
      throw new IllegalStateException(e);
    }
  }

  @ParameterizedTest
  @MethodSource("recording")
  void aReplayMakesNoGarbage(Device device) {
    LeakDetector.Level level = LeakDetector.level();
    LeakDetector.setLevel(LeakDetector.Level.OFF);
    Training training = new Training(Network.CNN, device);
    try (Scope s = Scope.open();
        CapturedStep step = CapturedStep.of(device, training);
        Readback loss = new Readback(device, DType.FLOAT32, Shape.SCALAR)) {
      Tensor x = training.x(0);
      Tensor y = training.y(0);
      ThreadMXBean threads = (ThreadMXBean) ManagementFactory.getThreadMXBean();
      long self = Thread.currentThread().getId();
      double sum = 0;
      for (int i = 0; i < 20; i++) {
        loss.start(step.run(x, y)[0]);
        sum += loss.get();
      }
      long before = threads.getThreadAllocatedBytes(self);
      for (int i = 0; i < 100; i++) {
        loss.start(step.run(x, y)[0]);
        sum += loss.get();
      }
      long bytes = threads.getThreadAllocatedBytes(self) - before;
      assertTrue(Double.isFinite(sum));
      // An eager step makes tens of kB; what is left is the copy of the inputs and the loss.
      assertTrue(bytes <= 100 * 1024, () -> bytes / 100 + " bytes a step");
    } finally {
      LeakDetector.setLevel(level);
    }
  }

  @Test
  void theLossIsReadWithoutWaitingForLaterWork() {
    Device device = Device.of("emulated", 0);
    try (Readback values = new Readback(device, DType.FLOAT64, Shape.of(2))) {
      assertThrows(IllegalStateException.class, () -> values.get(0));
      Tensor x = Tensor.of(new double[] {3, 4}).to(device);
      values.start(x);
      x.fill(7);
      assertEquals(3, values.get(0));
      assertEquals(4, values.get(1));
      assertTrue(values.isDone());
      assertThrows(ShapeException.class, values::get);
      assertThrows(ArgumentException.class, () -> values.start(x.slice(0, 0, 1)));
    }
    assertThrows(ArgumentException.class, () -> new Readback(device, DType.BFLOAT16, Shape.SCALAR));
    try (CapturedStep step = CapturedStep.of(Device.reference(), in -> in)) {
      Tensor x = Tensor.full(Device.reference(), DType.FLOAT32, Shape.of(2), 1);
      step.run(x);
      step.run(x);
      assertFalse(step.isReplayed());
    }
  }
}
