// Images of bytes to normalised floats, with augmentation on the way. A byte is read and a value written once: 1 + sizeof(T)
// bytes per element. All that is random about a sample is drawn once per block from two blocks of Philox; an output element then
// is one address and three roundings.
#include "gradus/image.h"

#include "device/block.h"
#include "device/convert.h"
#include "device/fast_divide.h"
#include "device/math.h"
#include "device/philox.h"
#include "device/vector.h"
#include "kernels/launcher.h"

namespace gradus {
namespace {

constexpr int kThreads = 256;
constexpr int kPacksOfThread = 4;  // packs that share the drawing of a sample's words
constexpr int64_t kMaxExtent = int64_t(1) << 28;
constexpr int64_t kMaxElements = int64_t(1) << 30;

// How bytes become values; either may be null.
struct Scaling {
  const float* mean;
  const float* inv_std;

  // pixel / 255 by a product, corrected by its remainder: correctly rounded for every byte, in a third of a division's time.
  GRADUS_DEVICE float value(uint8_t pixel, int channel) const {
    constexpr float kStep = 1.0f / 255.0f;
    auto x = float(pixel);
    float q = x * kStep;
    q = __fmaf_rn(__fmaf_rn(-q, 255.0f, x), kStep, q);
    if (mean != nullptr) q -= mean[channel];
    return inv_std != nullptr ? q * inv_std[channel] : q;
  }
};

struct Frame {
  int height, width, out_height, out_width;
  int padding, reflect, crop, flip, translate, cutout;
  int packs;  // of a sample
  FastDivide channels, columns, parts;
};

// What a sample's words decide.
struct Decisions {
  int row, column;  // of the image that output pixel (0, 0) shows, before mirroring
  int mirrored;
  int cut_row, cut_column;
};

// A coordinate of an image that goes on as its mirror image, the edge not repeated.
GRADUS_DEVICE int reflected(int i, int extent) {
  if (i < 0) i = -i;
  if (i < extent) return i;
  if (extent == 1) return 0;
  int period = 2 * (extent - 1);
  i %= period;
  return i < extent ? i : period - i;
}

// Walks the elements of one output image.
class Cursor {
 public:
  GRADUS_DEVICE Cursor(const Frame& frame, const Decisions& decisions, const uint8_t* image, int element)
      : frame_(frame), decisions_(decisions), image_(image) {
    row_ = frame.columns.divide(frame.channels.divide(element, channel_), column_);
    look();
  }
  GRADUS_DEVICE float value(const Scaling& scaling) const {
    return cut_ ? 0.0f : scaling.value(pixel_ != nullptr ? pixel_[channel_] : uint8_t(0), channel_);
  }
  GRADUS_DEVICE void next() {
    if (++channel_ < frame_.channels.divisor()) return;
    channel_ = 0;
    if (++column_ == frame_.out_width) {
      column_ = 0;
      row_++;
    }
    look();
  }

 private:
  GRADUS_DEVICE void look() {
    int below = row_ - decisions_.cut_row, beside = column_ - decisions_.cut_column;
    cut_ = below >= 0 && below < frame_.cutout && beside >= 0 && beside < frame_.cutout;
    int i = decisions_.row + row_;
    int j = decisions_.column + (decisions_.mirrored ? frame_.out_width - 1 - column_ : column_);
    if (frame_.reflect) {
      i = reflected(i, frame_.height);
      j = reflected(j, frame_.width);
    }
    bool inside = i >= 0 && i < frame_.height && j >= 0 && j < frame_.width;
    pixel_ = inside ? image_ + (int64_t(i) * frame_.width + j) * frame_.channels.divisor() : nullptr;
  }

  const Frame& frame_;
  const Decisions& decisions_;
  const uint8_t* image_;
  const uint8_t* pixel_;  // null: black
  int row_, column_, channel_;
  bool cut_;
};

// Zeros where nothing is random.
GRADUS_DEVICE PhiloxWords sample_words(const int64_t* rng, int64_t number, uint64_t block) {
  return rng != nullptr ? philox(uint64_t(rng[0]), uint64_t(rng[1]) + uint64_t(number), block) : PhiloxWords{};
}

// A block makes part of a sample, in packs of N elements.
template <class T, int N>
__global__ void __launch_bounds__(kThreads)
    image_augment_kernel(const uint8_t* __restrict__ images, const int64_t* __restrict__ index, Scaling scaling,
                         const int64_t* __restrict__ rng, T* __restrict__ y, Frame frame, int64_t number) {
  GRADUS_SHARED(Decisions, decisions, [1]);
  int part;
  int sample = frame.parts.divide(int(blockIdx.x), part);
  if (threadIdx.x == 0) {
    PhiloxWords w = sample_words(rng, number, 2 * uint64_t(sample));
    int spare_h = frame.height + 2 * frame.padding - frame.out_height;
    int spare_w = frame.width + 2 * frame.padding - frame.out_width;
    int top = frame.crop ? int(philox_below(w.word[0], unsigned(spare_h) + 1)) : spare_h / 2;
    int left = frame.crop ? int(philox_below(w.word[1], unsigned(spare_w) + 1)) : spare_w / 2;
    int range = 2 * frame.translate + 1;
    int down = int(philox_below(w.word[2], unsigned(range))) - frame.translate;
    int right = int(philox_below(w.word[3], unsigned(range))) - frame.translate;
    decisions[0].row = top - frame.padding - down;
    decisions[0].column = left - frame.padding - right;
  }
  if (threadIdx.x == 32) {  // of another warp, at the same time
    PhiloxWords w = sample_words(rng, number, 2 * uint64_t(sample) + 1);
    decisions[0].mirrored = frame.flip && w.word[0] >> 31;
    decisions[0].cut_row = int(philox_below(w.word[1], unsigned(frame.out_height))) - frame.cutout / 2;
    decisions[0].cut_column = int(philox_below(w.word[2], unsigned(frame.out_width))) - frame.cutout / 2;
  }
  __syncthreads();  // the decisions are made before anyone follows them
  Decisions own = decisions[0];
  const uint8_t* image = images + index[sample] * (int64_t(frame.height) * frame.width * frame.channels.divisor());
  y += int64_t(sample) * frame.packs * N;
  for (int i = part * kThreads + int(threadIdx.x); i < frame.packs; i += frame.parts.divisor() * kThreads) {
    Cursor cursor(frame, own, image, i * N);
    Pack<T, N> pack;
    GRADUS_UNROLL
    for (int j = 0; j < N; j++) {
      if (j > 0) cursor.next();
      pack.value[j] = from_float<T>(cursor.value(scaling));
    }
    store_pack<T, N>(y + int64_t(i) * N, pack);
  }
}

template <class T, int N>
__global__ void __launch_bounds__(kThreads)
    image_normalise_kernel(const uint8_t* __restrict__ images, Scaling scaling, T* __restrict__ y, int packs,
                           FastDivide channels) {
  for (int i = int(blockIdx.x) * kThreads + int(threadIdx.x); i < packs; i += int(gridDim.x) * kThreads) {
    Pack<uint8_t, N> pixels = load_pack<uint8_t, N>(images + int64_t(i) * N);
    Pack<T, N> pack;
    int channel;
    channels.divide(i * N, channel);
    GRADUS_UNROLL
    for (int j = 0; j < N; j++) {
      pack.value[j] = from_float<T>(scaling.value(pixels.value[j], channel));
      if (++channel == channels.divisor()) channel = 0;
    }
    store_pack<T, N>(y + int64_t(i) * N, pack);
  }
}

// Calls f with the width of packs as a constant: 16 bytes, or 1 element where that does not fit.
template <class T, class F>
int with_width(bool packs, F f) {
  return packs ? f(std::integral_constant<int, kPackSize<T>>{}) : f(std::integral_constant<int, 1>{});
}

}  // namespace

extern "C" int gr_image_augment(int64_t images, int64_t index, int64_t mean, int64_t inv_std, int64_t rng, int64_t y,
                                int64_t augment, int32_t dtype, int64_t stream) {
  const auto& a = *pointer<const gr_augment>(augment);
  int64_t elements = a.out_height * a.out_width * a.channels;
  if (a.batch == 0 || elements == 0) return GR_OK;
  int64_t largest = std::max({a.height, a.width, a.out_height, a.out_width, a.channels, a.padding, a.translate, a.cutout});
  if (largest >= kMaxExtent || elements > kMaxElements) return GR_UNSUPPORTED;
  return with_type<float, bfloat16, float16>(dtype, [&](auto type) {
    using T = typename decltype(type)::type;
    return with_width<T>(y % 16 == 0 && elements % kPackSize<T> == 0, [&](auto width) -> int {
      constexpr int N = width();
      Frame frame;
      frame.height = int(a.height);
      frame.width = int(a.width);
      frame.out_height = int(a.out_height);
      frame.out_width = int(a.out_width);
      frame.padding = int(a.padding);
      frame.reflect = a.reflect != 0;
      frame.crop = a.crop != 0;
      frame.flip = a.flip != 0;
      frame.translate = int(a.translate);
      frame.cutout = int(a.cutout);
      frame.packs = int(elements / N);
      frame.channels = FastDivide(int(a.channels));
      frame.columns = FastDivide(frame.out_width);
      frame.parts = FastDivide(int(divide_up(frame.packs, kThreads * kPacksOfThread)));
      int64_t blocks = a.batch * frame.parts.divisor();
      if (blocks >= int64_t(1) << 31) return GR_UNSUPPORTED;
      LaunchConfig config(dim3(unsigned(blocks)), kThreads);
      return finish(GRADUS_LAUNCH((image_augment_kernel<T, N>), config.stream(stream_of(stream)), pointer<const uint8_t>(images),
                                  pointer<const int64_t>(index),
                                  Scaling{pointer<const float>(mean), pointer<const float>(inv_std)}, pointer<const int64_t>(rng),
                                  pointer<T>(y), frame, a.number));
    });
  });
}

extern "C" int gr_image_normalise(int64_t images, int64_t mean, int64_t inv_std, int64_t y, int64_t pixels, int64_t channels,
                                  int32_t dtype, int64_t stream) {
  if (pixels == 0 || channels == 0) return GR_OK;
  if (channels >= kMaxExtent) return GR_UNSUPPORTED;
  return with_type<float, bfloat16, float16>(dtype, [&](auto type) {
    using T = typename decltype(type)::type;
    int64_t n = pixels * channels;
    // Elements of a launch: whole pixels and whole packs.
    int64_t together = std::max<int64_t>(1, kMaxElements / (8 * channels)) * 8 * channels;
    return with_width<T>(images % kPackSize<T> == 0 && y % 16 == 0 && n % kPackSize<T> == 0, [&](auto width) -> int {
      constexpr int N = width();
      for (int64_t first = 0; first < n; first += together) {
        auto packs = int(std::min(together, n - first) / N);
        LaunchConfig config(blocks_for(packs, kThreads), kThreads);
        int status = finish(GRADUS_LAUNCH((image_normalise_kernel<T, N>), config.stream(stream_of(stream)),
                                          pointer<const uint8_t>(images + first),
                                          Scaling{pointer<const float>(mean), pointer<const float>(inv_std)},
                                          pointer<T>(y + first * int64_t(sizeof(T))), packs, FastDivide(int(channels))));
        if (status != GR_OK) return status;
      }
      return GR_OK;
    });
  });
}

}  // namespace gradus
