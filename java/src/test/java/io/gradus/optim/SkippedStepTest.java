package io.gradus.optim;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;

import io.gradus.core.DType;
import io.gradus.core.Device;
import io.gradus.core.DeviceInfo;
import io.gradus.core.Shape;
import io.gradus.tensor.GradMode;
import io.gradus.tensor.Scope;
import io.gradus.tensor.Tensor;
import io.gradus.testing.TestDevices;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Function;
import java.util.stream.Stream;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** A step whose gradients overflow is one that never was, for every optimizer on every device. */
class SkippedStepTest {
  private static final DType[] TYPES = {DType.FLOAT32, DType.FLOAT64, DType.BFLOAT16};

  private enum Kind {
    SGD(params -> new SGD(params, 0.1)),
    MOMENTUM(params -> new SGD(params, new SGD.Options(0.1, 0.9, 0.25, 0.01, false))),
    ADAM(params -> new Adam(params, AdamOptions.of(0.1).withWeightDecay(0.1))),
    ADAM_W(params -> new AdamW(params, 0.1)),
    RMS_PROP(
        params ->
            new RMSprop(params, RMSprop.Options.of(0.1).withCentered(true).withMomentum(0.5))),
    PLAIN_RMS_PROP(params -> new RMSprop(params, 0.1)),
    ADAGRAD(params -> new Adagrad(params, Adagrad.Options.of(0.1).withLrDecay(0.5))),
    LION(params -> new Lion(params, Lion.Options.of(0.1).withWeightDecay(0.1))),
    MUON(params -> new Muon(params, Muon.Options.of(0.1).withWeightDecay(0.1))),
    CUSTOM(Custom::new);

    private final Function<List<Tensor>, Optimizer> maker;

    Kind(Function<List<Tensor>, Optimizer> maker) {
      this.maker = maker;
    }

    Optimizer of(List<Tensor> params) {
      return maker.apply(params);
    }
  }

  /** An optimizer that knows nothing of flags, and whose steps depend on their number. */
  private static final class Custom extends Optimizer {
    Custom(List<Tensor> params) {
      addGroup(
          params,
          0.1,
          (param, grad, lr, step, state) -> {
            state[0].addInPlace(grad).addInPlace(step.to(param.dtype()).reciprocal());
            param.subInPlace(state[0].mul(lr.to(param.dtype())));
          },
          List.of("sum"));
    }
  }

  static Stream<Device> devices() {
    return Stream.concat(
        Stream.of(TestDevices.primitives()),
        Device.all().stream().filter(DeviceInfo::usable).map(DeviceInfo::device));
  }

  static Stream<Object[]> kindsAndDevices() {
    return devices().flatMap(d -> Stream.of(Kind.values()).map(k -> new Object[] {k, d}));
  }

  private static Tensor param(Device device, DType type, int rows, int seed) {
    double[] values = new double[3 * rows];
    for (int i = 0; i < values.length; i++) {
      values[i] = Math.sin(seed + i);
    }
    try (Scope s = Scope.open()) {
      Tensor p = Tensor.of(values).reshape(rows, 3).to(device).to(type).detach();
      return Scope.escape(p.copy()).requiresGrad(true);
    }
  }

  private static void setGrad(Tensor p, double value) {
    try (Scope s = Scope.open();
        GradMode.Guard g = GradMode.noGrad()) {
      Tensor grad = p.detach().mul(value);
      if (!Double.isFinite(value)) {
        grad = grad.copy().fill(1);
        grad.select(0, 0).fill(value);
      }
      p.setGrad(grad);
    }
  }

  private static Map<String, ByteBuffer> state(List<Tensor> params, Optimizer optimizer) {
    Map<String, ByteBuffer> out = new LinkedHashMap<>();
    for (int i = 0; i < params.size(); i++) {
      out.put("param" + i, params.get(i).detach().toBytes());
    }
    optimizer.stateDict().forEach((name, t) -> out.put(name, t.toBytes()));
    return out;
  }

  /** The state after steps with these factors of the parameters as their gradients. */
  private static Map<String, ByteBuffer> run(
      Kind kind, Device device, DType type, List<Map<String, ByteBuffer>> all, double... factors) {
    List<Tensor> params = List.of(param(device, type, 3, 1), param(device, type, 2, 5));
    Optimizer optimizer = kind.of(params);
    LossScaler scaler = new LossScaler(device, LossScaler.Options.DEFAULT.withInitial(1));
    for (double factor : factors) {
      double scaled = factor * scaler.scale();
      params.forEach(p -> setGrad(p, scaled));
      scaler.step(optimizer);
      assertEquals(!Double.isFinite(factor), scaler.overflowed());
      scaler.update();
      all.add(state(params, optimizer));
    }
    return state(params, optimizer);
  }

  @ParameterizedTest
  @MethodSource("kindsAndDevices")
  void itNeverWas(Kind kind, Device device) {
    for (DType type : TYPES) {
      List<Map<String, ByteBuffer>> seen = new ArrayList<>();
      double inf = Double.POSITIVE_INFINITY;
      Map<String, ByteBuffer> got = run(kind, device, type, seen, inf, 0.5, Double.NaN, 0.25, -inf);
      Map<String, ByteBuffer> want = run(kind, device, type, new ArrayList<>(), 0.5, 0.25);
      assertEquals(want, got, type::toString);
      assertEquals(seen.get(1), seen.get(2), type::toString);
      assertFalse(seen.get(0).equals(seen.get(1)), type::toString);
    }
  }

  /**
   * Where parameters have gradients in turns and a step is left out, the host does not know their
   * numbers of steps: equal numbers of offered steps must not make one run of them.
   */
  @ParameterizedTest
  @MethodSource("devices")
  void eachParameterHasItsOwnNumberOfSteps(Device device) {
    List<List<Tensor>> params = new ArrayList<>();
    for (boolean withScaler : new boolean[] {true, false}) {
      Tensor a = param(device, DType.FLOAT32, 1, 1);
      Tensor b = param(device, DType.FLOAT32, 1, 2);
      Optimizer optimizer = new AdamW(List.of(a, b), 0.1);
      LossScaler scaler = new LossScaler(device);
      if (withScaler) {
        setGrad(a, Double.NaN);
        scaler.step(optimizer);
        scaler.update();
        a.zeroGrad();
      }
      setGrad(b, 1);
      optimizer.step();
      setGrad(a, 1);
      setGrad(b, 1);
      optimizer.step();
      assertEquals(1, optimizer.stateDict().get("group0.step").toLongs()[0]);
      assertEquals(2, optimizer.stateDict().get("group0.step").toLongs()[1]);
      params.add(List.of(a, b));
    }
    for (int i = 0; i < 2; i++) {
      assertEquals(
          params.get(1).get(i).detach().toBytes(), params.get(0).get(i).detach().toBytes());
    }
  }

  @ParameterizedTest
  @MethodSource("devices")
  void aHalfParameterThatSomebodySetStays(Device device) {
    Tensor p = param(device, DType.BFLOAT16, 2, 1);
    Optimizer optimizer = new AdamW(List.of(p), 0.1);
    LossScaler scaler = new LossScaler(device);
    p.detach().fill(3);
    Map<String, ByteBuffer> before = state(List.of(p), optimizer);
    setGrad(p, Double.NaN);
    scaler.step(optimizer);
    scaler.update();
    assertEquals(before, state(List.of(p), optimizer));
    setGrad(p, 1);
    scaler.step(optimizer);
    assertEquals(2.9, p.detach().to(DType.FLOAT64).max().item(), 0.02);
  }

  @ParameterizedTest
  @MethodSource("devices")
  void theAverageStaysToo(Device device) {
    Tensor p = param(device, DType.FLOAT32, 2, 1);
    Optimizer optimizer = new SGD(List.of(p), 0.1);
    LossScaler scaler = new LossScaler(device);
    ExponentialMovingAverage average = new ExponentialMovingAverage(List.of(p), 0.75);
    p.detach().fill(8);
    ByteBuffer before = average.averages().get(0).toBytes();
    setGrad(p, Double.NaN);
    scaler.step(optimizer);
    average.update(scaler);
    scaler.update();
    assertEquals(before, average.averages().get(0).toBytes());
    setGrad(p, 0);
    scaler.step(optimizer);
    average.update(scaler);
    ByteBuffer taken = average.averages().get(0).toBytes();
    assertFalse(before.equals(taken));
    ExponentialMovingAverage plain =
        new ExponentialMovingAverage(List.of(param(device, DType.FLOAT32, 2, 1)), 0.75);
    Tensor two = Tensor.full(device, DType.FLOAT32, Shape.SCALAR, 2);
    plain.averages().get(0).mulInPlace(0.75).addInPlace(two);
    assertEquals(plain.averages().get(0).toBytes(), taken);
  }
}
