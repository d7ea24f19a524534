package io.gradus.backend.reference;

import io.gradus.backend.Backend;
import io.gradus.backend.BackendProvider;
import io.gradus.backend.HostThreads;
import io.gradus.core.Device;
import io.gradus.core.DeviceInfo;
import java.util.List;

/**
 * Offers the processor in plain Java, under its own name and as {@code cpu} to those who have
 * nothing faster.
 */
public final class ReferenceProvider implements BackendProvider {
  private static final int RANK = 10;

  /** As a device of its own it serves comparisons: never the best while there is another. */
  private static final int OWN_RANK = -900;

  /** For the service loader. */
  public ReferenceProvider() {}

  @Override
  public boolean knows(String type) {
    return type.equals(Device.cpu().type()) || type.equals(Device.reference().type());
  }

  @Override
  public List<DeviceInfo> devices() {
    String description = "reference backend, plain Java, " + HostThreads.describe();
    return List.of(
        new DeviceInfo(Device.cpu(), description, null, RANK),
        new DeviceInfo(Device.reference(), description, null, OWN_RANK));
  }

  @Override
  public Backend open(Device device) {
    return new ReferenceBackend(device, HostThreads.count());
  }
}
