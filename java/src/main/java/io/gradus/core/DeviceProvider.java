package io.gradus.core;

import java.util.List;

/**
 * A source of devices, found by {@link java.util.ServiceLoader}. The backends implement it; it
 * stands here so that {@link Device} can answer without knowing them.
 */
public interface DeviceProvider {
  /** The devices this provider knows, usable or not; never throws. */
  List<DeviceInfo> devices();
}
