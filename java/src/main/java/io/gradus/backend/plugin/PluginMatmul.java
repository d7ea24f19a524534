package io.gradus.backend.plugin;

import io.gradus.backend.Buffer;
import io.gradus.backend.MatmulShape;
import io.gradus.backend.ProductPrecision;
import io.gradus.backend.plugin.jni.Native;

/** Matrix products. */
interface PluginMatmul extends PluginCalls {
  @Override
  default void matmul(MatmulShape shape, Buffer a, Buffer b, Buffer c) {
    Call call = call();
    int type = Call.type(c);
    long problem = problem(call, shape);
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
              problem(call, shape),
              type,
              stream()));
    }
  }

  /** A gr_matmul_problem of dense matrices without epilogue. */
  private static long problem(Call call, MatmulShape s) {
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
        .skip(1)
        .put((long) Call.code(ProductPrecision.current()))
        .skip(3)
        .address();
  }
}
