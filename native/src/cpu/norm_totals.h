// From the partial results of chunks to those of columns, and the other way: element-wise passes over chunks, the last first,
// since what the pass before read last is still in the caches.
//
// The partial results are [chunks][2][channels] in double: means and sums of squared distances, or two sums.
#pragma once

#include "cpu/norm_gradient.h"

namespace gradus::cpu {

// How rows are cut for sums.
struct SumChunks {
  SumChunks(const Lines& lines, int64_t rows)
      : rows(rows), size(chunk_size(rows, sum_grain(lines))), count(chunk_count(rows, sum_grain(lines))) {}
  int64_t rows, size, count;
  int64_t begin(int64_t chunk) const { return chunk * size; }
  int64_t end(int64_t chunk) const { return std::min(rows, (chunk + 1) * size); }
  int64_t rows_of(int64_t chunk) const { return end(chunk) - begin(chunk); }
};

// Mean and sum of squared distances of columns first to last, from those of chunks.
inline void total_moments(const double* parts, const SumChunks& chunks, int64_t channels, int64_t first, int64_t last, double* mean,
                          double* squares) {
  std::fill(mean + first, mean + last, 0.0);
  std::fill(squares + first, squares + last, 0.0);
  for (int64_t c = 0; c < chunks.count; c++) {
    const double share = double(chunks.rows_of(c)) / double(chunks.rows);
    const double* part = parts + c * 2 * channels;
    for (int64_t k = first; k < last; k++) mean[k] += share * part[k];
  }
  for (int64_t c = 0; c < chunks.count; c++) {
    const auto rows = double(chunks.rows_of(c));
    const double* part = parts + c * 2 * channels;
    for (int64_t k = first; k < last; k++) {
      double off = part[k] - mean[k];
      squares[k] += part[channels + k] + rows * off * off;
    }
  }
}

// The two sums of columns first to last over parts [count][2][channels], [2][channels].
inline void total_sums(const double* parts, int64_t count, int64_t channels, int64_t first, int64_t last, double* sums) {
  for (int64_t which = 0; which < 2; which++) {
    double* sum = sums + which * channels;
    std::fill(sum + first, sum + last, 0.0);
    for (int64_t c = 0; c < count; c++) {
      const double* part = parts + (2 * c + which) * channels;
      for (int64_t k = first; k < last; k++) sum[k] += part[k];
    }
  }
}

// Columns of which a thread forms totals.
constexpr int64_t kTotalColumns = 256;

// As parallel_for, from the end.
template <class F>
void parallel_back(int64_t n, int64_t grain, F&& f) {
  const int64_t size = chunk_size(n, grain), count = chunk_count(n, grain);
  parallel_chunks(count, [&](int64_t chunk) {
    int64_t begin = (count - 1 - chunk) * size;
    f(begin, std::min(n, begin + size));
  });
}

}  // namespace gradus::cpu
