package io.gradus.backend;

/**
 * How exactly this thread wants products of FLOAT32 operands (matmul, convolution) computed: a hint
 * that a backend without such a mode ignores. Other types have one way only. The ordinals are those
 * of gr_precision in the C ABI.
 */
public enum ProductPrecision {
  /** In FLOAT32, the default. */
  EXACT,
  /** Operands rounded to TF32 (11 significant bits), sums in FLOAT32. */
  TF32,
  /** Three TF32 products in place of one: nearly the error of FLOAT32. */
  TF32X3;

  private static final ThreadLocal<ProductPrecision[]> CURRENT =
      ThreadLocal.withInitial(() -> new ProductPrecision[] {EXACT});

  /** What this thread wants. */
  public static ProductPrecision current() {
    return CURRENT.get()[0];
  }

  /** Makes this what the thread wants until the guard is closed. */
  public Guard use() {
    ProductPrecision[] slot = CURRENT.get();
    ProductPrecision before = slot[0];
    slot[0] = this;
    return () -> slot[0] = before;
  }

  /** Restores what was wanted before at close. */
  @FunctionalInterface
  public interface Guard extends AutoCloseable {
    @Override
    void close();
  }
}
