package io.gradus.io;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.gradus.core.ArgumentException;
import io.gradus.core.DType;
import io.gradus.core.Device;
import io.gradus.core.Shape;
import io.gradus.tensor.Tensor;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.Channels;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class SafeTensorsTest {
  @TempDir Path folder;

  private static Map<String, Tensor> oneOfEachType() {
    Map<String, Tensor> tensors = new LinkedHashMap<>();
    tensors.put("mask", Tensor.of(new boolean[] {true, false, true}));
    tensors.put("z.weight", Tensor.of(new float[] {1.5f, -0.0f, Float.NaN, 4, 5, 6}, 2, 3));
    tensors.put("image", Tensor.of(new byte[] {0, 127, (byte) 255}));
    tensors.put("double", Tensor.of(new double[] {Math.PI, Double.MIN_VALUE}));
    tensors.put("a.bias", Tensor.of(new float[] {1, 2, 3}).to(DType.BFLOAT16));
    tensors.put("half", Tensor.of(new float[] {0.1f, 65504}).to(DType.FLOAT16));
    tensors.put("int", Tensor.of(new int[] {Integer.MIN_VALUE, 7}));
    tensors.put("long", Tensor.of(new long[] {Long.MAX_VALUE, -1}, 1, 2));
    tensors.put("scalar", Tensor.scalar(42));
    tensors.put("empty", Tensor.empty(Device.cpu(), DType.FLOAT32, Shape.of(0, 5)));
    return tensors;
  }

  private static byte[] bytes(Tensor tensor) {
    ByteBuffer buffer = tensor.toBytes();
    byte[] out = new byte[buffer.remaining()];
    buffer.get(out);
    return out;
  }

  @Test
  void everyTypeComesBackBitForBitAndInOrder() throws Exception {
    Path file = folder.resolve("deep/er/model.safetensors");
    Map<String, Tensor> saved = oneOfEachType();
    Map<String, String> metadata = new LinkedHashMap<>();
    metadata.put("z", "last first");
    metadata.put("a", "quote \" backslash \\ newline \n é 漢 😀");
    SafeTensors.save(file, saved, metadata);

    try (TensorFile loaded = SafeTensors.load(file)) {
      assertEquals(new ArrayList<>(saved.keySet()), new ArrayList<>(loaded.tensors().keySet()));
      assertEquals(metadata, loaded.metadata());
      assertEquals(List.of("z", "a"), new ArrayList<>(loaded.metadata().keySet()));
      for (String name : saved.keySet()) {
        assertEquals(saved.get(name).dtype(), loaded.get(name).dtype(), name);
        assertEquals(saved.get(name).shape(), loaded.get(name).shape(), name);
        assertArrayEquals(bytes(saved.get(name)), bytes(loaded.get(name)), name);
      }
      assertThrows(ArgumentException.class, () -> loaded.get("missing"));
    }
  }

  @Test
  void writesTheBytesOfTheFormat() throws Exception {
    Path file = folder.resolve("golden");
    Map<String, Tensor> tensors = new LinkedHashMap<>();
    tensors.put("b", Tensor.of(new byte[] {7}));
    tensors.put("w", Tensor.of(new float[] {1, 2}, 2, 1));
    SafeTensors.save(file, tensors, Map.of("k", "v"));

    String json =
        "{\"__metadata__\":{\"k\":\"v\"},"
            + "\"b\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[8,9]},"
            + "\"w\":{\"dtype\":\"F32\",\"shape\":[2,1],\"data_offsets\":[0,8]}}";
    json += " ".repeat((8 - json.length() % 8) % 8);
    ByteBuffer expected =
        ByteBuffer.allocate(8 + json.length() + 9)
            .order(ByteOrder.LITTLE_ENDIAN)
            .putLong(json.length())
            .put(json.getBytes(StandardCharsets.US_ASCII))
            .putFloat(1)
            .putFloat(2)
            .put((byte) 7);
    assertArrayEquals(expected.array(), Files.readAllBytes(file));
  }

  @Test
  void wideTypesComeFirstSoThatEveryTensorIsAligned() {
    Map<String, SafeTensorsHeader.Spec> specs = new LinkedHashMap<>();
    for (DType dtype : DType.values()) {
      specs.put(dtype + "", new SafeTensorsHeader.Spec(dtype, Shape.of(3)));
    }
    SafeTensorsHeader header = SafeTensorsHeader.place(specs, Map.of());
    for (SafeTensorsHeader.Entry entry : header.entries()) {
      assertEquals(0, entry.begin() % entry.dtype().bytes(), entry.name());
    }
  }

  @Test
  void opensWhatOtherWritersWrite() throws Exception {
    // No padding, white space inside, fields in another order and one unknown field.
    String json =
        "{ \"x\" : {\"data_offsets\":[0,4],\"extra\":{\"a\":[1]},\"shape\":[2],"
            + "\"dtype\":\"F16\"}, \"__metadata__\":{\"format\":\"pt\"} }";
    byte[] text = json.getBytes(StandardCharsets.UTF_8);
    byte[] file =
        ByteBuffer.allocate(8 + text.length + 4)
            .order(ByteOrder.LITTLE_ENDIAN)
            .putLong(text.length)
            .put(text)
            .putShort((short) 0x3c00)
            .putShort((short) 0xc000)
            .array();
    Path path = Files.write(folder.resolve("other.safetensors"), file);
    try (TensorFile loaded = SafeTensors.load(path)) {
      assertArrayEquals(new float[] {1, -2}, loaded.get("x").toFloats());
      assertEquals(Map.of("format", "pt"), loaded.metadata());
    }
  }

  @Test
  void viewsAreWrittenInRowMajorOrder() throws Exception {
    Path file = folder.resolve("view");
    Tensor view = Tensor.of(new float[] {1, 2, 3, 4, 5, 6}, 2, 3).t();
    SafeTensors.save(file, Map.of("v", view), Map.of());
    try (TensorFile loaded = SafeTensors.load(file)) {
      assertArrayEquals(new float[] {1, 4, 2, 5, 3, 6}, loaded.get("v").toFloats());
      assertEquals(Shape.of(3, 2), loaded.get("v").shape());
    }
  }

  @Test
  void piecesMakeTheSameBytesAsTheWhole() throws Exception {
    Tensor tensor = Tensor.arange(37).reshape(37, 1);
    ByteArrayOutputStream out = new ByteArrayOutputStream();
    SafeTensors.write(Channels.newChannel(out), tensor, 40);
    assertArrayEquals(bytes(tensor), out.toByteArray());

    SafeTensorsHeader.Entry entry =
        new SafeTensorsHeader.Entry("t", DType.INT64, Shape.of(37, 1), 0, 37 * 8);
    Tensor back =
        SafeTensors.readTensor(
            Channels.newChannel(new ByteArrayInputStream(out.toByteArray())),
            entry,
            Device.cpu(),
            null,
            folder,
            40);
    assertArrayEquals(tensor.toLongs(), back.toLongs());
    assertEquals(tensor.shape(), back.shape());
  }

  @Test
  void aFileWithoutTensorsIsAFile() throws Exception {
    Path file = folder.resolve("none");
    SafeTensors.save(file, Map.of(), Map.of());
    assertTrue(SafeTensors.load(file).tensors().isEmpty());
  }

  @Test
  void namesThatTheFormatReservesAreRefused() {
    Path file = folder.resolve("no");
    Map<String, Tensor> tensors = Map.of("__metadata__", Tensor.scalar(1));
    assertThrows(ArgumentException.class, () -> SafeTensors.save(file, tensors, Map.of()));
    assertTrue(Files.notExists(file));
  }

  @Test
  void aMissingFileIsNamed() {
    Path file = folder.resolve("missing");
    NoSuchFileException e = assertThrows(NoSuchFileException.class, () -> SafeTensors.load(file));
    assertTrue(e.getMessage().contains("missing"));
  }
}
