package io.gradus.tensor;

import io.gradus.core.Checks;
import io.gradus.core.DType;
import java.nio.ByteBuffer;

/**
 * Methods of {@link Tensor} that bring its elements to the host, in row-major order; they wait for
 * the device, and fail with a {@link io.gradus.core.CaptureException} in a captured step.
 * Conversions are those of {@link Tensor#to(DType)}.
 */
sealed interface TensorContents permits Tensor {
  private Tensor self() {
    return (Tensor) this;
  }

  /**
   * The value of a tensor of one element.
   *
   * <p>Shapes: {@code [] or [1, .., 1] -> a number}
   *
   * <pre>{@code
   * double loss = Loss.mse(y, target).item();
   * }</pre>
   *
   * @throws io.gradus.core.ShapeException when there is not exactly one element
   */
  default double item() {
    Tensor x = self();
    Checks.shape(x.numel() == 1, "[item] %s has %d elements, not one", x.shape(), x.numel());
    return ((double[]) downloadAs("item", DType.FLOAT64))[0];
  }

  private Object download(String op) {
    Capture.forbid(op);
    try (Scope s = Scope.open();
        GradMode.Guard g = GradMode.noGrad()) {
      Tensor x = self();
      Object array = HostArrays.allocate(x.dtype(), x.numel());
      x.backend().download(x.contiguous().buffer(), array, 0);
      return array;
    }
  }

  private Object downloadAs(String op, DType wanted) {
    Capture.forbid(op);
    try (Scope s = Scope.open();
        GradMode.Guard g = GradMode.noGrad()) {
      TensorContents converted = self().detach().to(wanted);
      return converted.download(op);
    }
  }

  /**
   * The elements in row-major order, converted to float.
   *
   * <p>Shapes: {@code [..] -> numel values}
   *
   * @throws io.gradus.core.ArgumentException when they do not fit in one Java array
   */
  default float[] toFloats() {
    return (float[]) downloadAs("toFloats", DType.FLOAT32);
  }

  /**
   * The elements in row-major order, converted to double.
   *
   * <p>Shapes: {@code [..] -> numel values}
   *
   * @throws io.gradus.core.ArgumentException when they do not fit in one Java array
   */
  default double[] toDoubles() {
    return (double[]) downloadAs("toDoubles", DType.FLOAT64);
  }

  /**
   * The elements in row-major order, converted to int.
   *
   * <p>Shapes: {@code [..] -> numel values}
   *
   * @throws io.gradus.core.ArgumentException when they do not fit in one Java array
   */
  default int[] toInts() {
    return (int[]) downloadAs("toInts", DType.INT32);
  }

  /**
   * The elements in row-major order, converted to long.
   *
   * <p>Shapes: {@code [..] -> numel values}
   *
   * @throws io.gradus.core.ArgumentException when they do not fit in one Java array
   */
  default long[] toLongs() {
    return (long[]) downloadAs("toLongs", DType.INT64);
  }

  /**
   * The elements in row-major order, converted to unsigned bytes: read them with {@code b & 0xFF}.
   *
   * <p>Shapes: {@code [..] -> numel values}
   *
   * @throws io.gradus.core.ArgumentException when they do not fit in one Java array
   */
  default byte[] toUint8() {
    return (byte[]) downloadAs("toUint8", DType.UINT8);
  }

  /**
   * The elements in row-major order: whether each is not 0.
   *
   * <p>Shapes: {@code [..] -> numel values}
   *
   * @throws io.gradus.core.ArgumentException when they do not fit in one Java array
   */
  default boolean[] toBooleans() {
    byte[] bytes = (byte[]) downloadAs("toBooleans", DType.BOOL);
    boolean[] out = new boolean[bytes.length];
    for (int i = 0; i < bytes.length; i++) {
      out[i] = bytes[i] != 0;
    }
    return out;
  }

  /**
   * The raw contents in row-major order, little-endian; {@link Tensor#fromBytes} reads them.
   *
   * <p>Shapes: {@code [..] -> numel dtype.bytes() bytes}
   *
   * @throws io.gradus.core.ArgumentException when they do not fit in one buffer
   */
  default ByteBuffer toBytes() {
    return HostArrays.toBytes(self().dtype(), download("toBytes"));
  }
}
