package io.gradus.backend;

import java.lang.reflect.RecordComponent;
import java.util.Locale;
import java.util.StringJoiner;

/** What the records of sizes say of an operation: a short text, and the work in it. */
final class OperationSizes {
  /** Products of a backward pass of attention beside the two of the forward pass. */
  private static final double ATTENTION_BACKWARD = 2.5;

  private OperationSizes() {}

  /** A few words, such as {@code 64x28x28x32 -> 64, 3x3}. */
  static String text(Record shape) {
    if (shape instanceof ConvShape s) {
      return String.format(
          Locale.ROOT,
          "%dx%dx%dx%d -> %d, %dx%d%s%s",
          s.n(),
          s.h(),
          s.w(),
          s.c(),
          s.o(),
          s.kh(),
          s.kw(),
          s.strideH() == 1 && s.strideW() == 1 ? "" : " /" + s.strideH(),
          s.groups() == 1 ? "" : " groups " + s.groups());
    }
    if (shape instanceof MatmulShape s) {
      return String.format(
          Locale.ROOT,
          "%s%dx%dx%d %s%s",
          s.batch() == 1 ? "" : s.batch() + " of ",
          s.m(),
          s.n(),
          s.k(),
          s.transA() ? "A^T B" : "A B",
          s.transB() ? "^T" : "");
    }
    if (shape instanceof PoolShape s) {
      return String.format(
          Locale.ROOT, "%dx%dx%dx%d, %dx%d", s.n(), s.h(), s.w(), s.c(), s.kh(), s.kw());
    }
    return components(shape);
  }

  /** The whole numbers of a record by their names, and of what kind it is. */
  private static String components(Record shape) {
    StringJoiner words = new StringJoiner(" ");
    for (RecordComponent component : shape.getClass().getRecordComponents()) {
      try {
        Object value = component.getAccessor().invoke(shape);
        if (value instanceof Number number && !(value instanceof Double)) {
          words.add(component.getName() + "=" + number);
        } else if (value instanceof Enum<?> kind && kind != Activation.NONE) {
          words.add(kind.name().toLowerCase(Locale.ROOT));
        }
      } catch (ReflectiveOperationException e) {
        throw new IllegalStateException("[profiler] cannot read " + component, e);
      }
    }
    return words.toString();
  }

  /** Multiplications and additions; 0 where it is no product. */
  static double flops(String method, Record shape) {
    if (shape instanceof MatmulShape s) {
      return 2.0 * s.batch() * s.m() * s.n() * s.k();
    }
    if (shape instanceof ConvShape s) {
      double outputs = (double) s.n() * s.oh() * s.ow() * s.o();
      return outputs * 2 * s.kh() * s.kw() * s.c() / s.groups();
    }
    if (shape instanceof AttentionShape s) {
      // Half of a causal score matrix is not computed.
      double scores = (double) s.rows() * s.keys() * (s.causal() ? 0.5 : 1);
      double forward = 4 * scores * s.dim();
      return method.equals("attentionBackward") ? ATTENTION_BACKWARD * forward : forward;
    }
    return 0;
  }
}
