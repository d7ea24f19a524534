package io.gradus.data;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.gradus.core.ArgumentException;
import io.gradus.core.FormatException;
import io.gradus.core.Shape;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

final class CsvTest {
  @TempDir Path dir;

  @Test
  void aHeaderNamesColumnsAndTheLastHoldsTheLabel() throws IOException {
    TableDataset data = read("a,b,species\n1,2.5,dog\n-3,4e2,cat\n.5,0,dog\n");
    assertEquals(Shape.of(2), data.sampleShape());
    assertEquals(List.of("a", "b"), data.featureNames());
    assertEquals(List.of("cat", "dog"), data.classNames());
    assertEquals(1, data.label(0));
    assertEquals(0, data.label(1));
    assertArrayEquals(new float[] {-3, 400}, Fixtures.sample(data, 1));
  }

  @Test
  void aNamedLabelColumnWins() throws IOException {
    TableDataset data = read("a;Class;b\n1;7;3\n2;-1;4\n");
    assertEquals(List.of("a", "b"), data.featureNames());
    assertEquals(List.of("-1", "7"), data.classNames());
    assertEquals(1, data.label(0));
    TableDataset numberedColumns = read("0,1,target\n5,6,1\n7,8,0\n");
    assertEquals(2, numberedColumns.size());
    assertEquals(List.of("0", "1"), numberedColumns.featureNames());
  }

  @Test
  void withoutAHeaderEveryRowIsData() throws IOException {
    TableDataset data = read("\uFEFF1,2,10\r\n\"3\",4,9\r\n\r\n5,6,10.0");
    assertEquals(3, data.size());
    assertEquals(List.of("9", "10"), data.classNames());
    assertArrayEquals(new int[] {1, 0, 1}, new int[] {data.label(0), data.label(1), data.label(2)});
    TableDataset words = read("1,M,17\n2,B,18\n", 1);
    assertEquals(2, words.size());
    assertEquals(List.of("B", "M"), words.classNames());
    assertArrayEquals(new float[] {2, 18}, Fixtures.sample(words, 1));
    assertEquals(1, read("1\t2\n").size());
  }

  @Test
  void wideRowsAreRead() throws IOException {
    StringBuilder text = new StringBuilder();
    for (int row = 0; row < 3; row++) {
      for (int c = 0; c < 3072; c++) {
        text.append("0.123456789012345678901,");
      }
      text.append(row).append('\n');
    }
    assertEquals(Shape.of(3072), read(text.toString()).sampleShape());
  }

  @Test
  void mistakesAreNamedByLineAndColumn() {
    assertMessage("a,b,y\n1,2,0\n1,,0\n", "line 3, column 'b': the value is missing");
    assertMessage("a,b,y\n1,2,0\n1,?,0\n", "line 3, column 'b': the value is missing");
    assertMessage("1,2,\n3,4,5\n", "line 1, column 'column 3': the value is missing");
    assertMessage("a,b,y\n1,2,0\nx,2,0\n", "line 3, column 'a': 'x' is not a finite number");
    assertMessage("a,b,y\n1,2,0\n1e99,2,0\n", "line 3, column 'a': '1e99' is not a finite number");
    assertMessage("a,b,y\n1,2,0\n1f,2,0\n", "'1f' is not a finite number");
    assertMessage("a,b,y\n1,2,0\n1,2\n", "line 3 has 2 fields where the first row has 3");
    assertMessage("a,b,y\n1,2,0\n1,2,3,4\n", "line 3 has 4 fields where the first row has 3");
    assertMessage("1,x,0\n2,3,1\n", "line 1 has numbers and also words over numbers");
    assertMessage("1,2,0.5\n1,2,1\n", "line 1: the label column holds 0.5, which is not a class");
    assertMessage("1\n2\n", "has one column");
    assertMessage("", "has no row of data");
    assertMessage("a,b\n\"1,2\n", "cannot be read as CSV");
  }

  @Test
  void tooManyLabelsAndColumnsThatAreNotThereAreRefused() throws IOException {
    StringBuilder text = new StringBuilder();
    for (int i = 0; i <= 10_000; i++) {
      text.append("1,").append(i).append('\n');
    }
    assertMessage(text.toString(), "line 10001, column 'column 2': more than 10000 different");
    Path file = Files.writeString(dir.resolve("d.csv"), "1,2\n");
    assertThrows(FormatException.class, () -> Datasets.csv(file, 2));
    assertThrows(ArgumentException.class, () -> Datasets.csv(file, -2));
  }

  @Test
  void oneFileIsSplitAndTheSplitIsFixed() throws IOException {
    StringBuilder text = new StringBuilder("f,label\n");
    for (int i = 0; i < 100; i++) {
      text.append(i).append(',').append(i % 2).append('\n');
    }
    Files.write(
        dir.resolve("only.csv.gz"),
        Fixtures.gzip(text.toString().getBytes(StandardCharsets.UTF_8)));
    TrainTest data = Datasets.open(dir);
    assertEquals(80, data.train().size());
    assertEquals(20, data.test().size());
    TrainTest again = Datasets.open(dir.resolve("only.csv.gz"));
    assertArrayEquals(Fixtures.sample(data.test(), 3), Fixtures.sample(again.test(), 3));
  }

  @Test
  void twoFilesShareClasses() throws IOException {
    Files.writeString(dir.resolve("train.csv"), "f,g,label\n1,2,b\n3,4,a\n");
    Path test = Files.writeString(dir.resolve("test.csv"), "f,g,label\n5,6,b\n");
    TrainTest data = Datasets.open(dir);
    assertEquals(List.of("a", "b"), data.test().classNames());
    assertEquals(1, data.test().label(0));
    Files.writeString(test, "f,g,label\n5,6,b\n7,8,c\n");
    assertFolderMessage("test.csv, line 3: label 'c' does not occur in the training table");
    Files.writeString(test, "g,f,label\n5,6,b\n");
    assertFolderMessage("has the columns [g, f, label] but");
    Files.delete(test);
    Files.writeString(dir.resolve("other.csv"), "1,2\n");
    assertFolderMessage("holds 2 tables (other.csv, train.csv)");
  }

  private void assertFolderMessage(String part) {
    FormatException e = assertThrows(FormatException.class, () -> Datasets.open(dir));
    assertTrue(e.getMessage().contains(part), e.getMessage());
  }

  private TableDataset read(String text) throws IOException {
    return Datasets.csv(Files.writeString(dir.resolve("data.csv"), text));
  }

  private TableDataset read(String text, int labelColumn) throws IOException {
    return Datasets.csv(Files.writeString(dir.resolve("data.csv"), text), labelColumn);
  }

  private void assertMessage(String text, String part) {
    FormatException e = assertThrows(FormatException.class, () -> read(text));
    assertTrue(e.getMessage().contains(part), e.getMessage());
    assertTrue(e.getMessage().startsWith("[csv] "), e.getMessage());
    assertEquals(1, e.getMessage().lines().count(), e.getMessage());
  }
}
