package io.gradus.data;

import de.siegmar.fastcsv.reader.CsvParseException;
import de.siegmar.fastcsv.reader.CsvReader;
import de.siegmar.fastcsv.reader.CsvRecord;
import de.siegmar.fastcsv.reader.FieldMismatchStrategy;
import io.gradus.core.FormatException;
import java.io.BufferedInputStream;
import java.io.FilterInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/**
 * The numbers and label texts of one CSV file.
 *
 * <p>The first row is a header when it has words over the numbers of the second row. Fields are
 * parted by commas, semicolons or tabs, whichever the first line has most of.
 */
final class CsvTable {
  /** Finds the label column by its name; the last column where none has such a name. */
  static final int BY_NAME = -1;

  private static final String FORMAT = "csv";
  private static final Set<String> LABEL_NAMES = Set.of("label", "class", "target");
  private static final Set<String> MISSING = Set.of("", "?", "na", "n/a", "nan", "null", "none");
  private static final int MAX_FIELD_CHARS = 1 << 16;
  private static final int MAX_CLASSES = 10_000;
  private static final int SNIFFED_BYTES = 1 << 16;

  private final Path file;
  private final List<String> header = new ArrayList<>();
  private final Map<String, Integer> codeOfLabel = new HashMap<>();
  private final List<String> labelTexts = new ArrayList<>();
  private final List<Long> labelLines = new ArrayList<>();
  private boolean named;
  private int labelColumn;
  private float[] values = new float[1024];
  private int[] labelCodes = new int[64];
  private int rows;

  private CsvTable(Path file, int labelColumn) {
    this.file = file;
    this.labelColumn = labelColumn;
  }

  /** Reads a file. */
  static CsvTable read(Path file, int labelColumn) throws IOException {
    CsvTable table = new CsvTable(file, labelColumn);
    return SourceFiles.read(
        FORMAT,
        file,
        in -> {
          try {
            table.parse(new BufferedInputStream(new Limited(file, in), SNIFFED_BYTES));
          } catch (CsvParseException e) {
            if (e.getCause() instanceof IOException io) {
              throw io;
            }
            throw new FormatException(
                String.format(
                    "[%s] %s cannot be read as CSV (%s): correct that row",
                    FORMAT, file, shorten(String.valueOf(e.getMessage()))),
                e);
          } catch (UncheckedIOException e) {
            throw e.getCause();
          }
          return table;
        });
  }

  private void parse(InputStream in) throws IOException {
    char separator = separator(in);
    try (CsvReader<CsvRecord> records =
        CsvReader.builder()
            .fieldSeparator(separator)
            .detectBomHeader(true)
            .maxBufferSize(MAX_FIELD_CHARS)
            .extraFieldStrategy(FieldMismatchStrategy.IGNORE)
            .missingFieldStrategy(FieldMismatchStrategy.IGNORE)
            .allowUnclosedQuote(false)
            .ofCsvRecord(in, StandardCharsets.UTF_8)) {
      @Nullable CsvRecord first = null;
      for (CsvRecord record : records) {
        if (header.isEmpty()) {
          if (first == null) {
            first = record;
            continue;
          }
          begin(first, record);
        }
        add(record);
      }
      if (first != null && header.isEmpty()) {
        begin(first, first);
      }
    }
    if (rows == 0) {
      throw new FormatException(
          String.format("[%s] %s has no row of data: fill it or remove it", FORMAT, file));
    }
  }

  private static char separator(InputStream in) throws IOException {
    in.mark(SNIFFED_BYTES);
    String text = new String(in.readNBytes(SNIFFED_BYTES - 1), StandardCharsets.UTF_8);
    in.reset();
    int end = text.indexOf('\n');
    String line = end < 0 ? text : text.substring(0, end);
    char best = ',';
    long most = 0;
    for (char c : new char[] {',', ';', '\t'}) {
      long count = line.chars().filter(x -> x == c).count();
      if (count > most) {
        most = count;
        best = c;
      }
    }
    return best;
  }

  /** Learns the columns from the first two rows, and keeps the first where it is data. */
  private void begin(CsvRecord first, CsvRecord second) throws FormatException {
    int columns = first.getFieldCount();
    if (columns < 2) {
      throw new FormatException(
          String.format(
              "[%s] %s has one column: a table needs a feature and a label, parted by a comma,"
                  + " semicolon or tab",
              FORMAT, file));
    }
    named = isHeader(first, second);
    for (int c = 0; c < columns; c++) {
      header.add(named ? first.getField(c).strip() : "column " + (c + 1));
    }
    if (labelColumn == BY_NAME) {
      labelColumn = columns - 1;
      for (int c = columns - 1; named && c >= 0; c--) {
        if (LABEL_NAMES.contains(header.get(c).toLowerCase(Locale.ROOT))) {
          labelColumn = c;
        }
      }
    }
    if (labelColumn < 0 || labelColumn >= columns) {
      throw new FormatException(
          String.format(
              "[%s] %s has %d columns, so column %d cannot hold the labels: columns count from 0",
              FORMAT, file, columns, labelColumn));
    }
    if (!named) {
      add(first);
    }
  }

  /**
   * Whether the first row names the columns: it has words where the second has numbers. A row that
   * has numbers too would rather be data with a mistake, unless it names the label column.
   */
  private boolean isHeader(CsvRecord first, CsvRecord second) throws FormatException {
    boolean words = false;
    boolean numbers = false;
    boolean namesLabel = false;
    for (int c = 0; c < Math.min(first.getFieldCount(), second.getFieldCount()); c++) {
      String text = first.getField(c).strip().toLowerCase(Locale.ROOT);
      boolean isNumber = !Float.isNaN(number(text));
      numbers |= isNumber;
      namesLabel |= LABEL_NAMES.contains(text);
      words |=
          !isNumber && !MISSING.contains(text) && !Float.isNaN(number(second.getField(c).strip()));
    }
    if (words && numbers && !namesLabel) {
      throw new FormatException(
          String.format(
              "[%s] %s, line 1 has numbers and also words over numbers, so it is neither names of"
                  + " columns nor data: correct the row, or name columns by words only",
              FORMAT, file));
    }
    return words;
  }

  private void add(CsvRecord record) throws FormatException {
    int columns = header.size();
    long line = record.getStartingLineNumber();
    if (record.getFieldCount() != columns) {
      throw new FormatException(
          String.format(
              "[%s] %s, line %d has %d fields where the first row has %d: correct that row",
              FORMAT, file, line, record.getFieldCount(), columns));
    }
    int features = columns - 1;
    long needed = (rows + 1L) * features;
    SourceFiles.fits(FORMAT, file, needed * Float.BYTES);
    if (needed > values.length) {
      values = Arrays.copyOf(values, (int) Math.max(needed, Math.min(1L << 29, needed * 2)));
    }
    if (rows == labelCodes.length) {
      labelCodes = Arrays.copyOf(labelCodes, rows * 2);
    }
    int at = rows * features;
    for (int c = 0; c < columns; c++) {
      String text = record.getField(c).strip();
      if (MISSING.contains(text.toLowerCase(Locale.ROOT))) {
        throw new FormatException(
            String.format(
                "[%s] %s, line %d, column '%s': the value is missing; fill it in or remove the row",
                FORMAT, file, line, shorten(header.get(c))));
      }
      if (c == labelColumn) {
        labelCodes[rows] = code(text, line);
      } else {
        values[at++] = feature(text, line, c);
      }
    }
    rows++;
  }

  private float feature(String text, long line, int column) throws FormatException {
    float value = number(text);
    if (Float.isNaN(value)) {
      throw new FormatException(
          String.format(
              "[%s] %s, line %d, column '%s': '%s' is not a finite number; code words as numbers,"
                  + " or remove the column",
              FORMAT, file, line, shorten(header.get(column)), shorten(text)));
    }
    return value;
  }

  private int code(String text, long line) throws FormatException {
    Integer known = codeOfLabel.get(text);
    if (known != null) {
      return known;
    }
    int code = labelTexts.size();
    if (code == MAX_CLASSES) {
      throw new FormatException(
          String.format(
              "[%s] %s, line %d, column '%s': more than %d different labels, so it hardly holds"
                  + " classes; choose another label column",
              FORMAT, file, line, shorten(header.get(labelColumn)), MAX_CLASSES));
    }
    codeOfLabel.put(text, code);
    labelTexts.add(text);
    labelLines.add(line);
    return code;
  }

  /**
   * The finite number a text stands for, or NaN; Java's suffixes and hexadecimals are no numbers.
   */
  static float number(String text) {
    for (int i = 0; i < text.length(); i++) {
      char c = text.charAt(i);
      if ((c < '0' || c > '9') && "+-.eE".indexOf(c) < 0) {
        return Float.NaN;
      }
    }
    try {
      float value = Float.parseFloat(text);
      return Float.isFinite(value) ? value : Float.NaN;
    } catch (NumberFormatException e) {
      return Float.NaN;
    }
  }

  /** A text short enough for a one-line message. */
  static String shorten(String text) {
    String line = text.replaceAll("\\p{Cntrl}", " ");
    return line.length() <= 60 ? line : line.substring(0, 57) + "...";
  }

  /** The different texts of the label column, in the order of their first rows. */
  List<String> labelTexts() {
    return labelTexts;
  }

  /** For each row, the position of its label in {@link #labelTexts}. */
  int[] labelCodes() {
    return Arrays.copyOf(labelCodes, rows);
  }

  /** File and line of a label's first row. */
  String where(String labelText) {
    Integer code = codeOfLabel.get(labelText);
    return code == null ? file.toString() : file + ", line " + labelLines.get(code);
  }

  /** Requires the columns to be those of another table. */
  void requireColumnsOf(CsvTable train) throws FormatException {
    boolean same =
        header.size() == train.header.size()
            && labelColumn == train.labelColumn
            && (!named || !train.named || header.equals(train.header));
    if (!same) {
      throw new FormatException(
          String.format(
              "[%s] %s has the columns %s but %s has %s: make them the same",
              FORMAT,
              file,
              shorten(header.toString()),
              train.file,
              shorten(train.header.toString())));
    }
  }

  /** The table as a data set with the given classes. */
  TableDataset dataset(String name, CsvClasses classes) throws FormatException {
    List<String> features = new ArrayList<>(header);
    features.remove(labelColumn);
    return new TableDataset(
        name,
        features,
        classes.names(),
        Arrays.copyOf(values, rows * features.size()),
        classes.labels(this));
  }

  /** Ends a stream that decompresses to more than the heap could hold. */
  private static final class Limited extends FilterInputStream {
    private final Path file;
    private long count;

    Limited(Path file, InputStream in) {
      super(in);
      this.file = file;
    }

    @Override
    public int read() throws IOException {
      int value = super.read();
      if (value >= 0) {
        SourceFiles.fits(FORMAT, file, ++count);
      }
      return value;
    }

    @Override
    public int read(byte[] bytes, int offset, int length) throws IOException {
      int n = super.read(bytes, offset, length);
      count += Math.max(n, 0);
      SourceFiles.fits(FORMAT, file, count);
      return n;
    }
  }
}
