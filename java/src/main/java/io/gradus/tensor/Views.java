package io.gradus.tensor;

import io.gradus.backend.Backends;
import io.gradus.backend.Profiler;
import io.gradus.core.Checks;
import io.gradus.core.DType;
import io.gradus.core.Device;
import io.gradus.core.Shape;
import java.util.Arrays;
import org.jspecify.annotations.Nullable;

/**
 * Functions that arrange elements without computing: views of the same memory, copies and joins.
 */
final class Views {
  private Views() {}

  /** A view that is undone by another function of its gradient. */
  private abstract static class Rearrange extends Function {
    Shape inputShape = Shape.SCALAR;

    Rearrange(String name) {
      super(name);
    }

    @Override
    protected final Tensor[] forward(Tensor... in) {
      inputShape = in[0].shape();
      return new Tensor[] {arrange(in[0])};
    }

    @Override
    protected final @Nullable Tensor[] backward(@Nullable Tensor... grads) {
      Tensor g = grads[0];
      return new @Nullable Tensor[] {g == null ? null : undo(g)};
    }

    abstract Tensor arrange(Tensor x);

    abstract Tensor undo(Tensor gradient);
  }

  /** The same elements in the same order under other extents; shares memory where strides allow. */
  static final class Reshape extends Rearrange {
    private final Shape target;

    Reshape(Shape target) {
      super("reshape");
      this.target = target;
    }

    @Override
    Tensor arrange(Tensor x) {
      long[] strides = reshapedStrides(x.shape(), x.stridesInternal(), target);
      return strides != null
          ? x.view(target, strides, x.offset())
          : x.copy().view(target, target.strides(), 0);
    }

    @Override
    Tensor undo(Tensor gradient) {
      return gradient.reshape(inputShape.dims());
    }
  }

  /** Strides of a reshaped view, or null where the elements must be copied. */
  private static long @Nullable [] reshapedStrides(Shape from, long[] strides, Shape to) {
    if (from.numel() == 0) {
      return to.strides();
    }
    long[] out = new long[to.rank()];
    int i = from.rank() - 1;
    int j = to.rank() - 1;
    while (i >= 0 || j >= 0) {
      // Take the smallest group of axes on both sides with the same number of elements.
      long a = i >= 0 ? from.dim(i) : 1;
      long b = j >= 0 ? to.dim(j) : 1;
      int firstA = i;
      int firstB = j;
      while (a != b) {
        if (a < b) {
          a *= from.dim(--firstA);
        } else {
          b *= to.dim(--firstB);
        }
      }
      long step = 0;
      long extent = 1;
      for (int k = i; k >= Math.max(firstA, 0); k--) {
        if (from.dim(k) == 1) {
          continue;
        }
        if (extent == 1) {
          step = strides[k];
        } else if (strides[k] != step * extent) {
          return null;
        }
        extent *= from.dim(k);
      }
      long next = step;
      for (int k = j; k >= Math.max(firstB, 0); k--) {
        out[k] = next;
        next *= to.dim(k);
      }
      i = firstA - 1;
      j = firstB - 1;
    }
    return out;
  }

  /** Axes in another order; shares memory. */
  static final class Permute extends Rearrange {
    private final int[] order;

    Permute(int[] order) {
      super("permute");
      this.order = order;
    }

    @Override
    Tensor arrange(Tensor x) {
      long[] dims = new long[order.length];
      long[] strides = new long[order.length];
      for (int i = 0; i < order.length; i++) {
        dims[i] = x.size(order[i]);
        strides[i] = x.stridesInternal()[order[i]];
      }
      return x.view(Shape.of(dims), strides, x.offset());
    }

    @Override
    Tensor undo(Tensor gradient) {
      int[] inverse = new int[order.length];
      for (int i = 0; i < order.length; i++) {
        inverse[order[i]] = i;
      }
      return gradient.permute(inverse);
    }
  }

  /** Repeats extents of 1 without copying. */
  static final class Expand extends Rearrange {
    private final Shape target;

    Expand(Shape target) {
      super("expand");
      this.target = target;
    }

    @Override
    Tensor arrange(Tensor x) {
      return x.view(target, x.broadcastStrides(target), x.offset());
    }

    @Override
    Tensor undo(Tensor gradient) {
      return Reductions.sumTo(gradient, inputShape);
    }
  }

  /** Elements start, start + step, ... of an axis; shares memory. */
  static final class Slice extends Rearrange {
    private final int axis;
    private final long start;
    private final long count;
    private final long step;

    Slice(int axis, long start, long count, long step) {
      super("slice");
      this.axis = axis;
      this.start = start;
      this.count = count;
      this.step = step;
    }

    @Override
    Tensor arrange(Tensor x) {
      long[] strides = x.strides();
      Shape shape = x.shape().with(axis, count);
      // What is empty has no first element, and may begin past the end of its memory.
      long offset = shape.numel() == 0 ? x.offset() : x.offset() + start * strides[axis];
      strides[axis] *= step;
      return x.view(shape, strides, offset);
    }

    @Override
    Tensor undo(Tensor gradient) {
      return new Scatter(axis, start, step, inputShape).apply(gradient);
    }
  }

  /** The inverse of a slice: zeros around it. */
  private static final class Scatter extends Rearrange {
    private final int axis;
    private final long start;
    private final long step;
    private final Shape target;

    Scatter(int axis, long start, long step, Shape target) {
      super("unslice");
      this.axis = axis;
      this.start = start;
      this.step = step;
      this.target = target;
    }

    @Override
    Tensor arrange(Tensor x) {
      Tensor out = Tensor.full(x.backend(), x.dtype(), target, 0);
      if (x.numel() > 0) {
        new Slice(axis, start, x.size(axis), step).apply(out).copyFrom(x);
      }
      return out;
    }

    @Override
    Tensor undo(Tensor gradient) {
      return new Slice(axis, start, inputShape.dim(axis), step).apply(gradient);
    }
  }

  /** The elements of some axes in opposite order. */
  static final class Flip extends Rearrange {
    private final boolean[] axes;

    Flip(boolean[] axes) {
      super("flip");
      this.axes = axes;
    }

    @Override
    Tensor arrange(Tensor x) {
      if (x.numel() == 0) {
        return x.copy();
      }
      long[] strides = x.strides();
      long offset = x.offset();
      for (int i = 0; i < axes.length; i++) {
        if (axes[i]) {
          offset += (x.size(i) - 1) * strides[i];
          strides[i] = -strides[i];
        }
      }
      return x.view(x.shape(), strides, offset).copy();
    }

    @Override
    Tensor undo(Tensor gradient) {
      return new Flip(axes).apply(gradient);
    }
  }

  /** A constant frame around the elements. */
  static final class Pad extends Rearrange {
    private final long[] before;
    private final long[] after;
    private final double value;

    Pad(long[] before, long[] after, double value) {
      super("pad");
      this.before = before;
      this.after = after;
      this.value = value;
    }

    @Override
    Tensor arrange(Tensor x) {
      long[] dims = x.shape().dims();
      for (int i = 0; i < dims.length; i++) {
        dims[i] += before[i] + after[i];
      }
      Tensor out = Tensor.full(x.backend(), x.dtype(), Shape.of(dims), value);
      if (x.numel() > 0) {
        window(out, x.shape()).copyFrom(x);
      }
      return out;
    }

    private Tensor window(Tensor padded, Shape inner) {
      Tensor t = padded;
      for (int i = 0; i < before.length; i++) {
        t = t.slice(i, before[i], before[i] + inner.dim(i));
      }
      return t;
    }

    @Override
    Tensor undo(Tensor gradient) {
      return window(gradient, inputShape);
    }
  }

  /** A dense copy. */
  static final class Copy extends Rearrange {
    Copy() {
      super("copy");
    }

    @Override
    Tensor arrange(Tensor x) {
      Tensor out = Tensor.empty(x.backend(), x.dtype(), x.shape());
      x.backend()
          .copy(
              x.stridedBuffer(),
              x.stridesInternal(),
              out.buffer(),
              out.stridesInternal(),
              x.shape().dims());
      return out;
    }

    @Override
    Tensor undo(Tensor gradient) {
      return gradient;
    }
  }

  /** A copy on another device, by way of the host. */
  static final class Transfer extends Rearrange {
    private final Device target;
    private Device source = Device.cpu();

    Transfer(Device target) {
      super("to");
      this.target = target;
    }

    @Override
    Tensor arrange(Tensor x) {
      Capture.forbid("to");
      source = x.device();
      Tensor dense = x.contiguous();
      Object host = HostArrays.allocate(x.dtype(), x.numel());
      x.backend().download(dense.buffer(), host, 0);
      return Tensor.uploadAhead(Profiler.of(Backends.of(target)), x.dtype(), host, x.shape());
    }

    @Override
    Tensor undo(Tensor gradient) {
      return gradient.to(source);
    }
  }

  static Tensor concat(int axis, Tensor... parts) {
    Checks.argument(parts.length > 0, "[concat] needs at least one tensor");
    Shape first = parts[0].shape();
    int a = first.axis(axis, "concat");
    DType dtype = parts[0].dtype();
    for (Tensor part : parts) {
      Checks.shape(
          part.rank() == first.rank() && part.shape().with(a, 0).equals(first.with(a, 0)),
          "[concat] shapes %s and %s differ in more than axis %d",
          first,
          part.shape(),
          a);
      parts[0].sameDevice("concat", part);
      dtype = DType.promote(dtype, part.dtype());
    }
    Tensor[] same = new Tensor[parts.length];
    for (int i = 0; i < parts.length; i++) {
      same[i] = parts[i].to(dtype);
    }
    return new Concat(a).apply(same);
  }

  static Tensor stack(int axis, Tensor... parts) {
    Checks.argument(parts.length > 0, "[stack] needs at least one tensor");
    try (Scope s = Scope.open()) {
      Tensor[] raised = new Tensor[parts.length];
      for (int i = 0; i < parts.length; i++) {
        Checks.shape(
            parts[i].shape().equals(parts[0].shape()),
            "[stack] shapes %s and %s differ",
            parts[0].shape(),
            parts[i].shape());
        raised[i] = parts[i].unsqueeze(axis);
      }
      return s.keep(concat(axis < 0 ? axis + parts[0].rank() + 1 : axis, raised));
    }
  }

  private static final class Concat extends Function {
    private final int axis;
    private long[] extents = {};

    Concat(int axis) {
      super("concat");
      this.axis = axis;
    }

    @Override
    protected Tensor[] forward(Tensor... in) {
      extents = Arrays.stream(in).mapToLong(t -> t.size(axis)).toArray();
      Shape shape = in[0].shape().with(axis, Arrays.stream(extents).sum());
      Tensor out = Tensor.empty(in[0].backend(), in[0].dtype(), shape);
      long at = 0;
      for (Tensor part : in) {
        if (part.numel() > 0) {
          out.slice(axis, at, at + part.size(axis)).copyFrom(part);
        }
        at += part.size(axis);
      }
      return new Tensor[] {out};
    }

    @Override
    protected @Nullable Tensor[] backward(@Nullable Tensor... grads) {
      @Nullable Tensor[] out = new Tensor[extents.length];
      Tensor g = grads[0];
      long at = 0;
      for (int i = 0; i < out.length; i++) {
        out[i] = g != null && needsGrad(i) ? g.slice(axis, at, at + extents[i]) : null;
        at += extents[i];
      }
      return out;
    }
  }
}
