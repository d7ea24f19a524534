package io.gradus.backend;

import java.lang.invoke.MethodHandle;
import java.lang.invoke.MethodHandles;
import java.lang.invoke.MethodType;
import java.lang.reflect.Method;
import java.lang.reflect.Modifier;
import java.lang.reflect.Parameter;
import java.util.Arrays;
import org.jspecify.annotations.Nullable;

/** A method of a backend, as {@link ProfiledBackend} calls it. */
final class ProfiledOperation {
  private static final MethodHandles.Lookup LOOKUP = MethodHandles.lookup();

  private static final MethodType SPREAD =
      MethodType.methodType(Object.class, Object.class, Object[].class);

  private final String name;
  private final Parameter[] parameters;
  private final boolean recorded;
  private final MethodHandle method;

  /** The same, but a default body on whatever it is given: operations that it calls are seen. */
  private final @Nullable MethodHandle body;

  private ProfiledOperation(
      Method called, boolean recorded, MethodHandle method, @Nullable MethodHandle body) {
    this.name = called.getName();
    this.parameters = called.getParameters();
    this.recorded = recorded;
    this.method = method;
    this.body = body;
  }

  /** The operation that a method is, on a backend that has it. */
  static ProfiledOperation of(Method called, Backend backend) {
    try {
      Method own = backend.getClass().getMethod(called.getName(), called.getParameterTypes());
      Class<?> place = own.getDeclaringClass();
      MethodHandle body = null;
      if (place.isInterface() && !Modifier.isAbstract(own.getModifiers())) {
        MethodHandles.Lookup inside = MethodHandles.privateLookupIn(place, LOOKUP);
        body = spread(inside.unreflectSpecial(own, place));
      }
      // Its interface may be known in its package alone.
      called.setAccessible(true);
      return new ProfiledOperation(
          called, isOperation(called), spread(LOOKUP.unreflect(called)), body);
    } catch (ReflectiveOperationException e) {
      throw new IllegalStateException("[profiler] cannot call " + called, e);
    }
  }

  private static MethodHandle spread(MethodHandle handle) {
    return handle.asSpreader(Object[].class, handle.type().parameterCount() - 1).asType(SPREAD);
  }

  /** Whether it is work for the device, and not a question or memory. */
  private static boolean isOperation(Method called) {
    if (!Arrays.asList(called.getParameterTypes()).contains(Buffer.class)
        && !called.getName().equals("uploadAhead")) {
      return false;
    }
    try {
      Backend.class.getMethod(called.getName(), called.getParameterTypes());
      return true;
    } catch (NoSuchMethodException e) {
      return false;
    }
  }

  boolean isRecorded() {
    return recorded;
  }

  /** What is said of a call. */
  OperationSignature signature(@Nullable Object[] arguments) {
    return OperationSignature.of(name, parameters, arguments);
  }

  /** Calls the backend's method. */
  @Nullable Object pass(Backend backend, @Nullable Object[] arguments) throws Throwable {
    return (Object) method.invokeExact((Object) backend, arguments);
  }

  /** The same, with a default body on what stands for the backend. */
  @Nullable Object run(Object standIn, Backend backend, @Nullable Object[] arguments)
      throws Throwable {
    return body == null ? pass(backend, arguments) : (Object) body.invokeExact(standIn, arguments);
  }
}
