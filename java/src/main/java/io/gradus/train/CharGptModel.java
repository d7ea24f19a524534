package io.gradus.train;

import io.gradus.core.ArgumentException;
import io.gradus.core.Checks;
import io.gradus.core.Device;
import io.gradus.core.FormatException;
import io.gradus.core.GradusException;
import io.gradus.data.CharVocabulary;
import io.gradus.io.SafeTensors;
import io.gradus.io.TensorFile;
import io.gradus.nn.Module;
import io.gradus.tensor.GradMode;
import io.gradus.tensor.Scope;
import io.gradus.tensor.Tensor;
import java.io.IOException;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.SplittableRandom;

/**
 * The transformer of {@link CharGpt} with its characters: what goes on with a text. It is kept in
 * one safetensors file, whose metadata hold the characters and the number of heads; everything else
 * follows from the weights' shapes.
 *
 * <pre>{@code
 * CharGptModel model = CharGptModel.load(file, Device.best());
 * System.out.println(model.sample(500, 1));
 * }</pre>
 */
public final class CharGptModel {
  /** The recipe's name in the metadata. */
  public static final String RECIPE = "char-gpt";

  private static final String VERSION = "1";
  private static final int MAX_LAYERS = 1000;

  private final CharGptNetwork network;
  private final CharVocabulary vocabulary;
  private final Device device;

  /** A network on a device, and the characters of its numbers. */
  CharGptModel(CharGptNetwork network, CharVocabulary vocabulary, Device device) {
    this.network = network;
    this.vocabulary = vocabulary;
    this.device = device;
  }

  /** The network, from numbers {@code [N, L]} to logits {@code [N, L, V]}. */
  public Module network() {
    return network;
  }

  /** The characters. */
  public CharVocabulary vocabulary() {
    return vocabulary;
  }

  /**
   * Text that the network makes up, each character drawn by its probability; it goes on after a
   * line's end, or after the first character where there is no such.
   *
   * @param length characters
   * @param seed of the draws
   * @throws ArgumentException when the length is negative
   */
  public String sample(int length, long seed) {
    Checks.argument(length >= 0, "[char-gpt] a sample of %d characters: at least 0", length);
    SplittableRandom random = new SplittableRandom(seed);
    int[] made = new int[length + 1];
    made[0] = Math.max(0, vocabulary.characters().indexOf('\n'));
    boolean training = network.isTraining();
    network.eval();
    try (GradMode.Guard g = GradMode.noGrad()) {
      for (int i = 1; i <= length; i++) {
        int from = Math.max(0, i - network.context());
        long[] seen = Arrays.stream(made, from, i).asLongStream().toArray();
        try (Scope s = Scope.open()) {
          Tensor logits = network.call(Tensor.of(seen, 1, seen.length).to(device));
          double[] scores = logits.select(0, 0).select(0, seen.length - 1L).toDoubles();
          made[i] = draw(scores, random.nextDouble());
        }
      }
    } finally {
      network.train(training);
    }
    return vocabulary.decode(Arrays.copyOfRange(made, 1, made.length));
  }

  /** The number at which the sum of the softmax's probabilities passes a share. */
  private static int draw(double[] scores, double share) {
    double highest = Arrays.stream(scores).max().orElse(0);
    double total = Arrays.stream(scores).map(x -> Math.exp(x - highest)).sum();
    double rest = share * total;
    for (int i = 0; i < scores.length; i++) {
      rest -= Math.exp(scores[i] - highest);
      if (rest < 0) {
        return i;
      }
    }
    return scores.length - 1;
  }

  /**
   * Writes the model.
   *
   * @param data what it was trained on, for people
   * @throws IOException when the file cannot be written; an older one stays then
   */
  public void save(Path file, String data) throws IOException {
    Map<String, String> metadata = new LinkedHashMap<>();
    metadata.put("format", "gradus");
    metadata.put("gradus.version", VERSION);
    metadata.put("recipe", RECIPE);
    metadata.put("data", data);
    metadata.put("gradus.heads", Integer.toString(network.heads()));
    metadata.put("gradus.characters", vocabulary.characters());
    SafeTensors.save(file, network.stateDict(), metadata);
  }

  /**
   * Reads a model.
   *
   * @throws IOException when the file cannot be read
   * @throws FormatException when it is damaged or not such a model
   */
  public static CharGptModel load(Path file, Device device) throws IOException {
    try (TensorFile content = SafeTensors.load(file)) {
      try {
        Map<String, String> metadata = content.metadata();
        String recipe = required(metadata, "recipe");
        Checks.argument(recipe.equals(RECIPE), "it is a model of %s, not of %s", recipe, RECIPE);
        String version = required(metadata, "gradus.version");
        Checks.argument(
            version.equals(VERSION), "it is of version %s, this reads %s", version, VERSION);
        CharVocabulary vocabulary = CharVocabulary.of(required(metadata, "gradus.characters"));
        int heads = Integer.parseInt(required(metadata, "gradus.heads"));
        Tensor positions = content.get("positions");
        Checks.argument(positions.rank() == 2, "positions %s is no matrix", positions.shape());
        int layers = 0;
        while (content.tensors().containsKey("blocks." + layers + ".up.weight")) {
          layers++;
        }
        Checks.argument(layers <= MAX_LAYERS, "it has %d layers", layers);
        // Extents come from tensors that are there, so that none is larger than the file.
        CharGptNetwork network =
            new CharGptNetwork(
                vocabulary.size(),
                Math.toIntExact(positions.size(0)),
                layers,
                heads,
                Math.toIntExact(positions.size(1)),
                0);
        network.loadStateDict(content.tensors());
        network.to(device);
        network.eval();
        return new CharGptModel(network, vocabulary, device);
      } catch (IllegalArgumentException | ArithmeticException | GradusException e) {
        throw new FormatException(
            "[char-gpt] " + file + " cannot be used: " + e.getMessage() + "; train it again", e);
      }
    }
  }

  private static String required(Map<String, String> metadata, String key) {
    String value = metadata.get(key);
    if (value == null) {
      throw new ArgumentException("its metadata lack " + key);
    }
    return value;
  }
}
