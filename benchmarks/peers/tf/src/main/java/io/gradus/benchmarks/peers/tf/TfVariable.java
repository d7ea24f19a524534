package io.gradus.benchmarks.peers.tf;

import org.tensorflow.Operand;
import org.tensorflow.ndarray.Shape;
import org.tensorflow.op.Op;
import org.tensorflow.op.Ops;
import org.tensorflow.op.core.VarHandleOp;
import org.tensorflow.types.TFloat32;

/** A float variable of a graph. */
final class TfVariable {
  private final VarHandleOp handle;
  private final Shape shape;

  TfVariable(Ops tf, String name, Shape shape) {
    this.shape = shape;
    handle = tf.varHandleOp(TFloat32.class, shape, VarHandleOp.sharedName(name));
  }

  VarHandleOp handle() {
    return handle;
  }

  Shape shape() {
    return shape;
  }

  Operand<TFloat32> read(Ops tf) {
    return tf.readVariableOp(handle, TFloat32.class);
  }

  Op assign(Ops tf, Operand<TFloat32> value) {
    return tf.assignVariableOp(handle, value);
  }
}
