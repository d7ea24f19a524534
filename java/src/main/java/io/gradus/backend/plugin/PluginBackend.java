package io.gradus.backend.plugin;

import io.gradus.backend.Allocator;
import io.gradus.backend.Backend;
import io.gradus.backend.Buffer;
import io.gradus.backend.HostCopy;
import io.gradus.backend.Memory;
import io.gradus.backend.Recording;
import io.gradus.core.DType;
import io.gradus.core.Device;
import org.jspecify.annotations.Nullable;

/**
 * A device behind the C ABI. Every family of operations is an interface of its own, which turns
 * buffers into addresses and calls the plug-in's kernels; where a plug-in has none for the
 * arguments, the group's default body does the work.
 */
final class PluginBackend
    implements Backend,
        PluginElementwise,
        PluginReduce,
        PluginMatmul,
        PluginIndexing,
        PluginNormalisedConv,
        PluginPool,
        PluginRandom,
        PluginSoftmax,
        PluginLoss,
        PluginOptim,
        PluginAttention,
        PluginScan,
        PluginImage {
  private final NativeDevice device;
  private final DeviceAllocator allocator;
  private final Staging staging;
  private final Staging aheadStaging;

  PluginBackend(Plugin plugin, Device device) {
    this.device = new NativeDevice(plugin, device);
    this.allocator =
        new DeviceAllocator(
            device,
            new NativeBlocks(this.device),
            this.device.computeStream(),
            this.device.copyStream(),
            System::gc);
    this.staging = new Staging(this.device);
    this.aheadStaging = new Staging(this.device);
  }

  @Override
  public NativeDevice nativeDevice() {
    return device;
  }

  @Override
  public Device device() {
    return device.device();
  }

  @Override
  public Allocator allocator() {
    return allocator;
  }

  @Override
  public Memory allocate(DType dtype, long length) {
    device.requireAlive();
    return allocator.allocate(dtype, length);
  }

  @Override
  public void upload(Object array, int at, Buffer dst) {
    device.requireNoRecording("upload");
    Call c = call();
    long stream = device.stream();
    try {
      staging.upload(array, at, c.at(dst), dst.length(), dst.dtype().bytes(), stream, stream);
    } finally {
      c.done();
    }
  }

  @Override
  public Memory uploadAhead(DType dtype, Object array, int at, long length) {
    device.requireNoRecording("upload");
    Call c = call();
    Memory memory = allocator.allocateAhead(dtype, length);
    try {
      aheadStaging.upload(
          array,
          at,
          c.at(Buffer.of(memory)),
          length,
          dtype.bytes(),
          device.copyStream(),
          device.stream());
    } catch (RuntimeException e) {
      memory.release();
      throw e;
    } finally {
      c.done();
    }
    return memory;
  }

  @Override
  public void download(Buffer src, Object array, int at) {
    device.requireNoRecording("download");
    Call c = call();
    try {
      staging.download(c.at(src), array, at, src.length(), src.dtype().bytes(), device.stream());
    } finally {
      c.done();
    }
  }

  @Override
  public void synchronize() {
    device.requireAlive();
    device.requireNoRecording("synchronize");
    device.synchronize();
  }

  @Override
  public @Nullable Recording record() {
    device.requireAlive();
    return PluginRecording.begin(device, allocator);
  }

  @Override
  public boolean isRecording() {
    return device.recording() != null;
  }

  @Override
  public HostCopy hostCopy(DType dtype, int length) {
    device.requireAlive();
    return new PinnedCopy(device, dtype, length);
  }
}
