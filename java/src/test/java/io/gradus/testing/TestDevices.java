package io.gradus.testing;

import io.gradus.backend.Backend;
import io.gradus.backend.BackendProvider;
import io.gradus.backend.Backends;
import io.gradus.backend.Primitives;
import io.gradus.backend.reference.ReferenceBackend;
import io.gradus.core.Device;
import io.gradus.core.DeviceInfo;
import java.lang.reflect.InvocationHandler;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.lang.reflect.Proxy;
import java.util.List;
import java.util.concurrent.atomic.AtomicInteger;
import org.jspecify.annotations.Nullable;

/**
 * Devices that only tests see, so that a machine with nothing but a JDK has several: {@code
 * primitives:0} has the reference backend's primitives and every group's default bodies; {@code
 * threads:N} is the reference backend with N threads. They are opened once and never listed by
 * {@link Device#all()}.
 */
public final class TestDevices implements BackendProvider {
  /** The device that this thread is about to open: the only time that one is offered. */
  private static final ThreadLocal<@Nullable Device> OPENING = new ThreadLocal<>();

  private static final AtomicInteger ISOLATED = new AtomicInteger();
  private static final String PRIMITIVES = "primitives";
  private static final String THREADS = "threads";

  /** For the service loader. */
  public TestDevices() {}

  /** The device that computes every op group by its default bodies. */
  public static Device primitives() {
    return named(new Device(PRIMITIVES, 0));
  }

  /** The reference backend with a number of threads. */
  public static Device threads(int count) {
    return named(new Device(THREADS, count));
  }

  /** A reference backend that nobody else allocates on, for counting what a test leaves. */
  public static Device isolated() {
    return named(new Device("isolated", ISOLATED.getAndIncrement()));
  }

  private static Device named(Device device) {
    OPENING.set(device);
    try {
      return Backends.of(device).device();
    } finally {
      OPENING.remove();
    }
  }

  @Override
  public List<DeviceInfo> devices() {
    Device opening = OPENING.get();
    return opening == null ? List.of() : List.of(info(opening));
  }

  private static DeviceInfo info(Device device) {
    return new DeviceInfo(device, "for tests", null, Integer.MIN_VALUE);
  }

  @Override
  public Backend open(Device device) {
    boolean primitivesOnly = device.type().equals(PRIMITIVES);
    Backend reference = new ReferenceBackend(device.type().equals(THREADS) ? device.index() : 2);
    InvocationHandler handler =
        (proxy, method, arguments) -> {
          if (method.getName().equals("device") && method.getParameterCount() == 0) {
            return device;
          }
          if (method.getName().equals("equals")) {
            return proxy == arguments[0];
          }
          boolean group = Primitives.class.isAssignableFrom(method.getDeclaringClass());
          boolean primitive = method.getDeclaringClass() == Primitives.class;
          return primitivesOnly && group && !primitive
              ? InvocationHandler.invokeDefault(proxy, method, arguments)
              : call(reference, method, arguments);
        };
    return (Backend)
        Proxy.newProxyInstance(
            TestDevices.class.getClassLoader(), new Class<?>[] {Backend.class}, handler);
  }

  private static Object call(Backend target, Method method, Object[] arguments) throws Throwable {
    try {
      return method.invoke(target, arguments);
    } catch (InvocationTargetException e) {
      throw e.getCause();
    }
  }
}
