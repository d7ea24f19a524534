package io.gradus.benchmarks.peers.nd4j;

import io.gradus.benchmarks.engines.Training;
import io.gradus.benchmarks.engines.Worker;
import io.gradus.benchmarks.engines.Workload;
import java.io.IOException;
import java.util.List;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;

/** The worker of Deeplearning4j. */
public final class Nd4jWorker {
  private Nd4jWorker() {}

  /** Serves as a worker; the threads of ND4J are those of OMP_NUM_THREADS. */
  public static void main(String[] args) throws IOException {
    // Otherwise JavaCPP would read the process's size at every allocation.
    System.setProperty("org.bytedeco.javacpp.maxphysicalbytes", "0");
    Worker.serve(new Factory());
  }

  private static final class Factory implements Training.Factory {
    @Override
    public Training open(Workload workload, int threads, String setting) {
      return new Nd4jTraining(workload, setting);
    }

    @Override
    public List<String> settings(Workload workload, int threads) {
      // OpenMP's threads spin while they wait unless they are told not to.
      return threads > 1
          ? List.of("default", "default,OMP_WAIT_POLICY=PASSIVE")
          : List.of("default");
    }

    @Override
    public Training.TinyOp tinyOp(int threads) {
      INDArray a = Nd4j.ones(1);
      INDArray b = Nd4j.ones(1);
      return new Training.TinyOp("INDArray.add, closed at once", () -> a.add(b).close());
    }
  }
}
