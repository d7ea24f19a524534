package io.gradus.backend.reference;

import io.gradus.backend.Allocator;
import io.gradus.backend.AllocatorStatistics;
import io.gradus.backend.LeakDetector;
import io.gradus.core.DType;
import io.gradus.core.GradusException;
import java.util.ArrayDeque;
import java.util.Arrays;
import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.concurrent.atomic.AtomicLong;
import org.jspecify.annotations.Nullable;

/**
 * Primitive arrays: float[], double[], short[] (16-bit floating types), int[], long[] and byte[]
 * (UINT8, BOOL). Closed arrays are kept by size class for the next allocation, which saves zeroing
 * and collecting them; so an array may be longer than asked for. The classes have eight steps from
 * each power of two to the next; the ones used longest ago are dropped when the cache is full.
 */
final class HeapAllocator extends Allocator {
  private static final int MAX_LENGTH = Integer.MAX_VALUE - 8;

  /** Below this many bytes a new array costs less than the bookkeeping. */
  private static final int SMALLEST_CACHED = 1024;

  private static final int STEPS_LOG2 = 3;
  private static final int RETRIES = 6;

  private record SizeClass(Class<?> carrier, int length) {}

  /** Where new arrays come from. */
  @FunctionalInterface
  interface Source {
    /**
     * A new carrier array.
     *
     * @throws OutOfMemoryError when the heap is full
     */
    Object newArray(DType dtype, int length);
  }

  private final long limitBytes;
  private final Source source;
  private final Map<SizeClass, ArrayDeque<Object>> cache = new LinkedHashMap<>(64, 0.75f, true);
  private final AtomicLong systemCalls = new AtomicLong();
  private long cachedBytes;
  private long hits;

  /** An allocator that keeps at most {@code limitBytes} bytes of freed arrays. */
  HeapAllocator(long limitBytes, Source source) {
    this.limitBytes = limitBytes;
    this.source = source;
  }

  /** An allocator that keeps at most a quarter of the largest heap. */
  HeapAllocator() {
    this(Runtime.getRuntime().maxMemory() / 4, HeapArrays::newArray);
  }

  @Override
  public synchronized AllocatorStatistics statistics() {
    return new AllocatorStatistics(
        liveBytes(),
        liveCount(),
        peakBytes(),
        cachedBytes,
        liveBytes() + cachedBytes,
        hits,
        systemCalls.get());
  }

  /** Bytes of freed arrays kept for reuse. */
  synchronized long cachedBytes() {
    return cachedBytes;
  }

  /** Gives every freed array to the garbage collector. */
  synchronized void dropCache() {
    cache.clear();
    cachedBytes = 0;
  }

  @Override
  protected Object acquire(DType dtype, long length) {
    if (length > MAX_LENGTH) {
      throw new GradusException(
          String.format(
              "[memory] %d elements are more than the %d of a Java array: split the tensor",
              length, MAX_LENGTH));
    }
    int capacity = capacity(dtype, (int) length);
    Object array = isCached(dtype, capacity) ? take(dtype, capacity) : null;
    if (array == null) {
      array = allocateArray(dtype, capacity);
    }
    if (LeakDetector.level() == LeakDetector.Level.PARANOID) {
      poison(array);
    }
    return array;
  }

  @Override
  protected void recycle(DType dtype, long length, Object resource) {
    if (LeakDetector.level() == LeakDetector.Level.PARANOID) {
      poison(resource);
    }
    int capacity = capacity(dtype, (int) length);
    if (isCached(dtype, capacity)) {
      put(dtype, capacity, resource);
    }
  }

  /** Leaves the array to the garbage collector, which alone knows when nobody uses it any more. */
  @Override
  protected void recycleForgotten(DType dtype, long length, Object resource) {}

  private static boolean isCached(DType dtype, int capacity) {
    return (long) capacity * dtype.bytes() >= SMALLEST_CACHED;
  }

  private static int capacity(DType dtype, int length) {
    if ((long) length * dtype.bytes() < SMALLEST_CACHED) {
      return length;
    }
    int step = Integer.highestOneBit(length - 1) >>> STEPS_LOG2;
    if (step <= 1) {
      return length;
    }
    long rounded = ((long) length + step - 1) / step * step;
    return (int) Math.min(rounded, MAX_LENGTH);
  }

  private synchronized @Nullable Object take(DType dtype, int capacity) {
    ArrayDeque<Object> free = cache.get(new SizeClass(carrier(dtype), capacity));
    Object array = free == null ? null : free.pollLast();
    if (array != null) {
      cachedBytes -= (long) capacity * dtype.bytes();
      hits++;
    }
    return array;
  }

  private synchronized void put(DType dtype, int capacity, Object array) {
    long bytes = (long) capacity * dtype.bytes();
    if (bytes > limitBytes) {
      return;
    }
    cache
        .computeIfAbsent(new SizeClass(carrier(dtype), capacity), k -> new ArrayDeque<>())
        .addLast(array);
    cachedBytes += bytes;
    Iterator<Map.Entry<SizeClass, ArrayDeque<Object>>> oldest = cache.entrySet().iterator();
    while (cachedBytes > limitBytes) {
      Map.Entry<SizeClass, ArrayDeque<Object>> entry = oldest.next();
      long each = (long) entry.getKey().length() * elementBytes(entry.getKey().carrier());
      while (cachedBytes > limitBytes && entry.getValue().pollFirst() != null) {
        cachedBytes -= each;
      }
      if (entry.getValue().isEmpty()) {
        oldest.remove();
      }
    }
  }

  /**
   * A new array. When the heap is full the cache is dropped and unreachable tensors are awaited:
   * their arrays are free only after the cleaner's thread has run.
   */
  private Object allocateArray(DType dtype, int capacity) {
    systemCalls.incrementAndGet();
    try {
      return source.newArray(dtype, capacity);
    } catch (OutOfMemoryError first) {
      OutOfMemoryError last = first;
      for (int attempt = 0; attempt < RETRIES; attempt++) {
        dropCache();
        System.gc();
        try {
          Thread.sleep(1L << attempt);
          dropCache();
          return source.newArray(dtype, capacity);
        } catch (OutOfMemoryError again) {
          last = again;
        } catch (InterruptedException e) {
          Thread.currentThread().interrupt();
          break;
        }
      }
      throw new GradusException(
          String.format(
              "[memory] out of memory: %d bytes asked for, %d bytes in use, heap limit %d bytes:"
                  + " raise it with -Xmx, use a smaller batch, or close tensors (Scope)",
              (long) capacity * dtype.bytes(), liveBytes(), Runtime.getRuntime().maxMemory()),
          last);
    }
  }

  private static Class<?> carrier(DType dtype) {
    return switch (dtype) {
      case FLOAT32 -> float.class;
      case FLOAT64 -> double.class;
      case BFLOAT16, FLOAT16 -> short.class;
      case INT32 -> int.class;
      case INT64 -> long.class;
      case UINT8, BOOL -> byte.class;
    };
  }

  private static int elementBytes(Class<?> carrier) {
    if (carrier == double.class || carrier == long.class) {
      return 8;
    }
    if (carrier == float.class || carrier == int.class) {
      return 4;
    }
    return carrier == short.class ? 2 : 1;
  }

  private static void poison(Object array) {
    if (array instanceof float[] x) {
      Arrays.fill(x, Float.NaN);
    } else if (array instanceof double[] x) {
      Arrays.fill(x, Double.NaN);
    } else if (array instanceof short[] x) {
      Arrays.fill(x, (short) 0x7FFF);
    } else if (array instanceof int[] x) {
      Arrays.fill(x, 0x7F7F7F7F);
    } else if (array instanceof long[] x) {
      Arrays.fill(x, 0x7F7F7F7F7F7F7F7FL);
    } else if (array instanceof byte[] x) {
      Arrays.fill(x, (byte) 0x7F);
    }
  }
}
