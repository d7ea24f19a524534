package io.gradus.io;

import io.gradus.core.Device;
import io.gradus.core.FormatException;
import io.gradus.tensor.Tensor;
import java.io.IOException;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.NavigableMap;
import java.util.TreeMap;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Checkpoints in a folder: each save writes a file of the next number, and the two newest are kept.
 *
 * <p>A file is a safetensors file, so other tools open it. Tensors are named {@code group/name},
 * values stand in the metadata, and the last tensor, {@code __sha256__}, is the SHA-256 of every
 * byte before it. A new file gets its name only once it is fully on disk, and older ones are
 * deleted only after that: whatever happens during a save, the last good checkpoint stays loadable.
 * Should the newest be damaged later, loading falls back to the one before and says so.
 *
 * <p>A folder has one writer at a time.
 */
public final class Checkpoint {
  private static final int KEPT = 2;
  private static final String VERSION_KEY = "gradus.checkpoint";
  private static final long VERSION = 1;
  private static final Pattern NAME = Pattern.compile("checkpoint-([0-9]{6,18})\\.safetensors");

  private Checkpoint() {}

  /**
   * A checkpoint read from a folder.
   *
   * @param data its content
   * @param file the file it came from
   * @param skipped why newer files were passed over, one line each; empty when the newest was good
   */
  public record Loaded(CheckpointData data, Path file, List<String> skipped) {}

  /**
   * Saves a checkpoint to a folder, which is made where it is missing.
   *
   * @return the file written
   * @throws IOException when it cannot be written; earlier checkpoints stay as they are
   */
  public static Path save(Path directory, CheckpointData data) throws IOException {
    return save(FileLayer.SYSTEM, directory, data);
  }

  static Path save(FileLayer files, Path directory, CheckpointData data) throws IOException {
    NavigableMap<Long, Path> existing = list(directory);
    long number = existing.isEmpty() ? 1 : existing.lastKey() + 1;
    Path file = directory.resolve(String.format("checkpoint-%06d.safetensors", number));
    Map<String, Tensor> tensors = new LinkedHashMap<>();
    data.groups()
        .forEach((group, map) -> map.forEach((name, t) -> tensors.put(group + "/" + name, t)));
    Map<String, String> metadata = encode(data);
    AtomicFiles.write(files, file, out -> SafeTensors.writeSealed(out, tensors, metadata));
    existing.put(number, file);
    prune(files, directory, existing);
    return file;
  }

  /** Whether a folder holds a checkpoint, good or damaged. */
  public static boolean exists(Path directory) throws IOException {
    return !list(directory).isEmpty();
  }

  /**
   * Loads the newest good checkpoint of a folder to the CPU.
   *
   * @throws NoSuchFileException when the folder holds none
   * @throws FormatException when all are damaged
   * @throws IOException when the folder cannot be read
   */
  public static Loaded load(Path directory) throws IOException {
    return load(directory, Device.cpu());
  }

  /**
   * Loads the newest good checkpoint of a folder to a device.
   *
   * @throws NoSuchFileException when the folder holds none
   * @throws FormatException when all are damaged
   * @throws IOException when the folder cannot be read
   */
  public static Loaded load(Path directory, Device device) throws IOException {
    NavigableMap<Long, Path> existing = list(directory);
    if (existing.isEmpty()) {
      throw new NoSuchFileException(
          directory.toString(), null, "[checkpoint] there is none here: start a run first");
    }
    List<String> skipped = new ArrayList<>();
    for (Path file : existing.descendingMap().values()) {
      try {
        return new Loaded(decode(file, device), file, List.copyOf(skipped));
      } catch (IOException e) {
        String reason = e instanceof FormatException ? e.getMessage() : AtomicFiles.reason(e);
        skipped.add(file.getFileName() + ": " + reason);
        Log.LOG.warn("checkpoint {} cannot be used, trying the one before: {}", file, reason);
      }
    }
    throw new FormatException(
        "[checkpoint] no usable checkpoint in "
            + directory
            + " ("
            + String.join("; ", skipped)
            + "): restore a copy or start the run anew");
  }

  /** The checkpoint files of a folder by number; none where there is no folder. */
  private static NavigableMap<Long, Path> list(Path directory) throws IOException {
    TreeMap<Long, Path> found = new TreeMap<>();
    if (Files.isDirectory(directory)) {
      try (DirectoryStream<Path> stream = Files.newDirectoryStream(directory)) {
        for (Path file : stream) {
          Matcher name = NAME.matcher(file.getFileName().toString());
          if (name.matches()) {
            found.put(Long.parseLong(name.group(1)), file);
          }
        }
      }
    }
    return found;
  }

  /** Deletes what is older than the two newest, and what a killed process left half-written. */
  private static void prune(FileLayer files, Path directory, NavigableMap<Long, Path> existing) {
    try {
      while (existing.size() > KEPT) {
        files.delete(existing.pollFirstEntry().getValue());
      }
      try (DirectoryStream<Path> leftovers =
          Files.newDirectoryStream(
              directory, ".checkpoint-*.safetensors.*" + AtomicFiles.TEMPORARY_SUFFIX)) {
        for (Path leftover : leftovers) {
          files.delete(leftover);
        }
      }
    } catch (IOException e) {
      Log.LOG.warn(
          "old checkpoints in {} could not be removed: {}", directory, AtomicFiles.reason(e));
    }
  }

  private static Map<String, String> encode(CheckpointData data) {
    Map<String, String> metadata = new LinkedHashMap<>();
    metadata.put(VERSION_KEY, Long.toString(VERSION));
    data.groups().forEach((k, v) -> metadata.put("group:" + k, Integer.toString(v.size())));
    data.strings().forEach((k, v) -> metadata.put("string:" + k, v));
    data.longs().forEach((k, v) -> metadata.put("long:" + k, v.toString()));
    data.doubles()
        .forEach(
            (k, v) -> metadata.put("double:" + k, Long.toHexString(Double.doubleToRawLongBits(v))));
    return metadata;
  }

  static CheckpointData decode(Path file, Device device) throws IOException {
    TensorFile content = SafeTensors.loadSealed(file, device);
    boolean complete = false;
    try {
      CheckpointData data = new CheckpointData();
      checkVersion(content.metadata(), file);
      Map<String, Map<String, Tensor>> groups = new LinkedHashMap<>();
      for (Map.Entry<String, String> pair : content.metadata().entrySet()) {
        int colon = pair.getKey().indexOf(':');
        String key = pair.getKey().substring(colon + 1);
        switch (pair.getKey().substring(0, Math.max(0, colon))) {
          case "group" -> groups.put(key, new LinkedHashMap<>());
          case "string" -> data.putString(key, pair.getValue());
          case "long" -> data.putLong(key, Long.parseLong(pair.getValue()));
          case "double" ->
              data.putDouble(
                  key, Double.longBitsToDouble(Long.parseUnsignedLong(pair.getValue(), 16)));
          default -> {}
        }
      }
      for (Map.Entry<String, Tensor> tensor : content.tensors().entrySet()) {
        int slash = tensor.getKey().indexOf('/');
        Map<String, Tensor> group = groups.get(tensor.getKey().substring(0, Math.max(0, slash)));
        if (slash <= 0 || group == null) {
          throw SafeTensorsHeader.corrupt(
              file, "tensor '%s' is in no group", SafeTensorsHeader.quote(tensor.getKey()));
        }
        group.put(tensor.getKey().substring(slash + 1), tensor.getValue());
      }
      groups.forEach(data::putGroup);
      complete = true;
      return data;
    } catch (NumberFormatException e) {
      throw new FormatException(
          "[checkpoint] "
              + file
              + ": a stored number cannot be read ("
              + SafeTensorsHeader.quote(e.getMessage())
              + "); it was not written by Gradus, use another checkpoint",
          e);
    } finally {
      if (!complete) {
        content.close();
      }
    }
  }

  private static void checkVersion(Map<String, String> metadata, Path file) throws FormatException {
    String version = metadata.get(VERSION_KEY);
    if (version == null) {
      throw SafeTensorsHeader.corrupt(file, "it is no Gradus checkpoint");
    }
    if (!version.equals(Long.toString(VERSION))) {
      throw new FormatException(
          String.format(
              "[checkpoint] %s has format version %s, this build reads %d: use the build that"
                  + " wrote it",
              file, SafeTensorsHeader.quote(version), VERSION));
    }
  }

  /**
   * Made when there is something to say: without a logger SLF4J complains as soon as it is asked.
   */
  private static final class Log {
    static final Logger LOG = LoggerFactory.getLogger(Checkpoint.class);
  }
}
