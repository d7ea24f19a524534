package io.gradus.train;

import io.gradus.core.Device;
import io.gradus.core.FormatException;
import io.gradus.core.GradusException;
import io.gradus.core.Shape;
import io.gradus.data.Standardise;
import io.gradus.io.SafeTensors;
import io.gradus.io.TensorFile;
import io.gradus.nn.Module;
import java.io.IOException;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;

/**
 * A network with what is needed to use it on new samples: one safetensors file whose metadata says
 * which network it is, the samples' shape, the names of the classes and how inputs were
 * standardised.
 *
 * @param network which network of the command line
 * @param module the network with its weights
 * @param sampleShape shape of one sample
 * @param classNames names of the classes, in the order of the logits
 * @param standardise applied to samples before the network
 * @param data what it was trained on: {@code digits} or a folder
 */
public record TrainedModel(
    Networks network,
    Module module,
    Shape sampleShape,
    List<String> classNames,
    Standardise standardise,
    String data) {

  private static final String VERSION = "1";

  /**
   * Writes the model; other readers of safetensors open it too.
   *
   * @throws IOException when the file cannot be written; an older one stays then
   */
  public void save(Path file) throws IOException {
    Map<String, String> metadata = new LinkedHashMap<>();
    metadata.put("format", "gradus");
    metadata.put("gradus.version", VERSION);
    metadata.put("gradus.model", network.label());
    metadata.put("gradus.sample_shape", join(sampleShape.dims()));
    metadata.put("gradus.classes", String.join("\n", classNames));
    metadata.put("gradus.mean", join(standardise.mean()));
    metadata.put("gradus.std", join(standardise.std()));
    metadata.put("gradus.data", data);
    SafeTensors.save(file, module.stateDict(), metadata);
  }

  /**
   * Reads a model.
   *
   * @throws IOException when the file cannot be read
   * @throws FormatException when it is damaged or not a model of Gradus
   */
  public static TrainedModel load(Path file, Device device) throws IOException {
    try (TensorFile content = SafeTensors.load(file)) {
      Map<String, String> metadata = content.metadata();
      try {
        if (!VERSION.equals(required(metadata, "gradus.version"))) {
          throw new IllegalArgumentException(
              "it is of version " + metadata.get("gradus.version") + ", this reads " + VERSION);
        }
        Networks network = Networks.parse(required(metadata, "gradus.model"));
        Shape shape = Shape.of(longs(required(metadata, "gradus.sample_shape")));
        List<String> classes = List.of(required(metadata, "gradus.classes").split("\n", -1));
        Standardise standardise =
            new Standardise(
                floats(required(metadata, "gradus.mean")),
                floats(required(metadata, "gradus.std")));
        standardise.check(shape);
        Module module = network.create(shape, classes.size());
        module.loadStateDict(content.tensors());
        module.to(device);
        module.eval();
        return new TrainedModel(
            network, module, shape, classes, standardise, required(metadata, "gradus.data"));
      } catch (IllegalArgumentException | ArithmeticException | GradusException e) {
        throw new FormatException(
            "[model] " + file + " cannot be used: " + e.getMessage() + "; train it again", e);
      }
    }
  }

  private static String required(Map<String, String> metadata, String key) {
    String value = metadata.get(key);
    if (value == null) {
      throw new IllegalArgumentException("its metadata lack " + key);
    }
    return value;
  }

  private static String join(long[] values) {
    return Arrays.stream(values).mapToObj(Long::toString).collect(Collectors.joining(","));
  }

  private static String join(float[] values) {
    StringBuilder text = new StringBuilder();
    for (float value : values) {
      text.append(text.length() == 0 ? "" : ",").append(value);
    }
    return text.toString();
  }

  private static long[] longs(String text) {
    return Arrays.stream(text.split(",", -1)).mapToLong(Long::parseLong).toArray();
  }

  private static float[] floats(String text) {
    String[] parts = text.split(",", -1);
    float[] values = new float[parts.length];
    for (int i = 0; i < parts.length; i++) {
      values[i] = Float.parseFloat(parts[i]);
    }
    return values;
  }
}
