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
    Layout layout = c.layout(shape, aStrides, bStrides, Layout.DENSE);
    while (layout.next()) {
      c.require(
          Native.gr_binary(
              Call.code(op),
              c.at(a, layout.at(0)),
              c.at(b, layout.at(1)),
              c.at(out, layout.at(2)),
              layout.address(),
              Call.type(a),
              stream()));
    }
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
    Layout layout = c.layout(shape, aStrides, bStrides, Layout.DENSE);
    while (layout.next()) {
      c.require(
          Native.gr_compare(
              Call.code(op),
              c.at(a, layout.at(0)),
              c.at(b, layout.at(1)),
              c.at(out, layout.at(2)),
              layout.address(),
              Call.type(a),
              stream()));
    }
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
    Layout layout = c.layout(shape, conditionStrides, aStrides, bStrides, Layout.DENSE);
    while (layout.next()) {
      c.require(
          Native.gr_where(
              c.at(condition, layout.at(0)),
              c.at(a, layout.at(1)),
              c.at(b, layout.at(2)),
              c.at(out, layout.at(3)),
              layout.address(),
              Call.type(a),
              stream()));
    }
  }

  @Override
  default void copy(Buffer src, long[] srcStrides, Buffer dst, long[] dstStrides, long[] shape) {
    Call c = call();
    Layout layout = c.layout(shape, srcStrides, dstStrides);
    while (layout.next()) {
      c.require(
          Native.gr_copy(
              c.at(src, layout.at(0)),
              c.at(dst, layout.at(1)),
              layout.address(),
              src.dtype().bytes(),
              stream()));
    }
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
}
