// Pooling over NHWC images. A thread has 16 bytes of channels of one pixel: of an output pixel in the forward passes, of an input
// pixel in the backward passes, which gather from the windows that hold it, so that nothing is added from two sides and every sum
// has the order of outputs. Windows that overlap meet in the caches: memory is read once and written once.
//
// Where windows are large and few (global pooling), a block shares each of them: rows of threads take every so many pixels, and
// a tree in shared memory combines them.
//
// Sums are formed in float32 (float64 for float64) and rounded once.
#include "gradus/pool.h"

#include "device/block.h"
#include "device/math.h"
#include "device/vector.h"
#include "device/wide_divide.h"
#include "kernels/launcher.h"

namespace gradus {
namespace {

constexpr int kThreads = 256;
constexpr int kBlocksPerSm = 3;  // leaves 80 registers, so that none is spilled
// A block shares a window where the window has so many pixels and there is less than a GPU full of threads without that.
constexpr int64_t kLargeWindow = 32;
constexpr int64_t kFewThreads = 1 << 18;

// The windows along one axis. Which division is needed differs: forward, adaptive: by the windows; backward: by the stride, or
// adaptive: by the size.
struct Axis {
  int size, windows, kernel, stride, pad;
  WideDivide by_windows, by_backward;

  GRADUS_DEVICE int start(int i) const {
    if (stride == 0) return int(by_windows.quotient(int64_t(i) * size));
    int64_t first = int64_t(i) * stride - pad;
    return first < 0 ? 0 : int(first);
  }
  GRADUS_DEVICE int end(int i) const {
    if (stride == 0) return int(by_windows.quotient(int64_t(i + 1) * size + windows - 1));
    int64_t last = int64_t(i) * stride - pad + kernel;
    return last > size ? size : int(last);
  }
  // The windows [first, last) that hold a position.
  GRADUS_DEVICE int first_window(int position) const {
    if (stride == 0) return int(by_backward.quotient(int64_t(position) * windows));
    int64_t before = int64_t(position) + pad - kernel;  // a window that starts here ends too early
    return before < 0 ? 0 : int(by_backward.quotient(before)) + 1;
  }
  GRADUS_DEVICE int last_window(int position) const {
    if (stride == 0) return int(by_backward.quotient((int64_t(position) + 1) * windows + size - 1));
    int64_t last = by_backward.quotient(int64_t(position) + pad) + 1;
    return last > windows ? windows : int(last);
  }
};

struct Windows {
  Axis rows, columns;
  int packs;           // packs of channels
  bool count_padding;  // as pixels, in averages

  // Rows and columns of a window in an average; their product is its divisor.
  GRADUS_DEVICE int tall(int i) const { return count_padding ? rows.kernel : rows.end(i) - rows.start(i); }
  GRADUS_DEVICE int wide(int j) const { return count_padding ? columns.kernel : columns.end(j) - columns.start(j); }
};

// Positions in an array [images, rows, columns, packs].
struct Place {
  int64_t image, row, column, pack;
};
struct Places {
  WideDivide rows, columns, packs;
  GRADUS_DEVICE Place at(int64_t index) const {
    Place p;
    int64_t pixel = packs.quotient(index, p.pack);
    p.image = rows.quotient(columns.quotient(pixel, p.column), p.row);
    return p;
  }
};

// The running maximum of one channel and where it stands: it starts as minus infinity at the window's first pixel, or at -1 where
// there is no pixel.
template <class A>
struct Maximum {
  A value;
  int at;
  GRADUS_DEVICE static Maximum start(int first) { return {A(-INFINITY), first}; }
  GRADUS_DEVICE void take(A other, int position) {
    if (!(other <= value) && !isnan(value)) {  // greater, or the first NaN
      value = other;
      at = position;
    }
  }
  // What was found elsewhere in the window.
  GRADUS_DEVICE void merge(const Maximum& other) {
    if (other.at < 0) return;
    bool nan = isnan(value), other_nan = isnan(other.value);
    bool better = at < 0 || (other_nan && !nan) || other.value > value;
    bool equal = other.value == value || (nan && other_nan);
    if (better || (equal && other.at < at)) *this = other;
  }
};

template <class A>
struct Sum {
  A value;
  GRADUS_DEVICE static Sum start(int) { return {A(0)}; }
  GRADUS_DEVICE void take(A other, int) { value += other; }
  GRADUS_DEVICE void merge(const Sum& other) { value += other.value; }
};

// Positions come 16 bytes at a time as well.
template <int N>
GRADUS_DEVICE void store_positions(int32_t* p, const int (&at)[N]) {
  constexpr int kWords = N < 4 ? N : 4;
  GRADUS_UNROLL
  for (int k = 0; k < N; k += kWords) {
    Pack<int32_t, kWords> pack;
    GRADUS_UNROLL
    for (int i = 0; i < kWords; i++) pack.value[i] = at[k + i];
    store_pack(p + k, pack);
  }
}
template <int N>
GRADUS_DEVICE void load_positions(const int32_t* p, int (&at)[N]) {
  constexpr int kWords = N < 4 ? N : 4;
  GRADUS_UNROLL
  for (int k = 0; k < N; k += kWords) {
    Pack<int32_t, kWords> pack = load_pack<int32_t, kWords>(p + k);
    GRADUS_UNROLL
    for (int i = 0; i < kWords; i++) at[k + i] = pack.value[i];
  }
}

// What a window gives: its maxima with their positions, or its averages.
template <class T, int N, class A>
GRADUS_DEVICE void finish_window(const Maximum<A> (&best)[N], const Windows&, int, int, T* y, int32_t* index) {
  Pack<T, N> out;
  int at[N];
  GRADUS_UNROLL
  for (int k = 0; k < N; k++) {
    out.value[k] = from_accumulator<T>(best[k].value);
    at[k] = best[k].at;
  }
  store_pack(y, out);
  if (index != nullptr) store_positions(index, at);
}
template <class T, int N, class A>
GRADUS_DEVICE void finish_window(const Sum<A> (&sum)[N], const Windows& shape, int i, int j, T* y, int32_t*) {
  Pack<T, N> out;
  A divisor = A(shape.tall(i) * shape.wide(j));
  GRADUS_UNROLL
  for (int k = 0; k < N; k++) out.value[k] = from_accumulator<T>(sum[k].value / divisor);
  store_pack(y, out);
}

template <class State, int N, class T>
__global__ void __launch_bounds__(kThreads, kBlocksPerSm)
    pool_forward_kernel(const T* __restrict__ x, T* __restrict__ y, int32_t* __restrict__ index, Windows shape, Places places,
                        int64_t total) {
  using A = accumulator_t<T>;
  int64_t threads = int64_t(gridDim.x) * kThreads;
  for (int64_t o = int64_t(blockIdx.x) * kThreads + threadIdx.x; o < total; o += threads) {
    Place p = places.at(o);
    int i = int(p.row), j = int(p.column);
    int row0 = shape.rows.start(i), row1 = shape.rows.end(i);
    int column0 = shape.columns.start(j), column1 = shape.columns.end(j);
    int width = shape.columns.size;
    const T* image = x + (p.image * shape.rows.size * width * shape.packs + p.pack) * N;
    int64_t pitch = int64_t(shape.packs) * N;
    State state[N];
    GRADUS_UNROLL
    for (int k = 0; k < N; k++) state[k] = State::start(row0 * width + column0);
    for (int row = row0; row < row1; row++) {
      for (int column = column0; column < column1; column++) {
        int position = row * width + column;
        Pack<T, N> pixel = load_pack<T, N>(image + position * pitch);
        GRADUS_UNROLL
        for (int k = 0; k < N; k++) state[k].take(A(to_float(pixel.value[k])), position);
      }
    }
    finish_window(state, shape, i, j, y + o * N, index == nullptr ? nullptr : index + o * N);
  }
}

// A block takes `lanes` packs (a power of two) of one window at a time; its rows of threads share the window's pixels.
template <class State, int N, class T>
__global__ void __launch_bounds__(kThreads)
    pool_forward_kernel_block_per_window(const T* __restrict__ x, T* __restrict__ y, int32_t* __restrict__ index, Windows shape,
                                         Places places, int lanes, int64_t units) {
  using A = accumulator_t<T>;
  GRADUS_SHARED(State, shared, [kThreads][N]);
  int thread = int(threadIdx.x), lane = thread % lanes, row = thread / lanes, rows = kThreads / lanes;
  for (int64_t unit = blockIdx.x; unit < units; unit += gridDim.x) {
    Place p = places.at(unit);
    int i = int(p.row), j = int(p.column), pack = int(p.pack) * lanes + lane;
    int row0 = shape.rows.start(i), column0 = shape.columns.start(j);
    int columns = shape.columns.end(j) - column0, pixels = (shape.rows.end(i) - row0) * columns;
    int width = shape.columns.size;
    const T* image = x + (p.image * shape.rows.size * width * shape.packs + pack) * N;
    int64_t pitch = int64_t(shape.packs) * N;
    auto position_of = [&](int tap) { return (row0 + tap / columns) * width + column0 + tap % columns; };
    bool works = pack < shape.packs && row < pixels;
    State state[N];
    GRADUS_UNROLL
    for (int k = 0; k < N; k++) state[k] = State::start(works ? position_of(row) : -1);
    if (works) {
      for (int tap = row; tap < pixels; tap += rows) {
        int position = position_of(tap);
        Pack<T, N> pixel = load_pack<T, N>(image + position * pitch);
        GRADUS_UNROLL
        for (int k = 0; k < N; k++) state[k].take(A(to_float(pixel.value[k])), position);
      }
    }
    GRADUS_UNROLL
    for (int k = 0; k < N; k++) shared[thread][k] = state[k];
    __syncthreads();  // every row's part is there before the tree reads it
    for (int distance = rows / 2; distance > 0; distance /= 2) {
      if (row < distance) {
        GRADUS_UNROLL
        for (int k = 0; k < N; k++) {
          state[k].merge(shared[thread + distance * lanes][k]);
          shared[thread][k] = state[k];
        }
      }
      __syncthreads();  // this level is written before the next reads it; and all read before the next window overwrites
    }
    if (row == 0 && pack < shape.packs) {
      int64_t o = ((p.image * shape.rows.windows + p.row) * shape.columns.windows + p.column) * shape.packs + pack;
      finish_window(state, shape, i, j, y + o * N, index == nullptr ? nullptr : index + o * N);
    }
  }
}

template <int N, class T>
__global__ void __launch_bounds__(kThreads, kBlocksPerSm)
    max_pool_backward_kernel(const T* __restrict__ grad_y, const int32_t* __restrict__ index, T* __restrict__ grad_x,
                             Windows shape, Places places, int64_t total) {
  using A = accumulator_t<T>;
  int64_t threads = int64_t(gridDim.x) * kThreads;
  for (int64_t e = int64_t(blockIdx.x) * kThreads + threadIdx.x; e < total; e += threads) {
    Place p = places.at(e);
    int row = int(p.row), column = int(p.column);
    int own = row * shape.columns.size + column;
    int i1 = shape.rows.last_window(row);
    int j0 = shape.columns.first_window(column), j1 = shape.columns.last_window(column);
    A sum[N] = {};
    for (int i = shape.rows.first_window(row); i < i1; i++) {
      for (int j = j0; j < j1; j++) {
        int64_t o = (((p.image * shape.rows.windows + i) * shape.columns.windows + j) * shape.packs + p.pack) * N;
        int at[N];
        load_positions(index + o, at);
        Pack<T, N> g = load_pack<T, N>(grad_y + o);
        GRADUS_UNROLL
        for (int k = 0; k < N; k++) {
          if (at[k] == own) sum[k] += A(to_float(g.value[k]));
        }
      }
    }
    Pack<T, N> out;
    GRADUS_UNROLL
    for (int k = 0; k < N; k++) out.value[k] = from_accumulator<T>(sum[k]);
    store_pack(grad_x + e * N, out);
  }
}

template <int N, class T>
__global__ void __launch_bounds__(kThreads, kBlocksPerSm - 1)  // divisions of two axes live at once: on sm_100 they spilled
    avg_pool_backward_kernel(const T* __restrict__ grad_y, T* __restrict__ grad_x, Windows shape, Places places, int64_t total) {
  using A = accumulator_t<T>;
  int64_t threads = int64_t(gridDim.x) * kThreads;
  for (int64_t e = int64_t(blockIdx.x) * kThreads + threadIdx.x; e < total; e += threads) {
    Place p = places.at(e);
    int row = int(p.row), column = int(p.column);
    int i1 = shape.rows.last_window(row);
    int j0 = shape.columns.first_window(column), j1 = shape.columns.last_window(column);
    A sum[N] = {};
    for (int i = shape.rows.first_window(row); i < i1; i++) {
      int tall = shape.tall(i);
      for (int j = j0; j < j1; j++) {
        int64_t o = (((p.image * shape.rows.windows + i) * shape.columns.windows + j) * shape.packs + p.pack) * N;
        A share = A(1) / A(tall * shape.wide(j));  // once for all channels
        Pack<T, N> g = load_pack<T, N>(grad_y + o);
        GRADUS_UNROLL
        for (int k = 0; k < N; k++) sum[k] += A(to_float(g.value[k])) * share;
      }
    }
    Pack<T, N> out;
    GRADUS_UNROLL
    for (int k = 0; k < N; k++) out.value[k] = from_accumulator<T>(sum[k]);
    store_pack(grad_x + e * N, out);
  }
}

Axis axis_of(int64_t size, int64_t windows, int64_t kernel, int64_t stride, int64_t pad) {
  WideDivide by_backward(stride == 0 ? size : stride);
  return {int(size), int(windows), int(kernel), int(stride), int(pad), WideDivide(windows), by_backward};
}

Windows windows_of(const gr_pool_shape& s, int lanes, bool count_padding = false) {
  return {axis_of(s.h, s.oh, s.kh, s.stride_h, s.pad_h), axis_of(s.w, s.ow, s.kw, s.stride_w, s.pad_w), int(s.c / lanes),
          count_padding && s.stride_h != 0};
}

// Whether positions fit INT32 and no index is too large to be divided; no device's memory holds more.
bool is_served(const gr_pool_shape& s) {
  constexpr int64_t kLimit = 1 << 20;
  int64_t pixels = s.n * std::max(s.h * s.w, s.oh * s.ow);
  return s.h * s.w < INT32_MAX && s.oh * s.ow < INT32_MAX && s.kh * s.kw < INT32_MAX &&
         std::max({s.h, s.w, s.oh, s.ow, s.kh, s.kw, s.stride_h, s.stride_w, s.pad_h, s.pad_w}) <= kLimit &&
         s.c < INT32_MAX && WideDivide(s.c).serves(pixels * s.c) && WideDivide(kLimit).serves(pixels);
}

// Calls f with the elements of a pack as a constant: 16 bytes where channels and addresses allow.
template <class T, class F>
int with_packs(const gr_pool_shape& shape, std::initializer_list<int64_t> addresses, F&& f) {
  bool aligned = shape.c % kPackSize<T> == 0;
  for (int64_t address : addresses) aligned = aligned && address % 16 == 0;
  if (aligned) return f(std::integral_constant<int, kPackSize<T>>{});
  return f(std::integral_constant<int, 1>{});
}

template <template <class> class State>
int pool_forward(int64_t x, int64_t y, int64_t index, const gr_pool_shape& shape, bool count_padding, int32_t dtype,
                 int64_t stream) {
  int64_t outputs = shape.n * shape.oh * shape.ow;
  return with_floating(dtype, [&](auto type) {
    using T = typename decltype(type)::type;
    if (outputs * shape.c == 0) return int(GR_OK);
    if (!is_served(shape)) return int(GR_UNSUPPORTED);
    return with_packs<T>(shape, {x, y, index}, [&](auto width) {
      constexpr int N = decltype(width)::value;
      using S = State<accumulator_t<T>>;
      Windows windows = windows_of(shape, N, count_padding);
      int64_t total = outputs * windows.packs;
      if (shape.kh * shape.kw >= kLargeWindow && total < kFewThreads) {
        int lanes = 1;
        while (lanes < 32 && lanes < windows.packs) lanes *= 2;
        int64_t groups = divide_up(windows.packs, lanes), units = outputs * groups;
        Places places{WideDivide(shape.oh), WideDivide(shape.ow), WideDivide(groups)};
        return finish(GRADUS_LAUNCH((pool_forward_kernel_block_per_window<S, N, T>),
                                    LaunchConfig(blocks_for(units, 1), kThreads).stream(stream_of(stream)), pointer<const T>(x),
                                    pointer<T>(y), pointer<int32_t>(index), windows, places, lanes, units));
      }
      Places places{WideDivide(shape.oh), WideDivide(shape.ow), WideDivide(windows.packs)};
      return finish(GRADUS_LAUNCH((pool_forward_kernel<S, N, T>),
                                  LaunchConfig(blocks_for(total, kThreads), kThreads).stream(stream_of(stream)),
                                  pointer<const T>(x), pointer<T>(y), pointer<int32_t>(index), windows, places, total));
    });
  });
}

}  // namespace
}  // namespace gradus

using namespace gradus;

extern "C" int gr_max_pool2d_forward(int64_t x, int64_t y, int64_t index, int64_t shape, int32_t dtype, int64_t stream) {
  return pool_forward<Maximum>(x, y, index, *pointer<const gr_pool_shape>(shape), false, dtype, stream);
}

extern "C" int gr_avg_pool2d_forward(int64_t x, int64_t y, int64_t shape, int32_t count_padding, int32_t dtype, int64_t stream) {
  return pool_forward<Sum>(x, y, 0, *pointer<const gr_pool_shape>(shape), count_padding != 0, dtype, stream);
}

extern "C" int gr_max_pool2d_backward(int64_t grad_y, int64_t index, int64_t grad_x, int64_t shape, int32_t dtype,
                                      int64_t stream) {
  const auto& s = *pointer<const gr_pool_shape>(shape);
  return with_floating(dtype, [&](auto type) {
    using T = typename decltype(type)::type;
    if (s.n * s.h * s.w * s.c == 0) return int(GR_OK);
    if (!is_served(s)) return int(GR_UNSUPPORTED);
    return with_packs<T>(s, {grad_y, index, grad_x}, [&](auto width) {
      constexpr int N = decltype(width)::value;
      int64_t total = s.n * s.h * s.w * (s.c / N);
      Places places{WideDivide(s.h), WideDivide(s.w), WideDivide(s.c / N)};
      return finish(GRADUS_LAUNCH((max_pool_backward_kernel<N, T>),
                                  LaunchConfig(blocks_for(total, kThreads), kThreads).stream(stream_of(stream)),
                                  pointer<const T>(grad_y), pointer<const int32_t>(index), pointer<T>(grad_x), windows_of(s, N),
                                  places, total));
    });
  });
}

extern "C" int gr_avg_pool2d_backward(int64_t grad_y, int64_t grad_x, int64_t shape, int32_t count_padding, int32_t dtype,
                                      int64_t stream) {
  const auto& s = *pointer<const gr_pool_shape>(shape);
  return with_floating(dtype, [&](auto type) {
    using T = typename decltype(type)::type;
    if (s.n * s.h * s.w * s.c == 0) return int(GR_OK);
    if (!is_served(s)) return int(GR_UNSUPPORTED);
    return with_packs<T>(s, {grad_y, grad_x}, [&](auto width) {
      constexpr int N = decltype(width)::value;
      int64_t total = s.n * s.h * s.w * (s.c / N);
      Places places{WideDivide(s.h), WideDivide(s.w), WideDivide(s.c / N)};
      return finish(GRADUS_LAUNCH((avg_pool_backward_kernel<N, T>),
                                  LaunchConfig(blocks_for(total, kThreads), kThreads).stream(stream_of(stream)),
                                  pointer<const T>(grad_y), pointer<T>(grad_x),
                                  windows_of(s, N, count_padding != 0), places, total));
    });
  });
}
