package io.gradus.benchmarks.peers.cuda;

import java.util.ArrayList;
import java.util.List;
import org.bytedeco.cuda.cudnn.cudnnBackendDescriptor_t;
import org.bytedeco.cuda.cudnn.cudnnContext;
import org.bytedeco.cuda.global.cudnn;
import org.bytedeco.javacpp.FloatPointer;
import org.bytedeco.javacpp.IntPointer;
import org.bytedeco.javacpp.LongPointer;
import org.bytedeco.javacpp.Pointer;
import org.bytedeco.javacpp.PointerPointer;

/**
 * A part of a graph of cuDNN, which gets attributes and is then finished. Parts live as long as the
 * process: a few kilobytes for each kernel.
 */
final class BackendDescriptor {
  private final cudnnBackendDescriptor_t descriptor = new cudnnBackendDescriptor_t();

  /** An empty one of a kind. */
  BackendDescriptor(int kind) {
    Cudnn.check(cudnn.cudnnBackendCreateDescriptor(kind, descriptor));
  }

  /** What cuDNN's functions take. */
  cudnnBackendDescriptor_t get() {
    return descriptor;
  }

  private BackendDescriptor set(int attribute, int type, long count, Pointer values) {
    Cudnn.check(cudnn.cudnnBackendSetAttribute(descriptor, attribute, type, count, values));
    return this;
  }

  BackendDescriptor numbers(int attribute, long... values) {
    return set(attribute, cudnn.CUDNN_TYPE_INT64, values.length, new LongPointer(values));
  }

  /** One of an enumeration, whose own type is told. */
  BackendDescriptor choice(int attribute, int type, int value) {
    return set(attribute, type, 1, new IntPointer(new int[] {value}));
  }

  BackendDescriptor number(int attribute, float value) {
    return set(attribute, cudnn.CUDNN_TYPE_FLOAT, 1, new FloatPointer(new float[] {value}));
  }

  BackendDescriptor part(int attribute, BackendDescriptor part) {
    return set(
        attribute, cudnn.CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, addresses(List.of(part.descriptor)));
  }

  BackendDescriptor handle(int attribute, cudnnContext handle) {
    return set(attribute, cudnn.CUDNN_TYPE_HANDLE, 1, addresses(List.of(handle)));
  }

  BackendDescriptor pointers(int attribute, List<? extends Pointer> values) {
    return set(attribute, cudnn.CUDNN_TYPE_VOID_PTR, values.size(), addresses(values));
  }

  /** Says that all attributes are there. */
  BackendDescriptor finish() {
    Cudnn.check(cudnn.cudnnBackendFinalize(descriptor));
    return this;
  }

  private static PointerPointer<Pointer> addresses(List<? extends Pointer> pointers) {
    PointerPointer<Pointer> array = new PointerPointer<>(pointers.size());
    for (int i = 0; i < pointers.size(); i++) {
      array.put(i, pointers.get(i));
    }
    return array;
  }

  /** A number of this finished one. */
  long number(int attribute) {
    LongPointer value = new LongPointer(new long[1]);
    get(attribute, cudnn.CUDNN_TYPE_INT64, 1, value);
    return value.get();
  }

  /** Values of an enumeration of this finished one. */
  List<Integer> choices(int attribute, int type, int atMost) {
    IntPointer values = new IntPointer(new int[atMost]);
    long count = get(attribute, type, atMost, values);
    List<Integer> found = new ArrayList<>();
    for (long i = 0; i < count; i++) {
      found.add(values.get(i));
    }
    return found;
  }

  /** Parts of this finished one. */
  List<BackendDescriptor> parts(int attribute, int kind, int atMost) {
    List<BackendDescriptor> made = new ArrayList<>();
    List<Pointer> raw = new ArrayList<>();
    for (int i = 0; i < atMost; i++) {
      BackendDescriptor part = new BackendDescriptor(kind);
      made.add(part);
      raw.add(part.descriptor);
    }
    long count = get(attribute, cudnn.CUDNN_TYPE_BACKEND_DESCRIPTOR, atMost, addresses(raw));
    return made.subList(0, (int) Math.min(count, atMost));
  }

  private long get(int attribute, int type, long atMost, Pointer values) {
    long[] count = new long[1];
    Cudnn.check(cudnn.cudnnBackendGetAttribute(descriptor, attribute, type, atMost, count, values));
    return count[0];
  }
}
