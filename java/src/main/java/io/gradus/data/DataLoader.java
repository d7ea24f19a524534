package io.gradus.data;

import io.gradus.core.Checks;
import io.gradus.core.Shape;
import java.util.Arrays;
import org.jspecify.annotations.Nullable;

/**
 * Cuts a data set into batches, shuffled anew in every epoch and prepared ahead of the consumer by
 * prefetch threads.
 *
 * <p>The order is a pure function of the seed and the number of the epoch, whatever the number of
 * threads.
 *
 * <pre>{@code
 * DataLoader loader = DataLoader.builder(train).batch(128).shuffle(true).seed(1).build();
 * try (Epoch batches = loader.epoch(0)) {
 *   for (Batch batch : batches) {
 *     step(batch.x(), batch.y());
 *   }
 * }
 * }</pre>
 */
public final class DataLoader {
  private final Dataset dataset;
  private final int batchSize;
  private final boolean shuffle;
  private final long seed;
  private final boolean dropLast;
  private final int prefetchThreads;
  private final int prefetch;
  private final @Nullable Standardise standardise;

  private DataLoader(Builder b) {
    dataset = b.dataset;
    batchSize = b.batch;
    shuffle = b.shuffle;
    seed = b.seed;
    dropLast = b.dropLast;
    prefetchThreads = b.prefetchThreads;
    prefetch = b.prefetch;
    standardise = b.standardise;
  }

  /** Starts the description of a loader. */
  public static Builder builder(Dataset dataset) {
    return new Builder(dataset);
  }

  /** The data set that is loaded. */
  public Dataset dataset() {
    return dataset;
  }

  /** Samples per batch; the last batch of an epoch may have fewer. */
  public int batchSize() {
    return batchSize;
  }

  /** Batches per epoch. */
  public int batches() {
    int whole = dataset.size() / batchSize;
    return dropLast || dataset.size() % batchSize == 0 ? whole : whole + 1;
  }

  /** The transform applied to every sample, or null for none. */
  public @Nullable Standardise standardise() {
    return standardise;
  }

  /** All batches of an epoch. */
  public Epoch epoch(int epoch) {
    return epoch(epoch, 0);
  }

  /**
   * The batches of an epoch from one of them on, as a resumed run needs.
   *
   * @param epoch number of the epoch, from 0
   * @param firstBatch the first batch to give; {@link #batches()} gives none
   * @throws io.gradus.core.ArgumentException when either is out of range
   */
  public Epoch epoch(int epoch, int firstBatch) {
    Checks.argument(epoch >= 0, "[dataloader] epochs count from 0, not %d", epoch);
    Checks.argument(
        firstBatch >= 0 && firstBatch <= batches(),
        "[dataloader] batch %d of an epoch of %d was asked for",
        firstBatch,
        batches());
    return new Epoch(this, order(epoch), firstBatch, prefetchThreads, prefetch);
  }

  /** The samples of an epoch in the order in which the batches hold them. */
  int[] order(int epoch) {
    if (shuffle) {
      return Permutation.of(dataset.size(), seed, epoch);
    }
    int[] order = new int[dataset.size()];
    Arrays.setAll(order, i -> i);
    return order;
  }

  /** The values of one batch, in host memory. */
  HostBatch assemble(int[] order, int batch) {
    int from = batch * batchSize;
    int count = Math.min(batchSize, order.length - from);
    Shape shape = dataset.sampleShape();
    int sampleSize = (int) shape.numel();
    float[] x = new float[Math.multiplyExact(count, sampleSize)];
    long[] y = new long[count];
    for (int i = 0; i < count; i++) {
      int sample = order[from + i];
      dataset.read(sample, x, i * sampleSize);
      y[i] = dataset.label(sample);
    }
    if (standardise != null) {
      standardise.apply(x, 0, x.length);
    }
    return new HostBatch(batch, shape.insert(0, count).dims(), x, y);
  }

  /** A batch that is not yet tensors, so that threads may hand it over without owning memory. */
  static final class HostBatch {
    final int index;
    final long[] dims;
    final float[] x;
    final long[] y;

    HostBatch(int index, long[] dims, float[] x, long[] y) {
      this.index = index;
      this.dims = dims;
      this.x = x;
      this.y = y;
    }
  }

  /** Describes a {@link DataLoader}. */
  public static final class Builder {
    private final Dataset dataset;
    private int batch = 64;
    private boolean shuffle;
    private long seed;
    private boolean dropLast;
    private int prefetchThreads = 1;
    private int prefetch = 4;
    private @Nullable Standardise standardise;

    private Builder(Dataset dataset) {
      this.dataset = dataset;
    }

    /** Samples per batch; 64 unless set. */
    public Builder batch(int size) {
      this.batch = size;
      return this;
    }

    /** Whether every epoch has an order of its own; false unless set. */
    public Builder shuffle(boolean on) {
      this.shuffle = on;
      return this;
    }

    /** Fixes the order of every epoch; 0 unless set. */
    public Builder seed(long value) {
      this.seed = value;
      return this;
    }

    /** Whether an incomplete last batch is left out; false unless set. */
    public Builder dropLast(boolean on) {
      this.dropLast = on;
      return this;
    }

    /** Threads that prepare batches; 1 unless set, 0 prepares them in the consumer's thread. */
    public Builder prefetchThreads(int threads) {
      this.prefetchThreads = threads;
      return this;
    }

    /** Batches prepared ahead at most; 4 unless set. */
    public Builder prefetch(int depth) {
      this.prefetch = depth;
      return this;
    }

    /** The transform applied to every sample; none unless set. */
    public Builder standardise(@Nullable Standardise statistics) {
      this.standardise = statistics;
      return this;
    }

    /**
     * Makes the loader.
     *
     * @throws io.gradus.core.ArgumentException when a number is out of range or no batch would come
     * @throws io.gradus.core.ShapeException when the statistics are of another number of channels
     */
    public DataLoader build() {
      Checks.argument(batch >= 1, "[dataloader] a batch has 1 sample or more, not %d", batch);
      Checks.argument(
          prefetchThreads >= 0 && prefetchThreads <= 256,
          "[dataloader] %d prefetch threads: choose 0 to 256",
          prefetchThreads);
      Checks.argument(prefetch >= 1, "[dataloader] prefetch depth is 1 or more, not %d", prefetch);
      Checks.argument(dataset.size() > 0, "[dataloader] %s has no samples to load", dataset.name());
      Checks.argument(
          (long) Math.min(batch, dataset.size()) * dataset.sampleShape().numel()
              <= Integer.MAX_VALUE - 8,
          "[dataloader] a batch of %d samples of shape %s has more than 2^31 values: choose a"
              + " smaller batch",
          batch,
          dataset.sampleShape());
      Checks.argument(
          !dropLast || dataset.size() >= batch,
          "[dataloader] %s has %d samples and batches of %d with dropLast leave none: choose a"
              + " smaller batch",
          dataset.name(),
          dataset.size(),
          batch);
      if (standardise != null) {
        standardise.check(dataset.sampleShape());
      }
      return new DataLoader(this);
    }
  }
}
