package io.gradus.benchmarks.report;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.util.List;
import org.junit.jupiter.api.Test;

class SpellingTest {
  @Test
  void lettersThatDiffer() {
    assertEquals(0, Spelling.distance("conv", "conv"));
    assertEquals(4, Spelling.distance("", "conv"));
    assertEquals(1, Spelling.distance("con", "conv"));
    assertEquals(1, Spelling.distance("convs", "conv"));
    assertEquals(2, Spelling.distance("covn", "conv"));
    assertEquals(3, Spelling.distance("kitten", "sitting"));
  }

  @Test
  void theNearestIsNamedWhereASlipExplainsIt() {
    List<String> known = List.of("torch", "tf", "cudnn");
    assertEquals(
        "'Cuddn' is none of torch, tf, cudnn; did you mean cudnn?",
        Spelling.problem("Cuddn", known));
    assertEquals("'jax' is none of torch, tf, cudnn", Spelling.problem("jax", known));
    // Two slips make any word of two letters of another.
    assertEquals("'mx' is none of torch, tf, cudnn", Spelling.problem("mx", known));
  }
}
