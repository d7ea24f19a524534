package io.gradus.backend.plugin;

import io.gradus.backend.Buffer;
import io.gradus.backend.HostCopy;
import io.gradus.backend.plugin.jni.Native;
import io.gradus.core.ArgumentException;
import io.gradus.core.Checks;
import io.gradus.core.DType;
import io.gradus.core.GradusException;
import java.lang.ref.Cleaner;
import java.nio.ByteBuffer;
import java.util.Objects;

/** Host memory that the device copies to by itself, and an event behind the copy. */
final class PinnedCopy implements HostCopy {
  private static final Cleaner CLEANER = Cleaner.create();

  private final NativeDevice device;
  private final DType dtype;
  private final int length;
  private final Room room;
  private final ByteBuffer contents;
  private final ByteBuffer flag = Plugin.words(1);
  private final long flagAddress = Plugin.address(flag);
  private final Cleaner.Cleanable cleanable;
  private boolean pending;

  PinnedCopy(NativeDevice device, DType dtype, int length) {
    Checks.argument(!dtype.isHalf(), "[hostCopy] of %s: convert to FLOAT32 first", dtype);
    this.device = device;
    this.dtype = dtype;
    this.length = length;
    long bytes = Math.max(1, (long) length * dtype.bytes());
    ByteBuffer word = Plugin.words(1);
    device.check(Native.gr_host_allocate(bytes, Plugin.address(word), device.plugin().handle()));
    this.room = new Room(device, word.getLong(0), device.newEvent());
    this.contents = Plugin.buffer(room.address, bytes);
    this.cleanable = CLEANER.register(this, room);
  }

  @Override
  public void start(Buffer src) {
    device.requireNoRecording("hostCopy");
    Checks.state(!room.closed, "[hostCopy] use after close");
    if (src.length() != length || src.dtype() != dtype) {
      throw new ArgumentException(
          String.format(
              "[hostCopy] %d elements of %s do not fit room for %d of %s",
              src.length(), src.dtype(), length, dtype));
    }
    Call c = device.call();
    try {
      long stream = device.computeStream();
      device.check(
          Native.gr_download(c.at(src), room.address, (long) length * dtype.bytes(), stream));
      device.check(Native.gr_event_record(room.event, stream));
      pending = true;
    } finally {
      c.done();
    }
  }

  @Override
  public boolean isDone() {
    if (pending) {
      device.check(Native.gr_event_query(room.event, flagAddress, device.plugin().handle()));
      pending = flag.getLong(0) == 0;
    }
    return !pending;
  }

  @Override
  public double get(int index) {
    Objects.checkIndex(index, length);
    Checks.state(!room.closed, "[hostCopy] use after close");
    if (pending) {
      device.check(Native.gr_event_synchronize(room.event, device.plugin().handle()));
      pending = false;
    }
    return switch (dtype) {
      case FLOAT64 -> contents.getDouble(Double.BYTES * index);
      case INT32 -> contents.getInt(Integer.BYTES * index);
      case INT64 -> (double) contents.getLong(Long.BYTES * index);
      case UINT8, BOOL -> contents.get(index) & 0xFF;
      default -> contents.getFloat(Float.BYTES * index);
    };
  }

  @Override
  public void close() {
    cleanable.clean();
  }

  /** What is freed; it must not refer back to the copy. */
  private static final class Room implements Runnable {
    private final NativeDevice device;
    private final long address;
    private final long event;
    private volatile boolean closed;

    Room(NativeDevice device, long address, long event) {
      this.device = device;
      this.address = address;
      this.event = event;
    }

    @Override
    public void run() {
      closed = true;
      long plugin = device.plugin().handle();
      try {
        device.check(Native.gr_event_synchronize(event, plugin));
        device.check(Native.gr_event_destroy(event, plugin));
        device.check(Native.gr_host_free(address, plugin));
      } catch (GradusException e) {
        // Closing never throws; the next call on the device will say what is wrong with it.
        return;
      }
    }
  }
}
