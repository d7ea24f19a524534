package io.gradus.tensor;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.gradus.backend.Activation;
import io.gradus.core.DType;
import io.gradus.core.Device;
import io.gradus.nn.BatchNorm2d;
import io.gradus.nn.Conv2d;
import io.gradus.nn.Identity;
import io.gradus.nn.Module;
import io.gradus.nn.ReLU;
import io.gradus.nn.Residual;
import io.gradus.nn.Sequential;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * The kernels that normalise an image on its way into a convolution, which the emulated device has
 * as one of capability 9.0: in a process of its own, since the environment says so.
 */
class NormalisedConvTest {
  private static final Device EMULATED = new Device("emulated", 0);
  private static final BatchNormOptions NORM =
      new BatchNormOptions(true, 0.1, 1e-5, Activation.RELU);

  @TempDir private Path folder;

  @Test
  void theKernelsAgreeWithTheParts() throws Exception {
    assumeTrue(
        Device.all().stream().anyMatch(d -> d.usable() && d.device().equals(EMULATED)),
        "the emulated device was not built");
    List<String> command = new ArrayList<>();
    command.add(Path.of(System.getProperty("java.home"), "bin", "java").toString());
    String plugins = System.getProperty("gradus.plugins");
    if (plugins != null) {
      command.add("-Dgradus.plugins=" + plugins);
    }
    command.addAll(
        List.of("-XX:TieredStopAtLevel=1", "-cp", System.getProperty("java.class.path")));
    command.add(NormalisedConvTest.class.getName());
    Path out = folder.resolve("out");
    ProcessBuilder builder =
        new ProcessBuilder(command).redirectErrorStream(true).redirectOutput(out.toFile());
    builder.environment().put("GRADUS_EMULATED_CAPABILITY", "90");
    builder.environment().put("GRADUS_MATMUL_HOPPER", "3,1,1");
    int code = builder.start().waitFor();
    String said = Files.readString(out);
    assertEquals(0, code, said);
    assertTrue(said.endsWith("all agree\n"), said);
  }

  /** The other process. */
  public static void main(String[] arguments) {
    for (DType dtype : new DType[] {DType.BFLOAT16, DType.FLOAT16}) {
      Map<String, double[]> fused = link(dtype, true);
      Map<String, double[]> parts = link(dtype, false);
      assertEquals(parts.keySet(), fused.keySet());
      parts.forEach((name, want) -> assertArrayEquals(want, fused.get(name), 0, dtype + name));
    }
    whatIsConvolvedIsNotKept();
    unalignedOperandsAreComposed();
    aBottleneckTrains();
    System.out.print("all agree\n");
  }

  /** Names of the functions that made a tensor. */
  private static List<String> graph(Tensor y) {
    List<String> names = new ArrayList<>();
    List<Function> open = new ArrayList<>();
    open.add(producer(y));
    while (!open.isEmpty()) {
      Function f = open.remove(open.size() - 1);
      names.add(f.name());
      for (int i = 0; i < f.inputCount(); i++) {
        Function next = f.next(i);
        if (next != null && !(next instanceof AccumulateGrad)) {
          open.add(next);
        }
      }
    }
    return names;
  }

  private static Function producer(Tensor y) {
    AutogradMeta meta = y.meta();
    assertNotNull(meta);
    Function producer = meta.producer;
    assertNotNull(producer);
    return producer;
  }

  private static Tensor leaf(Tensor values) {
    return values.to(EMULATED).detach().requiresGrad(true);
  }

  /** A convolution, a normalisation and a convolution, with all gradients. */
  private static Map<String, double[]> link(DType dtype, boolean fused) {
    try (Scope s = Scope.open()) {
      Generator.seed(7);
      Tensor x = leaf(Tensor.randn(2, 5, 7, 16).to(dtype));
      Tensor first = leaf(Tensor.randn(24, 3, 3, 16).mul(0.1).to(dtype));
      Tensor scale = leaf(Tensor.rand(24).add(0.5));
      Tensor shift = leaf(Tensor.randn(24));
      Tensor second = leaf(Tensor.randn(16, 1, 1, 24).to(dtype));
      Tensor bias = leaf(Tensor.randn(16).to(dtype));
      Tensor mean = Tensor.zeros(24).to(EMULATED).copy();
      Tensor var = Tensor.ones(24).to(EMULATED).copy();
      Conv2dOptions none = Conv2dOptions.DEFAULT;
      Convolved image = Convolved.conv2d(x, first, null, Conv2dOptions.of(1, 1));
      Convolved y =
          fused
              ? image.batchNormConv2d(scale, shift, mean, var, 0.1, 1e-5, second, bias, none, true)
              : Convolved.conv2d(
                  image.batchNorm(scale, shift, mean, var, NORM, null), second, bias, none);
      assertEquals(fused, graph(y.image()).contains("batchNormConv2d"));
      Tensor z = y.batchNorm(null, null, null, null, NORM, null);
      z.mul(Tensor.randn(2, 5, 7, 16).to(dtype).to(EMULATED)).sum().backward();
      Map<String, double[]> out = new LinkedHashMap<>();
      out.put("y", y.image().toDoubles());
      out.put("z", z.toDoubles());
      out.put("mean", mean.toDoubles());
      out.put("var", var.toDoubles());
      for (Tensor t : new Tensor[] {x, first, scale, shift, second, bias}) {
        Tensor gradient = t.grad();
        assertNotNull(gradient);
        out.put("gradient " + out.size(), gradient.toDoubles());
      }
      return out;
    }
  }

  /** Bytes that a graph holds from a normalisation on. */
  private static long held(boolean fused) {
    try (Scope s = Scope.open()) {
      Tensor x = leaf(Tensor.randn(2, 5, 7, 64).to(DType.BFLOAT16));
      Tensor kernel = leaf(Tensor.randn(8, 1, 1, 64).to(DType.BFLOAT16));
      Tensor one = leaf(Tensor.ones(64));
      long before = live(x);
      Tensor y =
          fused
              ? Conv.batchNormConv2d(
                  x, one, one, null, null, 0.1, 1e-5, kernel, null, Conv2dOptions.DEFAULT)
              : twoSteps(x, one, kernel);
      assertEquals(2 * 5 * 7 * 8, y.numel());
      return live(x) - before;
    }
  }

  private static Tensor twoSteps(Tensor x, Tensor one, Tensor kernel) {
    try (Scope s = Scope.open()) {
      Tensor z = Norm.batchNorm(x, one, one, null, null, NORM, null);
      return s.keep(Conv.conv2d(z, kernel, null));
    }
  }

  private static long live(Tensor x) {
    return x.backend().allocator().statistics().liveBytes();
  }

  private static void whatIsConvolvedIsNotKept() {
    long z = 2L * 5 * 7 * 64 * 2;
    long spared = held(false) - held(true);
    assertTrue(z <= spared && spared < z + z / 8, spared + " bytes are spared, of " + z);
  }

  private static void unalignedOperandsAreComposed() {
    try (Scope s = Scope.open()) {
      Generator.seed(8);
      Tensor all = Tensor.randn(3 * 5 * 16 + 1).to(DType.BFLOAT16).to(EMULATED);
      Tensor odd = all.slice(0, 1, 3 * 5 * 16 + 1).reshape(1, 3, 5, 16);
      Tensor kernel = leaf(Tensor.randn(8, 1, 1, 16).to(DType.BFLOAT16));
      Tensor[] gradients = new Tensor[2];
      Tensor[] results = new Tensor[2];
      for (int i = 0; i < 2; i++) {
        Tensor x = (i == 0 ? odd : odd.copy()).detach().requiresGrad(true);
        results[i] =
            Conv.batchNormConv2d(
                x, null, null, null, null, 0.1, 1e-5, kernel, null, Conv2dOptions.DEFAULT);
        assertEquals(List.of("batchNormConv2d"), graph(results[i]));
        gradients[i] = Autograd.grad(results[i].square().sum(), new Tensor[] {x, kernel})[1];
      }
      assertArrayEquals(results[1].toDoubles(), results[0].toDoubles(), 0.05);
      assertArrayEquals(gradients[1].toDoubles(), gradients[0].toDoubles(), 2);
    }
  }

  private static Module bottleneck() {
    Generator.seed(9);
    return new Residual(
        new Sequential(
            new Conv2d(16, 8, 1),
            new BatchNorm2d(8),
            new ReLU(),
            new Conv2d(8, 8, 3, Conv2dOptions.of(1, 1)),
            new BatchNorm2d(8),
            new ReLU(),
            new Conv2d(8, 16, 1),
            new BatchNorm2d(16)),
        new Identity(),
        new ReLU());
  }

  /** Losses of a few steps; the last step's pass is by way of a gradient checkpoint. */
  private static double[] losses(Device device, boolean fused, @Nullable String plan) {
    System.setProperty("gradus.fusion", fused ? "on" : "off");
    try (Scope s = Scope.open();
        Precision.Guard g = Precision.BF16.use()) {
      Module model = bottleneck();
      model.to(device);
      Tensor x = Tensor.randn(2, 4, 5, 16).to(device);
      Tensor target = Tensor.randn(2, 4, 5, 16).to(device);
      double[] losses = new double[4];
      CapturedStep.Step training =
          in -> {
            Tensor y = model.call(in[0]);
            if (plan != null) {
              assertTrue(graph(y).contains(plan), () -> graph(y).toString());
            }
            return new Tensor[] {descend(model, y.sub(target).square().mean())};
          };
      try (CapturedStep step = CapturedStep.of(device, training)) {
        for (int i = 0; i < losses.length - 1; i++) {
          losses[i] = step.run(x)[0].item();
        }
      }
      Tensor input = x.detach().requiresGrad(true);
      Tensor y = GradientCheckpoint.apply(in -> model.call(in[0]), input);
      losses[losses.length - 1] = descend(model, y.sub(target).square().mean()).item();
      return losses;
    } finally {
      System.clearProperty("gradus.fusion");
    }
  }

  private static Tensor descend(Module model, Tensor loss) {
    loss.backward();
    for (Tensor p : model.parameters()) {
      Tensor gradient = p.grad();
      if (gradient != null) {
        try (GradMode.Guard off = GradMode.noGrad()) {
          p.subInPlace(gradient.mul(0.1));
          gradient.mulInPlace(0);
        }
      }
    }
    return loss.detach();
  }

  private static void aBottleneckTrains() {
    double[] fused = losses(EMULATED, true, "batchNormConv2d");
    double[] plain = losses(EMULATED, false, null);
    double[] elsewhere = losses(Device.cpu(), true, "batchNorm");
    assertTrue(fused[3] < fused[0], () -> fused[0] + " to " + fused[3]);
    assertArrayEquals(plain, fused, 0.02);
    assertArrayEquals(elsewhere, fused, 0.02);
  }
}
