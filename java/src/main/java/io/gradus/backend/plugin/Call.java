package io.gradus.backend.plugin;

import io.gradus.backend.Buffer;
import io.gradus.backend.Memory;
import io.gradus.backend.plugin.jni.Native;
import io.gradus.core.Checks;
import io.gradus.core.DeviceException;
import io.gradus.core.DeviceLostException;
import io.gradus.core.DeviceMemoryException;
import java.nio.ByteBuffer;
import java.util.Set;
import java.util.concurrent.atomic.AtomicReferenceArray;
import org.jspecify.annotations.Nullable;

/**
 * One call of a kernel: turns its operands into addresses, its sizes into a struct and its status
 * into an exception. There is one per thread, reused, so that a call allocates nothing:
 *
 * <pre>{@code
 * Call c = call();
 * c.require(Native.gr_unary(Call.code(op), c.at(x), c.at(y), x.length(), c.type(x), stream()));
 * }</pre>
 */
final class Call {
  /** More than any call has operands. */
  private static final int OPERANDS = 32;

  static final int STRUCT_WORDS = 128;

  /**
   * The operands of the call that runs. They stay reachable here while the kernel works with their
   * addresses: the garbage collector must not return memory that only a running call still uses.
   */
  private final @Nullable Memory[] operands = new Memory[OPERANDS];

  /** Their blocks, which other threads read: see {@link BlockSource#operands()}. */
  private final AtomicReferenceArray<@Nullable Block> blocks = new AtomicReferenceArray<>(OPERANDS);

  private final ByteBuffer struct = Plugin.words(STRUCT_WORDS);
  private final long structAddress = Plugin.address(struct);
  private final NativeDevice device;
  private final Layout layout = new Layout(this);
  private int count;
  private long secondAddress;

  Call(NativeDevice device) {
    this.device = device;
  }

  /** The address of an operand; 0 where it is absent. */
  long at(@Nullable Buffer operand) {
    if (operand == null) {
      return 0;
    }
    Checks.state(count < OPERANDS, "[call] more than %d operands", OPERANDS);
    Memory memory = operand.memory();
    Block block = (Block) memory.resource();
    PluginRecording recording = device.recording();
    if (recording != null) {
      recording.uses(memory, block);
    }
    operands[count] = memory;
    blocks.set(count, block);
    count++;
    if (memory.isClosed()) {
      // Closed by another thread before the block was seen to be in use: fails as the first time.
      memory.resource();
    }
    return block.address() + operand.offset() * memory.dtype().bytes();
  }

  /** Ends the call: it makes no more use of its operands. */
  void done() {
    for (int i = 0; i < count; i++) {
      operands[i] = null;
      blocks.lazySet(i, null);
    }
    count = 0;
  }

  /** Adds the blocks that the call works with; called by other threads. */
  void addOperands(Set<Block> out) {
    for (int i = 0; i < OPERANDS; i++) {
      Block block = blocks.get(i);
      if (block != null) {
        out.add(block);
      }
    }
  }

  /** The address of an element of an operand. */
  long at(Buffer operand, long element) {
    return at(operand) + element * operand.dtype().bytes();
  }

  /** What stands for a constant in the C ABI: its ordinal, as the enums and the headers say. */
  @SuppressWarnings("EnumOrdinal")
  static int code(Enum<?> constant) {
    return constant.ordinal();
  }

  /** The code of an operand's type. */
  static int type(Buffer operand) {
    return code(operand.dtype());
  }

  /** Begins a struct; its fields follow by {@link #put} in the order of the C declaration. */
  Call struct() {
    struct.clear();
    return this;
  }

  /** The next field. */
  Call put(long value) {
    struct.putLong(value);
    return this;
  }

  /** The next field. */
  Call put(boolean value) {
    struct.putLong(value ? 1 : 0);
    return this;
  }

  /** The next field. */
  Call put(double value) {
    struct.putDouble(value);
    return this;
  }

  /** Leaves fields out, which then are 0. */
  Call skip(int fields) {
    for (int i = 0; i < fields; i++) {
      struct.putLong(0);
    }
    return this;
  }

  /** Begins a walk over a shape by two operands. */
  Layout layout(long[] shape, long[] a, long[] b) {
    return layout.begin(shape, a, b, null, null);
  }

  /** Begins a walk over a shape by three operands. */
  Layout layout(long[] shape, long[] a, long[] b, long[] c) {
    return layout.begin(shape, a, b, c, null);
  }

  /** Begins a walk over a shape by four operands. */
  Layout layout(long[] shape, long[] a, long[] b, long[] c, long[] d) {
    return layout.begin(shape, a, b, c, d);
  }

  /** The address of the struct. */
  long address() {
    return structAddress;
  }

  /** Begins another struct of the call, behind the first. */
  Call second() {
    secondAddress = structAddress + struct.position();
    return this;
  }

  /** The address of the struct that {@link #second} began. */
  long secondAddress() {
    return secondAddress;
  }

  /** The word that a C function stored at the start of the struct. */
  long result() {
    return struct.getLong(0);
  }

  /**
   * Ends the call. Whether the kernel ran; false when the plug-in has none for these arguments.
   *
   * @throws DeviceException when the call failed
   * @throws DeviceLostException when the device met a fault it does not recover from
   * @throws DeviceMemoryException when the device has no memory left
   */
  boolean ran(int status) {
    done();
    return status == Native.GR_OK || device.refused(status);
  }

  /**
   * Requires that the kernel ran.
   *
   * @throws DeviceException when it did not, with the reason
   */
  void require(int status) {
    if (!ran(status)) {
      throw new DeviceException(
          "[" + device.device() + "] has no kernel for these arguments, and nothing composes it");
    }
  }
}
