package io.gradus.backend.plugin;

import static org.junit.jupiter.api.Assertions.assertDoesNotThrow;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.gradus.backend.Buffer;
import io.gradus.backend.Memory;
import io.gradus.backend.plugin.jni.Native;
import io.gradus.cli.Main;
import io.gradus.core.DType;
import io.gradus.core.Device;
import io.gradus.core.DeviceLostException;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.function.Executable;
import org.junit.jupiter.api.io.TempDir;

/** A device that was lost stays lost, says so at every call, and lets everything be closed. */
class DeviceLostTest {
  @TempDir private Path folder;

  @BeforeEach
  void needsTheEmulator() {
    CLibrary.assumeBuilt("emulated");
  }

  @Test
  void everyLaterCallFailsAtOnceAndClosingIsQuiet() {
    PluginBackend backend = new PluginBackend(Plugin.load("emulated"), new Device("emulated", 0));
    Memory memory = backend.allocate(DType.FLOAT32, 100);
    Memory ahead = backend.uploadAhead(DType.FLOAT32, new float[100], 0, 100);
    Buffer x = Buffer.of(memory);
    backend.fill(x, 1);
    NativeDevice device = backend.nativeDevice();
    assertThrows(DeviceLostException.class, () -> device.check(Native.GR_DEVICE_LOST));
    List<Executable> calls =
        List.of(
            () -> backend.fill(x, 1),
            () -> backend.allocate(DType.FLOAT32, 1),
            () -> backend.upload(new float[100], 0, x),
            () -> backend.uploadAhead(DType.FLOAT32, new float[1], 0, 1),
            () -> backend.download(x, new float[100], 0),
            backend::synchronize);
    for (Executable call : calls) {
      DeviceLostException e = assertThrows(DeviceLostException.class, call);
      assertTrue(e.getMessage().startsWith("[emulated:0] the device was lost"), e.getMessage());
      assertTrue(e.getMessage().contains("checkpoint"), e.getMessage());
    }
    assertDoesNotThrow(memory::release);
    assertDoesNotThrow(ahead::release);
    assertEquals(0, backend.allocator().liveCount());
  }

  /** Trains in a JVM of its own; standard error goes to a file. */
  private int train(String failAfter, String... options) throws IOException, InterruptedException {
    List<String> command = new ArrayList<>();
    command.add(Path.of(System.getProperty("java.home"), "bin", "java").toString());
    command.addAll(List.of("-Djava.awt.headless=true", "-XX:TieredStopAtLevel=1"));
    String plugins = System.getProperty("gradus.plugins");
    if (plugins != null) {
      command.add("-Dgradus.plugins=" + plugins);
    }
    command.addAll(List.of("-cp", System.getProperty("java.class.path"), Main.class.getName()));
    command.addAll(
        List.of("train", "--model", "mlp", "--subset", "32", "--batch", "4", "--epochs", "1"));
    command.addAll(List.of("--checkpoint-seconds", "0", "--out", folder + "/run"));
    command.addAll(List.of(options));
    ProcessBuilder builder =
        new ProcessBuilder(command)
            .redirectOutput(folder.resolve("out").toFile())
            .redirectError(folder.resolve("err").toFile());
    builder.environment().put("GRADUS_EMULATED_FAIL_AFTER", failAfter);
    return builder.start().waitFor();
  }

  @Test
  void aRunThatLosesItsDeviceKeepsItsCheckpoint() throws Exception {
    // In the fourth of eight steps: a step makes about 60 calls, and every one ends with a
    // checkpoint.
    int code = train("200", "--device", "emulated");
    List<String> errors =
        Files.readAllLines(folder.resolve("err"), StandardCharsets.UTF_8).stream()
            .filter(line -> !line.isBlank())
            .toList();
    assertEquals(1, code, errors::toString);
    assertEquals(1, errors.size(), errors::toString);
    assertTrue(
        errors.get(0).contains("the device was lost (an illegal memory access"), errors.get(0));
    try (Stream<Path> files = Files.list(folder.resolve("run/checkpoint"))) {
      assertTrue(files.findAny().isPresent(), "there is no checkpoint");
    }
    assertEquals(0, train("0", "--device", "cpu", "--resume"));
    String out = Files.readString(folder.resolve("out"));
    assertTrue(out.contains("resumed in epoch 1 after batch"), out);
  }
}
