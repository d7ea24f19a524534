package io.gradus.train;

import static io.gradus.train.StoppedRuns.assertSameState;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.gradus.core.ArgumentException;
import io.gradus.core.Device;
import io.gradus.core.DeviceInfo;
import io.gradus.core.FormatException;
import io.gradus.io.SafeTensors;
import io.gradus.io.TensorFile;
import io.gradus.nn.Module;
import io.gradus.tensor.Generator;
import io.gradus.tensor.Tensor;
import io.gradus.train.StoppedRuns.Listener;
import io.gradus.train.StoppedRuns.Stop;
import java.io.IOException;
import java.nio.ByteBuffer;
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
import org.junit.jupiter.params.provider.MethodSource;

/** A recipe that was stopped and resumed ends as one that was not, bit for bit. */
class RecipeResumeTest {
  private static final CifarFast.Options IMAGES = RecipesTest.TINY.withEpochs(4.6);

  private static final CharGpt.Options TEXT =
      RecipesTest.SHORT
          .withSteps(10)
          .withInterval(4)
          .withNetwork(8, 1, 2, 16)
          .withDropout(0.2)
          .withEma(0.8);

  @TempDir private Path folder;

  private CheckpointOptions checkpoints(String name) {
    return CheckpointOptions.in(folder.resolve(name)).withEvery(Duration.ZERO);
  }

  /** Weights and results without times. */
  private static Map<String, Object> state(Module network, History history) {
    Map<String, Object> out = new LinkedHashMap<>();
    network.stateDict().forEach((name, t) -> out.put(name, bits(t)));
    history
        .epochs()
        .forEach(
            e ->
                out.put(
                    "epoch " + e.epoch(),
                    List.of(e.trainLoss(), e.trainAccuracy(), e.testLoss(), e.testAccuracy())));
    return out;
  }

  private static ByteBuffer bits(Tensor t) {
    return t.detach().toBytes();
  }

  @ParameterizedTest
  @CsvSource({"SGD, 2", "SGD, 3", "SGD, 11", "MUON, 5", "MUON, 13"})
  void cifarFast(CifarFast.Method method, int stopAt) throws IOException {
    CifarFast.Options options = IMAGES.withMethod(method);
    CifarFast whole = new CifarFast(RecipesTest.images(), Device.cpu(), options);
    assertEquals(14, whole.steps());
    Map<String, Object> expected = state(whole.network(), whole.fit(List.of()));
    CheckpointOptions kept = checkpoints("images");
    CifarFast stopped = new CifarFast(RecipesTest.images(), Device.cpu(), options);
    assertThrows(Stop.class, () -> stopped.fit(List.of(new Listener(stopAt)), kept));
    CifarFast resumed = new CifarFast(RecipesTest.images(), Device.cpu(), options);
    // What the thread's generator stands at must come from the checkpoint.
    Generator.seed(12345);
    Listener listener = new Listener();
    History history = resumed.fit(List.of(listener), kept.withResume(true));
    assertSameState(expected, state(resumed.network(), history));
    assertEquals(1, listener.notes().size(), listener.notes()::toString);
    assertTrue(listener.trained() < 14 && listener.trained() >= 14 - stopAt, () -> "" + stopAt);
  }

  @ParameterizedTest
  @CsvSource({"2", "4", "9"})
  void charGpt(int stopAt) throws IOException {
    CharGpt whole = new CharGpt(RecipesTest.text(), Device.cpu(), TEXT);
    Map<String, Object> expected = state(whole.model().network(), whole.fit(List.of()));
    CheckpointOptions kept = checkpoints("text");
    CharGpt stopped = new CharGpt(RecipesTest.text(), Device.cpu(), TEXT);
    assertThrows(Stop.class, () -> stopped.fit(List.of(new Listener(stopAt)), kept));
    CharGpt resumed = new CharGpt(RecipesTest.text(), Device.cpu(), TEXT);
    Generator.seed(12345);
    History history = resumed.fit(List.of(), kept.withResume(true));
    assertSameState(expected, state(resumed.model().network(), history));
    // Once more: the run has ended, and nothing changes.
    CharGpt again = new CharGpt(RecipesTest.text(), Device.cpu(), TEXT);
    Listener listener = new Listener();
    History same = again.fit(List.of(listener), kept.withResume(true));
    assertSameState(expected, state(again.model().network(), same));
    assertEquals(List.of("resumed after epoch 3"), listener.notes());
  }

  static Stream<Device> devices() {
    return Device.all().stream().filter(DeviceInfo::usable).map(DeviceInfo::device);
  }

  @ParameterizedTest
  @MethodSource("devices")
  void onEveryDevice(Device device) throws IOException {
    CharGpt.Options options = TEXT.withLimit(4).withInterval(3);
    CharGpt whole = new CharGpt(RecipesTest.text(), device, options);
    Map<String, Object> expected = state(whole.model().network(), whole.fit(List.of()));
    CheckpointOptions kept = checkpoints("text");
    CharGpt stopped = new CharGpt(RecipesTest.text(), device, options);
    assertThrows(Stop.class, () -> stopped.fit(List.of(new Listener(3)), kept));
    CharGpt resumed = new CharGpt(RecipesTest.text(), device, options);
    Generator.seed(12345);
    Listener listener = new Listener();
    History history = resumed.fit(List.of(listener), kept.withResume(true));
    assertSameState(expected, state(resumed.model().network(), history));
    assertEquals(List.of("resumed in epoch 1 after batch 2"), listener.notes());
  }

  @Test
  void theAverageIsAnotherNetwork() throws IOException {
    CharGpt plain = new CharGpt(RecipesTest.text(), Device.cpu(), TEXT.withEma(0));
    Map<String, Object> weights = state(plain.model().network(), plain.fit(List.of()));
    CharGpt averaged = new CharGpt(RecipesTest.text(), Device.cpu(), TEXT);
    Map<String, Object> averages = state(averaged.model().network(), averaged.fit(List.of()));
    assertNotEquals(weights.get("head.weight"), averages.get("head.weight"));
    assertNotEquals(weights.get("epoch 1"), averages.get("epoch 1"));
  }

  @Test
  void anotherRunIsRefused() throws IOException {
    CheckpointOptions kept = checkpoints("text");
    CharGpt first = new CharGpt(RecipesTest.text(), Device.cpu(), TEXT.withLimit(2));
    first.fit(List.of(), kept);
    CharGpt other = new CharGpt(RecipesTest.text(), Device.cpu(), TEXT.withLimit(3));
    assertThrows(ArgumentException.class, () -> other.fit(List.of(), kept));
    ArgumentException e =
        assertThrows(ArgumentException.class, () -> other.fit(List.of(), kept.withResume(true)));
    assertTrue(e.getMessage().contains("limit=2") && e.getMessage().contains("limit=3"), e + "");
  }

  @Test
  void aSavedModelWritesTheSameText() throws IOException {
    CharGpt run = new CharGpt(RecipesTest.text(), Device.cpu(), TEXT.withLimit(2));
    run.fit(List.of());
    Path file = folder.resolve("weights.safetensors");
    run.model().save(file, "rose");
    CharGptModel loaded = CharGptModel.load(file, Device.cpu());
    assertEquals(run.model().sample(30, 7), loaded.sample(30, 7));
    assertFalse(loaded.sample(30, 7).equals(loaded.sample(30, 8)));
    assertEquals("", loaded.sample(0, 1));
    assertThrows(ArgumentException.class, () -> loaded.sample(-1, 1));
  }

  @ParameterizedTest
  @CsvSource({
    "recipe, cifar10-fast, it is a model of cifar10-fast",
    "recipe, , lack recipe",
    "gradus.version, 2, version 2",
    "gradus.heads, 3, heads",
    "gradus.heads, x, x",
    "gradus.characters, ab, shape",
    "gradus.characters, , lack gradus.characters"
  })
  void whatIsNoModelIsRefused(String key, String value, String part) throws IOException {
    CharGpt run = new CharGpt(RecipesTest.text(), Device.cpu(), TEXT.withLimit(1));
    Path file = folder.resolve("weights.safetensors");
    run.model().save(file, "rose");
    try (TensorFile content = SafeTensors.load(file)) {
      Map<String, String> metadata = new LinkedHashMap<>(content.metadata());
      metadata.remove(key);
      if (value != null) {
        metadata.put(key, value);
      }
      SafeTensors.save(file, content.tensors(), metadata);
    }
    FormatException e =
        assertThrows(FormatException.class, () -> CharGptModel.load(file, Device.cpu()));
    assertTrue(e.getMessage().contains(part), e.getMessage());
  }
}
