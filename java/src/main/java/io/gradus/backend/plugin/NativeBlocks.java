package io.gradus.backend.plugin;

import io.gradus.backend.plugin.jni.Native;
import java.nio.ByteBuffer;
import java.util.Set;

/** The memory of an opened device. */
final class NativeBlocks implements BlockSource {
  private final NativeDevice device;
  private final long plugin;
  private final int index;

  NativeBlocks(NativeDevice device) {
    this.device = device;
    this.plugin = device.plugin().handle();
    this.index = device.device().index();
  }

  @Override
  public long allocate(long bytes) {
    ByteBuffer address = Plugin.words(1);
    int status = Native.gr_allocate(index, bytes, Plugin.address(address), plugin);
    if (status == Native.GR_OUT_OF_MEMORY) {
      return 0;
    }
    device.check(status);
    return address.getLong(0);
  }

  @Override
  public void free(long address) {
    device.check(Native.gr_free(index, address, plugin));
  }

  @Override
  public long freeBytes() {
    ByteBuffer properties = ByteBuffer.allocateDirect(DeviceProperties.BYTES);
    int status = Native.gr_device_info(index, Plugin.address(properties), plugin);
    return status == Native.GR_OK ? new DeviceProperties(properties).memoryFree() : -1;
  }

  @Override
  public void poison(Block block, long stream) {
    device.check(Native.gr_fill(block.address(), block.bytes(), 0xFF, Native.GR_UINT8, stream));
  }

  @Override
  public void synchronize() {
    device.synchronize();
  }

  @Override
  public long mark(long stream) {
    long event = device.newEvent();
    device.check(Native.gr_event_record(event, stream));
    return event;
  }

  @Override
  public boolean isPast(long mark) {
    ByteBuffer done = Plugin.words(1);
    device.check(Native.gr_event_query(mark, Plugin.address(done), plugin));
    return done.getLong(0) != 0;
  }

  @Override
  public void forget(long mark) {
    device.check(Native.gr_event_destroy(mark, plugin));
  }

  @Override
  public Set<Block> operands() {
    return device.operands();
  }

  @Override
  public boolean isLost() {
    return device.isLost();
  }
}
