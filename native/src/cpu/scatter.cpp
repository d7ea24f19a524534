// Scatter-add and the gradient of an embedding.
//
// The selected rows ("entries") are sorted by the row they go to ("key"), entries of a key in their order; then every key's entries
// are added up by one thread, by the rule of gradus/indexing.h. Where no target can get more than GR_SCATTER_RUN summands and sums
// are not rounded on the way, entries are added to their targets as they come, without sorting.
#include <algorithm>

#include "cpu/element_loops.h"
#include "gradus/indexing.h"

namespace gradus::cpu {
namespace {

template <class T>
using integer_sum_t = std::conditional_t<sizeof(T) == 8, uint64_t, uint32_t>;
template <class T>
using sum_t = std::conditional_t<kInFloats<T>, float, std::conditional_t<kIsFloating<T>, double, integer_sum_t<T>>>;

template <class T>
GRADUS_INLINE sum_t<T> to_sum(T x) {
  if constexpr (kIsFloating<T>) return to_float(x);
  else return sum_t<T>(x);
}
template <>
GRADUS_INLINE uint32_t to_sum<Bool>(Bool x) {
  return x.value;
}
template <class T>
GRADUS_INLINE T from_sum(sum_t<T> x) {
  if constexpr (kIsFloating<T>) return from_accumulator<T>(x);
  else return convert<T>(x);
}
template <>
GRADUS_INLINE Bool from_sum<Bool>(uint32_t x) {
  return {uint8_t(x != 0)};
}

template <class T>
void add_row(sum_t<T>* sum, const T* x, int64_t n) {
  if constexpr (kInFloats<T>) {
    int64_t i = 0;
    for (; i + kLanes <= n; i += kLanes) store(sum + i, load(sum + i) + load_floats(x + i));
    for (; i < n; i++) sum[i] += to_float(x[i]);
  } else {
    for (int64_t i = 0; i < n; i++) sum[i] += to_sum(x[i]);
  }
}
template <class T>
void store_row(T* x, const sum_t<T>* sum, int64_t n) {
  if constexpr (kInFloats<T>) {
    int64_t i = 0;
    for (; i + kLanes <= n; i += kLanes) store_floats(x + i, load(sum + i));
    for (; i < n; i++) x[i] = from_sum<T>(sum[i]);
  } else {
    for (int64_t i = 0; i < n; i++) x[i] = from_sum<T>(sum[i]);
  }
}

// The index as a list of rows: `entries` of `width` elements go to `keys` rows; the list serves `repeat` such pairs of src and x.
struct Plan {
  int64_t width, entries, keys, repeat;

  explicit Plan(const gr_index_shape& s) {
    if (s.index_inner != 0 && s.inner > 1) {
      *this = {1, s.outer * s.count * s.inner, s.outer * s.size * s.inner, 1};
    } else if (s.index_outer != 0 || s.outer == 1) {
      *this = {s.inner, s.outer * s.count, s.outer * s.size, 1};
    } else {
      *this = {s.inner, s.count, s.size, s.outer};
    }
  }
  bool fits() const { return std::max(entries, keys) <= int64_t(UINT32_MAX); }
  // Counting costs a pass over the keys; where they are many, the pairs of key and entry are sorted instead.
  bool counts() const { return keys / 8 <= entries; }
  int64_t scratch_bytes() const { return counts() ? 4 * (keys + 1 + entries) : 8 * entries; }

 private:
  Plan(int64_t width, int64_t entries, int64_t keys, int64_t repeat) : width(width), entries(entries), keys(keys), repeat(repeat) {}
};

// Calls f(key) for all entries in order.
template <class F>
void for_keys(const gr_index_shape& s, const int64_t* index, F f) {
  bool single = s.index_inner != 0 && s.inner > 1;
  int64_t outer = single || s.index_outer != 0 || s.outer == 1 ? s.outer : 1, inner = single ? s.inner : 1;
  for (int64_t o = 0; o < outer; o++) {
    for (int64_t j = 0; j < s.count; j++) {
      const int64_t* list = index + o * s.index_outer + j * s.index_count;
      for (int64_t i = 0; i < inner; i++) f((o * s.size + list[i * s.index_inner]) * inner + i);
    }
  }
}

// Whether targets are added to, or written: then rows without an entry become 0, and so does the row `zero_key`.
struct Target {
  bool add;
  int64_t zero_key;  // -1: none
};

constexpr int64_t kColumns = 512;  // of a row that are summed at a time

// Adds up the entries of a key, given by entry(i) for i below n, into its row.
template <class T, class Entry>
void sum_run(const T* src, T* to, int64_t width, int64_t n, bool add, Entry entry) {
  using S = sum_t<T>;
  constexpr int64_t kGroups = 32;
  for (int64_t first = 0; first < width; first += kColumns) {
    int64_t columns = std::min(kColumns, width - first);
    S sum[kColumns];
    std::fill(sum, sum + columns, S(0));
    if (add) add_row(sum, to + first, columns);
    auto add_entries = [&](S* into, int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; i++) add_row(into, src + entry(i) * width + first, columns);
    };
    if (n <= GR_SCATTER_RUN) {
      add_entries(sum, 0, n);
    } else {
      int64_t pieces = divide_up(n, GR_SCATTER_RUN), share = divide_up(pieces, kGroups);
      S group[kColumns], piece[kColumns];
      for (int64_t begin = 0; begin < pieces; begin += share) {
        std::fill(group, group + columns, S(0));
        for (int64_t p = begin; p < std::min(pieces, begin + share); p++) {
          std::fill(piece, piece + columns, S(0));
          add_entries(piece, p * GR_SCATTER_RUN, std::min(n, (p + 1) * GR_SCATTER_RUN));
          for (int64_t i = 0; i < columns; i++) group[i] += piece[i];
        }
        for (int64_t i = 0; i < columns; i++) sum[i] += group[i];
      }
    }
    store_row(to + first, sum, columns);
  }
}

int64_t rows_worth_a_chunk(int64_t width) { return std::max<int64_t>(1, kDearGrain / width); }

// By counting: the entries of key k stand from start[k] to start[k + 1].
template <class T>
void scatter_counted(const T* src, const int64_t* index, T* x, uint32_t* start, const gr_index_shape& s, const Plan& plan,
                     Target target) {
  uint32_t* order = start + plan.keys + 1;
  std::fill(start, start + plan.keys + 1, 0u);
  for_keys(s, index, [&](int64_t key) { start[key]++; });
  uint32_t before = 0;
  for (int64_t key = 0; key <= plan.keys; key++) {
    uint32_t own = start[key];
    start[key] = before;
    before += own;
  }
  // Placing an entry moves the start of its key to the next place; in the end all stand where the next key began.
  uint32_t number = 0;
  for_keys(s, index, [&](int64_t key) { order[start[key]++] = number++; });
  for (int64_t repeat = 0; repeat < plan.repeat; repeat++) {
    const T* from = src + repeat * plan.entries * plan.width;
    T* to = x + repeat * plan.keys * plan.width;
    parallel_for(plan.keys, rows_worth_a_chunk(plan.width), [&](int64_t begin, int64_t end) {
      for (int64_t key = begin; key < end; key++) {
        int64_t first = key == 0 ? 0 : start[key - 1], n = key == target.zero_key ? 0 : start[key] - first;
        if (n == 0 && target.add) continue;
        sum_run(from, to + key * plan.width, plan.width, n, target.add, [&](int64_t i) { return int64_t(order[first + i]); });
      }
    });
  }
}

// By sorting, which keeps the order of entries since they are the lower half of what is compared.
template <class T>
void scatter_sorted(const T* src, const int64_t* index, T* x, uint64_t* pairs, const gr_index_shape& s, const Plan& plan,
                    Target target) {
  uint64_t number = 0;
  for_keys(s, index, [&](int64_t key) {
    pairs[number] = uint64_t(key) << 32 | number;
    number++;
  });
  std::sort(pairs, pairs + plan.entries);
  auto key_of = [&](int64_t i) { return int64_t(pairs[i] >> 32); };
  for (int64_t repeat = 0; repeat < plan.repeat; repeat++) {
    const T* from = src + repeat * plan.entries * plan.width;
    T* to = x + repeat * plan.keys * plan.width;
    if (!target.add) {
      parallel_for(plan.keys * plan.width, kCheapGrain, [&](int64_t begin, int64_t end) { std::fill(to + begin, to + end, T{}); });
    }
    // A chunk takes the keys whose first entry it holds.
    parallel_for(plan.entries, rows_worth_a_chunk(plan.width), [&](int64_t begin, int64_t end) {
      int64_t i = begin;
      while (i > 0 && i < end && key_of(i) == key_of(i - 1)) i++;
      while (i < end) {
        int64_t first = i, key = key_of(i);
        while (i < plan.entries && key_of(i) == key) i++;
        if (key == target.zero_key) continue;
        sum_run(from, to + key * plan.width, plan.width, i - first, target.add,
                [&](int64_t j) { return int64_t(uint32_t(pairs[first + j])); });
      }
    });
  }
}

// Entries are added as they come, outer ones and blocks of columns by different threads.
template <class T>
void scatter_directly(const T* src, const int64_t* index, T* x, const gr_index_shape& s) {
  int64_t width = std::min(s.inner, kColumns), blocks = divide_up(s.inner, width);
  int64_t grain = std::max<int64_t>(1, kDearGrain / (s.count * width));
  parallel_for(s.outer * blocks, grain, [&](int64_t begin, int64_t end) {
    for (int64_t unit = begin; unit < end; unit++) {
      int64_t o = unit / blocks, first = unit % blocks * width, columns = std::min(width, s.inner - first);
      const int64_t* list = index + o * s.index_outer;
      for (int64_t j = 0; j < s.count; j++) {
        const T* from = src + (o * s.count + j) * s.inner + first;
        T* to = x + o * s.size * s.inner + first;
        if (s.index_inner == 0) {
          to += list[j * s.index_count] * s.inner;
          for (int64_t i = 0; i < columns; i++) to[i] = from_sum<T>(to_sum(to[i]) + to_sum(from[i]));
        } else {
          for (int64_t i = 0; i < columns; i++) {
            T& element = to[list[j * s.index_count + (first + i) * s.index_inner] * s.inner + i];
            element = from_sum<T>(to_sum(element) + to_sum(from[i]));
          }
        }
      }
    }
  });
}

// 16-bit floats would be rounded at every addition.
bool adds_directly(const gr_index_shape& s, Target target, int32_t dtype) {
  bool rounds = dtype == GR_BFLOAT16 || dtype == GR_FLOAT16;
  return target.add && s.count <= (rounds ? 1 : GR_SCATTER_RUN);
}

int64_t scratch_of(const gr_index_shape& s, Target target, int32_t dtype) {
  Plan plan(s);
  return adds_directly(s, target, dtype) || !plan.fits() ? 0 : plan.scratch_bytes();
}

int scatter(int64_t src, int64_t index_at, int64_t x, int64_t scratch, int64_t scratch_bytes, const gr_index_shape& s,
            Target target, int32_t dtype) {
  int64_t needed = scratch_of(s, target, dtype);
  if (scratch_bytes < needed || (needed > 0 && scratch % 16 != 0)) {
    return failed(GR_ERROR, "[scatterAdd] has " + std::to_string(scratch_bytes) + " bytes of scratch memory at address " +
                                std::to_string(scratch) + " but needs " + std::to_string(needed) + " aligned to 16");
  }
  auto* index = pointer<const int64_t>(index_at);
  Plan plan(s);
  return with_any(dtype, [&](auto type) -> int {
    using T = typename decltype(type)::type;
    auto* from = pointer<const T>(src);
    T* to = pointer<T>(x);
    if (adds_directly(s, target, dtype)) scatter_directly(from, index, to, s);
    else if (!plan.fits()) return GR_UNSUPPORTED;
    else if (plan.counts()) scatter_counted(from, index, to, pointer<uint32_t>(scratch), s, plan, target);
    else scatter_sorted(from, index, to, pointer<uint64_t>(scratch), s, plan, target);
    return GR_OK;
  });
}

gr_index_shape rows_of_table(int64_t vocabulary, int64_t count, int64_t dim) { return {1, vocabulary, count, dim, 0, 1, 0}; }

}  // namespace
}  // namespace gradus::cpu

using namespace gradus;

extern "C" int gr_scatter_add(int64_t src, int64_t index, int64_t x, int64_t scratch, int64_t scratch_bytes, int64_t shape,
                              int32_t dtype, int64_t) {
  const auto& s = *pointer<const gr_index_shape>(shape);
  if (s.outer * s.count * s.inner == 0) return GR_OK;
  return cpu::scatter(src, index, x, scratch, scratch_bytes, s, cpu::Target{true, -1}, dtype);
}

extern "C" int64_t gr_scatter_add_scratch(int64_t shape, int32_t dtype, int64_t) {
  return cpu::scratch_of(*pointer<const gr_index_shape>(shape), cpu::Target{true, -1}, dtype);
}

extern "C" int gr_embedding_backward(int64_t grad_y, int64_t index, int64_t grad_weight, int64_t scratch, int64_t scratch_bytes,
                                     int64_t vocabulary, int64_t count, int64_t dim, int64_t padding, int32_t dtype, int64_t) {
  if (vocabulary * dim == 0) return GR_OK;
  return cpu::scatter(grad_y, index, grad_weight, scratch, scratch_bytes, cpu::rows_of_table(vocabulary, count, dim),
                      cpu::Target{false, padding}, dtype);
}

extern "C" int64_t gr_embedding_backward_scratch(int64_t vocabulary, int64_t count, int64_t dim, int32_t dtype, int64_t) {
  return cpu::scratch_of(cpu::rows_of_table(vocabulary, count, dim), cpu::Target{false, -1}, dtype);
}
