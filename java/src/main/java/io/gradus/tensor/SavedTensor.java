package io.gradus.tensor;

import io.gradus.backend.Memory;
import io.gradus.core.Checks;
import org.jspecify.annotations.Nullable;

/** A tensor that a function keeps for its backward: an owner of its memory that notices changes. */
final class SavedTensor {
  private final Tensor handle;
  private final int version;
  private @Nullable Memory memory;

  SavedTensor(Tensor tensor) {
    this.handle = tensor;
    this.memory = tensor.memory().retain();
    this.version = memory.version();
  }

  /** The saved value, as a fresh handle that is part of the same graph. */
  Tensor unpack(String op) {
    Memory held = memory;
    if (held == null) {
      throw new IllegalStateException(
          "["
              + op
              + "] backward was called twice: the saved tensors were freed by the first call; "
              + "call backward with retainGraph to keep them");
    }
    Checks.state(
        handle.holds(held) && held.version() == version,
        "[%s] a tensor %s saved for backward was changed in place afterwards (version %d, now %d):"
            + " change a copy(), or change it after backward",
        op,
        handle.shape(),
        version,
        held.version());
    return handle.revive();
  }

  /** Gives the memory up. */
  void free() {
    Memory held = memory;
    if (held != null) {
      memory = null;
      held.release();
    }
  }
}
