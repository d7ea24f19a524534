package io.gradus.data;

import io.gradus.core.FormatException;
import io.gradus.core.Shape;
import io.gradus.data.Images.Pixels;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/** Image files in one folder per class. */
final class ImageFolder {
  /** What a folder must hold to be recognised. */
  static final String LOOKED_FOR =
      "an image folder (<class>/*.png, or train/<class>/*.png and test/<class>/*.png; also jpg,"
          + " gif, bmp)";

  private static final String FORMAT = "imagefolder";
  private static final List<String> TEST_NAMES = List.of("test", "val", "valid", "validation");
  private static final int MAX_IMAGES = 5_000_000;

  private ImageFolder() {}

  /** Whether there are images one folder down, or two below {@code train}. */
  static boolean recognises(Path dir) throws IOException {
    return hasClasses(dir) || hasClasses(dir.resolve("train"));
  }

  private static boolean hasClasses(Path dir) throws IOException {
    if (Files.isDirectory(dir)) {
      for (Path sub : SourceFiles.list(dir)) {
        if (Files.isDirectory(sub) && !images(sub).isEmpty()) {
          return true;
        }
      }
    }
    return false;
  }

  /** Reads the two parts, or splits the only one. */
  static TrainTest open(Path dir) throws IOException {
    Path train = dir.resolve("train");
    if (!hasClasses(train)) {
      return Datasets.splitOnce(
          FORMAT, dir, new Part(dir, classes(dir)).read(SourceFiles.dataName(dir, "all")));
    }
    List<String> classes = classes(train);
    for (String name : TEST_NAMES) {
      Path test = dir.resolve(name);
      if (Files.isDirectory(test)) {
        for (String c : classes(test)) {
          if (!classes.contains(c)) {
            throw new FormatException(
                String.format(
                    "[%s] class folder %s has no counterpart in %s: add training images or remove"
                        + " it",
                    FORMAT, test.resolve(c), train));
          }
        }
        Part trainPart = new Part(train, classes);
        Part testPart = new Part(test, classes);
        trainPart.decode(null);
        testPart.decode(trainPart);
        int channels = Math.max(trainPart.channels, testPart.channels);
        return new TrainTest(
            trainPart.dataset(SourceFiles.dataName(dir, "train"), channels),
            testPart.dataset(SourceFiles.dataName(dir, "test"), channels));
      }
    }
    return Datasets.splitOnce(
        FORMAT, train, new Part(train, classes).read(SourceFiles.dataName(dir, "train")));
  }

  private static List<String> classes(Path dir) throws IOException {
    List<String> out = new ArrayList<>();
    for (Path sub : SourceFiles.list(dir)) {
      if (Files.isDirectory(sub)) {
        out.add(SourceFiles.fileName(sub));
      }
    }
    return out;
  }

  private static List<Path> images(Path dir) throws IOException {
    List<Path> out = new ArrayList<>();
    for (Path file : SourceFiles.list(dir)) {
      if (Images.isImage(file) && Files.isRegularFile(file)) {
        out.add(file);
      }
    }
    return out;
  }

  /** The images below one folder of classes. */
  private static final class Part {
    private final Path dir;
    private final List<String> classes;
    private final List<Pixels> images = new ArrayList<>();
    private final List<Integer> labels = new ArrayList<>();
    private @Nullable Path firstFile;
    int channels = 1;

    Part(Path dir, List<String> classes) {
      this.dir = dir;
      this.classes = classes;
    }

    ImageDataset read(String name) throws IOException {
      decode(null);
      return dataset(name, channels);
    }

    /** Decodes all images, which must have one size, that of {@code model} where there is one. */
    void decode(@Nullable Part model) throws IOException {
      long bytes = 0;
      for (int label = 0; label < classes.size(); label++) {
        Path folder = dir.resolve(classes.get(label));
        List<Path> files = Files.isDirectory(folder) ? images(folder) : List.of();
        if (files.isEmpty() && model == null) {
          throw new FormatException(
              String.format(
                  "[%s] class folder %s holds no image: add some or remove it", FORMAT, folder));
        }
        for (Path file : files) {
          Pixels pixels = Images.decode(file);
          if (firstFile == null) {
            firstFile = file;
          }
          Part sized = model == null ? this : model;
          requireSize(file, pixels, sized.images.isEmpty() ? pixels : sized.images.get(0), sized);
          bytes += pixels.bytes.length;
          SourceFiles.fits(FORMAT, dir, bytes);
          channels = Math.max(channels, pixels.channels);
          images.add(pixels);
          labels.add(label);
        }
      }
      if (images.isEmpty() || images.size() > MAX_IMAGES) {
        throw new FormatException(
            String.format(
                "[%s] %s holds %d images: 1 to %d are read",
                FORMAT, dir, images.size(), MAX_IMAGES));
      }
    }

    private static void requireSize(Path file, Pixels pixels, Pixels first, Part sized)
        throws FormatException {
      if (pixels.width != first.width || pixels.height != first.height) {
        throw new FormatException(
            String.format(
                "[%s] %s is %dx%d pixels but %s is %dx%d: give all images one size",
                FORMAT,
                file,
                pixels.width,
                pixels.height,
                sized.firstFile,
                first.width,
                first.height));
      }
    }

    /** The images as a data set; grey ones become colour where it has any colour. */
    ImageDataset dataset(String name, int wantedChannels) throws FormatException {
      Pixels first = images.get(0);
      int size = first.height * first.width * wantedChannels;
      SourceFiles.fits(FORMAT, dir, (long) size * images.size());
      byte[] out = new byte[size * images.size()];
      int[] classOf = new int[images.size()];
      for (int i = 0; i < classOf.length; i++) {
        System.arraycopy(images.get(i).withChannels(wantedChannels), 0, out, i * size, size);
        classOf[i] = labels.get(i);
      }
      Shape shape = Shape.of(first.height, first.width, wantedChannels);
      return new ImageDataset(name, shape, classes, out, classOf);
    }
  }
}
