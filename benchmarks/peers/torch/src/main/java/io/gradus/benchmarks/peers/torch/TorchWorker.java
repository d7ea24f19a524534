package io.gradus.benchmarks.peers.torch;

import io.gradus.benchmarks.engines.Training;
import io.gradus.benchmarks.engines.Worker;
import io.gradus.benchmarks.engines.Workload;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;

/** The worker of libtorch. */
public final class TorchWorker {
  private static final String CONTIGUOUS = "contiguous";
  private static final String CHANNELS_LAST = "channels-last";

  // OpenMP's threads spin while they wait, and take cores from OpenBLAS's threads: this tells them
  // to sleep, which is slower where cores abound.
  private static final String PASSIVE = ",OMP_WAIT_POLICY=PASSIVE";

  private TorchWorker() {}

  /** Serves as a worker. */
  public static void main(String[] args) throws IOException {
    // Scopes free what a step makes. Otherwise JavaCPP would read the process's size at every
    // allocation, which costs libtorch time that is not its own.
    System.setProperty("org.bytedeco.javacpp.nopointergc", "true");
    System.setProperty("org.bytedeco.javacpp.maxphysicalbytes", "0");
    Worker.serve(new Factory());
  }

  private static final class Factory implements Training.Factory {
    @Override
    public Training open(Workload workload, int threads, String setting) {
      torch.set_num_threads(threads);
      return new TorchTraining(workload, setting, setting.startsWith(CHANNELS_LAST));
    }

    @Override
    public List<String> settings(Workload workload, int threads) {
      List<String> settings = new ArrayList<>();
      for (String format :
          workload == Workload.MLP ? List.of(CONTIGUOUS) : List.of(CHANNELS_LAST, CONTIGUOUS)) {
        settings.add(format);
        if (threads > 1) {
          settings.add(format + PASSIVE);
        }
      }
      return settings;
    }

    @Override
    public Training.TinyOp tinyOp(int threads) {
      torch.set_num_threads(threads);
      Tensor a = torch.ones(1);
      Tensor b = torch.ones(1);
      return new Training.TinyOp("Tensor.add, closed at once", () -> a.add(b).close());
    }
  }
}
