package io.gradus.benchmarks.peers.tf;

import io.gradus.benchmarks.engines.Training;
import io.gradus.benchmarks.engines.Worker;
import io.gradus.benchmarks.engines.Workload;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import org.tensorflow.EagerSession;
import org.tensorflow.op.Ops;

/** The worker of TensorFlow. */
public final class TfWorker {
  private static final String ONEDNN = "onednn,TF_ENABLE_ONEDNN_OPTS=1";
  private static final String EIGEN = "eigen,TF_ENABLE_ONEDNN_OPTS=0";

  // Branches of the graph side by side, beside threads within an operation.
  private static final String BRANCHES = ",branches";

  private TfWorker() {}

  /** Serves as a worker. */
  public static void main(String[] args) throws IOException {
    // Otherwise JavaCPP would read the process's size at every allocation.
    System.setProperty("org.bytedeco.javacpp.maxphysicalbytes", "0");
    Worker.serve(new Factory());
  }

  private static final class Factory implements Training.Factory {
    @Override
    public Training open(Workload workload, int threads, String setting) {
      int branches = setting.endsWith(BRANCHES) ? threads : 1;
      return new TfTraining(workload, threads, branches, setting);
    }

    @Override
    public List<String> settings(Workload workload, int threads) {
      List<String> settings = new ArrayList<>();
      for (String kernels : List.of(ONEDNN, EIGEN)) {
        settings.add(kernels);
        if (threads > 1) {
          settings.add(kernels + BRANCHES);
        }
      }
      return settings;
    }

    @Override
    public Training.TinyOp tinyOp(int threads) {
      Ops tf = Ops.create(EagerSession.create());
      var a = tf.constant(new float[] {1});
      var b = tf.constant(new float[] {1});
      return new Training.TinyOp(
          "tf.math.add in an eager session", () -> tf.math.add(a, b).asTensor().close());
    }
  }
}
