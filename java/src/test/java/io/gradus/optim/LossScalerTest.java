package io.gradus.optim;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.gradus.backend.Allocator;
import io.gradus.backend.Backends;
import io.gradus.core.ArgumentException;
import io.gradus.core.DType;
import io.gradus.core.Device;
import io.gradus.core.Shape;
import io.gradus.tensor.Scope;
import io.gradus.tensor.Tensor;
import io.gradus.tensor.Updates;
import io.gradus.testing.TestDevices;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;

class LossScalerTest {
  private static final LossScaler.Options SHORT =
      LossScaler.Options.DEFAULT.withInitial(8).withInterval(3);

  private static Tensor param(double... values) {
    return Tensor.of(values).to(DType.FLOAT32).detach().requiresGrad(true);
  }

  private static LossScaler scaler(LossScaler.Options options) {
    return new LossScaler(Device.cpu(), options);
  }

  private static void setGrad(Tensor p, double... values) {
    try (Scope s = Scope.open()) {
      p.setGrad(Tensor.of(values).to(p.dtype()));
    }
  }

  private static float[] grad(Tensor p) {
    Tensor grad = p.grad();
    assertNotNull(grad);
    return grad.toFloats();
  }

  private static Map<String, byte[]> contents(Map<String, Tensor> state) {
    Map<String, byte[]> out = new LinkedHashMap<>();
    state.forEach(
        (name, t) -> {
          byte[] bytes = new byte[(int) (t.numel() * t.dtype().bytes())];
          t.toBytes().get(bytes);
          out.put(name, bytes);
        });
    return out;
  }

  private static void assertSame(Map<String, byte[]> want, Map<String, byte[]> got) {
    assertEquals(want.keySet(), got.keySet());
    want.forEach((name, bytes) -> assertArrayEquals(bytes, got.get(name), name));
  }

  @Test
  void aScaledStepIsTheStep() {
    Tensor plain = param(0.5, -1.25, 2);
    Tensor scaled = param(0.5, -1.25, 2);
    Optimizer direct = new AdamW(List.of(plain), 0.1);
    Optimizer optimizer = new AdamW(List.of(scaled), 0.1);
    LossScaler scaler = scaler(SHORT);
    for (int i = 0; i < 5; i++) {
      try (Scope s = Scope.open()) {
        direct.zeroGrad();
        plain.square().sum().backward();
        direct.step();
        optimizer.zeroGrad();
        scaler.scale(scaled.square().sum()).backward();
        scaler.step(optimizer);
        assertFalse(scaler.overflowed());
        scaler.update();
      }
    }
    // Powers of 2 change no bit.
    assertArrayEquals(plain.toFloats(), scaled.toFloats());
    assertSame(contents(direct.stateDict()), contents(optimizer.stateDict()));
  }

  @ParameterizedTest
  @ValueSource(doubles = {Double.POSITIVE_INFINITY, Double.NEGATIVE_INFINITY, Double.NaN})
  void anOverflowChangesNothingAndHalvesTheScale(double bad) {
    Tensor first = param(1, 2, 3);
    Tensor second = param(4);
    Optimizer optimizer = new AdamW(List.of(first, second), 0.1);
    LossScaler scaler = scaler(SHORT);
    setGrad(first, 1, 1, 1);
    setGrad(second, 1);
    scaler.step(optimizer);
    assertFalse(scaler.overflowed());
    scaler.update();
    float[] weights = first.toFloats();
    Map<String, byte[]> states = contents(optimizer.stateDict());
    setGrad(first, 1, bad, 1);
    setGrad(second, 1);
    scaler.step(optimizer);
    assertTrue(scaler.overflowed());
    scaler.update();
    assertEquals(4, scaler.scale());
    assertArrayEquals(weights, first.toFloats());
    assertArrayEquals(new float[] {4 - 0.1f}, second.toFloats(), 1e-2f);
    assertSame(states, contents(optimizer.stateDict()));
    // The next finite step counts as the second.
    setGrad(first, 1, 1, 1);
    setGrad(second, 1);
    scaler.step(optimizer);
    assertFalse(scaler.overflowed());
    assertEquals(2, optimizer.stateDict().get("group0.step").toLongs()[0]);
  }

  @Test
  void theScaleGrowsAfterTheInterval() {
    Tensor p = param(1);
    Optimizer optimizer = new SGD(List.of(p), 0.1);
    LossScaler scaler = scaler(SHORT);
    double[] scales = new double[9];
    for (int i = 0; i < scales.length; i++) {
      // The overflow in between starts the count anew.
      setGrad(p, i == 4 ? Double.NaN : 1);
      scaler.step(optimizer);
      scaler.update();
      scales[i] = scaler.scale();
    }
    assertArrayEquals(new double[] {8, 8, 16, 16, 8, 8, 8, 16, 16}, scales);
  }

  @Test
  void theScaleStaysFinite() {
    Tensor p = param(1);
    Optimizer optimizer = new SGD(List.of(p), 0.1);
    LossScaler scaler = scaler(new LossScaler.Options(0x1p127, 2, 0.5, 1));
    setGrad(p, 1);
    scaler.step(optimizer);
    scaler.update();
    assertEquals(0x1p127, scaler.scale());
  }

  @Test
  void unscaleComesBeforeClippingAndOnce() {
    Tensor p = param(1, 1);
    Optimizer optimizer = new SGD(List.of(p), 1);
    LossScaler scaler = scaler(SHORT);
    setGrad(p, 8, 16);
    scaler.unscale(optimizer);
    assertArrayEquals(new float[] {1, 2}, grad(p));
    assertThrows(IllegalStateException.class, () -> scaler.unscale(optimizer));
    scaler.step(optimizer);
    scaler.update();
    assertArrayEquals(new float[] {0, -1}, p.toFloats());
    setGrad(p, 8, 8);
    scaler.unscale(optimizer);
    assertArrayEquals(new float[] {1, 1}, grad(p));
  }

  @Test
  void aParameterWithoutGradientDoesNotMatter() {
    Tensor used = param(1);
    Tensor unused = param(1);
    Optimizer optimizer = new SGD(List.of(unused, used), 1);
    LossScaler scaler = scaler(SHORT);
    setGrad(unused, Double.NaN);
    setGrad(used, 8);
    scaler.step(optimizer);
    assertTrue(scaler.overflowed());
    scaler.update();
    // Its old gradient is still in the memory of the group.
    unused.zeroGrad();
    setGrad(used, 4);
    scaler.step(optimizer);
    assertFalse(scaler.overflowed());
    assertArrayEquals(new float[] {0}, used.toFloats());
  }

  @ParameterizedTest
  @EnumSource(
      value = DType.class,
      names = {"FLOAT32", "FLOAT64", "BFLOAT16", "FLOAT16"})
  void unscaleCheckSeesWhatIsStored(DType type) {
    Device device = Device.cpu();
    Tensor inverse = Tensor.full(device, DType.FLOAT32, Shape.SCALAR, 0.5);
    Tensor found = Tensor.zeros(device, DType.INT32, Shape.SCALAR);
    Tensor grad = Tensor.of(new double[] {2, -4, 0}).to(type);
    Updates.unscaleCheck(grad, inverse, found);
    assertArrayEquals(new double[] {1, -2, 0}, grad.toDoubles());
    assertEquals(0, found.item());
    Updates.unscaleCheck(
        Tensor.of(new double[] {1, Double.NEGATIVE_INFINITY}).to(type), inverse, found);
    assertEquals(1, found.item());
    // Found stays found.
    Updates.unscaleCheck(grad, inverse, found);
    assertEquals(1, found.item());
    Updates.unscaleCheck(Tensor.zeros(device, type, Shape.of(0)), inverse, found);
  }

  @Test
  void aResumedRunGoesOnBitForBit() {
    Map<String, byte[]> want = run(new LossScaler[] {scaler(SHORT)});
    LossScaler later = scaler(LossScaler.Options.DEFAULT.withInterval(3));
    assertSame(want, run(new LossScaler[] {scaler(SHORT), later}));
  }

  /** Eight steps, the last four with the last scaler, which takes the state of the first. */
  private static Map<String, byte[]> run(LossScaler[] scalers) {
    Tensor p = param(0.5, -1, 2);
    Optimizer optimizer = new SGD(List.of(p), 0.1);
    LossScaler scaler = scalers[0];
    for (int i = 0; i < 8; i++) {
      if (i == 4 && scalers.length > 1) {
        Map<String, Tensor> saved = new HashMap<>();
        scaler.stateDict().forEach((name, t) -> saved.put(name, t.copy()));
        scaler = scalers[1];
        scaler.loadStateDict(saved);
      }
      try (Scope s = Scope.open()) {
        optimizer.zeroGrad();
        scaler.scale(p.square().sum()).backward();
        if (i == 1) {
          setGrad(p, Double.NaN, 0, 0);
        }
        scaler.step(optimizer);
        scaler.update();
      }
    }
    Map<String, byte[]> out = new LinkedHashMap<>(contents(scaler.stateDict()));
    out.putAll(contents(Map.of("weights", p.detach())));
    return out;
  }

  @Test
  void wrongStatesAndSettingsAreRefused() {
    LossScaler scaler = scaler(SHORT);
    assertThrows(ArgumentException.class, () -> scaler.loadStateDict(Map.of()));
    assertEquals(8, scaler.scale());
    assertThrows(ArgumentException.class, () -> SHORT.withInitial(0));
    assertThrows(ArgumentException.class, () -> SHORT.withInitial(Double.POSITIVE_INFINITY));
    assertThrows(ArgumentException.class, () -> SHORT.withInterval(0));
    assertThrows(ArgumentException.class, () -> new LossScaler.Options(1, 1, 0.5, 1));
    assertThrows(ArgumentException.class, () -> new LossScaler.Options(1, 2, 1, 1));
  }

  @Test
  void aStepLeavesNothingAllocated() {
    Device device = TestDevices.isolated();
    Allocator allocator = Backends.of(device).allocator();
    Tensor p = Tensor.full(device, DType.FLOAT32, Shape.of(5), 1).requiresGrad(true);
    Optimizer optimizer = new AdamW(List.of(p), 0.1);
    LossScaler scaler = new LossScaler(device, SHORT);
    long[] live = new long[3];
    for (int i = 0; i < live.length; i++) {
      optimizer.zeroGrad();
      try (Scope s = Scope.open()) {
        scaler.scale(p.square().sum()).backward();
      }
      scaler.step(optimizer);
      scaler.update();
      live[i] = allocator.liveCount();
    }
    assertArrayEquals(new long[] {live[0], live[0], live[0]}, live);
  }
}
