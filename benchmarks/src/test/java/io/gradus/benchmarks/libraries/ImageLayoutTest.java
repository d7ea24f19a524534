package io.gradus.benchmarks.libraries;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;

import java.util.Random;
import org.junit.jupiter.api.Test;

/** Images and weights as libraries address them, against plain loops over NHWC. */
class ImageLayoutTest {
  private static int offset(ImageLayout layout, int n, int c, int h, int w) {
    long[] strides = layout.strides();
    return Math.toIntExact(
        n * strides[0] + c * strides[1] + h * strides[2] + (long) w * strides[3]);
  }

  @Test
  void neighboursInMemoryAreThoseOfNhwc() {
    ImageLayout layout = new ImageLayout(2, 3, 4, 5);
    int next = 0;
    for (int n = 0; n < 2; n++) {
      for (int h = 0; h < 4; h++) {
        for (int w = 0; w < 5; w++) {
          for (int c = 0; c < 3; c++) {
            assertEquals(next++, offset(layout, n, c, h, w));
          }
        }
      }
    }
    assertEquals(next, layout.elements());
    assertArrayEquals(new long[] {2, 3, 4, 5}, layout.dims());
  }

  @Test
  void rowsAreImagesWhereTheyFillABatch() {
    assertEquals(new ImageLayout(128, 64, 56, 56), ImageLayout.ofRows(128 * 56 * 56, 64));
    assertEquals(new ImageLayout(128, 16, 1, 1), ImageLayout.ofRows(128, 16));
    assertEquals(new ImageLayout(1, 16, 100, 1), ImageLayout.ofRows(100, 16));
  }

  /** A library's convolution: sizes in the order NCHW, each element by its strides. */
  private static double[] convolve(ConvGeometry g, double[] x, double[] w) {
    double[] y = new double[(int) g.y().elements()];
    for (int n = 0; n < g.y().n(); n++) {
      for (int o = 0; o < g.y().c(); o++) {
        for (int row = 0; row < g.y().h(); row++) {
          for (int column = 0; column < g.y().w(); column++) {
            double sum = 0;
            for (int c = 0; c < g.w().c(); c++) {
              for (int i = 0; i < g.w().h(); i++) {
                for (int j = 0; j < g.w().w(); j++) {
                  int h = row * g.stride() + i - g.pad();
                  int v = column * g.stride() + j - g.pad();
                  if (h >= 0 && h < g.x().h() && v >= 0 && v < g.x().w()) {
                    sum += x[offset(g.x(), n, c, h, v)] * w[offset(g.w(), o, c, i, j)];
                  }
                }
              }
            }
            y[offset(g.y(), n, o, row, column)] = sum;
          }
        }
      }
    }
    return y;
  }

  @Test
  void aConvolutionOfThemIsOurs() {
    int side = 5;
    int channels = 2;
    int outputs = 3;
    int kernel = 3;
    int stride = 2;
    ConvGeometry g = ConvGeometry.of(KernelSpec.parse("conv forward 2 5 2 3 3 2 float32"));
    int out = 3;
    assertEquals(new ImageLayout(2, outputs, out, out), g.y());
    double[] x = new Random(1).doubles(g.x().elements()).toArray();
    double[] w = new Random(2).doubles(g.w().elements()).toArray();
    double[] ours = new double[2 * out * out * outputs];
    // x [N, H, W, C], w [O, kh, kw, C], y [N, oh, ow, O].
    for (int index = 0; index < ours.length; index++) {
      int o = index % outputs;
      int column = index / outputs % out;
      int row = index / outputs / out % out;
      int n = index / outputs / out / out;
      for (int i = 0; i < kernel; i++) {
        for (int j = 0; j < kernel; j++) {
          int h = row * stride + i - 1;
          int v = column * stride + j - 1;
          if (h < 0 || h >= side || v < 0 || v >= side) {
            continue;
          }
          for (int c = 0; c < channels; c++) {
            ours[index] +=
                x[((n * side + h) * side + v) * channels + c]
                    * w[((o * kernel + i) * kernel + j) * channels + c];
          }
        }
      }
    }
    assertArrayEquals(ours, convolve(g, x, w), 1e-12);
  }

  @Test
  void aKernelOfOneNeedsNoPadding() {
    ConvGeometry g = ConvGeometry.of(KernelSpec.parse("conv weight 8 14 16 4 1 1 bfloat16"));
    assertEquals(0, g.pad());
    assertEquals(new ImageLayout(4, 16, 1, 1), g.w());
    assertEquals(new ImageLayout(8, 4, 14, 14), g.y());
    ConvGeometry stem = ConvGeometry.of(KernelSpec.parse("conv input 1 224 3 64 7 2 bfloat16"));
    assertEquals(112, stem.y().h());
  }
}
