package io.gradus.backend.plugin;

/** Offers the emulator: the CUDA kernels on the processor, for tests. */
public final class EmulatedProvider extends PluginProvider {
  /** Never the best device while there is another. */
  private static final int RANK = -1000;

  /** For the service loader. */
  public EmulatedProvider() {
    super("emulated", RANK);
  }

  @Override
  String describe(DeviceProperties properties) {
    return properties.name() + ", for tests, " + properties.processors() + " threads";
  }
}
