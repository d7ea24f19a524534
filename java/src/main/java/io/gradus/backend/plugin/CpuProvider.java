package io.gradus.backend.plugin;

import io.gradus.backend.Backend;
import io.gradus.backend.HostThreads;
import io.gradus.backend.plugin.jni.Native;
import io.gradus.core.Device;
import io.gradus.core.DeviceInfo;
import java.util.List;

/**
 * Offers the processor by its SIMD plug-in, which is preferred to the backend in plain Java. The
 * system property {@code gradus.cpu} set to {@code reference} leaves it out.
 */
public final class CpuProvider extends PluginProvider {
  private static final String CHOICE = "gradus.cpu";
  private static final int RANK = 20;

  /** For the service loader. */
  public CpuProvider() {
    super("cpu", RANK);
  }

  @Override
  public List<DeviceInfo> devices() {
    return "reference".equals(System.getProperty(CHOICE)) ? List.of() : super.devices();
  }

  @Override
  String describe(DeviceProperties properties) {
    return properties.name() + ", " + HostThreads.describe();
  }

  @Override
  public Backend open(Device device) {
    int threads = HostThreads.count();
    Plugin plugin = plugin();
    Native.gr_set_threads(threads, plugin.handle());
    return super.open(device);
  }
}
