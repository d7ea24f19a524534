package io.gradus.backend.reference;

import static io.gradus.backend.reference.HeapArrays.at;
import static io.gradus.backend.reference.HeapArrays.floats;
import static io.gradus.backend.reference.HeapArrays.longs;

import io.gradus.backend.Buffer;
import io.gradus.backend.EmbeddingOps;
import io.gradus.core.DType;
import java.util.Arrays;

/**
 * Embedding: the lookup is the primitive; the FLOAT32 gradient sorts the positions by row, so that
 * threads share the table by rows and each sum runs in rising order of positions.
 */
interface ReferenceEmbedding extends EmbeddingOps {
  /** The threads that compute. */
  Parallel pool();

  @Override
  default void embeddingBackward(
      Buffer gradY,
      Buffer index,
      Buffer gradWeight,
      long vocabulary,
      long count,
      long dim,
      long paddingIndex) {
    if (gradWeight.dtype() != DType.FLOAT32 || gradWeight.length() == 0) {
      EmbeddingOps.super.embeddingBackward(
          gradY, index, gradWeight, vocabulary, count, dim, paddingIndex);
      return;
    }
    int rows = Math.toIntExact(vocabulary);
    int width = Math.toIntExact(dim);
    int[] ends = new int[rows];
    int[] order = sortByRow(longs(index), at(index), Math.toIntExact(count), ends);
    float[] g = floats(gradY);
    float[] out = floats(gradWeight);
    int gAt = at(gradY);
    int outAt = at(gradWeight);
    pool()
        .range(
            rows,
            Math.max(1, HeapArrays.GRAIN / width),
            (from, to) -> {
              for (int row = from; row < to; row++) {
                int target = outAt + row * width;
                Arrays.fill(out, target, target + width, 0f);
                if (row == paddingIndex) {
                  continue;
                }
                for (int p = row == 0 ? 0 : ends[row - 1]; p < ends[row]; p++) {
                  int source = gAt + order[p] * width;
                  for (int k = 0; k < width; k++) {
                    out[target + k] += g[source + k];
                  }
                }
              }
            });
  }

  /** The positions ordered by their row, equal rows as they come; ends[row] is where a row ends. */
  private static int[] sortByRow(long[] index, int at, int count, int[] ends) {
    for (int i = 0; i < count; i++) {
      ends[(int) index[at + i]]++;
    }
    int before = 0;
    for (int row = 0; row < ends.length; row++) {
      int size = ends[row];
      ends[row] = before;
      before += size;
    }
    int[] order = new int[count];
    for (int i = 0; i < count; i++) {
      order[ends[(int) index[at + i]]++] = i;
    }
    return order;
  }
}
