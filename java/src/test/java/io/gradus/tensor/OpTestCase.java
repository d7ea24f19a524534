package io.gradus.tensor;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.DynamicContainer.dynamicContainer;
import static org.junit.jupiter.api.DynamicTest.dynamicTest;

import io.gradus.backend.Allocator;
import io.gradus.backend.Backends;
import io.gradus.core.DType;
import io.gradus.core.Device;
import io.gradus.testing.LeakTracingOff;
import io.gradus.testing.Nd;
import io.gradus.testing.TestDevices;
import io.gradus.testing.TestedDevice;
import io.gradus.testing.Tolerances;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.SplittableRandom;
import java.util.stream.Stream;
import org.junit.jupiter.api.DynamicNode;
import org.junit.jupiter.api.TestFactory;

/**
 * Runs everything that a tensor operation must satisfy. A subclass declares operations with cases;
 * each case is checked forward against a naive float64 reference in every type, by finite
 * differences in first and second order, on every device against the reference backend, for the
 * same bits from run to run and from one to three threads, and for memory that is left behind.
 */
abstract class OpTestCase {
  /** Elements perturbed of one input for first and second derivatives. */
  private static final int FIRST_ORDER_ELEMENTS = 24;

  private static final int SECOND_ORDER_ELEMENTS = 8;

  /** Above this many elements second order brings nothing that the small cases do not show. */
  private static final long SECOND_ORDER_NUMEL = 200;

  private static final int MIN_CASES = 10;

  private static final Device LEAKS = TestDevices.isolated();
  private static final Generator LEAKS_GENERATOR = new Generator(0);

  /** What the generator is seeded with before every random operation. */
  static final long SEED = 11;

  /** The operations of this class with their cases. */
  protected abstract List<OpSpec> specs();

  /** Fewer cases than the rule asks for, where an operation admits no more. */
  protected int minCases(OpSpec spec) {
    return MIN_CASES;
  }

  @TestFactory
  final Stream<DynamicNode> operations() {
    // Fails here, once for the class, when the named device cannot be used.
    TestedDevice.get();
    return specs().stream().map(this::tests);
  }

  private DynamicNode tests(OpSpec spec) {
    List<DynamicNode> nodes = new ArrayList<>();
    nodes.add(
        dynamicTest(
            "has enough cases",
            () ->
                assertTrue(
                    spec.cases().size() >= minCases(spec),
                    () -> spec.name() + " has only " + spec.cases().size() + " cases")));
    int number = 0;
    for (Operand[] operands : spec.cases()) {
      Case c = new Case(spec, operands, number++);
      nodes.add(dynamicTest(Arrays.toString(operands), c::check));
    }
    for (OpSpec.Refusal refusal : spec.refusals()) {
      nodes.add(dynamicTest("refuses: " + refusal.message(), () -> refuse(spec, refusal)));
    }
    return dynamicContainer(spec.name(), nodes);
  }

  private static void refuse(OpSpec spec, OpSpec.Refusal refusal) {
    Throwable thrown = assertThrows(refusal.type(), refusal.call(), spec.name());
    String message = String.valueOf(thrown.getMessage());
    assertTrue(message.contains(refusal.message()), () -> "message was: " + message);
    assertTrue(message.startsWith("["), () -> "no operation in front: " + message);
    assertFalse(message.contains("\n"), () -> "more than one line: " + message);
  }

  /** What came out of one application: values in row-major order as doubles. */
  private record Run(List<Nd> outputs, List<DType> types, List<Nd> gradients) {}

  /** One operation on one set of inputs. */
  private static final class Case {
    private final OpSpec spec;
    private final Operand[] operands;
    private final String name;
    private final long seed;

    Case(OpSpec spec, Operand[] operands, int number) {
      this.spec = spec;
      this.operands = operands;
      this.name = spec.name() + " on " + Arrays.toString(operands);
      this.seed = spec.name().hashCode() * 31L + number;
    }

    void check() {
      Generator before = Generator.current();
      // Leaks are counted below, which needs no traces.
      try (LeakTracingOff off = new LeakTracingOff();
          Scope s = Scope.open()) {
        Device tested = TestedDevice.get();
        if (tested != null && !tested.equals(Device.reference())) {
          devices();
          repeats(tested);
          return;
        }
        forward();
        if (spec.order() > 0) {
          gradients();
        }
        devices();
        repeats();
        leaks();
      } finally {
        Generator.use(before);
      }
    }

    private Tensor[] build(Device device, DType dtype, Operand... as) {
      return build(device, dtype, as, operands);
    }

    /** Operands with the values that others draw: one in another layout gets the same ones. */
    private Tensor[] build(Device device, DType dtype, Operand[] as, Operand[] source) {
      SplittableRandom random = new SplittableRandom(seed);
      Tensor[] out = new Tensor[as.length];
      for (int i = 0; i < out.length; i++) {
        out[i] = as[i].build(device, dtype, source[i].draw(random));
      }
      return out;
    }

    private Tensor[] apply(Tensor... in) {
      if (spec.isRandom()) {
        Generator.seed(SEED);
      }
      return spec.operation().apply(in);
    }

    private static Nd nd(Tensor t) {
      return Nd.of(t.shape().dims(), t.toDoubles());
    }

    private static Nd[] nds(Tensor... tensors) {
      return Arrays.stream(tensors).map(Case::nd).toArray(Nd[]::new);
    }

    private void forward() {
      for (DType dtype : spec.dtypes()) {
        try (Scope s = Scope.open();
            GradMode.Guard g = GradMode.noGrad()) {
          String what = name + ", forward in " + dtype;
          Tensor[] in = build(Device.reference(), dtype, operands);
          Nd[] values = nds(in);
          Nd[] expected = spec.expected(values);
          Tensor[] out = apply(in);
          assertEquals(expected.length, out.length, what + ": number of outputs");
          for (int i = 0; i < out.length; i++) {
            assertEquals(spec.resultType(dtype), out[i].dtype(), what + ": type");
            assertArrayEquals(
                expected[i].dims(), out[i].shape().dims(), what + ": shape of output " + i);
            assertFalse(
                out[i].requiresGrad() && !Arrays.asList(in).contains(out[i]),
                what + ": recorded although recording was off");
            Tolerances.assertClose(
                what,
                expected[i].data(),
                out[i].toDoubles(),
                out[i].dtype(),
                spec.tolerance(values, dtype));
          }
          assertUnchanged(what, values, in);
        }
      }
    }

    private static void assertUnchanged(String what, Nd[] values, Tensor[] in) {
      for (int i = 0; i < in.length; i++) {
        assertArrayEquals(values[i].data(), in[i].toDoubles(), what + ": changed its input " + i);
      }
    }

    private void gradients() {
      SplittableRandom random = new SplittableRandom(seed);
      Operand[] dense = Arrays.stream(operands).map(Operand::dense).toArray(Operand[]::new);
      long numel = Arrays.stream(operands).mapToLong(Operand::numel).sum();
      if (spec.takes(DType.FLOAT64)) {
        try (Scope s = Scope.open()) {
          // Repeated values would put maxima on their kinks, so dense operands draw anew.
          Tensor[] in = build(Device.reference(), DType.FLOAT64, dense, dense);
          GradCheck.first(name, this::apply, in, random, FIRST_ORDER_ELEMENTS);
          if (spec.order() > 1 && numel <= SECOND_ORDER_NUMEL) {
            GradCheck.second(name, this::apply, in, random, SECOND_ORDER_ELEMENTS);
          }
        }
        Run reference = run(Device.reference(), DType.FLOAT64, dense);
        if (!Arrays.stream(operands).allMatch(Operand::isDense)) {
          Run strided = run(Device.reference(), DType.FLOAT64, operands);
          assertClose(name + ", strided against dense", reference, strided, DType.FLOAT64, 1);
        }
        if (spec.takes(DType.FLOAT32)) {
          Run single = run(Device.reference(), DType.FLOAT32, operands);
          double tolerance = spec.tolerance(inputs(DType.FLOAT32), DType.FLOAT32);
          assertClose(
              name + ", float32 against float64",
              reference,
              single,
              DType.FLOAT32,
              INPUT_ROUNDING * tolerance);
        }
      }
    }

    /** The inputs themselves were rounded, which the outputs amplify. */
    private static final double INPUT_ROUNDING = 8;

    private Nd[] inputs(DType dtype) {
      try (Scope s = Scope.open()) {
        return nds(build(Device.reference(), dtype, operands));
      }
    }

    private Run run(Device device, DType dtype, Operand... as) {
      try (Scope s = Scope.open()) {
        Tensor[] in = build(device, dtype, as);
        Tensor[] out = apply(in);
        List<Nd> outputs = new ArrayList<>();
        List<DType> types = new ArrayList<>();
        for (Tensor t : out) {
          assertEquals(device, t.device(), name + ": device of the result");
          outputs.add(nd(t));
          types.add(t.dtype());
        }
        List<Nd> gradients = new ArrayList<>();
        for (Tensor gradient : backward(in, out)) {
          gradients.add(nd(gradient));
        }
        return new Run(outputs, types, gradients);
      }
    }

    /** Gradients of the differentiable inputs for fixed gradients of the outputs. */
    private Tensor[] backward(Tensor[] in, Tensor[] out) {
      if (spec.order() == 0) {
        return new Tensor[0];
      }
      Tensor[] leaves = Arrays.stream(in).filter(Tensor::requiresGrad).toArray(Tensor[]::new);
      Tensor[] roots = Arrays.stream(out).filter(Tensor::requiresGrad).toArray(Tensor[]::new);
      if (leaves.length == 0 || roots.length == 0) {
        return new Tensor[0];
      }
      SplittableRandom random = new SplittableRandom(seed);
      Tensor[] weights = new Tensor[roots.length];
      for (int i = 0; i < roots.length; i++) {
        weights[i] = GradCheck.like(roots[i], GradCheck.weights(random, roots[i]));
      }
      return Autograd.grad(roots, leaves, weights, false, false);
    }

    private static void assertClose(
        String what, Run expected, Run actual, DType dtype, double factor) {
      double largest =
          Stream.concat(expected.outputs.stream(), expected.gradients.stream())
              .flatMapToDouble(values -> Arrays.stream(values.data()))
              .map(Math::abs)
              .filter(Double::isFinite)
              .max()
              .orElse(0);
      assertEquals(expected.outputs.size(), actual.outputs.size(), what);
      for (int i = 0; i < expected.outputs.size(); i++) {
        assertClose(
            what + ", output " + i,
            expected.outputs.get(i),
            actual.outputs.get(i),
            actual.types.get(i).isFloating() ? dtype : actual.types.get(i),
            factor,
            largest);
      }
      assertEquals(expected.gradients.size(), actual.gradients.size(), what + ", gradients");
      for (int i = 0; i < expected.gradients.size(); i++) {
        assertClose(
            what + ", gradient " + i,
            expected.gradients.get(i),
            actual.gradients.get(i),
            dtype,
            factor,
            largest);
      }
    }

    private static void assertClose(
        String what, Nd expected, Nd actual, DType dtype, double factor, double largest) {
      assertArrayEquals(expected.dims(), actual.dims(), what + ": shape");
      double absolute = Tolerances.absolute(dtype);
      if (dtype.isHalf()) {
        // A fused kernel may round an intermediate as large as its largest result to 16 bits.
        absolute += Tolerances.rounding(dtype) * largest;
      }
      Tolerances.assertClose(
          what,
          expected.data(),
          actual.data(),
          Tolerances.relative(dtype) * factor,
          absolute * factor);
    }

    /** Every device against the reference, and the default bodies against their overrides. */
    private void devices() {
      List<Device> others = TestedDevice.others();
      for (DType dtype : spec.dtypes()) {
        List<Device> compared = new ArrayList<>(others);
        // Composed of primitives, 16-bit types round in other places.
        if (!dtype.isHalf()) {
          compared.add(TestDevices.primitives());
        }
        Run reference = run(Device.reference(), dtype, operands);
        double tolerance = spec.tolerance(inputs(dtype), dtype);
        for (Device device : compared) {
          assertClose(
              name + ", " + device + " against the reference in " + dtype,
              reference,
              run(device, dtype, operands),
              dtype,
              tolerance);
        }
      }
    }

    private void repeats(Device device) {
      DType dtype = spec.takes(DType.FLOAT32) ? DType.FLOAT32 : spec.dtypes()[0];
      Run first = run(device, dtype, operands);
      assertSameBits(name + ", second run on " + device, first, run(device, dtype, operands));
    }

    private void repeats() {
      repeats(Device.reference());
      DType dtype = spec.takes(DType.FLOAT32) ? DType.FLOAT32 : spec.dtypes()[0];
      Run first = run(Device.reference(), dtype, operands);
      for (int threads = 1; threads <= 3; threads++) {
        Run other = run(TestDevices.threads(threads), dtype, operands);
        assertSameBits(name + ", threads: " + threads, first, other);
      }
    }

    private static void assertSameBits(String what, Run expected, Run actual) {
      for (int i = 0; i < expected.outputs.size(); i++) {
        assertArrayEquals(
            expected.outputs.get(i).data(), actual.outputs.get(i).data(), what + ", output " + i);
      }
      for (int i = 0; i < expected.gradients.size(); i++) {
        assertArrayEquals(
            expected.gradients.get(i).data(),
            actual.gradients.get(i).data(),
            what + ", gradient " + i);
      }
    }

    /** On a device that nothing else uses, and after a run that makes the generator's state. */
    private void leaks() {
      Device device = LEAKS;
      Generator.use(LEAKS_GENERATOR);
      Allocator allocator = Backends.of(device).allocator();
      DType dtype = spec.takes(DType.FLOAT32) ? DType.FLOAT32 : spec.dtypes()[0];
      try (Scope s = Scope.open();
          GradMode.Guard g = GradMode.noGrad()) {
        spec.operation().apply(build(device, dtype, operands));
      }
      long before = allocator.liveCount();
      try (Scope s = Scope.open();
          GradMode.Guard g = GradMode.noGrad()) {
        spec.operation().apply(build(device, dtype, operands));
      }
      assertEquals(before, allocator.liveCount(), name + ": allocations left by forward");
      try (Scope s = Scope.open()) {
        Tensor[] in = build(device, dtype, operands);
        backward(in, spec.operation().apply(in));
      }
      if (spec.order() > 0) {
        assertEquals(before, allocator.liveCount(), name + ": allocations left by backward");
      }
    }
  }
}
