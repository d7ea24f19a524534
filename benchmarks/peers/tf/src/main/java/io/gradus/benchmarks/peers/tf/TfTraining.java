package io.gradus.benchmarks.peers.tf;

import io.gradus.benchmarks.engines.Arrays;
import io.gradus.benchmarks.engines.Training;
import io.gradus.benchmarks.engines.Workload;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.tensorflow.Graph;
import org.tensorflow.Operand;
import org.tensorflow.Output;
import org.tensorflow.Result;
import org.tensorflow.Session;
import org.tensorflow.TensorFlow;
import org.tensorflow.ndarray.Shape;
import org.tensorflow.ndarray.buffer.DataBuffers;
import org.tensorflow.op.Op;
import org.tensorflow.op.Ops;
import org.tensorflow.op.core.Gradients;
import org.tensorflow.op.core.NoOp;
import org.tensorflow.op.core.Placeholder;
import org.tensorflow.proto.ConfigProto;
import org.tensorflow.types.TFloat32;
import org.tensorflow.types.TInt32;

/**
 * Training in TensorFlow as one graph, which computes a whole step in one call. Its Adam is one
 * operation for each weight; the decoupled decay is another before it.
 */
final class TfTraining implements Training {
  private final Workload workload;
  private final ConfigProto config;
  private final String setting;
  private Graph graph = new Graph();
  private Session session;
  private Step withDropout = new Step(List.of(), List.of());
  private Step without = withDropout;

  /** What a call of the session fetches and runs. */
  private record Step(List<Output<?>> loss, List<Op> targets) {}

  TfTraining(Workload workload, int threads, int branches, String setting) {
    this.workload = workload;
    this.setting = setting;
    config =
        ConfigProto.newBuilder()
            .setIntraOpParallelismThreads(threads)
            .setInterOpParallelismThreads(branches)
            .build();
    // A process's first session decides on the threads of all.
    session = new Session(graph, config);
  }

  @Override
  public String about() {
    return "TensorFlow "
        + TensorFlow.version()
        + ", one graph, Adam with decoupled decay, "
        + setting;
  }

  @Override
  public void load(List<Arrays.Named> arrays) {
    session.close();
    graph.close();
    graph = new Graph();
    Ops tf = Ops.create(graph);
    Map<String, TfVariable> state = new LinkedHashMap<>();
    Map<String, TFloat32> values = new LinkedHashMap<>();
    Shape images = Shape.unknown();
    int[] labels = {};
    for (Arrays.Named array : arrays) {
      String name = array.name();
      if (name.equals("y")) {
        labels = integers(array.data());
        continue;
      }
      boolean input = name.equals("x");
      Shape shape = input ? Shape.of(array.dims()) : TfNetwork.shape(array.dims());
      float[] data = input ? array.data() : TfNetwork.values(array.data(), array.dims());
      images = input ? shape : images;
      state.put(name, new TfVariable(tf, name, shape));
      values.put(name, TFloat32.tensorOf(shape, DataBuffers.of(data)));
    }
    List<Op> resets = new ArrayList<>();
    Placeholder<TFloat32> fed = tf.placeholder(TFloat32.class);
    Map<String, Op> loads = new LinkedHashMap<>();
    state.forEach((name, variable) -> loads.put(name, variable.assign(tf, fed)));
    TfVariable x = state.remove("x");
    if (x == null) {
      throw new IllegalArgumentException("the state has no x");
    }
    TfAdamW optimizer = new TfAdamW(tf, state, resets);
    TInt32 target = TInt32.vectorOf(labels);
    // The sparse form of the loss has no gradient in this API.
    Operand<TFloat32> y =
        tf.oneHot(
            tf.constantOf(target), tf.constant(Workload.CLASSES), tf.constant(1f), tf.constant(0f));
    Operand<TFloat32> input = tf.ensureShape(x.read(tf), images);
    withDropout = step(tf, state, optimizer, input, y, true);
    without = step(tf, state, optimizer, input, y, false);
    session = new Session(graph, config);
    loads.forEach(
        (name, op) -> {
          TFloat32 value = values.get(name);
          if (value != null) {
            session.runner().feed(fed, value).addTarget(op).run().close();
            value.close();
          }
        });
    resets.forEach(op -> session.run(op));
  }

  private static int[] integers(float[] from) {
    int[] to = new int[from.length];
    for (int i = 0; i < to.length; i++) {
      to[i] = (int) from[i];
    }
    return to;
  }

  private Step step(
      Ops tf,
      Map<String, TfVariable> state,
      TfAdamW optimizer,
      Operand<TFloat32> x,
      Operand<TFloat32> y,
      boolean dropout) {
    TfNetwork network = new TfNetwork(tf, workload, state);
    Operand<TFloat32> logits = network.logits(x, dropout);
    Operand<TFloat32> losses = tf.nn.softmaxCrossEntropyWithLogits(logits, y).loss();
    Operand<TFloat32> loss = tf.math.mean(losses, tf.constant(0));
    Map<String, Operand<TFloat32>> parameters = network.parameters();
    List<String> names = List.copyOf(parameters.keySet());
    List<Operand<?>> read = new ArrayList<>();
    names.forEach(name -> read.add(parameters.get(name)));
    Gradients gradients = tf.gradients(loss, read);
    Map<String, Operand<TFloat32>> byName = new LinkedHashMap<>();
    for (int i = 0; i < names.size(); i++) {
      byName.put(names.get(i), gradients.dy(i));
    }
    List<Op> before = new ArrayList<>();
    byName.values().forEach(gradient -> before.add(gradient));
    // No weight changes before all gradients are there.
    NoOp ready = tf.withControlDependencies(before).noOp();
    List<Op> targets = new ArrayList<>(network.updates());
    targets.addAll(optimizer.update(tf.withControlDependencies(ready), parameters, byName));
    return new Step(List.of(loss.asOutput()), targets);
  }

  @Override
  public double step(boolean dropout) {
    Step step = dropout ? withDropout : without;
    Session.Runner runner = session.runner();
    step.loss().forEach(runner::fetch);
    step.targets().forEach(runner::addTarget);
    try (Result result = runner.run()) {
      return ((TFloat32) result.get(0)).getFloat();
    }
  }
}
