package io.gradus.data;

import io.gradus.core.FormatException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;

/** Tables as comma-separated text: a row per sample, numbers and one column with the class. */
final class Csv {
  /** What a folder must hold to be recognised. */
  static final String LOOKED_FOR = "CSV (one .csv file, or train.csv and test.csv)";

  private static final String FORMAT = "csv";

  private Csv() {}

  /** Whether the folder has a CSV file. */
  static boolean recognises(Path dir) throws IOException {
    return !files(dir).isEmpty();
  }

  /** Whether a single file is named like a table. */
  static boolean isTable(Path file) {
    String name = SourceFiles.fileName(file).toLowerCase(Locale.ROOT);
    for (String compression : SourceFiles.COMPRESSIONS) {
      for (String suffix : List.of(".csv", ".tsv", ".data")) {
        if (name.endsWith(suffix + compression)) {
          return true;
        }
      }
    }
    return false;
  }

  /** Reads train.csv and test.csv, or splits the only file. */
  static TrainTest open(Path dir) throws IOException {
    Path trainFile = SourceFiles.find(dir, "train.csv");
    Path testFile = SourceFiles.find(dir, "test.csv");
    if (trainFile != null && testFile != null) {
      CsvTable train = CsvTable.read(trainFile, CsvTable.BY_NAME);
      CsvTable test = CsvTable.read(testFile, CsvTable.BY_NAME);
      test.requireColumnsOf(train);
      CsvClasses classes = CsvClasses.of(train);
      return new TrainTest(
          train.dataset(SourceFiles.dataName(dir, "train"), classes),
          test.dataset(SourceFiles.dataName(dir, "test"), classes));
    }
    List<Path> files = files(dir);
    if (files.size() != 1) {
      throw new FormatException(
          String.format(
              "[%s] %s holds %d tables (%s): name one of them, or call two train.csv and test.csv",
              FORMAT,
              dir,
              files.size(),
              String.join(", ", files.stream().map(SourceFiles::fileName).limit(10).toList())));
    }
    return Datasets.splitOnce(FORMAT, files.get(0), open(files.get(0), CsvTable.BY_NAME));
  }

  /** Reads one file whole; a label column of {@link CsvTable#BY_NAME} looks for its name. */
  static TableDataset open(Path file, int labelColumn) throws IOException {
    CsvTable table = CsvTable.read(file, labelColumn);
    return table.dataset(SourceFiles.fileName(file), CsvClasses.of(table));
  }

  private static List<Path> files(Path dir) throws IOException {
    List<Path> out = new ArrayList<>();
    for (Path file : SourceFiles.list(dir)) {
      String name = SourceFiles.fileName(file).toLowerCase(Locale.ROOT);
      boolean csv = SourceFiles.COMPRESSIONS.stream().anyMatch(c -> name.endsWith(".csv" + c));
      if (csv && Files.isRegularFile(file)) {
        out.add(file);
      }
    }
    return out;
  }
}
