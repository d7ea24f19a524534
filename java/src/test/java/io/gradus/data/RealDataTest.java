package io.gradus.data;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.gradus.core.Shape;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;

/** The published files, where the folder named by {@code -Dgradus.data} has them. */
final class RealDataTest {
  private static Path folder(String name) {
    Path dir = Path.of(System.getProperty("gradus.data", "no-data-sets"), name);
    assumeTrue(Files.isDirectory(dir), "no data sets at " + dir.toAbsolutePath());
    return dir;
  }

  @Test
  void mnist() throws IOException {
    TrainTest data = Datasets.open(folder("mnist"));
    assertEquals(60_000, data.train().size());
    assertEquals(10_000, data.test().size());
    assertEquals(Shape.of(28, 28, 1), data.train().sampleShape());
    assertLabels(data.train(), 5, 0, 4, 1, 9);
    assertLabels(data.test(), 7, 2, 1, 0, 4);
    assertEquals(27525, pixelSum(data.train(), 0));
    Standardise s = Standardise.learn(data.train());
    assertEquals(0.13066047f, s.mean()[0], 1e-7f);
    assertEquals(0.3081078f, s.std()[0], 1e-7f);
  }

  @Test
  void fashionMnist() throws IOException {
    Dataset test = Datasets.open(folder("fashion-mnist")).test();
    assertEquals(10_000, test.size());
    assertLabels(test, 9, 2, 1, 1, 6);
    assertEquals("Ankle boot", test.classNames().get(test.label(0)));
    assertEquals(1000, count(test, 3));
  }

  @Test
  void cifar10() throws IOException {
    Path dir = folder("cifar10");
    Path batch = SourceFiles.find(dir, "test_batch.bin");
    assumeTrue(batch != null, "no test batch at " + dir);
    ImageDataset test = Cifar10.read("test", List.of(batch), Labels.numbered(10));
    assertEquals(10_000, test.size());
    assertLabels(test, 3, 8, 8, 0, 6);
    assertEquals(1000, count(test, 9));
    assertEquals(158, test.pixels(0)[0] & 0xFF);
    assertEquals(112, test.pixels(0)[1] & 0xFF);
    assertEquals(49, test.pixels(0)[2] & 0xFF);
  }

  @Test
  void tables() throws IOException {
    TrainTest pima = Datasets.open(folder("pima"));
    assertEquals(Shape.of(8), pima.train().sampleShape());
    assertEquals(614, pima.train().size());
    assertEquals(154, pima.test().size());
    assertEquals(268, count(pima.train(), 1) + count(pima.test(), 1));
    Path small = folder("uci-small");
    TableDataset iris = Datasets.csv(small.resolve("iris.csv.gz"));
    assertEquals(150, iris.size());
    assertEquals(50, count(iris, 2));
    assertEquals("sepal_length", iris.featureNames().get(0));
    TableDataset wine = Datasets.csv(small.resolve("wine.data"), 0);
    assertEquals(178, wine.size());
    assertEquals(3, wine.classes());
    assertEquals(59, count(wine, wine.classNames().indexOf("1")));
    assertEquals(Shape.of(13), wine.sampleShape());
    TableDataset wdbc = Datasets.csv(small.resolve("wdbc.data.gz"), 1);
    assertEquals(569, wdbc.size());
    assertEquals(212, count(wdbc, wdbc.classNames().indexOf("M")));
    assertEquals(3823, Datasets.csv(small.resolve("optdigits.tra.gz")).size());
    TableDataset red = Datasets.csv(small.resolve("winequality-red.csv.gz"));
    assertEquals(1599, red.size());
    assertEquals(List.of("3", "4", "5", "6", "7", "8"), red.classNames());
    assertTrue(red.featureNames().contains("fixed acidity"));
  }

  private static void assertLabels(Dataset data, int... labels) {
    for (int i = 0; i < labels.length; i++) {
      assertEquals(labels[i], data.label(i), "label " + i);
    }
  }

  private static int count(Dataset data, int label) {
    int n = 0;
    for (int i = 0; i < data.size(); i++) {
      n += data.label(i) == label ? 1 : 0;
    }
    return n;
  }

  private static int pixelSum(Dataset data, int index) {
    int sum = 0;
    for (byte b : ((ImageDataset) data).pixels(index)) {
      sum += b & 0xFF;
    }
    return sum;
  }
}
