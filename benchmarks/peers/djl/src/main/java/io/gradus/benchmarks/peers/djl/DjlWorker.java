package io.gradus.benchmarks.peers.djl;

import ai.djl.ndarray.NDArray;
import ai.djl.ndarray.NDManager;
import io.gradus.benchmarks.engines.Training;
import io.gradus.benchmarks.engines.Worker;
import io.gradus.benchmarks.engines.Workload;
import java.io.IOException;
import java.util.List;

/** The worker of DJL. */
public final class DjlWorker {
  private DjlWorker() {}

  /** Serves as a worker. */
  public static void main(String[] args) throws IOException {
    System.setProperty("ai.djl.offline", "true");
    System.setProperty("OPT_OUT_TRACKING", "true");
    String cache = System.getProperty("org.bytedeco.javacpp.cachedir");
    if (cache != null) {
      // DJL unpacks its libraries into the user's home otherwise.
      System.setProperty("DJL_CACHE_DIR", cache);
      System.setProperty("ENGINE_CACHE_DIR", cache);
    }
    Worker.serve(new Factory());
  }

  private static final class Factory implements Training.Factory {
    /** Read when the engine starts. */
    private static void useThreads(int threads) {
      System.setProperty("ai.djl.pytorch.num_threads", Integer.toString(threads));
      System.setProperty("ai.djl.pytorch.num_interop_threads", "1");
    }

    @Override
    public Training open(Workload workload, int threads, String setting) {
      useThreads(threads);
      return new DjlTraining(workload, setting);
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
      useThreads(threads);
      NDManager manager = NDManager.newBaseManager();
      NDArray a = manager.create(new float[] {1});
      NDArray b = manager.create(new float[] {1});
      return new Training.TinyOp("NDArray.add, closed at once", () -> a.add(b).close());
    }
  }
}
