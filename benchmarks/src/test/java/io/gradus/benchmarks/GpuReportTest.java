package io.gradus.benchmarks;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.File;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** The bundle's {@code gpu-report}, with programs that stand in for what it calls. */
@Timeout(120)
class GpuReportTest {
  private static final Path SCRIPT = Path.of("..", "bundle", "gpu-report.sh");

  @TempDir private Path folder;
  private Path out = Path.of("");
  private Path calls = Path.of("");

  @BeforeEach
  void makeBundle() throws IOException {
    assumeTrue(Files.exists(SCRIPT) && File.separatorChar == '/', "there is no " + SCRIPT);
    Files.copy(SCRIPT, folder.resolve("gpu-report.sh"));
    out = folder.resolve("out");
    calls = folder.resolve("calls");
    Files.createDirectories(folder.resolve("test"));
    Files.writeString(folder.resolve("test/operations"), "ConvTest\nNormTest\n");
    program(
        "gradus",
        """
        case "$1 $2" in
          "devices ") echo "cuda:0  NVIDIA Stub, compute capability 9.0"; echo "emulated:0  a model" ;;
          "bench kernels" | "bench steps")
            while [ "$1" != --out ]; do shift; done
            mkdir -p "$2"
            echo "# a table" > "$2/${2##*/}.md"
            case $2 in *kernels) ;; *) mv "$2/${2##*/}.md" "$2/steps.md" ;; esac ;;
          "bench recipe")
            while [ "$1" != --out ]; do shift; done
            mkdir -p "$2"
            echo "# recipes' table" > "$2/recipe.md" ;;
        esac
        """);
    program("gpu-check/gradus_conformance", "");
    program(
        "gpu-check/gradus_cuda_tests",
        """
        [ "$1" != --groups ] || echo conv norm
        """);
    program("bin/compute-sanitizer", "");
    program("bin/nvidia-smi", "echo NVIDIA Stub");
    program("bin/python3", "echo \"No module named 'torch'\" >&2; exit 1");
  }

  /** A script that notes its calls and then does what it says. */
  private void program(String name, String text) throws IOException {
    Path file = folder.resolve(name);
    Files.createDirectories(file.toAbsolutePath().getParent());
    Files.writeString(
        file, "#!/bin/sh\necho \"" + name + " $*\" >> \"" + calls + "\"\n" + text + "\n");
    assertTrue(file.toFile().setExecutable(true));
  }

  private String report(int status, String... more) throws Exception {
    List<String> command = new ArrayList<>(List.of("sh", folder + "/gpu-report.sh"));
    command.addAll(List.of("--out", out.toString()));
    command.addAll(List.of(more));
    ProcessBuilder builder = new ProcessBuilder(command).redirectErrorStream(true);
    builder.environment().merge("PATH", folder + "/bin", (path, bin) -> bin + ":" + path);
    Process process = builder.start();
    String text = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
    assertTrue(process.waitFor(60, TimeUnit.SECONDS));
    assertEquals(status, process.exitValue(), text);
    return text;
  }

  private long count(String call) throws IOException {
    return Files.readAllLines(calls).stream().filter(line -> line.startsWith(call)).count();
  }

  @Test
  void everyStepIsDoneOnceAndSummedUp() throws Exception {
    String text = report(0);
    assertTrue(text.contains("passed  conformance"), text);
    assertTrue(text.contains("passed  native-norm"), text);
    assertTrue(text.contains("passed  operations-ConvTest"), text);
    assertTrue(text.contains("passed  racecheck-conv"), text);
    assertTrue(text.contains("left out cifar10-fast"), text);
    assertTrue(text.contains("0 failed, 0 not done yet"), text);
    assertTrue(text.contains("No module named 'torch'"), text);
    String summary = Files.readString(out.resolve("summary.txt"));
    // The kernels, and seven workloads.
    assertEquals(8, summary.lines().filter("# a table"::equals).count(), summary);
    assertTrue(Files.size(out.resolve("report.tgz")) > 0);
    assertEquals(1, count("gradus bench kernels --device cuda"));
    assertEquals(1, count("gradus test --device cuda NormTest"));
    assertEquals(1, count("gradus bench tune --device cuda"));
    // Conformance and two groups, with four tools.
    assertEquals(12, count("bin/compute-sanitizer"));
    long before = Files.readAllLines(calls).size();
    assertTrue(report(0).contains("0 failed, 0 not done yet"));
    // Devices, the driver's tool, python and the groups are asked again.
    assertEquals(before + 4, Files.readAllLines(calls).size());
  }

  @Test
  void aFailureIsALineAndTheRestGoesOn() throws Exception {
    program("gpu-check/gradus_conformance", "echo first; echo the second is wrong; exit 7");
    String text = report(1);
    assertTrue(text.contains("FAILED  conformance (exit status 7): the second is wrong"), text);
    assertTrue(text.contains("passed  operations-NormTest"), text);
    assertTrue(text.contains("1 failed, 0 not done yet"), text);
    assertTrue(Files.readString(out.resolve("logs/conformance.log")).contains("first"));
  }

  @Test
  void whatDoesNotFitIsDoneInTheNextCall() throws Exception {
    String text = report(3, "--minutes", "0");
    assertFalse(text.contains("passed "), text);
    assertTrue(text.contains("0 passed, 0 failed"), text);
    assertEquals(0, count("gpu-check/gradus_conformance"));
    assertTrue(report(0).contains("passed  conformance"));
  }

  @Test
  void withoutADeviceThereIsOneLine() throws Exception {
    program("gradus", "echo 'cuda:0  cannot be used: no driver'; echo 'emulated:0  a model'");
    String text = report(2);
    assertTrue(
        text.contains("cannot be used, so nothing was checked: cuda:0  cannot be used: no driver"),
        text);
  }

  @Test
  void aModelOfAGpuTriesTheWhole() throws Exception {
    String text = report(0, "--device", "emulated");
    assertTrue(text.contains("left out native tests: they are for hardware"), text);
    assertEquals(1, count("gradus bench kernels --device emulated"));
    assertEquals(1, count("gradus bench steps --device emulated --capture --precision bf16"));
    assertEquals(0, count("gpu-check"));
    assertTrue(text.contains("left out tune: its tiles are for compute capability 9.0"), text);
  }

  @Test
  void missingToolsAreLines() throws Exception {
    Files.delete(folder.resolve("gpu-check/gradus_cuda_tests"));
    String text = report(0);
    assertTrue(text.contains("left out native tests: this bundle was packed"), text);
  }

  @Test
  void theRecipeRunsBesidePyTorch() throws Exception {
    String text = report(0, "--cifar", "/data", "--runs", "2");
    assertTrue(text.contains("passed  cifar10-fast"), text);
    assertEquals(1, count("gradus bench recipe --data /data --device cuda"));
    String summary = Files.readString(out.resolve("summary.txt"));
    assertTrue(summary.contains("# recipes' table"), summary);
  }

  @Test
  void badUseSaysSo() throws Exception {
    assertTrue(report(2, "--nonsense", "1").contains("unknown option --nonsense; usage"));
    assertTrue(report(2, "--minutes", "nine").contains("are whole numbers"));
  }
}
