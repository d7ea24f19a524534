// Dropout. The 16-bit values that decide over elements stand in the order of the elements in the words of Philox, which are drawn
// in pieces that stay in the first-level cache. A dropped element is 0 even where x is infinite or NaN.
#include <algorithm>

#include "cpu/element_loops.h"
#include "cpu/simd_philox.h"
#include "cpu/workspace.h"
#include "gradus/random.h"

namespace gradus::cpu {
namespace {

constexpr int64_t kPiece = 1024;     // elements
constexpr int64_t kGrain = 1 << 14;  // a multiple of kPiece
constexpr int64_t kPerBlock = kDropoutValues;

// p as the loops take it. A dropout of 16-bit x multiplies with the scale in that type; where more follows, all of it is in the
// accumulator's.
template <class T>
struct Rate {
  int32_t threshold;
  accumulator_t<T> scale;

  explicit Rate(double p) : threshold(int32_t(std::rint(p * 65536))), scale(to_float(convert<T>(p == 1 ? 0 : 1 / (1 - p)))) {}
};

// The values of elements from `first`, a multiple of eight, to first + n; n is at most kPiece.
class Values {
 public:
  void draw(const PhiloxKey& key, int64_t first, int64_t n) {
    philox_words(key, uint64_t(first / kPerBlock), divide_up(n, kPerBlock), words_);
  }
  // The same while x arrives from memory: drawing takes about as long.
  template <class T>
  void draw_while(const PhiloxKey& key, int64_t first, int64_t n, const T* x) {
    constexpr int64_t kStep = kPhiloxBlocks * kPerBlock, kLine = 64 / int64_t(sizeof(T));
    for (int64_t i = 0; i < n; i += kStep) {
      for (int64_t ahead = i; ahead < i + kStep; ahead += kLine) __builtin_prefetch(x + ahead);
      philox_words(key, uint64_t((first + i) / kPerBlock), kPhiloxBlocks, words_ + i / 2);
    }
  }
  bool keeps(int64_t i, int32_t threshold) const {
    uint16_t value;
    memcpy(&value, at(i), sizeof value);
    return value >= threshold;
  }
  // The lanes kept of kLanes elements from the i-th on.
  GRADUS_INLINE Ints kept(int64_t i, int32_t threshold) const {
    typedef uint16_t Halves __attribute__((vector_size(kVectorBytes / 2)));
    Halves halves;
    memcpy(&halves, at(i), sizeof halves);
    return Ints(__builtin_convertvector(halves, Ints) >= threshold);
  }

 private:
  const char* at(int64_t i) const { return reinterpret_cast<const char*>(words_) + 2 * i; }

  alignas(64) uint32_t words_[kPiece / 2 + 4 * kPhiloxBlocks];
};

GRADUS_INLINE Floats scaled(Floats x, float scale, Ints keep) { return as_floats(as_ints(x * scale) & keep); }

// What surrounds a dropout; either may be null.
template <class T>
struct Surroundings {
  const T* bias;
  const T* residual;
  int64_t cols;
};

template <bool Surrounded, class T>
void dropout(const PhiloxKey& key, const T* x, T* y, int64_t n, Rate<std::conditional_t<Surrounded, accumulator_t<T>, T>> rate,
             Surroundings<T> around) {
  bool past_cache = n * int64_t(sizeof(T)) >= kBeyondCache && x != y && around.residual != y;
  parallel_for(n, kGrain, [&](int64_t begin, int64_t end) {
    Values values;
    for (int64_t first = begin; first < end; first += kPiece) {
      int64_t count = std::min(kPiece, end - first);
      if (past_cache) {
        values.draw_while(key, first, count, x + first);
      } else {
        values.draw(key, first, count);
      }
      // Runs that do not leave a row.
      for (int64_t from = 0; from < count;) {
        int64_t column = Surrounded && around.bias != nullptr ? (first + from) % around.cols : 0;
        int64_t run = Surrounded && around.bias != nullptr ? std::min(count - from, around.cols - column) : count;
        const T *px = x + first + from, *bias = nullptr, *residual = nullptr;
        if (Surrounded && around.bias != nullptr) bias = around.bias + column;
        if (Surrounded && around.residual != nullptr) residual = around.residual + first + from;
        T* py = y + first + from;
        if constexpr (kInFloats<T>) {
          write_floats(py, 0, run, past_cache, [&](int64_t i, int lanes) {
            Floats h = load_floats_some(px + i, lanes);
            if (bias != nullptr) h += load_floats_some(bias + i, lanes);
            h = scaled(h, rate.scale, values.kept(from + i, rate.threshold));
            if (residual != nullptr) h += load_floats_some(residual + i, lanes);
            return h;
          });
        } else {
          for (int64_t i = 0; i < run; i++) {
            double h = px[i] + (bias == nullptr ? 0 : bias[i]);
            h = values.keeps(from + i, rate.threshold) ? h * rate.scale : 0;
            py[i] = h + (residual == nullptr ? 0 : residual[i]);
          }
        }
        from += run;
      }
    }
  });
}

// Bits of 32 elements, the lowest first.
uint32_t mask_word(const Values& values, int64_t first, int32_t threshold) {
  uint32_t word = 0;
  for (int i = 0; i < 32; i += kLanes) word |= bits_of_mask(values.kept(first + i, threshold)) << i;
  return word;
}

void dropout_mask(const PhiloxKey& key, uint32_t* mask, int64_t n, int32_t threshold) {
  parallel_for(n, kGrain, [&](int64_t begin, int64_t end) {
    Values values;
    for (int64_t first = begin; first < end; first += kPiece) {
      int64_t count = std::min(kPiece, end - first);
      values.draw(key, first, count);
      for (int64_t i = 0; i < count; i += 32) {
        uint32_t word = mask_word(values, i, threshold);
        mask[(first + i) / 32] = count - i < 32 ? word & ((1u << (count - i)) - 1) : word;
      }
    }
  });
}

template <class T>
void dropout_apply(const T* x, const uint32_t* mask, T* y, int64_t n, accumulator_t<T> scale) {
  bool past_cache = n * int64_t(sizeof(T)) >= kBeyondCache && x != y;
  parallel_for(n, kCheapGrain, [&](int64_t begin, int64_t end) {
    if constexpr (kInFloats<T>) {
      write_floats(y, begin, end, past_cache, [&](int64_t i, int lanes) {
        // A vector may begin within a word and end in the next, but no lane that counts lies beyond the last.
        uint64_t bits = mask[i / 32];
        if (i % 32 + lanes > 32) bits |= uint64_t(mask[i / 32 + 1]) << 32;
        return scaled(load_floats_some(x + i, lanes), scale, mask_of_bits<Ints>(uint32_t(bits >> (i % 32))));
      });
    } else {
      for (int64_t i = begin; i < end; i++) y[i] = mask[i / 32] >> (i % 32) & 1 ? x[i] * scale : 0;
    }
  });
}

// Every sample's channels are decided over once a chunk, as words that are all ones where the channel is kept.
template <class T>
void dropout_channels(const PhiloxKey& key, const T* x, T* y, int64_t samples, int64_t positions, int64_t channels, Rate<T> rate) {
  int64_t part = std::max<int64_t>(1, kCheapGrain / channels), parts = divide_up(positions, part);
  int64_t grain = std::max<int64_t>(1, kCheapGrain / (std::min(part, positions) * channels));
  parallel_for(samples * parts, grain, [&](int64_t begin, int64_t end) {
    Values values;
    struct Kept;
    int32_t* kept = workspace<Kept, int32_t>(channels + kLanes);
    int64_t known = -1;  // the sample that they are of
    for (int64_t unit = begin; unit < end; unit++) {
      int64_t sample = unit / parts, first = unit % parts * part, last = std::min(positions, first + part);
      if (sample != known) {
        int64_t element = sample * channels, skipped = element % kPerBlock;
        for (int64_t done = 0; done < channels;) {
          int64_t count = std::min(kPiece - skipped, channels - done);
          values.draw(key, element + done - skipped, count + skipped);
          for (int64_t i = 0; i < count; i++) kept[done + i] = values.keeps(skipped + i, rate.threshold) ? -1 : 0;
          done += count;
          skipped = (element + done) % kPerBlock;
        }
        known = sample;
      }
      for (int64_t position = first; position < last; position++) {
        int64_t row = (sample * positions + position) * channels;
        if constexpr (kInFloats<T>) {
          for (int64_t i = 0; i < channels; i += kLanes) {
            int lanes = lanes_left(channels - i);
            store_floats_some(y + row + i, scaled(load_floats_some(x + row + i, lanes), rate.scale, load(kept + i)), lanes);
          }
        } else {
          for (int64_t i = 0; i < channels; i++) y[row + i] = kept[i] != 0 ? x[row + i] * rate.scale : 0;
        }
      }
    }
  });
}

}  // namespace
}  // namespace gradus::cpu

using namespace gradus;

extern "C" int gr_dropout(int64_t x, int64_t rng, int64_t y, int64_t n, int64_t number, double p, int32_t dtype, int64_t) {
  if (n == 0) return GR_OK;
  return with_floating(dtype, [&](auto type) {
    using T = typename decltype(type)::type;
    cpu::dropout<false>(cpu::PhiloxKey(pointer<const int64_t>(rng), number), pointer<const T>(x), pointer<T>(y), n,
                        cpu::Rate<T>(p), cpu::Surroundings<T>{});
    return GR_OK;
  });
}

extern "C" int gr_dropout_mask(int64_t rng, int64_t mask, int64_t n, int64_t number, double p, int64_t) {
  if (n == 0) return GR_OK;
  cpu::dropout_mask(cpu::PhiloxKey(pointer<const int64_t>(rng), number), pointer<uint32_t>(mask), n,
                    cpu::Rate<float>(p).threshold);
  return GR_OK;
}

extern "C" int gr_dropout_apply(int64_t x, int64_t mask, int64_t y, int64_t n, double p, int32_t dtype, int64_t) {
  return with_floating(dtype, [&](auto type) {
    using T = typename decltype(type)::type;
    cpu::dropout_apply(pointer<const T>(x), pointer<const uint32_t>(mask), pointer<T>(y), n, cpu::Rate<T>(p).scale);
    return GR_OK;
  });
}

extern "C" int gr_dropout_channels(int64_t x, int64_t rng, int64_t y, int64_t samples, int64_t positions, int64_t channels,
                                   int64_t number, double p, int32_t dtype, int64_t) {
  if (samples == 0 || positions == 0 || channels == 0) return GR_OK;
  return with_floating(dtype, [&](auto type) {
    using T = typename decltype(type)::type;
    cpu::dropout_channels(cpu::PhiloxKey(pointer<const int64_t>(rng), number), pointer<const T>(x), pointer<T>(y), samples,
                          positions, channels, cpu::Rate<T>(p));
    return GR_OK;
  });
}

extern "C" int gr_bias_dropout_residual(int64_t x, int64_t bias, int64_t residual, int64_t rng, int64_t y, int64_t rows,
                                        int64_t cols, int64_t number, double p, int32_t dtype, int64_t) {
  if (rows == 0 || cols == 0) return GR_OK;
  return with_floating(dtype, [&](auto type) {
    using T = typename decltype(type)::type;
    cpu::dropout<true>(cpu::PhiloxKey(pointer<const int64_t>(rng), number), pointer<const T>(x), pointer<T>(y), rows * cols,
                       cpu::Rate<accumulator_t<T>>(p),
                       cpu::Surroundings<T>{pointer<const T>(bias), pointer<const T>(residual), cols});
    return GR_OK;
  });
}
