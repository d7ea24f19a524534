package io.gradus.benchmarks.engines;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The script for PyTorch, with a stand-in for it that notes by whom attention is computed. */
class PythonWorkerTest {
  private static final String STAND_IN =
      """
      import os, runpy, sys
      from types import SimpleNamespace
      from unittest.mock import MagicMock

      torch = MagicMock()
      torch.device = lambda name: SimpleNamespace(type=name)
      torch.Tensor = type("Tensor", (), {"nbytes": 64, "requires_grad_": lambda self: self})
      torch.randn.return_value.to.side_effect = lambda dtype: torch.Tensor()
      torch.cuda.Event.return_value.elapsed_time.return_value = 1000.0
      for name in ("SDPBackend.%s" % n for n in ("CUDNN_ATTENTION", "MATH")):
          torch.nn.attention.configure_mock(**{name: name})

      def attention_by(backends, set_priority):
          print("BY", *(str(b) for b in backends[:1]), len(backends), file=sys.stderr)
          if len(backends) == 1 and os.environ.get("NO_CUDNN"):
              raise RuntimeError("No available kernel")
          return MagicMock()

      torch.nn.attention.sdpa_kernel = attention_by
      for name in ("torch", "torch.nn", "torch.nn.functional", "torch.nn.attention"):
          module = torch
          for part in name.split(".")[1:]:
              module = getattr(module, part)
          sys.modules[name] = module
      sys.path.insert(0, os.path.dirname(sys.argv[1]))
      sys.argv = sys.argv[1:]
      runpy.run_path(sys.argv[0], run_name="__main__")
      """;

  private static final String COMMANDS =
      """
      kernel 0 attention 1 2 8 4 true bfloat16
      repeat 24
      kernel 0 attention_gradient 1 2 8 4 false bfloat16
      """;

  @TempDir private Path folder;

  /** What the worker answered; what it wrote to its standard error is in the file {@code err}. */
  private List<String> answers(String name, String noCudnn) throws Exception {
    Path standIn = folder.resolve("stand_in.py");
    Files.writeString(standIn, STAND_IN);
    List<String> command = PythonWorker.command(folder, name);
    ProcessBuilder builder =
        new ProcessBuilder(command.get(0), standIn.toString(), command.get(1), command.get(2))
            .redirectError(folder.resolve("err").toFile());
    builder.environment().put("NO_CUDNN", noCudnn);
    Process process;
    try {
      process = builder.start();
    } catch (IOException e) {
      Assumptions.abort("there is no python3: " + e.getMessage());
      return List.of();
    }
    process.getOutputStream().write(COMMANDS.getBytes(StandardCharsets.UTF_8));
    process.getOutputStream().close();
    String text = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
    return text.lines().toList();
  }

  private void assertBy(String choice) throws IOException {
    List<String> lines = Files.readAllLines(folder.resolve("err"));
    List<String> choices = lines.stream().filter(line -> line.startsWith("BY")).distinct().toList();
    assertEquals(List.of("BY SDPBackend." + choice), choices, () -> String.join("\n", lines));
  }

  @Test
  void attentionIsTheFirstsThatCanUnlessCudnnsIsAskedFor() throws Exception {
    assertEquals(List.of("ready", "1.0", "ready"), answers(PythonWorker.EAGER, "1"));
    assertBy("CUDNN_ATTENTION 4");
    assertEquals(List.of("ready", "1.0", "ready"), answers(PythonWorker.CUDNN_ATTENTION, ""));
    assertBy("CUDNN_ATTENTION 1");
  }

  @Test
  void attentionThatCudnnCannotComputeIsAnError() throws Exception {
    List<String> answers = answers(PythonWorker.CUDNN_ATTENTION, "1");
    assertEquals("error RuntimeError: No available kernel", answers.get(0));
    assertTrue(answers.get(2).startsWith("error"), answers::toString);
  }
}
