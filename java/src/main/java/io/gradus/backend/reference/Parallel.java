package io.gradus.backend.reference;

import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.locks.LockSupport;
import java.util.function.IntConsumer;
import org.jspecify.annotations.Nullable;

/**
 * A small pool that runs numbered chunks of one piece of work.
 *
 * <p>The caller always takes chunks itself and waits only for chunks that another thread has
 * already begun, so callers from several threads and calls from inside a chunk cannot deadlock. How
 * the work is cut into chunks never depends on the number of threads; kernels built on this class
 * therefore give the same bits with any number of threads.
 */
final class Parallel implements AutoCloseable {
  /** How long a thread looks for work before it parks; parking and waking costs about as much. */
  private static final long SPIN_NANOS = 20_000;

  /** Looks at the clock only now and then, because reading it costs more than one look. */
  private static final int SPINS_PER_CLOCK = 32;

  private final ConcurrentLinkedQueue<Job> jobs = new ConcurrentLinkedQueue<>();
  private final Worker[] workers;
  private volatile boolean closed;

  /** A piece of a range: indices {@code from} (inclusive) to {@code to} (exclusive). */
  interface RangeBody {
    /** Works on {@code from <= i < to}. */
    void run(int from, int to);
  }

  /** Makes a pool of {@code threads} threads in all, counting the calling one. */
  Parallel(int threads) {
    if (threads < 1) {
      throw new IllegalArgumentException("threads must be positive: " + threads);
    }
    workers = new Worker[threads - 1];
    for (int i = 0; i < workers.length; i++) {
      workers[i] = new Worker("gradus-worker-" + i);
      workers[i].start();
    }
  }

  /** Returns the number of threads, the calling one included. */
  int threads() {
    return workers.length + 1;
  }

  /**
   * Runs {@code body} once for every chunk in {@code 0 .. chunks - 1}, in no particular order, and
   * returns when all have ended. The first exception of a chunk reaches the caller, later ones are
   * attached as suppressed; chunks not yet begun are then left out.
   */
  void run(int chunks, IntConsumer body) {
    if (workers.length == 0 || chunks <= 1) {
      for (int i = 0; i < chunks; i++) {
        body.accept(i);
      }
      return;
    }
    Job job = new Job(chunks, body);
    jobs.add(job);
    int wanted = chunks - 1;
    for (Worker worker : workers) {
      if (wanted == 0) {
        break;
      }
      if (worker.parked) {
        LockSupport.unpark(worker);
        wanted--;
      }
    }
    job.work();
    jobs.remove(job);
    job.await();
    if (job.failure != null) {
      Parallel.<RuntimeException>rethrow(job.failure);
    }
  }

  /**
   * Cuts {@code 0 .. n - 1} into pieces of {@code grain} (the last may be shorter) and runs them.
   * The borders depend on {@code n} and {@code grain} alone.
   */
  void range(long n, long grain, RangeBody body) {
    if (n <= 0) {
      return;
    }
    if (n > Integer.MAX_VALUE) {
      throw new IllegalArgumentException("range too long: " + n);
    }
    int step = (int) Math.max(1, Math.min(grain, n));
    int size = (int) n;
    int chunks = (int) ((n + step - 1) / step);
    if (chunks == 1) {
      body.run(0, size);
      return;
    }
    run(
        chunks,
        i -> {
          int from = i * step;
          body.run(from, (int) Math.min(size, (long) from + step));
        });
  }

  /** Ends the worker threads. Work given afterwards is done by the caller alone. */
  @Override
  public void close() {
    closed = true;
    for (Worker worker : workers) {
      LockSupport.unpark(worker);
    }
  }

  @SuppressWarnings("unchecked")
  private static <E extends Throwable> void rethrow(Throwable t) throws E {
    throw (E) t;
  }

  private @Nullable Job open() {
    for (Job job : jobs) {
      if (job.next.get() < job.chunks) {
        return job;
      }
    }
    return null;
  }

  /** One call of {@link #run}: the chunks still to give out and those still running. */
  private static final class Job {
    final int chunks;
    final IntConsumer body;
    final AtomicInteger next = new AtomicInteger();
    final AtomicInteger left;
    final Thread owner = Thread.currentThread();
    volatile boolean waiting;
    volatile @Nullable Throwable failure;

    Job(int chunks, IntConsumer body) {
      this.chunks = chunks;
      this.body = body;
      this.left = new AtomicInteger(chunks);
    }

    void work() {
      // The counter is read first so that late helpers cannot make it overflow.
      while (next.get() < chunks) {
        int i = next.getAndIncrement();
        if (i >= chunks) {
          return;
        }
        if (failure == null) {
          try {
            body.accept(i);
          } catch (Throwable t) {
            fail(t);
          }
        }
        if (left.decrementAndGet() == 0 && waiting) {
          LockSupport.unpark(owner);
        }
      }
    }

    private synchronized void fail(Throwable t) {
      if (failure == null) {
        failure = t;
      } else if (failure != t) {
        failure.addSuppressed(t);
      }
    }

    void await() {
      long start = 0;
      int spins = 0;
      while (left.get() > 0) {
        if (waiting) {
          LockSupport.park(this);
          continue;
        }
        Thread.onSpinWait();
        if (++spins % SPINS_PER_CLOCK == 0) {
          long now = System.nanoTime();
          if (start == 0) {
            start = now;
          } else if (now - start > SPIN_NANOS) {
            waiting = true;
          }
        }
      }
    }
  }

  /** A helper thread: takes chunks of whatever job is open, spins briefly, then parks. */
  private final class Worker extends Thread {
    volatile boolean parked;

    Worker(String name) {
      super(name);
      setDaemon(true);
    }

    @Override
    public void run() {
      long idle = System.nanoTime();
      int spins = 0;
      while (!closed) {
        Job job = open();
        if (job != null) {
          job.work();
          idle = System.nanoTime();
          continue;
        }
        Thread.onSpinWait();
        if (++spins % SPINS_PER_CLOCK != 0 || System.nanoTime() - idle < SPIN_NANOS) {
          continue;
        }
        // The flag goes up before the last look; a submitter adds its job before it reads the flag.
        parked = true;
        while (!closed && open() == null) {
          LockSupport.park(this);
        }
        parked = false;
        idle = System.nanoTime();
      }
    }
  }
}
