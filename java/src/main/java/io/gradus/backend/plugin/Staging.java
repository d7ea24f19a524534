package io.gradus.backend.plugin;

import io.gradus.backend.plugin.jni.Native;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;

/**
 * Host memory that the device copies from and to without help of the processor. Arrays pass through
 * it in pieces; while one piece is copied the next is filled, and an upload returns as soon as its
 * last piece is on its way.
 */
final class Staging {
  private static final int PIECES = 2;
  private static final long PIECE_BYTES = 4L << 20;

  private final NativeDevice device;
  private final ByteBuffer[] pieces = new ByteBuffer[PIECES];
  private final long[] addresses = new long[PIECES];
  private final long[] events = new long[PIECES];
  private int next;

  Staging(NativeDevice device) {
    this.device = device;
  }

  /**
   * Copies elements of an array to the device, in a stream.
   *
   * @param reader a stream whose later work waits for the copy; the same stream where there is none
   */
  synchronized void upload(
      Object array, int at, long address, long length, int bytes, long stream, long reader) {
    for (long done = 0; done < length; ) {
      int piece = begin();
      int count = (int) Math.min(length - done, PIECE_BYTES / bytes);
      HostArrays.put(array, at + (int) done, pieces[piece].clear(), count);
      device.check(
          Native.gr_upload(addresses[piece], address + done * bytes, (long) count * bytes, stream));
      device.check(Native.gr_event_record(events[piece], stream));
      done += count;
      if (done == length && reader != stream) {
        device.check(Native.gr_event_wait(events[piece], reader));
      }
    }
  }

  /** Copies elements from the device to an array; what was enqueued before takes effect first. */
  synchronized void download(
      long address, Object array, int at, long length, int bytes, long stream) {
    for (long done = 0; done < length; ) {
      int piece = begin();
      int count = (int) Math.min(length - done, PIECE_BYTES / bytes);
      device.check(
          Native.gr_download(
              address + done * bytes, addresses[piece], (long) count * bytes, stream));
      device.check(Native.gr_stream_synchronize(stream));
      HostArrays.get(pieces[piece].clear(), array, at + (int) done, count);
      done += count;
    }
  }

  /** A piece that nothing is copied from any more. */
  private int begin() {
    int piece = next;
    next = (next + 1) % PIECES;
    long plugin = device.plugin().handle();
    if (addresses[piece] == 0) {
      ByteBuffer word = Plugin.words(1);
      device.check(Native.gr_host_allocate(PIECE_BYTES, Plugin.address(word), plugin));
      addresses[piece] = word.getLong(0);
      pieces[piece] = Plugin.buffer(addresses[piece], PIECE_BYTES).order(ByteOrder.nativeOrder());
      events[piece] = device.newEvent();
    } else {
      device.check(Native.gr_event_synchronize(events[piece], plugin));
    }
    return piece;
  }
}
