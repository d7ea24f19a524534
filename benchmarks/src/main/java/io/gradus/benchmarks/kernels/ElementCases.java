package io.gradus.benchmarks.kernels;

import io.gradus.backend.BinaryOp;
import io.gradus.backend.RandomKind;
import io.gradus.backend.UnaryOp;
import io.gradus.core.DType;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;

/** What is done to every element of a dense tensor, and a transposition. */
final class ElementCases {
  private static final DType F32 = DType.FLOAT32;
  private static final long ROW = 64;

  private final long n;
  private final List<KernelCase> cases = new ArrayList<>();

  ElementCases(long n) {
    this.n = n;
  }

  List<KernelCase> all() {
    for (UnaryOp op : List.of(UnaryOp.RELU, UnaryOp.EXP, UnaryOp.GELU)) {
      add(
          "elementwise",
          op.name().toLowerCase(Locale.ROOT),
          1,
          2.0 * F32.bytes(),
          bench -> {
            var x = bench.normal(F32, n);
            var y = bench.empty(F32, n);
            return () -> bench.backend().unary(op, x, y);
          });
    }
    add(
        "elementwise",
        "add",
        1,
        3.0 * F32.bytes(),
        bench -> {
          var a = bench.normal(F32, n);
          var b = bench.normal(F32, n);
          var out = bench.empty(F32, n);
          long[] dense = {1};
          long[] shape = {n};
          return () -> bench.backend().binary(BinaryOp.ADD, a, dense, b, dense, out, shape);
        });
    add(
        "elementwise",
        "add a row",
        1,
        2.0 * F32.bytes(),
        bench -> {
          var a = bench.normal(F32, n);
          var b = bench.normal(F32, ROW);
          var out = bench.empty(F32, n);
          long[] rows = {ROW, 1};
          long[] row = {0, 1};
          long[] shape = {n / ROW, ROW};
          return () -> bench.backend().binary(BinaryOp.ADD, a, rows, b, row, out, shape);
        });
    add(
        "copy",
        "transpose",
        0,
        2.0 * F32.bytes(),
        bench -> {
          var x = bench.normal(F32, n);
          var y = bench.empty(F32, n);
          long[] from = {1, n / ROW};
          long[] to = {ROW, 1};
          long[] shape = {n / ROW, ROW};
          return () -> bench.backend().copy(x, from, y, to, shape);
        });
    add(
        "copy",
        "cast to bfloat16",
        0,
        F32.bytes() + (double) DType.BFLOAT16.bytes(),
        bench -> {
          var x = bench.normal(F32, n);
          var y = bench.empty(DType.BFLOAT16, n);
          return () -> bench.backend().cast(x, y);
        });
    add(
        "random",
        "dropout",
        1,
        2.0 * F32.bytes(),
        bench -> {
          var x = bench.normal(F32, n);
          var y = bench.empty(F32, n);
          var rng = bench.rng();
          return () -> bench.backend().dropout(x, rng, y, n, 0, 0.5);
        });
    add(
        "random",
        "normal",
        1,
        F32.bytes(),
        bench -> {
          var y = bench.empty(F32, n);
          var rng = bench.rng();
          return () -> bench.backend().random(RandomKind.NORMAL, y, rng, 0, 0, 1);
        });
    return cases;
  }

  private void add(
      String group, String name, double flopsEach, double bytesEach, KernelCase.Setup setup) {
    cases.add(
        new KernelCase(group, name, Long.toString(n), F32, flopsEach * n, bytesEach * n, setup));
  }
}
