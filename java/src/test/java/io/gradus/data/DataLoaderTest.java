package io.gradus.data;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.gradus.core.ArgumentException;
import io.gradus.core.DType;
import io.gradus.core.Shape;
import io.gradus.core.ShapeException;
import io.gradus.tensor.Scope;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Iterator;
import java.util.List;
import java.util.NoSuchElementException;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import org.junit.jupiter.api.Test;

final class DataLoaderTest {
  /** The first features, batch by batch. */
  private static List<List<Float>> read(Epoch epoch) {
    List<List<Float>> out = new ArrayList<>();
    try (epoch;
        Scope scope = Scope.open()) {
      for (Batch batch : epoch) {
        List<Float> values = new ArrayList<>();
        float[] x = batch.x().toFloats();
        long[] y = batch.y().toLongs();
        for (int i = 0; i < batch.size(); i++) {
          assertEquals(((int) x[2 * i]) % 3, y[i]);
          assertEquals(0, x[2 * i] + x[2 * i + 1]);
          values.add(x[2 * i]);
        }
        out.add(values);
      }
    }
    return out;
  }

  private static DataLoader.Builder loader(int samples) {
    return DataLoader.builder(Fixtures.numbered(samples)).batch(7);
  }

  @Test
  void withoutShufflingTheOrderIsThatOfTheSet() {
    List<List<Float>> batches = read(loader(10).build().epoch(0));
    assertEquals(List.of(List.of(0f, 1f, 2f, 3f, 4f, 5f, 6f), List.of(7f, 8f, 9f)), batches);
  }

  @Test
  void theSeedAndTheEpochFixTheOrderForAnyThreads() {
    List<List<Float>> plain =
        read(loader(100).shuffle(true).seed(5).prefetchThreads(0).build().epoch(3));
    for (int threads = 1; threads <= 4; threads++) {
      for (int depth : new int[] {1, 3, 50}) {
        DataLoader again =
            loader(100).shuffle(true).seed(5).prefetchThreads(threads).prefetch(depth).build();
        assertEquals(plain, read(again.epoch(3)));
      }
    }
    assertFalse(plain.equals(read(loader(100).shuffle(true).seed(5).build().epoch(4))));
    assertFalse(plain.equals(read(loader(100).shuffle(true).seed(6).build().epoch(3))));
    float[] all = new float[100];
    int n = 0;
    for (List<Float> batch : plain) {
      for (float value : batch) {
        all[n++] = value;
      }
    }
    Arrays.sort(all);
    for (int i = 0; i < 100; i++) {
      assertEquals(i, all[i]);
    }
  }

  /** Every position is taken by every sample about equally often. */
  @Test
  void shufflingIsUniform() {
    int[][] counts = new int[6][6];
    for (int epoch = 0; epoch < 6000; epoch++) {
      int[] order = Permutation.of(6, 1, epoch);
      for (int i = 0; i < 6; i++) {
        counts[i][order[i]]++;
      }
    }
    for (int[] row : counts) {
      for (int count : row) {
        assertTrue(count > 850 && count < 1150, Arrays.deepToString(counts));
      }
    }
  }

  @Test
  void aResumedEpochGoesOnWhereItStopped() {
    DataLoader loader = loader(40).shuffle(true).seed(1).build();
    List<List<Float>> whole = read(loader.epoch(2));
    assertEquals(whole.subList(4, 6), read(loader.epoch(2, 4)));
    assertEquals(List.of(), read(loader.epoch(2, 6)));
    assertThrows(ArgumentException.class, () -> loader.epoch(2, 7));
    assertThrows(ArgumentException.class, () -> loader.epoch(-1));
  }

  @Test
  void dropLastLeavesTheIncompleteBatchOut() {
    assertEquals(2, loader(20).dropLast(true).build().batches());
    assertEquals(3, loader(20).build().batches());
    assertEquals(2, loader(14).build().batches());
    assertEquals(2, read(loader(20).dropLast(true).build().epoch(0)).size());
    assertThrows(ArgumentException.class, () -> loader(6).dropLast(true).build());
  }

  @Test
  void batchesHaveTheShapeAndTypesOfTheNetworkInput() {
    DataLoader loader = DataLoader.builder(Digits.open(5, 1, 1).train()).batch(4).build();
    try (Epoch epoch = loader.epoch(0);
        Scope scope = Scope.open()) {
      Batch batch = epoch.iterator().next();
      assertEquals(Shape.of(4, 28, 28, 1), batch.x().shape());
      assertEquals(DType.FLOAT32, batch.x().dtype());
      assertEquals(Shape.of(4), batch.y().shape());
      assertEquals(DType.INT64, batch.y().dtype());
      assertArrayEquals(new long[] {0, 1, 2, 3}, batch.y().toLongs());
    }
  }

  @Test
  void statisticsAreApplied() {
    Standardise s = new Standardise(new float[] {1, 0}, new float[] {2, 4});
    try (Epoch epoch = loader(3).standardise(s).build().epoch(0);
        Scope scope = Scope.open()) {
      assertArrayEquals(
          new float[] {-0.5f, 0, 0, -0.25f, 0.5f, -0.5f}, epoch.iterator().next().x().toFloats());
    }
    Standardise other = new Standardise(new float[] {1}, new float[] {2});
    assertThrows(ShapeException.class, () -> loader(3).standardise(other).build());
    assertNull(loader(3).build().standardise());
  }

  @Test
  void badNumbersAreRefused() {
    assertThrows(ArgumentException.class, () -> loader(3).batch(0).build());
    assertThrows(ArgumentException.class, () -> loader(3).prefetch(0).build());
    assertThrows(ArgumentException.class, () -> loader(3).prefetchThreads(-1).build());
    assertThrows(ArgumentException.class, () -> loader(0).build());
  }

  @Test
  void anErrorInAThreadReachesTheConsumerAtItsBatch() {
    Probe probe = new Probe(Fixtures.numbered(30), 17);
    DataLoader loader = DataLoader.builder(probe).batch(5).prefetchThreads(2).build();
    try (Epoch epoch = loader.epoch(0);
        Scope scope = Scope.open()) {
      Iterator<Batch> batches = epoch.iterator();
      for (int i = 0; i < 3; i++) {
        assertEquals(i, batches.next().index());
      }
      IllegalStateException e = assertThrows(IllegalStateException.class, batches::next);
      assertSame(Probe.FAILURE, e);
      assertFalse(batches.hasNext());
    }
    probe.assertNoThreadsLeft();
  }

  @Test
  void leavingEarlyStopsTheThreads() {
    Probe probe = new Probe(Fixtures.numbered(1000), -1);
    DataLoader loader = DataLoader.builder(probe).batch(5).prefetchThreads(3).prefetch(6).build();
    Epoch epoch = loader.epoch(0);
    try (Scope scope = Scope.open()) {
      Iterator<Batch> batches = epoch.iterator();
      batches.next();
      epoch.close();
      assertFalse(batches.hasNext());
      assertThrows(IllegalStateException.class, batches::next);
    }
    probe.assertNoThreadsLeft();
    assertTrue(probe.readers.size() <= 3, "" + probe.readers);
    assertThrows(IllegalStateException.class, epoch::iterator);
    epoch.close();
  }

  /** One batch is given and at most {@code prefetch} are ahead of it. */
  @Test
  void prefetchingIsBounded() {
    Probe probe = new Probe(Fixtures.numbered(1000), -1);
    DataLoader loader = DataLoader.builder(probe).batch(10).prefetchThreads(2).prefetch(3).build();
    try (Epoch epoch = loader.epoch(0);
        Scope scope = Scope.open()) {
      epoch.iterator().next();
    }
    assertTrue(probe.highest() < 40, "" + probe.highest());
  }

  @Test
  void theLastBatchEndsTheThreadsAndAnEpochIsReadOnce() {
    Probe probe = new Probe(Fixtures.numbered(20), -1);
    Epoch epoch = DataLoader.builder(probe).batch(5).prefetchThreads(2).build().epoch(0);
    try (Scope scope = Scope.open()) {
      Iterator<Batch> batches = epoch.iterator();
      assertThrows(IllegalStateException.class, epoch::iterator);
      while (batches.hasNext()) {
        batches.next();
      }
      probe.assertNoThreadsLeft();
      assertThrows(NoSuchElementException.class, batches::next);
    }
  }

  /** Notes who reads what, and may fail at one sample. */
  private static final class Probe implements Dataset {
    static final IllegalStateException FAILURE = new IllegalStateException("sample 17 is gone");

    final Dataset base;
    final int failAt;
    final Set<Thread> readers = ConcurrentHashMap.newKeySet();
    final Set<Integer> read = ConcurrentHashMap.newKeySet();

    Probe(Dataset base, int failAt) {
      this.base = base;
      this.failAt = failAt;
    }

    void assertNoThreadsLeft() {
      for (Thread thread : readers) {
        assertFalse(thread == Thread.currentThread());
        try {
          thread.join(10_000);
        } catch (InterruptedException e) {
          throw new AssertionError(e);
        }
        assertFalse(thread.isAlive(), thread.getName());
      }
    }

    int highest() {
      return read.stream().mapToInt(Integer::intValue).max().orElse(-1);
    }

    @Override
    public String name() {
      return base.name();
    }

    @Override
    public int size() {
      return base.size();
    }

    @Override
    public Shape sampleShape() {
      return base.sampleShape();
    }

    @Override
    public List<String> classNames() {
      return base.classNames();
    }

    @Override
    public int label(int index) {
      return base.label(index);
    }

    @Override
    public void read(int index, float[] out, int at) {
      readers.add(Thread.currentThread());
      read.add(index);
      if (index == failAt) {
        throw FAILURE;
      }
      base.read(index, out, at);
    }
  }
}
