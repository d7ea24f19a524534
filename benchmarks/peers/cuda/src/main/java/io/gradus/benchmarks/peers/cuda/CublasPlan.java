package io.gradus.benchmarks.peers.cuda;

import io.gradus.benchmarks.libraries.ColumnMajor;
import io.gradus.benchmarks.libraries.KernelSpec;
import java.util.ArrayList;
import java.util.List;
import org.bytedeco.cuda.cublas.cublasLtContext;
import org.bytedeco.cuda.cublas.cublasLtMatmulAlgo_t;
import org.bytedeco.cuda.cublas.cublasLtMatmulDescOpaque_t;
import org.bytedeco.cuda.cublas.cublasLtMatmulHeuristicResult_t;
import org.bytedeco.cuda.cublas.cublasLtMatmulPreferenceOpaque_t;
import org.bytedeco.cuda.cublas.cublasLtMatrixLayoutOpaque_t;
import org.bytedeco.cuda.global.cublas;
import org.bytedeco.cuda.global.cudart;
import org.bytedeco.javacpp.FloatPointer;
import org.bytedeco.javacpp.IntPointer;
import org.bytedeco.javacpp.LongPointer;
import org.bytedeco.javacpp.Pointer;
import org.bytedeco.javacpp.PointerPointer;
import org.bytedeco.javacpp.SizeTPointer;

/**
 * A product, by the algorithms that cublasLt's heuristics name first. Its descriptions live as long
 * as the process: less than a kilobyte for each set.
 */
final class CublasPlan implements Plan {
  private static final int ALGORITHMS = 8;
  private static final long WORKSPACE = 64L << 20;

  /** A product's operands, with what is added and cut off in a description of its own. */
  private record Set(
      cublasLtMatmulDescOpaque_t description, Pointer first, Pointer second, Pointer result) {}

  private final Gpu gpu;
  private final cublasLtContext handle;
  private final KernelSpec spec;
  private final ColumnMajor product;
  private final int batch;
  private final boolean biasAndRelu;
  private final int type;
  private final cublasLtMatrixLayoutOpaque_t firstLayout;
  private final cublasLtMatrixLayoutOpaque_t secondLayout;
  private final cublasLtMatrixLayoutOpaque_t resultLayout;
  private final FloatPointer one = new FloatPointer(1f);
  private final FloatPointer zero = new FloatPointer(0f);
  private final List<Set> sets = new ArrayList<>();

  CublasPlan(
      Gpu gpu,
      cublasLtContext handle,
      KernelSpec spec,
      ColumnMajor product,
      int batch,
      boolean biasAndRelu) {
    this.gpu = gpu;
    this.handle = handle;
    this.spec = spec;
    this.product = product;
    this.batch = batch;
    this.biasAndRelu = biasAndRelu;
    type =
        switch (spec.type()) {
          case "bfloat16" -> cudart.CUDA_R_16BF;
          case "float16" -> cudart.CUDA_R_16F;
          default -> cudart.CUDA_R_32F;
        };
    firstLayout = layout(product.first().rows(), product.first().columns());
    secondLayout = layout(product.second().rows(), product.second().columns());
    resultLayout = layout(product.m(), product.n());
  }

  private cublasLtMatrixLayoutOpaque_t layout(long rows, long columns) {
    PointerPointer<Pointer> made = new PointerPointer<>(1);
    Cublas.check(cublas.cublasLtMatrixLayoutCreate(made, type, rows, columns, rows));
    var layout = new cublasLtMatrixLayoutOpaque_t(made.get());
    if (batch > 1) {
      Cublas.check(
          cublas.cublasLtMatrixLayoutSetAttribute(
              layout,
              cublas.CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT,
              new IntPointer(new int[] {batch}),
              Integer.BYTES));
      Cublas.check(
          cublas.cublasLtMatrixLayoutSetAttribute(
              layout,
              cublas.CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET,
              new LongPointer(new long[] {rows * columns}),
              Long.BYTES));
    }
    return layout;
  }

  @Override
  public void addSet(Operands operands) {
    var first = operands.normal(batch * product.first().rows() * product.first().columns());
    var second = operands.normal(batch * product.second().rows() * product.second().columns());
    var result = operands.empty(batch * product.m() * product.n());
    cublasLtMatmulDescOpaque_t description = description();
    if (biasAndRelu) {
      set(description, cublas.CUBLASLT_MATMUL_DESC_EPILOGUE, cublas.CUBLASLT_EPILOGUE_RELU_BIAS);
      // One for each of the rows that BLAS sees, which are our columns.
      PointerPointer<Pointer> bias = new PointerPointer<>(1);
      bias.put(operands.normal(product.m()));
      Cublas.check(
          cublas.cublasLtMatmulDescSetAttribute(
              description, cublas.CUBLASLT_MATMUL_DESC_BIAS_POINTER, bias, Long.BYTES));
    }
    sets.add(new Set(description, first, second, result));
  }

  private cublasLtMatmulDescOpaque_t description() {
    int compute =
        spec.type().equals("tf32")
            ? cublas.CUBLAS_COMPUTE_32F_FAST_TF32
            : cublas.CUBLAS_COMPUTE_32F;
    PointerPointer<Pointer> made = new PointerPointer<>(1);
    Cublas.check(cublas.cublasLtMatmulDescCreate(made, compute, cudart.CUDA_R_32F));
    var description = new cublasLtMatmulDescOpaque_t(made.get());
    set(description, cublas.CUBLASLT_MATMUL_DESC_TRANSA, operation(product.first()));
    set(description, cublas.CUBLASLT_MATMUL_DESC_TRANSB, operation(product.second()));
    return description;
  }

  private static int operation(ColumnMajor.Operand operand) {
    return operand.transposed() ? cublas.CUBLAS_OP_T : cublas.CUBLAS_OP_N;
  }

  private static void set(cublasLtMatmulDescOpaque_t description, int attribute, int value) {
    Cublas.check(
        cublas.cublasLtMatmulDescSetAttribute(
            description, attribute, new IntPointer(new int[] {value}), Integer.BYTES));
  }

  @Override
  public List<Way> ways(Operands operands) {
    Pointer workspace = operands.scratch(WORKSPACE);
    PointerPointer<Pointer> made = new PointerPointer<>(1);
    Cublas.check(cublas.cublasLtMatmulPreferenceCreate(made));
    var preference = new cublasLtMatmulPreferenceOpaque_t(made.get());
    SizeTPointer most = new SizeTPointer(1).put(WORKSPACE);
    Cublas.check(
        cublas.cublasLtMatmulPreferenceSetAttribute(
            preference, cublas.CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, most, Long.BYTES));
    var found = new cublasLtMatmulHeuristicResult_t(ALGORITHMS);
    int[] count = new int[1];
    Cublas.check(
        cublas.cublasLtMatmulAlgoGetHeuristic(
            handle,
            sets.get(0).description(),
            firstLayout,
            secondLayout,
            resultLayout,
            resultLayout,
            preference,
            ALGORITHMS,
            found,
            count));
    Cublas.check(cublas.cublasLtMatmulPreferenceDestroy(preference));
    List<Way> ways = new ArrayList<>();
    for (int i = 0; i < count[0]; i++) {
      cublasLtMatmulHeuristicResult_t result = found.getPointer(i);
      if (result.state() == 0) {
        ways.add(set -> call(result.algo(), workspace, sets.get(set)));
      }
    }
    return ways;
  }

  private void call(cublasLtMatmulAlgo_t algorithm, Pointer workspace, Set set) {
    Cublas.check(
        cublas.cublasLtMatmul(
            handle,
            set.description(),
            one,
            set.first(),
            firstLayout,
            set.second(),
            secondLayout,
            zero,
            set.result(),
            resultLayout,
            set.result(),
            resultLayout,
            algorithm,
            workspace,
            WORKSPACE,
            gpu.stream()));
  }
}
