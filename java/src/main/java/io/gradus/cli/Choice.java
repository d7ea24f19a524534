package io.gradus.cli;

import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import picocli.CommandLine.ITypeConverter;
import picocli.CommandLine.TypeConversionException;

/**
 * Constants by the names that the help shows, in any case. Picocli's own error would list constants
 * by the names that they have in Java, and again by those that they print.
 *
 * @param <E> the constants
 */
final class Choice<E extends Enum<E>> implements ITypeConverter<E> {
  private final E[] values;

  Choice(E[] values) {
    this.values = values.clone();
  }

  @Override
  public E convert(String text) {
    for (E value : values) {
      if (name(value).equalsIgnoreCase(text)) {
        return value;
      }
    }
    List<String> names = Arrays.stream(values).map(Choice::name).toList();
    throw new TypeConversionException("'" + text + "' is none of " + String.join(", ", names));
  }

  private static String name(Enum<?> value) {
    return value.toString().toLowerCase(Locale.ROOT);
  }
}
