package io.gradus.benchmarks.kernels;

import io.gradus.benchmarks.engines.LibraryWorker;
import io.gradus.benchmarks.report.Statistics;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;

/**
 * What a kernel should reach on a GPU.
 *
 * @param share of what the device can do at most; not a number for any
 * @param ratio of a peer's time to ours; not a number for any
 * @param peer the name of that peer
 */
record Goal(double share, double ratio, String peer) {
  /** Nothing in particular. */
  static final Goal NONE = new Goal(Double.NaN, Double.NaN, "");

  /** At least as fast as PyTorch without its compiler, which calls cuBLAS and cuDNN; any share. */
  static Goal ofEager(double ratio) {
    return new Goal(Double.NaN, ratio, KernelPeers.EAGER);
  }

  /** The same beside PyTorch with its compiler. */
  static Goal ofCompiled(double ratio) {
    return new Goal(Double.NaN, ratio, KernelPeers.COMPILED);
  }

  /** The same beside cuDNN's attention, as PyTorch calls it. */
  static Goal ofCudnnAttention(double ratio) {
    return new Goal(Double.NaN, ratio, KernelPeers.CUDNN_ATTENTION);
  }

  /** The same beside cuDNN. */
  static Goal ofCudnn(double ratio) {
    return new Goal(Double.NaN, ratio, LibraryWorker.CUDNN);
  }

  /** This with a share of the limit. */
  Goal andLimit(double least) {
    return new Goal(least, ratio, peer);
  }

  /** For people: which part is met; empty where there is no goal or nothing to judge it by. */
  String verdict(KernelResult result) {
    List<String> parts = new ArrayList<>();
    if (share > 0 && result.share() > 0) {
      parts.add(part(result.share() >= share, "%.0f%% of the limit", 100 * share));
    }
    Statistics beside = result.ratio(peer);
    if (ratio > 0 && beside != null) {
      parts.add(part(beside.median() >= ratio, "%.2f of " + peer, ratio));
    }
    return String.join(", ", parts);
  }

  private static String part(boolean met, String format, double value) {
    return (met ? "met: " : "MISSED: ") + String.format(Locale.ROOT, format, value);
  }
}
