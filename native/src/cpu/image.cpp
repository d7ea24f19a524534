// Images of bytes to normalised floats, with augmentation on the way. What is random about a sample is drawn once; then every
// output row is gathered as bytes, and normalised by vectors whose lanes repeat the channels.
#include "gradus/image.h"

#include "cpu/norm_lines.h"
#include "device/philox.h"

namespace gradus::cpu {
namespace {

constexpr int64_t kMaxExtent = int64_t(1) << 28;
constexpr int64_t kMaxElements = int64_t(1) << 30;

struct ScalingLines;
struct RowBytes;

// How bytes become values: mean and inverse deviation of a line.
class Scaling {
 public:
  Scaling(int64_t channels, const float* mean, const float* inv_std) : lines_(lines_of<float>(channels)) {
    const int64_t length = padded<float>(lines_.width());
    mean_ = workspace<ScalingLines, float>(2 * length);
    inv_std_ = mean_ + length;
    for (int64_t k = 0; k < channels; k++) {
      mean_[k] = mean == nullptr ? 0 : mean[k];
      inv_std_[k] = inv_std == nullptr ? 1 : inv_std[k];
    }
    repeat(lines_, mean_);
    repeat(lines_, inv_std_);
  }

  template <class T>
  void normalise(const uint8_t* bytes, T* y, int64_t pixels) const {
    for_lines(lines_, 0, pixels, [&](int64_t at, int64_t width) {
      for_vectors<float>(width, [&](int64_t v, auto lanes) {
        Floats value = load_bytes(bytes + at + v, lanes) / 255.0f;
        store_floats_some(y + at + v, (value - load(mean_ + v)) * load(inv_std_ + v), lanes);
      });
    });
  }

 private:
  static GRADUS_INLINE Floats load_bytes(const uint8_t* p, int lanes) {
    typedef uint8_t Bytes __attribute__((vector_size(kLanes)));
    Bytes bytes{};
    memcpy(&bytes, p, size_t(lanes));
    return to_floats(__builtin_convertvector(bytes, Ints));
  }

  Lines lines_;
  float *mean_, *inv_std_;
};

// What a sample's words decide.
struct Decisions {
  Decisions(const gr_augment& a, const int64_t* rng, int64_t sample) {
    PhiloxWords first{}, second{};
    if (rng != nullptr) {
      first = philox(uint64_t(rng[0]), uint64_t(rng[1]) + uint64_t(a.number), 2 * uint64_t(sample));
      second = philox(uint64_t(rng[0]), uint64_t(rng[1]) + uint64_t(a.number), 2 * uint64_t(sample) + 1);
    }
    auto below = [](uint32_t word, int64_t bound) { return int64_t(philox_below(word, uint32_t(bound))); };
    const int64_t spare_h = a.height + 2 * a.padding - a.out_height, spare_w = a.width + 2 * a.padding - a.out_width;
    const int64_t top = a.crop != 0 ? below(first.word[0], spare_h + 1) : spare_h / 2;
    const int64_t left = a.crop != 0 ? below(first.word[1], spare_w + 1) : spare_w / 2;
    row = top - a.padding - (below(first.word[2], 2 * a.translate + 1) - a.translate);
    column = left - a.padding - (below(first.word[3], 2 * a.translate + 1) - a.translate);
    mirrored = a.flip != 0 && second.word[0] >> 31 != 0;
    cut_row = below(second.word[1], a.out_height) - a.cutout / 2;
    cut_column = below(second.word[2], a.out_width) - a.cutout / 2;
  }
  int64_t row, column;  // of the image that output pixel (0, 0) shows, before mirroring
  bool mirrored;
  int64_t cut_row, cut_column;
};

// A coordinate of an image that goes on as its mirror image, the edge not repeated.
int64_t reflected(int64_t i, int64_t extent) {
  if (i < 0) i = -i;
  if (i < extent) return i;
  if (extent == 1) return 0;
  const int64_t period = 2 * (extent - 1);
  i %= period;
  return i < extent ? i : period - i;
}

// Pixels of C channels, or of any number where C is 0, in the opposite order.
template <int C>
void reverse_pixels(const uint8_t* from, uint8_t* to, int64_t pixels, int64_t channels) {
  const int64_t size = C == 0 ? channels : C;
  from += pixels * size;
  for (int64_t j = 0; j < pixels; j++) memcpy(to + j * size, from -= size, size_t(size));
}

// Makes rows of output images.
class Rows {
 public:
  Rows(const gr_augment& a, const Scaling& scaling) : a_(a), scaling_(scaling) {}

  template <class T>
  void make(const uint8_t* image, const Decisions& d, int64_t row, uint8_t* bytes, T* y) const {
    const int64_t c = a_.channels;
    int64_t i = d.row + row;
    if (a_.reflect != 0) i = reflected(i, a_.height);
    if (i < 0 || i >= a_.height) {
      memset(bytes, 0, size_t(a_.out_width * c));
      scaling_.normalise(bytes, y, a_.out_width);
    } else {
      const uint8_t* from = image + i * a_.width * c;
      const bool plain = !d.mirrored && d.column >= 0 && d.column + a_.out_width <= a_.width;
      if (!plain) gather(from, d, bytes);
      scaling_.normalise(plain ? from + d.column * c : bytes, y, a_.out_width);
    }
    const int64_t left = std::max<int64_t>(0, d.cut_column), right = std::min(a_.out_width, d.cut_column + a_.cutout);
    if (row >= d.cut_row && row < d.cut_row + a_.cutout && left < right) {
      memset(static_cast<void*>(y + left * c), 0, size_t((right - left) * c) * sizeof(T));
    }
  }

 private:
  // Output pixels from first on show pixels of the image; those before and from last on do not.
  void gather(const uint8_t* from, const Decisions& d, uint8_t* bytes) const {
    const int64_t c = a_.channels, n = a_.out_width;
    // Positions of the row before mirroring.
    const int64_t first = std::clamp<int64_t>(-d.column, 0, n), last = std::clamp(a_.width - d.column, first, n);
    auto place = [&](int64_t position) { return bytes + (d.mirrored ? n - 1 - position : position) * c; };
    for (int64_t position = 0; position < n; position++) {
      if (position == first) position = last;
      if (position == n) break;
      if (a_.reflect != 0) {
        memcpy(place(position), from + reflected(d.column + position, a_.width) * c, size_t(c));
      } else {
        memset(place(position), 0, size_t(c));
      }
    }
    if (first == last) return;
    const uint8_t* inside = from + (d.column + first) * c;
    if (!d.mirrored) {
      memcpy(place(first), inside, size_t((last - first) * c));
    } else if (c == 1) {
      reverse_pixels<1>(inside, place(last - 1), last - first, c);
    } else if (c == 3) {
      reverse_pixels<3>(inside, place(last - 1), last - first, c);
    } else {
      reverse_pixels<0>(inside, place(last - 1), last - first, c);
    }
  }

  const gr_augment& a_;
  const Scaling& scaling_;
};

}  // namespace
}  // namespace gradus::cpu

using namespace gradus;
using namespace gradus::cpu;

extern "C" int gr_image_augment(int64_t images, int64_t index, int64_t mean, int64_t inv_std, int64_t rng, int64_t y,
                                int64_t augment, int32_t dtype, int64_t) {
  const auto& a = *pointer<const gr_augment>(augment);
  const int64_t row_elements = a.out_width * a.channels, elements = a.out_height * row_elements;
  if (a.batch == 0 || elements == 0) return GR_OK;
  const int64_t largest = std::max({a.height, a.width, a.out_height, a.out_width, a.channels, a.padding, a.translate, a.cutout});
  if (largest >= kMaxExtent || elements > kMaxElements) return GR_UNSUPPORTED;
  return with_type<float, bfloat16, float16>(dtype, [&](auto type) {
    using T = typename decltype(type)::type;
    const Scaling scaling(a.channels, pointer<const float>(mean), pointer<const float>(inv_std));
    const Rows rows(a, scaling);
    const int64_t image_bytes = a.height * a.width * a.channels;
    parallel_for(a.batch * a.out_height, divide_up(kChunkElements, row_elements), [&](int64_t begin, int64_t end) {
      auto* bytes = workspace<RowBytes, uint8_t>(row_elements);
      for (int64_t r = begin; r < end;) {
        const int64_t sample = r / a.out_height, last = std::min(end, (sample + 1) * a.out_height);
        const Decisions decisions(a, pointer<const int64_t>(rng), sample);
        const uint8_t* image = pointer<const uint8_t>(images) + pointer<const int64_t>(index)[sample] * image_bytes;
        for (; r < last; r++) rows.make(image, decisions, r % a.out_height, bytes, pointer<T>(y) + r * row_elements);
      }
    });
    return int(GR_OK);
  });
}

extern "C" int gr_image_normalise(int64_t images, int64_t mean, int64_t inv_std, int64_t y, int64_t pixels, int64_t channels,
                                  int32_t dtype, int64_t) {
  if (pixels == 0 || channels == 0) return GR_OK;
  if (channels >= kMaxExtent) return GR_UNSUPPORTED;
  return with_type<float, bfloat16, float16>(dtype, [&](auto type) {
    using T = typename decltype(type)::type;
    const Scaling scaling(channels, pointer<const float>(mean), pointer<const float>(inv_std));
    const int64_t fold = lines_of<float>(channels).fold, grain = divide_up(kChunkElements, fold * channels) * fold;
    parallel_for(pixels, grain, [&](int64_t begin, int64_t end) {
      scaling.normalise(pointer<const uint8_t>(images) + begin * channels, pointer<T>(y) + begin * channels, end - begin);
    });
    return int(GR_OK);
  });
}
