package io.gradus.backend.plugin;

import java.util.Locale;

/** Offers NVIDIA GPUs. */
public final class CudaProvider extends PluginProvider {
  private static final int RANK = 1000;

  /** For the service loader. */
  public CudaProvider() {
    super("cuda", RANK);
  }

  @Override
  String describe(DeviceProperties properties) {
    return String.format(
        Locale.ROOT,
        "%s, %.0f GB, compute capability %d.%d, %d multiprocessors, driver for CUDA %s",
        properties.name(),
        properties.memoryTotal() / 1e9,
        properties.capability() / 10,
        properties.capability() % 10,
        properties.processors(),
        version(properties.driverVersion()));
  }

  private static String version(long number) {
    return number / 1000 + "." + number % 1000 / 10;
  }
}
