package io.gradus.optim;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import io.gradus.core.ArgumentException;
import io.gradus.tensor.Tensor;
import java.util.List;
import org.junit.jupiter.api.Test;

class ScheduleTest {
  private static void check(Schedule schedule, double base, double... want) {
    for (int i = 0; i < want.length; i++) {
      assertEquals(want[i], schedule.lr(base, i), 1e-12 * Math.max(1, want[i]), "step " + i);
    }
  }

  private static SGD sgd(double lr) {
    return new SGD(List.of(Tensor.zeros(1).requiresGrad(true)), lr);
  }

  @Test
  void steps() {
    check(Schedule.constant(), 3, 3, 3);
    check(Schedule.step(2, 0.1), 1, 1, 1, 0.1, 0.1, 0.01);
    check(Schedule.multiStep(0.1, 1, 4), 1, 1, 0.1, 0.1, 0.1, 0.01, 0.01);
    check(Schedule.exponential(0.5), 8, 8, 4, 2, 1);
    assertThrows(ArgumentException.class, () -> Schedule.multiStep(0.1, 4, 1));
  }

  @Test
  void cosineEndsAtItsMinimumAndStays() {
    double quarter = Math.cos(Math.PI / 4);
    check(
        Schedule.cosine(4, 0.2),
        1,
        1,
        0.2 + 0.4 * (1 + quarter),
        0.6,
        0.2 + 0.4 * (1 - quarter),
        0.2,
        0.2);
  }

  @Test
  void oneCycleAsPyTorchDefinesIt() {
    Schedule schedule = Schedule.oneCycle(100);
    assertEquals(0.04, schedule.lr(1, 0), 1e-15);
    assertEquals(0.52, (schedule.lr(1, 14) + schedule.lr(1, 15)) / 2, 1e-12);
    assertEquals(1, schedule.lr(1, 29), 1e-15);
    assertEquals((1 + 4e-6) / 2, schedule.lr(1, 64), 1e-12);
    assertEquals(4e-6, schedule.lr(1, 99), 1e-15);
    assertEquals(4e-6, schedule.lr(1, 1000), 1e-15);
  }

  @Test
  void warmUpRisesLinearlyAndThenFollows() {
    check(Schedule.exponential(0.5).warmUp(4, 0.2), 10, 2, 4, 6, 8, 10, 5, 2.5);
    check(Schedule.constant().warmUp(0, 0), 1, 1, 1);
  }

  @Test
  void theSchedulerSetsTheRatesOfAllGroups() {
    SGD optimizer = sgd(1);
    optimizer.add(List.of(Tensor.zeros(2).requiresGrad(true)), SGD.Options.of(4));
    Scheduler scheduler = new Scheduler(optimizer, Schedule.exponential(0.5).warmUp(1, 0.5));
    assertEquals(0.5, optimizer.lr());
    scheduler.step();
    scheduler.step();
    assertEquals(0.5, optimizer.groups().get(0).lr());
    assertEquals(2, optimizer.groups().get(1).lr());
    SGD other = sgd(7);
    other.add(List.of(Tensor.zeros(2).requiresGrad(true)), SGD.Options.of(7));
    Scheduler resumed = new Scheduler(other, Schedule.exponential(0.5).warmUp(1, 0.5));
    resumed.loadStateDict(scheduler.stateDict());
    scheduler.step();
    resumed.step();
    assertArrayEquals(
        optimizer.groups().stream().mapToDouble(ParameterGroup::lr).toArray(),
        other.groups().stream().mapToDouble(ParameterGroup::lr).toArray());
    assertEquals(3, resumed.steps());
  }

  @Test
  void plateauLowersAfterItsPatience() {
    SGD optimizer = sgd(1);
    Plateau plateau = new Plateau(optimizer, new Plateau.Options(false, 0.1, 1, 0.01, 1, 0.05));
    double[] metrics = {10, 9, 8.95, 9, 5, 5, 5, 5, 5, 5};
    double[] rates = {1, 1, 1, 0.1, 0.1, 0.1, 0.05, 0.05, 0.05, 0.05};
    for (int i = 0; i < metrics.length; i++) {
      plateau.step(metrics[i]);
      assertEquals(rates[i], optimizer.lr(), 1e-12, "step " + i);
    }
  }

  @Test
  void plateauResumes() {
    SGD a = sgd(1);
    SGD b = sgd(1);
    Plateau.Options options = Plateau.Options.moreIsBetter(0.5, 1);
    Plateau first = new Plateau(a, options);
    first.step(0.9);
    first.step(0.8);
    Plateau second = new Plateau(b, options);
    second.loadStateDict(first.stateDict());
    second.step(Double.NaN);
    assertEquals(0.5, b.lr());
  }
}
