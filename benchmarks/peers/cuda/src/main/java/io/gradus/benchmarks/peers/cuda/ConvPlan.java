package io.gradus.benchmarks.peers.cuda;

import io.gradus.benchmarks.libraries.ConvGeometry;
import io.gradus.benchmarks.libraries.ImageLayout;
import io.gradus.benchmarks.libraries.KernelSpec;
import io.gradus.benchmarks.libraries.LibraryException;
import java.util.ArrayList;
import java.util.List;
import org.bytedeco.cuda.cudnn.cudnnContext;
import org.bytedeco.cuda.global.cudnn;
import org.bytedeco.javacpp.Pointer;

/**
 * A convolution or one of its gradients as a graph of one operation, by the engines that cuDNN's
 * heuristics name first and by those it falls back on.
 *
 * <p>Source: the cuDNN 9 Backend API, which cuDNN's frontend and with it PyTorch are built on.
 */
final class ConvPlan implements Plan {
  private static final int ENGINES = 8;
  private static final int NOTES = 16;
  private static final long MOST_WORKSPACE = 2L << 30;
  private static final long ALIGNMENT = 16;
  private static final long X = 1;
  private static final long W = 2;
  private static final long Y = 3;

  private record Set(Pointer x, Pointer w, Pointer y) {}

  private final cudnnContext handle;
  private final KernelSpec spec;
  private final ConvGeometry geometry;
  private final String kind;
  private final List<Set> sets = new ArrayList<>();

  ConvPlan(cudnnContext handle, KernelSpec spec, ConvGeometry geometry) {
    this.handle = handle;
    this.spec = spec;
    this.geometry = geometry;
    kind = spec.word(0);
  }

  @Override
  public void addSet(Operands operands) {
    // What is computed is overwritten, so all three can begin with numbers.
    sets.add(
        new Set(
            operands.normal(geometry.x().elements()),
            operands.normal(geometry.w().elements()),
            operands.normal(geometry.y().elements())));
  }

  @Override
  public List<Way> ways(Operands operands) {
    BackendDescriptor graph =
        new BackendDescriptor(cudnn.CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR)
            .handle(cudnn.CUDNN_ATTR_OPERATIONGRAPH_HANDLE, handle)
            .part(cudnn.CUDNN_ATTR_OPERATIONGRAPH_OPS, operation())
            .finish();
    List<BackendDescriptor> plans = new ArrayList<>();
    long most = 0;
    for (int mode : new int[] {cudnn.CUDNN_HEUR_MODE_A, cudnn.CUDNN_HEUR_MODE_FALLBACK}) {
      for (BackendDescriptor engine : engines(graph, mode)) {
        try {
          BackendDescriptor plan =
              new BackendDescriptor(cudnn.CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR)
                  .handle(cudnn.CUDNN_ATTR_EXECUTION_PLAN_HANDLE, handle)
                  .part(cudnn.CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG, engine)
                  .finish();
          long bytes = plan.number(cudnn.CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE);
          if (bytes <= MOST_WORKSPACE) {
            plans.add(plan);
            most = Math.max(most, bytes);
          }
        } catch (LibraryException e) {
          System.err.println("an engine that is left out: " + e.getMessage());
        }
      }
    }
    Pointer workspace = operands.scratch(most);
    List<BackendDescriptor> packs = sets.stream().map(set -> pack(set, workspace)).toList();
    List<Way> ways = new ArrayList<>();
    for (BackendDescriptor plan : plans) {
      ways.add(
          set -> Cudnn.check(cudnn.cudnnBackendExecute(handle, plan.get(), packs.get(set).get())));
    }
    return ways;
  }

  private List<BackendDescriptor> engines(BackendDescriptor graph, int mode) {
    BackendDescriptor heuristics =
        new BackendDescriptor(cudnn.CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR)
            .part(cudnn.CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH, graph)
            .choice(cudnn.CUDNN_ATTR_ENGINEHEUR_MODE, cudnn.CUDNN_TYPE_HEUR_MODE, mode)
            .finish();
    return heuristics
        .parts(
            cudnn.CUDNN_ATTR_ENGINEHEUR_RESULTS, cudnn.CUDNN_BACKEND_ENGINECFG_DESCRIPTOR, ENGINES)
        .stream()
        .filter(this::isExactEnough)
        .toList();
  }

  /** Tensor cores multiply float32 as TF32, which has to be asked for; less than that is neither. */
  private boolean isExactEnough(BackendDescriptor configuration) {
    boolean exact = spec.type().equals("float32");
    if (!exact && !spec.type().equals("tf32")) {
      return true;
    }
    BackendDescriptor engine =
        configuration
            .parts(cudnn.CUDNN_ATTR_ENGINECFG_ENGINE, cudnn.CUDNN_BACKEND_ENGINE_DESCRIPTOR, 1)
            .get(0);
    List<Integer> notes =
        engine.choices(
            cudnn.CUDNN_ATTR_ENGINE_NUMERICAL_NOTE, cudnn.CUDNN_TYPE_NUMERICAL_NOTE, NOTES);
    return !(exact && notes.contains(cudnn.CUDNN_NUMERICAL_NOTE_TENSOR_CORE))
        && !notes.contains(cudnn.CUDNN_NUMERICAL_NOTE_DOWN_CONVERT_INPUTS);
  }

  private BackendDescriptor pack(Set set, Pointer workspace) {
    return new BackendDescriptor(cudnn.CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR)
        .pointers(cudnn.CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS, List.of(set.x(), set.w(), set.y()))
        .numbers(cudnn.CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, X, W, Y)
        .pointers(cudnn.CUDNN_ATTR_VARIANT_PACK_WORKSPACE, List.of(workspace))
        .finish();
  }

  private BackendDescriptor operation() {
    BackendDescriptor x = tensor(X, geometry.x());
    BackendDescriptor w = tensor(W, geometry.w());
    BackendDescriptor y = tensor(Y, geometry.y());
    return switch (kind) {
      case "forward" ->
          new BackendDescriptor(cudnn.CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR)
              .part(cudnn.CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_CONV_DESC, places())
              .part(cudnn.CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X, x)
              .part(cudnn.CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_W, w)
              .part(cudnn.CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y, y)
              .number(cudnn.CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_ALPHA, 1)
              .number(cudnn.CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_BETA, 0)
              .finish();
      case "input" ->
          new BackendDescriptor(cudnn.CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR)
              .part(cudnn.CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_CONV_DESC, places())
              .part(cudnn.CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DX, x)
              .part(cudnn.CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_W, w)
              .part(cudnn.CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DY, y)
              .number(cudnn.CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_ALPHA, 1)
              .number(cudnn.CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_BETA, 0)
              .finish();
      case "weight" ->
          new BackendDescriptor(
                  cudnn.CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_FILTER_DESCRIPTOR)
              .part(cudnn.CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_CONV_DESC, places())
              .part(cudnn.CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_X, x)
              .part(cudnn.CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DW, w)
              .part(cudnn.CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DY, y)
              .number(cudnn.CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_ALPHA, 1)
              .number(cudnn.CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_BETA, 0)
              .finish();
      default -> throw new IllegalArgumentException("cudnn has no convolution of kind " + kind);
    };
  }

  private BackendDescriptor tensor(long id, ImageLayout layout) {
    return new BackendDescriptor(cudnn.CUDNN_BACKEND_TENSOR_DESCRIPTOR)
        .choice(cudnn.CUDNN_ATTR_TENSOR_DATA_TYPE, cudnn.CUDNN_TYPE_DATA_TYPE, Cudnn.type(spec))
        .numbers(cudnn.CUDNN_ATTR_TENSOR_DIMENSIONS, layout.dims())
        .numbers(cudnn.CUDNN_ATTR_TENSOR_STRIDES, layout.strides())
        .numbers(cudnn.CUDNN_ATTR_TENSOR_UNIQUE_ID, id)
        .numbers(cudnn.CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, ALIGNMENT)
        .finish();
  }

  /** Where the kernel is put; products are added up in float32. */
  private BackendDescriptor places() {
    long pad = geometry.pad();
    long stride = geometry.stride();
    return new BackendDescriptor(cudnn.CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR)
        .choice(
            cudnn.CUDNN_ATTR_CONVOLUTION_COMP_TYPE,
            cudnn.CUDNN_TYPE_DATA_TYPE,
            cudnn.CUDNN_DATA_FLOAT)
        .choice(
            cudnn.CUDNN_ATTR_CONVOLUTION_CONV_MODE,
            cudnn.CUDNN_TYPE_CONVOLUTION_MODE,
            cudnn.CUDNN_CROSS_CORRELATION)
        .numbers(cudnn.CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS, 2)
        .numbers(cudnn.CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS, pad, pad)
        .numbers(cudnn.CUDNN_ATTR_CONVOLUTION_POST_PADDINGS, pad, pad)
        .numbers(cudnn.CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES, stride, stride)
        .numbers(cudnn.CUDNN_ATTR_CONVOLUTION_DILATIONS, 1, 1)
        .finish();
  }
}
