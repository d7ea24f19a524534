package io.gradus.benchmarks.kernels;

import io.gradus.backend.BinaryOp;
import io.gradus.backend.ProductPrecision;
import io.gradus.backend.RandomKind;
import io.gradus.backend.UnaryOp;
import io.gradus.core.DType;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;

/** What is done to every element of a dense tensor, and a transposition. */
final class ElementCases {
  private static final long ROW = 64;
  private static final String DROPOUT = "dropout";

  private final DType dtype;
  private final long n;
  private final Goal dropout;
  private final List<KernelCase> cases = new ArrayList<>();

  ElementCases(DType dtype, long n, Goal dropout) {
    this.dtype = dtype;
    this.n = n;
    this.dropout = dropout;
  }

  List<KernelCase> all() {
    DType other = dtype.isHalf() ? DType.FLOAT32 : DType.BFLOAT16;
    for (UnaryOp op : List.of(UnaryOp.RELU, UnaryOp.EXP, UnaryOp.GELU)) {
      add(
          "elementwise",
          op.name().toLowerCase(Locale.ROOT),
          1,
          2.0 * dtype.bytes(),
          bench -> {
            var x = bench.normal(dtype, n);
            var y = bench.empty(dtype, n);
            return () -> bench.backend().unary(op, x, y);
          });
    }
    add(
        "elementwise",
        "add",
        1,
        3.0 * dtype.bytes(),
        bench -> {
          var a = bench.normal(dtype, n);
          var b = bench.normal(dtype, n);
          var out = bench.empty(dtype, n);
          long[] dense = {1};
          long[] shape = {n};
          return () -> bench.backend().binary(BinaryOp.ADD, a, dense, b, dense, out, shape);
        });
    add(
        "elementwise",
        "add a row",
        1,
        2.0 * dtype.bytes(),
        bench -> {
          var a = bench.normal(dtype, n);
          var b = bench.normal(dtype, ROW);
          var out = bench.empty(dtype, n);
          long[] rows = {ROW, 1};
          long[] row = {0, 1};
          long[] shape = {n / ROW, ROW};
          return () -> bench.backend().binary(BinaryOp.ADD, a, rows, b, row, out, shape);
        });
    add(
        "copy",
        "transpose",
        0,
        2.0 * dtype.bytes(),
        bench -> {
          var x = bench.normal(dtype, n);
          var y = bench.empty(dtype, n);
          long[] from = {1, n / ROW};
          long[] to = {ROW, 1};
          long[] shape = {n / ROW, ROW};
          return () -> bench.backend().copy(x, from, y, to, shape);
        });
    add(
        "copy",
        "cast to " + other.name().toLowerCase(Locale.ROOT),
        0,
        dtype.bytes() + (double) other.bytes(),
        bench -> {
          var x = bench.normal(dtype, n);
          var y = bench.empty(other, n);
          return () -> bench.backend().cast(x, y);
        });
    add(
        "random",
        DROPOUT,
        1,
        2.0 * dtype.bytes(),
        bench -> {
          var x = bench.normal(dtype, n);
          var y = bench.empty(dtype, n);
          var rng = bench.rng();
          return () -> bench.backend().dropout(x, rng, y, n, 0, 0.5);
        });
    add(
        "random",
        "normal",
        1,
        dtype.bytes(),
        bench -> {
          var y = bench.empty(dtype, n);
          var rng = bench.rng();
          return () -> bench.backend().random(RandomKind.NORMAL, y, rng, 0, 0, 1);
        });
    return cases;
  }

  private void add(
      String group, String name, double flopsEach, double bytesEach, KernelCase.Setup setup) {
    cases.add(
        new KernelCase(
            group,
            name,
            Long.toString(n),
            dtype,
            ProductPrecision.EXACT,
            flopsEach * n,
            bytesEach * n,
            setup,
            name.equals(DROPOUT) ? dropout : Goal.NONE,
            String.join(
                " ",
                name.replace(' ', '_'),
                Long.toString(n),
                dtype.name().toLowerCase(Locale.ROOT))));
  }
}
