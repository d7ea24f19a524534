package io.gradus.backend;

import io.gradus.core.Device;
import io.gradus.core.DeviceProvider;

/** Opens backends; registered as a {@link DeviceProvider} service. */
public interface BackendProvider extends DeviceProvider {
  /** The backend of one of {@link #devices()} that is usable; called once per device. */
  Backend open(Device device);
}
