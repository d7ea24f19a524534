package io.gradus.tensor;

import io.gradus.backend.BinaryOp;
import io.gradus.backend.CompareOp;
import io.gradus.backend.UnaryOp;
import io.gradus.core.Checks;
import io.gradus.core.DType;
import io.gradus.core.Shape;
import java.util.EnumSet;
import java.util.Locale;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/** Element-wise functions and how operands meet: type promotion and broadcasting. */
final class Elementwise {
  /** What mixed precision computes in FLOAT32. */
  private static final Set<UnaryOp> WIDE =
      EnumSet.of(
          UnaryOp.EXP,
          UnaryOp.EXPM1,
          UnaryOp.LOG,
          UnaryOp.LOG1P,
          UnaryOp.RECIPROCAL,
          UnaryOp.RSQRT,
          UnaryOp.SOFTPLUS);

  private Elementwise() {}

  static Tensor unary(UnaryOp op, Tensor x) {
    Checks.dtype(
        x.dtype().isFloating() || op.onLong() != null,
        "[%s] needs a floating type, not %s: cast first",
        opName(op),
        x.dtype());
    return new Unary(op).apply(WIDE.contains(op) ? Precision.wide(x) : x);
  }

  static Tensor binary(BinaryOp op, Tensor a, Tensor b) {
    a.sameDevice(opName(op), b);
    DType dtype = DType.promote(a.dtype(), b.dtype());
    Checks.dtype(
        dtype != DType.BOOL || op == BinaryOp.MAX || op == BinaryOp.MIN || op == BinaryOp.MUL,
        "[%s] is not defined on BOOL: convert with to(DType), or use maximum (or), minimum (and)",
        opName(op));
    return new Binary(op).apply(a.to(dtype), b.to(dtype));
  }

  /** A number beside a tensor: of the tensor's type, but a fraction lifts integers to float32. */
  static Tensor number(Tensor like, double value) {
    boolean lift = !like.dtype().isFloating() && value != Math.rint(value);
    DType dtype = lift || like.dtype() == DType.BOOL ? DType.FLOAT32 : like.dtype();
    return Tensor.full(like.backend(), dtype, Shape.SCALAR, value);
  }

  static Tensor compare(CompareOp op, Tensor a, Tensor b) {
    String name = opName(op);
    a.sameDevice(name, b);
    Shape shape = Shape.broadcast(a.shape(), b.shape(), name);
    DType dtype = DType.promote(a.dtype(), b.dtype());
    try (Scope s = Scope.open();
        GradMode.Guard g = GradMode.noGrad()) {
      Tensor left = a.to(dtype);
      Tensor right = b.to(dtype);
      Tensor out = Tensor.empty(a.backend(), DType.BOOL, shape);
      a.backend()
          .compare(
              op,
              left.stridedBuffer(),
              left.broadcastStrides(shape),
              right.stridedBuffer(),
              right.broadcastStrides(shape),
              out.buffer(),
              shape.dims());
      return s.keep(out);
    }
  }

  static Tensor where(Tensor condition, Tensor a, Tensor b) {
    Checks.dtype(
        condition.dtype() == DType.BOOL,
        "[where] the condition is %s, not BOOL: compare it with something first",
        condition.dtype());
    condition.sameDevice("where", a);
    a.sameDevice("where", b);
    DType dtype = DType.promote(a.dtype(), b.dtype());
    return new Where(condition).apply(a.to(dtype), b.to(dtype));
  }

  private static String opName(Enum<?> op) {
    String name = op.name().toLowerCase(Locale.ROOT);
    int bar = name.indexOf('_');
    return bar < 0
        ? name
        : name.substring(0, bar)
            + Character.toUpperCase(name.charAt(bar + 1))
            + name.substring(bar + 2);
  }

  /** y = op(x). */
  private static final class Unary extends Function {
    private final UnaryOp op;
    private final Derivatives.Rule rule;

    Unary(UnaryOp op) {
      super(opName(op));
      this.op = op;
      this.rule = Derivatives.of(op);
    }

    @Override
    protected Tensor[] forward(Tensor... in) {
      Tensor x = in[0].contiguous();
      Tensor y = Tensor.empty(x.backend(), x.dtype(), x.shape());
      x.backend().unary(op, x.buffer(), y.buffer());
      if (rule.saved() == Derivatives.Saved.INPUT) {
        save(in[0]);
      } else if (rule.saved() == Derivatives.Saved.OUTPUT) {
        save(y);
      }
      return new Tensor[] {y};
    }

    @Override
    protected @Nullable Tensor[] backward(@Nullable Tensor... grads) {
      Tensor g = grads[0];
      if (g == null || rule.saved() == Derivatives.Saved.ZERO) {
        return new Tensor[1];
      }
      Tensor kept = rule.saved() == Derivatives.Saved.NOTHING ? g : saved(0);
      return new Tensor[] {rule.gradient().apply(g, kept)};
    }
  }

  /** out = op(a, b) with broadcasting. */
  private static final class Binary extends Function {
    private final BinaryOp op;
    private Shape shapeA = Shape.SCALAR;
    private Shape shapeB = Shape.SCALAR;

    Binary(BinaryOp op) {
      super(opName(op));
      this.op = op;
    }

    @Override
    protected Tensor[] forward(Tensor... in) {
      Tensor a = in[0];
      Tensor b = in[1];
      shapeA = a.shape();
      shapeB = b.shape();
      Shape shape = Shape.broadcast(shapeA, shapeB, name());
      Tensor out = Tensor.empty(a.backend(), a.dtype(), shape);
      a.backend()
          .binary(
              op,
              a.stridedBuffer(),
              a.broadcastStrides(shape),
              b.stridedBuffer(),
              b.broadcastStrides(shape),
              out.buffer(),
              shape.dims());
      if (op != BinaryOp.ADD && op != BinaryOp.SUB) {
        save(a, b);
      }
      return new Tensor[] {out};
    }

    @Override
    protected @Nullable Tensor[] backward(@Nullable Tensor... grads) {
      Tensor g = grads[0];
      if (g == null) {
        return new Tensor[2];
      }
      @Nullable Tensor gradA = needsGrad(0) ? sum(gradA(g), shapeA) : null;
      boolean second = needsGrad(1) && op != BinaryOp.GATE;
      @Nullable Tensor gradB = second ? sum(gradB(g), shapeB) : null;
      return new @Nullable Tensor[] {gradA, gradB};
    }

    private static Tensor sum(Tensor gradient, Shape shape) {
      return Reductions.sumTo(gradient, shape);
    }

    private Tensor gradA(Tensor g) {
      return switch (op) {
        case ADD, SUB -> g;
        case MUL -> g.mul(saved(1));
        case DIV -> g.div(saved(1));
        case POW -> {
          // Where the exponent is 0 the derivative is 0, also at a = 0 where a^(b-1) is infinite.
          Tensor b = saved(1);
          Tensor slope = b.mul(saved(0).pow(b.sub(1)));
          yield g.mul(Tensor.where(b.eq(0), Elementwise.number(slope, 0), slope));
        }
        case MAX, MIN -> g.mul(share(op, saved(0), saved(1)));
        case GATE -> binary(BinaryOp.GATE, g, saved(1));
      };
    }

    private Tensor gradB(Tensor g) {
      return switch (op) {
        case ADD -> g;
        case SUB -> g.neg();
        case MUL -> g.mul(saved(0));
        case DIV -> {
          // Not a / b^2: the square overflows or vanishes long before the quotient does.
          Tensor b = saved(1);
          yield g.mul(saved(0).div(b)).div(b).neg();
        }
        case POW -> {
          Tensor a = saved(0);
          Tensor b = saved(1);
          Tensor slope = a.pow(b).mul(a.log());
          // 0^b is constant 0 for b > 0, although log(0) is infinite.
          Tensor zero = Elementwise.number(slope, 0);
          yield g.mul(Tensor.where(a.eq(0).minimum(b.ge(0)), zero, slope));
        }
        case MAX, MIN -> g.mul(share(op, saved(1), saved(0)));
        case GATE -> throw new IllegalStateException("a gate has no slope");
      };
    }

    /** 1 where mine is the extreme, 1/2 where both are. */
    private static Tensor share(BinaryOp op, Tensor mine, Tensor other) {
      Tensor wins = op == BinaryOp.MAX ? mine.gt(other) : mine.lt(other);
      return wins.to(mine.dtype()).add(mine.eq(other).to(mine.dtype()).mul(0.5));
    }
  }

  /** out = condition ? a : b. */
  private static final class Where extends Function {
    private final Tensor condition;
    private Shape shapeA = Shape.SCALAR;
    private Shape shapeB = Shape.SCALAR;

    Where(Tensor condition) {
      super("where");
      this.condition = condition;
    }

    @Override
    protected Tensor[] forward(Tensor... in) {
      Tensor a = in[0];
      Tensor b = in[1];
      shapeA = a.shape();
      shapeB = b.shape();
      Shape shape =
          Shape.broadcast(condition.shape(), Shape.broadcast(shapeA, shapeB, "where"), "where");
      Tensor out = Tensor.empty(a.backend(), a.dtype(), shape);
      a.backend()
          .where(
              condition.stridedBuffer(),
              condition.broadcastStrides(shape),
              a.stridedBuffer(),
              a.broadcastStrides(shape),
              b.stridedBuffer(),
              b.broadcastStrides(shape),
              out.buffer(),
              shape.dims());
      save(condition);
      return new Tensor[] {out};
    }

    @Override
    protected @Nullable Tensor[] backward(@Nullable Tensor... grads) {
      Tensor g = grads[0];
      if (g == null) {
        return new Tensor[2];
      }
      Tensor c = saved(0);
      Tensor zero = Elementwise.number(g, 0);
      @Nullable Tensor gradA =
          needsGrad(0) ? Reductions.sumTo(Tensor.where(c, g, zero), shapeA) : null;
      @Nullable Tensor gradB =
          needsGrad(1) ? Reductions.sumTo(Tensor.where(c, zero, g), shapeB) : null;
      return new @Nullable Tensor[] {gradA, gradB};
    }
  }

  /** Conversion of the element type. */
  static final class Cast extends Function {
    private final DType target;
    private DType source = DType.FLOAT32;

    Cast(DType target) {
      super("cast");
      this.target = target;
    }

    @Override
    protected Tensor[] forward(Tensor... in) {
      Tensor x = in[0].contiguous();
      source = x.dtype();
      Tensor y = Tensor.empty(x.backend(), target, x.shape());
      x.backend().cast(x.buffer(), y.buffer());
      return new Tensor[] {y};
    }

    @Override
    protected @Nullable Tensor[] backward(@Nullable Tensor... grads) {
      Tensor g = grads[0];
      return new @Nullable Tensor[] {g == null ? null : g.to(source)};
    }
  }
}
