// Random numbers: words of Philox in pieces that stay in the first-level cache, and what elements make of them.
#include "gradus/random.h"

#include <algorithm>

#include "cpu/element_loops.h"
#include "cpu/simd_math.h"
#include "cpu/simd_philox.h"
#include "device/math.h"

namespace gradus::cpu {
namespace {

enum RandomKind { kUniform, kNormal, kInteger };  // the ordinals of RandomKind

constexpr int64_t kPiece = 512;  // words

struct Draw {
  int kind;
  double a, b;
  int64_t low;     // of integers
  uint64_t bound;  // of integers above low
};

// The largest number of a type below x.
double next_down(double x) { return std::nextafter(x, -double(INFINITY)); }
float next_down(float x) { return std::nextafterf(x, -float(INFINITY)); }
template <class T>
T next_down(T x) {
  uint16_t bits;
  memcpy(&bits, &x, 2);
  if ((bits & 0x7FFF) == 0) bits = 0x8001;
  else bits = uint16_t(bits & 0x8000 ? bits + 1 : bits - 1);
  memcpy(&x, &bits, 2);
  return x;
}

// philox_uniform by way of a signed integer, which vectors convert in one instruction.
float unit_float(uint32_t word) { return float(int32_t(word >> 8)) * 0x1p-24f; }

// Elements of a uniform draw on [a, b) from numbers on [0, 1): in float64, each operation rounded by itself, and once to the type,
// the same bits everywhere. Rounding may reach the excluded upper bound; the largest value below it takes its place.
template <class T>
void scale_uniform(const Draw& d, double* u, T* out, int64_t n) {
  double width = d.b - d.a;
  for (int64_t i = 0; i < n; i++) u[i] *= width;
  asm volatile("" ::"r"(u) : "memory");  // between product and sum: they must not be fused
  for (int64_t i = 0; i < n; i++) out[i] = convert<T>(d.a + u[i]);
  if constexpr (kIsFloating<T>) {
    if (!(d.a < d.b)) return;
    for (int64_t i = 0; i < n; i++) {
      if (!(double(to_float(out[i])) >= d.b)) continue;
      if constexpr (std::is_same_v<T, double>) out[i] = next_down(d.b);
      else out[i] = next_down(out[i]);
    }
  }
}

template <class T>
void uniform(const Draw& d, const uint32_t* words, T* out, int64_t n) {
  constexpr int64_t kPerElement = std::is_same_v<T, double> ? 2 : 1;
  if constexpr (std::is_same_v<T, float>) {
    if (d.a == 0 && d.b == 1) {  // exact as it stands
      for (int64_t i = 0; i < n; i++) out[i] = unit_float(words[i]);
      return;
    }
  }
  double u[kPiece / kPerElement];
  for (int64_t i = 0; i < n; i++) {
    if constexpr (kPerElement == 2) u[i] = philox_uniform(words[2 * i], words[2 * i + 1]);
    else u[i] = double(unit_float(words[i]));
  }
  scale_uniform(d, u, out, n);
}

// Box and Muller: -2 log u for u = (word + 1/2) / 2^32, near 1 from the distance to 1, which a float holds more precisely; and the
// direction 2 pi (word + 1/2) / 2^32, words of the upper half as negative angles.
template <class T>
void normal_floats(const Draw& d, const uint32_t* words, T* out, int64_t n) {
  constexpr int64_t kPairs = kPiece / 2;
  alignas(kVectorBytes) int32_t first[kPairs], second[kPairs];
  alignas(kVectorBytes) float cosines[kPairs], sines[kPairs], value[kPiece];
  for (int64_t i = 0; i < kPairs; i++) {
    first[i] = int32_t(words[2 * i]);
    second[i] = int32_t(words[2 * i + 1]);
  }
  auto mean = float(d.a), deviation = float(d.b);
  for (int64_t i = 0; i < kPairs; i += kLanes) {
    Ints word = load(first + i);
    auto near_one = word < 0;
    Floats distance = (to_floats(select(near_one, ~word, word)) + 0.5f) * 0x1p-32f;  // to 0, or to 1
    // The logarithm of 1 - distance, which is at least 1/2, needs no power of 2 but the first.
    Floats f;
    Ints k;
    split_power(distance, f, k);
    auto below_root = distance > 0.29289322f;
    Floats near_f = select(below_root, 1.0f - 2.0f * distance, -distance);
    Ints near_k = Ints(below_root);
    Floats logarithm = log_from(select(near_one, near_f, f), to_floats(select(near_one, near_k, k)));
    Floats radius = sqrt(-2.0f * logarithm), sine, cosine;
    sincospi((to_floats(load(second + i)) + 0.5f) * 0x1p-31f, sine, cosine);
    store(cosines + i, mean + deviation * (radius * cosine));
    store(sines + i, mean + deviation * (radius * sine));
  }
  for (int64_t i = 0; i < kPairs; i++) {
    value[2 * i] = cosines[i];
    value[2 * i + 1] = sines[i];
  }
  for (int64_t i = 0; i < n; i += kLanes) store_floats_some(out + i, load(value + i), lanes_left(n - i));
}

template <class T>
void normal_doubles(const Draw& d, const uint32_t* words, T* out, int64_t n) {
  for (int64_t i = 0; i < n; i += 2) {
    double sine, cosine, radius = std::sqrt(-2.0 * std::log((double(words[i]) + 0.5) * 0x1p-32));
    ::sincospi((double(int32_t(words[i + 1])) + 0.5) * 0x1p-31, &sine, &cosine);
    out[i] = convert<T>(d.a + d.b * (radius * cosine));
    if (i + 1 < n) out[i + 1] = convert<T>(d.a + d.b * (radius * sine));
  }
}

template <class T>
void integers(const Draw& d, const uint32_t* words, T* out, int64_t n) {
  for (int64_t i = 0; i < n; i++) {
    uint64_t above = uint64_t(words[i]) * d.bound >> 32;
    out[i] = convert<T>(double(int64_t(uint64_t(d.low) + above)));
  }
}

template <class T>
void random(const PhiloxKey& key, const Draw& d, T* out, int64_t n) {
  int64_t words_each = std::is_same_v<T, double> && d.kind == kUniform ? 2 : 1, piece = kPiece / words_each;
  parallel_for(n, kDearGrain, [&](int64_t begin, int64_t end) {
    alignas(64) uint32_t words[kPiece + 4 * kPhiloxBlocks];
    for (int64_t at = begin; at < end; at += piece) {
      int64_t count = std::min(piece, end - at);
      philox_words(key, uint64_t(at * words_each / 4), (count * words_each + 3) / 4, words);
      if (d.kind == kUniform) uniform(d, words, out + at, count);
      else if (d.kind == kInteger) integers(d, words, out + at, count);
      else if constexpr (kInFloats<T>) normal_floats(d, words, out + at, count);
      else normal_doubles(d, words, out + at, count);
    }
  });
}

// As the conversions of Java: saturating, NaN to 0.
int64_t whole(double x) { return saturate<int64_t>(x); }

}  // namespace
}  // namespace gradus::cpu

using namespace gradus;

extern "C" int gr_random(int32_t kind, int64_t out, int64_t rng, int64_t n, int64_t number, double a, double b, int32_t dtype,
                         int64_t) {
  if (kind < cpu::kUniform || kind > cpu::kInteger) return GR_UNSUPPORTED;
  cpu::Draw d{kind, a, b, cpu::whole(a), uint64_t(cpu::whole(b)) - uint64_t(cpu::whole(a))};
  return cpu::with_any(dtype, [&](auto type) {
    using T = typename decltype(type)::type;
    if (n > 0) cpu::random(cpu::PhiloxKey(pointer<const int64_t>(rng), number), d, pointer<T>(out), n);
    return GR_OK;
  });
}
