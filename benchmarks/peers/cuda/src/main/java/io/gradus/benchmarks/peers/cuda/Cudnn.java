package io.gradus.benchmarks.peers.cuda;

import io.gradus.benchmarks.libraries.ConvGeometry;
import io.gradus.benchmarks.libraries.ImageLayout;
import io.gradus.benchmarks.libraries.KernelLibrary;
import io.gradus.benchmarks.libraries.KernelSpec;
import io.gradus.benchmarks.libraries.LibraryException;
import org.bytedeco.cuda.cudnn.cudnnContext;
import org.bytedeco.cuda.cudnn.cudnnTensorStruct;
import org.bytedeco.cuda.global.cudnn;

/** Convolutions by cuDNN's graphs, and what its older functions have. */
final class Cudnn implements KernelLibrary {
  private final Gpu gpu;
  private final cudnnContext handle = new cudnnContext();

  Cudnn(Gpu gpu) {
    this.gpu = gpu;
    check(cudnn.cudnnCreate(handle));
    check(cudnn.cudnnSetStream(handle, gpu.stream()));
  }

  @Override
  public String about() {
    return "cuDNN " + cudnn.cudnnGetVersion() + ", " + gpu.about();
  }

  @Override
  public Calls prepare(KernelSpec spec, long cacheBytes) {
    return new RotatedCalls(gpu, spec, cacheBytes, plan(spec));
  }

  private Plan plan(KernelSpec spec) {
    return switch (spec.name()) {
      case "conv" -> new ConvPlan(handle, spec, ConvGeometry.of(spec));
      case "batch_norm" -> new BatchNormPlan(handle, spec, false);
      case "batch_norm_gradient" -> new BatchNormPlan(handle, spec, true);
      case "softmax" -> new SoftmaxPlan(handle, spec, false);
      case "softmax_gradient" -> new SoftmaxPlan(handle, spec, true);
      case "max_pool" -> new PoolPlan(handle, spec, cudnn.CUDNN_POOLING_MAX, false);
      case "max_pool_gradient" -> new PoolPlan(handle, spec, cudnn.CUDNN_POOLING_MAX, true);
      case "average_pool" ->
          new PoolPlan(handle, spec, cudnn.CUDNN_POOLING_AVERAGE_COUNT_INCLUDE_PADDING, false);
      case "dropout" -> new DropoutPlan(handle, spec);
      default -> throw new IllegalArgumentException("cudnn has no " + spec.name());
    };
  }

  /** The type of a kernel's elements. */
  static int type(KernelSpec spec) {
    return switch (spec.type()) {
      case "bfloat16" -> cudnn.CUDNN_DATA_BFLOAT16;
      case "float16" -> cudnn.CUDNN_DATA_HALF;
      default -> cudnn.CUDNN_DATA_FLOAT;
    };
  }

  /** A description of NHWC images of the kernel's type. */
  static cudnnTensorStruct images(KernelSpec spec, ImageLayout layout) {
    cudnnTensorStruct made = new cudnnTensorStruct();
    check(cudnn.cudnnCreateTensorDescriptor(made));
    check(
        cudnn.cudnnSetTensor4dDescriptor(
            made,
            cudnn.CUDNN_TENSOR_NHWC,
            type(spec),
            layout.n(),
            layout.c(),
            layout.h(),
            layout.w()));
    return made;
  }

  /** Fails where a call of the library has. */
  static void check(int status) {
    if (status != 0) {
      throw new LibraryException(cudnn.cudnnGetErrorString(status).getString());
    }
  }
}
