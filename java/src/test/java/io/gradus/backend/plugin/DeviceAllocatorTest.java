package io.gradus.backend.plugin;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.gradus.backend.AllocatorStatistics;
import io.gradus.backend.Memory;
import io.gradus.core.DType;
import io.gradus.core.Device;
import io.gradus.core.DeviceMemoryException;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.concurrent.ConcurrentSkipListMap;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.Test;

/** The allocator by itself, on memory that is not there. */
class DeviceAllocatorTest {
  private static final long MB = 1L << 20;
  private static final long COMPUTE = 1;
  private static final long COPY = 2;
  private static final long OTHER = 3;

  private final AtomicInteger collections = new AtomicInteger();
  private final FakeBlocks source = new FakeBlocks(64 * MB);
  private final DeviceAllocator allocator = over(source);

  private DeviceAllocator over(FakeBlocks blocks) {
    return new DeviceAllocator(
        new Device("fake", 0), blocks, COMPUTE, COPY, collections::incrementAndGet);
  }

  private Memory bytes(long n) {
    return allocator.allocate(DType.UINT8, n);
  }

  private static Block block(Memory memory) {
    return (Block) memory.resource();
  }

  @Test
  void aFreedBlockServesTheNextRequestOfItsSizeClass() {
    Memory first = bytes(5 * MB);
    Block block = block(first);
    first.release();
    AllocatorStatistics freed = allocator.statistics();
    assertEquals(5 * MB, freed.cachedBytes());
    assertEquals(0, freed.liveBytes());
    Memory second = bytes(5 * MB - 1000);
    assertSame(block, block(second));
    Memory third = bytes(5 * MB);
    assertNotEquals(block, block(third));
    AllocatorStatistics after = allocator.statistics();
    assertEquals(1, after.hits());
    assertEquals(2, after.systemCalls());
    assertEquals(2, source.allocations);
    assertEquals(10 * MB, after.systemBytes());
    assertEquals(10 * MB - 1000, after.liveBytes());
    assertEquals(10 * MB - 1000, after.peakBytes());
    assertEquals(2, after.liveCount());
    second.release();
    third.release();
  }

  @Test
  void sizeClassesAreAlignedAndWasteLittle() {
    long before = 0;
    int index = -1;
    for (long n = 1; n < 1L << 34; n += 1 + n / 16) {
      long size = DeviceAllocator.sizeClass(n);
      assertTrue(size >= n, n + " -> " + size);
      assertEquals(0, size % 512, n + " -> " + size);
      assertTrue(size <= Math.max(n + 512, n + n / 4), n + " -> " + size);
      assertTrue(size >= before, n + " -> " + size);
      assertEquals(size, DeviceAllocator.sizeClass(size));
      // Equal sizes have equal numbers, and larger ones larger numbers.
      assertEquals(size == before ? index : index + 1, DeviceAllocator.classIndex(size));
      index = DeviceAllocator.classIndex(size);
      before = size;
    }
    long huge = DeviceAllocator.sizeClass((1L << 62) + 1);
    assertEquals(DeviceAllocator.CLASSES - 8, DeviceAllocator.classIndex(huge));
  }

  @Test
  void smallBlocksShareOneSegment() {
    List<Memory> small = new ArrayList<>();
    long end = 0;
    for (int i = 0; i < 100; i++) {
      Memory memory = bytes(1 + 100L * i);
      Block block = block(memory);
      assertEquals(0, block.address() % 256);
      assertTrue(block.address() >= end, "blocks overlap");
      end = block.address() + block.bytes();
      small.add(memory);
    }
    assertEquals(1, source.allocations);
    small.forEach(Memory::release);
    allocator.dropCache();
    assertEquals(0, source.heldBytes());
    assertEquals(0, allocator.statistics().cachedBytes());
    assertEquals(0, allocator.statistics().systemBytes());
  }

  @Test
  void aSegmentStaysWhileOneOfItsBlocksLives() {
    Memory kept = bytes(1000);
    bytes(1000).release();
    bytes(3 * MB).release();
    allocator.dropCache();
    assertEquals(DeviceAllocator.SEGMENT, source.heldBytes());
    assertEquals(1024, allocator.statistics().cachedBytes());
    Memory again = bytes(1000);
    assertEquals(1, allocator.statistics().hits());
    kept.release();
    again.release();
    allocator.dropCache();
    assertEquals(0, source.heldBytes());
  }

  @Test
  void aStepInItsStrideAsksTheSystemForNothing() {
    Runnable step =
        () -> {
          List<Memory> live = new ArrayList<>();
          for (int i = 1; i <= 40; i++) {
            live.add(bytes(i * 50_000L));
          }
          live.forEach(Memory::release);
        };
    step.run();
    int calls = source.allocations;
    step.run();
    step.run();
    assertEquals(calls, source.allocations);
    assertEquals(80, allocator.statistics().hits());
  }

  @Test
  void whenMemoryIsShortTheCacheGoesFirst() {
    bytes(40 * MB).release();
    Memory other = bytes(30 * MB);
    assertEquals(1, source.frees);
    assertEquals(0, collections.get());
    assertEquals(30 * MB, source.heldBytes());
    other.release();
  }

  @Test
  void whenThereIsNoneTheErrorSaysWhoHoldsIt() {
    Memory large = allocator.allocate(DType.FLOAT32, 10 * MB);
    Memory middle = allocator.allocate(DType.INT64, 2 * MB);
    Memory small = bytes(5000);
    DeviceMemoryException e = assertThrows(DeviceMemoryException.class, () -> bytes(20 * MB));
    String message = e.getMessage();
    assertEquals(1, message.lines().count());
    for (String part :
        List.of(
            "[memory] fake:0 has no room for 21.0 MB",
            "6.3 MB are free",
            "3 tensors hold 58.7 MB",
            "the largest are FLOAT32[10485760] 41.9 MB, INT64[2097152] 16.8 MB, UINT8[5000]",
            "use smaller batches")) {
      assertTrue(message.contains(part), message);
    }
    assertTrue(collections.get() > 0, "unreachable tensors were not looked for");
    assertEquals(3, allocator.liveCount(), "a failed allocation must not be counted");
    large.release();
    Memory fits = bytes(20 * MB);
    List.of(middle, small, fits).forEach(Memory::release);
  }

  @Test
  void theLastBytesServeASmallRequestWithoutASegment() {
    Memory most = bytes(60 * MB);
    Memory rest = bytes(3 * MB);
    Memory small = bytes(1000);
    assertEquals(63 * MB + 1024, source.heldBytes());
    most.release();
    rest.release();
    small.release();
  }

  @Test
  void aBlockThatAnotherStreamUsesWaitsForIt() {
    Memory first = bytes(5 * MB);
    Block block = block(first);
    allocator.usedIn(block, OTHER);
    first.release();
    Memory second = bytes(5 * MB);
    assertNotEquals(block, block(second), "reused before the other stream had passed");
    source.goOn(OTHER);
    Memory third = bytes(5 * MB);
    assertSame(block, block(third));
    assertEquals(0, source.openMarks());
    third.release();
    Memory fourth = bytes(5 * MB);
    assertSame(block, block(fourth), "the note on the other stream outlived its block");
    second.release();
    fourth.release();
  }

  @Test
  void memoryWrittenAheadIsReusedWhenTheComputeStreamHasPassed() {
    Memory first = allocator.allocateAhead(DType.FLOAT32, MB);
    Block block = block(first);
    first.release();
    Memory second = allocator.allocateAhead(DType.FLOAT32, MB);
    assertNotEquals(block, block(second), "a copy would overwrite what is still computed with");
    source.goOn(COMPUTE);
    Memory third = allocator.allocateAhead(DType.FLOAT32, MB);
    assertSame(block, block(third));
    Memory ordinary = allocator.allocate(DType.FLOAT32, MB);
    third.release();
    source.goOn(COMPUTE);
    Memory another = allocator.allocate(DType.FLOAT32, MB);
    assertNotEquals(
        block, block(another), "the compute stream does not know when the copy stream has passed");
    List.of(second, ordinary, another).forEach(Memory::release);
    allocator.dropCache();
    assertEquals(0, source.heldBytes());
    assertEquals(0, source.openMarks());
  }

  @Test
  void memoryOfARunningCallIsNotReturned() {
    Memory memory = bytes(5 * MB);
    Block block = block(memory);
    source.operands.add(block);
    memory.release();
    allocator.dropCache();
    assertEquals(5 * MB, source.heldBytes());
    source.operands.clear();
    allocator.dropCache();
    assertEquals(0, source.heldBytes());
  }

  @Test
  void forgottenMemoryComesBackThroughTheCleaner() throws InterruptedException {
    forget();
    for (int i = 0; i < 200 && allocator.statistics().cachedBytes() < 5 * MB; i++) {
      System.gc();
      Thread.sleep(5);
    }
    assertEquals(0, allocator.liveCount());
    assertEquals(5 * MB, allocator.statistics().cachedBytes());
  }

  private void forget() {
    assertEquals(5 * MB, bytes(5 * MB).length());
  }

  @Test
  void theCollectorIsAskedWhenWhatIsHeldHasDoubled() {
    FakeBlocks huge = new FakeBlocks(1L << 50);
    DeviceAllocator large = over(huge);
    List<Memory> live = new ArrayList<>();
    for (int i = 0; i < 64; i++) {
      live.add(large.allocate(DType.UINT8, 128 * MB));
    }
    // 512 MB, then at twice of what was held: 640, 1408 and 2944 MB of 8192 MB.
    assertEquals(4, collections.get());
    live.forEach(Memory::release);
    live.clear();
    for (int i = 0; i < 64; i++) {
      live.add(large.allocate(DType.UINT8, 128 * MB));
    }
    assertEquals(4, collections.get(), "memory from the cache is no pressure");
    live.forEach(Memory::release);
  }

  @Test
  void closingOnALostDeviceIsQuiet() {
    Memory first = bytes(5 * MB);
    Memory second = allocator.allocateAhead(DType.UINT8, 5 * MB);
    source.lost = true;
    first.release();
    second.release();
    assertEquals(0, allocator.liveCount());
    assertEquals(0, source.openMarks());
  }

  @Test
  void eightThreadsNeverShareABlock() throws Exception {
    ConcurrentSkipListMap<Long, Long> live = new ConcurrentSkipListMap<>();
    ExecutorService pool = Executors.newFixedThreadPool(8);
    try {
      List<Future<?>> results = new ArrayList<>();
      for (int t = 0; t < 8; t++) {
        int seed = t;
        results.add(pool.submit(() -> churn(seed, live)));
      }
      for (Future<?> result : results) {
        result.get();
      }
    } finally {
      pool.shutdownNow();
    }
    assertEquals(0, allocator.liveCount());
    assertEquals(0, allocator.liveBytes());
    allocator.dropCache();
    assertEquals(0, source.heldBytes());
    assertEquals(0, source.openMarks());
  }

  private void churn(int seed, ConcurrentSkipListMap<Long, Long> live) {
    Random random = new Random(seed);
    List<Memory> mine = new ArrayList<>();
    for (int i = 0; i < 1500; i++) {
      if (mine.size() == 5 || (!mine.isEmpty() && random.nextInt(3) == 0)) {
        Memory memory = mine.remove(random.nextInt(mine.size()));
        live.remove(block(memory).address());
        memory.release();
        continue;
      }
      long n = 1 + (long) Math.pow(2 * MB, random.nextDouble());
      boolean isAhead = random.nextInt(4) == 0;
      Memory memory = isAhead ? allocator.allocateAhead(DType.UINT8, n) : bytes(n);
      Block block = block(memory);
      long end = block.address() + block.bytes();
      assertEquals(null, live.put(block.address(), end), "handed out twice");
      var before = live.lowerEntry(block.address());
      assertTrue(before == null || before.getValue() <= block.address(), "blocks overlap");
      var after = live.higherEntry(block.address());
      assertTrue(after == null || after.getKey() >= end, "blocks overlap");
      mine.add(memory);
      if (random.nextInt(50) == 0) {
        source.goOn(COMPUTE);
      }
      if (random.nextInt(200) == 0) {
        allocator.dropCache();
      }
    }
    for (Memory memory : mine) {
      live.remove(block(memory).address());
      memory.release();
    }
  }
}
