package io.gradus.backend.plugin;

import io.gradus.backend.Memory;
import io.gradus.backend.RecordedWork;
import io.gradus.backend.plugin.jni.Native;
import io.gradus.core.Checks;
import io.gradus.core.GradusException;
import java.lang.ref.Cleaner;
import java.util.List;

/** Recorded calls with the memory that they work with. */
final class PluginGraph implements RecordedWork {
  private static final Cleaner CLEANER = Cleaner.create();

  private final NativeDevice device;
  private final State state;
  private final Cleaner.Cleanable cleanable;

  /** Whether the work was done while it was recorded, so that the first launch is over. */
  private boolean ran;

  PluginGraph(
      NativeDevice device,
      DeviceAllocator allocator,
      BlockPool pool,
      List<Memory> used,
      long graph,
      boolean ran) {
    this.device = device;
    this.ran = ran;
    this.state = new State(device, allocator, pool, used, graph);
    this.cleanable = CLEANER.register(this, state);
  }

  @Override
  public void launch() {
    device.requireAlive();
    Checks.state(!state.closed, "[capture] use after close: this captured step was freed");
    if (ran) {
      ran = false;
      return;
    }
    device.check(Native.gr_graph_launch(state.graph, device.computeStream()));
  }

  @Override
  public void close() {
    cleanable.clean();
  }

  /** What is freed; it must not refer back to the graph. */
  private static final class State implements Runnable {
    private final NativeDevice device;
    private final DeviceAllocator allocator;
    private final BlockPool pool;
    private final List<Memory> used;
    private final long graph;
    private volatile boolean closed;

    State(
        NativeDevice device,
        DeviceAllocator allocator,
        BlockPool pool,
        List<Memory> used,
        long graph) {
      this.device = device;
      this.allocator = allocator;
      this.pool = pool;
      this.used = used;
      this.graph = graph;
    }

    @Override
    public void run() {
      closed = true;
      try {
        device.synchronize();
        device.check(Native.gr_graph_destroy(graph, device.plugin().handle()));
      } catch (GradusException e) {
        // Closing never throws; the next call on the device will say what is wrong with it.
        return;
      } finally {
        // The memory was used in the compute stream, where its next users come later.
        allocator.adopt(pool);
        used.forEach(Memory::release);
      }
    }
  }
}
