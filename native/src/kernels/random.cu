// Random numbers and dropout from Philox4x32-10. What an element gets depends on the seed, the operation and the number of the
// element, never on how threads are laid out; nothing is stored between forward and backward.
//
// One block of Philox makes four elements of gr_random, or decides over eight elements of a dropout. Where eight elements are
// more than 16 bytes, a warp draws the bits of 256 elements, a lane eight of them, and hands them to the lanes that hold the
// elements, so that all accesses stay whole lines.
//
// At 4 bytes of traffic per 16-bit element a Hopper multiprocessor has some 250 instructions' time for eight of them, and Philox
// alone takes 80. So what is not arithmetic is kept out of dropout's loop: blocks that stay (as many as run at once) read the key
// once, a thread has the elements of two Philox blocks in flight, which share the key schedule, borders are looked at once for
// both, and 16-bit halves are compared in place.
//
// Dropout: x / (1 - p) is a product with 1 / (1 - p) rounded to the type, and is rounded once. Bytes per element: 2 sizeof(T),
// with a stored mask 1/8 more, for bias + dropout + residual one sizeof(T) more for the residual.
#include "gradus/random.h"

#include <cmath>

#include "device/convert.h"
#include "device/fast_divide.h"
#include "device/math.h"
#include "device/philox.h"
#include "device/vector.h"
#include "device/warp.h"
#include "kernels/launcher.h"

namespace gradus {
namespace {

constexpr int kThreads = 256;

enum RandomKind { kUniform, kNormal, kInteger };  // the ordinals of RandomKind

// The key and the upper half of the counter.
struct Key {
  uint64_t seed, counter;

  GRADUS_DEVICE Key(const int64_t* rng, int64_t number) : seed(uint64_t(rng[0])), counter(uint64_t(rng[1]) + uint64_t(number)) {}
};

// The largest number of the type below x.
GRADUS_DEVICE double next_down(double x) { return nextafter(x, -double(INFINITY)); }
GRADUS_DEVICE float next_down(float x) { return nextafterf(x, -float(INFINITY)); }
template <class T>
GRADUS_DEVICE T next_down(T x) {
  uint16_t bits;
  memcpy(&bits, &x, 2);
  if ((bits & 0x7FFF) == 0) bits = 0x8001;
  else bits = uint16_t(bits & 0x8000 ? bits + 1 : bits - 1);
  memcpy(&x, &bits, 2);
  return x;
}

// a + (b - a) u, in float64 without fusing and rounded once: the same bits everywhere. Rounding may reach the excluded upper
// bound; the largest value below it takes its place.
template <class T>
GRADUS_DEVICE T uniform_between(double a, double b, double u) {
  T y = convert<T>(__dadd_rn(a, __dmul_rn(__dadd_rn(b, -a), u)));
  if constexpr (std::is_same_v<T, double>) {
    if (a < b && y >= b) y = next_down(b);
  } else if constexpr (kIsFloating<T>) {
    if (a < b && double(to_float(y)) >= b) y = next_down(y);
  }
  return y;
}

// -2 log u, u = (word + 1/2) / 2^32. Near 1 from the distance to 1, which a float holds more precisely.
GRADUS_DEVICE float normal_radius(uint32_t word, float) {
  float log = word >> 31 ? log1pf(-(float(~word) + 0.5f) * 0x1p-32f) : logf((float(word) + 0.5f) * 0x1p-32f);
  return sqrtf(-2.0f * log);
}
GRADUS_DEVICE double normal_radius(uint32_t word, double) { return std::sqrt(-2.0 * std::log((double(word) + 0.5) * 0x1p-32)); }

// The sine and cosine of 2 pi (word + 1/2) / 2^32. Words of the upper half count as negative angles.
GRADUS_DEVICE void normal_direction(uint32_t word, float& sine, float& cosine) {
  sincospif((float(int32_t(word)) + 0.5f) * 0x1p-31f, &sine, &cosine);
}
GRADUS_DEVICE void normal_direction(uint32_t word, double& sine, double& cosine) {
  sincospi((double(int32_t(word)) + 0.5) * 0x1p-31, &sine, &cosine);
}

struct Draw {
  int kind;
  double a, b;
  int64_t low;     // of integers
  uint64_t bound;  // of integers above low
};

// The elements 4 block to 4 block + 3.
template <class T>
GRADUS_DEVICE void draw(const Key& key, const Draw& d, uint64_t block, T (&value)[4]) {
  if (std::is_same_v<T, double> && d.kind == kUniform) {
    GRADUS_UNROLL
    for (int i = 0; i < 4; i += 2) {
      PhiloxWords w = philox(key.seed, key.counter, 2 * block + uint64_t(i / 2));
      value[i] = uniform_between<T>(d.a, d.b, philox_uniform(w.word[0], w.word[1]));
      value[i + 1] = uniform_between<T>(d.a, d.b, philox_uniform(w.word[2], w.word[3]));
    }
    return;
  }
  PhiloxWords w = philox(key.seed, key.counter, block);
  switch (d.kind) {
    case kUniform:
      GRADUS_UNROLL
      for (int i = 0; i < 4; i++) {
        float u = philox_uniform(w.word[i]);
        bool unit = std::is_same_v<T, float> && d.a == 0 && d.b == 1;  // exact as it stands
        value[i] = unit ? convert<T>(u) : uniform_between<T>(d.a, d.b, double(u));
      }
      break;
    case kNormal:
      GRADUS_UNROLL
      for (int i = 0; i < 4; i += 2) {
        using C = std::conditional_t<kIsFloating<T> && sizeof(T) <= 4, float, double>;
        C sine, cosine, radius = normal_radius(w.word[i], C(0));
        normal_direction(w.word[i + 1], sine, cosine);
        value[i] = convert<T>(C(d.a) + C(d.b) * (radius * cosine));
        value[i + 1] = convert<T>(C(d.a) + C(d.b) * (radius * sine));
      }
      break;
    default:
      GRADUS_UNROLL
      for (int i = 0; i < 4; i++) {
        uint64_t above = uint64_t(w.word[i]) * d.bound >> 32;
        value[i] = convert<T>(double(int64_t(uint64_t(d.low) + above)));
      }
  }
}

// A thread makes 16 bytes, or 4 elements where that would be more.
template <class T>
constexpr int kDrawn = sizeof(T) == 2 ? 8 : 4;

template <class T>
__global__ void __launch_bounds__(kThreads)
    random_kernel(T* out, const int64_t* rng, int64_t n, int64_t number, Draw d, bool aligned) {
  constexpr int N = kDrawn<T>;
  constexpr int kPart = N < kPackSize<T> ? N : kPackSize<T>;
  Key key(rng, number);
  int64_t groups = (n + N - 1) / N;
  for (int64_t group = int64_t(blockIdx.x) * kThreads + threadIdx.x; group < groups; group += int64_t(gridDim.x) * kThreads) {
    T value[N / 4][4];
    GRADUS_UNROLL
    for (int i = 0; i < N / 4; i++) draw(key, d, uint64_t(group) * (N / 4) + uint64_t(i), value[i]);
    int64_t first = group * N;
    if (aligned && first + N <= n) {
      GRADUS_UNROLL
      for (int i = 0; i < N; i += kPart) {
        Pack<T, kPart> pack;
        GRADUS_UNROLL
        for (int j = 0; j < kPart; j++) pack.value[j] = value[(i + j) / 4][(i + j) % 4];
        store_pack<T, kPart>(out + first + i, pack);
      }
    } else {
      GRADUS_UNROLL
      for (int i = 0; i < N; i++) {
        if (first + i < n) out[first + i] = value[i / 4][i % 4];
      }
    }
  }
}

// philox_half(words, i) >= threshold, compared as upper halves of words; bound_of(threshold) is such a half, or above all where
// 2^16 keeps nothing. A flag for that case would make nvcc load x only after the draw, behind a branch.
GRADUS_DEVICE bool keeps(const PhiloxWords& words, int i, uint32_t bound) {
  uint32_t word = words.word[i / 2];
  return (i % 2 == 0 ? word << 16 : word & 0xFFFF0000u) >= bound;
}
inline uint32_t bound_of(uint32_t threshold) { return threshold > 0xFFFF ? 0xFFFFFFFFu : threshold << 16; }

// Bit i tells whether element i of a block of eight is kept.
GRADUS_DEVICE unsigned keep_bits(const Key& key, uint64_t block, uint32_t bound) {
  PhiloxWords w = philox(key.seed, key.counter, block);
  unsigned bits = 0;
  GRADUS_UNROLL
  for (int i = 0; i < kDropoutValues; i++) bits |= unsigned(keeps(w, i, bound)) << i;
  return bits;
}

// Host: p as the kernels take it. A dropout of 16-bit x multiplies with the scale in that type; where more follows, all of it is
// in the accumulator's.
template <class C>
struct Rate {
  uint32_t bound;
  C scale;
};
template <class T>
Rate<accumulator_t<T>> rate_of(double p) {
  double scale = p == 1 ? 0 : 1 / (1 - p);
  return {bound_of(uint32_t(std::rint(p * 65536))), to_float(convert<T>(scale))};
}

// A dropped element is 0 even where x is infinite or NaN.
template <class C>
GRADUS_DEVICE C scaled(C x, C scale, bool keep) {
  return keep ? x * scale : C(0);
}

// `Whole`: the pack is known to lie below n.
template <class T, int N, bool Whole = false>
GRADUS_DEVICE Pack<T, N> load_part(const T* p, int64_t first, int64_t n) {
  if constexpr (Whole) {
    return load_pack<T, N>(p + first);
  } else {
    if (first + N <= n) return load_pack<T, N>(p + first);
    Pack<T, N> pack;
    GRADUS_UNROLL
    for (int j = 0; j < N; j++) pack.value[j] = first + j < n ? p[first + j] : T{};
    return pack;
  }
}
template <class T, int N, bool Whole = false>
GRADUS_DEVICE void store_part(T* p, int64_t first, int64_t n, const Pack<T, N>& pack) {
  if (Whole || first + N <= n) {
    store_pack<T, N>(p + first, pack);
  } else {
    GRADUS_UNROLL
    for (int j = 0; j < N; j++) {
      if (first + j < n) p[first + j] = pack.value[j];
    }
  }
}

// What surrounds a dropout; either may be null. Columns are counted in packs.
template <class T>
struct Surroundings {
  const T* bias;
  const T* residual;
  FastDivide columns;
};

template <class T>
struct Dropout {
  const T* x;
  T* y;
  int64_t n;
  uint64_t block;  // the number of element 0 in blocks of eight
  Rate<accumulator_t<T>> rate;
  Surroundings<T> around;
};

// A tile of a warp: 256 elements in packs of N, a pack of 16 bytes, or single elements where alignment is missing.
constexpr int kTile = 32 * kDropoutValues;
// Tiles that a warp has in flight: two where each is a single load of a lane.
template <int N, bool Surrounded>
constexpr int kTogether = N == kDropoutValues && !Surrounded ? 2 : 1;
// Blocks of a multiprocessor.
template <int N, bool Surrounded>
constexpr int kDropoutBlocks = Surrounded ? 3 : kTogether<N, Surrounded> == 2 ? 5 : 4;  // more would spill

template <class T, int N, bool Surrounded, bool Whole>
GRADUS_DEVICE void drop_tiles(const Dropout<T>& p, const Key& key, int64_t tile) {
  constexpr int kPacks = kDropoutValues / N;  // of a lane
  constexpr int kTiles = kTogether<N, Surrounded>;
  int lane = lane_index();
  Pack<T, N> value[kTiles][kPacks], residual[kTiles][kPacks], bias[kTiles][kPacks];
  GRADUS_UNROLL
  for (int u = 0; u < kTiles; u++) {
    GRADUS_UNROLL
    for (int k = 0; k < kPacks; k++) {
      int64_t first = (tile + u) * kTile + (k * 32 + lane) * N;
      if (!Whole && first >= p.n) break;
      value[u][k] = load_part<T, N, Whole>(p.x, first, p.n);
      if constexpr (Surrounded) {
        if (p.around.bias != nullptr) {
          int column;
          p.around.columns.divide(int(first / N), column);
          bias[u][k] = load_pack<T, N>(p.around.bias + column * N);
        }
        if (p.around.residual != nullptr) residual[u][k] = load_part<T, N, Whole>(p.around.residual, first, p.n);
      }
    }
  }
  PhiloxWords words[kTiles];
  GRADUS_UNROLL
  for (int u = 0; u < kTiles; u++) {
    words[u] = philox(key.seed, key.counter, p.block + uint64_t(tile + u) * 32 + uint64_t(lane));
  }
  GRADUS_UNROLL
  for (int u = 0; u < kTiles; u++) {
    unsigned own = 0;
    if constexpr (kPacks > 1) {
      GRADUS_UNROLL
      for (int i = 0; i < kDropoutValues; i++) own |= unsigned(keeps(words[u], i, p.rate.bound)) << i;
    }
    GRADUS_UNROLL
    for (int k = 0; k < kPacks; k++) {
      int element = (k * 32 + lane) * N;  // within the tile
      unsigned keep = 0;
      if constexpr (kPacks > 1) keep = __shfl_sync(kFullWarp, own, element / kDropoutValues) >> (element % kDropoutValues);
      int64_t first = (tile + u) * kTile + element;
      if (!Whole && first >= p.n) continue;
      GRADUS_UNROLL
      for (int j = 0; j < N; j++) {
        accumulator_t<T> h = to_float(value[u][k].value[j]);
        if constexpr (Surrounded) {
          if (p.around.bias != nullptr) h += to_float(bias[u][k].value[j]);
        }
        h = scaled(h, p.rate.scale, kPacks > 1 ? (keep >> j & 1) != 0 : keeps(words[u], j, p.rate.bound));
        if constexpr (Surrounded) {
          if (p.around.residual != nullptr) h += to_float(residual[u][k].value[j]);
        }
        value[u][k].value[j] = from_accumulator<T>(h);
      }
      store_part<T, N, Whole>(p.y, first, p.n, value[u][k]);
    }
  }
}

template <class T, int N, bool Surrounded>
__global__ void __launch_bounds__(kThreads, kDropoutBlocks<N, Surrounded>)
    dropout_kernel(Dropout<T> p, const int64_t* rng, int64_t number) {
  constexpr int kWarps = kThreads / 32, kTiles = kTogether<N, Surrounded>;
  Key key(rng, number);
  int64_t tiles = (p.n + kTile - 1) / kTile, stride = int64_t(gridDim.x) * kWarps * kTiles;
  for (int64_t tile = (int64_t(blockIdx.x) * kWarps + threadIdx.x / 32) * kTiles; tile < tiles; tile += stride) {
    if ((tile + kTiles) * kTile <= p.n) {
      drop_tiles<T, N, Surrounded, true>(p, key, tile);
    } else {
      drop_tiles<T, N, Surrounded, false>(p, key, tile);
    }
  }
}

// A thread draws a word of the mask.
__global__ void __launch_bounds__(kThreads)
    dropout_mask_kernel(const int64_t* rng, uint32_t* mask, int64_t n, int64_t number, uint32_t bound) {
  Key key(rng, number);
  int64_t words = (n + 31) / 32;
  for (int64_t i = int64_t(blockIdx.x) * kThreads + threadIdx.x; i < words; i += int64_t(gridDim.x) * kThreads) {
    unsigned bits = 0;
    GRADUS_UNROLL
    for (int j = 0; j < 4; j++) bits |= keep_bits(key, uint64_t(i) * 4 + uint64_t(j), bound) << (8 * j);
    int64_t left = n - i * 32;
    mask[i] = left < 32 ? bits & ((1u << left) - 1) : bits;
  }
}

template <class T, int N>
__global__ void __launch_bounds__(kThreads)
    dropout_apply_kernel(const T* x, const uint32_t* mask, T* y, int64_t n, accumulator_t<T> scale) {
  int64_t packs = (n + N - 1) / N;
  for (int64_t i = int64_t(blockIdx.x) * kThreads + threadIdx.x; i < packs; i += int64_t(gridDim.x) * kThreads) {
    int64_t first = i * N;
    Pack<T, N> value = load_part<T, N>(x, first, n);
    unsigned keep = mask[first / 32] >> (first % 32);
    GRADUS_UNROLL
    for (int j = 0; j < N; j++) {
      value.value[j] = from_accumulator<T>(scaled<accumulator_t<T>>(to_float(value.value[j]), scale, (keep >> j & 1) != 0));
    }
    store_part<T, N>(y, first, n, value);
  }
}

// Packs of N channels; the draw is repeated for every position, which costs less than remembering it. channels: in packs.
// sample: the number of sample 0.
template <class T, int N>
__global__ void __launch_bounds__(kThreads)
    dropout_channels_kernel(const T* x, const int64_t* rng, T* y, int packs, int64_t sample, FastDivide positions,
                            FastDivide channels, int64_t number, Rate<accumulator_t<T>> rate) {
  Key key(rng, number);
  for (int i = int(blockIdx.x) * kThreads + int(threadIdx.x); i < packs; i += int(gridDim.x) * kThreads) {
    Pack<T, N> value = load_pack<T, N>(x + int64_t(i) * N);
    int channel;
    int64_t row = sample + positions.quotient(channels.divide(i, channel));
    uint64_t element = (uint64_t(row) * uint64_t(channels.divisor()) + uint64_t(channel)) * N;  // N divides 8: one block decides
    unsigned keep = keep_bits(key, element / kDropoutValues, rate.bound) >> (element % kDropoutValues);
    GRADUS_UNROLL
    for (int j = 0; j < N; j++) {
      value.value[j] = from_accumulator<T>(scaled<accumulator_t<T>>(to_float(value.value[j]), rate.scale, (keep >> j & 1) != 0));
    }
    store_pack<T, N>(y + int64_t(i) * N, value);
  }
}

// Calls f with the width of packs as a constant: 16 bytes, or 1 element where that does not fit.
template <class T, class F>
int with_width(bool packs, F f) {
  return packs ? f(std::integral_constant<int, kPackSize<T>>{}) : f(std::integral_constant<int, 1>{});
}

// As the conversions of Java: saturating, NaN to 0.
int64_t whole(double x) {
  if (!(x > -0x1p63)) return x == x ? INT64_MIN : 0;
  return x < 0x1p63 ? int64_t(x) : INT64_MAX;
}

template <class T, int N, bool Surrounded>
int launch_dropout(const Dropout<T>& p, int64_t rng, int64_t number, int64_t stream) {
  int64_t resident = int64_t(device_traits(stream).processors) * kDropoutBlocks<N, Surrounded>;
  LaunchConfig config(blocks_for(p.n, kThreads * kDropoutValues * kTogether<N, Surrounded>, resident), kThreads);
  return finish(GRADUS_LAUNCH((dropout_kernel<T, N, Surrounded>), config.stream(stream_of(stream)), p,
                              pointer<const int64_t>(rng), number));
}

}  // namespace

extern "C" int gr_random(int32_t kind, int64_t out, int64_t rng, int64_t n, int64_t number, double a, double b, int32_t dtype,
                         int64_t stream) {
  if (kind < kUniform || kind > kInteger) return GR_UNSUPPORTED;
  if (n == 0) return GR_OK;
  Draw d{kind, a, b, whole(a), uint64_t(whole(b)) - uint64_t(whole(a))};
  return with_type<float, double, bfloat16, float16, int32_t, int64_t, uint8_t, bool>(dtype, [&](auto type) {
    using Named = typename decltype(type)::type;
    using T = std::conditional_t<std::is_same_v<Named, bool>, Bool, Named>;
    LaunchConfig config(blocks_for(n, kThreads * kDrawn<T>), kThreads);
    return finish(GRADUS_LAUNCH(random_kernel<T>, config.stream(stream_of(stream)), pointer<T>(out), pointer<const int64_t>(rng),
                                n, number, d, out % 16 == 0));
  });
}

extern "C" int gr_dropout(int64_t x, int64_t rng, int64_t y, int64_t n, int64_t number, double p, int32_t dtype, int64_t stream) {
  if (n == 0) return GR_OK;
  return with_floating(dtype, [&](auto type) {
    using T = typename decltype(type)::type;
    return with_width<T>((x | y) % 16 == 0, [&](auto width) {
      Dropout<T> all{pointer<const T>(x), pointer<T>(y), n, 0, rate_of<T>(p), {}};
      return launch_dropout<T, width(), false>(all, rng, number, stream);
    });
  });
}

extern "C" int gr_dropout_mask(int64_t rng, int64_t mask, int64_t n, int64_t number, double p, int64_t stream) {
  if (n == 0) return GR_OK;
  LaunchConfig config(blocks_for(n, kThreads * 32), kThreads);
  return finish(GRADUS_LAUNCH(dropout_mask_kernel, config.stream(stream_of(stream)), pointer<const int64_t>(rng),
                              pointer<uint32_t>(mask), n, number, rate_of<float>(p).bound));
}

extern "C" int gr_dropout_apply(int64_t x, int64_t mask, int64_t y, int64_t n, double p, int32_t dtype, int64_t stream) {
  if (n == 0) return GR_OK;
  return with_floating(dtype, [&](auto type) {
    using T = typename decltype(type)::type;
    return with_width<T>((x | y) % 16 == 0, [&](auto width) {
      LaunchConfig config(blocks_for(n, kThreads * width()), kThreads);
      return finish(GRADUS_LAUNCH((dropout_apply_kernel<T, width()>), config.stream(stream_of(stream)), pointer<const T>(x),
                                  pointer<const uint32_t>(mask), pointer<T>(y), n, rate_of<T>(p).scale));
    });
  });
}

extern "C" int gr_dropout_channels(int64_t x, int64_t rng, int64_t y, int64_t samples, int64_t positions, int64_t channels,
                                   int64_t number, double p, int32_t dtype, int64_t stream) {
  if (samples == 0 || positions == 0 || channels == 0) return GR_OK;
  return with_floating(dtype, [&](auto type) {
    using T = typename decltype(type)::type;
    return with_width<T>((x | y) % 16 == 0 && channels % kPackSize<T> == 0, [&](auto width) -> int {
      constexpr int N = width();
      int64_t packs = positions * channels / N;  // of a sample
      constexpr int64_t kMaxPacks = int64_t(1) << 30;
      if (packs > kMaxPacks) return GR_UNSUPPORTED;
      int64_t together = kMaxPacks / packs;  // samples of a launch
      for (int64_t first = 0; first < samples; first += together) {
        int64_t count = std::min(together, samples - first) * packs;
        int64_t offset = first * packs * N * int64_t(sizeof(T));
        LaunchConfig config(blocks_for(count, kThreads), kThreads);
        int status = finish(GRADUS_LAUNCH((dropout_channels_kernel<T, N>), config.stream(stream_of(stream)),
                                          pointer<const T>(x + offset), pointer<const int64_t>(rng), pointer<T>(y + offset),
                                          int(count), first, FastDivide(int(positions)), FastDivide(int(channels / N)), number,
                                          rate_of<T>(p)));
        if (status != GR_OK) return status;
      }
      return GR_OK;
    });
  });
}

extern "C" int gr_bias_dropout_residual(int64_t x, int64_t bias, int64_t residual, int64_t rng, int64_t y, int64_t rows,
                                        int64_t cols, int64_t number, double p, int32_t dtype, int64_t stream) {
  if (rows == 0 || cols == 0) return GR_OK;
  return with_floating(dtype, [&](auto type) {
    using T = typename decltype(type)::type;
    return with_width<T>((x | bias | residual | y) % 16 == 0 && cols % kPackSize<T> == 0, [&](auto width) -> int {
      constexpr int N = width();
      constexpr int64_t kMaxElements = int64_t(1) << 30;
      if (8 * cols > kMaxElements) return GR_UNSUPPORTED;
      int64_t together = kMaxElements / (8 * cols) * 8;  // rows of a launch: a whole number of Philox blocks
      for (int64_t first = 0; first < rows; first += together) {
        int64_t n = std::min(together, rows - first) * cols;
        int64_t offset = first * cols * int64_t(sizeof(T));
        Surroundings<T> around{pointer<const T>(bias), residual == 0 ? nullptr : pointer<const T>(residual + offset),
                               FastDivide(int(cols / N))};
        Dropout<T> part{pointer<const T>(x + offset), pointer<T>(y + offset), n, uint64_t(first * cols / kDropoutValues),
                        rate_of<accumulator_t<T>>(p), around};
        int status = launch_dropout<T, N, true>(part, rng, number, stream);
        if (status != GR_OK) return status;
      }
      return GR_OK;
    });
  });
}

}  // namespace gradus
