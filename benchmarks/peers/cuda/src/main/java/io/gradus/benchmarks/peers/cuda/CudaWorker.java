package io.gradus.benchmarks.peers.cuda;

import io.gradus.benchmarks.libraries.KernelLibrary;
import io.gradus.benchmarks.libraries.KernelWorker;
import io.gradus.benchmarks.libraries.LibraryException;
import io.gradus.benchmarks.libraries.LibraryPath;
import java.io.IOException;
import java.nio.file.Path;
import java.util.List;

/** The worker of one of NVIDIA's libraries. */
public final class CudaWorker {
  /** In an order in which each finds what it needs. */
  private static final List<String> LIBRARIES =
      List.of(
          "libcudart.so.13",
          "libcublasLt.so.13",
          "libcublas.so.13",
          "libcudnn_graph.so.9",
          "libcudnn_ops.so.9",
          "libcudnn_cnn.so.9",
          "libcudnn_adv.so.9");

  private CudaWorker() {}

  /** Serves as a worker; the argument is {@code cublas} or {@code cudnn}. */
  public static void main(String[] args) throws IOException {
    // Otherwise JavaCPP would read the process's size at every allocation.
    System.setProperty("org.bytedeco.javacpp.maxphysicalbytes", "0");
    KernelWorker.serve(() -> open(args.length == 1 ? args[0] : ""));
  }

  private static KernelLibrary open(String name) {
    try {
      // JavaCPP looks in the CUDA toolkit first, and what is loaded first serves all that follow.
      String folders = System.getenv("LD_LIBRARY_PATH");
      for (Path file : LibraryPath.find(folders == null ? "" : folders, LIBRARIES)) {
        System.load(file.toString());
      }
      return switch (name) {
        case "cublas" -> new Cublas(new Gpu());
        case "cudnn" -> new Cudnn(new Gpu());
        default -> throw new LibraryException("the argument is cublas or cudnn");
      };
    } catch (LinkageError e) {
      throw LibraryException.ofLoading(e);
    }
  }
}
