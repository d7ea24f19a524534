package io.gradus.core;

import java.util.List;

/**
 * A source of devices, found by {@link java.util.ServiceLoader}. The backends implement it; it
 * stands here so that {@link Device} can answer without knowing them.
 */
public interface DeviceProvider {
  /**
   * Whether this provider may know devices of a type: one that answers no is not asked for its
   * devices, which spares loading a driver that nobody wants.
   */
  default boolean knows(String type) {
    return true;
  }

  /** The devices this provider knows, usable or not; never throws. */
  List<DeviceInfo> devices();
}
