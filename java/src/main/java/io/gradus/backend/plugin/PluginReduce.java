package io.gradus.backend.plugin;

import io.gradus.backend.Buffer;
import io.gradus.backend.ReduceOp;
import io.gradus.backend.plugin.jni.Native;

/** Reductions and positions of extremes. */
interface PluginReduce extends PluginCalls {
  @Override
  default void reduce(ReduceOp op, Buffer x, Buffer out, long outer, long n, long inner) {
    Call c = call();
    int type = Call.type(x);
    try (Room room = room(Native.gr_reduce_scratch(outer, n, inner, type, stream()))) {
      c.require(
          Native.gr_reduce(
              Call.code(op),
              c.at(x),
              c.at(out),
              room.address(),
              room.bytes(),
              outer,
              n,
              inner,
              type,
              stream()));
    }
  }

  @Override
  default void argReduce(boolean max, Buffer x, Buffer index, long outer, long n, long inner) {
    Call c = call();
    int type = Call.type(x);
    try (Room room = room(Native.gr_argreduce_scratch(outer, n, inner, type, stream()))) {
      c.require(
          Native.gr_argreduce(
              max ? 1 : 0,
              c.at(x),
              c.at(index),
              room.address(),
              room.bytes(),
              outer,
              n,
              inner,
              type,
              stream()));
    }
  }
}
