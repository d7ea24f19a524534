package io.gradus.data;

import io.gradus.core.Checks;
import io.gradus.core.Shape;
import java.util.List;

/** Some samples of another data set, in a given order. */
final class SubsetDataset implements Dataset {
  private final Dataset base;
  private final int[] indices;

  SubsetDataset(Dataset base, int[] indices) {
    this.base = base;
    this.indices = indices.clone();
    for (int i : indices) {
      Checks.argument(
          i >= 0 && i < base.size(),
          "[dataset] sample %d was asked of %s, which has %d",
          i,
          base.name(),
          base.size());
    }
  }

  @Override
  public String name() {
    return base.name();
  }

  @Override
  public int size() {
    return indices.length;
  }

  @Override
  public Shape sampleShape() {
    return base.sampleShape();
  }

  @Override
  public List<String> classNames() {
    return base.classNames();
  }

  @Override
  public int label(int index) {
    return base.label(indices[index]);
  }

  @Override
  public void read(int index, float[] out, int at) {
    base.read(indices[index], out, at);
  }
}
