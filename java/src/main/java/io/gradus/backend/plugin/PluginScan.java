package io.gradus.backend.plugin;

import io.gradus.backend.Buffer;
import io.gradus.backend.ScanOps;
import io.gradus.backend.plugin.jni.Native;

/** Cumulative sums. */
interface PluginScan extends PluginCalls, ScanOps {
  @Override
  default void cumsum(Buffer x, Buffer y, long outer, long n, long inner, boolean reverse) {
    Call c = call();
    int type = Call.type(x);
    try (Room room = room(Native.gr_cumsum_scratch(outer, n, inner, type, stream()))) {
      if (!c.ran(
          Native.gr_cumsum(
              c.at(x),
              c.at(y),
              room.address(),
              room.bytes(),
              outer,
              n,
              inner,
              reverse ? 1 : 0,
              type,
              stream()))) {
        ScanOps.super.cumsum(x, y, outer, n, inner, reverse);
      }
    }
  }
}
