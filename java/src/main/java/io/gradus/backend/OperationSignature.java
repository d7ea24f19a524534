package io.gradus.backend;

import io.gradus.core.DType;
import java.lang.reflect.Parameter;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Locale;
import java.util.Set;
import java.util.StringJoiner;
import org.jspecify.annotations.Nullable;

/**
 * What a {@link Profiler} says of a call of an operation. Of the arguments those count that make
 * one call take longer than another: sizes, types and kinds.
 */
final class OperationSignature {
  /** Numbers that differ from call to call, or say nothing of the time. */
  private static final Set<String> LEFT_OUT = Set.of("stream", "ignored");

  private final String method;

  /** One for each parameter. */
  private final @Nullable Object[] parts;

  private final List<String> names;
  private final int hash;

  private OperationSignature(String method, List<String> names, @Nullable Object[] parts) {
    this.method = method;
    this.names = names;
    this.parts = parts;
    this.hash = 31 * method.hashCode() + Arrays.deepHashCode(parts);
  }

  /** What is kept of a buffer, which must not be kept itself: its memory would stay. */
  private record Operand(DType dtype, long length) {}

  /** An operation of which nothing is known but its name. */
  static OperationSignature of(String method) {
    return new OperationSignature(method, List.of(), new Object[0]);
  }

  /** A call of a method. */
  static OperationSignature of(
      String method, Parameter[] parameters, @Nullable Object[] arguments) {
    List<String> names = new ArrayList<>(parameters.length);
    @Nullable Object[] parts = new Object[parameters.length];
    for (int i = 0; i < parts.length; i++) {
      names.add(parameters[i].getName());
      parts[i] = part(parameters[i], arguments[i]);
    }
    return new OperationSignature(method, names, parts);
  }

  private static @Nullable Object part(Parameter parameter, @Nullable Object argument) {
    if (argument instanceof Buffer b) {
      return new Operand(b.dtype(), b.length());
    }
    if (argument instanceof Long) {
      boolean size = parameter.isNamePresent() && !LEFT_OUT.contains(parameter.getName());
      return size ? argument : null;
    }
    if (argument instanceof long[] extents) {
      return parameter.getName().equals("shape") ? extents.clone() : null;
    }
    boolean counts = argument instanceof Enum<?> || isShape(argument);
    return counts ? argument : null;
  }

  /** Records of scalars, such as rates of decay, are none. */
  private static boolean isShape(@Nullable Object argument) {
    return argument instanceof Record && argument.getClass().getSimpleName().endsWith("Shape");
  }

  /** The operation and of what kind it is, such as {@code unary relu}. */
  String operation() {
    StringJoiner words = new StringJoiner(" ").add(method);
    for (Object part : parts) {
      if (part instanceof Enum<?> kind && !(part instanceof DType) && kind != Activation.NONE) {
        words.add(kind.name().toLowerCase(Locale.ROOT));
      }
    }
    return words.toString();
  }

  /** The types of its operands. */
  String types() {
    Set<String> types = new LinkedHashSet<>();
    for (Object part : parts) {
      DType dtype = part instanceof Operand o ? o.dtype() : part instanceof DType d ? d : null;
      if (dtype != null) {
        types.add(dtype.name().toLowerCase(Locale.ROOT));
      }
    }
    return String.join("/", types);
  }

  /** Its sizes. */
  String sizes() {
    StringJoiner words = new StringJoiner(" ");
    for (int i = 0; i < parts.length; i++) {
      Object part = parts[i];
      if (part instanceof Long extent) {
        words.add(names.get(i) + "=" + extent);
      } else if (part instanceof long[] extents) {
        words.add(joined(extents));
      } else if (part != null && isShape(part)) {
        words.add(OperationSizes.text((Record) part));
      }
    }
    if (words.length() > 0) {
      return words.toString();
    }
    for (Object part : parts) {
      if (part instanceof Operand o) {
        return Long.toString(o.length());
      }
    }
    return "";
  }

  private static String joined(long[] extents) {
    StringJoiner text = new StringJoiner("x");
    for (long extent : extents) {
      text.add(Long.toString(extent));
    }
    return extents.length == 0 ? "1" : text.toString();
  }

  /** The bytes of all operands. */
  double bytes() {
    double bytes = 0;
    for (Object part : parts) {
      if (part instanceof Operand o) {
        bytes += (double) o.length() * o.dtype().bytes();
      }
    }
    return bytes;
  }

  /** The multiplications and additions of a product; 0 for all others. */
  double flops() {
    for (Object part : parts) {
      if (part != null && isShape(part)) {
        return OperationSizes.flops(method, (Record) part);
      }
    }
    if (!method.equals("linearForward") && !method.equals("linearBackward")) {
      return 0;
    }
    double product = 2;
    int gradients = 0;
    for (int i = 0; i < parts.length; i++) {
      if (parts[i] instanceof Long extent) {
        product *= extent;
      }
      boolean gradient = names.get(i).equals("gradX") || names.get(i).equals("gradWeight");
      gradients += gradient && parts[i] != null ? 1 : 0;
    }
    return method.equals("linearForward") ? product : gradients * product;
  }

  @Override
  public boolean equals(@Nullable Object other) {
    return other instanceof OperationSignature o
        && hash == o.hash
        && method.equals(o.method)
        && Arrays.deepEquals(parts, o.parts);
  }

  @Override
  public int hashCode() {
    return hash;
  }
}
