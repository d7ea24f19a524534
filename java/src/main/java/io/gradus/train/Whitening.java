package io.gradus.train;

import io.gradus.core.Checks;
import java.util.Arrays;

/**
 * Filters that make the colours of neighbouring pixels uncorrelated and of equal variance: the
 * eigenvectors of the patches' covariance, each divided by the root of its eigenvalue, and their
 * negatives.
 */
final class Whitening {
  private static final int SWEEPS = 50;
  private static final double TINY = 1e-12;

  private Whitening() {}

  /**
   * The filters of images' square patches.
   *
   * @param images normalised values, {@code [count, height, width, channels]}
   * @param size side of a patch
   * @param eps added to the eigenvalues
   * @return {@code [2 size^2 channels, size, size, channels]}; the largest eigenvalue first
   */
  static float[] filters(
      float[] images, int count, int height, int width, int channels, int size, double eps) {
    int dim = size * size * channels;
    double[][] covariance = new double[dim][dim];
    double[] patch = new double[dim];
    for (int n = 0; n < count; n++) {
      for (int y = 0; y + size <= height; y++) {
        for (int x = 0; x + size <= width; x++) {
          int at = 0;
          for (int dy = 0; dy < size; dy++) {
            int from = ((n * height + y + dy) * width + x) * channels;
            for (int i = 0; i < size * channels; i++) {
              patch[at++] = images[from + i];
            }
          }
          for (int i = 0; i < dim; i++) {
            for (int j = 0; j <= i; j++) {
              covariance[i][j] += patch[i] * patch[j];
            }
          }
        }
      }
    }
    double patches = (double) count * (height - size + 1) * (width - size + 1);
    Checks.argument(patches > 0, "[whitening] there are no patches of %d pixels", size);
    for (int i = 0; i < dim; i++) {
      for (int j = 0; j <= i; j++) {
        covariance[i][j] /= patches;
        covariance[j][i] = covariance[i][j];
      }
    }
    double[][] vectors = eigenvectors(covariance);
    Integer[] order = new Integer[dim];
    for (int i = 0; i < dim; i++) {
      order[i] = i;
    }
    Arrays.sort(order, (a, b) -> Double.compare(covariance[b][b], covariance[a][a]));
    float[] out = new float[2 * dim * dim];
    for (int k = 0; k < dim; k++) {
      int column = order[k];
      double scale = 1 / Math.sqrt(Math.max(0, covariance[column][column]) + eps);
      for (int i = 0; i < dim; i++) {
        float value = (float) (vectors[i][column] * scale);
        out[k * dim + i] = value;
        out[(dim + k) * dim + i] = -value;
      }
    }
    return out;
  }

  /**
   * The eigenvectors of a symmetric matrix as columns; its eigenvalues come to stand on its
   * diagonal. Source: Jacobi's method with cyclic sweeps, Golub, Van Loan, "Matrix Computations",
   * section 8.5.
   */
  private static double[][] eigenvectors(double[][] a) {
    int n = a.length;
    double[][] v = new double[n][n];
    for (int i = 0; i < n; i++) {
      v[i][i] = 1;
    }
    for (int sweep = 0; sweep < SWEEPS; sweep++) {
      double off = 0;
      double diagonal = 0;
      for (int i = 0; i < n; i++) {
        diagonal += a[i][i] * a[i][i];
        for (int j = 0; j < i; j++) {
          off += a[i][j] * a[i][j];
        }
      }
      if (off <= TINY * TINY * diagonal) {
        break;
      }
      for (int p = 0; p < n; p++) {
        for (int q = p + 1; q < n; q++) {
          rotate(a, v, p, q);
        }
      }
    }
    return v;
  }

  /** Makes a[p][q] 0. */
  private static void rotate(double[][] a, double[][] v, int p, int q) {
    if (a[p][q] == 0) {
      return;
    }
    double tau = (a[q][q] - a[p][p]) / (2 * a[p][q]);
    double t = (tau >= 0 ? 1 : -1) / (Math.abs(tau) + Math.sqrt(1 + tau * tau));
    double c = 1 / Math.sqrt(1 + t * t);
    double s = t * c;
    for (int k = 0; k < a.length; k++) {
      double kp = a[k][p];
      double kq = a[k][q];
      a[k][p] = c * kp - s * kq;
      a[k][q] = s * kp + c * kq;
    }
    for (int k = 0; k < a.length; k++) {
      double pk = a[p][k];
      double qk = a[q][k];
      a[p][k] = c * pk - s * qk;
      a[q][k] = s * pk + c * qk;
      double kp = v[k][p];
      double kq = v[k][q];
      v[k][p] = c * kp - s * kq;
      v[k][q] = s * kp + c * kq;
    }
  }
}
