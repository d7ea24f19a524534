package io.gradus.backend;

import java.lang.reflect.InvocationHandler;
import java.lang.reflect.Method;
import java.lang.reflect.Proxy;
import java.util.Collections;
import java.util.LinkedHashSet;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import org.jspecify.annotations.Nullable;

/**
 * A backend whose operations a {@link Profiler} records. It has all the interfaces of the backend
 * that it stands for, and runs their default bodies on itself: so it sees the operations that these
 * call. All other methods are the backend's own.
 */
final class ProfiledBackend implements InvocationHandler {
  private static final @Nullable Object[] NONE = {};

  private final Backend backend;
  private final Profiler profiler;
  private final Map<Method, ProfiledOperation> operations = new ConcurrentHashMap<>();

  private ProfiledBackend(Backend backend, Profiler profiler) {
    this.backend = backend;
    this.profiler = profiler;
  }

  /** A backend recorded by a profiler. */
  static Backend of(Backend backend, Profiler profiler) {
    Set<Class<?>> interfaces = new LinkedHashSet<>();
    for (Class<?> c = backend.getClass(); c != null; c = c.getSuperclass()) {
      Collections.addAll(interfaces, c.getInterfaces());
    }
    return (Backend)
        Proxy.newProxyInstance(
            backend.getClass().getClassLoader(),
            interfaces.toArray(Class<?>[]::new),
            new ProfiledBackend(backend, profiler));
  }

  /** The backend that another one stands for, or itself. */
  static Backend plain(Backend backend) {
    return backend instanceof Proxy
            && Proxy.getInvocationHandler(backend) instanceof ProfiledBackend profiled
        ? profiled.backend
        : backend;
  }

  @Override
  public @Nullable Object invoke(
      Object proxy, Method method, @Nullable Object @Nullable [] arguments) throws Throwable {
    @Nullable Object[] given = arguments == null ? NONE : arguments;
    if (method.getDeclaringClass() == Object.class) {
      return ofObject(proxy, method, given);
    }
    ProfiledOperation operation = operations.get(method);
    if (operation == null) {
      operation = ProfiledOperation.of(method, backend);
      operations.put(method, operation);
    }
    ProfiledThread thread = operation.isRecorded() ? profiler.thread() : null;
    if (thread == null || backend.isRecording()) {
      return operation.pass(backend, given);
    }
    ProfiledThread.Call call = thread.begin();
    try {
      Object result = operation.run(proxy, backend, given);
      backend.synchronize();
      return result;
    } finally {
      thread.end(call, System.nanoTime(), operation.signature(given));
    }
  }

  private Object ofObject(Object proxy, Method method, @Nullable Object[] arguments) {
    return switch (method.getName()) {
      case "equals" -> proxy == arguments[0];
      case "hashCode" -> System.identityHashCode(proxy);
      default -> "profiled " + backend;
    };
  }
}
