package io.gradus.backend.plugin;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.gradus.backend.Backends;
import io.gradus.core.Device;
import io.gradus.core.DeviceInfo;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;

/** The processor is the SIMD plug-in where there is one, and says so. */
class CpuDeviceTest {
  private static final String CHOICE = "gradus.cpu";

  private static DeviceInfo cpu() {
    List<DeviceInfo> offers =
        Device.all().stream().filter(info -> info.device().equals(Device.cpu())).toList();
    assertEquals(1, offers.size(), offers::toString);
    return offers.get(0);
  }

  @Test
  void thePluginIsPreferredToPlainJava() {
    CLibrary.assumeBuilt("cpu");
    assertTrue(cpu().usable());
    assertFalse(cpu().description().contains("reference"), cpu().description());
    assertEquals(PluginBackend.class, Backends.of(Device.cpu()).getClass());
  }

  @Test
  void itTakesTheWidestVectorsThatThereAre() throws IOException {
    CLibrary.assumeBuilt("cpu");
    Path processor = Path.of("/proc/cpuinfo");
    assumeTrue(
        System.getenv("GRADUS_CPU") == null && Files.isReadable(processor),
        "skipped: nothing says what the processor has");
    List<String> flags = List.of(Files.readString(processor).split("\\s+"));
    String widest = flags.contains("avx512bw") ? "AVX-512" : flags.contains("avx2") ? "AVX2" : "";
    assertTrue(cpu().description().contains(widest), cpu().description());
  }

  @Test
  void aPropertyAsksForPlainJava() {
    String before = System.getProperty(CHOICE);
    System.setProperty(CHOICE, "reference");
    try {
      assertTrue(cpu().description().startsWith("reference backend"), cpu().description());
      assertEquals(Device.cpu(), Device.of("cpu", 0));
    } finally {
      if (before == null) {
        System.clearProperty(CHOICE);
      } else {
        System.setProperty(CHOICE, before);
      }
    }
  }

  @Test
  void theOfferThatCountsIsTheUsableOneOfTheHighestRank() {
    DeviceInfo plain = new DeviceInfo(Device.cpu(), "plain", null, 1);
    DeviceInfo fast = new DeviceInfo(Device.cpu(), "fast", null, 2);
    DeviceInfo broken = new DeviceInfo(Device.cpu(), "fast", "it is broken", 2);
    assertSame(fast, DeviceInfo.better(plain, fast));
    assertSame(fast, DeviceInfo.better(fast, plain));
    for (DeviceInfo chosen :
        List.of(DeviceInfo.better(plain, broken), DeviceInfo.better(broken, plain))) {
      assertTrue(chosen.usable());
      assertEquals(1, chosen.rank());
      assertEquals("plain; the faster plug-in cannot be used: it is broken", chosen.description());
    }
    DeviceInfo worse = new DeviceInfo(Device.cpu(), "plain", "out of order", 1);
    assertSame(broken, DeviceInfo.better(worse, broken));
  }
}
