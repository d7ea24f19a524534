// Gather, scatter-add and embedding.
//
// Gather copies units of up to 16 bytes: the largest that divides a row and both addresses. Traffic: what is selected, read and
// written once, and the index.
//
// Scatter-add keeps the order of src without float atomics. The selected rows ("entries") are sorted by the row they go to
// ("key"); entries of one key then stand side by side, in order, and a group of threads adds them (kernels/scatter_runs.h).
// Traffic: src and the targets once, and the pairs of the sort (kernels/stable_sort.h), which are small beside rows.
//
// Where the index is short, a thread scans all of it for its element instead: one launch and no scratch memory.
#include "gradus/indexing.h"

#include "kernels/launcher.h"
#include "kernels/scatter_runs.h"
#include "kernels/stable_sort.h"

namespace gradus {
namespace {

constexpr int kThreads = 256;

// --- gather

struct GatherShape {
  WideDivide inner, count;  // inner in units
  int64_t size, index_outer, index_count, index_inner;
};

template <class Unit>
__global__ void __launch_bounds__(kThreads, kBlocksPerSm)
    gather_kernel(const Unit* __restrict__ x, const int64_t* __restrict__ index, Unit* __restrict__ out, GatherShape shape,
                  int64_t total) {
  // Several at a time: the index and then the data must be waited for.
  constexpr int kAtOnce = 4;
  const int64_t block = int64_t(kThreads) * kAtOnce;
  for (int64_t start = int64_t(blockIdx.x) * block + threadIdx.x; start < total; start += int64_t(gridDim.x) * block) {
    int64_t from[kAtOnce];
    Unit unit[kAtOnce];
    GRADUS_UNROLL
    for (int u = 0; u < kAtOnce; u++) {
      int64_t at = start + u * kThreads, i, j;
      if (at < total) {
        int64_t o = shape.count.quotient(shape.inner.quotient(at, i), j);
        int64_t row = o * shape.size + index[o * shape.index_outer + j * shape.index_count + i * shape.index_inner];
        from[u] = row * shape.inner.divisor() + i;
      }
    }
    GRADUS_UNROLL
    for (int u = 0; u < kAtOnce; u++) {
      if (start + u * kThreads < total) unit[u] = x[from[u]];
    }
    GRADUS_UNROLL
    for (int u = 0; u < kAtOnce; u++) {
      if (start + u * kThreads < total) out[start + u * kThreads] = unit[u];
    }
  }
}

// --- short indices: every target element looks for itself

struct ScanShape {
  WideDivide packs, size;  // of a target row; rows
  int64_t count, index_outer, index_count, index_inner;
};

template <int N, class T>
__global__ void __launch_bounds__(kThreads)
    scatter_add_kernel_scan(const T* __restrict__ src, const int64_t* __restrict__ index, T* __restrict__ x, ScanShape shape,
                            Target target, int64_t total) {
  int64_t threads = int64_t(gridDim.x) * kThreads;
  for (int64_t at = int64_t(blockIdx.x) * kThreads + threadIdx.x; at < total; at += threads) {
    int64_t pack, row;
    int64_t o = shape.size.quotient(shape.packs.quotient(at, pack), row);
    const int64_t* list = index + o * shape.index_outer + pack * N * shape.index_inner;
    sum_t<T> sum[N] = {};
    bool found = !target.add;
    if (target.add || row != target.zero_key) {
      for (int64_t j = 0; j < shape.count; j++) {
        if (list[j * shape.index_count] != row) continue;
        if (!found) {
          add_row<N>(sum, x + at * N);  // the first: what the target held comes before it
          found = true;
        }
        add_row<N>(sum, src + ((o * shape.count + j) * shape.packs.divisor() + pack) * N);
      }
    }
    if (found) store_row<N>(x + at * N, sum);
  }
}

// The target row of an entry, read from the index.
struct IndexKeys {
  const int64_t* index;
  WideDivide inner, count;  // inner is 1 where rows are selected
  int64_t size, index_outer, index_count, index_inner;

  GRADUS_DEVICE uint32_t operator()(int64_t entry) const {
    int64_t i, j;
    int64_t o = count.quotient(inner.quotient(entry, i), j);
    int64_t row = o * size + index[o * index_outer + j * index_count + i * index_inner];
    return uint32_t(row * inner.divisor() + i);
  }
};

// --- plans

// The index as a list of rows: `entries` of `width` elements go to `keys` rows; the list serves `repeat` such pairs of src and x.
struct Plan {
  int64_t width, entries, keys, repeat;
  bool scans;
};

// Up to so many positions, of which no more can meet than are added one by one, and up to so many comparisons, scanning the index
// is cheaper than sorting it.
constexpr int64_t kScanCount = GR_SCATTER_RUN;
constexpr int64_t kScanWork = int64_t(1) << 26;

Plan plan_of(const gr_index_shape& s) {
  Plan plan{};
  if (s.index_inner != 0) {
    plan = {1, s.outer * s.count * s.inner, s.outer * s.size * s.inner, 1, false};
  } else if (s.index_outer != 0 || s.outer == 1) {
    plan = {s.inner, s.outer * s.count, s.outer * s.size, 1, false};
  } else {
    plan = {s.inner, s.count, s.size, s.outer, false};
  }
  int64_t targets = plan.repeat * plan.keys * plan.width;
  plan.scans = s.count <= kScanCount && (s.count == 0 || targets <= kScanWork / s.count);
  return plan;
}

// The sort's scratch memory, then the sums of pieces.
int64_t slots_of(const Plan& plan) { return 2 * plan.repeat * divide_up(plan.entries, GR_SCATTER_RUN) * plan.width; }

int64_t scratch_of(const Plan& plan, int64_t sum_bytes) {
  return StableSort(plan.entries, plan.keys).scratch_bytes() + slots_of(plan) * sum_bytes;
}

int64_t sum_bytes_of(int32_t dtype) { return dtype == GR_FLOAT64 || dtype == GR_INT64 ? 8 : 4; }

// A shape whose keys fit 32 bits: all of it or a part of its outer extent.
gr_index_shape part_of(const gr_index_shape& s, int64_t outer) {
  gr_index_shape part = s;
  part.outer = outer;
  return part;
}
int64_t outer_at_once(const gr_index_shape& s) {
  Plan whole = plan_of(s);
  if (whole.scans || std::max(whole.entries, whole.keys) <= StableSort::kMost) return s.outer;
  Plan one = plan_of(part_of(s, 1));
  return StableSort::kMost / std::max(one.entries, one.keys);
}

int64_t scratch_of(const gr_index_shape& s, int32_t dtype) {
  int64_t outer = outer_at_once(s);
  if (s.outer * s.count * s.inner == 0 || outer == 0) return 0;
  Plan plan = plan_of(part_of(s, outer));
  return plan.scans ? 0 : scratch_of(plan, sum_bytes_of(dtype));
}

// Adds one part of the outer extent.
template <int N, class T>
int scatter_part(const T* src, const int64_t* index, T* x, int64_t scratch, const gr_index_shape& s, const Target& target,
                 int64_t stream) {
  Plan plan = plan_of(s);
  int64_t packs = plan.width / N;
  if (plan.scans) {
    int64_t row_packs = s.inner / N, total = s.outer * s.size * row_packs;
    ScanShape shape{WideDivide(row_packs), WideDivide(s.size), s.count, s.index_outer, s.index_count, s.index_inner};
    if (!shape.packs.serves(total) || !shape.size.serves(total)) return GR_UNSUPPORTED;
    return finish(GRADUS_LAUNCH((scatter_add_kernel_scan<N, T>),
                                LaunchConfig(blocks_for(total, kThreads), kThreads).stream(stream_of(stream)), src, index, x,
                                shape, target, total));
  }
  IndexKeys source{index,         WideDivide(s.index_inner == 0 ? 1 : s.inner), WideDivide(s.count), s.size,
                   s.index_outer, s.index_count,                                s.index_inner};
  Pairs sorted{};
  StableSort sort(plan.entries, plan.keys);
  int status = sort.run(source, scratch, stream, sorted);
  if (status != GR_OK) return status;

  Runs runs{sorted.keys, sorted.entries, plan.entries, plan.keys, plan.width, target};
  int lanes = 1;
  while (lanes < 32 && lanes < packs) lanes *= 2;
  Groups per_run = groups_of(plan.repeat, target.add ? plan.entries : plan.keys, packs, lanes);
  int64_t chunks = divide_up(plan.entries, GR_SCATTER_RUN);
  Groups per_chunk = groups_of(plan.repeat, chunks, packs, lanes);
  Groups per_long_run{kRowLanes, 1, packs, WideDivide(divide_up(packs, kRowLanes)), WideDivide(chunks), 0};
  per_long_run.total = plan.repeat * chunks * per_long_run.parts.divisor();
  for (const Groups& g : {per_run, per_chunk, per_long_run}) {
    if (!g.parts.serves(g.total) || !g.candidates.serves(g.total)) return GR_UNSUPPORTED;
  }
  auto config = [&](const Groups& g, int64_t per_block) {
    return LaunchConfig(blocks_for(g.total, per_block), kThreads).stream(stream_of(stream));
  };
  auto* slots = pointer<sum_t<T>>(scratch + sort.scratch_bytes());
  int per_block = kThreads / lanes;
  status = finish(GRADUS_LAUNCH((scatter_add_kernel_runs<N, T>), config(per_run, per_block), src, x, runs, per_run));
  if (status != GR_OK || plan.entries <= GR_SCATTER_RUN) return status;
  status = finish(GRADUS_LAUNCH((scatter_add_kernel_pieces<N, T>), config(per_chunk, per_block), src, slots, runs, per_chunk));
  if (status != GR_OK) return status;
  return finish(GRADUS_LAUNCH((scatter_add_kernel_long_runs<N, T>), config(per_long_run, 1), slots, x, runs, per_long_run));
}

int scatter(int64_t src, int64_t index, int64_t x, int64_t scratch, int64_t scratch_bytes, const gr_index_shape& s,
            const Target& target, int32_t dtype, int64_t stream) {
  int64_t needed = scratch_of(s, dtype), outer = outer_at_once(s);
  if (outer == 0 && s.outer != 0) return GR_UNSUPPORTED;
  if (scratch_bytes < needed || scratch % 16 != 0) {
    return failed(GR_ERROR, "[scatterAdd] has " + std::to_string(scratch_bytes) + " bytes of scratch memory at address " +
                                std::to_string(scratch) + " but needs " + std::to_string(needed) + " aligned to 16");
  }
  auto run = [&](auto type, auto width) {
    using T = typename decltype(type)::type;
    for (int64_t o = 0; o < s.outer; o += outer) {
      int status = scatter_part<decltype(width)::value, T>(
          pointer<const T>(src) + o * s.count * s.inner, pointer<const int64_t>(index) + o * s.index_outer,
          pointer<T>(x) + o * s.size * s.inner, scratch, part_of(s, std::min(outer, s.outer - o)), target, stream);
      if (status != GR_OK) return status;
    }
    return int(GR_OK);
  };
  if (dtype == GR_FLOAT32 || dtype == GR_FLOAT64 || dtype == GR_BFLOAT16 || dtype == GR_FLOAT16) {
    return with_floating(dtype, [&](auto type) {
      constexpr int N = kPackSize<typename decltype(type)::type>;
      bool packs = s.index_inner == 0 && s.inner % N == 0 && src % 16 == 0 && x % 16 == 0;
      return packs ? run(type, std::integral_constant<int, N>{}) : run(type, std::integral_constant<int, 1>{});
    });
  }
  return with_type<int32_t, int64_t, uint8_t, bool>(dtype,
                                                    [&](auto type) { return run(type, std::integral_constant<int, 1>{}); });
}

template <class Unit>
int gather_units(int64_t x, int64_t index, int64_t out, const gr_index_shape& s, int64_t units, int64_t stream) {
  GatherShape shape{WideDivide(units), WideDivide(s.count), s.size, s.index_outer, s.index_count, s.index_inner};
  int64_t total = s.outer * s.count * units;
  if (!shape.inner.serves(total) || !shape.count.serves(total)) return GR_UNSUPPORTED;
  return finish(GRADUS_LAUNCH((gather_kernel<Unit>),
                              LaunchConfig(blocks_for(total, 4 * kThreads), kThreads).stream(stream_of(stream)),
                              pointer<const Unit>(x), pointer<const int64_t>(index), pointer<Unit>(out), shape, total));
}

gr_index_shape rows_of_table(int64_t vocabulary, int64_t count, int64_t dim) { return {1, vocabulary, count, dim, 0, 1, 0}; }

int64_t bytes_of(int32_t dtype) {
  switch (dtype) {
    case GR_FLOAT64:
    case GR_INT64:
      return 8;
    case GR_FLOAT32:
    case GR_INT32:
      return 4;
    case GR_BFLOAT16:
    case GR_FLOAT16:
      return 2;
    default:
      return 1;
  }
}

}  // namespace
}  // namespace gradus

using namespace gradus;

extern "C" int gr_gather(int64_t x, int64_t index, int64_t out, int64_t shape, int32_t element_bytes, int64_t stream) {
  const auto& s = *pointer<const gr_index_shape>(shape);
  if (s.outer * s.count * s.inner == 0) return GR_OK;
  int64_t unit = element_bytes, row = s.inner * element_bytes;
  if (unit != 1 && unit != 2 && unit != 4 && unit != 8) return GR_UNSUPPORTED;
  if (s.index_inner == 0) {
    while (unit < 16 && row % (2 * unit) == 0 && x % (2 * unit) == 0 && out % (2 * unit) == 0) unit *= 2;
  }
  int64_t units = row / unit;
  switch (unit) {
    case 1:
      return gather_units<uint8_t>(x, index, out, s, units, stream);
    case 2:
      return gather_units<uint16_t>(x, index, out, s, units, stream);
    case 4:
      return gather_units<uint32_t>(x, index, out, s, units, stream);
    case 8:
      return gather_units<uint2>(x, index, out, s, units, stream);
    default:
      return gather_units<uint4>(x, index, out, s, units, stream);
  }
}

extern "C" int gr_scatter_add(int64_t src, int64_t index, int64_t x, int64_t scratch, int64_t scratch_bytes, int64_t shape,
                              int32_t dtype, int64_t stream) {
  const auto& s = *pointer<const gr_index_shape>(shape);
  if (s.outer * s.count * s.inner == 0) return GR_OK;
  return scatter(src, index, x, scratch, scratch_bytes, s, Target{true, -1}, dtype, stream);
}

extern "C" int64_t gr_scatter_add_scratch(int64_t shape, int32_t dtype, int64_t) {
  return scratch_of(*pointer<const gr_index_shape>(shape), dtype);
}

extern "C" int gr_embedding_forward(int64_t weight, int64_t index, int64_t y, int64_t vocabulary, int64_t count, int64_t dim,
                                    int32_t dtype, int64_t stream) {
  gr_index_shape shape = rows_of_table(vocabulary, count, dim);
  return gr_gather(weight, index, y, int64_t(reinterpret_cast<uintptr_t>(&shape)), int32_t(bytes_of(dtype)), stream);
}

extern "C" int gr_embedding_backward(int64_t grad_y, int64_t index, int64_t grad_weight, int64_t scratch, int64_t scratch_bytes,
                                     int64_t vocabulary, int64_t count, int64_t dim, int64_t padding, int32_t dtype,
                                     int64_t stream) {
  if (vocabulary * dim == 0) return GR_OK;
  return scatter(grad_y, index, grad_weight, scratch, scratch_bytes, rows_of_table(vocabulary, count, dim),
                 Target{false, padding}, dtype, stream);
}

extern "C" int64_t gr_embedding_backward_scratch(int64_t vocabulary, int64_t count, int64_t dim, int32_t dtype, int64_t) {
  return scratch_of(rows_of_table(vocabulary, count, dim), dtype);
}
