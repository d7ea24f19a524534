package io.gradus.backend.plugin;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.gradus.cli.Main;
import io.gradus.core.Device;
import io.gradus.core.DeviceInfo;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** What the CUDA plug-in says of a driver that is absent, old or broken, by a driver of our own. */
class DriverProblemsTest {
  private static final String DRIVER =
      """
      #include <stdlib.h>
      int cuDriverGetVersion(int *version) {
        *version = atoi(getenv("STUB_VERSION"));
        return 0;
      }
      int cuInit(unsigned flags) { return atoi(getenv("STUB_INIT")); }
      int cuDeviceGetCount(int *count) { *count = 0; return 0; }
      int cuGetErrorString(int error, const char **text) {
        *text = "the stub's reason";
        return 0;
      }
      """;

  @TempDir private Path folder;

  private record Outcome(int code, List<String> lines) {}

  /** Runs a command in a JVM that finds the driver in the folder. */
  private Outcome gradus(Map<String, String> environment, String... words)
      throws IOException, InterruptedException {
    List<String> command = new ArrayList<>();
    command.add(Path.of(System.getProperty("java.home"), "bin", "java").toString());
    command.addAll(List.of("-Djava.awt.headless=true", "-XX:TieredStopAtLevel=1"));
    String plugins = System.getProperty("gradus.plugins");
    if (plugins != null) {
      command.add("-Dgradus.plugins=" + plugins);
    }
    command.addAll(List.of("-cp", System.getProperty("java.class.path"), Main.class.getName()));
    command.addAll(List.of(words));
    ProcessBuilder builder = new ProcessBuilder(command).redirectErrorStream(true);
    builder.environment().put("LD_LIBRARY_PATH", folder.toString());
    builder.environment().putAll(environment);
    Process process = builder.start();
    String output = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
    return new Outcome(process.waitFor(), output.lines().toList());
  }

  private static void listed(Outcome outcome, String reason) {
    assertEquals(0, outcome.code(), outcome::toString);
    List<String> cuda = outcome.lines().stream().filter(line -> line.startsWith("cuda:0")).toList();
    assertEquals(1, cuda.size(), outcome::toString);
    assertTrue(cuda.get(0).contains("cannot be used: " + reason), cuda::toString);
    assertFalse(cuda.get(0).contains("chosen"), cuda::toString);
    assertTrue(
        outcome.lines().stream()
            .anyMatch(line -> line.startsWith("cpu ") && line.contains("chosen by --device auto")),
        outcome::toString);
  }

  @Test
  void noDriver() throws Exception {
    CLibrary.assumeBuilt("cuda");
    // An unreadable library hides one that the machine may have.
    Files.writeString(folder.resolve("libcuda.so.1"), "");
    Outcome outcome = gradus(Map.of(), "devices");
    listed(outcome, "there is no NVIDIA driver on this machine (");
    String lines = outcome.lines().toString();
    assertTrue(lines.contains("install one that supports CUDA "), lines);
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      textBlock =
          """
          11040 | 0   | the NVIDIA driver supports CUDA 11.4, and this build needs
          99000 | 100 | the NVIDIA driver finds no GPU; see whether nvidia-smi lists one
          99000 | 803 | the NVIDIA driver does not start: the stub's reason (803); nvidia-smi may
          """)
  void aDriverWithAProblem(String version, String init, String reason) throws Exception {
    CLibrary.assumeBuilt("cuda");
    CLibrary.compile(folder.resolve("libcuda.so.1"), DRIVER);
    Map<String, String> stub = Map.of("STUB_VERSION", version, "STUB_INIT", init);
    listed(gradus(stub, "devices"), reason);
  }

  @Test
  void namingTheDeviceIsBadUseWithItsReason() throws Exception {
    CLibrary.assumeBuilt("cuda");
    CLibrary.compile(folder.resolve("libcuda.so.1"), "int something_else;");
    for (String device : List.of("cuda", "cuda:3")) {
      Outcome outcome = gradus(Map.of(), "devices", "--device", device);
      assertEquals(2, outcome.code(), outcome::toString);
      assertEquals(1, outcome.lines().size(), outcome::toString);
      assertTrue(
          outcome
              .lines()
              .get(0)
              .contains("libcuda.so.1 is not an NVIDIA driver; reinstall the driver"),
          outcome::toString);
    }
  }

  @Test
  void theChoiceSaysWhatWasPassedOver() {
    Device.Choice choice = Device.choose();
    assertEquals(choice.device(), Device.best());
    for (DeviceInfo info : Device.all()) {
      if (info.device().equals(choice.device())) {
        assertTrue(info.usable(), info::toString);
      } else if (info.device().type().equals("cuda") && choice.device().equals(Device.cpu())) {
        assertTrue(
            choice.reason().contains(info.device() + " cannot be used: " + info.problem()),
            choice::toString);
      }
    }
  }
}
