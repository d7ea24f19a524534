// Layer and root-mean-square normalisation: the second is the first without a mean. A row is read from memory once and stays in
// the cache while its mean, then its squared distances, then y are formed. Backward gathers the weights' gradients on the way, in
// one vector of sums per chunk of rows.
#include "cpu/norm_lines.h"
#include "gradus/norm.h"

namespace gradus::cpu {
namespace {

// Elements whose sum is formed in the accumulator type; sums of those in double.
constexpr int64_t kBlock = 4096;

// The sums over a row of the values that f(offset, lanes) gives, `Values` of them at a time; of lanes past the last they are 0.
template <int Values, class A, class F>
GRADUS_INLINE void row_sums(int64_t cols, double (&out)[Values], F&& f) {
  constexpr int L = lanes_of<A>, kChains = 4;
  for (double& x : out) x = 0;
  for (int64_t begin = 0; begin < cols; begin += kBlock) {
    const int64_t end = std::min(cols, begin + kBlock);
    Vec<A> sum[kChains][Values] = {};
    auto add = [&](int chain, int64_t i, int lanes) {
      Vec<A> value[Values];
      f(i, lanes, value);
      for (int k = 0; k < Values; k++) sum[chain][k] += value[k];
    };
    int64_t i = begin;
    for (; i + kChains * L <= end; i += kChains * L) {
      for (int chain = 0; chain < kChains; chain++) add(chain, i + chain * L, L);
    }
    for (; i + L <= end; i += L) add(0, i, L);
    if (i < end) add(1, i, int(end - i));
    for (int k = 0; k < Values; k++) out[k] += double(cpu::sum((sum[0][k] + sum[1][k]) + (sum[2][k] + sum[3][k])));
  }
}

// Short rows go several at once through each stage: what one waits for (a sum of lanes, a root) another fills.
constexpr int64_t kRowsTogether = 4;
int64_t rows_together(int64_t cols) { return cols <= 1024 ? kRowsTogether : 1; }

// Lanes below a number.
template <class A>
GRADUS_INLINE Vec<A> first_lanes(Vec<A> v, int lanes) {
  if (lanes == lanes_of<A>) return v;
  return select(mask_of_bits<decltype(v > v)>((1u << lanes) - 1), v, Vec<A>{});
}

// Weights in the accumulator type; absent ones have one value. Made once a call, unless they are there.
struct WeightLine;
struct BiasLine;
template <class Tag, class T>
const accumulator_t<T>* weight_line(const Weights<T>& weights, int64_t cols, accumulator_t<T> absent) {
  using A = accumulator_t<T>;
  if (weights.data != nullptr && (weights.wide || std::is_same_v<T, A>)) return static_cast<const A*>(weights.data);
  A* line = workspace<Tag, A>(cols);
  for_vectors<A>(cols, [&](int64_t i, auto lanes) { store_wide_some(line + i, weights.load(i, lanes, absent), lanes); });
  return line;
}

template <class T>
struct Forward {
  using A = accumulator_t<T>;
  const T* x;
  T* y;     // may be x
  A* mean;  // null: root-mean-square normalisation
  A* inv_std;
  const A* weight;
  const A* bias;
  int64_t cols;
  double eps;

  static void rows(const Forward p, int64_t begin, int64_t end) {
    const double per_col = 1 / double(p.cols);
    const A *weight = p.weight, *bias = p.bias;
    for (int64_t first = begin, last; first < end; first = last) {
      last = std::min(end, first + rows_together(p.cols));
      A center[kRowsTogether] = {}, scale[kRowsTogether];
      for (int64_t r = first; r < last && p.mean != nullptr; r++) {
        const T* from = p.x + r * p.cols;
        double total[1];
        row_sums<1, A>(p.cols, total, [&](int64_t i, int lanes, auto& value) { value[0] = load_wide_some(from + i, lanes); });
        p.mean[r] = center[r - first] = A(total[0] * per_col);
      }
      for (int64_t r = first; r < last; r++) {
        const T* from = p.x + r * p.cols;
        const A mean = center[r - first];
        double total[1];
        row_sums<1, A>(p.cols, total, [&](int64_t i, int lanes, auto& value) {
          Vec<A> distance = first_lanes<A>(load_wide_some(from + i, lanes) - mean, lanes);
          value[0] = distance * distance;
        });
        p.inv_std[r] = scale[r - first] = A(1) / std::sqrt(A(total[0] * per_col + p.eps));
      }
      for (int64_t r = first; r < last; r++) {
        const T* from = p.x + r * p.cols;
        T* to = p.y + r * p.cols;
        const A mean = center[r - first], inv_std = scale[r - first];
        for_vectors<A>(p.cols, [&](int64_t i, auto lanes) {
          Vec<A> normal = (load_wide_some(from + i, lanes) - mean) * inv_std;
          store_wide_some(to + i, fma(normal, load_wide_some(weight + i, lanes), load_wide_some(bias + i, lanes)), lanes);
        });
      }
    }
  }
};

int64_t row_grain(int64_t cols) { return divide_up(kChunkElements, cols); }

int forward(int64_t x, int64_t weight, int64_t bias, int64_t y, int64_t mean, int64_t inv_std, int64_t rows, int64_t cols,
            double eps, int32_t dtype, int32_t weight_dtype, int32_t bias_dtype) {
  if (rows == 0 || cols == 0) return GR_OK;
  return with_floating(dtype, [&](auto type) {
    using T = typename decltype(type)::type;
    using A = accumulator_t<T>;
    Weights<T> weights{}, biases{};
    if (!typed<T>(weight, weight_dtype, weights) || !typed<T>(bias, bias_dtype, biases)) return int(GR_UNSUPPORTED);
    const Forward<T> p{pointer<const T>(x),
                       pointer<T>(y),
                       pointer<A>(mean),
                       pointer<A>(inv_std),
                       weight_line<WeightLine>(weights, cols, A(1)),
                       weight_line<BiasLine>(biases, cols, A(0)),
                       cols,
                       eps};
    parallel_for(rows, row_grain(cols), [&](int64_t begin, int64_t end) { Forward<T>::rows(p, begin, end); });
    return int(GR_OK);
  });
}

// Columns whose totals are formed together.
constexpr int64_t kTotalColumns = 256;

// Rows of a chunk of backward: enough of them that its sums are little against what it reads.
int64_t backward_grain(int64_t cols) { return std::max<int64_t>(kChunkRows / 2, row_grain(cols)); }

int64_t backward_bytes(int64_t rows, int64_t cols, int32_t dtype) {
  if (rows * cols == 0) return 0;
  return 2 * cols * chunk_count(rows, backward_grain(cols)) * (dtype == GR_FLOAT64 ? 8 : 4);
}

template <class T>
struct Backward {
  using A = accumulator_t<T>;
  const T* grad_y;
  const T* x;
  const A* mean;  // null: root-mean-square normalisation
  const A* inv_std;
  T* grad_x;  // or null
  const A* weight;
  int64_t cols;

  // sums [2][cols] += g and g n.
  template <bool Sums, bool Gradient>
  static void rows(const Backward p, int64_t begin, int64_t end, A* sums) {
    const double per_col = 1 / double(p.cols);
    const A* weight = p.weight;
    A *sum = sums, *along = sums + p.cols;
    for (int64_t first = begin, last; first < end; first = last) {
      last = std::min(end, first + rows_together(p.cols));
      A level[kRowsTogether] = {}, slope[kRowsTogether] = {};
      for (int64_t r = first; r < last && Gradient; r++) {
        const T *g = p.grad_y + r * p.cols, *from = p.x + r * p.cols;
        const A center = p.mean != nullptr ? p.mean[r] : A(0);
        double total[2];
        row_sums<2, A>(p.cols, total, [&](int64_t i, int lanes, auto& value) {
          value[0] = load_wide_some(g + i, lanes) * load_wide_some(weight + i, lanes);
          value[1] = first_lanes<A>(value[0] * (load_wide_some(from + i, lanes) - center), lanes);
        });
        if (p.mean != nullptr) level[r - first] = A(total[0] * per_col);
        slope[r - first] = A(total[1] * (double(p.inv_std[r]) * per_col));
      }
      for (int64_t r = first; r < last; r++) {
        const T *g = p.grad_y + r * p.cols, *from = p.x + r * p.cols;
        T* to = p.grad_x + r * p.cols;
        const A center = p.mean != nullptr ? p.mean[r] : A(0), scale = p.inv_std[r];
        const A down = level[r - first], tilt = slope[r - first];
        for_vectors<A>(p.cols, [&](int64_t i, auto lanes) {
          Vec<A> grad = load_wide_some(g + i, lanes), normal = (load_wide_some(from + i, lanes) - center) * scale;
          if constexpr (Sums) {
            store_wide_some(sum + i, load_wide_some(sum + i, lanes) + grad, lanes);
            store_wide_some(along + i, fma(grad, normal, load_wide_some(along + i, lanes)), lanes);
          }
          if constexpr (Gradient) {
            store_wide_some(to + i, (fma(grad, load_wide_some(weight + i, lanes), -normal * tilt) - down) * scale, lanes);
          }
        });
      }
    }
  }
};

int backward(const char* name, int64_t grad_y, int64_t x, int64_t mean, int64_t inv_std, int64_t weight, int64_t grad_x,
             int64_t grad_weight, int64_t grad_bias, int64_t scratch, int64_t scratch_bytes, int64_t rows, int64_t cols,
             int32_t dtype, int32_t weight_dtype, int32_t bias_dtype) {
  if (cols == 0) return GR_OK;
  return with_floating(dtype, [&](auto type) {
    using T = typename decltype(type)::type;
    using A = accumulator_t<T>;
    const int64_t needed = backward_bytes(rows, cols, dtype);
    if (scratch_bytes < needed) return too_little_scratch(name, needed, scratch_bytes);
    Weights<T> weights{};
    WeightsOut<T> out_weight{}, out_bias{};
    if (!typed<T>(weight, weight_dtype, weights) || !typed<T>(grad_weight, weight_dtype, out_weight) ||
        !typed<T>(grad_bias, bias_dtype, out_bias)) {
      return int(GR_UNSUPPORTED);
    }
    const Backward<T> p{pointer<const T>(grad_y), pointer<const T>(x), pointer<const A>(mean), pointer<const A>(inv_std),
                        pointer<T>(grad_x),       weight_line<WeightLine>(weights, cols, A(1)), cols};
    const bool sums = out_weight || out_bias;
    if (!sums && p.grad_x == nullptr) return int(GR_OK);
    const int64_t grain = backward_grain(cols), size = chunk_size(rows, grain), chunks = chunk_count(rows, grain);
    A* parts = pointer<A>(scratch);
    parallel_chunks(chunks, [&](int64_t chunk) {
      A* part = sums ? parts + chunk * 2 * cols : nullptr;
      if (sums) std::fill(part, part + 2 * cols, A(0));
      with_flags(
          [&](auto some, auto gradient) {
            Backward<T>::template rows<decltype(some)::value, decltype(gradient)::value>(p, chunk * size,
                                                                                         std::min(rows, (chunk + 1) * size), part);
          },
          sums, p.grad_x != nullptr);
    });
    if (!sums) return int(GR_OK);
    parallel_for(divide_up(cols, kTotalColumns), 1, [&](int64_t begin, int64_t end) {
      for (int64_t block = begin; block < end; block++) {
        const int64_t first = block * kTotalColumns, count = std::min(kTotalColumns, cols - first);
        double bias[kTotalColumns] = {}, along[kTotalColumns] = {};
        for (int64_t c = 0; c < chunks; c++) {
          const A *part = parts + 2 * c * cols + first, *other = part + cols;
          for (int64_t k = 0; k < count; k++) bias[k] += double(part[k]), along[k] += double(other[k]);
        }
        for (int64_t k = 0; k < count; k++) {
          out_bias.set(first + k, A(bias[k]));
          out_weight.set(first + k, A(along[k]));
        }
      }
    });
    return int(GR_OK);
  });
}

}  // namespace
}  // namespace gradus::cpu

using namespace gradus;
using namespace gradus::cpu;

extern "C" int gr_layer_norm_forward(int64_t x, int64_t weight, int64_t bias, int64_t y, int64_t mean, int64_t inv_std,
                                     int64_t rows, int64_t cols, double eps, int32_t dtype, int32_t weight_dtype,
                                     int32_t bias_dtype, int64_t) {
  return forward(x, weight, bias, y, mean, inv_std, rows, cols, eps, dtype, weight_dtype, bias_dtype);
}

extern "C" int gr_layer_norm_backward(int64_t grad_y, int64_t x, int64_t mean, int64_t inv_std, int64_t weight, int64_t grad_x,
                                      int64_t grad_weight, int64_t grad_bias, int64_t scratch, int64_t scratch_bytes,
                                      int64_t rows, int64_t cols, int32_t dtype, int32_t weight_dtype, int32_t bias_dtype,
                                      int64_t) {
  return backward("layerNorm", grad_y, x, mean, inv_std, weight, grad_x, grad_weight, grad_bias, scratch, scratch_bytes, rows,
                  cols, dtype, weight_dtype, bias_dtype);
}

extern "C" int gr_rms_norm_forward(int64_t x, int64_t weight, int64_t y, int64_t inv_rms, int64_t rows, int64_t cols, double eps,
                                   int32_t dtype, int32_t weight_dtype, int64_t) {
  return forward(x, weight, 0, y, 0, inv_rms, rows, cols, eps, dtype, weight_dtype, dtype);
}

extern "C" int gr_rms_norm_backward(int64_t grad_y, int64_t x, int64_t inv_rms, int64_t weight, int64_t grad_x,
                                    int64_t grad_weight, int64_t scratch, int64_t scratch_bytes, int64_t rows, int64_t cols,
                                    int32_t dtype, int32_t weight_dtype, int64_t) {
  return backward("rmsNorm", grad_y, x, 0, inv_rms, weight, grad_x, grad_weight, 0, scratch, scratch_bytes, rows, cols, dtype,
                  weight_dtype, dtype);
}

extern "C" int64_t gr_layer_norm_backward_scratch(int64_t rows, int64_t cols, int32_t dtype, int64_t) {
  return backward_bytes(rows, cols, dtype);
}

extern "C" int64_t gr_rms_norm_backward_scratch(int64_t rows, int64_t cols, int32_t dtype, int64_t) {
  return backward_bytes(rows, cols, dtype);
}
