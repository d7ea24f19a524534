package io.gradus.backend.plugin;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;

/** Reads a gr_device_properties. */
final class DeviceProperties {
  private static final int NAME_BYTES = 128;
  private static final int FIELDS = 6;
  static final int BYTES = NAME_BYTES + FIELDS * Long.BYTES;

  private final ByteBuffer struct;

  DeviceProperties(ByteBuffer struct) {
    this.struct = struct.order(ByteOrder.nativeOrder());
  }

  private long field(int i) {
    return struct.getLong(NAME_BYTES + i * Long.BYTES);
  }

  String name() {
    return Plugin.string(struct.slice(0, NAME_BYTES));
  }

  /** 10 major + minor; 0 where the idea does not apply. */
  long capability() {
    return field(0);
  }

  long memoryTotal() {
    return field(1);
  }

  long memoryFree() {
    return field(2);
  }

  long processors() {
    return field(3);
  }

  /** As CUDA counts: 1000 major + 10 minor. */
  long driverVersion() {
    return field(4);
  }

  long builtFor() {
    return field(5);
  }
}
