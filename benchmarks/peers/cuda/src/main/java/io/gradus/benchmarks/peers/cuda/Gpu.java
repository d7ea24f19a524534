package io.gradus.benchmarks.peers.cuda;

import io.gradus.benchmarks.libraries.LibraryException;
import org.bytedeco.cuda.cudart.CUevent_st;
import org.bytedeco.cuda.cudart.CUgraphExec_st;
import org.bytedeco.cuda.cudart.CUgraph_st;
import org.bytedeco.cuda.cudart.CUstream_st;
import org.bytedeco.cuda.cudart.cudaDeviceProp;
import org.bytedeco.cuda.global.cudart;
import org.bytedeco.javacpp.BytePointer;
import org.bytedeco.javacpp.Pointer;

/** The first GPU, and the one stream on which everything is done. */
final class Gpu {
  private final CUstream_st stream = new CUstream_st();
  private final CUevent_st begin = new CUevent_st();
  private final CUevent_st end = new CUevent_st();
  private final String about;

  Gpu() {
    cudaDeviceProp properties = new cudaDeviceProp();
    check(cudart.cudaGetDeviceProperties(properties, 0));
    int[] runtime = new int[1];
    check(cudart.cudaRuntimeGetVersion(runtime));
    about =
        properties.name().getString()
            + ", CUDA "
            + runtime[0] / 1000
            + "."
            + runtime[0] % 1000 / 10;
    check(cudart.cudaStreamCreate(stream));
    check(cudart.cudaEventCreate(begin));
    check(cudart.cudaEventCreate(end));
  }

  /** Name and version, in one line. */
  String about() {
    return about;
  }

  CUstream_st stream() {
    return stream;
  }

  /** Memory that holds anything. */
  BytePointer allocate(long bytes) {
    BytePointer memory = new BytePointer((Pointer) null);
    check(cudart.cudaMalloc(memory, bytes));
    return memory;
  }

  static void free(Pointer memory) {
    check(cudart.cudaFree(memory));
  }

  /** Fills memory with a pattern, again and again. */
  static void fill(BytePointer memory, long bytes, Pointer pattern, long patternBytes) {
    long done = Math.min(bytes, patternBytes);
    check(cudart.cudaMemcpy(memory, pattern, done, cudart.cudaMemcpyHostToDevice));
    while (done < bytes) {
      long more = Math.min(done, bytes - done);
      BytePointer rest = new BytePointer(memory).position(done);
      check(cudart.cudaMemcpy(rest, memory, more, cudart.cudaMemcpyDeviceToDevice));
      done += more;
    }
  }

  /** The seconds that work on the stream takes, by the GPU's own clock. */
  double seconds(Runnable work) {
    check(cudart.cudaStreamSynchronize(stream));
    check(cudart.cudaEventRecord(begin, stream));
    work.run();
    check(cudart.cudaEventRecord(end, stream));
    check(cudart.cudaEventSynchronize(end));
    float[] millis = new float[1];
    check(cudart.cudaEventElapsedTime(millis, begin, end));
    return millis[0] * 1e-3;
  }

  /**
   * Records work on the stream, which is then launched together.
   *
   * @throws LibraryException when it cannot be recorded
   */
  CUgraphExec_st record(Runnable work) {
    CUgraph_st graph = new CUgraph_st();
    check(cudart.cudaStreamBeginCapture(stream, cudart.cudaStreamCaptureModeThreadLocal));
    LibraryException failed = null;
    try {
      work.run();
    } catch (LibraryException e) {
      failed = e;
    }
    int status = cudart.cudaStreamEndCapture(stream, graph);
    if (failed != null || status != 0) {
      // The error stays behind otherwise, and is taken for that of the next call.
      cudart.cudaGetLastError();
    }
    if (failed != null) {
      throw failed;
    }
    check(status);
    CUgraphExec_st executable = new CUgraphExec_st();
    check(cudart.cudaGraphInstantiate(executable, graph));
    check(cudart.cudaGraphDestroy(graph));
    return executable;
  }

  void launch(CUgraphExec_st work) {
    check(cudart.cudaGraphLaunch(work, stream));
  }

  static void destroy(CUgraphExec_st work) {
    check(cudart.cudaGraphExecDestroy(work));
  }

  /** Fails where a call of the runtime has. */
  static void check(int status) {
    if (status != 0) {
      throw new LibraryException(cudart.cudaGetErrorString(status).getString());
    }
  }
}
