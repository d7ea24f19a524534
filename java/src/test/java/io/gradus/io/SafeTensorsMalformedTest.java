package io.gradus.io;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.params.provider.Arguments.arguments;

import io.gradus.core.FormatException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

class SafeTensorsMalformedTest {
  @TempDir Path folder;

  private static byte[] file(long length, String json, int dataBytes) {
    byte[] text = json.getBytes(StandardCharsets.UTF_8);
    return ByteBuffer.allocate(8 + text.length + dataBytes)
        .order(ByteOrder.LITTLE_ENDIAN)
        .putLong(length)
        .put(text)
        .array();
  }

  private FormatException refused(byte[] bytes) throws IOException {
    Path path = Files.write(folder.resolve("bad.safetensors"), bytes);
    FormatException e = assertThrows(FormatException.class, () -> SafeTensors.load(path));
    assertTrue(e.getMessage().startsWith("[safetensors] " + path), e.getMessage());
    assertEquals(1, e.getMessage().lines().count(), e.getMessage());
    return e;
  }

  private static Arguments header(String json, int dataBytes, String expected) {
    return arguments(json, dataBytes, expected);
  }

  private static String tensor(String dtype, String shape, String offsets) {
    return "{\"dtype\":\"" + dtype + "\",\"shape\":" + shape + ",\"data_offsets\":" + offsets + "}";
  }

  static Stream<Arguments> headers() {
    String four = tensor("F32", "[1]", "[0,4]");
    return Stream.of(
        header(" {}", 0, "does not begin with '{'"),
        header("[]", 0, "does not begin with '{'"),
        header("{", 0, "not the expected JSON"),
        header("{\"x\":1}", 0, "START_OBJECT is expected"),
        header("{} {}", 0, "more after the end"),
        header("{\"x\":" + four + "}", 3, "truncated: 1 bytes"),
        header("{\"x\":" + four + "}", 5, "1 bytes follow"),
        header("{}", 1, "1 bytes follow"),
        header("{\"x\":" + four + ",\"x\":" + four + "}", 4, "Duplicate field 'x'"),
        header("{\"x\":{\"dtype\":\"F32\",\"dtype\":\"F32\"}}", 4, "Duplicate field 'dtype'"),
        header("{\"x\":" + four + ",\"y\":" + tensor("F32", "[1]", "[2,6]") + "}", 6, "overlap"),
        header("{\"x\":" + four + ",\"y\":" + tensor("F32", "[1]", "[8,12]") + "}", 12, "a hole"),
        header("{\"x\":" + tensor("F32", "[1]", "[4,8]") + "}", 8, "a hole"),
        header("{\"x\":" + tensor("F32", "[2]", "[0,4]") + "}", 4, "takes 8 bytes"),
        header("{\"x\":" + tensor("F32", "[1]", "[4,0]") + "}", 4, "takes 4 bytes"),
        header("{\"x\":" + tensor("F8_E5M2", "[4]", "[0,4]") + "}", 4, "convert it to F32"),
        header("{\"x\":" + tensor("F32", "[-1]", "[0,4]") + "}", 4, "negative number -1"),
        header("{\"x\":" + tensor("F32", "[1.0]", "[0,4]") + "}", 4, "VALUE_NUMBER_FLOAT"),
        header("{\"x\":" + tensor("F32", "1", "[0,4]") + "}", 4, "START_ARRAY is expected"),
        header("{\"x\":" + tensor("F32", "[1]", "[0]") + "}", 4, "two data_offsets"),
        header("{\"x\":" + tensor("F32", "[1]", "[0,4,4]") + "}", 4, "more than 2 numbers"),
        header("{\"x\":{\"dtype\":\"F32\",\"shape\":[1]}}", 4, "two data_offsets"),
        header(
            "{\"x\":" + tensor("F32", "[4294967296,4294967296]", "[0,0]") + "}",
            0,
            "impossible shape"),
        header(
            "{\"x\":" + tensor("F32", "[0,4294967296,4294967296]", "[0,0]") + "}",
            0,
            "impossible shape"),
        header(
            "{\"x\":" + tensor("F32", "[1]", "[0,99999999999999999999]") + "}",
            4,
            "not the expected JSON"),
        header(
            "{\"x\":" + tensor("U8", "[" + "1,".repeat(64) + "1]", "[0,1]") + "}",
            1,
            "more than 64 numbers"),
        header("{\"__metadata__\":{\"k\":1}}", 0, "VALUE_STRING is expected"),
        header("{\"__metadata__\":[]}", 0, "START_OBJECT is expected"),
        header(
            "{\"x\":{\"y\":" + "[".repeat(50) + "]".repeat(50) + "}}", 0, "not the expected JSON"));
  }

  @ParameterizedTest
  @MethodSource("headers")
  void badHeadersAreRefused(String json, int dataBytes, String expected) throws IOException {
    int length = json.getBytes(StandardCharsets.UTF_8).length;
    String message = refused(file(length, json, dataBytes)).getMessage();
    assertTrue(message.contains(expected), message);
  }

  @Test
  void badLengthsAreRefusedBeforeMemoryIsSpent() throws IOException {
    assertTrue(refused(new byte[0]).getMessage().contains("too few"));
    assertTrue(refused(new byte[7]).getMessage().contains("too few"));
    assertTrue(refused(file(3, "{}", 0)).getMessage().contains("truncated"));
    assertTrue(refused(file(100_000_000, "{}", 0)).getMessage().contains("truncated"));
    assertTrue(refused(file(100_000_001, "{}", 0)).getMessage().contains("limit is 100000000"));
    assertTrue(refused(file(-1, "{}", 0)).getMessage().contains("18446744073709551615"));
    assertTrue(refused(file(0, "", 0)).getMessage().contains("does not begin"));
  }

  @Test
  void textThatIsNotUtf8IsRefused() throws IOException {
    byte[] bytes = file(12, "{\"\u00e9\":{}}   ", 0);
    bytes[10] = (byte) 0xff;
    assertTrue(refused(bytes).getMessage().contains("not UTF-8"));
  }

  @Test
  void aMaskHoldsOnlyZerosAndOnes() throws IOException {
    String json = "{\"x\":" + tensor("BOOL", "[2]", "[0,2]") + "}";
    byte[] bytes = file(json.length(), json, 2);
    bytes[bytes.length - 1] = 2;
    assertTrue(refused(bytes).getMessage().contains("BOOL but holds the byte 2"));
  }
}
