// Launchers of layer and root-mean-square normalisation; the kernels and their method are in norm_rows.h.
#include "gradus/norm.h"
#include "kernels/norm_rows.h"

namespace gradus {
namespace {

// The widest rows that stay in registers.
template <class T>
constexpr int64_t kForwardColumns = sizeof(T) == 8 ? 0 : 512 * 4 * kOctet;
template <class T>
constexpr int64_t kBackwardColumns = sizeof(T) == 8 ? 0 : 512 * 2 * kOctet;

template <int Threads, class K, class P>
int launch_rows(K kernel, const P& p, const char* name, int64_t stream) {
  constexpr int kBlock = kBlockOf<Threads>;
  return finish(launch(name, kernel, LaunchConfig(blocks_for(p.rows, kBlock / Threads), kBlock).stream(stream_of(stream)), p));
}

template <class T>
int launch_forward(const RowForward<T>& p, int64_t stream) {
#define GRADUS_ROWS(threads, packs) \
  launch_rows<threads>(layer_norm_forward_kernel_registers<T, threads, packs>, p, "layer_norm_forward_kernel_registers", stream)
  if constexpr (kForwardColumns<T> != 0) {
    if (p.cols % kOctet == 0 && p.cols <= kForwardColumns<T> &&
        all_aligned(p.x, p.y, p.weight.data, p.bias.data)) {
      if (p.cols <= 32 * kOctet) return GRADUS_ROWS(32, 1);
      if (p.cols <= 64 * kOctet) return GRADUS_ROWS(32, 2);
      if (p.cols <= 128 * kOctet) return GRADUS_ROWS(32, 4);
      if (p.cols <= 256 * kOctet) return GRADUS_ROWS(256, 1);
      if (p.cols <= 512 * kOctet) return GRADUS_ROWS(256, 2);
      if (p.cols <= 1024 * kOctet) return GRADUS_ROWS(256, 4);
      return GRADUS_ROWS(512, 4);
    }
  }
#undef GRADUS_ROWS
  const char* name = "layer_norm_forward_kernel_streaming";
  if (p.cols <= 1024) return launch_rows<32>(layer_norm_forward_kernel_streaming<T, 32>, p, name, stream);
  return launch_rows<256>(layer_norm_forward_kernel_streaming<T, 256>, p, name, stream);
}

// Calls f(std::integral_constant<int, threads of a row>).
template <class F>
auto with_row_threads(int64_t cols, F&& f) {
  if (cols <= 32 * kOctet) return f(std::integral_constant<int, 32>{});
  if (cols <= 128 * kOctet) return f(std::integral_constant<int, 128>{});
  if (cols <= 256 * kOctet) return f(std::integral_constant<int, 256>{});
  return f(std::integral_constant<int, 512>{});
}

template <class T, int Threads>
int64_t backward_blocks(int64_t rows) {
  return std::min(kBackwardBlocks<T, Threads>, divide_up(rows, kBackwardBlockOf<Threads> / Threads));
}

inline ColumnTiles weight_tiles(int64_t rows, int64_t cols) {
  return split_for_reduction(column_tiles(1, rows, cols, 1, LastLine::ragged), 4);
}

template <class T>
int64_t backward_scratch(int64_t rows, int64_t cols) {
  int64_t entries = weight_tiles(rows, cols).entries();
  if (cols <= kBackwardColumns<T>) {
    entries = with_row_threads(
        cols, [&](auto threads) { return std::max(entries, backward_blocks<T, decltype(threads)::value>(rows)); });
  }
  Scratch scratch;
  scratch.take<accumulator_t<T>>(entries * cols);
  scratch.take<accumulator_t<T>>(entries * cols);
  return scratch.bytes();
}

template <class T>
int launch_backward(RowBackward<T> p, WeightsOut grad_weight, WeightsOut grad_bias, int64_t scratch, int64_t stream) {
  using A = accumulator_t<T>;
  bool aligned = all_aligned(p.grad_y, p.x, p.grad_x);
  bool sums = grad_weight.data != nullptr || grad_bias.data != nullptr;
  int64_t entries = 0;
  Scratch parts(scratch);
  int status = GR_OK;
  auto take = [&](int64_t count) {
    entries = count;
    p.partial_bias = sums ? parts.take<A>(count * p.cols) : nullptr;
    p.partial_weight = sums ? parts.take<A>(count * p.cols) : nullptr;
  };
  if (p.rows == 0) {
    // nothing but zeros for the weights' gradients
  } else if (p.cols % kOctet == 0 && p.cols <= kBackwardColumns<T> && aligned && all_aligned(p.weight.data)) {
    if constexpr (kBackwardColumns<T> != 0) {
      status = with_row_threads(p.cols, [&](auto threads) {
        constexpr int kThreads = decltype(threads)::value;
        take(backward_blocks<T, kThreads>(p.rows));
        LaunchConfig config(unsigned(entries), kBackwardBlockOf<kThreads>);
        config.stream(stream_of(stream));
        if constexpr (kThreads == 512) {
          if (p.cols > kThreads * kOctet) {
            return finish(GRADUS_LAUNCH((layer_norm_backward_kernel_registers<T, kThreads, 2>), config, p));
          }
        }
        return finish(GRADUS_LAUNCH((layer_norm_backward_kernel_registers<T, kThreads, 1>), config, p));
      });
    }
  } else {
    if (p.grad_x != nullptr) {
      const char* name = "layer_norm_gradient_kernel_streaming";
      status = p.cols <= 1024 ? launch_rows<32>(layer_norm_gradient_kernel_streaming<T, 32>, p, name, stream)
                              : launch_rows<256>(layer_norm_gradient_kernel_streaming<T, 256>, p, name, stream);
      if (status != GR_OK) return status;
    }
    if (sums) {
      ColumnTiles t = weight_tiles(p.rows, p.cols);
      take(t.entries());
      status = with_alignment(aligned, [&](auto fast) {
        return finish(GRADUS_LAUNCH((layer_norm_weight_kernel<T, decltype(fast)::value>),
                                    LaunchConfig(unsigned(t.blocks()), kColumnThreads).stream(stream_of(stream)), p, t));
      });
    }
  }
  if (status != GR_OK || !sums) return status;
  return launch_totals<T>({p.partial_bias, p.partial_weight, nullptr, nullptr, grad_bias, grad_weight, 1, entries, p.cols},
                          stream);
}

int forward(int64_t x, int64_t weight, int64_t bias, int64_t y, int64_t mean, int64_t inv_std, int64_t rows, int64_t cols,
            double eps, int32_t dtype, int32_t weight_dtype, int32_t bias_dtype, int64_t stream) {
  if (rows == 0 || cols == 0) return GR_OK;
  return with_floating(dtype, [&](auto type) {
    using T = typename decltype(type)::type;
    using A = accumulator_t<T>;
    RowForward<T> p{};
    p.x = pointer<const T>(x);
    p.y = pointer<T>(y);
    p.mean = pointer<A>(mean);
    p.inv_std = pointer<A>(inv_std);
    p.rows = rows;
    p.cols = cols;
    p.per_col = A(1.0 / double(cols));
    p.eps = A(eps);
    if (!typed<T>(weight, weight_dtype, p.weight) || !typed<T>(bias, bias_dtype, p.bias)) return int(GR_UNSUPPORTED);
    return launch_forward<T>(p, stream);
  });
}

int backward(const char* name, int64_t grad_y, int64_t x, int64_t mean, int64_t inv_std, int64_t weight, int64_t grad_x,
             int64_t grad_weight, int64_t grad_bias, int64_t scratch, int64_t scratch_bytes, int64_t rows, int64_t cols,
             int32_t dtype, int32_t weight_dtype, int32_t bias_dtype, int64_t stream) {
  if (cols == 0) return GR_OK;
  if (cols > kMostChannels) return GR_UNSUPPORTED;
  return with_floating(dtype, [&](auto type) {
    using T = typename decltype(type)::type;
    using A = accumulator_t<T>;
    int64_t needed = backward_scratch<T>(rows, cols);
    if (scratch_bytes < needed) return too_little_scratch(name, needed, scratch_bytes);
    RowBackward<T> p{};
    p.grad_y = pointer<const T>(grad_y);
    p.x = pointer<const T>(x);
    p.mean = pointer<const A>(mean);
    p.inv_std = pointer<const A>(inv_std);
    p.grad_x = pointer<T>(grad_x);
    p.rows = rows;
    p.cols = cols;
    p.per_col = A(1.0 / double(cols));
    WeightsOut out_weight{}, out_bias{};
    if (!typed<T>(weight, weight_dtype, p.weight) || !typed<T>(grad_weight, weight_dtype, out_weight) ||
        !typed<T>(grad_bias, bias_dtype, out_bias)) {
      return int(GR_UNSUPPORTED);
    }
    return launch_backward<T>(p, out_weight, out_bias, scratch, stream);
  });
}

int64_t scratch_of(int64_t rows, int64_t cols, int32_t dtype) {
  int64_t bytes = 0;
  if (cols != 0)
    with_floating(dtype, [&](auto type) { return bytes = backward_scratch<typename decltype(type)::type>(rows, cols), GR_OK; });
  return bytes;
}

}  // namespace
}  // namespace gradus

using namespace gradus;

extern "C" int gr_layer_norm_forward(int64_t x, int64_t weight, int64_t bias, int64_t y, int64_t mean, int64_t inv_std,
                                     int64_t rows, int64_t cols, double eps, int32_t dtype, int32_t weight_dtype,
                                     int32_t bias_dtype, int64_t stream) {
  return forward(x, weight, bias, y, mean, inv_std, rows, cols, eps, dtype, weight_dtype, bias_dtype, stream);
}

extern "C" int gr_layer_norm_backward(int64_t grad_y, int64_t x, int64_t mean, int64_t inv_std, int64_t weight, int64_t grad_x,
                                      int64_t grad_weight, int64_t grad_bias, int64_t scratch, int64_t scratch_bytes,
                                      int64_t rows, int64_t cols, int32_t dtype, int32_t weight_dtype, int32_t bias_dtype,
                                      int64_t stream) {
  return backward("layerNorm", grad_y, x, mean, inv_std, weight, grad_x, grad_weight, grad_bias, scratch, scratch_bytes, rows,
                  cols, dtype, weight_dtype, bias_dtype, stream);
}

extern "C" int gr_rms_norm_forward(int64_t x, int64_t weight, int64_t y, int64_t inv_rms, int64_t rows, int64_t cols, double eps,
                                   int32_t dtype, int32_t weight_dtype, int64_t stream) {
  return forward(x, weight, 0, y, 0, inv_rms, rows, cols, eps, dtype, weight_dtype, dtype, stream);
}

extern "C" int gr_rms_norm_backward(int64_t grad_y, int64_t x, int64_t inv_rms, int64_t weight, int64_t grad_x,
                                    int64_t grad_weight, int64_t scratch, int64_t scratch_bytes, int64_t rows, int64_t cols,
                                    int32_t dtype, int32_t weight_dtype, int64_t stream) {
  return backward("rmsNorm", grad_y, x, 0, inv_rms, weight, grad_x, grad_weight, 0, scratch, scratch_bytes, rows, cols, dtype,
                  weight_dtype, dtype, stream);
}

extern "C" int64_t gr_layer_norm_backward_scratch(int64_t rows, int64_t cols, int32_t dtype, int64_t) {
  return scratch_of(rows, cols, dtype);
}

extern "C" int64_t gr_rms_norm_backward_scratch(int64_t rows, int64_t cols, int32_t dtype, int64_t) {
  return scratch_of(rows, cols, dtype);
}
