package io.gradus.backend.plugin;

import io.gradus.backend.Backend;
import io.gradus.backend.BackendProvider;
import io.gradus.backend.plugin.jni.Native;
import io.gradus.core.Device;
import io.gradus.core.DeviceInfo;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;

/** Offers the devices of one plug-in, which is loaded when somebody first asks for them. */
abstract class PluginProvider implements BackendProvider {
  /** Libraries cannot be unloaded, and a driver is started once. */
  private static final Map<String, Plugin> LOADED = new ConcurrentHashMap<>();

  private final String type;
  private final int rank;

  PluginProvider(String type, int rank) {
    this.type = type;
    this.rank = rank;
  }

  /** One line on a device. */
  abstract String describe(DeviceProperties properties);

  /** The library. */
  final Plugin plugin() {
    return LOADED.computeIfAbsent(type, Plugin::load);
  }

  @Override
  public boolean knows(String wanted) {
    return wanted.equals(type);
  }

  @Override
  public List<DeviceInfo> devices() {
    Plugin plugin = plugin();
    String problem = plugin.problem();
    if (problem != null) {
      return List.of(unusable(0, type, problem));
    }
    ByteBuffer count = Plugin.words(1);
    if (Native.gr_device_count(Plugin.address(count), plugin.handle()) != Native.GR_OK) {
      return List.of(unusable(0, type, plugin.error()));
    }
    List<DeviceInfo> out = new ArrayList<>();
    for (int i = 0; i < count.getLong(0); i++) {
      out.add(info(plugin, i));
    }
    return out;
  }

  private DeviceInfo info(Plugin plugin, int index) {
    ByteBuffer struct = ByteBuffer.allocateDirect(DeviceProperties.BYTES);
    int status = Native.gr_device_info(index, Plugin.address(struct), plugin.handle());
    DeviceProperties properties = new DeviceProperties(struct);
    return status == Native.GR_OK
        ? new DeviceInfo(new Device(type, index), describe(properties), null, rank - index)
        : unusable(index, properties.name(), plugin.error());
  }

  private DeviceInfo unusable(int index, String description, String problem) {
    return new DeviceInfo(new Device(type, index), description, problem, rank - index);
  }

  @Override
  public Backend open(Device device) {
    return new PluginBackend(plugin(), device);
  }
}
