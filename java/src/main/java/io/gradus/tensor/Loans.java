package io.gradus.tensor;

import java.util.ArrayList;
import java.util.List;

/**
 * The gradients of leaves in which the functions of one backward compute, rather than in memory of
 * their own.
 */
final class Loans {
  private final List<AutogradMeta> lenders = new ArrayList<>();

  /** Notes that a leaf lent its gradient. */
  void add(AutogradMeta lender) {
    lenders.add(lender);
  }

  /** Ends what is still lent, which is something where a function failed. */
  void end() {
    for (int i = 0; i < lenders.size(); i++) {
      lenders.get(i).takeBack(this);
    }
  }
}
