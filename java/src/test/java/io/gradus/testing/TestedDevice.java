package io.gradus.testing;

import io.gradus.core.Device;
import io.gradus.core.DeviceException;
import io.gradus.core.DeviceInfo;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * The device that the system property {@code gradus.test.device} names: the table of operations is
 * then run for that one alone.
 */
public final class TestedDevice {
  private static final String PROPERTY = "gradus.test.device";

  private static volatile @Nullable Device found;

  private TestedDevice() {}

  /**
   * The named device, null when none is.
   *
   * @throws DeviceException when it cannot be used, with the reason
   */
  public static @Nullable Device get() {
    String name = System.getProperty(PROPERTY);
    if (name == null) {
      return null;
    }
    // A driver is not asked again for every case.
    Device known = found;
    if (known == null) {
      known = Device.parse(name);
      found = known;
    }
    return known;
  }

  /** The devices to compare with the CPU: the named one, or all that can be used. */
  public static List<Device> others() {
    Device named = get();
    List<Device> out = new ArrayList<>();
    if (named != null) {
      out.add(named);
    } else {
      for (DeviceInfo info : Device.all()) {
        if (info.usable()) {
          out.add(info.device());
        }
      }
    }
    out.remove(Device.reference());
    return out;
  }

  /** Says which device is named, or why it cannot be used: exit code 2. */
  public static void main(String[] args) {
    try {
      Device named = get();
      for (DeviceInfo info : Device.all()) {
        if (info.device().equals(named)) {
          System.err.println("testing " + named + ": " + info.description());
        }
      }
    } catch (DeviceException e) {
      System.err.println("gradus: " + e.getMessage());
      System.exit(2);
    }
  }
}
