// Attention by plain loops in float64, and the operands of its tests.
#pragma once

#include <cstdlib>

#include "arrays.h"
#include "device/math.h"
#include "device/philox.h"
#include "gradus/attention.h"

namespace test {

// How a tensor [batch, heads, rows, dim] lies in memory.
enum class Storage {
  dense,        // as it is named
  heads_inner,  // [batch, rows, heads, dim], what a projection leaves
  odd           // rows 1 longer than dim: nothing is aligned
};

struct AttentionCase {
  int64_t batch = 1, heads = 1, kv_heads = 1, queries = 1, keys = 1, dim = 8;
  bool causal = false;
  int64_t window = 0;
  double dropout = 0;  // above 0: with rng
  Storage storage = Storage::dense;
  double scale = 0;      // 0: 1 / sqrt(dim)
  double magnitude = 1;  // of q and k
};

inline gr_attention_strides strides_of(Storage storage, int64_t heads, int64_t rows, int64_t dim) {
  if (storage == Storage::heads_inner) return {rows * heads * dim, dim, heads * dim};
  int64_t pitch = storage == Storage::odd ? dim + 1 : dim;
  return {heads * rows * pitch, rows * pitch, pitch};
}

inline gr_attention_problem problem_of(const AttentionCase& c) {
  gr_attention_problem p{};
  p.batch = c.batch, p.heads = c.heads, p.kv_heads = c.kv_heads, p.queries = c.queries, p.keys = c.keys, p.dim = c.dim;
  p.causal = c.causal, p.window = c.window, p.dropout_number = 5;
  p.q = p.out = p.grad_out = p.grad_q = strides_of(c.storage, c.heads, c.queries, c.dim);
  p.k = p.v = p.grad_k = p.grad_v = strides_of(c.storage, c.kv_heads, c.keys, c.dim);
  p.scale = c.scale != 0 ? c.scale : 1 / std::sqrt(double(c.dim));
  p.dropout = c.dropout;
  return p;
}

constexpr int64_t kSeed = 0x123456789ABCD, kBase = 77;

template <class T>
class AttentionOperands {
 public:
  using A = gradus::accumulator_t<T>;

  explicit AttentionOperands(const AttentionCase& c)
      : problem(problem_of(c)),
        q(Array<T>::random(size(problem.q, c.queries), 1, -c.magnitude, c.magnitude)),
        k(Array<T>::random(size(problem.k, c.keys), 2, -c.magnitude, c.magnitude)),
        v(Array<T>::random(size(problem.v, c.keys), 3)),
        grad_out(Array<T>::random(size(problem.q, c.queries), 4)),
        out(q.size(), -7),
        grad_q(q.size(), -7),
        grad_k(k.size(), -7),
        grad_v(k.size(), -7),
        log_sum_exp(c.batch * c.heads * c.queries, -7),
        rng(2),
        with_dropout(c.dropout > 0) {
    rng.set(0, double(kSeed));
    rng.set(1, double(kBase));
  }

  int64_t problem_address() const { return int64_t(reinterpret_cast<uintptr_t>(&problem)); }
  int64_t rng_address() const { return with_dropout ? rng.address() : 0; }
  int forward() {
    return gr_attention_forward(q.address(), k.address(), v.address(), rng_address(), out.address(), log_sum_exp.address(),
                                problem_address(), Array<T>::dtype(), 0);
  }
  int backward() {
    Array<uint8_t> scratch(gr_attention_backward_scratch(problem_address(), Array<T>::dtype(), 0));
    return backward(grad_q.address(), grad_k.address(), grad_v.address(), scratch.address(), scratch.bytes());
  }
  int backward(int64_t to_q, int64_t to_k, int64_t to_v, int64_t scratch, int64_t scratch_bytes) {
    return gr_attention_backward(grad_out.address(), q.address(), k.address(), v.address(), out.address(), log_sum_exp.address(),
                                 rng_address(), to_q, to_k, to_v, scratch, scratch_bytes, problem_address(),
                                 Array<T>::dtype(), 0);
  }

  gr_attention_problem problem;
  Array<T> q, k, v, grad_out, out, grad_q, grad_k, grad_v;
  Array<A> log_sum_exp;
  Array<int64_t> rng;
  bool with_dropout;

 private:
  // Up to the last row's end, not further: reading behind it is a fault under AddressSanitizer.
  int64_t size(const gr_attention_strides& s, int64_t rows) const {
    int64_t heads = &s == &problem.q ? problem.heads : problem.kv_heads;
    if (problem.batch == 0 || rows == 0) return 0;
    return (problem.batch - 1) * s.batch + (heads - 1) * s.head + (rows - 1) * s.row + problem.dim;
  }
};

inline int64_t at(const gr_attention_strides& s, int64_t b, int64_t h, int64_t row) {
  return b * s.batch + h * s.head + row * s.row;
}

inline void print(const AttentionCase& c) {
  printf("  batch %d, heads %d of %d, %d queries, %d keys, dim %d, causal %d, window %d, dropout %g, storage %d\n", int(c.batch),
         int(c.heads), int(c.kv_heads), int(c.queries), int(c.keys), int(c.dim), int(c.causal), int(c.window), c.dropout,
         int(c.storage));
}

// Results and gradients, as the arrays lie; and for each the sum of the absolute values of its terms, which rounding errors
// scale with.
struct AttentionResult {
  std::vector<double> out, log_sum_exp, grad_q, grad_k, grad_v;
  std::vector<double> out_terms, grad_q_terms, grad_k_terms, grad_v_terms;
};

template <class T>
AttentionResult attention_reference(const AttentionOperands<T>& o) {
  const gr_attention_problem& p = o.problem;
  AttentionResult r;
  r.out.resize(size_t(o.q.size())), r.out_terms = r.grad_q = r.grad_q_terms = r.out;
  r.grad_k.resize(size_t(o.k.size())), r.grad_k_terms = r.grad_v = r.grad_v_terms = r.grad_k;
  auto threshold = uint32_t(std::rint(p.dropout * 65536));
  double keep_scale = !o.with_dropout ? 1 : p.dropout == 1 ? 0 : 1 / (1 - p.dropout);
  std::vector<double> weight(size_t(p.keys)), kept(weight), grad(weight);
  for (int64_t b = 0; b < p.batch; b++) {
    for (int64_t h = 0; h < p.heads; h++) {
      int64_t kv = h / (p.heads / p.kv_heads);
      for (int64_t i = 0; i < p.queries; i++) {
        int64_t position = i + p.keys - p.queries;
        auto sees = [&](int64_t j) {
          return !(p.causal != 0 && j > position) && !(p.window > 0 && std::llabs(j - position) >= p.window);
        };
        auto dot = [&](const Array<T>& x, int64_t from, const Array<T>& y, int64_t to) {
          double sum = 0;
          for (int64_t d = 0; d < p.dim; d++) sum += x[from + d] * y[to + d];
          return sum;
        };
        int64_t qi = at(p.q, b, h, i);
        double most = -INFINITY, sum = 0;
        for (int64_t j = 0; j < p.keys; j++) {
          weight[size_t(j)] = sees(j) ? p.scale * dot(o.q, qi, o.k, at(p.k, b, kv, j)) : -INFINITY;
          most = std::fmax(most, weight[size_t(j)]);
        }
        for (double& w : weight) sum += w = most == -INFINITY ? 0 : std::exp(w - most);
        r.log_sum_exp.push_back(most + std::log(sum));
        double delta = 0;
        for (int64_t j = 0; j < p.keys; j++) {
          auto index = uint64_t(((b * p.heads + h) * p.queries + i) * p.keys + j);
          bool keep = !o.with_dropout || gradus::dropout_keeps(kSeed, uint64_t(kBase + p.dropout_number), index, threshold);
          kept[size_t(j)] = keep ? keep_scale : 0;
          if (sum != 0) weight[size_t(j)] /= sum;
          if (!sees(j)) continue;
          int64_t vj = at(p.v, b, kv, j);
          double w = weight[size_t(j)] * kept[size_t(j)];
          for (int64_t d = 0; d < p.dim; d++) {
            r.out[size_t(qi + d)] += w * o.v[vj + d];
            r.out_terms[size_t(qi + d)] += std::fabs(w * o.v[vj + d]);
            r.grad_v[size_t(vj + d)] += w * o.grad_out[qi + d];
            r.grad_v_terms[size_t(vj + d)] += std::fabs(w * o.grad_out[qi + d]);
          }
          grad[size_t(j)] = kept[size_t(j)] * dot(o.grad_out, qi, o.v, vj);
          delta += weight[size_t(j)] * grad[size_t(j)];
        }
        for (int64_t j = 0; j < p.keys; j++) {
          if (!sees(j)) continue;
          int64_t kj = at(p.k, b, kv, j);
          double ds = p.scale * weight[size_t(j)] * (grad[size_t(j)] - delta);
          double error = p.scale * weight[size_t(j)] * (std::fabs(grad[size_t(j)]) + std::fabs(delta) + 1);
          for (int64_t d = 0; d < p.dim; d++) {
            r.grad_q[size_t(qi + d)] += ds * o.k[kj + d];
            r.grad_q_terms[size_t(qi + d)] += error * std::fabs(o.k[kj + d]);
            r.grad_k[size_t(kj + d)] += ds * o.q[qi + d];
            r.grad_k_terms[size_t(kj + d)] += error * std::fabs(o.q[qi + d]);
          }
        }
      }
    }
  }
  return r;
}

// Roundings that the sum of the terms' absolute values may cost. In 16 bits these are those of probabilities and results; in
// wider types those of the logits, which move the exponentials, and of the sums.
template <class T>
constexpr double kUnits = sizeof(T) == 2 ? 3 : 24;

// Rows of a [.., dim] tensor against the expected ones; what lies between the rows (Storage::odd) is untouched.
template <class T>
void check_rows(const char* what, const Array<T>& actual, const std::vector<double>& expected, const std::vector<double>& terms,
                const AttentionCase& c, double units) {
  int64_t pitch = c.storage == Storage::odd ? c.dim + 1 : c.dim;
  for (int64_t i = 0; i < actual.size(); i++) {
    if (i % pitch >= c.dim) {
      if (actual[i] != -7) return report(what, int(i), "what lies between rows was written");
      continue;
    }
    double e = expected[size_t(i)], a = actual[i];
    double allowed = units * unit<T>() * (terms[size_t(i)] + 1e-3) + 2 * unit<T>() * std::fabs(e);
    if (!(std::fabs(a - e) <= allowed)) return report(what, int(i), std::to_string(a) + " instead of " + std::to_string(e));
  }
}

}  // namespace test
