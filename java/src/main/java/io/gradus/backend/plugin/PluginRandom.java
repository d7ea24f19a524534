package io.gradus.backend.plugin;

import io.gradus.backend.Buffer;
import io.gradus.backend.DropoutOps;
import io.gradus.backend.RandomKind;
import io.gradus.backend.plugin.jni.Native;
import org.jspecify.annotations.Nullable;

/** Random numbers and dropout. */
interface PluginRandom extends PluginCalls, DropoutOps {
  @Override
  default void random(RandomKind kind, Buffer out, Buffer rng, long stream, double a, double b) {
    Call c = call();
    c.require(
        Native.gr_random(
            Call.code(kind),
            c.at(out),
            c.at(rng),
            out.length(),
            stream,
            a,
            b,
            Call.type(out),
            stream()));
  }

  @Override
  default void dropout(Buffer x, Buffer rng, Buffer y, long n, long stream, double p) {
    Call c = call();
    c.require(Native.gr_dropout(c.at(x), c.at(rng), c.at(y), n, stream, p, Call.type(x), stream()));
  }

  @Override
  default void dropoutChannels(
      Buffer x,
      Buffer rng,
      Buffer y,
      long samples,
      long positions,
      long channels,
      long stream,
      double p) {
    Call c = call();
    c.require(
        Native.gr_dropout_channels(
            c.at(x),
            c.at(rng),
            c.at(y),
            samples,
            positions,
            channels,
            stream,
            p,
            Call.type(x),
            stream()));
  }

  @Override
  default void biasDropoutResidual(
      Buffer x,
      @Nullable Buffer bias,
      @Nullable Buffer residual,
      Buffer rng,
      Buffer y,
      long rows,
      long cols,
      long stream,
      double p) {
    Call c = call();
    boolean alike =
        (bias == null || bias.dtype() == x.dtype())
            && (residual == null || residual.dtype() == x.dtype());
    if (!alike
        || !c.ran(
            Native.gr_bias_dropout_residual(
                c.at(x),
                c.at(bias),
                c.at(residual),
                c.at(rng),
                c.at(y),
                rows,
                cols,
                stream,
                p,
                Call.type(x),
                stream()))) {
      DropoutOps.super.biasDropoutResidual(x, bias, residual, rng, y, rows, cols, stream, p);
    }
  }
}
