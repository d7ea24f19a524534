// Element-wise functions, comparisons and choices with broadcasting, strided copies, casts and fills.
//
// All of them are bound by memory: every operand is read once and every result written once, in 16-byte accesses wherever
// alignment allows, two of them in flight per thread. Functions of floats are compiled in one kernel each, so that a cheap one
// is not held down by the registers of a dear one; integers, binaries of float64 and irregular strides switch at run time, once
// per tile.
//
// Broadcasting: the host merges axes. Along the innermost axis that remains an operand is dense or repeats one element, as in all
// of same shapes, scalars, rows and columns: then packs are loaded or one element spread. Other strides go element by element in
// the order of the output, which is written in whole lines.
//
// A copy moves elements as wide as alignment and runs permit. One whose innermost axes differ on the two sides goes through tiles
// in shared memory, so that both sides see whole lines.
#include "gradus/elementwise.h"

#include "device/block.h"
#include "device/vector.h"
#include "kernels/elementwise_functions.h"
#include "kernels/layout.h"

namespace gradus {
namespace {

constexpr int kThreads = 256;
constexpr int kMinBlocks = 4;      // on a multiprocessor: allows 64 registers, where fewer were tried at the price of spills
constexpr int kAhead = 2;          // packs of a thread in flight
constexpr int kElementsAhead = 4;  // or elements, where there are no packs
// The functions of float64 need the registers of a second pack.
template <class T>
constexpr int kUnaryAhead = sizeof(T) == 8 ? 1 : kAhead;

// Elements that a thread takes together: 16 bytes; of single bytes 4, whose arithmetic in 64 bits needs the registers.
template <class T>
constexpr int kWidth = sizeof(T) == 1 ? 4 : kPackSize<T>;

template <class F, class T>
constexpr bool kDefinedOn = kIsFloating<T> || F::on_integers;

// BOOL is computed with as a byte that becomes 0 or 1.
template <class T>
using storage_t = std::conditional_t<std::is_same_v<T, bool>, Bool, T>;

// The launch for so many items, of which each thread does some at a time. Where a block has less than one for each thread, the
// warps without any are left out: all kernels here step by kThreads, whatever the block's size.
LaunchConfig launch_for(int64_t items, int ahead, int64_t stream) {
  auto threads = int(std::min<int64_t>(divide_up(std::max<int64_t>(items, 1), 32) * 32, kThreads));
  return LaunchConfig(blocks_for(items, kThreads * ahead), threads).stream(stream_of(stream));
}

// A run of n elements cut into packs and what is left over.
struct Run {
  int64_t packs, n;
  int ahead;

  Run(int64_t n, int width, bool aligned, int ahead = kAhead)
      : packs(aligned ? n / width : 0), n(n), ahead(packs > 0 ? ahead : kElementsAhead) {}

  LaunchConfig launch(int64_t stream) const { return launch_for(packs > 0 ? packs : n, ahead, stream); }
};

// A pack in accesses of at most 16 bytes.
template <int N, class T>
GRADUS_DEVICE void load_values(const T* p, T (&value)[N]) {
  constexpr int kPart = N < kPackSize<T> ? N : kPackSize<T>;
  GRADUS_UNROLL
  for (int i = 0; i < N; i += kPart) {
    Pack<T, kPart> part = load_pack<T, kPart>(p + i);
    GRADUS_UNROLL
    for (int j = 0; j < kPart; j++) value[i + j] = part.value[j];
  }
}
template <int N, class T>
GRADUS_DEVICE void store_values(T* p, const T (&value)[N]) {
  constexpr int kPart = N < kPackSize<T> ? N : kPackSize<T>;
  GRADUS_UNROLL
  for (int i = 0; i < N; i += kPart) {
    Pack<T, kPart> part;
    GRADUS_UNROLL
    for (int j = 0; j < kPart; j++) part.value[j] = value[i + j];
    store_pack<T, kPart>(p + i, part);
  }
}
// The same where one element may stand for all of the pack.
template <int N, class T>
GRADUS_DEVICE void load_operand(const T* p, bool dense, T (&value)[N]) {
  if (dense) {
    load_values(p, value);
  } else {
    T repeated = *p;
    GRADUS_UNROLL
    for (int i = 0; i < N; i++) value[i] = repeated;
  }
}

// y may be x: a thread reads its elements before it writes them.
template <class T, class Choice>
__global__ void __launch_bounds__(kThreads, kMinBlocks)
    unary_kernel(Choice with_function, const T* x, T* y, int64_t n, int64_t packs) {
  constexpr int N = kWidth<T>;
  constexpr int kTile = kThreads * kUnaryAhead<T>;
  for (int64_t first = int64_t(blockIdx.x) * kTile + threadIdx.x; first < packs; first += int64_t(gridDim.x) * kTile) {
    T value[kUnaryAhead<T>][N];
    GRADUS_UNROLL
    for (int u = 0; u < kUnaryAhead<T>; u++) {
      int64_t i = first + u * kThreads;
      if (i < packs) load_values(x + i * N, value[u]);
    }
    GRADUS_UNROLL
    for (int u = 0; u < kUnaryAhead<T>; u++) {
      int64_t i = first + u * kThreads;
      if (i >= packs) break;
      with_function([&](auto f) {
        if constexpr (kDefinedOn<decltype(f), T>) {
          GRADUS_UNROLL
          for (int j = 0; j < N; j++) value[u][j] = convert<T>(f(widen(value[u][j])));
        }
      });
      store_values(y + i * N, value[u]);
    }
  }
  for (int64_t i = packs * N + int64_t(blockIdx.x) * kThreads + threadIdx.x; i < n; i += int64_t(gridDim.x) * kThreads) {
    with_function([&](auto f) {
      if constexpr (kDefinedOn<decltype(f), T>) y[i] = convert<T>(f(widen(x[i])));
    });
  }
}

// rest: elements of a single axis after the packs.
template <class T, class Out, class Choice>
__global__ void __launch_bounds__(kThreads)
    binary_packed_kernel(Choice with_function, const T* a, const T* b, Out* out, Axes<2> axes, int packs, int rest) {
  constexpr int N = kWidth<T>;
  constexpr int kTile = kThreads * kAhead;
  bool dense_a = axes.stride[0][0] != 0, dense_b = axes.stride[1][0] != 0;
  for (int first = int(blockIdx.x) * kTile + int(threadIdx.x); first < packs; first += int(gridDim.x) * kTile) {
    T left[kAhead][N], right[kAhead][N];
    GRADUS_UNROLL
    for (int u = 0; u < kAhead; u++) {
      int i = first + u * kThreads;
      if (i >= packs) break;
      int64_t offset[2];
      axes.locate(i, offset);
      load_operand(a + offset[0], dense_a, left[u]);
      load_operand(b + offset[1], dense_b, right[u]);
    }
    GRADUS_UNROLL
    for (int u = 0; u < kAhead; u++) {
      int i = first + u * kThreads;
      if (i >= packs) break;
      Out value[N] = {};
      with_function([&](auto f) {
        GRADUS_UNROLL
        for (int j = 0; j < N; j++) value[j] = convert<Out>(f(widen(left[u][j]), widen(right[u][j])));
      });
      store_values(out + int64_t(i) * N, value);
    }
  }
  if (blockIdx.x == 0 && int(threadIdx.x) < rest) {
    int64_t i = int64_t(packs) * N + threadIdx.x;
    with_function([&](auto f) { out[i] = convert<Out>(f(widen(a[dense_a ? i : 0]), widen(b[dense_b ? i : 0]))); });
  }
}

template <class T, class Out, class Choice>
__global__ void __launch_bounds__(kThreads)
    binary_strided_kernel(Choice with_function, const T* a, const T* b, Out* out, Axes<2> axes, int n) {
  constexpr int kTile = kThreads * kElementsAhead;
  for (int first = int(blockIdx.x) * kTile + int(threadIdx.x); first < n; first += int(gridDim.x) * kTile) {
    T left[kElementsAhead], right[kElementsAhead];
    GRADUS_UNROLL
    for (int u = 0; u < kElementsAhead; u++) {
      int i = first + u * kThreads;
      if (i >= n) break;
      int64_t offset[2];
      axes.locate(i, offset);
      left[u] = a[offset[0]];
      right[u] = b[offset[1]];
    }
    with_function([&](auto f) {
      GRADUS_UNROLL
      for (int u = 0; u < kElementsAhead; u++) {
        int i = first + u * kThreads;
        if (i < n) out[i] = convert<Out>(f(widen(left[u]), widen(right[u])));
      }
    });
  }
}

template <class T>
__global__ void __launch_bounds__(kThreads)
    where_packed_kernel(const uint8_t* condition, const T* a, const T* b, T* out, Axes<3> axes, int packs, int rest) {
  constexpr int N = kWidth<T>;
  constexpr int kTile = kThreads * kAhead;
  bool dense[3];
  GRADUS_UNROLL
  for (int k = 0; k < 3; k++) dense[k] = axes.stride[k][0] != 0;
  for (int first = int(blockIdx.x) * kTile + int(threadIdx.x); first < packs; first += int(gridDim.x) * kTile) {
    uint8_t chosen[kAhead][N];
    T left[kAhead][N], right[kAhead][N];
    GRADUS_UNROLL
    for (int u = 0; u < kAhead; u++) {
      int i = first + u * kThreads;
      if (i >= packs) break;
      int64_t offset[3];
      axes.locate(i, offset);
      load_operand(condition + offset[0], dense[0], chosen[u]);
      load_operand(a + offset[1], dense[1], left[u]);
      load_operand(b + offset[2], dense[2], right[u]);
    }
    GRADUS_UNROLL
    for (int u = 0; u < kAhead; u++) {
      int i = first + u * kThreads;
      if (i >= packs) break;
      GRADUS_UNROLL
      for (int j = 0; j < N; j++) left[u][j] = chosen[u][j] != 0 ? left[u][j] : right[u][j];
      store_values(out + int64_t(i) * N, left[u]);
    }
  }
  if (blockIdx.x == 0 && int(threadIdx.x) < rest) {
    int64_t i = int64_t(packs) * N + threadIdx.x;
    out[i] = condition[dense[0] ? i : 0] != 0 ? a[dense[1] ? i : 0] : b[dense[2] ? i : 0];
  }
}

template <class T>
__global__ void __launch_bounds__(kThreads)
    where_strided_kernel(const uint8_t* condition, const T* a, const T* b, T* out, Axes<3> axes, int n) {
  constexpr int kTile = kThreads * kElementsAhead;
  for (int first = int(blockIdx.x) * kTile + int(threadIdx.x); first < n; first += int(gridDim.x) * kTile) {
    T value[kElementsAhead];
    GRADUS_UNROLL
    for (int u = 0; u < kElementsAhead; u++) {
      int i = first + u * kThreads;
      if (i >= n) break;
      int64_t offset[3];
      axes.locate(i, offset);
      value[u] = condition[offset[0]] != 0 ? a[offset[1]] : b[offset[2]];
    }
    GRADUS_UNROLL
    for (int u = 0; u < kElementsAhead; u++) {
      int i = first + u * kThreads;
      if (i < n) out[i] = value[u];
    }
  }
}

template <class T>
__global__ void __launch_bounds__(kThreads) copy_dense_kernel(const T* __restrict__ src, T* __restrict__ dst, int64_t n) {
  constexpr int kTile = kThreads * kElementsAhead;
  for (int64_t first = int64_t(blockIdx.x) * kTile + threadIdx.x; first < n; first += int64_t(gridDim.x) * kTile) {
    T value[kElementsAhead];
    GRADUS_UNROLL
    for (int u = 0; u < kElementsAhead; u++) {
      int64_t i = first + u * kThreads;
      if (i < n) value[u] = src[i];
    }
    GRADUS_UNROLL
    for (int u = 0; u < kElementsAhead; u++) {
      int64_t i = first + u * kThreads;
      if (i < n) dst[i] = value[u];
    }
  }
}

// In the order of the destination's memory. __restrict__: source and destination do not overlap.
template <class T>
__global__ void __launch_bounds__(kThreads)
    copy_strided_kernel(const T* __restrict__ src, T* __restrict__ dst, Axes<2> axes, int n) {
  constexpr int kTile = kThreads * kElementsAhead;
  for (int first = int(blockIdx.x) * kTile + int(threadIdx.x); first < n; first += int(gridDim.x) * kTile) {
    T value[kElementsAhead];
    int64_t to[kElementsAhead];
    GRADUS_UNROLL
    for (int u = 0; u < kElementsAhead; u++) {
      int i = first + u * kThreads;
      if (i >= n) break;
      int64_t offset[2];
      axes.locate(i, offset);
      value[u] = src[offset[0]];
      to[u] = offset[1];
    }
    GRADUS_UNROLL
    for (int u = 0; u < kElementsAhead; u++) {
      if (first + u * kThreads < n) dst[to[u]] = value[u];
    }
  }
}

// A plane of two axes: `rows`, dense in the source, `cols`, dense in the destination. Further axes count planes.
struct Transposition {
  int rows, cols;
  int64_t src_stride, dst_stride;  // of cols in the source, of rows in the destination
  FastDivide tiles_rows, tiles_cols;
  Axes<2> planes;
};

// Edge of a tile: a warp reads and writes whole lines of 32 elements, or of 64 where elements are small.
template <class T>
constexpr int kTileEdge = sizeof(T) <= 2 ? 64 : 32;

template <class T>
__global__ void __launch_bounds__(kThreads)
    copy_transposed_kernel(const T* __restrict__ src, T* __restrict__ dst, Transposition t) {
  constexpr int kEdge = kTileEdge<T>;
  constexpr int kPadding = sizeof(T) < 4 ? 4 / int(sizeof(T)) : 1;  // by a bank, so that a column lies in different ones
  constexpr int kLines = kThreads / kEdge;
  GRADUS_SHARED(T, tile, [kEdge][kEdge + kPadding]);
  int row, col;
  int plane = t.tiles_cols.divide(t.tiles_rows.divide(int(blockIdx.x), row), col);
  row *= kEdge;
  col *= kEdge;
  int64_t offset[2];
  t.planes.locate(plane, offset);
  int lane = int(threadIdx.x) % kEdge, line = int(threadIdx.x) / kEdge;
  src += offset[0] + row + lane + (int64_t(col) + line) * t.src_stride;
  GRADUS_UNROLL
  for (int i = 0; i < kEdge; i += kLines) {
    if (row + lane < t.rows && col + line + i < t.cols) tile[line + i][lane] = src[i * t.src_stride];
  }
  __syncthreads();  // the tile is complete before its columns are read
  dst += offset[1] + col + lane + (int64_t(row) + line) * t.dst_stride;
  GRADUS_UNROLL
  for (int i = 0; i < kEdge; i += kLines) {
    if (col + lane < t.cols && row + line + i < t.rows) dst[i * t.dst_stride] = tile[lane][line + i];
  }
}

// Elements of a cast that a thread takes together: 16 bytes of the narrower type, at most 32 of the wider.
template <class S, class D>
constexpr int kCastWidth = std::min(32 / int(std::max(sizeof(S), sizeof(D))), 16 / int(std::min(sizeof(S), sizeof(D))));

template <class S, class D>
__global__ void __launch_bounds__(kThreads, kMinBlocks)
    cast_kernel(const S* __restrict__ src, D* __restrict__ dst, int64_t n, int64_t packs) {
  constexpr int N = kCastWidth<S, D>;
  constexpr int kTile = kThreads * kAhead;
  for (int64_t first = int64_t(blockIdx.x) * kTile + threadIdx.x; first < packs; first += int64_t(gridDim.x) * kTile) {
    S value[kAhead][N];
    GRADUS_UNROLL
    for (int u = 0; u < kAhead; u++) {
      int64_t i = first + u * kThreads;
      if (i < packs) load_values(src + i * N, value[u]);
    }
    GRADUS_UNROLL
    for (int u = 0; u < kAhead; u++) {
      int64_t i = first + u * kThreads;
      if (i >= packs) break;
      D result[N];
      GRADUS_UNROLL
      for (int j = 0; j < N; j++) result[j] = convert<D>(value[u][j]);
      store_values(dst + i * N, result);
    }
  }
  for (int64_t i = packs * N + int64_t(blockIdx.x) * kThreads + threadIdx.x; i < n; i += int64_t(gridDim.x) * kThreads) {
    dst[i] = convert<D>(src[i]);
  }
}

template <class T>
__global__ void __launch_bounds__(kThreads) fill_kernel(T* dst, double value, int64_t n, int64_t packs) {
  constexpr int N = kPackSize<T>;
  Pack<T, N> pack;
  GRADUS_UNROLL
  for (int j = 0; j < N; j++) pack.value[j] = convert<T>(value);
  int64_t thread = int64_t(blockIdx.x) * kThreads + threadIdx.x, threads = int64_t(gridDim.x) * kThreads;
  for (int64_t i = thread; i < packs; i += threads) store_pack<T, N>(dst + i * N, pack);
  for (int64_t i = packs * N + thread; i < n; i += threads) dst[i] = pack.value[0];
}

template <class T, class Choice>
int launch_unary(Choice choice, int64_t x, int64_t y, int64_t n, int64_t stream) {
  Run run(n, kWidth<T>, (x | y) % 16 == 0, kUnaryAhead<T>);
  return finish(GRADUS_LAUNCH((unary_kernel<T, Choice>), run.launch(stream), choice,
                              pointer<const T>(x), pointer<T>(y), n, run.packs));
}

// The layout of K dense or broadcast inputs and a dense output.
template <int K>
Layout<K + 1> layout_of(int64_t host, const int64_t (&inputs)[K], const int (&input_bytes)[K], int64_t out, int out_bytes) {
  const auto& given = *pointer<const gr_layout>(host);
  Layout<K + 1> layout;
  layout.rank = int(given.rank);
  int64_t dense = 1;
  for (int axis = layout.rank - 1; axis >= 0; axis--) {
    layout.shape[axis] = given.shape[axis];
    for (int k = 0; k < K; k++) layout.stride[k][axis] = given.strides[k][axis];
    layout.stride[K][axis] = dense;
    dense *= given.shape[axis];
  }
  for (int k = 0; k < K; k++) {
    layout.address[k] = inputs[k];
    layout.bytes[k] = input_bytes[k];
  }
  layout.address[K] = out;
  layout.bytes[K] = out_bytes;
  layout.collapse();
  return layout;
}

template <class T, class Out, class Packed, class Strided>
int launch_binary(Packed packed, Strided strided, int64_t a, int64_t b, int64_t out, int64_t layout, int64_t stream) {
  constexpr int N = kWidth<T>;
  auto whole = layout_of<2>(layout, {a, b}, {sizeof(T), sizeof(T)}, out, sizeof(Out));
  if (whole.elements() == 0) return GR_OK;
  return in_parts(whole, [&](const Layout<3>& part) {
    auto n = int(part.elements());
    auto from_a = pointer<const T>(part.address[0]), from_b = pointer<const T>(part.address[1]);
    auto to = pointer<Out>(part.address[2]);
    if (part.packs(N)) {
      return finish(GRADUS_LAUNCH((binary_packed_kernel<T, Out, Packed>), launch_for(n / N, kAhead, stream), packed, from_a,
                                  from_b, to, part.template axes<2>(N), n / N, n % N));
    }
    return finish(GRADUS_LAUNCH((binary_strided_kernel<T, Out, Strided>), launch_for(n, kElementsAhead, stream), strided, from_a,
                                from_b, to, part.template axes<2>(1), n));
  });
}

template <class T>
int launch_where(int64_t condition, int64_t a, int64_t b, int64_t out, int64_t layout, int64_t stream) {
  constexpr int N = kWidth<T>;
  auto whole = layout_of<3>(layout, {condition, a, b}, {1, sizeof(T), sizeof(T)}, out, sizeof(T));
  if (whole.elements() == 0) return GR_OK;
  return in_parts(whole, [&](const Layout<4>& part) {
    auto n = int(part.elements());
    auto chosen = pointer<const uint8_t>(part.address[0]);
    auto from_a = pointer<const T>(part.address[1]), from_b = pointer<const T>(part.address[2]);
    auto to = pointer<T>(part.address[3]);
    if (part.packs(N)) {
      return finish(GRADUS_LAUNCH(where_packed_kernel<T>, launch_for(n / N, kAhead, stream), chosen, from_a, from_b, to,
                                  part.template axes<3>(N), n / N, n % N));
    }
    return finish(GRADUS_LAUNCH(where_strided_kernel<T>, launch_for(n, kElementsAhead, stream), chosen, from_a, from_b, to,
                                part.template axes<3>(1), n));
  });
}

// Calls f with an unsigned type of so many bytes.
template <class F>
int with_bytes(int bytes, F f) {
  switch (bytes) {
    case 1: return f(Type<uint8_t>{});
    case 2: return f(Type<uint16_t>{});
    case 4: return f(Type<uint32_t>{});
    case 8: return f(Type<uint64_t>{});
    case 16: return f(Type<uint4>{});
    default: return GR_UNSUPPORTED;
  }
}

// Axes in the order of the destination's memory, merged.
void sort_by_destination(Layout<2>& layout) {
  int order[GR_MAX_RANK];
  for (int i = 0; i < layout.rank; i++) order[i] = i;
  std::stable_sort(order, order + layout.rank, [&](int i, int j) {
    return std::abs(layout.stride[1][i]) > std::abs(layout.stride[1][j]);
  });
  Layout<2> from = layout;
  layout.rank = 0;
  for (int i = 0; i < from.rank; i++) layout.append(from, order[i]);
  layout.collapse();
}

// Takes several elements for one where both sides are dense along the innermost axis and everything divides.
void widen_elements(Layout<2>& layout) {
  int inner = layout.rank - 1;
  if (layout.stride[0][inner] != 1 || layout.stride[1][inner] != 1) return;
  int bytes = layout.bytes[0];
  int factor = 16 / bytes;
  auto divides = [&] {
    if (layout.shape[inner] % factor != 0) return false;
    for (int k = 0; k < 2; k++) {
      if (layout.address[k] % (factor * bytes) != 0) return false;
      for (int axis = 0; axis < inner; axis++) {
        if (layout.stride[k][axis] % factor != 0) return false;
      }
    }
    return true;
  };
  while (factor > 1 && !divides()) factor /= 2;
  layout.shape[inner] /= factor;
  for (int k = 0; k < 2; k++) {
    layout.bytes[k] = factor * bytes;
    for (int axis = 0; axis < inner; axis++) layout.stride[k][axis] /= factor;
  }
}

// Fills in the plane of the axes that are innermost on either side, if they differ and are long enough for tiles.
bool is_transposition(const Layout<2>& layout, int edge, Transposition& t) {
  constexpr int kShort = 16;
  int cols = layout.rank - 1, rows = 0;
  while (rows < cols && layout.stride[0][rows] != 1) rows++;
  if (rows == cols || layout.stride[1][cols] != 1) return false;
  if (layout.shape[rows] < kShort || layout.shape[cols] < kShort) return false;
  t.rows = int(layout.shape[rows]);
  t.cols = int(layout.shape[cols]);
  t.src_stride = layout.stride[0][cols];
  t.dst_stride = layout.stride[1][rows];
  t.tiles_rows = FastDivide(int(divide_up(t.rows, edge)));
  t.tiles_cols = FastDivide(int(divide_up(t.cols, edge)));
  Layout<2> planes = layout;
  planes.rank = 0;
  for (int axis = 0; axis < cols; axis++) {
    if (axis != rows) planes.append(layout, axis);
  }
  planes.collapse();
  t.planes = planes.axes<2>(1);
  return true;
}

int launch_copy(const Layout<2>& layout, int64_t stream) {
  return with_bytes(layout.bytes[0], [&](auto type) {
    using T = typename decltype(type)::type;
    auto src = pointer<const T>(layout.address[0]);
    auto dst = pointer<T>(layout.address[1]);
    int64_t n = layout.elements();
    if constexpr (sizeof(T) < 16) {
      Transposition t;
      if (is_transposition(layout, kTileEdge<T>, t)) {
        int64_t tiles = n / t.rows / t.cols * t.tiles_rows.divisor() * t.tiles_cols.divisor();
        LaunchConfig config(dim3(unsigned(tiles)), kThreads);
        return finish(GRADUS_LAUNCH(copy_transposed_kernel<T>, config.stream(stream_of(stream)), src, dst, t));
      }
    }
    return finish(GRADUS_LAUNCH(copy_strided_kernel<T>, launch_for(n, kElementsAhead, stream), src, dst, layout.axes<2>(1),
                                int(n)));
  });
}

// A run of bytes, which may be longer than an index.
int launch_dense_copy(const Layout<2>& layout, int64_t stream) {
  return with_bytes(layout.bytes[0], [&](auto type) {
    using T = typename decltype(type)::type;
    return finish(GRADUS_LAUNCH(copy_dense_kernel<T>, launch_for(layout.shape[0], kElementsAhead, stream),
                                pointer<const T>(layout.address[0]), pointer<T>(layout.address[1]), layout.shape[0]));
  });
}

template <class F>
int with_any(int32_t dtype, F f) {
  return with_type<float, double, bfloat16, float16, int32_t, int64_t, uint8_t, bool>(dtype, [&](auto type) {
    return f(Type<storage_t<typename decltype(type)::type>>{});
  });
}

// Functions are compiled in one by one for the types that networks are trained in.
template <class T>
constexpr bool kTrained = kIsFloating<T> && sizeof(T) <= 4;

int dtype_bytes(int32_t dtype) {
  int bytes = 0;
  with_any(dtype, [&](auto type) {
    bytes = int(sizeof(typename decltype(type)::type));
    return GR_OK;
  });
  return bytes;
}

}  // namespace

extern "C" int gr_unary(int32_t op, int64_t x, int64_t y, int64_t n, int32_t dtype, int64_t stream) {
  return with_any(dtype, [&](auto type) {
    using T = typename decltype(type)::type;
    return with_function(UnaryFunctions{}, op, [&](auto f) -> int {
      using F = decltype(f);
      if constexpr (!kDefinedOn<F, T>) return GR_UNSUPPORTED;
      else if (n == 0) return GR_OK;
      else if constexpr (kIsFloating<T>) return launch_unary<T>(Fixed<F>{}, x, y, n, stream);
      else return launch_unary<T>(Chosen<UnaryFunctions>{op}, x, y, n, stream);
    });
  });
}

extern "C" int gr_binary(int32_t op, int64_t a, int64_t b, int64_t out, int64_t layout, int32_t dtype, int64_t stream) {
  return with_any(dtype, [&](auto type) {
    using T = typename decltype(type)::type;
    return with_function(BinaryFunctions{}, op, [&](auto f) {
      Chosen<BinaryFunctions> chosen{op};
      if constexpr (kTrained<T>) return launch_binary<T, T>(Fixed<decltype(f)>{}, chosen, a, b, out, layout, stream);
      else return launch_binary<T, T>(chosen, chosen, a, b, out, layout, stream);
    });
  });
}

extern "C" int gr_compare(int32_t op, int64_t a, int64_t b, int64_t out, int64_t layout, int32_t dtype, int64_t stream) {
  return with_any(dtype, [&](auto type) {
    using T = typename decltype(type)::type;
    return with_function(CompareFunctions{}, op, [&](auto) {
      Chosen<CompareFunctions> chosen{op};
      return launch_binary<T, Bool>(chosen, chosen, a, b, out, layout, stream);
    });
  });
}

extern "C" int gr_where(int64_t condition, int64_t a, int64_t b, int64_t out, int64_t layout, int32_t dtype, int64_t stream) {
  return with_bytes(dtype_bytes(dtype), [&](auto type) -> int {
    using T = typename decltype(type)::type;
    if constexpr (sizeof(T) > 8) return GR_UNSUPPORTED;
    else return launch_where<T>(condition, a, b, out, layout, stream);
  });
}

extern "C" int gr_copy(int64_t src, int64_t dst, int64_t layout, int32_t element_bytes, int64_t stream) {
  const auto& given = *pointer<const gr_layout>(layout);
  Layout<2> whole;
  whole.rank = int(given.rank);
  for (int k = 0; k < 2; k++) {
    std::copy(given.strides[k], given.strides[k] + whole.rank, whole.stride[k]);
    whole.address[k] = k == 0 ? src : dst;
    whole.bytes[k] = element_bytes;
  }
  std::copy(given.shape, given.shape + whole.rank, whole.shape);
  if (whole.elements() == 0) return GR_OK;
  sort_by_destination(whole);
  widen_elements(whole);
  if (whole.rank == 1 && whole.stride[0][0] == 1 && whole.stride[1][0] == 1) return launch_dense_copy(whole, stream);
  return in_parts(whole, [&](const Layout<2>& part) { return launch_copy(part, stream); });
}

extern "C" int gr_cast(int64_t src, int64_t dst, int64_t n, int32_t src_dtype, int32_t dst_dtype, int64_t stream) {
  if (n == 0) return GR_OK;
  int32_t read_as = src_dtype == GR_BOOL ? int32_t(GR_UINT8) : src_dtype;
  return with_type<float, double, bfloat16, float16, int32_t, int64_t, uint8_t>(read_as, [&](auto from) {
    return with_any(dst_dtype, [&](auto to) -> int {
      using S = typename decltype(from)::type;
      using D = typename decltype(to)::type;
      if constexpr (std::is_same_v<S, D>) {
        gr_layout layout{1, {n}, {{1}, {1}}};
        return gr_copy(src, dst, int64_t(reinterpret_cast<uintptr_t>(&layout)), int32_t(sizeof(S)), stream);
      } else {
        Run run(n, kCastWidth<S, D>, (src | dst) % 16 == 0);
        return finish(GRADUS_LAUNCH((cast_kernel<S, D>), run.launch(stream),
                                    pointer<const S>(src), pointer<D>(dst), n, run.packs));
      }
    });
  });
}

extern "C" int gr_fill(int64_t dst, int64_t n, double value, int32_t dtype, int64_t stream) {
  if (n == 0) return GR_OK;
  return with_any(dtype, [&](auto type) {
    using T = typename decltype(type)::type;
    Run run(n, kPackSize<T>, dst % 16 == 0);
    return finish(GRADUS_LAUNCH(fill_kernel<T>, run.launch(stream), pointer<T>(dst), value, n, run.packs));
  });
}

}  // namespace gradus
