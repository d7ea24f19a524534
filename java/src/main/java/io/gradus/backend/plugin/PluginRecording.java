package io.gradus.backend.plugin;

import io.gradus.backend.Memory;
import io.gradus.backend.RecordedWork;
import io.gradus.backend.Recording;
import io.gradus.backend.plugin.jni.Native;
import io.gradus.core.Checks;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.Collections;
import java.util.IdentityHashMap;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/**
 * A recording in a stream of its own, so that other threads' calls run as ever. Its memory comes
 * from a pool of its own; all other memory that a call names is retained.
 */
final class PluginRecording implements Recording {
  private final NativeDevice device;
  private final DeviceAllocator allocator;
  private final Thread thread = Thread.currentThread();
  private final long stream;
  private final BlockPool pool;
  private final Set<Memory> used = Collections.newSetFromMap(new IdentityHashMap<>());
  private boolean paused;
  private boolean over;

  private PluginRecording(NativeDevice device, DeviceAllocator allocator) {
    this.device = device;
    this.allocator = allocator;
    this.stream = device.newStream();
    this.pool = new BlockPool(stream);
  }

  /** Begins to record the calling thread's calls; null where the plug-in records nothing. */
  static @Nullable PluginRecording begin(NativeDevice device, DeviceAllocator allocator) {
    PluginRecording recording = new PluginRecording(device, allocator);
    boolean begun = false;
    try {
      device.setRecording(recording);
      int status =
          Native.gr_capture_begin(
              device.structs().address(), (long) Call.STRUCT_WORDS * Long.BYTES, recording.stream);
      begun = status == Native.GR_OK || device.refused(status);
    } finally {
      if (!begun) {
        recording.stop();
        Native.gr_stream_destroy(recording.stream);
      }
    }
    if (!begun) {
      return null;
    }
    allocator.plan(recording.pool);
    return recording;
  }

  boolean isOf(Thread other) {
    return thread == other && !paused;
  }

  long stream() {
    return stream;
  }

  /** Notes that a call works with memory: what is not the recording's own stays allocated. */
  void uses(Memory memory, Block block) {
    if (block.segment().pool != pool && used.add(memory)) {
      memory.retain();
    }
  }

  @Override
  public Pause pause() {
    checkThread();
    boolean before = paused;
    setPaused(true);
    return () -> setPaused(before);
  }

  private void setPaused(boolean value) {
    paused = value;
    allocator.plan(value ? null : pool);
  }

  @Override
  public RecordedWork end() {
    checkThread();
    Checks.state(!over, "[capture] this recording has ended");
    ByteBuffer words = Plugin.words(2);
    long address = Plugin.address(words);
    int status = Native.gr_capture_end(address, address + Long.BYTES, stream);
    stop();
    Native.gr_stream_destroy(stream);
    if (status != Native.GR_OK) {
      abandon();
      device.check(status);
    }
    return new PluginGraph(
        device,
        allocator,
        pool,
        new ArrayList<>(used),
        words.getLong(0),
        words.getLong(Long.BYTES) != 0);
  }

  @Override
  public void close() {
    if (over) {
      return;
    }
    checkThread();
    Native.gr_capture_end(0, 0, stream);
    stop();
    Native.gr_stream_destroy(stream);
    abandon();
  }

  private void stop() {
    over = true;
    if (device.isRecordedBy(this)) {
      device.setRecording(null);
      allocator.plan(null);
    }
  }

  private void abandon() {
    allocator.adopt(pool);
    used.forEach(Memory::release);
  }

  private void checkThread() {
    Checks.state(
        Thread.currentThread() == thread,
        "[capture] begun by thread %s, used by %s: a recording belongs to the thread that began it",
        thread.getName(),
        Thread.currentThread().getName());
  }
}
