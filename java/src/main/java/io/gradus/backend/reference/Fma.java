package io.gradus.backend.reference;

import com.sun.management.HotSpotDiagnosticMXBean;
import java.lang.management.ManagementFactory;

/**
 * Fused multiply-add where the processor has it, multiply and add elsewhere.
 *
 * <p>{@link Math#fma(float, float, float)} without hardware support goes through {@code BigDecimal}
 * and is thousands of times slower than the two plain operations. The choice is a constant, so the
 * compiled code has no branch. Results are reproducible on one machine, not between machines of the
 * two kinds.
 */
final class Fma {
  /** Whether the virtual machine compiles {@code Math.fma} to one instruction. */
  static final boolean HARDWARE = hardware();

  private Fma() {}

  private static boolean hardware() {
    try {
      HotSpotDiagnosticMXBean bean =
          ManagementFactory.getPlatformMXBean(HotSpotDiagnosticMXBean.class);
      return bean != null && Boolean.parseBoolean(bean.getVMOption("UseFMA").getValue());
    } catch (RuntimeException | LinkageError e) {
      // Another virtual machine, or a runtime image without the management module.
      return false;
    }
  }

  /** Returns {@code a * b + c}. */
  static float fma(float a, float b, float c) {
    return HARDWARE ? Math.fma(a, b, c) : a * b + c;
  }

  /** Returns {@code a * b + c}. */
  static double fma(double a, double b, double c) {
    return HARDWARE ? Math.fma(a, b, c) : a * b + c;
  }
}
