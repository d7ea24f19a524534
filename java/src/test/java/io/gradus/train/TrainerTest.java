package io.gradus.train;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.gradus.core.ArgumentException;
import io.gradus.core.Device;
import io.gradus.core.GradusException;
import io.gradus.data.DataLoader;
import io.gradus.nn.Module;
import io.gradus.optim.AdamW;
import io.gradus.optim.Optimizer;
import io.gradus.optim.Plateau;
import io.gradus.optim.SGD;
import io.gradus.optim.Schedule;
import io.gradus.tensor.Generator;
import io.gradus.tensor.Loss;
import io.gradus.tensor.Tensor;
import io.gradus.testing.TestDevices;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.function.BinaryOperator;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class TrainerTest {
  @TempDir private Path folder;

  private static Map<String, ByteBuffer> weights(Module model) {
    Map<String, ByteBuffer> out = new TreeMap<>();
    model.stateDict().forEach((name, t) -> out.put(name, t.detach().toBytes()));
    return out;
  }

  @Test
  void learns() throws IOException {
    Module model = Samples.network(1);
    History history =
        Trainer.builder(model, Samples.train(96, 16))
            .test(Samples.test(48))
            .optimizer(new AdamW(model.parameters(), 1e-2))
            .epochs(6)
            .build()
            .fit();
    assertEquals(6, history.epochs().size());
    EpochResult first = history.epochs().get(0);
    assertTrue(history.last().trainLoss() < first.trainLoss(), history.epochs()::toString);
    assertTrue(history.last().testAccuracy() > 0.9, history.epochs()::toString);
    assertTrue(model.isTraining());
    assertEquals(
        history.last().testAccuracy(),
        Evaluation.of(model, Samples.test(48), Loss::crossEntropy).accuracy());
  }

  @Test
  void trainsAndEvaluatesOnTheModelsDevice() throws IOException {
    Device device = TestDevices.threads(3);
    List<History> histories = new ArrayList<>();
    for (Device d : List.of(Device.reference(), device)) {
      Module model = Samples.network(1);
      model.to(d);
      Generator.seed(2);
      Path checkpoints = folder.resolve(d.toString().replace(':', '-'));
      for (int epochs = 1; epochs <= 2; epochs++) {
        Trainer trainer =
            Trainer.builder(model, Samples.train(32, 16))
                .test(Samples.test(16))
                .optimizer(new AdamW(model.parameters(), 1e-2))
                .earlyStopping(new EarlyStopping(3, 0))
                .epochs(epochs)
                .checkpoints(checkpoints)
                .resume(true)
                .build();
        trainer.fit();
        histories.add(trainer.history());
      }
      assertEquals(d, model.parameters().get(0).device());
    }
    EpochResult onCpu = histories.get(1).last();
    EpochResult onDevice = histories.get(3).last();
    assertEquals(onCpu.trainLoss(), onDevice.trainLoss());
    assertEquals(onCpu.testLoss(), onDevice.testLoss());
  }

  @Test
  void tellsListenersInOrder() throws IOException {
    List<String> heard = new ArrayList<>();
    Module model = Samples.network(1);
    Trainer.builder(model, Samples.train(20, 16))
        .optimizer(new AdamW(model.parameters(), 1e-2))
        .epochs(2)
        .listener(
            new TrainingListener() {
              @Override
              public void epochStarted(int epoch, int epochs, int batches, int done) {
                heard.add("start " + epoch + "/" + epochs + " " + done + "/" + batches);
              }

              @Override
              public void batchTrained(int batch, double meanLoss, double accuracy) {
                heard.add("batch " + batch);
              }

              @Override
              public void epochEnded(History history, int epochs) {
                heard.add("end " + history.last().epoch() + " " + history.last().testLoss());
              }
            })
        .build()
        .fit();
    assertEquals(
        List.of(
            "start 1/2 0/2",
            "batch 1",
            "batch 2",
            "end 1 NaN",
            "start 2/2 0/2",
            "batch 1",
            "batch 2",
            "end 2 NaN"),
        heard);
  }

  @Test
  void earlyStoppingGivesBackTheBestWeights() throws IOException {
    // The rate is good at first, then throws the weights about: the losses rise from there on.
    Module model = Samples.network(3);
    DataLoader train = Samples.train(48, 16);
    List<Map<String, ByteBuffer>> afterEpoch = new ArrayList<>();
    List<String> notes = new ArrayList<>();
    EarlyStopping rule = new EarlyStopping(2, 0);
    History history =
        Trainer.builder(model, train)
            .test(Samples.test(48))
            .optimizer(new SGD(model.parameters(), 1))
            .schedule((base, step) -> step < 6 ? 0.02 : 3 * base)
            .epochs(20)
            .earlyStopping(rule)
            .listener(
                new TrainingListener() {
                  @Override
                  public void epochEnded(History soFar, int epochs) {
                    afterEpoch.add(weights(model));
                  }

                  @Override
                  public void note(String message) {
                    notes.add(message);
                  }
                })
            .build()
            .fit();
    int best = 1;
    for (EpochResult e : history.epochs()) {
      if (e.testLoss() < history.epochs().get(best - 1).testLoss()) {
        best = e.epoch();
      }
    }
    assertEquals(best, rule.bestEpoch());
    assertEquals(best + 2, history.epochs().size());
    assertEquals(afterEpoch.get(best - 1), weights(model));
    assertNotEquals(afterEpoch.get(best + 1), weights(model));
    assertEquals(
        List.of("stopped early after epoch " + (best + 2) + ": no improvement since epoch " + best),
        notes);
  }

  @Test
  void plateauLowersTheRate() throws IOException {
    Module model = Samples.network(3);
    Optimizer optimizer = new AdamW(model.parameters(), 1e-2);
    List<Double> rates = new ArrayList<>();
    // A loss has to halve to count, which it does not do in every epoch.
    Plateau.Options options = new Plateau.Options(false, 0.25, 0, 0.999, 0, 0);
    Trainer.builder(model, Samples.train(32, 16))
        .test(Samples.test(16))
        .optimizer(optimizer)
        .plateau(new Plateau(optimizer, options))
        .epochs(3)
        .listener(
            new TrainingListener() {
              @Override
              public void batchTrained(int batch, double meanLoss, double accuracy) {
                rates.add(optimizer.lr());
              }
            })
        .build()
        .fit();
    // Any first loss is an improvement on infinity; the two after it are not by so much.
    assertEquals(List.of(1e-2, 1e-2, 1e-2, 1e-2, 2.5e-3, 2.5e-3), rates);
    assertEquals(1e-2 / 16, optimizer.lr());
  }

  @Test
  void aLossThatIsNoNumberNamesItsBatch() {
    Module model = Samples.network(3);
    int[] calls = {0};
    BinaryOperator<Tensor> loss =
        (logits, labels) -> {
          calls[0]++;
          Tensor value = Loss.crossEntropy(logits, labels);
          return calls[0] == 5 ? value.mul(Double.NaN) : value;
        };
    Trainer trainer =
        Trainer.builder(model, Samples.train(48, 16))
            .optimizer(new AdamW(model.parameters(), 1e-2))
            .loss(loss)
            .epochs(3)
            .build();
    GradusException e = assertThrows(GradusException.class, trainer::fit);
    String message = e.getMessage();
    assertTrue(message.contains("NaN") && message.contains("epoch 2, batch 2"), message);
    assertTrue(message.contains("learning rate"), message);
    assertEquals(1, trainer.history().epochs().size());
  }

  @Test
  void aCapturedLossThatIsNoNumberNamesItsBatch() {
    Module model = Samples.network(3);
    Tensor steps = Tensor.scalar(0);
    BinaryOperator<Tensor> loss =
        (logits, labels) -> {
          steps.addInPlace(1);
          Tensor limit = Tensor.where(steps.lt(5), Tensor.scalar(0), Tensor.scalar(Double.NaN));
          return Loss.crossEntropy(logits, labels).add(limit);
        };
    Trainer trainer =
        Trainer.builder(model, Samples.train(48, 16))
            .optimizer(new AdamW(model.parameters(), 1e-2))
            .loss(loss)
            .epochs(3)
            .capture(true)
            .build();
    GradusException e = assertThrows(GradusException.class, trainer::fit);
    String message = e.getMessage();
    assertTrue(message.contains("NaN") && message.contains("epoch 2, batch 2"), message);
    assertEquals(1, trainer.history().epochs().size());
  }

  @Test
  void aRateThatIsTooHighEndsWithAnErrorNotWithNumbers() {
    Module model = Samples.network(3);
    Trainer trainer =
        Trainer.builder(model, Samples.train(48, 16))
            .test(Samples.test(16))
            .optimizer(new SGD(model.parameters(), 1e38))
            .epochs(5)
            .build();
    GradusException e = assertThrows(GradusException.class, trainer::fit);
    assertTrue(e.getMessage().contains("learning rate"), e.getMessage());
  }

  @Test
  void refusesWhatMakesNoSense() {
    Module model = Samples.network(3);
    Trainer.Builder builder = Trainer.builder(model, Samples.train(16, 16));
    assertThrows(IllegalStateException.class, builder::build);
    assertThrows(ArgumentException.class, () -> builder.epochs(0));
    assertThrows(ArgumentException.class, () -> builder.clipNorm(-1));
    assertThrows(ArgumentException.class, () -> new EarlyStopping(0, 0));
    assertThrows(ArgumentException.class, () -> new EarlyStopping(1, -1));
    Optimizer optimizer = new AdamW(model.parameters(), 1e-2);
    builder
        .optimizer(optimizer)
        .schedule(Schedule.cosine(10, 0))
        .plateau(new Plateau(optimizer, Plateau.Options.lessIsBetter()));
    IllegalStateException e = assertThrows(IllegalStateException.class, builder::build);
    assertTrue(e.getMessage().contains("schedule and a plateau"), e.getMessage());
  }
}
