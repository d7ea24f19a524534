package io.gradus.optim;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.gradus.core.ArgumentException;
import io.gradus.core.DType;
import io.gradus.core.Device;
import io.gradus.core.DeviceInfo;
import io.gradus.core.Shape;
import io.gradus.core.ShapeException;
import io.gradus.tensor.CapturedStep;
import io.gradus.tensor.Generator;
import io.gradus.tensor.GradMode;
import io.gradus.tensor.Precision;
import io.gradus.tensor.Scope;
import io.gradus.tensor.Tensor;
import java.nio.ByteBuffer;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;

class MuonTest {
  private static final int STEPS = 4;

  static Stream<Device> devices() {
    return Device.all().stream().filter(DeviceInfo::usable).map(DeviceInfo::device);
  }

  private static Tensor weights(Device device, DType dtype, long seed, long... dims) {
    return new Generator(seed)
        .normal(Device.reference(), dtype, Shape.of(dims), 0, 1)
        .to(device)
        .requiresGrad(true);
  }

  /** A gradient that changes with the weights and from step to step. */
  private static double slope(double w, int i, int step) {
    return Math.sin(3 * w + i) + 0.1 * step;
  }

  private static void setGrad(Tensor p, int step) {
    double[] g = p.toDoubles();
    for (int i = 0; i < g.length; i++) {
      g[i] = slope(g[i], i, step);
    }
    try (Scope s = Scope.open()) {
      p.setGrad(Tensor.of(g).to(p.dtype()).reshape(p.shape().dims()).to(p.device()));
    }
  }

  private static double[][] product(double[][] a, double[][] b) {
    double[][] out = new double[a.length][b[0].length];
    for (int i = 0; i < a.length; i++) {
      for (int j = 0; j < b[0].length; j++) {
        for (int k = 0; k < b.length; k++) {
          out[i][j] += a[i][k] * b[k][j];
        }
      }
    }
    return out;
  }

  private static double[][] transposed(double[][] a) {
    double[][] out = new double[a[0].length][a.length];
    for (int i = 0; i < a.length; i++) {
      for (int j = 0; j < a[0].length; j++) {
        out[j][i] = a[i][j];
      }
    }
    return out;
  }

  private static double[][] combined(double p, double[][] a, double q, double[][] b) {
    double[][] out = new double[a.length][a[0].length];
    for (int i = 0; i < a.length; i++) {
      for (int j = 0; j < a[0].length; j++) {
        out[i][j] = p * a[i][j] + q * b[i][j];
      }
    }
    return out;
  }

  /** The paper's loop: always from the left, whatever the shape. */
  private static double[][] naiveOrthogonal(double[][] m, int iterations) {
    double squares = 0;
    for (double[] row : m) {
      for (double x : row) {
        squares += x * x;
      }
    }
    double[][] x = combined(1 / (Math.sqrt(squares) + 1e-7), m, 0, m);
    for (int i = 0; i < iterations; i++) {
      double[][] a = product(x, transposed(x));
      double[][] b = combined(-4.7750, a, 2.0315, product(a, a));
      x = combined(3.4445, x, 1, product(b, x));
    }
    return x;
  }

  private static double[][] rows(double[] values, int rows) {
    double[][] out = new double[rows][values.length / rows];
    for (int i = 0; i < values.length; i++) {
      out[i / out[0].length][i % out[0].length] = values[i];
    }
    return out;
  }

  @ParameterizedTest
  @CsvSource({
    "true, 0, 5, 3, 7, 1",
    "true, 0.1, 5, 7, 3, 1",
    "false, 0.2, 3, 4, 4, 1",
    "true, 0.05, 5, 4, 3, 2",
    "true, 0, 5, 9, 2, 2",
    "false, 0, 5, 1, 5, 1"
  })
  void followsTheFormula(
      boolean nesterov, double decay, int iterations, int out, int in, int kernel) {
    double lr = 0.05;
    double momentum = 0.8;
    long[] dims = kernel == 1 ? new long[] {out, in} : new long[] {out, kernel, kernel, in};
    Tensor p = weights(Device.cpu(), DType.FLOAT64, 7, dims);
    Optimizer optimizer =
        new Muon(
            List.of(p),
            Muon.Options.of(lr)
                .withMomentum(momentum)
                .withNesterov(nesterov)
                .withWeightDecay(decay)
                .withIterations(iterations));
    double[] want = p.toDoubles();
    double[] velocity = new double[want.length];
    double scale = lr * Math.sqrt(Math.max(1, out / (double) (in * kernel * kernel)));
    for (int t = 1; t <= STEPS; t++) {
      setGrad(p, t);
      optimizer.step();
      double[] direction = new double[want.length];
      for (int i = 0; i < want.length; i++) {
        double g = slope(want[i], i, t);
        velocity[i] = momentum * velocity[i] + g;
        direction[i] = nesterov ? g + momentum * velocity[i] : velocity[i];
      }
      double[][] way = naiveOrthogonal(rows(direction, out), iterations);
      for (int i = 0; i < want.length; i++) {
        double step = way[i / way[0].length][i % way[0].length];
        want[i] = want[i] * (1 - lr * decay) - scale * step;
      }
      assertArrayEquals(want, p.toDoubles(), 1e-11, "step " + t);
    }
  }

  @ParameterizedTest
  @CsvSource({"4, 9", "9, 4", "6, 6"})
  void theStepIsNearlyOrthogonal(int rows, int columns) {
    Tensor m = weights(Device.cpu(), DType.FLOAT64, 3, rows, columns).detach();
    double[][] x = rows(Muon.orthogonal(m, 5).toDoubles(), rows);
    double[][] near = rows <= columns ? product(x, transposed(x)) : product(transposed(x), x);
    double distance = 0;
    for (int i = 0; i < near.length; i++) {
      for (int j = 0; j < near.length; j++) {
        distance += Math.pow(near[i][j] - (i == j ? 1 : 0), 2);
      }
    }
    // The mean of (s^2 - 1)^2 over the singular values s, which is 0.29 where all are 0.68.
    double spread = distance / near.length;
    assertTrue(spread < 0.3, () -> "spread " + spread);
    double[] same = Muon.orthogonal(m.mul(1000), 5).toDoubles();
    assertArrayEquals(Muon.orthogonal(m, 5).toDoubles(), same, 1e-6);
    assertArrayEquals(
        new double[rows * columns], Muon.orthogonal(m.mul(0), 5).toDoubles(), "no direction");
  }

  /** Matrices, a convolution's weight, and vectors that AdamW and SGD update. */
  private static final class Training {
    final List<Tensor> params;
    final Muon optimizer;
    final Scheduler scheduler;

    Training(Device device, DType dtype) {
      Tensor wide = weights(device, dtype, 1, 3, 5);
      Tensor conv = weights(device, dtype, 2, 4, 2, 2, 3);
      Tensor bias = weights(device, dtype, 3, 6);
      Tensor gain = weights(device, dtype, 4, 2);
      params = List.of(wide, conv, bias, gain);
      optimizer = new Muon(List.of(wide, conv), Muon.Options.of(0.02).withWeightDecay(0.1));
      optimizer.addAdamW(List.of(bias), AdamOptions.of(1e-2).withWeightDecay(0.1));
      optimizer.addSgd(List.of(gain), SGD.Options.of(0.1).withMomentum(0.9));
      scheduler = new Scheduler(optimizer, Schedule.cosine(20, 0));
    }

    Tensor[] step(Tensor[] in) {
      Tensor loss = params.get(0).mul(in[0]).sin().sum();
      for (Tensor p : params) {
        loss = loss.add(p.mul(in[0]).sub(0.5).square().sum());
      }
      optimizer.zeroGrad();
      loss.backward();
      optimizer.step();
      scheduler.step();
      return new Tensor[] {loss};
    }

    void run(int from, int to) {
      for (int t = from; t < to; t++) {
        try (Scope s = Scope.open()) {
          step(new Tensor[] {input(t)});
        }
      }
    }

    Tensor input(int t) {
      Tensor p = params.get(0);
      return Tensor.of(new double[] {1 + 0.1 * t}).to(p.dtype()).to(p.device());
    }

    Map<String, ByteBuffer> state() {
      Map<String, ByteBuffer> out = new LinkedHashMap<>();
      for (int i = 0; i < params.size(); i++) {
        out.put("param" + i, params.get(i).detach().toBytes());
      }
      optimizer.stateDict().forEach((name, t) -> out.put(name, t.toBytes()));
      return out;
    }
  }

  @ParameterizedTest
  @MethodSource("devices")
  void aCapturedStepIsBitEqual(Device device) {
    Training eager = new Training(device, DType.FLOAT32);
    eager.run(0, 6);
    Training captured = new Training(device, DType.FLOAT32);
    try (CapturedStep step = CapturedStep.of(device, captured::step)) {
      for (int t = 0; t < 6; t++) {
        try (Scope s = Scope.open()) {
          step.run(captured.input(t));
        }
      }
      assertEquals(!device.equals(Device.reference()), step.isReplayed());
    }
    assertEquals(eager.state(), captured.state());
  }

  @Test
  void aResumedRunContinuesBitForBit() {
    Training straight = new Training(Device.cpu(), DType.FLOAT32);
    straight.run(0, 3);
    Map<String, Tensor> saved = new LinkedHashMap<>();
    straight.optimizer.stateDict().forEach((name, t) -> saved.put(name, t.copy()));
    assertTrue(saved.containsKey("group0.param1.momentum_buffer"), () -> saved.keySet() + "");
    assertTrue(saved.containsKey("group1.param0.exp_avg"), () -> saved.keySet() + "");
    Training resumed = new Training(Device.cpu(), DType.FLOAT32);
    resumed.run(0, 1);
    try (GradMode.Guard g = GradMode.noGrad()) {
      for (int i = 0; i < straight.params.size(); i++) {
        resumed.params.get(i).copyFrom(straight.params.get(i));
      }
    }
    resumed.optimizer.loadStateDict(saved);
    resumed.scheduler.loadStateDict(straight.scheduler.stateDict());
    straight.run(3, 6);
    resumed.run(3, 6);
    assertEquals(straight.state(), resumed.state());
  }

  @Test
  void vectorsAreUpdatedAsByTheirOwnOptimizers() {
    Training mixed = new Training(Device.cpu(), DType.FLOAT64);
    Tensor bias = weights(Device.cpu(), DType.FLOAT64, 3, 6);
    Tensor gain = weights(Device.cpu(), DType.FLOAT64, 4, 2);
    Optimizer adamW = new AdamW(List.of(bias), AdamOptions.of(1e-2).withWeightDecay(0.1));
    Optimizer sgd = new SGD(List.of(gain), SGD.Options.of(0.1).withMomentum(0.9));
    for (int t = 0; t < STEPS; t++) {
      for (Tensor p : mixed.params) {
        setGrad(p, t);
      }
      setGrad(bias, t);
      setGrad(gain, t);
      mixed.optimizer.step();
      adamW.step();
      sgd.step();
    }
    assertArrayEquals(bias.toDoubles(), mixed.params.get(2).toDoubles());
    assertArrayEquals(gain.toDoubles(), mixed.params.get(3).toDoubles());
  }

  /** In a captured step the device alone decides that a step is left out. */
  @Test
  void aStepWhoseGradientsOverflowIsLeftOut() {
    Tensor p = weights(Device.cpu(), DType.FLOAT32, 6, 3, 4);
    Muon optimizer = new Muon(List.of(p), 0.1);
    LossScaler scaler = new LossScaler(Device.cpu());
    try (CapturedStep step =
        CapturedStep.of(
            Device.cpu(),
            in -> {
              Tensor loss = p.mul(in[0]).square().sum();
              optimizer.zeroGrad();
              scaler.scale(loss).backward();
              scaler.step(optimizer);
              scaler.update();
              return new Tensor[] {loss};
            })) {
      for (int i = 0; i < 3; i++) {
        step.run(Tensor.scalar(1));
      }
      Map<String, ByteBuffer> before = state(p, optimizer);
      step.run(Tensor.scalar(Float.POSITIVE_INFINITY));
      assertEquals(before, state(p, optimizer));
      step.run(Tensor.scalar(1));
      assertFalse(before.equals(state(p, optimizer)), "the next step counts again");
    }
  }

  private static Map<String, ByteBuffer> state(Tensor p, Optimizer optimizer) {
    Map<String, ByteBuffer> out = new LinkedHashMap<>();
    out.put("param", p.detach().toBytes());
    optimizer.stateDict().forEach((name, t) -> out.put(name, t.toBytes()));
    return out;
  }

  @Test
  void productsMayBeRounded() {
    Tensor exact = weights(Device.cpu(), DType.FLOAT32, 5, 6, 8);
    Tensor rounded = weights(Device.cpu(), DType.FLOAT32, 5, 6, 8);
    Optimizer a = new Muon(List.of(exact), 0.1);
    Optimizer b = new Muon(List.of(rounded), Muon.Options.of(0.1).withPrecision(Precision.BF16));
    setGrad(exact, 0);
    setGrad(rounded, 0);
    a.step();
    b.step();
    assertArrayEquals(exact.toDoubles(), rounded.toDoubles(), 0.1 * 0.1);
    assertFalse(Arrays.equals(exact.toFloats(), rounded.toFloats()), "nothing was rounded");
    Tensor half = weights(Device.cpu(), DType.FLOAT32, 5, 6, 8).detach().to(DType.BFLOAT16);
    Tensor p = half.detach().requiresGrad(true);
    Optimizer c = new Muon(List.of(p), 0.1);
    setGrad(p, 0);
    c.step();
    assertArrayEquals(exact.toDoubles(), p.toDoubles(), 0.03);
  }

  @Test
  void misuseIsNamed() {
    Tensor vector = weights(Device.cpu(), DType.FLOAT32, 1, 4);
    ShapeException e = assertThrows(ShapeException.class, () -> new Muon(List.of(vector), 0.1));
    assertTrue(e.getMessage().contains("addAdamW or addSgd"), e.getMessage());
    assertThrows(ArgumentException.class, () -> Muon.Options.of(0.1).withMomentum(1));
    assertThrows(ArgumentException.class, () -> Muon.Options.of(0.1).withWeightDecay(-1));
    assertThrows(ArgumentException.class, () -> Muon.Options.of(0.1).withIterations(0));
    assertThrows(ArgumentException.class, () -> Muon.Options.of(-1));
  }
}
