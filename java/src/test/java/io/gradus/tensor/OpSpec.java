package io.gradus.tensor;

import io.gradus.core.DType;
import io.gradus.testing.Nd;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.function.DoubleBinaryOperator;
import java.util.function.DoubleUnaryOperator;
import java.util.function.Function;
import java.util.function.ToDoubleFunction;
import java.util.function.UnaryOperator;
import org.junit.jupiter.api.function.Executable;

/**
 * What a test class declares of one operation: how it is applied, what it should give, on which
 * inputs, and how it refuses others. {@link OpTestCase} does the rest.
 */
final class OpSpec {
  private static final DType[] FLOATING = {
    DType.FLOAT64, DType.FLOAT32, DType.BFLOAT16, DType.FLOAT16
  };

  /**
   * A call that must fail.
   *
   * @param type the exception
   * @param message a part of its message
   * @param call the call
   */
  record Refusal(Class<? extends Throwable> type, String message, Executable call) {}

  private final List<String> covers;
  private final List<Operand[]> cases = new ArrayList<>();
  private final List<Refusal> refusals = new ArrayList<>();
  private GradCheck.Op apply = in -> in;
  private Function<Nd[], Nd[]> reference = in -> in;
  private DType[] dtypes = FLOATING;
  private UnaryOperator<DType> result = dtype -> dtype;
  private ToDoubleFunction<Nd[]> terms = in -> 1;
  private double halfSteps = 1;
  private double factor = 1;
  private int order = 2;
  private boolean random;
  private String variant = "";

  private OpSpec(List<String> covers) {
    this.covers = covers;
  }

  /** An operation, named by the signatures of the public methods that it covers. */
  static OpSpec op(String... covers) {
    return new OpSpec(List.of(covers));
  }

  /** What tells this use of the operation from others in reports: options, flags, reductions. */
  OpSpec variant(Object... choices) {
    variant = Arrays.toString(choices);
    return this;
  }

  /** How the operation is applied. */
  OpSpec apply(Function<Tensor[], Tensor> op) {
    apply = in -> new Tensor[] {op.apply(in)};
    return this;
  }

  /** How an operation of several outputs is applied. */
  OpSpec applyAll(GradCheck.Op op) {
    apply = op;
    return this;
  }

  /** What it should give. */
  OpSpec gives(Function<Nd[], Nd> naive) {
    reference = in -> new Nd[] {naive.apply(in)};
    return this;
  }

  /** What it should give for each output. */
  OpSpec givesAll(Function<Nd[], Nd[]> naive) {
    reference = naive;
    return this;
  }

  /** What it should give for each element. */
  OpSpec givesEach(DoubleUnaryOperator f) {
    return gives(in -> in[0].map(f));
  }

  /** What it should give for each pair of elements. */
  OpSpec givesEachPair(DoubleBinaryOperator f) {
    return gives(in -> Nd.zip(in[0], in[1], f));
  }

  /** Element types of the differentiable operands; by default the four floating ones. */
  OpSpec dtypes(DType... types) {
    dtypes = types.clone();
    return this;
  }

  /** The result's type, where it is not the operands'. */
  OpSpec result(DType dtype) {
    result = ignored -> dtype;
    return this;
  }

  /** A 16-bit operand gives a float32 result. */
  OpSpec widensHalf() {
    result = dtype -> dtype.isHalf() ? DType.FLOAT32 : dtype;
    return this;
  }

  /** How many terms are summed for one element: tolerances grow with the square root. */
  OpSpec terms(ToDoubleFunction<Nd[]> count) {
    terms = count;
    return this;
  }

  /** How many roundings a composed operation makes, each of which a 16-bit type feels. */
  OpSpec halfSteps(double steps) {
    halfSteps = steps;
    return this;
  }

  /** Widens every tolerance; the reason stands beside the call. */
  OpSpec loosen(double by) {
    factor = by;
    return this;
  }

  /** The gradient cannot be differentiated again. */
  OpSpec firstOrderOnly() {
    order = 1;
    return this;
  }

  /** The result carries no gradient. */
  OpSpec notDifferentiable() {
    order = 0;
    return this;
  }

  /** The operation draws random numbers: the generator is seeded before every application. */
  OpSpec random() {
    random = true;
    return this;
  }

  /** Adds a case. */
  OpSpec on(Operand... operands) {
    cases.add(operands.clone());
    return this;
  }

  /** Adds the usual shapes of an operation on one tensor. */
  OpSpec onShapes(double low, double high) {
    for (Operand x :
        List.of(
            Operand.x(),
            Operand.x(1),
            Operand.x(7),
            Operand.x(3, 5),
            Operand.x(2, 3, 4),
            Operand.x(1, 1, 1),
            Operand.x(0),
            Operand.x(3, 0, 2),
            Operand.x(1037),
            Operand.x(130, 9),
            Operand.x(4, 5).transposed(),
            Operand.x(3, 4).sliced(),
            Operand.x(2, 3).expanded())) {
      on(x.range(low, high));
    }
    return this;
  }

  /** Adds the usual shapes of an operation on two tensors that broadcast. */
  OpSpec onPairs(UnaryOperator<Operand> left, UnaryOperator<Operand> right) {
    Operand[][] pairs = {
      {Operand.x(), Operand.x()},
      {Operand.x(7), Operand.x(7)},
      {Operand.x(3, 4), Operand.x(4)},
      {Operand.x(3, 1), Operand.x(1, 4)},
      {Operand.x(), Operand.x(2, 3)},
      {Operand.x(2, 3), Operand.x()},
      {Operand.x(1), Operand.x(5)},
      {Operand.x(0, 3), Operand.x(3)},
      {Operand.x(2, 0), Operand.x(2, 1)},
      {Operand.x(2, 1, 3), Operand.x(4, 1)},
      {Operand.x(257, 5), Operand.x(5)},
      {Operand.x(1100), Operand.x(1100)},
      {Operand.x(3, 4).transposed(), Operand.x(4)},
      {Operand.x(3, 4).transposed(), Operand.x(3, 4).sliced()},
      {Operand.x(2, 3).expanded(), Operand.x(2, 3)},
    };
    for (Operand[] pair : pairs) {
      on(left.apply(pair[0]), right.apply(pair[1]));
    }
    return this;
  }

  /** Adds a call that must fail with a message that contains a text. */
  OpSpec refuses(Class<? extends Throwable> type, String message, Executable call) {
    refusals.add(new Refusal(type, message, call));
    return this;
  }

  List<String> covers() {
    return covers;
  }

  String name() {
    return String.join(", ", covers) + (variant.isEmpty() ? "" : " " + variant);
  }

  List<Operand[]> cases() {
    return cases;
  }

  List<Refusal> refusals() {
    return refusals;
  }

  GradCheck.Op operation() {
    return apply;
  }

  Nd[] expected(Nd[] inputs) {
    return reference.apply(inputs);
  }

  DType[] dtypes() {
    return dtypes.clone();
  }

  DType resultType(DType dtype) {
    return result.apply(dtype);
  }

  boolean takes(DType dtype) {
    return Arrays.asList(dtypes).contains(dtype);
  }

  double tolerance(Nd[] inputs, DType dtype) {
    double k = Math.max(1, terms.applyAsDouble(inputs));
    return factor * Math.sqrt(k) * (dtype.isHalf() ? halfSteps : 1);
  }

  int order() {
    return order;
  }

  boolean isRandom() {
    return random;
  }
}
