package io.gradus.benchmarks.peers.tf;

import io.gradus.benchmarks.engines.Workload;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.tensorflow.Operand;
import org.tensorflow.ndarray.Shape;
import org.tensorflow.op.Op;
import org.tensorflow.op.Ops;
import org.tensorflow.op.linalg.MatMul;
import org.tensorflow.op.nn.FusedBatchNorm;
import org.tensorflow.types.TFloat32;

/** The three networks as a graph on images [N, H, W, C], TensorFlow's own order. */
final class TfNetwork {
  private static final float MOMENTUM = 0.1f;
  private static final float EPS = 1e-5f;
  private static final String TRAILING = "running_";

  private final Ops tf;
  private final Workload workload;
  private final Map<String, TfVariable> state;
  private final Map<String, Operand<TFloat32>> read = new HashMap<>();
  private final List<Op> updates = new ArrayList<>();

  /**
   * A network.
   *
   * @param state all of its variables by name
   */
  TfNetwork(Ops tf, Workload workload, Map<String, TfVariable> state) {
    this.tf = tf;
    this.workload = workload;
    this.state = state;
    state.forEach((name, variable) -> read.put(name, variable.read(tf)));
  }

  /** The trained variables as the graph reads them, by name. */
  Map<String, Operand<TFloat32>> parameters() {
    Map<String, Operand<TFloat32>> parameters = new HashMap<>(read);
    parameters.keySet().removeIf(name -> name.contains(TRAILING));
    return parameters;
  }

  /** What moves the running averages. */
  List<Op> updates() {
    return updates;
  }

  Operand<TFloat32> logits(Operand<TFloat32> x, boolean dropout) {
    return switch (workload) {
      case MLP -> mlp(x, dropout);
      case CNN -> cnn(x, dropout);
      case RESNET20 -> resnet20(x);
      default -> throw new UnsupportedOperationException(workload.label() + " is for GPUs");
    };
  }

  private Operand<TFloat32> mlp(Operand<TFloat32> x, boolean dropout) {
    long width = 512;
    Operand<TFloat32> first = drop(tf.nn.relu(linear(flat(x), "1")), 0.5f, dropout, width);
    Operand<TFloat32> second = drop(tf.nn.relu(linear(first, "4")), 0.5f, dropout, width);
    return linear(second, "7");
  }

  private Operand<TFloat32> cnn(Operand<TFloat32> x, boolean dropout) {
    Operand<TFloat32> first = tf.nn.relu(norm(conv(x, "0", 1, 1), "1"));
    Operand<TFloat32> second = tf.nn.relu(norm(conv(first, "3", 1, 1), "4"));
    var two = tf.constant(new int[] {1, 2, 2, 1});
    Operand<TFloat32> pooled = flat(tf.nn.maxPool(second, two, two, "VALID"));
    long side = workload.side() / 2;
    Operand<TFloat32> kept = drop(pooled, 0.25f, dropout, side * side * 64);
    return linear(drop(tf.nn.relu(linear(kept, "9")), 0.5f, dropout, 128), "12");
  }

  private Operand<TFloat32> resnet20(Operand<TFloat32> x) {
    Operand<TFloat32> y = tf.nn.relu(norm(conv(x, "0", 1, 1), "1"));
    for (int block = 0; block < 9; block++) {
      String name = Integer.toString(3 + block);
      boolean begins = block == 3 || block == 6;
      int stride = begins ? 2 : 1;
      Operand<TFloat32> side = y;
      if (begins) {
        side = norm(conv(y, name + ".shortcut.0", 2, 0), name + ".shortcut.1");
      }
      Operand<TFloat32> inner =
          tf.nn.relu(norm(conv(y, name + ".main.0", stride, 1), name + ".main.1"));
      Operand<TFloat32> main = norm(conv(inner, name + ".main.3", 1, 1), name + ".main.4");
      y = tf.nn.relu(tf.math.add(main, side));
    }
    return linear(tf.math.mean(y, tf.constant(new int[] {1, 2})), "13");
  }

  private Operand<TFloat32> flat(Operand<TFloat32> x) {
    return tf.reshape(x, tf.constant(new int[] {workload.batch(), -1}));
  }

  private Operand<TFloat32> drop(Operand<TFloat32> x, float p, boolean drop, long width) {
    if (!drop) {
      return x;
    }
    var shape = tf.constant(new long[] {workload.batch(), width});
    Operand<TFloat32> uniform = tf.random.randomUniform(shape, TFloat32.class);
    var mask = tf.dtypes.cast(tf.math.greaterEqual(uniform, tf.constant(p)), TFloat32.class);
    return tf.math.mul(tf.math.mul(x, tf.constant(1 / (1 - p))), mask);
  }

  private Operand<TFloat32> linear(Operand<TFloat32> x, String name) {
    MatMul<TFloat32> product = tf.linalg.matMul(x, value(name + ".weight"));
    return tf.nn.biasAdd(product, value(name + ".bias"));
  }

  private Operand<TFloat32> conv(Operand<TFloat32> x, String name, long stride, int padding) {
    List<Long> strides = List.of(1L, stride, stride, 1L);
    Operand<TFloat32> weight = value(name + ".weight");
    if (stride == 1 || padding == 0) {
      return tf.nn.conv2d(x, weight, strides, "SAME");
    }
    // "SAME" would put all of the padding behind an image of even size.
    int[][] around = {{0, 0}, {padding, padding}, {padding, padding}, {0, 0}};
    var padded = tf.pad(x, tf.constant(around), tf.constant(0f));
    return tf.nn.conv2d(padded, weight, strides, "VALID");
  }

  private Operand<TFloat32> norm(Operand<TFloat32> x, String name) {
    String mean = name + "." + TRAILING + "mean";
    String variance = name + "." + TRAILING + "var";
    FusedBatchNorm<TFloat32, TFloat32> norm =
        tf.nn.fusedBatchNorm(
            x,
            value(name + ".weight"),
            value(name + ".bias"),
            value(mean),
            value(variance),
            FusedBatchNorm.isTraining(true),
            FusedBatchNorm.exponentialAvgFactor(MOMENTUM),
            FusedBatchNorm.epsilon(EPS));
    updates.add(variable(mean).assign(tf, norm.batchMean()));
    updates.add(variable(variance).assign(tf, norm.batchVariance()));
    return norm.y();
  }

  private Operand<TFloat32> value(String name) {
    Operand<TFloat32> value = read.get(name);
    if (value == null) {
      throw new IllegalStateException("no weight is named " + name);
    }
    return value;
  }

  private TfVariable variable(String name) {
    TfVariable variable = state.get(name);
    if (variable == null) {
      throw new IllegalStateException("no weight is named " + name);
    }
    return variable;
  }

  /** How a variable's shape reads in this network's order: that of the file, or TensorFlow's. */
  static Shape shape(long[] dims) {
    return switch (dims.length) {
      case 2 -> Shape.of(dims[1], dims[0]);
      case 4 -> Shape.of(dims[1], dims[2], dims[3], dims[0]);
      default -> Shape.of(dims);
    };
  }

  /** From [out, ...] to [..., out]. */
  static float[] values(float[] from, long[] dims) {
    if (dims.length < 2) {
      return from;
    }
    int outputs = (int) dims[0];
    int inputs = from.length / outputs;
    float[] to = new float[from.length];
    for (int o = 0; o < outputs; o++) {
      for (int i = 0; i < inputs; i++) {
        to[i * outputs + o] = from[o * inputs + i];
      }
    }
    return to;
  }
}
