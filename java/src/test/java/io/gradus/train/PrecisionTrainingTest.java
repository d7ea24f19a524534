package io.gradus.train;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.gradus.core.DType;
import io.gradus.data.DataLoader;
import io.gradus.data.Digits;
import io.gradus.data.TrainTest;
import io.gradus.nn.BatchNorm2d;
import io.gradus.nn.Conv2d;
import io.gradus.nn.Flatten;
import io.gradus.nn.Linear;
import io.gradus.nn.Module;
import io.gradus.nn.ReLU;
import io.gradus.nn.Sequential;
import io.gradus.optim.AdamW;
import io.gradus.tensor.Conv2dOptions;
import io.gradus.tensor.Generator;
import io.gradus.tensor.Precision;
import io.gradus.tensor.Tensor;
import java.io.IOException;
import java.util.EnumMap;
import java.util.Map;
import java.util.function.Supplier;
import org.junit.jupiter.api.Test;

/** Networks learn in 16 bits what they learn in 32. */
class PrecisionTrainingTest {
  private static Module perceptron() {
    return new Sequential(new Flatten(), new Linear(784, 32), new ReLU(), new Linear(32, 10));
  }

  private static Module convolutions() {
    return new Sequential(
        new Conv2d(1, 6, 5, 5, Conv2dOptions.of(3, 0), false),
        new BatchNorm2d(6),
        new ReLU(),
        new Flatten(),
        new Linear(6 * 8 * 8, 10));
  }

  private static EpochResult train(Supplier<Module> network, int epochs, Precision precision)
      throws IOException {
    TrainTest digits = Digits.open(500, 200, 1);
    Generator.seed(3);
    Module model = network.get();
    History history =
        Trainer.builder(
                model, DataLoader.builder(digits.train()).batch(25).shuffle(true).seed(4).build())
            .test(DataLoader.builder(digits.test()).batch(100).build())
            .optimizer(new AdamW(model.parameters(), 5e-3))
            .precision(precision)
            .epochs(epochs)
            .build()
            .fit();
    for (Tensor parameter : model.parameters()) {
      assertEquals(DType.FLOAT32, parameter.dtype());
    }
    assertEquals(Precision.FLOAT32, Precision.current());
    return history.last();
  }

  private static void check(Supplier<Module> network, int epochs) throws IOException {
    Map<Precision, EpochResult> results = new EnumMap<>(Precision.class);
    for (Precision precision : Precision.values()) {
      results.put(precision, train(network, epochs, precision));
    }
    EpochResult exact = results.get(Precision.FLOAT32);
    assertTrue(exact.testAccuracy() > 0.7, () -> "accuracy " + exact.testAccuracy());
    assertEquals(exact.testAccuracy(), results.get(Precision.TF32).testAccuracy(), 0.04);
    for (Precision precision : new Precision[] {Precision.BF16, Precision.FP16}) {
      EpochResult result = results.get(precision);
      assertEquals(exact.testAccuracy(), result.testAccuracy(), 0.04, precision.name());
      assertEquals(exact.trainLoss(), result.trainLoss(), 0.2 * exact.trainLoss());
      assertNotEquals(exact.trainLoss(), result.trainLoss(), precision.name());
    }
  }

  @Test
  void aPerceptron() throws IOException {
    check(PrecisionTrainingTest::perceptron, 8);
  }

  @Test
  void convolutionsWithBatchNorm() throws IOException {
    check(PrecisionTrainingTest::convolutions, 4);
  }
}
