package io.gradus.backend.plugin;

import io.gradus.backend.Buffer;
import io.gradus.backend.EmbeddingOps;
import io.gradus.backend.IndexShape;
import io.gradus.backend.plugin.jni.Native;

/** Reading and adding at computed positions, and rows of a table by their numbers. */
interface PluginIndexing extends PluginCalls, EmbeddingOps {
  @Override
  default void gather(IndexShape shape, Buffer x, Buffer index, Buffer out) {
    Call c = call();
    c.require(
        Native.gr_gather(
            c.at(x), c.at(index), c.at(out), struct(c, shape), x.dtype().bytes(), stream()));
  }

  @Override
  default void scatterAdd(IndexShape shape, Buffer src, Buffer index, Buffer x) {
    Call c = call();
    int type = Call.type(x);
    try (Room room = room(Native.gr_scatter_add_scratch(struct(c, shape), type, stream()))) {
      c.require(
          Native.gr_scatter_add(
              c.at(src),
              c.at(index),
              c.at(x),
              room.address(),
              room.bytes(),
              struct(c, shape),
              type,
              stream()));
    }
  }

  @Override
  default void embeddingForward(
      Buffer weight, Buffer index, Buffer y, long vocabulary, long count, long dim) {
    Call c = call();
    c.require(
        Native.gr_embedding_forward(
            c.at(weight),
            c.at(index),
            c.at(y),
            vocabulary,
            count,
            dim,
            Call.type(weight),
            stream()));
  }

  @Override
  default void embeddingBackward(
      Buffer gradY,
      Buffer index,
      Buffer gradWeight,
      long vocabulary,
      long count,
      long dim,
      long paddingIndex) {
    Call c = call();
    int type = Call.type(gradY);
    try (Room room =
        room(Native.gr_embedding_backward_scratch(vocabulary, count, dim, type, stream()))) {
      c.require(
          Native.gr_embedding_backward(
              c.at(gradY),
              c.at(index),
              c.at(gradWeight),
              room.address(),
              room.bytes(),
              vocabulary,
              count,
              dim,
              paddingIndex,
              type,
              stream()));
    }
  }

  /** A gr_index_shape. */
  private static long struct(Call c, IndexShape s) {
    return c.struct()
        .put(s.outer())
        .put(s.size())
        .put(s.count())
        .put(s.inner())
        .put(s.indexOuter())
        .put(s.indexCount())
        .put(s.indexInner())
        .address();
  }
}
