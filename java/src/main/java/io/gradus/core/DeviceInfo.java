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

  /**
   * Which of two offers of one device counts: the usable one, of the higher rank where both are. It
   * says why it is not the other one where that would have been preferred.
   */
  public static DeviceInfo better(DeviceInfo one, DeviceInfo other) {
    DeviceInfo preferred = one.rank() >= other.rank() ? one : other;
    DeviceInfo second = one.rank() >= other.rank() ? other : one;
    if (preferred.usable() || !second.usable()) {
      return preferred;
    }
    String why = "; the faster plug-in cannot be used: " + preferred.problem();
    return new DeviceInfo(second.device(), second.description() + why, null, second.rank());
  }
}
