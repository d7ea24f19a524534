package io.gradus.backend.reference;

/**
 * The loops of {@link ReferenceOptim}. All arrays have the same index: the JIT makes vector code of
 * such loops alone, about eight times as fast where there are roots and divisions.
 */
final class OptimLoops {
  private OptimLoops() {}

  static void sgd(float[] g, float[] p, int from, int to, float rate, float decay) {
    for (int i = from; i < to; i++) {
      float w = p[i];
      p[i] = w - rate * (g[i] + decay * w);
    }
  }

  static void momentum(
      float[] g,
      float[] p,
      float[] v,
      int from,
      int to,
      float rate,
      float momentum,
      float share,
      float decay) {
    for (int i = from; i < to; i++) {
      float w = p[i];
      float b = momentum * v[i] + share * (g[i] + decay * w);
      v[i] = b;
      p[i] = w - rate * b;
    }
  }

  static void nesterov(
      float[] g,
      float[] p,
      float[] v,
      int from,
      int to,
      float rate,
      float momentum,
      float share,
      float decay) {
    for (int i = from; i < to; i++) {
      float w = p[i];
      float d = g[i] + decay * w;
      float b = momentum * v[i] + share * d;
      v[i] = b;
      p[i] = w - rate * (d + momentum * b);
    }
  }

  static void adam(
      float[] g,
      float[] p,
      float[] m,
      float[] v,
      int from,
      int to,
      float kept,
      float l2,
      float rate,
      float spread,
      float share1,
      float decay2,
      float share2,
      float eps) {
    for (int i = from; i < to; i++) {
      float w = p[i] * kept;
      float d = g[i] + l2 * w;
      float mean = m[i] + share1 * (d - m[i]);
      float variance = decay2 * v[i] + share2 * (d * d);
      m[i] = mean;
      v[i] = variance;
      // The root of a float taken in double and rounded is the correctly rounded float root.
      p[i] = w - rate * (mean / ((float) Math.sqrt(variance) / spread + eps));
    }
  }

  static void rmsProp(
      float[] g,
      float[] p,
      float[] s,
      int from,
      int to,
      float rate,
      float keep,
      float share,
      float eps,
      float decay) {
    for (int i = from; i < to; i++) {
      float w = p[i];
      float d = g[i] + decay * w;
      float square = keep * s[i] + share * (d * d);
      s[i] = square;
      p[i] = w - rate * (d / ((float) Math.sqrt(square) + eps));
    }
  }

  static void adagrad(
      float[] g, float[] p, float[] s, int from, int to, float rate, float eps, float decay) {
    for (int i = from; i < to; i++) {
      float w = p[i];
      float d = g[i] + decay * w;
      float sum = s[i] + d * d;
      s[i] = sum;
      p[i] = w - rate * (d / ((float) Math.sqrt(sum) + eps));
    }
  }

  static void lion(
      float[] g,
      float[] p,
      float[] m,
      int from,
      int to,
      float kept,
      float rate,
      float past,
      float share,
      float decay,
      float share2) {
    for (int i = from; i < to; i++) {
      float mean = m[i];
      float d = g[i];
      m[i] = decay * mean + share2 * d;
      p[i] = p[i] * kept - rate * Math.signum(past * mean + share * d);
    }
  }

  static double sumOfSquares(float[] a, int from, int to) {
    double s0 = 0;
    double s1 = 0;
    double s2 = 0;
    double s3 = 0;
    int i = from;
    for (; i + 3 < to; i += 4) {
      s0 += (double) a[i] * a[i];
      s1 += (double) a[i + 1] * a[i + 1];
      s2 += (double) a[i + 2] * a[i + 2];
      s3 += (double) a[i + 3] * a[i + 3];
    }
    for (; i < to; i++) {
      s0 += (double) a[i] * a[i];
    }
    return (s0 + s1) + (s2 + s3);
  }
}
