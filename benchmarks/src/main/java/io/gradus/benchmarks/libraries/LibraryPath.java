package io.gradus.benchmarks.libraries;

import java.io.File;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/** Where shared libraries lie. */
public final class LibraryPath {
  private LibraryPath() {}

  /**
   * The files of libraries, in their order, each from the first folder that has it; those that no
   * folder has are left out.
   *
   * @param folders with colons between them, as in {@code LD_LIBRARY_PATH}
   */
  public static List<Path> find(String folders, List<String> names) {
    List<Path> found = new ArrayList<>();
    for (String name : names) {
      for (String folder : folders.split(File.pathSeparator, -1)) {
        Path file = Path.of(folder, name);
        if (!folder.isEmpty() && Files.exists(file)) {
          found.add(file.toAbsolutePath());
          break;
        }
      }
    }
    return found;
  }
}
