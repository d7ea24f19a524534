package io.gradus.tensor;

import io.gradus.backend.ProductPrecision;
import io.gradus.core.DType;
import org.jspecify.annotations.Nullable;

/**
 * In which type operations of this thread compute: the policy of mixed precision.
 *
 * <pre>{@code
 * try (Precision.Guard g = Precision.BF16.use()) {
 *   loss = Loss.crossEntropy(model.call(x), y);
 * }
 * loss.backward();
 * }</pre>
 *
 * <p>Under {@link #BF16} and {@link #FP16}, 16 for the policy's type:
 *
 * <ul>
 *   <li>Products take operands of FLOAT32 or 16 bits in 16, sum in FLOAT32 and give 16: {@code
 *       matmul, linear, conv2d, convTranspose2d, scaledDotProductAttention}.
 *   <li>What is sensitive to rounding or to a small range takes 16 bits as FLOAT32 and gives
 *       FLOAT32: {@code exp, expm1, log, log1p, pow, reciprocal, rsqrt, softplus, logSumExp, sum,
 *       mean, variance, cumsum, softmax, logSoftmax} and all losses.
 *   <li>Norms take x as it is, with FLOAT32 statistics and parameters, and give the type of x.
 *   <li>Everything else follows its operands; where types meet, the higher wins.
 * </ul>
 *
 * <p>FLOAT64 and integers are never changed. Parameters stay FLOAT32: what an operation takes is a
 * rounded copy, made at every use, and their gradients come out in FLOAT32; those of the weights of
 * {@code linear} and {@code conv2d} are sums that nobody rounded to 16 bits. An operation's
 * backward computes in the types of its forward, inside the guard or not; a {@link Function}
 * decides about types itself, so inside its forward and backward the policy is off.
 *
 * <p>FP16 has a small range: scale the loss, so that gradients do not vanish (io.gradus.optim's
 * LossScaler). BF16 has the range of FLOAT32 and needs nothing.
 *
 * <p>Source: Micikevicius et al., "Mixed precision training", ICLR 2018; the lists are those of
 * PyTorch's {@code torch.autocast} for CUDA ("Autocast Op Reference"), except that norms keep 16
 * bits, since their statistics are FLOAT32 anyway, and that the mean is listed with the sum.
 */
public enum Precision {
  /** As the operands are, products of FLOAT32 in FLOAT32; the default. */
  FLOAT32(null, ProductPrecision.EXACT),
  /** Products in BFLOAT16: 8 significant bits, the range of FLOAT32. */
  BF16(DType.BFLOAT16, ProductPrecision.EXACT),
  /** Products in FLOAT16: 11 significant bits, from 6e-8 to 65504. */
  FP16(DType.FLOAT16, ProductPrecision.EXACT),
  /**
   * Types as in {@link #FLOAT32}, but devices that can may round the operands of products to 11
   * significant bits, in the products that run inside the guard.
   */
  TF32(null, ProductPrecision.TF32);

  private static final ThreadLocal<Precision[]> CURRENT =
      ThreadLocal.withInitial(() -> new Precision[] {FLOAT32});
  private static final Guard NOTHING = () -> {};

  private final @Nullable DType half;
  private final ProductPrecision products;

  Precision(@Nullable DType half, ProductPrecision products) {
    this.half = half;
    this.products = products;
  }

  /** The policy of this thread. */
  public static Precision current() {
    return CURRENT.get()[0];
  }

  /** Makes this the policy of this thread until the guard is closed. */
  public Guard use() {
    Precision[] slot = CURRENT.get();
    Precision before = slot[0];
    slot[0] = this;
    ProductPrecision.Guard hint = products.use();
    return () -> {
      slot[0] = before;
      hint.close();
    };
  }

  /** Lets operations keep the types they are given; the hint of {@link #TF32} stays. */
  static Guard suspend() {
    Precision[] slot = CURRENT.get();
    Precision before = slot[0];
    if (before.half == null) {
      return NOTHING;
    }
    slot[0] = FLOAT32;
    return () -> slot[0] = before;
  }

  /** The type in which a product takes operands of a type. */
  static DType product(DType dtype) {
    DType half = current().half;
    return half != null && (dtype == DType.FLOAT32 || dtype.isHalf()) ? half : dtype;
  }

  /** An operand of a product. */
  static Tensor product(Tensor x) {
    return x.to(product(x.dtype()));
  }

  /**
   * A weight of a product as the graph has it: FLOAT32 stays, and {@link #product} of it is
   * multiplied, so that its gradient need not be rounded.
   */
  static Tensor weight(Tensor x) {
    return x.dtype() == DType.FLOAT32 ? x : product(x);
  }

  /** An operand of what is sensitive to rounding. */
  static Tensor wide(Tensor x) {
    return x.dtype().isHalf() && current().half != null ? x.to(DType.FLOAT32) : x;
  }

  /** x in the type in which it meets another operand of a fused operation. */
  static Tensor meeting(Tensor x, Tensor other) {
    return current().half == null ? x : x.to(DType.promote(x.dtype(), other.dtype()));
  }

  /** A small operand of a fused operation in the type of the large one. */
  static Tensor like(Tensor x, Tensor operand) {
    return current().half != null && operand.dtype().isFloating() ? operand.to(x.dtype()) : operand;
  }

  /** Restores the policy at close. */
  @FunctionalInterface
  public interface Guard extends AutoCloseable {
    @Override
    void close();
  }
}
