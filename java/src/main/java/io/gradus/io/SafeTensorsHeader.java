package io.gradus.io;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonGenerator;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.JsonToken;
import com.fasterxml.jackson.core.StreamReadConstraints;
import com.fasterxml.jackson.core.StreamReadFeature;
import io.gradus.core.Checks;
import io.gradus.core.DType;
import io.gradus.core.FormatException;
import io.gradus.core.Shape;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStreamReader;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * The JSON header of a safetensors file: what each tensor is and where its bytes lie.
 *
 * <p>{@link #parse} vouches for all that a reader relies on: offsets that cover the data exactly,
 * in non-overlapping ranges as long as dtype and shape ask for.
 *
 * @param entries the tensors in the order of the header
 * @param metadata the free text pairs of {@code __metadata__}, in the order of the header
 */
record SafeTensorsHeader(List<Entry> entries, Map<String, String> metadata) {
  /** The limit of the format's own library; a longer header is refused by every reader. */
  static final int MAX_BYTES = 100_000_000;

  private static final int MAX_NAME = 100_000;
  private static final int MAX_RANK = 64;
  private static final String METADATA = "__metadata__";
  private static final Comparator<Entry> BY_OFFSET =
      Comparator.comparingLong(Entry::begin).thenComparingLong(Entry::end);

  private static final JsonFactory JSON =
      JsonFactory.builder()
          .streamReadConstraints(
              StreamReadConstraints.builder()
                  .maxNestingDepth(16)
                  .maxNumberLength(32)
                  .maxNameLength(MAX_NAME)
                  .maxStringLength(MAX_BYTES)
                  .maxDocumentLength(MAX_BYTES)
                  .build())
          .enable(StreamReadFeature.STRICT_DUPLICATE_DETECTION)
          // Names of a foreign file must not stay in the JVM's string table.
          .disable(JsonFactory.Feature.INTERN_FIELD_NAMES)
          .disable(JsonFactory.Feature.CANONICALIZE_FIELD_NAMES)
          .build();

  /**
   * One tensor of the file.
   *
   * @param name its name
   * @param dtype its element type
   * @param shape its shape
   * @param begin where its bytes begin, counted from the end of the header
   * @param end where they end, exclusive
   */
  record Entry(String name, DType dtype, Shape shape, long begin, long end) {
    long bytes() {
      return end - begin;
    }
  }

  /** What a tensor to be written is, before it has a place. */
  record Spec(DType dtype, Shape shape) {
    long bytes() {
      return Math.multiplyExact(shape.numel(), dtype.bytes());
    }
  }

  /**
   * Places tensors in a file: wide element types first, so that every tensor starts at a multiple
   * of its element size and can be memory-mapped; the header keeps the map's order.
   */
  static SafeTensorsHeader place(Map<String, Spec> specs, Map<String, String> metadata) {
    List<String> names = new ArrayList<>(specs.keySet());
    names.sort(Comparator.comparingInt(n -> -spec(specs, n).dtype().bytes()));
    Map<String, Entry> placed = new LinkedHashMap<>();
    long offset = 0;
    for (String name : names) {
      Checks.argument(
          !name.equals(METADATA) && name.length() <= MAX_NAME,
          "[safetensors] a tensor cannot be named '%s': the name is reserved or too long",
          quote(name));
      Spec spec = spec(specs, name);
      long end = Math.addExact(offset, spec.bytes());
      placed.put(name, new Entry(name, spec.dtype(), spec.shape(), offset, end));
      offset = end;
    }
    List<Entry> entries = new ArrayList<>();
    for (String name : specs.keySet()) {
      Entry entry = placed.get(name);
      if (entry != null) {
        entries.add(entry);
      }
    }
    return new SafeTensorsHeader(entries, metadata);
  }

  private static Spec spec(Map<String, Spec> specs, String name) {
    Spec spec = specs.get(name);
    if (spec == null) {
      throw new IllegalStateException("[safetensors] the map changed while it was written");
    }
    return spec;
  }

  /** The entries in the order in which their bytes follow one another. */
  List<Entry> inFileOrder() {
    List<Entry> sorted = new ArrayList<>(entries);
    sorted.sort(BY_OFFSET);
    return sorted;
  }

  /** The JSON text, padded with spaces so that the data after it is aligned to 8 bytes. */
  byte[] encode() throws IOException {
    ByteArrayOutputStream bytes = new ByteArrayOutputStream();
    try (JsonGenerator json = JSON.createGenerator(bytes)) {
      json.writeStartObject();
      if (!metadata.isEmpty()) {
        json.writeObjectFieldStart(METADATA);
        for (Map.Entry<String, String> pair : metadata.entrySet()) {
          json.writeStringField(pair.getKey(), pair.getValue());
        }
        json.writeEndObject();
      }
      for (Entry entry : entries) {
        json.writeObjectFieldStart(entry.name());
        json.writeStringField("dtype", nameOf(entry.dtype()));
        json.writeFieldName("shape");
        long[] dims = entry.shape().dims();
        json.writeArray(dims, 0, dims.length);
        json.writeFieldName("data_offsets");
        json.writeArray(new long[] {entry.begin(), entry.end()}, 0, 2);
        json.writeEndObject();
      }
      json.writeEndObject();
    }
    while (bytes.size() % 8 != 0) {
      bytes.write(' ');
    }
    Checks.argument(
        bytes.size() <= MAX_BYTES,
        "[safetensors] the header would take %d bytes, readers accept %d: use fewer or shorter"
            + " names and less metadata",
        bytes.size(),
        MAX_BYTES);
    return bytes.toByteArray();
  }

  /**
   * Reads and checks a header.
   *
   * @param json the header's bytes
   * @param dataBytes how many bytes follow the header in the file
   * @param file the file, for messages
   * @throws FormatException when anything in it is not as the format wants it
   */
  static SafeTensorsHeader parse(byte[] json, long dataBytes, Path file) throws FormatException {
    if (json.length == 0 || json[0] != '{') {
      throw corrupt(file, "the header does not begin with '{'");
    }
    SafeTensorsHeader header;
    try (JsonParser parser =
        JSON.createParser(
            new InputStreamReader(
                new ByteArrayInputStream(json), StandardCharsets.UTF_8.newDecoder()))) {
      header = read(parser, file);
    } catch (FormatException e) {
      throw e;
    } catch (JsonProcessingException e) {
      throw corrupt(
          e, file, "the header is not the expected JSON (%s)", quote(e.getOriginalMessage()));
    } catch (CharacterCodingException e) {
      throw corrupt(e, file, "the header is not UTF-8");
    } catch (IOException e) {
      throw corrupt(e, file, "the header cannot be read (%s)", quote(e.getMessage()));
    }
    header.checkCoverage(dataBytes, file);
    return header;
  }

  private static SafeTensorsHeader read(JsonParser json, Path file) throws IOException {
    List<Entry> entries = new ArrayList<>();
    Map<String, String> metadata = new LinkedHashMap<>();
    json.nextToken();
    while (json.nextToken() == JsonToken.FIELD_NAME) {
      String name = json.currentName();
      JsonToken value = json.nextToken();
      if (!name.equals(METADATA)) {
        expect(value, JsonToken.START_OBJECT, file, name);
        entries.add(readEntry(json, name, file));
      } else if (value != JsonToken.VALUE_NULL) {
        expect(value, JsonToken.START_OBJECT, file, name);
        while (json.nextToken() == JsonToken.FIELD_NAME) {
          String key = json.currentName();
          expect(json.nextToken(), JsonToken.VALUE_STRING, file, METADATA + "." + key);
          metadata.put(key, json.getText());
        }
      }
    }
    if (json.nextToken() != null) {
      throw corrupt(file, "there is more after the end of the header's JSON");
    }
    return new SafeTensorsHeader(entries, metadata);
  }

  private static Entry readEntry(JsonParser json, String name, Path file) throws IOException {
    @Nullable String dtypeName = null;
    long @Nullable [] dims = null;
    long @Nullable [] offsets = null;
    while (json.nextToken() == JsonToken.FIELD_NAME) {
      String field = json.currentName();
      JsonToken value = json.nextToken();
      switch (field) {
        case "dtype" -> {
          expect(value, JsonToken.VALUE_STRING, file, name + ".dtype");
          dtypeName = json.getText();
        }
        case "shape" -> dims = readLongs(json, MAX_RANK, name + ".shape", file);
        case "data_offsets" -> offsets = readLongs(json, 2, name + ".data_offsets", file);
        // The format's own reader ignores further fields, so that it can grow.
        default -> json.skipChildren();
      }
    }
    if (dtypeName == null || dims == null || offsets == null || offsets.length != 2) {
      throw corrupt(file, "tensor '%s' lacks dtype, shape or two data_offsets", quote(name));
    }
    DType dtype = dtypeOf(dtypeName, name, file);
    long bytes = bytes(dims, dtype, name, file);
    if (offsets[1] < offsets[0] || offsets[1] - offsets[0] != bytes) {
      throw corrupt(
          file,
          "tensor '%s' of dtype %s and shape %s takes %d bytes but its data_offsets are %s",
          quote(name),
          dtypeName,
          Arrays.toString(dims),
          bytes,
          Arrays.toString(offsets));
    }
    return new Entry(name, dtype, Shape.of(dims), offsets[0], offsets[1]);
  }

  private static long[] readLongs(JsonParser json, int limit, String what, Path file)
      throws IOException {
    expect(json.currentToken(), JsonToken.START_ARRAY, file, what);
    long[] values = new long[limit];
    int n = 0;
    while (json.nextToken() != JsonToken.END_ARRAY) {
      expect(json.currentToken(), JsonToken.VALUE_NUMBER_INT, file, what);
      if (n == limit) {
        throw corrupt(file, "%s has more than %d numbers", quote(what), limit);
      }
      values[n] = json.getLongValue();
      if (values[n] < 0) {
        throw corrupt(file, "%s has the negative number %d", quote(what), values[n]);
      }
      n++;
    }
    return Arrays.copyOf(values, n);
  }

  private static long bytes(long[] dims, DType dtype, String name, Path file)
      throws FormatException {
    try {
      // Zero extents count as one here: what overflows without them breaks stride arithmetic.
      long span = dtype.bytes();
      long bytes = dtype.bytes();
      for (long dim : dims) {
        span = Math.multiplyExact(span, Math.max(1, dim));
        bytes *= dim;
      }
      return bytes;
    } catch (ArithmeticException e) {
      throw corrupt(
          e, file, "tensor '%s' has the impossible shape %s", quote(name), Arrays.toString(dims));
    }
  }

  private void checkCoverage(long dataBytes, Path file) throws FormatException {
    long offset = 0;
    for (Entry entry : inFileOrder()) {
      if (entry.begin() != offset) {
        throw corrupt(
            file,
            "tensor '%s' begins at byte %d of the data where the one before it ends at %d (%s)",
            quote(entry.name()),
            entry.begin(),
            offset,
            entry.begin() < offset ? "they overlap" : "a hole");
      }
      offset = entry.end();
    }
    if (offset > dataBytes) {
      throw corrupt(file, "truncated: %d bytes of data are missing", offset - dataBytes);
    }
    if (offset < dataBytes) {
      throw corrupt(file, "%d bytes follow the last tensor", dataBytes - offset);
    }
  }

  private static void expect(@Nullable JsonToken found, JsonToken wanted, Path file, String what)
      throws FormatException {
    if (found != wanted) {
      throw corrupt(
          file, "'%s' in the header is %s where %s is expected", quote(what), name(found), wanted);
    }
  }

  private static String name(@Nullable JsonToken token) {
    return token == null ? "missing" : token.name();
  }

  static String nameOf(DType dtype) {
    return switch (dtype) {
      case FLOAT32 -> "F32";
      case FLOAT64 -> "F64";
      case BFLOAT16 -> "BF16";
      case FLOAT16 -> "F16";
      case INT32 -> "I32";
      case INT64 -> "I64";
      case UINT8 -> "U8";
      case BOOL -> "BOOL";
    };
  }

  private static DType dtypeOf(String text, String tensor, Path file) throws FormatException {
    for (DType dtype : DType.values()) {
      if (nameOf(dtype).equals(text)) {
        return dtype;
      }
    }
    throw new FormatException(
        String.format(
            "[safetensors] %s: tensor '%s' has dtype '%s', which Gradus does not know; convert it"
                + " to F32, F64, BF16, F16, I32, I64, U8 or BOOL",
            file, quote(tensor), quote(text)));
  }

  /** A format error whose remedy is another copy of the file. */
  static FormatException corrupt(Path file, String format, Object... args) {
    return new FormatException(message(file, format, args));
  }

  private static FormatException corrupt(
      Throwable cause, Path file, String format, Object... args) {
    return new FormatException(message(file, format, args), cause);
  }

  private static String message(Path file, String format, Object... args) {
    return String.format(
        "[safetensors] %s: %s; the file is damaged or of another format, fetch or write it again",
        file, String.format(format, args));
  }

  /** Text of a foreign file, made short and single-line for a message. */
  static String quote(@Nullable String text) {
    if (text == null) {
      return "no detail";
    }
    String line = text.replaceAll("[\\p{Cntrl}\\s]+", " ");
    return line.length() <= 120 ? line : line.substring(0, 120) + "...";
  }
}
