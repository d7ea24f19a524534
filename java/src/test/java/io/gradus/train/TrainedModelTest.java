package io.gradus.train;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.gradus.core.ArgumentException;
import io.gradus.core.Device;
import io.gradus.core.FormatException;
import io.gradus.core.Shape;
import io.gradus.core.ShapeException;
import io.gradus.data.Standardise;
import io.gradus.io.SafeTensors;
import io.gradus.io.TensorFile;
import io.gradus.nn.Module;
import io.gradus.tensor.Generator;
import io.gradus.tensor.Tensor;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class TrainedModelTest {
  private static final Shape SHAPE = Shape.of(6, 5, 1);
  private static final List<String> CLASSES = List.of("a, b", "c=d", "Größe");

  @TempDir private Path folder;

  private TrainedModel model() {
    Generator.seed(4);
    Module module = Networks.MLP.create(SHAPE, CLASSES.size());
    module.eval();
    return new TrainedModel(
        Networks.MLP,
        module,
        SHAPE,
        CLASSES,
        new Standardise(new float[] {0.1307f}, new float[] {0.3081f}),
        "digits");
  }

  @Test
  void comesBackWhole() throws IOException {
    TrainedModel model = model();
    Path file = folder.resolve("sub/model.safetensors");
    model.save(file);
    TrainedModel loaded = TrainedModel.load(file, Device.cpu());
    assertEquals(model.network(), loaded.network());
    assertEquals(SHAPE, loaded.sampleShape());
    assertEquals(CLASSES, loaded.classNames());
    assertEquals("digits", loaded.data());
    assertArrayEquals(model.standardise().mean(), loaded.standardise().mean());
    assertArrayEquals(model.standardise().std(), loaded.standardise().std());
    assertFalse(loaded.module().isTraining());
    Tensor x = Tensor.randn(2, 6, 5, 1);
    assertArrayEquals(
        model.module().call(x).detach().toFloats(), loaded.module().call(x).detach().toFloats());
  }

  @Test
  void isAnOrdinarySafetensorsFile() throws IOException {
    Path file = folder.resolve("model.safetensors");
    model().save(file);
    try (TensorFile content = SafeTensors.load(file)) {
      assertEquals(model().module().stateDict().keySet(), content.tensors().keySet());
      assertEquals("mlp", content.metadata().get("gradus.model"));
    }
  }

  @ParameterizedTest
  @CsvSource({
    "gradus.version, 2",
    "gradus.version, ",
    "gradus.model, transformer",
    "gradus.model, cnn",
    "gradus.sample_shape, ",
    "gradus.sample_shape, 6;5",
    "gradus.sample_shape, '6,-5,1'",
    "gradus.sample_shape, '7,5,1'",
    "gradus.sample_shape, '99999999999,99999999999,99'",
    "gradus.classes, one",
    "gradus.mean, '1,2,3,4'",
    "gradus.mean, x",
    "gradus.std, 0",
  })
  void metadataThatDoNotFitAreAFormatError(String key, String value) throws IOException {
    Map<String, String> metadata = new HashMap<>();
    Path good = folder.resolve("good.safetensors");
    model().save(good);
    Path bad = folder.resolve("bad.safetensors");
    try (TensorFile content = SafeTensors.load(good)) {
      metadata.putAll(content.metadata());
      if (value == null) {
        metadata.remove(key);
      } else {
        metadata.put(key, value);
      }
      SafeTensors.save(bad, content.tensors(), metadata);
    }
    FormatException e =
        assertThrows(FormatException.class, () -> TrainedModel.load(bad, Device.cpu()));
    assertTrue(e.getMessage().contains(bad.toString()), e.getMessage());
    assertFalse(e.getMessage().contains("\n"), e.getMessage());
  }

  @Test
  void anotherSafetensorsFileIsAFormatError() throws IOException {
    Path file = folder.resolve("other.safetensors");
    SafeTensors.save(file, Map.of("w", Tensor.ones(2)), Map.of());
    FormatException e =
        assertThrows(FormatException.class, () -> TrainedModel.load(file, Device.cpu()));
    assertTrue(e.getMessage().contains("train it again"), e.getMessage());
    Files.write(file, new byte[] {1, 2, 3});
    assertThrows(FormatException.class, () -> TrainedModel.load(file, Device.cpu()));
  }

  @Test
  void networksFollowTheData() {
    Generator.seed(1);
    assertEquals(669_706, Networks.MLP.create(Shape.of(28, 28, 1), 10).parameterCount());
    assertEquals(1_625_962, Networks.CNN.create(Shape.of(28, 28, 1), 10).parameterCount());
    assertEquals(
        Shape.of(2, 7),
        Networks.RESNET20.create(Shape.of(8, 9, 3), 7).call(Tensor.randn(2, 8, 9, 3)).shape());
    assertEquals(
        Shape.of(2, 2),
        Networks.CNN.create(Shape.of(5, 7, 3), 2).call(Tensor.randn(2, 5, 7, 3)).shape());
    assertEquals(
        Shape.of(2, 3), Networks.MLP.create(Shape.of(4), 3).call(Tensor.randn(2, 4)).shape());
  }

  @Test
  void resnet20HasTwentyLayersAndItsParameters() {
    // 270,896 without the two 1x1 shortcuts of option B: 272,474 with them and their batch norms.
    Module module = Networks.RESNET20.create(Shape.of(32, 32, 3), 10);
    assertEquals(272_474, module.parameterCount());
  }

  @Test
  void networksSayWhatTheyNeed() {
    ShapeException table =
        assertThrows(ShapeException.class, () -> Networks.CNN.create(Shape.of(4), 3));
    assertTrue(table.getMessage().contains("mlp"), table.getMessage());
    assertThrows(ShapeException.class, () -> Networks.RESNET20.create(Shape.of(3, 3, 1), 3));
    assertThrows(ArgumentException.class, () -> Networks.MLP.create(Shape.of(4), 1));
    assertEquals(Networks.RESNET20, Networks.parse("resnet20"));
    ArgumentException unknown = assertThrows(ArgumentException.class, () -> Networks.parse("vgg"));
    assertTrue(unknown.getMessage().contains("mlp, cnn, resnet20"), unknown.getMessage());
  }
}
