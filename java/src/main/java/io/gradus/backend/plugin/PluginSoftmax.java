package io.gradus.backend.plugin;

import io.gradus.backend.Buffer;
import io.gradus.backend.SoftmaxOps;
import io.gradus.backend.plugin.jni.Native;

/** Softmax and its logarithm. */
interface PluginSoftmax extends PluginCalls, SoftmaxOps {
  @Override
  default void softmaxForward(Buffer x, Buffer y, long outer, long n, long inner) {
    forward(x, y, outer, n, inner, 0);
  }

  @Override
  default void logSoftmaxForward(Buffer x, Buffer y, long outer, long n, long inner) {
    forward(x, y, outer, n, inner, 1);
  }

  private void forward(Buffer x, Buffer y, long outer, long n, long inner, int logarithm) {
    Call c = call();
    c.require(
        Native.gr_softmax_forward(
            c.at(x), c.at(y), outer, n, inner, logarithm, Call.type(x), stream()));
  }

  @Override
  default void softmaxBackward(
      Buffer gradY, Buffer y, Buffer gradX, long outer, long n, long inner) {
    backward(gradY, y, gradX, outer, n, inner, 0);
  }

  @Override
  default void logSoftmaxBackward(
      Buffer gradY, Buffer y, Buffer gradX, long outer, long n, long inner) {
    backward(gradY, y, gradX, outer, n, inner, 1);
  }

  private void backward(
      Buffer gradY, Buffer y, Buffer gradX, long outer, long n, long inner, int logarithm) {
    Call c = call();
    c.require(
        Native.gr_softmax_backward(
            c.at(gradY), c.at(y), c.at(gradX), outer, n, inner, logarithm, Call.type(y), stream()));
  }
}
