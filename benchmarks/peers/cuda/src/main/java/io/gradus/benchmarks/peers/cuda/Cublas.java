package io.gradus.benchmarks.peers.cuda;

import io.gradus.benchmarks.libraries.ColumnMajor;
import io.gradus.benchmarks.libraries.KernelLibrary;
import io.gradus.benchmarks.libraries.KernelSpec;
import io.gradus.benchmarks.libraries.LibraryException;
import org.bytedeco.cuda.cublas.cublasLtContext;
import org.bytedeco.cuda.global.cublas;

/** Products of matrices by cublasLt. */
final class Cublas implements KernelLibrary {
  private final Gpu gpu;
  private final cublasLtContext handle = new cublasLtContext();

  Cublas(Gpu gpu) {
    this.gpu = gpu;
    check(cublas.cublasLtCreate(handle));
  }

  @Override
  public String about() {
    return "cuBLAS " + cublas.cublasLtGetVersion() + ", " + gpu.about();
  }

  @Override
  public Calls prepare(KernelSpec spec, long cacheBytes) {
    return new RotatedCalls(gpu, spec, cacheBytes, plan(spec));
  }

  private Plan plan(KernelSpec spec) {
    return switch (spec.name()) {
      case "matmul" -> new CublasPlan(gpu, handle, spec, product(spec, 0), 1, false);
      case "batched_matmul" ->
          new CublasPlan(gpu, handle, spec, product(spec, 1), spec.number(1), false);
      case "linear" -> {
        ColumnMajor product =
            ColumnMajor.of(spec.number(0), spec.number(1), spec.number(2), false, true);
        yield new CublasPlan(gpu, handle, spec, product, 1, true);
      }
      default -> throw new IllegalArgumentException("cublas has no " + spec.name());
    };
  }

  /** A product's letters come first, its sizes after so many other words. */
  private static ColumnMajor product(KernelSpec spec, int others) {
    String letters = spec.word(0);
    return ColumnMajor.of(
        spec.number(1 + others),
        spec.number(2 + others),
        spec.number(3 + others),
        letters.charAt(0) == 'T',
        letters.charAt(1) == 'T');
  }

  /** Fails where a call of the library has. */
  static void check(int status) {
    if (status != 0) {
      throw new LibraryException(cublas.cublasLtGetStatusName(status).getString());
    }
  }
}
