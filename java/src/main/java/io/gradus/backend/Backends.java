package io.gradus.backend;

import io.gradus.core.Device;
import io.gradus.core.DeviceException;
import io.gradus.core.DeviceInfo;
import io.gradus.core.DeviceProvider;
import java.util.Map;
import java.util.ServiceLoader;
import java.util.concurrent.ConcurrentHashMap;

/** The opened backends of this JVM, one per device. */
public final class Backends {
  private static final Map<Device, Backend> OPEN = new ConcurrentHashMap<>();

  private Backends() {}

  /**
   * The backend of a device, opened at the first call.
   *
   * @throws DeviceException when the device cannot be used, with the reason
   */
  public static Backend of(Device device) {
    Backend open = OPEN.get(device);
    return open != null ? open : OPEN.computeIfAbsent(device, Backends::open);
  }

  private static Backend open(Device device) {
    BackendProvider chosen = null;
    int rank = 0;
    for (DeviceProvider provider : ServiceLoader.load(DeviceProvider.class)) {
      if (!(provider instanceof BackendProvider backends) || !provider.knows(device.type())) {
        continue;
      }
      for (DeviceInfo info : provider.devices()) {
        boolean usable = info.device().equals(device) && info.usable();
        if (usable && (chosen == null || info.rank() > rank)) {
          chosen = backends;
          rank = info.rank();
        }
      }
    }
    if (chosen != null) {
      return chosen.open(device);
    }
    // Device.of fails with the exact reason why the device cannot be used.
    throw new DeviceException(
        "[device] no backend opens " + Device.of(device.type(), device.index()));
  }
}
