package io.gradus.benchmarks.engines;

import java.io.BufferedInputStream;
import java.io.BufferedOutputStream;
import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/**
 * A plain file of named float arrays, by which the engines get the same weights and the same batch.
 * It lives for one run of the benchmark, between processes of one machine.
 */
public final class Arrays {
  /**
   * An array.
   *
   * @param name its name
   * @param dims its shape
   * @param data its elements, row-major
   */
  @SuppressWarnings("ArrayRecordComponent") // carried from file to engine, never compared
  public record Named(String name, long[] dims, float[] data) {}

  private Arrays() {}

  /** Writes a file. */
  public static void write(Path file, List<Named> arrays) throws IOException {
    try (DataOutputStream out =
        new DataOutputStream(new BufferedOutputStream(Files.newOutputStream(file)))) {
      out.writeInt(arrays.size());
      for (Named array : arrays) {
        out.writeUTF(array.name());
        out.writeInt(array.dims().length);
        for (long dim : array.dims()) {
          out.writeLong(dim);
        }
        ByteBuffer bytes = ByteBuffer.allocate(array.data().length * Float.BYTES);
        bytes.asFloatBuffer().put(array.data());
        out.write(bytes.array());
      }
    }
  }

  /** Reads a file. */
  public static List<Named> read(Path file) throws IOException {
    try (DataInputStream in =
        new DataInputStream(new BufferedInputStream(Files.newInputStream(file)))) {
      List<Named> arrays = new ArrayList<>();
      int count = in.readInt();
      for (int i = 0; i < count; i++) {
        String name = in.readUTF();
        long[] dims = new long[in.readInt()];
        long numel = 1;
        for (int d = 0; d < dims.length; d++) {
          dims[d] = in.readLong();
          numel = Math.multiplyExact(numel, dims[d]);
        }
        byte[] bytes = new byte[Math.toIntExact(numel * Float.BYTES)];
        in.readFully(bytes);
        float[] data = new float[(int) numel];
        ByteBuffer.wrap(bytes).asFloatBuffer().get(data);
        arrays.add(new Named(name, dims, data));
      }
      return arrays;
    }
  }
}
