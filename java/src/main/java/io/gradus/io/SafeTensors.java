package io.gradus.io;

import io.gradus.core.ArgumentException;
import io.gradus.core.DType;
import io.gradus.core.Device;
import io.gradus.core.FormatException;
import io.gradus.core.Shape;
import io.gradus.io.SafeTensorsHeader.Entry;
import io.gradus.tensor.GradMode;
import io.gradus.tensor.Scope;
import io.gradus.tensor.Tensor;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.ReadableByteChannel;
import java.nio.channels.SeekableByteChannel;
import java.nio.channels.WritableByteChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.Collections;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * Tensors in files of the safetensors format: an 8-byte little-endian header length, a JSON header,
 * and the raw little-endian contents. Any safetensors reader opens what is saved here, and any
 * well-formed file whose element types Gradus has can be loaded.
 *
 * <p>Tensors are streamed in pieces, so neither way needs the whole file in memory besides the
 * tensors themselves.
 *
 * <p>Source: github.com/huggingface/safetensors, README, section Format.
 *
 * <pre>{@code
 * SafeTensors.save(path, model.stateDict(), Map.of("model", "cnn"));
 * try (TensorFile file = SafeTensors.load(path)) {
 *   Tensor weight = file.get("fc1.weight");
 * }
 * }</pre>
 */
public final class SafeTensors {
  /** The name of the tensor that seals a file with the SHA-256 of every byte before it. */
  static final String SEAL = "__sha256__";

  private static final int SEAL_BYTES = 32;
  private static final int PIECE = 1 << 26;

  private SafeTensors() {}

  /**
   * Saves tensors as a file, which replaces an existing one atomically.
   *
   * @param path the file to write; missing folders are made
   * @param tensors the tensors by name; the order is kept
   * @param metadata free text pairs to store beside them, may be empty
   * @throws ArgumentException when a name is reserved or the header gets too large for the format
   * @throws IOException when it cannot be written; the file that was there before is unchanged
   */
  public static void save(Path path, Map<String, Tensor> tensors, Map<String, String> metadata)
      throws IOException {
    AtomicFiles.write(path, out -> write(out, tensors, metadata));
  }

  /**
   * Loads a file's tensors to the CPU.
   *
   * @throws FormatException when the file is damaged or not of this format
   * @throws IOException when it cannot be read
   */
  public static TensorFile load(Path path) throws IOException {
    return load(path, Device.cpu());
  }

  /**
   * Loads a file's tensors to a device.
   *
   * @throws FormatException when the file is damaged or not of this format
   * @throws IOException when it cannot be read
   */
  public static TensorFile load(Path path, Device device) throws IOException {
    return load(path, device, null);
  }

  /** Writes a file that ends in a {@link #SEAL}. */
  static void writeSealed(
      WritableByteChannel out, Map<String, Tensor> tensors, Map<String, String> metadata)
      throws IOException {
    Map<String, SafeTensorsHeader.Spec> specs = specs(tensors);
    // The seal comes last in the file: one-byte types do, and the order among them is kept.
    specs.put(SEAL, new SafeTensorsHeader.Spec(DType.UINT8, Shape.of(SEAL_BYTES)));
    MessageDigest digest = sha256();
    WritableByteChannel digesting = new DigestingWriter(out, digest);
    write(digesting, SafeTensorsHeader.place(specs, metadata), tensors);
    out.write(ByteBuffer.wrap(digest.digest()));
  }

  /**
   * Loads a file that {@link #writeSealed} wrote, without the seal.
   *
   * @throws FormatException also when the seal is missing or does not fit the content
   */
  static TensorFile loadSealed(Path path, Device device) throws IOException {
    return load(path, device, sha256());
  }

  private static void write(
      WritableByteChannel out, Map<String, Tensor> tensors, Map<String, String> metadata)
      throws IOException {
    write(out, SafeTensorsHeader.place(specs(tensors), metadata), tensors);
  }

  private static Map<String, SafeTensorsHeader.Spec> specs(Map<String, Tensor> tensors) {
    Map<String, SafeTensorsHeader.Spec> specs = new LinkedHashMap<>();
    tensors.forEach((name, t) -> specs.put(name, new SafeTensorsHeader.Spec(t.dtype(), t.shape())));
    return specs;
  }

  private static void write(
      WritableByteChannel out, SafeTensorsHeader header, Map<String, Tensor> tensors)
      throws IOException {
    byte[] json = header.encode();
    out.write(littleEndian(Long.BYTES).putLong(0, json.length));
    out.write(ByteBuffer.wrap(json));
    for (Entry entry : header.inFileOrder()) {
      Tensor tensor = tensors.get(entry.name());
      if (tensor != null) {
        write(out, tensor, PIECE);
      }
    }
  }

  @SuppressWarnings("try")
  static void write(WritableByteChannel out, Tensor tensor, int pieceBytes) throws IOException {
    long numel = tensor.numel();
    int piece = pieceBytes / tensor.dtype().bytes();
    if (numel <= piece) {
      out.write(tensor.toBytes());
      return;
    }
    try (Scope outer = Scope.open();
        GradMode.Guard guard = GradMode.noGrad()) {
      Tensor flat = tensor.detach().reshape(numel);
      for (long at = 0; at < numel; at += piece) {
        try (Scope inner = Scope.open()) {
          out.write(flat.slice(0, at, Math.min(numel, at + piece)).toBytes());
        }
      }
    }
  }

  private static TensorFile load(Path path, Device device, @Nullable MessageDigest digest)
      throws IOException {
    try (SeekableByteChannel in = Files.newByteChannel(path)) {
      long size = in.size();
      ByteBuffer prefix = littleEndian(Long.BYTES);
      if (size < Long.BYTES) {
        throw SafeTensorsHeader.corrupt(path, "it has %d bytes, too few for a header", size);
      }
      read(in, prefix, digest, path);
      long length = prefix.getLong(0);
      if (length < 0 || length > SafeTensorsHeader.MAX_BYTES) {
        throw SafeTensorsHeader.corrupt(
            path,
            "the header claims %s bytes, the limit is %d",
            Long.toUnsignedString(length),
            SafeTensorsHeader.MAX_BYTES);
      }
      long dataBytes = size - Long.BYTES - length;
      if (dataBytes < 0) {
        throw SafeTensorsHeader.corrupt(
            path, "truncated: the header claims %d bytes, the file has %d", length, size);
      }
      ByteBuffer json = ByteBuffer.allocate((int) length);
      read(in, json, digest, path);
      return readTensors(
          in, SafeTensorsHeader.parse(json.array(), dataBytes, path), device, digest, path);
    }
  }

  private static TensorFile readTensors(
      ReadableByteChannel in,
      SafeTensorsHeader header,
      Device device,
      @Nullable MessageDigest digest,
      Path path)
      throws IOException {
    Map<String, Tensor> read = new HashMap<>();
    boolean complete = false;
    boolean sealed = false;
    try {
      for (Entry entry : header.inFileOrder()) {
        if (digest != null && entry.name().equals(SEAL)) {
          checkSeal(in, entry, digest, path);
          sealed = true;
        } else if (sealed) {
          throw SafeTensorsHeader.corrupt(path, "data follows the checksum");
        } else {
          read.put(entry.name(), readTensor(in, entry, device, digest, path, PIECE));
        }
      }
      if (digest != null && !sealed) {
        throw SafeTensorsHeader.corrupt(path, "it has no checksum and so is no checkpoint");
      }
      complete = true;
    } finally {
      if (!complete) {
        read.values().forEach(Tensor::close);
      }
    }
    Map<String, Tensor> tensors = new LinkedHashMap<>();
    for (Entry entry : header.entries()) {
      Tensor tensor = read.get(entry.name());
      if (tensor != null) {
        tensors.put(entry.name(), tensor);
      }
    }
    return new TensorFile(
        Collections.unmodifiableMap(tensors), Collections.unmodifiableMap(header.metadata()));
  }

  private static void checkSeal(
      ReadableByteChannel in, Entry entry, MessageDigest digest, Path path) throws IOException {
    if (entry.bytes() != SEAL_BYTES) {
      throw SafeTensorsHeader.corrupt(path, "its checksum has %d bytes", entry.bytes());
    }
    byte[] computed = digest.digest();
    ByteBuffer stored = ByteBuffer.allocate(SEAL_BYTES);
    read(in, stored, null, path);
    if (!MessageDigest.isEqual(computed, stored.array())) {
      throw SafeTensorsHeader.corrupt(path, "its SHA-256 checksum does not match its content");
    }
  }

  @SuppressWarnings("try")
  static Tensor readTensor(
      ReadableByteChannel in,
      Entry entry,
      Device device,
      @Nullable MessageDigest digest,
      Path path,
      int pieceBytes)
      throws IOException {
    int piece = pieceBytes / entry.dtype().bytes();
    long numel = entry.shape().numel();
    if (numel <= piece) {
      ByteBuffer bytes = readPiece(in, entry, (int) entry.bytes(), digest, path);
      return Tensor.fromBytes(entry.dtype(), entry.shape(), bytes, device);
    }
    Tensor tensor = Tensor.empty(device, entry.dtype(), entry.shape());
    boolean complete = false;
    try (Scope outer = Scope.open();
        GradMode.Guard guard = GradMode.noGrad()) {
      Tensor flat = tensor.reshape(numel);
      for (long at = 0; at < numel; at += piece) {
        try (Scope inner = Scope.open()) {
          int n = (int) Math.min(piece, numel - at);
          ByteBuffer bytes = readPiece(in, entry, n * entry.dtype().bytes(), digest, path);
          flat.slice(0, at, at + n)
              .copyFrom(Tensor.fromBytes(entry.dtype(), Shape.of(n), bytes, device));
        }
      }
      complete = true;
    } finally {
      if (!complete) {
        tensor.close();
      }
    }
    return tensor;
  }

  private static ByteBuffer readPiece(
      ReadableByteChannel in, Entry entry, int length, @Nullable MessageDigest digest, Path path)
      throws IOException {
    ByteBuffer bytes = littleEndian(length);
    read(in, bytes, digest, path);
    if (entry.dtype() == DType.BOOL) {
      for (int i = 0; i < length; i++) {
        byte b = bytes.get(i);
        if (b != 0 && b != 1) {
          throw SafeTensorsHeader.corrupt(
              path,
              "tensor '%s' is BOOL but holds the byte %d",
              SafeTensorsHeader.quote(entry.name()),
              b & 0xff);
        }
      }
    }
    return bytes;
  }

  /** Fills a buffer and makes it ready for reading. */
  private static void read(
      ReadableByteChannel in, ByteBuffer bytes, @Nullable MessageDigest digest, Path path)
      throws IOException {
    while (bytes.hasRemaining()) {
      if (in.read(bytes) < 0) {
        throw SafeTensorsHeader.corrupt(path, "truncated while it was read");
      }
    }
    bytes.flip();
    if (digest != null) {
      digest.update(bytes.duplicate());
    }
  }

  private static ByteBuffer littleEndian(int bytes) {
    return ByteBuffer.allocate(bytes).order(ByteOrder.LITTLE_ENDIAN);
  }

  private static MessageDigest sha256() {
    try {
      return MessageDigest.getInstance("SHA-256");
    } catch (NoSuchAlgorithmException e) {
      throw new IllegalStateException("[safetensors] this Java platform lacks SHA-256", e);
    }
  }

  private record DigestingWriter(WritableByteChannel out, MessageDigest digest)
      implements WritableByteChannel {
    @Override
    public int write(ByteBuffer bytes) throws IOException {
      digest.update(bytes.duplicate());
      return out.write(bytes);
    }

    @Override
    public boolean isOpen() {
      return out.isOpen();
    }

    @Override
    public void close() throws IOException {
      out.close();
    }
  }
}
