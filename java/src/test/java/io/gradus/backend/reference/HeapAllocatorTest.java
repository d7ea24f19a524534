package io.gradus.backend.reference;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotSame;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.gradus.backend.AllocatorStatistics;
import io.gradus.backend.LeakDetector;
import io.gradus.backend.Memory;
import io.gradus.core.ArgumentException;
import io.gradus.core.DType;
import io.gradus.core.GradusException;
import java.lang.reflect.Array;
import java.util.Arrays;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

class HeapAllocatorTest {
  private final HeapAllocator allocator = new HeapAllocator(1 << 20, HeapArrays::newArray);

  @ParameterizedTest
  @EnumSource
  void givesAtLeastWhatIsAskedFor(DType dtype) {
    for (int n : new int[] {0, 1, 255, 257, 1000, 1025, 4097, 65537, 99_999}) {
      Memory memory = allocator.allocate(dtype, n);
      int length = Array.getLength(memory.resource());
      assertTrue(length >= n && length <= n + n / 4, () -> length + " for " + n);
      memory.release();
    }
  }

  @Test
  void reusesFreedArraysOfTheSameClass() {
    Memory first = allocator.allocate(DType.FLOAT32, 10_000);
    Object array = first.resource();
    first.release();
    assertEquals((long) Array.getLength(array) * 4, allocator.cachedBytes());
    Memory second = allocator.allocate(DType.FLOAT32, 10_001);
    assertSame(array, second.resource());
    assertEquals(0, allocator.cachedBytes());
    second.release();
    Memory other = allocator.allocate(DType.INT32, 10_000);
    assertNotSame(array, other.resource());
  }

  @Test
  void sharesArraysAmongTypesOfOneCarrier() {
    Memory first = allocator.allocate(DType.BFLOAT16, 5000);
    Object array = first.resource();
    first.release();
    assertSame(array, allocator.allocate(DType.FLOAT16, 5000).resource());
  }

  @Test
  void keepsNoSmallArraysAndNotMoreThanItsLimit() {
    allocator.allocate(DType.UINT8, 1000).release();
    assertEquals(0, allocator.cachedBytes());
    allocator.allocate(DType.FLOAT64, 1 << 18).release();
    assertEquals(0, allocator.cachedBytes());
    for (int n = 10_000; n < 200_000; n += 10_000) {
      allocator.allocate(DType.FLOAT32, n).release();
      assertTrue(allocator.cachedBytes() <= 1 << 20);
    }
    Memory recent = allocator.allocate(DType.FLOAT32, 190_000);
    Object array = recent.resource();
    recent.release();
    assertSame(array, allocator.allocate(DType.FLOAT32, 190_000).resource());
  }

  @Test
  void countsWhatIsLive() {
    Memory a = allocator.allocate(DType.FLOAT32, 100);
    Memory b = allocator.allocate(DType.INT64, 1000);
    assertEquals(8400, allocator.liveBytes());
    assertEquals(2, allocator.liveCount());
    a.retain();
    a.release();
    assertEquals(8400, allocator.liveBytes());
    a.release();
    b.release();
    assertEquals(0, allocator.liveBytes());
    assertEquals(0, allocator.liveCount());
    assertEquals(8400, allocator.peakBytes());
  }

  @Test
  void usedOrReleasedTwiceIsAnError() {
    Memory memory = allocator.allocate(DType.FLOAT32, 10);
    memory.release();
    assertThrows(IllegalStateException.class, memory::release);
    assertThrows(IllegalStateException.class, memory::resource);
    assertThrows(IllegalStateException.class, memory::retain);
    assertEquals(0, allocator.liveCount());
  }

  @Test
  void forgottenMemoryComesBackThroughTheGarbageCollector() throws InterruptedException {
    for (int i = 0; i < 10; i++) {
      allocator.allocate(DType.FLOAT32, 1000);
    }
    awaitCollection();
    assertEquals(0, allocator.liveCount());
    assertEquals(0, allocator.liveBytes());
  }

  @Test
  void forgottenArraysThatAreStillWorkedOnStayAsTheyAre() throws InterruptedException {
    LeakDetector.Level before = LeakDetector.level();
    LeakDetector.setLevel(LeakDetector.Level.PARANOID);
    try {
      // As an operation does: it reads the array out of a memory that nobody refers to afterwards.
      float[] array = (float[]) allocator.allocate(DType.FLOAT32, 1000).resource();
      Arrays.fill(array, 1);
      awaitCollection();
      assertEquals(0, allocator.liveCount());
      assertNotSame(array, allocator.allocate(DType.FLOAT32, 1000).resource());
      assertEquals(1, array[0]);
    } finally {
      LeakDetector.setLevel(before);
    }
  }

  /**
   * Collection is asked for, not commanded: waits for its effect, however long it takes to fail.
   */
  private void awaitCollection() throws InterruptedException {
    for (int i = 0; i < 200 && allocator.liveCount() > 0; i++) {
      System.gc();
      Thread.sleep(10);
    }
  }

  @Test
  void paranoidPoisonsFreshAndFreedArrays() {
    LeakDetector.Level before = LeakDetector.level();
    LeakDetector.setLevel(LeakDetector.Level.PARANOID);
    try {
      Memory memory = allocator.allocate(DType.FLOAT32, 1000);
      float[] array = (float[]) memory.resource();
      assertTrue(Float.isNaN(array[0]) && Float.isNaN(array[999]));
      array[5] = 1;
      memory.release();
      assertTrue(Float.isNaN(array[5]));
      assertEquals(0x7F7F7F7F, ((int[]) allocator.allocate(DType.INT32, 3).resource())[2]);
    } finally {
      LeakDetector.setLevel(before);
    }
  }

  @Test
  void tooMuchIsATypedError() {
    GradusException e =
        assertThrows(GradusException.class, () -> allocator.allocate(DType.UINT8, 1L << 40));
    assertTrue(e.getMessage().startsWith("[memory] 1099511627776 elements"), e.getMessage());
    assertThrows(ArgumentException.class, () -> allocator.allocate(DType.UINT8, -1));
    assertEquals(0, allocator.liveCount());
  }

  @Test
  void aFullHeapIsATypedErrorThatNamesTheRemedy() {
    HeapAllocator full =
        new HeapAllocator(
            1 << 20,
            (dtype, length) -> {
              if (dtype == DType.FLOAT64) {
                throw new OutOfMemoryError("injected");
              }
              return HeapArrays.newArray(dtype, length);
            });
    Memory live = full.allocate(DType.FLOAT32, 1000);
    full.allocate(DType.FLOAT32, 100_000).release();
    GradusException e =
        assertThrows(GradusException.class, () -> full.allocate(DType.FLOAT64, 1 << 17));
    assertTrue(
        e.getMessage()
            .startsWith("[memory] out of memory: 1048576 bytes asked for, 4000 bytes in use"),
        e.getMessage());
    assertTrue(e.getMessage().contains("-Xmx"), e.getMessage());
    assertEquals(0, full.cachedBytes());
    assertEquals(4000, full.liveBytes());
    live.release();
  }

  @Test
  void aFullHeapIsTriedAgainWithoutTheCache() {
    AtomicInteger failures = new AtomicInteger(1);
    HeapAllocator recovering =
        new HeapAllocator(
            1 << 20,
            (dtype, length) -> {
              if (dtype == DType.FLOAT64 && failures.getAndDecrement() > 0) {
                throw new OutOfMemoryError("injected");
              }
              return HeapArrays.newArray(dtype, length);
            });
    recovering.allocate(DType.FLOAT32, 100_000).release();
    assertEquals(1000, recovering.allocate(DType.FLOAT64, 1000).length());
    assertEquals(0, recovering.cachedBytes());
  }

  @Test
  void statisticsCountHitsAndNewArrays() {
    HeapAllocator allocator = new HeapAllocator(1 << 20, HeapArrays::newArray);
    Memory first = allocator.allocate(DType.FLOAT32, 1024);
    first.release();
    Memory second = allocator.allocate(DType.FLOAT32, 1024);
    Memory third = allocator.allocate(DType.FLOAT32, 1024);
    second.release();
    assertEquals(new AllocatorStatistics(4096, 1, 8192, 4096, 8192, 1, 2), allocator.statistics());
    third.release();
  }
}
