package io.gradus.backend.reference;

import io.gradus.backend.Backend;
import io.gradus.backend.BackendProvider;
import io.gradus.core.Checks;
import io.gradus.core.Device;
import io.gradus.core.DeviceInfo;
import java.util.List;

/**
 * Offers the processor. The system property {@code gradus.threads} sets the number of threads; by
 * default it is that of the available processors. It is read when the backend is opened, which the
 * first tensor does.
 */
public final class ReferenceProvider implements BackendProvider {
  private static final String THREADS = "gradus.threads";
  private static final int RANK = 10;

  /** For the service loader. */
  public ReferenceProvider() {}

  @Override
  public boolean knows(String type) {
    return type.equals(Device.cpu().type());
  }

  @Override
  public List<DeviceInfo> devices() {
    String threads = System.getProperty(THREADS);
    String count = threads == null ? String.valueOf(availableProcessors()) : threads.strip();
    String description =
        "reference backend, plain Java, " + count + (count.equals("1") ? " thread" : " threads");
    return List.of(new DeviceInfo(Device.cpu(), description, null, RANK));
  }

  @Override
  public Backend open(Device device) {
    return new ReferenceBackend(threads());
  }

  private static int threads() {
    String text = System.getProperty(THREADS);
    if (text == null) {
      return availableProcessors();
    }
    int threads;
    try {
      threads = Integer.parseInt(text.strip());
    } catch (NumberFormatException e) {
      threads = 0;
    }
    Checks.argument(
        threads >= 1,
        "[device] system property %s is '%s': give a number of threads, at least 1",
        THREADS,
        text);
    return threads;
  }

  private static int availableProcessors() {
    return Runtime.getRuntime().availableProcessors();
  }
}
