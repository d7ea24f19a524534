package io.gradus.backend.plugin;

import io.gradus.backend.BinaryOp;
import io.gradus.backend.Buffer;
import io.gradus.backend.CompareOp;
import io.gradus.backend.UnaryOp;
import io.gradus.backend.plugin.jni.Native;

/** Element-wise primitives, strided copies, casts and fills. */
interface PluginElementwise extends PluginCalls {
  @Override
  default void unary(UnaryOp op, Buffer x, Buffer y) {
    Call c = call();
    c.require(Native.gr_unary(Call.code(op), c.at(x), c.at(y), x.length(), Call.type(x), stream()));
  }

  @Override
  default void binary(
      BinaryOp op, Buffer a, long[] aStrides, Buffer b, long[] bStrides, Buffer out, long[] shape) {
    Call c = call();
    each(
        new Layout(shape, aStrides, bStrides, Layout.dense(shape)),
        out.length(),
        (layout, at) ->
            c.require(
                Native.gr_binary(
                    Call.code(op),
                    c.at(a, at[0]),
                    c.at(b, at[1]),
                    c.at(out, at[2]),
                    layout,
                    Call.type(a),
                    stream())));
  }

  @Override
  default void compare(
      CompareOp op,
      Buffer a,
      long[] aStrides,
      Buffer b,
      long[] bStrides,
      Buffer out,
      long[] shape) {
    Call c = call();
    each(
        new Layout(shape, aStrides, bStrides, Layout.dense(shape)),
        out.length(),
        (layout, at) ->
            c.require(
                Native.gr_compare(
                    Call.code(op),
                    c.at(a, at[0]),
                    c.at(b, at[1]),
                    c.at(out, at[2]),
                    layout,
                    Call.type(a),
                    stream())));
  }

  @Override
  default void where(
      Buffer condition,
      long[] conditionStrides,
      Buffer a,
      long[] aStrides,
      Buffer b,
      long[] bStrides,
      Buffer out,
      long[] shape) {
    Call c = call();
    each(
        new Layout(shape, conditionStrides, aStrides, bStrides, Layout.dense(shape)),
        out.length(),
        (layout, at) ->
            c.require(
                Native.gr_where(
                    c.at(condition, at[0]),
                    c.at(a, at[1]),
                    c.at(b, at[2]),
                    c.at(out, at[3]),
                    layout,
                    Call.type(a),
                    stream())));
  }

  @Override
  default void copy(Buffer src, long[] srcStrides, Buffer dst, long[] dstStrides, long[] shape) {
    Call c = call();
    long elements = 1;
    for (long extent : shape) {
      elements *= extent;
    }
    each(
        new Layout(shape, srcStrides, dstStrides),
        elements,
        (layout, at) ->
            c.require(
                Native.gr_copy(
                    c.at(src, at[0]), c.at(dst, at[1]), layout, src.dtype().bytes(), stream())));
  }

  @Override
  default void cast(Buffer src, Buffer dst) {
    Call c = call();
    c.require(
        Native.gr_cast(
            c.at(src), c.at(dst), src.length(), Call.type(src), Call.type(dst), stream()));
  }

  @Override
  default void fill(Buffer dst, double value) {
    Call c = call();
    c.require(Native.gr_fill(c.at(dst), dst.length(), value, Call.type(dst), stream()));
  }

  /** A launch over the innermost axes, with the operands' first elements. */
  @FunctionalInterface
  interface Launch {
    void run(long layout, long[] at);
  }

  /** Launches once, or once for each index of the axes that the kernels have no room for. */
  private void each(Layout layout, long elements, Launch launch) {
    if (elements == 0) {
      return;
    }
    int outer = Math.max(0, layout.rank() - Native.GR_MAX_RANK);
    long address = layout.write(call(), outer, Native.GR_MAX_RANK, Layout.OPERANDS);
    long[] index = new long[outer];
    long[] at = new long[layout.operands()];
    while (true) {
      launch.run(address, at);
      int axis = outer - 1;
      while (axis >= 0 && ++index[axis] == layout.extent(axis)) {
        layout.advance(at, axis, 1 - layout.extent(axis));
        index[axis--] = 0;
      }
      if (axis < 0) {
        return;
      }
      layout.advance(at, axis, 1);
    }
  }
}
