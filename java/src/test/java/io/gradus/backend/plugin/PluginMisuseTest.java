package io.gradus.backend.plugin;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.gradus.backend.Buffer;
import io.gradus.backend.Memory;
import io.gradus.backend.UnaryOp;
import io.gradus.core.DType;
import io.gradus.core.DTypeException;
import io.gradus.core.Device;
import io.gradus.core.DeviceException;
import io.gradus.tensor.Scope;
import io.gradus.tensor.Tensor;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicReference;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** Misuse of device memory ends in an exception, never in a crash. */
class PluginMisuseTest {
  private PluginBackend backend;
  private DeviceAllocator allocator;

  @BeforeEach
  void open() {
    CLibrary.assumeBuilt("emulated");
    backend = new PluginBackend(Plugin.load("emulated"), new Device("emulated", 0));
    allocator = (DeviceAllocator) backend.allocator();
  }

  @Test
  void useAfterCloseAndDoubleClose() {
    Memory memory = backend.allocate(DType.FLOAT32, 1000);
    Memory other = backend.allocate(DType.FLOAT32, 1000);
    Buffer closed = Buffer.of(memory);
    Buffer open = Buffer.of(other);
    memory.release();
    assertThrows(IllegalStateException.class, () -> backend.fill(closed, 1));
    assertThrows(IllegalStateException.class, () -> backend.unary(UnaryOp.EXP, open, closed));
    assertThrows(IllegalStateException.class, () -> backend.unary(UnaryOp.EXP, closed, open));
    assertThrows(IllegalStateException.class, () -> backend.upload(new float[1000], 0, closed));
    assertThrows(IllegalStateException.class, () -> backend.download(closed, new float[1000], 0));
    assertThrows(IllegalStateException.class, memory::release);
    backend.fill(open, 2);
    other.release();
    assertEquals(0, allocator.liveCount());
  }

  @Test
  void tensorsOfTwoDevicesOrTypes() {
    Tensor closed;
    try (Scope s = Scope.open()) {
      Tensor host = Tensor.of(new float[] {1, 2});
      Tensor device = host.to(Device.emulated());
      Tensor whole = Tensor.of(new long[] {1, 2}).to(Device.emulated());
      assertThrows(DeviceException.class, () -> device.add(host));
      assertThrows(DeviceException.class, () -> Tensor.concat(0, host, device));
      assertThrows(DTypeException.class, () -> device.indexSelect(0, device));
      assertThrows(DTypeException.class, whole::exp);
      closed = device;
    }
    assertThrows(IllegalStateException.class, () -> closed.add(1));
    assertThrows(IllegalStateException.class, closed::close);
  }

  @Test
  void anExhaustedDeviceGoesOn() {
    assertThrows(RuntimeException.class, () -> backend.allocate(DType.FLOAT32, 1L << 55));
    Memory memory = backend.allocate(DType.FLOAT32, 3);
    backend.upload(new float[] {1, 2, 3}, 0, Buffer.of(memory));
    float[] out = new float[3];
    backend.download(Buffer.of(memory), out, 0);
    assertArrayEquals(new float[] {1, 2, 3}, out);
    memory.release();
  }

  @Test
  void anOperandThatIsClosedDuringItsCallKeepsItsMemory() {
    Memory memory = backend.allocate(DType.FLOAT32, 1 << 20);
    Call call = backend.call();
    call.at(Buffer.of(memory));
    memory.release();
    allocator.dropCache();
    assertEquals(4 << 20, allocator.statistics().systemBytes());
    call.done();
    allocator.dropCache();
    assertEquals(0, allocator.statistics().systemBytes());
  }

  @Test
  void aFailedCallHoldsNothingForTheNext() {
    Memory first = backend.allocate(DType.FLOAT32, 1 << 20);
    Memory closed = backend.allocate(DType.FLOAT32, 1 << 20);
    closed.release();
    assertThrows(
        IllegalStateException.class,
        () -> backend.unary(UnaryOp.EXP, Buffer.of(first), Buffer.of(closed)));
    backend.call().done();
    first.release();
    allocator.dropCache();
    assertEquals(0, allocator.statistics().systemBytes());
  }

  @Test
  void closingDroppingAndComputingAtOnce() throws Exception {
    AtomicReference<Memory> shared = new AtomicReference<>(large());
    AtomicBoolean stop = new AtomicBoolean();
    ExecutorService pool = Executors.newFixedThreadPool(4);
    try {
      List<Future<Integer>> workers = new ArrayList<>();
      for (int t = 0; t < 2; t++) {
        workers.add(pool.submit(() -> compute(shared)));
      }
      Future<?> closer =
          pool.submit(
              () -> {
                while (!stop.get()) {
                  shared.getAndSet(large()).release();
                }
              });
      Future<?> dropper =
          pool.submit(
              () -> {
                while (!stop.get()) {
                  allocator.dropCache();
                }
              });
      int done = 0;
      for (Future<Integer> worker : workers) {
        done += worker.get();
      }
      stop.set(true);
      closer.get();
      dropper.get();
      assertTrue(done > 0, "no call found its memory open");
    } finally {
      stop.set(true);
      pool.shutdown();
    }
    shared.get().release();
    assertEquals(0, allocator.liveCount());
    allocator.dropCache();
    assertEquals(0, allocator.statistics().systemBytes());
  }

  private Memory large() {
    return backend.allocate(DType.FLOAT32, 1 << 18);
  }

  /** Works on memory that another thread closes at any moment; how many calls came through. */
  private int compute(AtomicReference<Memory> shared) {
    int done = 0;
    for (int i = 0; i < 200; i++) {
      Buffer x = Buffer.of(shared.get());
      try {
        backend.fill(x, i);
        backend.unary(UnaryOp.NEG, x, x);
        done++;
      } catch (IllegalStateException e) {
        assertTrue(e.getMessage().contains("use after close"), e.getMessage());
      }
    }
    return done;
  }

  @Test
  void memoryBroughtAheadHoldsItsValuesWhileOtherMemoryIsReused() {
    int n = 3 << 20;
    float[] values = new float[n];
    float[] out = new float[n];
    for (int round = 0; round < 4; round++) {
      for (int i = 0; i < n; i++) {
        values[i] = i * 0.5f + round;
      }
      Memory ahead = backend.uploadAhead(DType.FLOAT32, values, 0, n);
      Memory between = backend.allocate(DType.FLOAT32, n);
      backend.fill(Buffer.of(between), -1);
      backend.download(Buffer.of(ahead), out, 0);
      assertArrayEquals(values, out);
      between.release();
      ahead.release();
    }
    assertEquals(2, allocator.statistics().systemCalls());
    Memory none = backend.uploadAhead(DType.INT64, new long[0], 0, 0);
    assertEquals(0, none.length());
    none.release();
  }
}
