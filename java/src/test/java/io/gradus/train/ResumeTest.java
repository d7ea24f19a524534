package io.gradus.train;

import static io.gradus.train.StoppedRuns.assertSameState;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.gradus.core.ArgumentException;
import io.gradus.core.Device;
import io.gradus.core.DeviceInfo;
import io.gradus.io.Checkpoint;
import io.gradus.nn.Module;
import io.gradus.optim.AdamW;
import io.gradus.optim.LossScaler;
import io.gradus.optim.Optimizer;
import io.gradus.optim.Plateau;
import io.gradus.optim.SGD;
import io.gradus.optim.Schedule;
import io.gradus.tensor.Generator;
import io.gradus.tensor.Precision;
import io.gradus.tensor.Tensor;
import io.gradus.train.StoppedRuns.Listener;
import io.gradus.train.StoppedRuns.Stop;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.MethodSource;

/** A run that was stopped and continued ends as one that was not, bit for bit. */
class ResumeTest {
  private static final int BATCHES = 5;
  private static final int EPOCHS = 4;

  @TempDir private Path folder;

  private enum Recipe {
    ADAMW_COSINE {
      @Override
      Optimizer configure(Trainer.Builder run, Module model) {
        run.schedule(Schedule.cosine(EPOCHS * BATCHES, 0)).clipNorm(1);
        return new AdamW(model.parameters(), 3e-3);
      }
    },
    SGD_MOMENTUM {
      @Override
      Optimizer configure(Trainer.Builder run, Module model) {
        return new SGD(model.parameters(), SGD.Options.of(0.02).withMomentum(0.9));
      }
    },
    EARLY_STOPPING {
      @Override
      Optimizer configure(Trainer.Builder run, Module model) {
        // Nothing can improve by so much: the first epoch is the best, and the third the last.
        run.earlyStopping(new EarlyStopping(2, 100));
        return new AdamW(model.parameters(), 3e-3);
      }
    },
    FP16 {
      @Override
      Optimizer configure(Trainer.Builder run, Module model) {
        // The first steps overflow; later the scale grows and overflows again.
        run.precision(Precision.FP16)
            .lossScale(LossScaler.Options.DEFAULT.withInitial(0x1p21).withInterval(3))
            .clipNorm(1);
        return new AdamW(model.parameters(), 3e-3);
      }
    },
    PLATEAU {
      @Override
      Optimizer configure(Trainer.Builder run, Module model) {
        Optimizer optimizer =
            new SGD(model.parameters(), SGD.Options.of(0.02).withMomentum(0.9).withNesterov(true));
        run.plateau(new Plateau(optimizer, new Plateau.Options(false, 0.5, 0, 0.5, 0, 0)));
        return optimizer;
      }
    };

    abstract Optimizer configure(Trainer.Builder run, Module model);
  }

  /** A run, described anew as another process would. */
  private static final class Run {
    final Module model = Samples.network(9);
    final Optimizer optimizer;
    final Trainer trainer;

    Run(Recipe recipe, Path checkpoints, boolean resume, TrainingListener listener) {
      this(recipe, checkpoints, resume, listener, Device.cpu(), false);
    }

    Run(
        Recipe recipe,
        Path checkpoints,
        boolean resume,
        TrainingListener listener,
        Device device,
        boolean capture) {
      model.to(device);
      Trainer.Builder run =
          Trainer.builder(model, Samples.train(70, 16))
              .test(Samples.test(40))
              .epochs(EPOCHS)
              .checkpoints(checkpoints)
              .checkpointEvery(Duration.ZERO)
              .resume(resume)
              .identity(recipe.name())
              .capture(capture)
              .listener(listener);
      optimizer = recipe.configure(run, model);
      trainer = run.optimizer(optimizer).build();
    }

    /** Everything a run leaves behind but its times. */
    Map<String, Object> state() {
      Map<String, Object> state = new LinkedHashMap<>();
      model.stateDict().forEach((name, t) -> state.put("model " + name, bits(t)));
      optimizer.stateDict().forEach((name, t) -> state.put("optimizer " + name, bits(t)));
      state.put("generator", Generator.current().offset());
      state.put(
          "history",
          trainer.history().epochs().stream()
              .map(
                  e ->
                      new EpochResult(
                          e.epoch(),
                          e.trainLoss(),
                          e.trainAccuracy(),
                          e.testLoss(),
                          e.testAccuracy(),
                          0,
                          0))
              .toList());
      return state;
    }

    private static ByteBuffer bits(Tensor t) {
      return t.detach().toBytes();
    }
  }

  private Run stoppedAndResumed(Recipe recipe, int batch) throws IOException {
    Path checkpoints = folder.resolve("stopped");
    Run stopped = new Run(recipe, checkpoints, false, new Listener(batch));
    assertThrows(Stop.class, stopped.trainer::fit);
    Run resumed = new Run(recipe, checkpoints, true, new Listener());
    // What the thread's generator stands at must come from the checkpoint.
    Generator.seed(12345);
    resumed.trainer.fit();
    return resumed;
  }

  @ParameterizedTest
  @EnumSource(Recipe.class)
  void inTheMiddleOfAnEpoch(Recipe recipe) throws IOException {
    Run whole = new Run(recipe, folder.resolve("whole"), false, new Listener());
    whole.trainer.fit();
    Map<String, Object> expected = whole.state();
    assertSameState(expected, stoppedAndResumed(recipe, BATCHES + 3).state());
  }

  static Stream<Object[]> recipesAndDevices() {
    return Device.all().stream()
        .filter(DeviceInfo::usable)
        .flatMap(d -> Stream.of(Recipe.values()).map(r -> new Object[] {r, d.device()}));
  }

  @ParameterizedTest
  @MethodSource("recipesAndDevices")
  void withCapturedSteps(Recipe recipe, Device device) throws IOException {
    Run eager = new Run(recipe, folder.resolve("eager"), false, new Listener(), device, false);
    eager.trainer.fit();
    Map<String, Object> expected = eager.state();
    Path none = folder.resolve("whole");
    Listener listener = new Listener();
    Run whole = new Run(recipe, none, false, listener, device, true);
    whole.trainer.fit();
    assertSameState(expected, whole.state());
    boolean eagerly = listener.notes().stream().anyMatch(line -> line.contains("does not record"));
    assertEquals(device.equals(Device.reference()), eagerly, listener.notes()::toString);
    Path checkpoints = folder.resolve("stopped");
    Run stopped = new Run(recipe, checkpoints, false, new Listener(BATCHES + 3), device, true);
    assertThrows(Stop.class, stopped.trainer::fit);
    Run resumed = new Run(recipe, checkpoints, true, new Listener(), device, true);
    Generator.seed(12345);
    resumed.trainer.fit();
    assertSameState(expected, resumed.state());
  }

  @ParameterizedTest
  @CsvSource({"2", "5", "6", "20"})
  void atAnyBatch(int batch) throws IOException {
    Run whole = new Run(Recipe.ADAMW_COSINE, folder.resolve("whole"), false, new Listener());
    whole.trainer.fit();
    Map<String, Object> expected = whole.state();
    assertSameState(expected, stoppedAndResumed(Recipe.ADAMW_COSINE, batch).state());
  }

  @Test
  void theRecipesDoWhatTheyAreNamedFor() throws IOException {
    Run stopping = new Run(Recipe.EARLY_STOPPING, folder.resolve("early"), false, new Listener());
    assertEquals(3, stopping.trainer.fit().epochs().size());
    Run plateau = new Run(Recipe.PLATEAU, folder.resolve("plateau"), false, new Listener());
    plateau.trainer.fit();
    assertTrue(plateau.optimizer.lr() < 0.02, () -> "rate " + plateau.optimizer.lr());
    Run half = new Run(Recipe.FP16, folder.resolve("half"), false, new Listener());
    half.trainer.fit();
    long steps = half.optimizer.stateDict().get("group0.step").toLongs()[0];
    assertTrue(steps > EPOCHS * BATCHES / 2 && steps < EPOCHS * BATCHES, () -> steps + " steps");
  }

  @Test
  void ofAFinishedRunChangesNothing() throws IOException {
    Run whole = new Run(Recipe.EARLY_STOPPING, folder, false, new Listener());
    whole.trainer.fit();
    Map<String, Object> expected = whole.state();
    Run again = new Run(Recipe.EARLY_STOPPING, folder, true, new Listener());
    again.trainer.fit();
    assertSameState(expected, again.state());
  }

  @Test
  void saysWhereItGoesOn() throws IOException {
    assertThrows(
        Stop.class,
        new Run(Recipe.SGD_MOMENTUM, folder, false, new Listener(BATCHES + 3)).trainer::fit);
    Listener listener = new Listener();
    new Run(Recipe.SGD_MOMENTUM, folder, true, listener).trainer.fit();
    assertEquals(List.of("resumed in epoch 2 after batch 2"), listener.notes());
    Listener later = new Listener();
    new Run(Recipe.SGD_MOMENTUM, folder, true, later).trainer.fit();
    assertEquals(List.of("resumed after epoch " + EPOCHS), later.notes());
  }

  @Test
  void ofAnotherRunIsRefusedWithBothIdentities() throws IOException {
    assertThrows(
        Stop.class, new Run(Recipe.SGD_MOMENTUM, folder, false, new Listener(3)).trainer::fit);
    Run other = new Run(Recipe.PLATEAU, folder, true, new Listener());
    ArgumentException e = assertThrows(ArgumentException.class, other.trainer::fit);
    String message = e.getMessage();
    assertTrue(message.contains(Recipe.SGD_MOMENTUM.name()), message);
    assertTrue(message.contains(Recipe.PLATEAU.name()), message);
    assertTrue(message.contains(folder.toString()), message);
  }

  @Test
  void whereNothingIsThereStartsAnew() throws IOException {
    Run fresh = new Run(Recipe.ADAMW_COSINE, folder.resolve("fresh"), false, new Listener());
    fresh.trainer.fit();
    Map<String, Object> expected = fresh.state();
    Listener listener = new Listener();
    Run resumed = new Run(Recipe.ADAMW_COSINE, folder.resolve("nothing"), true, listener);
    resumed.trainer.fit();
    assertSameState(expected, resumed.state());
    assertEquals(List.of(), listener.notes());
  }

  @Test
  void fallsBackToTheCheckpointBeforeADamagedOne() throws IOException {
    Run whole = new Run(Recipe.ADAMW_COSINE, folder.resolve("whole"), false, new Listener());
    whole.trainer.fit();
    Map<String, Object> expected = whole.state();
    Path checkpoints = folder.resolve("damaged");
    assertThrows(
        Stop.class, new Run(Recipe.ADAMW_COSINE, checkpoints, false, new Listener(4)).trainer::fit);
    Path newest = Checkpoint.load(checkpoints).file();
    byte[] bytes = Files.readAllBytes(newest);
    bytes[bytes.length / 2] ^= 1;
    Files.write(newest, bytes);
    Listener listener = new Listener();
    Run resumed = new Run(Recipe.ADAMW_COSINE, checkpoints, true, listener);
    resumed.trainer.fit();
    assertSameState(expected, resumed.state());
    assertEquals(2, listener.notes().size(), listener.notes()::toString);
    assertTrue(
        listener.notes().get(0).startsWith(newest.getFileName().toString()),
        listener.notes().get(0));
    assertEquals("resumed in epoch 1 after batch 2", listener.notes().get(1));
  }

  @Test
  void aRunThatCannotWriteItsCheckpointsSaysSo() throws IOException {
    Path taken = folder.resolve("taken");
    Files.writeString(taken, "notes");
    Run run = new Run(Recipe.ADAMW_COSINE, taken, true, new Listener());
    IOException e = assertThrows(IOException.class, run.trainer::fit);
    assertTrue(e.getMessage().contains(taken.toString()), e.getMessage());
    assertEquals("notes", Files.readString(taken));
  }
}
