package io.gradus.backend.plugin;

import io.gradus.backend.Activation;
import io.gradus.backend.Buffer;
import io.gradus.backend.LinearOps;
import io.gradus.backend.MatmulShape;
import io.gradus.backend.ProductPrecision;
import io.gradus.backend.plugin.jni.Native;
import org.jspecify.annotations.Nullable;

/** Matrix products. */
interface PluginMatmul extends PluginCalls, LinearOps {
  @Override
  default void matmul(MatmulShape shape, Buffer a, Buffer b, Buffer c) {
    Call call = call();
    int type = Call.type(a);
    boolean wide = c.dtype() != a.dtype();
    long problem = problem(call, shape, Activation.NONE, wide);
    try (Room room = room(Native.gr_matmul_scratch(problem, type, stream()))) {
      call.require(
          Native.gr_matmul(
              call.at(a),
              call.at(b),
              0,
              0,
              0,
              call.at(c),
              room.address(),
              room.bytes(),
              problem(call, shape, Activation.NONE, wide),
              type,
              stream()));
    }
  }

  @Override
  default void linearForward(
      Buffer x,
      Buffer weight,
      @Nullable Buffer bias,
      Buffer y,
      long rows,
      long inputs,
      long outputs,
      Activation activation) {
    Call call = call();
    int type = Call.type(y);
    MatmulShape shape = MatmulShape.of(rows, outputs, inputs, false, true);
    long problem = problem(call, shape, activation, false);
    try (Room room = room(Native.gr_matmul_scratch(problem, type, stream()))) {
      if (!call.ran(
          Native.gr_matmul(
              call.at(x),
              call.at(weight),
              call.at(bias),
              0,
              0,
              call.at(y),
              room.address(),
              room.bytes(),
              problem(call, shape, activation, false),
              type,
              stream()))) {
        LinearOps.super.linearForward(x, weight, bias, y, rows, inputs, outputs, activation);
      }
    }
  }

  /** A gr_matmul_problem of dense matrices; its bias, if there is one, has a number a column. */
  private static long problem(Call call, MatmulShape s, Activation activation, boolean wide) {
    return call.struct()
        .put(s.batch())
        .put(s.m())
        .put(s.n())
        .put(s.k())
        .put(s.transA())
        .put(s.transB())
        .put(s.strideA())
        .put(s.strideB())
        .skip(4)
        .put(s.accumulate())
        .put((long) Call.code(activation))
        .put((long) Call.code(ProductPrecision.current()))
        .put(1L)
        .skip(2)
        .put(wide)
        .address();
  }
}
