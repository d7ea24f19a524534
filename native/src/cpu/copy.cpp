// Strided copies, casts and fills.
//
// A copy runs along the axis that is innermost where it writes. Where that is not the one that is innermost where it reads, both
// are cut into tiles that fit the first-level cache, so that every line is fetched once.
#include "cpu/element_loops.h"
#include "cpu/strides.h"
#include "gradus/elementwise.h"

namespace gradus::cpu {
namespace {

// Axes in falling order of the stride of what is written, so that the innermost is written in runs.
void sort_by_destination(Layout<2>& layout) {
  int order[GR_MAX_RANK];
  for (int i = 0; i < layout.rank; i++) order[i] = i;
  std::stable_sort(order, order + layout.rank,
                   [&](int i, int j) { return std::abs(layout.stride[1][i]) > std::abs(layout.stride[1][j]); });
  Layout<2> from = layout;
  layout.rank = 0;
  for (int i = 0; i < from.rank; i++) layout.append(from, order[i]);
  layout.collapse();
}

template <class T>
void copy_run(const T* src, T* dst, int64_t n, int64_t src_step, int64_t dst_step) {
  if (src_step == 1 && dst_step == 1) {
    memcpy(dst, src, size_t(n) * sizeof(T));
  } else if (dst_step == 1 && src_step == 0) {
    std::fill(dst, dst + n, *src);
  } else if (dst_step == 1) {
    for (int64_t i = 0; i < n; i++) dst[i] = src[i * src_step];
  } else {
    for (int64_t i = 0; i < n; i++) dst[i * dst_step] = src[i * src_step];
  }
}

// Four lines of four elements become four lines across.
template <class T>
GRADUS_INLINE void turn_square(const T* src, int64_t src_step, T* dst, int64_t dst_step) {
  if constexpr (sizeof(T) == 8) {
    for (int r = 0; r < 4; r++) {
      for (int c = 0; c < 4; c++) dst[r * dst_step + c] = src[c * src_step + r];
    }
  } else {
    typedef T Four __attribute__((vector_size(4 * sizeof(T))));
    Four line[4];
    for (int c = 0; c < 4; c++) memcpy(&line[c], src + c * src_step, sizeof line[c]);
    const Four low{0, 4, 1, 5}, high{2, 6, 3, 7}, first{0, 1, 4, 5}, second{2, 3, 6, 7};
    Four a = __builtin_shuffle(line[0], line[1], low), b = __builtin_shuffle(line[2], line[3], low);
    Four c = __builtin_shuffle(line[0], line[1], high), d = __builtin_shuffle(line[2], line[3], high);
    const Four across[4] = {__builtin_shuffle(a, b, first), __builtin_shuffle(a, b, second), __builtin_shuffle(c, d, first),
                            __builtin_shuffle(c, d, second)};
    for (int r = 0; r < 4; r++) memcpy(dst + r * dst_step, &across[r], sizeof across[r]);
  }
}

// The two innermost axes of what is left are those of the tiles: dst is dense along the last, src along the one before.
template <class T>
void copy_tiles(const T* src, T* dst, const Layout<2>& layout) {
  constexpr int64_t kEdge = 64 / sizeof(T) < 16 ? 16 : 64 / sizeof(T);
  int cols_axis = layout.rank - 1, rows_axis = layout.rank - 2;
  int64_t rows = layout.shape[rows_axis], cols = layout.shape[cols_axis];
  int64_t src_step = layout.stride[0][cols_axis], dst_step = layout.stride[1][rows_axis];
  // Several tiles of rows side by side, since every column of src may lie on another page.
  constexpr int64_t kBand = 8 * kEdge;
  int64_t bands = divide_up(rows, kBand);
  Layout<2> planes;
  for (int axis = 0; axis < rows_axis; axis++) planes.append(layout, axis);
  if (planes.rank == 0) planes.collapse();
  int64_t grain = std::max<int64_t>(1, kCheapGrain / (kBand * cols));
  auto turn_tile = [&](const T* from, T* to, int64_t height, int64_t width) {
    if (width < kEdge || height < kEdge) {
      for (int64_t r = 0; r < height; r++) {
        for (int64_t c = 0; c < width; c++) to[r * dst_step + c] = from[c * src_step + r];
      }
      return;
    }
    // By way of a tile of its own, so that lines are read and written whole even where steps of powers of two let them compete
    // for the same places of the cache.
    alignas(64) T tile[kEdge * kEdge];
    for (int64_t c = 0; c < kEdge; c += 4) {
      for (int64_t r = 0; r < kEdge; r += 4) turn_square(from + c * src_step + r, src_step, tile + r * kEdge + c, kEdge);
    }
    for (int64_t r = 0; r < kEdge; r++) memcpy(to + r * dst_step, tile + r * kEdge, kEdge * sizeof(T));
  };
  parallel_for(planes.elements() * bands, grain, [&](int64_t begin, int64_t end) {
    for (int64_t unit = begin; unit < end; unit++) {
      int64_t first = unit % bands * kBand, last = std::min(rows, first + kBand);
      planes.for_each_run(unit / bands, unit / bands + 1, [&](int64_t, const int64_t* offset, int64_t) {
        for (int64_t col = 0; col < cols; col += kEdge) {
          for (int64_t row = first; row < last; row += kEdge) {
            turn_tile(src + offset[0] + row + col * src_step, dst + offset[1] + row * dst_step + col, std::min(kEdge, last - row),
                      std::min(kEdge, cols - col));
          }
        }
      });
    }
  });
}

// Moves the axis along which src is dense to the place before the last. False where there is none, or it is short.
bool as_transposition(Layout<2>& layout) {
  constexpr int64_t kShort = 8;
  int cols = layout.rank - 1, rows = 0;
  while (rows < cols && layout.stride[0][rows] != 1) rows++;
  if (rows == cols || layout.stride[1][cols] != 1) return false;
  if (layout.shape[rows] < kShort || layout.shape[cols] < kShort) return false;
  Layout<2> from = layout;
  layout.rank = 0;
  for (int axis = 0; axis < cols; axis++) {
    if (axis != rows) layout.append(from, axis);
  }
  layout.append(from, rows);
  layout.append(from, cols);
  return true;
}

template <class T>
int copy(const T* src, T* dst, const gr_layout& given) {
  auto layout = layout_of<2>(given);
  int64_t n = layout.elements();
  if (n == 0) return GR_OK;
  sort_by_destination(layout);
  if (as_transposition(layout)) {
    copy_tiles(src, dst, layout);
    return GR_OK;
  }
  int64_t src_step = layout.stride[0][layout.rank - 1], dst_step = layout.stride[1][layout.rank - 1];
  parallel_for(n, kCheapGrain * 4 / int64_t(sizeof(T)), [&](int64_t begin, int64_t end) {
    layout.for_each_run(begin, end, [&](int64_t, const int64_t* offset, int64_t count) {
      copy_run(src + offset[0], dst + offset[1], count, src_step, dst_step);
    });
  });
  return GR_OK;
}

template <class S, class D>
void cast(const S* src, D* dst, int64_t n) {
  parallel_for(n, kCheapGrain, [&](int64_t begin, int64_t end) {
    if constexpr (kInFloats<S> && kInFloats<D>) {
      write_floats(dst, begin, end, n * int64_t(sizeof(D)) >= kBeyondCache,
                   [&](int64_t i, int lanes) { return load_floats_some(src + i, lanes); });
    } else {
      for (int64_t i = begin; i < end; i++) dst[i] = convert<D>(src[i]);
    }
  });
}

}  // namespace
}  // namespace gradus::cpu

using namespace gradus;

extern "C" int gr_copy(int64_t src, int64_t dst, int64_t layout, int32_t element_bytes, int64_t) {
  const auto& given = *pointer<const gr_layout>(layout);
  auto run = [&](auto type) {
    using T = typename decltype(type)::type;
    return cpu::copy(pointer<const T>(src), pointer<T>(dst), given);
  };
  switch (element_bytes) {
    case 1: return run(Type<uint8_t>{});
    case 2: return run(Type<uint16_t>{});
    case 4: return run(Type<uint32_t>{});
    case 8: return run(Type<uint64_t>{});
    default: return GR_UNSUPPORTED;
  }
}

extern "C" int gr_cast(int64_t src, int64_t dst, int64_t n, int32_t src_dtype, int32_t dst_dtype, int64_t) {
  int32_t read_as = src_dtype == GR_BOOL ? int32_t(GR_UINT8) : src_dtype;
  return with_type<float, double, bfloat16, float16, int32_t, int64_t, uint8_t>(read_as, [&](auto from) {
    return cpu::with_any(dst_dtype, [&](auto to) -> int {
      using S = typename decltype(from)::type;
      using D = typename decltype(to)::type;
      if constexpr (std::is_same_v<S, D>) {
        gr_layout layout{1, {n}, {{1}, {1}}};
        return gr_copy(src, dst, int64_t(reinterpret_cast<uintptr_t>(&layout)), int32_t(sizeof(S)), 0);
      } else {
        cpu::cast(pointer<const S>(src), pointer<D>(dst), n);
        return GR_OK;
      }
    });
  });
}

extern "C" int gr_fill(int64_t dst, int64_t n, double value, int32_t dtype, int64_t) {
  return cpu::with_any(dtype, [&](auto type) {
    using T = typename decltype(type)::type;
    T* p = pointer<T>(dst);
    T x = convert<T>(value);
    cpu::parallel_for(n, cpu::kCheapGrain * 2, [&](int64_t begin, int64_t end) { std::fill(p + begin, p + end, x); });
    return GR_OK;
  });
}
