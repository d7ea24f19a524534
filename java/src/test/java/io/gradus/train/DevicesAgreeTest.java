package io.gradus.train;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.gradus.core.Device;
import io.gradus.core.DeviceInfo;
import io.gradus.data.DataLoader;
import io.gradus.data.Digits;
import io.gradus.data.TrainTest;
import io.gradus.nn.Module;
import io.gradus.optim.AdamW;
import io.gradus.optim.Schedule;
import io.gradus.tensor.Dropout;
import io.gradus.tensor.Generator;
import io.gradus.tensor.Scope;
import io.gradus.tensor.Tensor;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/**
 * The run of {@code gradus train}, in small: every device draws the same masks and learns alike.
 */
class DevicesAgreeTest {
  private static final int BATCH = 32;
  private static final int STEPS = 4;
  private static final double TOLERANCE = 1e-4;

  static Stream<Device> devices() {
    return Device.all().stream().filter(DeviceInfo::usable).map(DeviceInfo::device);
  }

  /** The loss of every step of the first epoch on drawn digits, by the command's defaults. */
  private static double[] losses(Device device) throws IOException {
    TrainTest digits = Digits.open(BATCH * STEPS, 10, 1);
    Generator.seed(1);
    Module model = Networks.CNN.create(digits.train().sampleShape(), digits.train().classes());
    model.to(device);
    List<Double> means = new ArrayList<>();
    Trainer.builder(
            model, DataLoader.builder(digits.train()).batch(BATCH).shuffle(true).seed(1).build())
        .optimizer(new AdamW(model.parameters(), 0.002))
        .schedule(Schedule.oneCycle(STEPS))
        .epochs(1)
        .listener(
            new TrainingListener() {
              @Override
              public void batchTrained(int batch, double meanLoss, double accuracy) {
                means.add(meanLoss);
              }
            })
        .build()
        .fit();
    assertEquals(STEPS, means.size());
    double[] losses = new double[STEPS];
    double before = 0;
    for (int i = 0; i < STEPS; i++) {
      double sum = means.get(i) * (i + 1);
      losses[i] = sum - before;
      before = sum;
    }
    return losses;
  }

  @ParameterizedTest
  @MethodSource("devices")
  void everyStepHasTheSameLoss(Device device) throws IOException {
    double[] expected = losses(Device.reference());
    assertTrue(expected[0] > 1 && expected[0] != expected[1], "nothing was learned");
    assertArrayEquals(expected, losses(device), TOLERANCE);
  }

  @ParameterizedTest
  @MethodSource("devices")
  void dropoutDrawsTheSameMask(Device device) {
    assertArrayEquals(mask(Device.reference()), mask(device));
  }

  private static double[] mask(Device device) {
    Generator.seed(5);
    try (Scope s = Scope.open()) {
      Tensor ones = Tensor.ones(33, 1001).to(device);
      return Dropout.dropout(ones, 0.3, true).toDoubles();
    }
  }
}
