package io.gradus.backend.reference;

import io.gradus.backend.BinaryOp;
import io.gradus.backend.CompareOp;
import io.gradus.backend.UnaryOp;
import java.io.IOException;
import java.io.InputStream;
import java.lang.constant.ConstantDescs;
import java.lang.invoke.MethodHandles;
import java.lang.reflect.InvocationTargetException;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;

/**
 * One loop class for each element-wise float32 function. The JIT neither inlines nor vectorises a
 * call whose target varies; so a template class, which finds its function as class data in a static
 * final field, is defined once more as a hidden class for every function: in each copy the function
 * is a constant.
 */
final class FloatLoops {
  /** y = f(x) over a run. */
  interface Unary {
    /** Handles {@code n} elements; y may be x at the same position. */
    void run(float[] x, int xAt, float[] y, int yAt, int n);
  }

  /** out = f(a, b) over a run. */
  interface Binary {
    /** Handles {@code n} elements; out may be an operand of stride 1 at the same position. */
    void run(
        float[] a,
        int aAt,
        int aStride,
        float[] b,
        int bAt,
        int bStride,
        float[] out,
        int at,
        int n);
  }

  /** out = whether the relation of a and b holds, over a run. */
  interface Compare {
    /** Handles {@code n} elements. */
    void run(
        float[] a,
        int aAt,
        int aStride,
        float[] b,
        int bAt,
        int bStride,
        byte[] out,
        int at,
        int n);
  }

  private static final Map<UnaryOp, Unary> UNARY = new ConcurrentHashMap<>();
  private static final Map<BinaryOp, Binary> BINARY = new ConcurrentHashMap<>();
  private static final Map<CompareOp, Compare> COMPARE = new ConcurrentHashMap<>();

  private FloatLoops() {}

  static Unary of(UnaryOp op) {
    return UNARY.computeIfAbsent(
        op, k -> define(FloatUnaryTemplate.class, Unary.class, k.onFloat()));
  }

  static Binary of(BinaryOp op) {
    return BINARY.computeIfAbsent(
        op, k -> define(FloatBinaryTemplate.class, Binary.class, k.onFloat()));
  }

  static Compare of(CompareOp op) {
    return COMPARE.computeIfAbsent(
        op, k -> define(FloatCompareTemplate.class, Compare.class, k.onFloat()));
  }

  /** The function given to the hidden class that calls this from its static initialiser. */
  static <F> F function(MethodHandles.Lookup lookup, Class<F> type) {
    try {
      return MethodHandles.classData(lookup, ConstantDescs.DEFAULT_NAME, type);
    } catch (IllegalAccessException e) {
      throw new ExceptionInInitializerError(e);
    }
  }

  private static <L> L define(Class<?> template, Class<L> type, Object function) {
    try (InputStream in = template.getResourceAsStream(template.getSimpleName() + ".class")) {
      if (in == null) {
        throw new IllegalStateException(
            "the class file of " + template + " is not on the class path");
      }
      MethodHandles.Lookup copy =
          MethodHandles.lookup().defineHiddenClassWithClassData(in.readAllBytes(), function, true);
      return type.cast(copy.lookupClass().getDeclaredConstructor().newInstance());
    } catch (IOException
        | IllegalAccessException
        | InstantiationException
        | InvocationTargetException
        | NoSuchMethodException e) {
      throw new IllegalStateException("cannot define a copy of " + template, e);
    }
  }
}
