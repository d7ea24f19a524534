package io.gradus.data;

import io.gradus.core.Checks;
import io.gradus.data.DataLoader.HostBatch;
import io.gradus.tensor.Tensor;
import java.util.ArrayDeque;
import java.util.Iterator;
import java.util.NoSuchElementException;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Future;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.ThreadPoolExecutor;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import org.jspecify.annotations.Nullable;

/**
 * One pass over the batches of a {@link DataLoader}.
 *
 * <p>Threads prepare host arrays; the tensors are made by {@code next()} in the consumer's thread,
 * so they belong to its {@link io.gradus.tensor.Scope}, and a pass that is left early holds none.
 * Its threads end with {@link #close()} or the last batch; those of a pass that was left without
 * either end by themselves, as no task ever waits.
 */
public final class Epoch implements Iterable<Batch>, AutoCloseable {
  private static final AtomicInteger THREADS = new AtomicInteger();

  private final DataLoader loader;
  private final int[] order;
  private final int end;
  private final int depth;
  private final @Nullable ThreadPoolExecutor pool;
  private final ArrayDeque<Future<HostBatch>> pending = new ArrayDeque<>();
  private int submitted;
  private int given;
  private boolean started;
  private boolean closed;

  Epoch(DataLoader loader, int[] order, int firstBatch, int threads, int depth) {
    this.loader = loader;
    this.order = order;
    this.end = loader.batches();
    this.depth = depth;
    this.submitted = firstBatch;
    this.given = firstBatch;
    this.pool = threads == 0 || firstBatch == end ? null : pool(threads);
  }

  private static ThreadPoolExecutor pool(int threads) {
    ThreadPoolExecutor pool =
        new ThreadPoolExecutor(
            threads,
            threads,
            1,
            TimeUnit.SECONDS,
            new LinkedBlockingQueue<>(),
            task -> {
              Thread thread = new Thread(task, "gradus-prefetch-" + THREADS.incrementAndGet());
              thread.setDaemon(true);
              return thread;
            });
    pool.allowCoreThreadTimeOut(true);
    return pool;
  }

  /**
   * The batches, in order; an error in a prefetch thread is thrown by {@code next()} of the batch
   * it spoilt.
   *
   * @throws IllegalStateException when they were asked for before or this is closed
   */
  @Override
  public Iterator<Batch> iterator() {
    Checks.state(!closed, "[dataloader] this epoch is closed: ask the loader for a new one");
    Checks.state(!started, "[dataloader] an epoch is read once: ask the loader for a new one");
    started = true;
    prefetch();
    return new Iterator<>() {
      @Override
      public boolean hasNext() {
        return !closed && given < end;
      }

      @Override
      public Batch next() {
        Checks.state(!closed || given == end, "[dataloader] this epoch is closed");
        if (given == end) {
          throw new NoSuchElementException();
        }
        return take();
      }
    };
  }

  private Batch take() {
    HostBatch host;
    if (pool == null) {
      host = loader.assemble(order, given);
    } else {
      Future<HostBatch> first = pending.remove();
      try {
        host = await(first);
      } catch (RuntimeException | Error e) {
        close();
        throw e;
      }
      prefetch();
    }
    given++;
    if (given == end) {
      close();
    }
    Tensor x = Tensor.of(host.x, host.dims);
    try {
      return new Batch(host.index, x, Tensor.of(host.y, host.y.length));
    } catch (RuntimeException | Error e) {
      x.close();
      throw e;
    }
  }

  /** Keeps {@code depth} batches under way; tasks run when a thread is free and never wait. */
  private void prefetch() {
    ThreadPoolExecutor threads = pool;
    if (threads == null) {
      return;
    }
    while (submitted < end && pending.size() < depth) {
      int batch = submitted++;
      pending.add(threads.submit(() -> loader.assemble(order, batch)));
    }
  }

  private static HostBatch await(Future<HostBatch> batch) {
    try {
      return batch.get();
    } catch (ExecutionException e) {
      Throwable cause = e.getCause();
      if (cause instanceof RuntimeException r) {
        throw r;
      }
      if (cause instanceof Error error) {
        throw error;
      }
      throw new IllegalStateException("[dataloader] a prefetch thread failed: " + cause, cause);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new IllegalStateException("[dataloader] interrupted while waiting for a batch", e);
    }
  }

  /**
   * Stops the prefetch threads and waits until they no longer read; needless after the last batch.
   */
  @Override
  public void close() {
    if (closed) {
      return;
    }
    closed = true;
    pending.clear();
    if (pool != null) {
      pool.shutdownNow();
      boolean interrupted = Thread.interrupted();
      while (true) {
        try {
          if (pool.awaitTermination(1, TimeUnit.MINUTES)) {
            break;
          }
        } catch (InterruptedException e) {
          interrupted = true;
        }
      }
      if (interrupted) {
        Thread.currentThread().interrupt();
      }
    }
  }
}
