package io.gradus.tensor;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertNotNull;

import io.gradus.backend.Activation;
import io.gradus.backend.Allocator;
import io.gradus.backend.Backends;
import io.gradus.backend.ProductPrecision;
import io.gradus.core.DType;
import io.gradus.core.Device;
import io.gradus.core.Shape;
import io.gradus.testing.TestDevices;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.function.Function;
import java.util.function.Supplier;
import java.util.function.UnaryOperator;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestFactory;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

class PrecisionTest {
  private enum Rule {
    PRODUCT,
    WIDE,
    FOLLOWS
  }

  /** An operation of images [2, 4, 4, 4] and FLOAT32 parameters, and the rule it is to follow. */
  private record Case(String name, Rule rule, UnaryOperator<Tensor> operation) {}

  private static Tensor values(long... dims) {
    Tensor t = Tensor.arange(Shape.of(dims).numel()).to(DType.FLOAT32);
    return t.mul(0.7).sin().mul(0.4).add(0.5).reshape(dims);
  }

  private static Tensor rows(Tensor x) {
    return x.reshape(-1, 4);
  }

  private static Tensor heads(Tensor x) {
    return x.reshape(2, 2, 8, 4);
  }

  private static Tensor labels() {
    return Tensor.arange(32).sub(Tensor.arange(32).div(4).mul(4));
  }

  private static final Case[] CASES = {
    new Case("matmul", Rule.PRODUCT, x -> rows(x).matmul(values(4, 3))),
    new Case("matmul by a vector", Rule.PRODUCT, x -> rows(x).matmul(values(4))),
    new Case("matmul of itself", Rule.PRODUCT, x -> x.matmul(x)),
    new Case("linear", Rule.PRODUCT, x -> Linear.linear(x, values(3, 4), values(3))),
    new Case("linear, no bias", Rule.PRODUCT, x -> Linear.linear(x, values(3, 4), null)),
    new Case("conv2d", Rule.PRODUCT, x -> Conv.conv2d(x, values(3, 2, 2, 4), values(3))),
    new Case(
        "convTranspose2d",
        Rule.PRODUCT,
        x ->
            Conv.convTranspose2d(
                x, values(4, 2, 2, 3), values(3), ConvTranspose2dOptions.of(1, 0, 0))),
    new Case(
        "attention",
        Rule.PRODUCT,
        x ->
            Attention.scaledDotProductAttention(
                heads(x), values(2, 2, 8, 4), values(2, 2, 8, 4), AttentionOptions.DEFAULT)),
    new Case("exp", Rule.WIDE, Tensor::exp),
    new Case("expm1", Rule.WIDE, Tensor::expm1),
    new Case("log", Rule.WIDE, Tensor::log),
    new Case("log1p", Rule.WIDE, Tensor::log1p),
    new Case("pow", Rule.WIDE, x -> x.pow(1.5)),
    new Case("pow 2", Rule.WIDE, x -> x.pow(2)),
    new Case("pow of a tensor", Rule.WIDE, x -> x.pow(x)),
    new Case("reciprocal", Rule.WIDE, Tensor::reciprocal),
    new Case("rsqrt", Rule.WIDE, Tensor::rsqrt),
    new Case("softplus", Rule.WIDE, Tensor::softplus),
    new Case("logSumExp", Rule.WIDE, x -> x.logSumExp(-1)),
    new Case("sum", Rule.WIDE, x -> x.sum(0, 1)),
    new Case("sum of no axis", Rule.WIDE, x -> x.sum()),
    new Case("mean", Rule.WIDE, x -> x.mean(1, 2)),
    new Case("variance", Rule.WIDE, x -> x.variance(0)),
    new Case("cumsum", Rule.WIDE, x -> x.cumsum(1)),
    new Case("softmax", Rule.WIDE, x -> Softmax.softmax(x, -1)),
    new Case("logSoftmax", Rule.WIDE, x -> Softmax.logSoftmax(x, -1)),
    new Case("crossEntropy", Rule.WIDE, x -> Loss.crossEntropy(rows(x), labels())),
    new Case(
        "crossEntropy of probabilities", Rule.WIDE, x -> Loss.crossEntropy(x, values(2, 4, 4, 4))),
    new Case("nll", Rule.WIDE, x -> Loss.nll(rows(x), labels())),
    new Case("mse", Rule.WIDE, x -> Loss.mse(x, x.detach().mul(0.5))),
    new Case("l1", Rule.WIDE, x -> Loss.l1(x, values(2, 4, 4, 4))),
    new Case("huber", Rule.WIDE, x -> Loss.huber(x, x.detach().mul(0.5), 1)),
    new Case("bceWithLogits", Rule.WIDE, x -> Loss.bceWithLogits(x, x.detach())),
    new Case(
        "batchNorm",
        Rule.FOLLOWS,
        x -> Norm.batchNorm(x, values(4), values(4), null, null, true, 0.1, 1e-5)),
    new Case("layerNorm", Rule.FOLLOWS, x -> Norm.layerNorm(x, values(4), values(4), 1e-5)),
    new Case("groupNorm", Rule.FOLLOWS, x -> Norm.groupNorm(x, 2, values(4), values(4), 1e-5)),
    new Case("rmsNorm", Rule.FOLLOWS, x -> Norm.rmsNorm(x, values(4), 1e-5)),
    new Case(
        "biasDropoutResidual",
        Rule.FOLLOWS,
        x -> Dropout.biasDropoutResidual(x, values(4), x.detach(), 0.25, true)),
    new Case("dropout", Rule.FOLLOWS, x -> Dropout.dropout(x, 0.5, true)),
    new Case("relu", Rule.FOLLOWS, Tensor::relu),
    new Case("elu", Rule.FOLLOWS, x -> x.elu(1)),
    new Case("gelu", Rule.FOLLOWS, Tensor::gelu),
    new Case("silu", Rule.FOLLOWS, Tensor::silu),
    new Case("tanh", Rule.FOLLOWS, Tensor::tanh),
    new Case("sqrt", Rule.FOLLOWS, Tensor::sqrt),
    new Case("add a number", Rule.FOLLOWS, x -> x.add(1)),
    new Case("max", Rule.FOLLOWS, x -> x.max(1)),
    new Case("maxPool2d", Rule.FOLLOWS, x -> Pool.maxPool2d(x, 2)),
    new Case("globalAvgPool2d", Rule.FOLLOWS, Pool::globalAvgPool2d),
    new Case("concat", Rule.FOLLOWS, x -> Tensor.concat(0, x, x)),
  };

  private static DType half(Precision precision) {
    return precision == Precision.BF16 ? DType.BFLOAT16 : DType.FLOAT16;
  }

  private static DType expected(Rule rule, DType input, Precision precision) {
    return switch (rule) {
      case PRODUCT -> input == DType.FLOAT64 ? input : half(precision);
      case WIDE -> input.isHalf() ? DType.FLOAT32 : input;
      case FOLLOWS -> input;
    };
  }

  @TestFactory
  List<DynamicTest> resultsHaveTheTypeOfTheTable() {
    List<DynamicTest> tests = new ArrayList<>();
    for (Case c : CASES) {
      tests.add(
          DynamicTest.dynamicTest(
              c.name,
              () -> {
                for (Precision precision : List.of(Precision.BF16, Precision.FP16)) {
                  check(c, half(precision), precision);
                  check(c, DType.FLOAT32, precision);
                }
              }));
    }
    return tests;
  }

  private static void check(Case c, DType input, Precision precision) {
    try (Scope s = Scope.open()) {
      Tensor leaf = values(2, 4, 4, 4).requiresGrad(true);
      Tensor x = leaf.to(input);
      Tensor y;
      try (Precision.Guard g = precision.use()) {
        y = c.operation.apply(x);
      }
      String what = c.name + " of " + input + " under " + precision;
      assertEquals(expected(c.rule, input, precision), y.dtype(), what);
      y.backward(Tensor.full(y.device(), y.dtype(), y.shape(), 1));
      Tensor grad = leaf.grad();
      assertNotNull(grad, what);
      assertEquals(DType.FLOAT32, grad.dtype(), what);
    }
  }

  @Test
  void float64AndOtherPoliciesChangeNothing() {
    for (Precision precision : Precision.values()) {
      try (Precision.Guard g = precision.use()) {
        Tensor wide = values(2, 3).to(DType.FLOAT64);
        assertEquals(DType.FLOAT64, wide.matmul(wide.t()).dtype(), precision.name());
        assertEquals(DType.FLOAT64, wide.exp().sum().dtype(), precision.name());
        assertEquals(DType.INT64, Tensor.arange(3).sum().dtype(), precision.name());
      }
    }
    for (Precision precision : List.of(Precision.FLOAT32, Precision.TF32)) {
      try (Precision.Guard g = precision.use()) {
        Tensor half = values(2, 3).to(DType.BFLOAT16);
        assertEquals(DType.FLOAT32, values(2, 3).matmul(values(3, 2)).dtype());
        assertEquals(DType.BFLOAT16, half.matmul(half.t()).dtype());
        assertEquals(DType.BFLOAT16, half.exp().sum().dtype());
      }
    }
  }

  @Test
  void aProductIsThatOfTheRoundedOperands() {
    Tensor x = values(5, 4);
    Tensor w = values(3, 4);
    Tensor b = values(3);
    DType type = DType.BFLOAT16;
    float[] want = Linear.linear(x.to(type), w.to(type), b.to(type)).toFloats();
    try (Precision.Guard g = Precision.BF16.use()) {
      assertArrayEquals(want, Linear.linear(x, w, b).toFloats());
    }
    assertNotEquals(want[0], Linear.linear(x, w, b).toFloats()[0]);
  }

  /** What the gradients of a small network are, backward inside or outside of the guard. */
  private static List<Tensor> gradients(Precision precision, boolean inside) {
    Tensor w1 = values(6, 4).requiresGrad(true);
    Tensor b1 = values(6).requiresGrad(true);
    Tensor gain = values(6).requiresGrad(true);
    Tensor w2 = values(3, 6).requiresGrad(true);
    List<Tensor> params = List.of(w1, b1, gain, w2);
    Tensor loss;
    try (Precision.Guard g = precision.use()) {
      Tensor hidden = Norm.layerNorm(Linear.linear(values(5, 4), w1, b1), gain, null, 1e-5).gelu();
      Tensor logits = Linear.linear(hidden, w2, null).add(hidden.matmul(w2.t()));
      loss = Loss.crossEntropy(logits, Tensor.of(new long[] {0, 1, 2, 1, 0}));
      if (inside) {
        loss.backward();
      }
    }
    if (!inside) {
      loss.backward();
    }
    List<Tensor> out = new ArrayList<>();
    for (Tensor param : params) {
      Tensor grad = param.grad();
      assertNotNull(grad);
      assertEquals(DType.FLOAT32, grad.dtype());
      out.add(grad);
    }
    return out;
  }

  @ParameterizedTest
  @EnumSource(
      value = Precision.class,
      names = {"BF16", "FP16"})
  void gradientsAreFloat32AndCloseAndTheSameInsideAndOutside(Precision precision) {
    List<Tensor> exact = gradients(Precision.FLOAT32, true);
    List<Tensor> inside = gradients(precision, true);
    List<Tensor> outside = gradients(precision, false);
    for (int i = 0; i < exact.size(); i++) {
      assertArrayEquals(inside.get(i).toFloats(), outside.get(i).toFloats());
      double norm = exact.get(i).square().sum().sqrt().item();
      double error = exact.get(i).sub(inside.get(i)).square().sum().sqrt().item();
      // A few roundings to 8 or 11 significant bits.
      double bound = precision == Precision.BF16 ? 0.04 : 0.005;
      assertEquals(0, error / norm, bound, "gradient " + i);
      assertNotEquals(0, error, "gradient " + i);
    }
  }

  @Test
  void guardsNestAndRestore() {
    Supplier<DType> product = () -> values(2, 2).matmul(values(2, 2)).dtype();
    assertEquals(Precision.FLOAT32, Precision.current());
    try (Precision.Guard outer = Precision.BF16.use()) {
      assertEquals(DType.BFLOAT16, product.get());
      try (Precision.Guard inner = Precision.FP16.use()) {
        assertEquals(DType.FLOAT16, product.get());
        try (Precision.Guard off = Precision.FLOAT32.use()) {
          assertEquals(DType.FLOAT32, product.get());
        }
        assertEquals(Precision.FP16, Precision.current());
      }
      assertEquals(DType.BFLOAT16, product.get());
    }
    assertEquals(Precision.FLOAT32, Precision.current());
    assertEquals(DType.FLOAT32, product.get());
  }

  @Test
  void aGuardIsOfItsThread() {
    try (Precision.Guard g = Precision.BF16.use()) {
      assertEquals(Precision.FLOAT32, CompletableFuture.supplyAsync(Precision::current).join());
    }
  }

  @Test
  void tf32IsAHintForBackends() {
    assertEquals(ProductPrecision.EXACT, ProductPrecision.current());
    try (Precision.Guard g = Precision.TF32.use()) {
      assertEquals(ProductPrecision.TF32, ProductPrecision.current());
      try (Precision.Guard inner = Precision.BF16.use()) {
        assertEquals(ProductPrecision.EXACT, ProductPrecision.current());
      }
      assertEquals(ProductPrecision.TF32, ProductPrecision.current());
      Hint hint = new Hint();
      hint.apply(values(2).requiresGrad(true)).backward(values(2));
      assertEquals(List.of(ProductPrecision.TF32, ProductPrecision.TF32), hint.seen);
    }
    assertEquals(ProductPrecision.EXACT, ProductPrecision.current());
  }

  /** Notes the hint that its kernels would see. */
  private static final class Hint extends io.gradus.tensor.Function {
    private final List<ProductPrecision> seen = new ArrayList<>();

    Hint() {
      super("hint");
    }

    @Override
    protected Tensor[] forward(Tensor... in) {
      seen.add(ProductPrecision.current());
      return new Tensor[] {in[0].copy()};
    }

    @Override
    protected @Nullable Tensor[] backward(@Nullable Tensor... grads) {
      seen.add(ProductPrecision.current());
      return new @Nullable Tensor[] {grads[0]};
    }
  }

  /** A square by a product, whose author expects FLOAT32 to stay it. */
  private static final class Square extends io.gradus.tensor.Function {
    Square() {
      super("square");
    }

    @Override
    protected Tensor[] forward(Tensor... in) {
      save(in[0]);
      return new Tensor[] {in[0].matmul(in[0])};
    }

    @Override
    protected @Nullable Tensor[] backward(@Nullable Tensor... grads) {
      Tensor g = grads[0];
      assertNotNull(g);
      Tensor x = saved(0);
      Tensor gradient = g.matmul(x.t()).add(x.t().matmul(g));
      assertEquals(DType.FLOAT32, gradient.dtype());
      return new @Nullable Tensor[] {gradient};
    }
  }

  @Test
  void insideAFunctionThePolicyIsOff() {
    Tensor x = values(3, 3).requiresGrad(true);
    float[] want = x.detach().matmul(x.detach()).toFloats();
    try (Precision.Guard g = Precision.BF16.use()) {
      Tensor y = new Square().apply(x);
      assertArrayEquals(want, y.toFloats());
      y.backward(values(3, 3));
    }
  }

  @Test
  void aRecomputedSegmentComputesAsItDidForward() {
    Function<Tensor, Tensor> network = x -> Linear.linear(x, values(4, 4), values(4)).exp().mean();
    Tensor direct = values(3, 4).requiresGrad(true);
    Tensor again = values(3, 4).requiresGrad(true);
    Tensor loss;
    Tensor recomputed;
    try (Precision.Guard g = Precision.BF16.use()) {
      loss = network.apply(direct);
      recomputed = GradientCheckpoint.apply(in -> network.apply(in[0]), again);
    }
    assertEquals(loss.item(), recomputed.item());
    loss.backward();
    recomputed.backward();
    Tensor want = direct.grad();
    Tensor got = again.grad();
    assertNotNull(want);
    assertNotNull(got);
    assertArrayEquals(want.toFloats(), got.toFloats());
  }

  @Test
  void aResidualOfAnotherTypeMeetsInTheHigherOne() {
    Tensor half = values(2, 4).to(DType.BFLOAT16);
    try (Precision.Guard g = Precision.BF16.use()) {
      Tensor y = Dropout.biasDropoutResidual(half, values(4), values(2, 4), 0, false);
      assertEquals(DType.FLOAT32, y.dtype());
      Tensor normal =
          Norm.batchNorm(
              values(2, 4),
              null,
              null,
              null,
              null,
              BatchNormOptions.of(true, 0.1, 1e-5).withActivation(Activation.RELU),
              half);
      assertEquals(DType.FLOAT32, normal.dtype());
    }
  }

  @Test
  void roundedCopiesAreFreed() {
    Device device = TestDevices.isolated();
    Allocator allocator = Backends.of(device).allocator();
    Tensor x = Tensor.full(device, DType.FLOAT32, Shape.of(4, 4), 0.5).requiresGrad(true);
    Tensor w = Tensor.full(device, DType.FLOAT32, Shape.of(4, 4), 0.25).requiresGrad(true);
    long[] live = new long[3];
    for (int i = 0; i < live.length; i++) {
      long before = allocator.liveCount();
      try (Precision.Guard g = Precision.FP16.use()) {
        // Without a scope around: what the operations make for themselves is theirs to free.
        Tensor y = Linear.linear(x.detach(), w.detach(), null);
        assertEquals(before + 1, allocator.liveCount());
        y.close();
        try (Scope s = Scope.open()) {
          Conv.conv2d(x.reshape(1, 2, 2, 4), w.reshape(4, 1, 1, 4), null).mean().backward();
        }
      }
      live[i] = allocator.liveCount();
    }
    // The first round leaves the two gradients, to which the others add.
    assertArrayEquals(new long[] {4, 4, 4}, live);
  }
}
