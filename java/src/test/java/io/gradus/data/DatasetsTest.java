package io.gradus.data;

import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.gradus.core.ArgumentException;
import io.gradus.core.FormatException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

final class DatasetsTest {
  @TempDir Path dir;

  @Test
  void anUnknownFolderSaysWhatWasLookedFor() throws IOException {
    assertLookedFor(dir);
    Files.createDirectory(dir.resolve("empty"));
    assertLookedFor(dir);
    assertLookedFor(Files.writeString(dir.resolve("notes.txt"), "x"));
    assertLookedFor(dir);
  }

  private static void assertLookedFor(Path path) {
    ArgumentException e = assertThrows(ArgumentException.class, () -> Datasets.open(path));
    for (String name :
        new String[] {
          "train-images-idx3-ubyte", "data_batch_1.bin", "train.csv", "<class>/*.png"
        }) {
      assertTrue(e.getMessage().contains(name), e.getMessage());
    }
  }

  @Test
  void aPathThatIsNotThereIsNamed() {
    ArgumentException e =
        assertThrows(ArgumentException.class, () -> Datasets.open(dir.resolve("nowhere")));
    assertTrue(e.getMessage().contains("nowhere does not exist"), e.getMessage());
  }

  @Test
  void aSampleAloneCannotBeSplit() throws IOException {
    Path file = Files.writeString(dir.resolve("one.csv"), "1,2\n");
    assertThrows(FormatException.class, () -> Datasets.open(file));
  }
}
