package io.gradus.backend.plugin;

import io.gradus.backend.Memory;
import io.gradus.backend.Primitives;
import io.gradus.core.DType;
import org.jspecify.annotations.Nullable;

/** What the groups of a plug-in backend share. */
interface PluginCalls extends Primitives {
  /** The opened device. */
  NativeDevice nativeDevice();

  /** The calling thread's call, ready for operands. */
  default Call call() {
    return nativeDevice().call();
  }

  /** The stream that kernels run in. */
  default long stream() {
    return nativeDevice().stream();
  }

  /**
   * Scratch memory for one call; what it held may be reused as soon as the call is enqueued, since
   * later work comes later in the stream.
   *
   * @param bytes what the kernel asked for; none or less: no memory
   */
  default Room room(long bytes) {
    return bytes <= 0 ? Room.NONE : new Room(allocate(DType.UINT8, bytes), bytes);
  }

  /** Scratch memory that closing gives back. */
  record Room(@Nullable Memory memory, long bytes) implements AutoCloseable {
    static final Room NONE = new Room(null, 0);

    long address() {
      return memory == null ? 0 : ((Block) memory.resource()).address();
    }

    @Override
    public void close() {
      if (memory != null) {
        memory.release();
      }
    }
  }
}
