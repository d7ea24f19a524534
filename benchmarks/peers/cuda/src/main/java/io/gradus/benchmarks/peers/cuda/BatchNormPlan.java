package io.gradus.benchmarks.peers.cuda;

import io.gradus.benchmarks.libraries.ImageLayout;
import io.gradus.benchmarks.libraries.KernelSpec;
import java.util.ArrayList;
import java.util.List;
import org.bytedeco.cuda.cudnn.cudnnActivationStruct;
import org.bytedeco.cuda.cudnn.cudnnContext;
import org.bytedeco.cuda.cudnn.cudnnTensorStruct;
import org.bytedeco.cuda.global.cudnn;
import org.bytedeco.javacpp.FloatPointer;
import org.bytedeco.javacpp.Pointer;
import org.bytedeco.javacpp.SizeTPointer;

/**
 * Batch norm in training, with ReLU where the kernel has it, or the gradient of the plain one. Its
 * ways are the mode that keeps an image's channel on the chip and the one that does not; float16 is
 * what cuDNN is fast with.
 */
@SuppressWarnings("deprecation") // cuDNN 9 deprecates what is older than its graphs.
final class BatchNormPlan implements Plan {
  private static final double EPS = 1e-5;
  private static final double MOMENTUM = 0.1;
  private static final String RELU = "RELU";

  /** The parts of a call; those that it does not have are absent. */
  private record Set(
      Pointer x,
      Pointer y,
      Pointer gradY,
      Pointer gradX,
      Pointer weight,
      Pointer bias,
      Pointer mean,
      Pointer invStd,
      Pointer gradWeight,
      Pointer gradBias) {}

  private final cudnnContext handle;
  private final boolean gradient;
  private final int channels;
  private final ImageLayout layout;
  private final cudnnTensorStruct images;
  private final cudnnTensorStruct parameters = new cudnnTensorStruct();
  private final cudnnTensorStruct none = new cudnnTensorStruct();
  private final cudnnActivationStruct relu = new cudnnActivationStruct();
  private final int operations;
  private final FloatPointer one = new FloatPointer(1f);
  private final FloatPointer zero = new FloatPointer(0f);
  private final Pointer absent = new FloatPointer((Pointer) null);
  private final List<Set> sets = new ArrayList<>();

  BatchNormPlan(cudnnContext handle, KernelSpec spec, boolean gradient) {
    this.handle = handle;
    this.gradient = gradient;
    channels = spec.number(1);
    layout = ImageLayout.ofRows(spec.number(0), channels);
    images = Cudnn.images(spec, layout);
    boolean activated = !gradient && spec.word(2).equals(RELU);
    operations = activated ? cudnn.CUDNN_BATCHNORM_OPS_BN_ACTIVATION : cudnn.CUDNN_BATCHNORM_OPS_BN;
    if (activated) {
      Cudnn.check(cudnn.cudnnCreateActivationDescriptor(relu));
      Cudnn.check(
          cudnn.cudnnSetActivationDescriptor(
              relu, cudnn.CUDNN_ACTIVATION_RELU, cudnn.CUDNN_NOT_PROPAGATE_NAN, 0));
    }
    Cudnn.check(cudnn.cudnnCreateTensorDescriptor(parameters));
    Cudnn.check(
        cudnn.cudnnDeriveBNTensorDescriptor(
            parameters, images, cudnn.CUDNN_BATCHNORM_SPATIAL_PERSISTENT));
  }

  @Override
  public void addSet(Operands operands) {
    long n = layout.elements();
    Pointer x = operands.normal(n);
    sets.add(
        new Set(
            x,
            gradient ? absent : operands.empty(n),
            gradient ? operands.normal(n) : absent,
            gradient ? operands.empty(n) : absent,
            operands.floats(channels),
            operands.floats(channels),
            operands.floats(channels),
            operands.floats(channels),
            operands.floats(channels),
            operands.floats(channels)));
  }

  @Override
  public List<Way> ways(Operands operands) {
    return List.of(
        new Mode(operands, cudnn.CUDNN_BATCHNORM_SPATIAL_PERSISTENT),
        new Mode(operands, cudnn.CUDNN_BATCHNORM_SPATIAL));
  }

  /** One of the library's modes, which may refuse the kernel's type. */
  private final class Mode implements Way {
    private final Operands operands;
    private final int mode;
    private Pointer work = absent;
    private Pointer kept = absent;
    private long workBytes;
    private long keptBytes;
    private boolean ready;

    Mode(Operands operands, int mode) {
      this.operands = operands;
      this.mode = mode;
    }

    @Override
    public void call(int index) {
      Set set = sets.get(index);
      if (!ready) {
        prepare();
        if (gradient) {
          // What a forward call keeps is read by the gradient; its result is overwritten.
          forward(set, set.gradX());
        }
        ready = true;
      }
      if (gradient) {
        backward(set);
      } else {
        forward(set, set.y());
      }
    }

    private void prepare() {
      SizeTPointer bytes = new SizeTPointer(1);
      Cudnn.check(
          cudnn.cudnnGetBatchNormalizationForwardTrainingExWorkspaceSize(
              handle, mode, operations, images, none, images, parameters, relu, bytes));
      workBytes = bytes.get();
      if (gradient) {
        Cudnn.check(
            cudnn.cudnnGetBatchNormalizationBackwardExWorkspaceSize(
                handle,
                mode,
                operations,
                images,
                none,
                images,
                none,
                images,
                parameters,
                relu,
                bytes));
        workBytes = Math.max(workBytes, bytes.get());
      }
      Cudnn.check(
          cudnn.cudnnGetBatchNormalizationTrainingExReserveSpaceSize(
              handle, mode, operations, relu, images, bytes));
      keptBytes = bytes.get();
      work = operands.scratch(workBytes);
      kept = operands.scratch(keptBytes);
    }

    private void forward(Set set, Pointer y) {
      Cudnn.check(
          cudnn.cudnnBatchNormalizationForwardTrainingEx(
              handle,
              mode,
              operations,
              one,
              zero,
              images,
              set.x(),
              none,
              absent,
              images,
              y,
              parameters,
              set.weight(),
              set.bias(),
              MOMENTUM,
              absent,
              absent,
              EPS,
              set.mean(),
              set.invStd(),
              relu,
              work,
              workBytes,
              kept,
              keptBytes));
    }

    private void backward(Set set) {
      Cudnn.check(
          cudnn.cudnnBatchNormalizationBackwardEx(
              handle,
              mode,
              operations,
              one,
              zero,
              one,
              zero,
              images,
              set.x(),
              none,
              absent,
              images,
              set.gradY(),
              none,
              absent,
              images,
              set.gradX(),
              parameters,
              set.weight(),
              set.bias(),
              set.gradWeight(),
              set.gradBias(),
              EPS,
              set.mean(),
              set.invStd(),
              relu,
              work,
              workBytes,
              kept,
              keptBytes));
    }
  }
}
