package io.gradus.core;

import org.jspecify.annotations.Nullable;

/**
 * What is known about one device.
 *
 * @param device the device
 * @param description name, instruction set or compute capability, memory, driver
 * @param problem why it cannot be used and what would help; null when it can
 * @param rank preference of {@link Device#best()}: the usable device of the highest rank is chosen
 */
public record DeviceInfo(Device device, String description, @Nullable String problem, int rank) {
  /** Whether the device can be used. */
  public boolean usable() {
    return problem == null;
  }
}
