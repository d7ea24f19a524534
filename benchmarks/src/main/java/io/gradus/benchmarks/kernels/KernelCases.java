package io.gradus.benchmarks.kernels;

import static io.gradus.benchmarks.kernels.Goal.ofCompiled;
import static io.gradus.benchmarks.kernels.Goal.ofCudnn;
import static io.gradus.benchmarks.kernels.Goal.ofCudnnAttention;
import static io.gradus.benchmarks.kernels.Goal.ofEager;

import io.gradus.backend.Activation;
import io.gradus.backend.ProductPrecision;
import io.gradus.core.DType;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;

/**
 * The kernels that are measured: for processors every group of operations at the sizes of real
 * networks, for GPUs at sizes that fill one, in the types that are trained in, and a list of both
 * with small sizes for devices that are slow.
 */
final class KernelCases {
  private static final DType F32 = DType.FLOAT32;
  private static final DType BF16 = DType.BFLOAT16;

  private KernelCases() {}

  /** At the sizes of networks, for processors. */
  static List<KernelCase> ofNetworks() {
    KernelList list = new KernelList(F32);
    // The MLP's layers at batch 128, a square, and a transformer's feed-forward layer.
    list.matmul(128, 512, 784, false, true)
        .matmul(512, 784, 128, true, false)
        .matmul(1024, 1024, 1024, false, false)
        .matmul(512, 3072, 768, false, true)
        .linear(128, 512, 784);
    // The CNN's second layer, stages of ResNet-20, and of ResNet-50 at batch 8.
    list.conv(64, 28, 32, 64, 3, 1)
        .conv(64, 32, 16, 16, 3, 1)
        .conv(64, 16, 32, 64, 3, 2)
        .conv(64, 8, 64, 64, 3, 1)
        .conv(8, 56, 64, 256, 1, 1)
        .conv(8, 14, 256, 256, 3, 1);
    list.pool(64, 28, 64)
        .batchNorm(64 * 28 * 28, 64, Activation.RELU)
        .batchNorm(64 * 8 * 8, 64, Activation.RELU)
        .layerNorm(2048, 768)
        .softmax(4096, 512)
        .loss(128, 10)
        .loss(2048, 1000)
        .attention(2, 8, 512, 64, false)
        .attention(2, 8, 512, 64, true)
        .elements(1 << 22)
        .reduce(4096, 1024)
        .embedding(8192, 768, 4096)
        .adamW(1 << 22);
    return joined(list, new KernelList(BF16).matmul(1024, 1024, 1024, false, false));
  }

  /** For GPUs, with what they should reach there; what matters most comes first. */
  static List<KernelCase> ofGpus() {
    return joined(
        productsOfGpus(),
        float32OfGpus(),
        convolutionsOfGpus(),
        float32ConvolutionsOfGpus(),
        restOfGpus(),
        normsOfGpus(),
        optimizersOfGpus());
  }

  /** Squares, and the layers of GPT-2 (124M) at 8192 tokens: forward and both gradients. */
  private static KernelList productsOfGpus() {
    KernelList list = new KernelList(BF16);
    list.goal(ofEager(1).andLimit(0.78))
        .matmul(4096, 4096, 4096, false, true)
        .matmul(8192, 8192, 8192, false, true)
        .matmul(4096, 4096, 4096, false, false)
        .matmul(4096, 4096, 4096, true, false);
    list.goal(ofEager(0.85));
    for (int[] layer : new int[][] {{2304, 768}, {3072, 768}, {768, 3072}}) {
      list.matmul(8192, layer[0], layer[1], false, true)
          .matmul(8192, layer[1], layer[0], false, false)
          .matmul(layer[0], layer[1], 8192, true, false);
    }
    list.matmul(8192, 50304, 768, false, true)
        .matmul(256, 1000, 2048, false, true)
        .matmul(128, 4096, 4096, false, true)
        .batchedMatmul(96, 1024, 1024, 64, false, true);
    return list;
  }

  private static KernelList float32OfGpus() {
    KernelList list = new KernelList(F32);
    ProductPrecision tf32 = ProductPrecision.TF32;
    list.goal(ofEager(0.95).andLimit(0.78))
        .matmul(tf32, 4096, 4096, 4096, false, true)
        .matmul(tf32, 8192, 8192, 8192, false, true)
        .goal(ofEager(0.85))
        .matmul(tf32, 4096, 4096, 4096, false, false)
        .matmul(tf32, 4096, 4096, 4096, true, false)
        .goal(ofEager(2))
        .matmul(ProductPrecision.TF32X3, 4096, 4096, 4096, false, true)
        .goal(ofEager(0.92))
        .matmul(4096, 4096, 4096, false, true);
    return list;
  }

  /** Of ResNet-50 at batch 128. */
  private static KernelList convolutionsOfGpus() {
    KernelList list = new KernelList(BF16);
    List<Goal> goals = List.of(ofEager(0.9), ofEager(0.85), ofEager(0.8));
    List<Goal> full = goals.stream().map(goal -> goal.andLimit(0.55)).toList();
    list.conv(full, 128, 14, 256, 256, 3, 1)
        .conv(goals, 128, 56, 64, 64, 3, 1)
        .conv(goals, 128, 28, 128, 128, 3, 1)
        .conv(goals, 128, 7, 512, 512, 3, 1)
        .conv(goals, 128, 56, 64, 256, 1, 1)
        .conv(goals, 128, 14, 1024, 256, 1, 1)
        .conv(goals, 128, 28, 128, 128, 3, 2)
        .goal(Goal.NONE)
        .normalisedConv(128, 56, 64, 256)
        .normalisedConv(128, 28, 128, 512)
        .conv(128, 224, 3, 64, 7, 2);
    return list;
  }

  /**
   * Some of the same as TF32, whose gradient of weights is the portable kernel's, and as 3xTF32.
   */
  private static KernelList float32ConvolutionsOfGpus() {
    ProductPrecision tf32 = ProductPrecision.TF32;
    List<Goal> goals = List.of(ofEager(0.85), ofEager(0.8), Goal.NONE);
    List<Goal> twice = List.of(ofEager(2), ofEager(2), ofEager(2));
    return new KernelList(F32)
        .conv(tf32, goals, 128, 14, 256, 256, 3, 1)
        .conv(tf32, goals, 128, 56, 64, 64, 3, 1)
        .conv(tf32, goals, 128, 56, 64, 256, 1, 1)
        .conv(tf32, goals, 128, 28, 128, 128, 3, 2)
        .conv(ProductPrecision.TF32X3, twice, 128, 14, 256, 256, 3, 1);
  }

  /** What memory limits, and attention. */
  private static KernelList restOfGpus() {
    return new KernelList(BF16)
        .goals(ofCudnnAttention(0.9).andLimit(0.57), ofCudnnAttention(0.85).andLimit(0.45))
        .attention(2, 16, 8192, 128, true)
        .goal(Goal.NONE)
        .attention(8, 12, 1024, 64, true)
        .attention(4, 16, 4096, 128, false)
        .goal(ofEager(1.5).andLimit(0.85))
        .batchNorm(128 * 56 * 56, 64, Activation.NONE)
        .batchNorm(128 * 28 * 28, 512, Activation.NONE)
        .goals(ofCompiled(1).andLimit(0.88), ofCompiled(1).andLimit(0.75))
        .layerNorm(8192, 4096)
        .layerNorm(8192, 768)
        .goal(ofCompiled(1.5).andLimit(0.85))
        .lossAndGradient(8192, 50304)
        .softmax(8192, 8192)
        .goal(ofEager(1.2).andLimit(0.9))
        .elements(1 << 26)
        .goal(Goal.NONE)
        .pool(128, 112, 64)
        .reduce(8192, 8192)
        .embedding(50304, 768, 8192);
  }

  /** Batch norm in the type that cuDNN has fast kernels for. */
  private static KernelList normsOfGpus() {
    return new KernelList(DType.FLOAT16)
        .goal(ofCudnn(1))
        .batchNorm(128 * 56 * 56, 64, Activation.NONE)
        .batchNorm(128 * 28 * 28, 512, Activation.NONE);
  }

  /** As many parameters as GPT-2 (124M) has. */
  private static KernelList optimizersOfGpus() {
    return new KernelList(F32).goal(ofEager(1.15).andLimit(0.9)).adamW(124_000_000);
  }

  /** Small ones, of every group. */
  static List<KernelCase> small() {
    return small(F32).cases();
  }

  /** The same in the types that GPUs are measured in. */
  static List<KernelCase> smallOfGpus() {
    KernelList products = new KernelList(F32);
    for (ProductPrecision precision : List.of(ProductPrecision.TF32, ProductPrecision.TF32X3)) {
      List<Goal> goals = List.of(Goal.NONE, Goal.NONE, Goal.NONE);
      products
          .matmul(precision, 64, 64, 64, false, true)
          .conv(precision, goals, 2, 8, 16, 16, 3, 1);
    }
    return joined(small(BF16).goal(ofCompiled(1)).lossAndGradient(32, 10), products);
  }

  private static KernelList small(DType dtype) {
    KernelList list = new KernelList(dtype);
    list.matmul(128, 128, 128, false, true)
        .batchedMatmul(3, 16, 32, 8, false, true)
        .linear(64, 64, 64)
        .conv(2, 8, 16, 16, 3, 1)
        .normalisedConv(2, 8, 16, 16)
        .pool(2, 8, 16)
        .batchNorm(128, 16, Activation.RELU)
        .layerNorm(16, 128)
        .softmax(16, 128)
        .loss(32, 10)
        .attention(1, 2, 32, 32, false)
        .elements(1 << 12)
        .reduce(32, 128)
        .embedding(64, 32, 64);
    return dtype == F32 ? list.adamW(1 << 12) : list;
  }

  private static List<KernelCase> joined(KernelList... lists) {
    List<KernelCase> cases = new ArrayList<>();
    for (KernelList list : lists) {
      cases.addAll(list.cases());
    }
    return cases;
  }

  /** The names of all groups. */
  static Set<String> groups() {
    Set<String> groups = new TreeSet<>();
    small().forEach(kernel -> groups.add(kernel.group()));
    return groups;
  }
}
