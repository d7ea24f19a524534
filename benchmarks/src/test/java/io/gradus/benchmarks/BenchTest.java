package io.gradus.benchmarks;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.gradus.benchmarks.Bench.Kind;
import io.gradus.benchmarks.engines.Peak;
import io.gradus.benchmarks.engines.StepsBenchmark;
import io.gradus.benchmarks.kernels.KernelsBenchmark;
import io.gradus.benchmarks.report.RunOptions;
import java.io.ByteArrayOutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class BenchTest {
  private static Kind kind(String... args) {
    return Kind.of(args);
  }

  @Test
  void theFirstWordChooses() {
    assertEquals(Kind.ALL, kind());
    assertEquals(Kind.ALL, kind("--quick", "--peers", "torch"));
    assertEquals(Kind.STEPS, kind("steps", "--quick"));
    assertEquals(Kind.KERNELS, kind("kernels"));
    assertEquals(Kind.TUNE, kind("--tune", "--device", "cuda"));
    assertEquals(Kind.TUNE, kind("tune"));
    assertEquals(Kind.RECIPE, kind("recipe", "--data", "x"));
    assertEquals(Kind.JMH, kind("jmh", "-l"));
    assertEquals(Kind.JMH, kind("-l"));
    assertEquals(Kind.JMH, kind("Matmul", "-p", "size=1024"));
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "--nonsense             | Unknown option: '--nonsense'",
        "--threads 0            | --threads must be at least 1",
        "--threads two          | 'two' is not an int",
        "--rounds 0             | --rounds must be at least 1",
        "--peers ../torch       | --peers: '../torch' is none of torch, djl, tf, nd4j, pytorch,"
            + " pytorch-compile, pytorch-cudnn, cublas, cudnn (see gradus bench --help)",
        "--peers torch,cubla    | 'cubla' is none of torch, djl, tf, nd4j, pytorch,"
            + " pytorch-compile, pytorch-cudnn, cublas, cudnn; did you mean cublas? (see",
        "steps --peers trch     | none of torch, djl, tf, nd4j, pytorch, pytorch-compile; did you"
            + " mean torch? (see gradus bench steps --help)",
        "steps --peers cublas   | 'cublas' is none of torch, djl, tf, nd4j, pytorch, pytorch-compile",
        "steps --precision half | --precision: 'half' is none of float32, tf32, bf16 (see",
        "steps --workloads mlp,resnet19 | --workloads: 'resnet19' is none of mlp, cnn, resnet20,",
        "kernels --peers cubla  | --peers: 'cubla' is none of pytorch, pytorch-compile,"
            + " pytorch-cudnn, cublas, cudnn; did you mean cublas? (see gradus bench kernels --help)",
        "kernels --groups conv,Norms | 'Norms' is none of attention, conv,",
        "kernels --groups Norms | did you mean norm? (see",
      })
  void badUseIsOneLine(String line, String part) {
    String[] words = line.split(" ", -1);
    Object command =
        switch (words[0]) {
          case "steps" -> new StepsBenchmark(threads -> new Peak(1, 1, "a test"));
          case "kernels" -> new KernelsBenchmark();
          default -> new Bench();
        };
    int options = words[0].startsWith("--") ? 0 : 1;
    PrintStream err = System.err;
    ByteArrayOutputStream said = new ByteArrayOutputStream();
    int code;
    try {
      System.setErr(new PrintStream(said, true, StandardCharsets.UTF_8));
      code = RunOptions.execute(command, Arrays.copyOfRange(words, options, words.length));
    } finally {
      System.setErr(err);
    }
    String text = said.toString(StandardCharsets.UTF_8);
    assertEquals(2, code, text);
    assertEquals(1, text.lines().count(), text);
    assertTrue(text.contains(part), text);
  }
}
