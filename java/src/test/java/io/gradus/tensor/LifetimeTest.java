package io.gradus.tensor;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.gradus.backend.Allocator;
import io.gradus.backend.Backends;
import io.gradus.core.DType;
import io.gradus.core.Device;
import io.gradus.core.Shape;
import io.gradus.testing.TestDevices;
import java.util.Objects;
import java.util.concurrent.atomic.AtomicReference;
import org.junit.jupiter.api.Test;

/** Closing, scopes, and what a graph keeps alive. */
class LifetimeTest {
  private final Device device = TestDevices.isolated();

  private Allocator allocator() {
    return Backends.of(device).allocator();
  }

  private Tensor ones(long... dims) {
    return Tensor.full(device, DType.FLOAT32, Shape.of(dims), 1);
  }

  private static String fails(Runnable call) {
    return assertThrows(IllegalStateException.class, call::run).getMessage();
  }

  private static Throwable inThread(Runnable call) throws InterruptedException {
    AtomicReference<Throwable> thrown = new AtomicReference<>();
    Thread thread = new Thread(call);
    thread.setUncaughtExceptionHandler((t, e) -> thrown.set(e));
    thread.start();
    thread.join();
    return thrown.get();
  }

  @Test
  void useAfterClose() {
    Tensor x = ones(2);
    x.close();
    assertTrue(x.isClosed());
    for (String message :
        new String[] {
          fails(() -> x.add(1)),
          fails(x::toDoubles),
          fails(() -> x.fill(2)),
          fails(() -> x.reshape(1, 2)),
          fails(() -> x.sum()),
          fails(() -> x.copyFrom(ones(2))),
          fails(x::detach)
        }) {
      assertTrue(message.contains("use after close"), message);
    }
    assertEquals("(closed)", x.toString().substring(x.toString().length() - 8));
  }

  @Test
  void doubleClose() {
    Tensor x = ones(2);
    x.close();
    assertTrue(fails(x::close).contains("double close"));
  }

  @Test
  void closingAViewLeavesTheSourceAndTheOtherWayRound() {
    Tensor x = ones(4);
    Tensor view = x.slice(0, 1, 3);
    view.close();
    assertArrayEquals(new double[] {1, 1, 1, 1}, x.toDoubles());
    Tensor other = x.slice(0, 0, 2);
    x.close();
    assertArrayEquals(new double[] {1, 1}, other.toDoubles());
    other.close();
  }

  @Test
  void scopesFreeWhatIsNotKept() {
    long before = allocator().liveCount();
    Tensor kept;
    Tensor lost;
    try (Scope s = Scope.open()) {
      lost = ones(3);
      kept = s.keep(lost.add(1));
      assertEquals(before + 2, allocator().liveCount());
    }
    assertTrue(lost.isClosed());
    assertFalse(kept.isClosed());
    assertEquals(before + 1, allocator().liveCount());
    kept.close();
    assertEquals(before, allocator().liveCount());
  }

  @Test
  void keptTensorsBelongToTheScopeAround() {
    Tensor inner;
    try (Scope outside = Scope.open()) {
      try (Scope s = Scope.open()) {
        inner = s.keep(ones(1));
      }
      assertFalse(inner.isClosed());
    }
    assertTrue(inner.isClosed());
  }

  @Test
  void escapedTensorsOutliveEveryScope() {
    Tensor free;
    try (Scope outside = Scope.open();
        Scope s = Scope.open()) {
      free = Scope.escape(ones(1));
    }
    assertFalse(free.isClosed());
    free.close();
  }

  @Test
  void aTensorClosedInsideItsScopeIsNotClosedAgain() {
    long before = allocator().liveCount();
    try (Scope s = Scope.open()) {
      ones(2).close();
      Tensor kept = s.keep(ones(2));
      kept.close();
    }
    assertEquals(before, allocator().liveCount());
  }

  @Test
  void tensorsFromOutsideStayWhenAScopeClosesAfterAnException() {
    Tensor x = ones(2);
    assertThrows(
        UnsupportedOperationException.class,
        () -> {
          try (Scope s = Scope.open()) {
            x.add(1);
            throw new UnsupportedOperationException("stop");
          }
        });
    assertFalse(x.isClosed());
    assertEquals(null, Scope.current());
    x.close();
  }

  @Test
  void scopesCloseInnermostFirst() {
    Scope outside = Scope.open();
    Scope inside = Scope.open();
    assertTrue(fails(outside::close).contains("an inner scope is still open"));
    inside.close();
    outside.close();
    assertTrue(fails(outside::close).contains("already closed"));
    assertTrue(fails(() -> outside.keep(ones(1))).contains("use after close"));
  }

  @Test
  void scopesBelongToTheirThread() throws InterruptedException {
    try (Scope s = Scope.open()) {
      Tensor x = ones(2);
      Throwable keep = inThread(() -> s.keep(x));
      assertTrue(
          String.valueOf(keep).contains("belongs to the thread that opened it"), () -> "" + keep);
      Throwable close = inThread(s::close);
      assertTrue(String.valueOf(close).contains("belongs to the thread"), () -> "" + close);
      Throwable foreign = inThread(x::close);
      assertTrue(String.valueOf(foreign).contains("another thread"), () -> "" + foreign);
      assertArrayEquals(new double[] {1, 1}, x.toDoubles());
    }
  }

  @Test
  void aGraphOutlivesTheScopeOfItsIntermediates() {
    Tensor w = ones(3).requiresGrad(true);
    Tensor loss;
    try (Scope s = Scope.open()) {
      Tensor hidden = w.mul(2).exp();
      loss = s.keep(hidden.square().sum());
    }
    loss.backward();
    double expected = 4 * Math.exp(4);
    assertEquals(expected, Objects.requireNonNull(w.grad()).toDoubles()[0], expected * 1e-6);
  }

  @Test
  void gradientsMadeInAScopeOutliveIt() {
    Tensor w = ones(3).requiresGrad(true);
    try (Scope s = Scope.open()) {
      w.square().sum().backward();
    }
    assertArrayEquals(new double[] {2, 2, 2}, Objects.requireNonNull(w.grad()).toDoubles());
  }

  @Test
  void backwardFreesWhatWasSaved() {
    Tensor w = ones(3).requiresGrad(true);
    try (Scope s = Scope.open()) {
      w.sum().backward();
    }
    long before = allocator().liveCount();
    try (Scope s = Scope.open()) {
      w.exp().square().tanh().mul(w).sum().backward();
    }
    assertEquals(before, allocator().liveCount());
  }

  @Test
  void anOperationThatFailsLeavesNothing() {
    Tensor x = ones(2, 3).requiresGrad(true);
    Tensor y = ones(4);
    long before = allocator().liveCount();
    assertThrows(RuntimeException.class, () -> x.matmul(y));
    assertThrows(RuntimeException.class, () -> x.add(y));
    assertThrows(RuntimeException.class, () -> x.gather(1, Tensor.of(new long[] {9}, 1, 1)));
    assertThrows(RuntimeException.class, () -> Tensor.stack(0, x, y));
    assertEquals(before, allocator().liveCount());
  }

  @Test
  void contentsAndDescriptionLeaveNothing() {
    Tensor x = ones(2, 3).t();
    long before = allocator().liveCount();
    assertEquals("FLOAT32 [3, 2] [1.0, 1.0, 1.0, 1.0, 1.0, 1.0]", x.toString());
    x.toFloats();
    x.toDoubles();
    x.toLongs();
    x.toInts();
    x.toBooleans();
    x.toUint8();
    x.toBytes();
    assertEquals(before, allocator().liveCount());
  }
}
