package io.gradus.backend.plugin;

import io.gradus.backend.plugin.jni.Native;
import io.gradus.core.CaptureException;
import io.gradus.core.Checks;
import io.gradus.core.Device;
import io.gradus.core.DeviceException;
import io.gradus.core.DeviceLostException;
import io.gradus.core.DeviceMemoryException;
import java.nio.ByteBuffer;
import java.util.Collections;
import java.util.HashSet;
import java.util.Set;
import java.util.WeakHashMap;
import org.jspecify.annotations.Nullable;

/** An opened device of a plug-in: its streams, its calls, and whether it was lost. */
final class NativeDevice {
  private final Plugin plugin;
  private final Device device;
  private final long stream;
  private final long copyStream;

  /** The calls of all threads that live. */
  private final Set<Call> allCalls =
      Collections.synchronizedSet(Collections.newSetFromMap(new WeakHashMap<>()));

  private final ThreadLocal<Call> calls = ThreadLocal.withInitial(this::newCall);
  private volatile @Nullable String fault;
  private volatile @Nullable PluginRecording recording;

  NativeDevice(Plugin plugin, Device device) {
    this.plugin = plugin;
    this.device = device;
    this.stream = newStream();
    this.copyStream = newStream();
  }

  Plugin plugin() {
    return plugin;
  }

  Device device() {
    return device;
  }

  /** The stream that the kernels of the calling thread go to. */
  long stream() {
    PluginRecording r = recording();
    return r == null ? stream : r.stream();
  }

  /** The stream that kernels run in. */
  long computeStream() {
    return stream;
  }

  /** What the calling thread records; null where its calls run. */
  @Nullable PluginRecording recording() {
    PluginRecording r = recording;
    return r != null && r.isOf(Thread.currentThread()) ? r : null;
  }

  /** Begins or, with null, ends a recording. */
  synchronized void setRecording(@Nullable PluginRecording r) {
    Checks.state(
        r == null || recording == null,
        "[capture] another step is being captured on %s: capture one after the other",
        device);
    recording = r;
  }

  boolean isRecordedBy(PluginRecording r) {
    return recording == r;
  }

  /**
   * Requires that the calling thread does not record.
   *
   * @throws CaptureException when it does
   */
  void requireNoRecording(String op) {
    if (recording() != null) {
      throw new CaptureException(
          "["
              + op
              + "] a captured step cannot contain it: it is recorded before it runs, so that nothing"
              + " comes from the host or goes there meanwhile; do it before or after the step");
    }
  }

  /** The stream that host memory is copied in while kernels run. */
  long copyStream() {
    return copyStream;
  }

  private Call newCall() {
    Call call = new Call(this);
    allCalls.add(call);
    return call;
  }

  /** What the calls that run now work with. */
  Set<Block> operands() {
    Set<Block> out = new HashSet<>();
    synchronized (allCalls) {
      for (Call call : allCalls) {
        call.addOperands(out);
      }
    }
    return out;
  }

  /** Waits for both streams. */
  void synchronize() {
    check(Native.gr_stream_synchronize(stream));
    check(Native.gr_stream_synchronize(copyStream));
  }

  /** Where the calling thread's calls keep their structs. */
  Call structs() {
    return calls.get();
  }

  /** A new event. */
  long newEvent() {
    ByteBuffer handle = Plugin.words(1);
    check(Native.gr_event_create(Plugin.address(handle), plugin.handle()));
    return handle.getLong(0);
  }

  long newStream() {
    ByteBuffer handle = Plugin.words(1);
    check(Native.gr_stream_create(device.index(), Plugin.address(handle), plugin.handle()));
    return handle.getLong(0);
  }

  /**
   * The calling thread's call, ready for operands.
   *
   * @throws DeviceLostException when the device was lost
   */
  Call call() {
    requireAlive();
    Call call = calls.get();
    call.done();
    return call;
  }

  boolean isLost() {
    return fault != null;
  }

  /**
   * Requires that the device can be worked with.
   *
   * @throws DeviceLostException when it was lost
   */
  void requireAlive() {
    if (isLost()) {
      throw lost();
    }
  }

  /**
   * Deals with a status that is not GR_OK: false when the plug-in has no such kernel, else an
   * exception.
   */
  boolean refused(int status) {
    if (status == Native.GR_UNSUPPORTED) {
      return false;
    }
    throw failure(status);
  }

  /** Requires GR_OK. */
  void check(int status) {
    if (status != Native.GR_OK) {
      throw failure(status);
    }
  }

  private RuntimeException failure(int status) {
    String message = plugin.error();
    if (status == Native.GR_DEVICE_LOST) {
      fault = message;
      return lost();
    }
    String text = "[" + device + "] " + message;
    return status == Native.GR_OUT_OF_MEMORY
        ? new DeviceMemoryException(text)
        : new DeviceException(text);
  }

  private DeviceLostException lost() {
    return new DeviceLostException(
        "["
            + device
            + "] the device was lost ("
            + fault
            + "): what was on it is gone; start the program anew from its last checkpoint");
  }
}
