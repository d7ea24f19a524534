// Convolution backward to the weights: the sum over pixels of windows of x times gradY, by the register tile of the other products
// with its tables exchanged. Chunks take some bands of pixels, some rows of the kernel and some channels; each leaves sums of its
// own, which are added in rising order of pixels when they are turned into the order of the weights. Kernels of 3 x 3 with stride 1
// go another way, see conv_winograd_weight.h.
#include "gradus/conv.h"

#include "cpu/conv_call.h"
#include "cpu/conv_depthwise_weight.h"
#include "cpu/conv_pack.h"
#include "cpu/conv_product.h"
#include "cpu/conv_winograd_weight.h"

namespace gradus::cpu::conv {
namespace {

constexpr int64_t kWeightBandPixels = 128;   // a column of x and a block of gradY stay in the first-level cache
constexpr int64_t kSplitPixels = 512;        // that sums of their own have at least
constexpr int64_t kSplitElements = 1 << 23;  // of all sums, at most
constexpr int64_t kCopyDepth = 96;           // elements of windows for which gradY is worth a copy without gaps
constexpr int64_t kRowElements = 200;        // of a row of the kernel that is a chunk's whole work

// How the product is cut into chunks: by the sizes alone.
template <class A>
struct WeightPlan {
  Bands bands;
  Blocks<A> blocks;
  int64_t split_bands, splits;   // of the bands
  int64_t row_splits;            // of the rows of the kernel: none, or single ones
  int64_t block_splits;          // of the groups' blocks of channels
  int64_t elements;              // of the sums of a split: [group][block][depth][vectors]

  explicit WeightPlan(const Window& w) : bands(w, kWeightBandPixels), blocks(w.group_results()) {
    elements = w.groups * w.depth() * blocks.padded();
    row_splits = w.taps_w * w.group_channels() >= kRowElements ? w.taps_h : 1;
    int64_t most = std::min(w.pixels() / kSplitPixels, kSplitElements / std::max<int64_t>(1, elements));
    int64_t wanted = std::max<int64_t>(1, std::min({most, bands.count(), divide_up(kChunks, row_splits)}));
    split_bands = std::max<int64_t>(1, divide_up(bands.count(), wanted));
    splits = std::max<int64_t>(1, divide_up(bands.count(), split_bands));
    auto by_work = int64_t(double(w.pixels()) * double(elements) / double(splits * row_splits) / kChunkProducts);
    int64_t by_count = kChunks / (splits * row_splits);
    block_splits = std::max<int64_t>(1, std::min({by_work, by_count, w.groups * blocks.count}));
  }

  int64_t chunks() const { return splits * row_splits * block_splits; }
};

template <class T>
class WeightProduct {
 public:
  using A = accumulator_t<T>;
  static constexpr int L = lanes_of<A>;

  WeightProduct(const Window& window, const T* x, const T* grad_y, A* sums)
      : window_(window), x_(x), grad_y_(grad_y), sums_(sums), plan_(window) {}

  // C: the type of the result.
  template <class C>
  int run(C* grad_w, bool accumulate) const {
    std::atomic<bool> failed{false};
    parallel_chunks(plan_.chunks(), [&](int64_t chunk) {
      int64_t blocks = chunk % plan_.block_splits, rest = chunk / plan_.block_splits;
      if (!run_chunk(rest / plan_.row_splits, rest % plan_.row_splits, blocks)) failed = true;
    });
    if (failed) return GR_OUT_OF_MEMORY;
    add_splits(grad_w, accumulate);
    return GR_OK;
  }

 private:
  struct StripMemory;
  struct GradMemory;
  struct PlaceMemory;
  struct TapMemory;

  bool run_chunk(int64_t split, int64_t row, int64_t some_blocks) const {
    Window window = window_;  // of the chunk's rows of the kernel
    const int64_t first_tap = row * window.taps_h / plan_.row_splits;
    window.taps_h = (row + 1) * window_.taps_h / plan_.row_splits - first_tap;
    window.origin_h += first_tap * window.step_h;
    const Strip<T> strip(window, x_, plan_.bands[0], true);
    const int64_t pixels = plan_.bands.pixels(), depth = window.depth(), channels = window.group_channels();
    A* memory = workspace<StripMemory, A>(strip.elements());
    A* grad = workspace<GradMemory, A>(pixels * Blocks<A>::kMost * L);
    int32_t* begins = workspace<PlaceMemory, int32_t>(pixels);
    int64_t* taps = workspace<TapMemory, int64_t>(2 * depth);
    if (memory == nullptr || grad == nullptr || begins == nullptr || taps == nullptr) return false;
    for (int64_t k = 0; k < depth; k++) {
      const int64_t tap = k / channels;
      taps[k] = strip.tap(tap / window.taps_w, tap % window.taps_w, k % channels);
      taps[depth + k] = k;
    }

    const int64_t all = window.groups * plan_.blocks.count;
    A* sums = sums_ + split * plan_.elements;
    const int64_t skip = first_tap * window.taps_w * channels;  // elements of the window before the chunk's
    Band before{};
    for (int64_t i = split * plan_.split_bands; i < std::min((split + 1) * plan_.split_bands, plan_.bands.count()); i++) {
      const Band band = plan_.bands[i];
      if (!band.same_size(before)) locate(band, strip, begins);
      before = band;
      const A* x = strip.of(band, memory);
      for (int64_t b = all * some_blocks / plan_.block_splits; b < all * (some_blocks + 1) / plan_.block_splits; b++) {
        const int64_t group = b / plan_.blocks.count, block = b % plan_.blocks.count;
        A* to = sums + sums_of(group, block) + skip * plan_.blocks.width(block) * L;
        run_block(group, block, band, x + group * channels, begins, taps, depth, grad, to, i > split * plan_.split_bands);
      }
    }
    return true;
  }

  void locate(const Band& band, const Strip<T>& strip, int32_t* begins) const {
    for (int64_t n = 0; n < band.images; n++) {
      for (int64_t i = 0; i < band.rows; i++) {
        for (int64_t j = 0; j < band.columns; j++) *begins++ = int32_t(strip.place(n, i, j));
      }
    }
  }

  // The sums over a band for a block of channels: sums [depth][channels of the group].
  void run_block(int64_t group, int64_t block, const Band& band, const A* x, const int32_t* begins, const int64_t* taps,
                 int64_t depth, A* grad, A* sums, bool add) const {
    const int width = plan_.blocks.width(block);
    const int64_t lanes = plan_.blocks.lanes(block), channel = group * window_.group_results() + plan_.blocks.first(block) * L;
    const A* vectors = grad;
    int64_t pitch = width * L;
    bool whole = false;
    if constexpr (std::is_same_v<T, A>) {
      whole = lanes == width * L && plan_.bands.whole_rows() && (depth < kCopyDepth || window_.results == width * L);
      if (whole) vectors = grad_y_ + pixel(band, 0, 0) * window_.results + channel, pitch = window_.results;
    }
    if (!whole) copy_gradient(band, channel, lanes, width, grad);

    sum_rows<A>({x, taps, begins, band.pixels(), vectors, pitch, kZeros<A>, sums, taps + depth, width * L, add, false},
                depth, width);
  }

  // Where the sums [depth][vectors] of a block begin.
  int64_t sums_of(int64_t group, int64_t block) const {
    return (group * plan_.blocks.padded() + plan_.blocks.first(block) * L) * window_.depth();
  }

  int64_t pixel(const Band& band, int64_t image, int64_t row) const {
    return ((band.image + image) * window_.rows + band.row + row) * window_.columns + band.column;
  }

  void copy_gradient(const Band& band, int64_t channel, int64_t lanes, int width, A* to) const {
    for (int64_t n = 0; n < band.images; n++) {
      for (int64_t i = 0; i < band.rows; i++) {
        const T* from = grad_y_ + pixel(band, n, i) * window_.results + channel;
        for (int64_t j = 0; j < band.columns; j++, from += window_.results, to += width * L) {
          for (int v = 0; v < width; v++) store(to + v * L, load_wide(from + v * L, lanes_left<A>(lanes - v * L)));
        }
      }
    }
  }

  // gradW [o, depth] from the sums of all splits.
  template <class C>
  void add_splits(C* grad_w, bool accumulate) const {
    const int64_t depth = window_.depth(), results = window_.group_results(), across = divide_up(depth, L);
    const int64_t grain = std::max<int64_t>(1, kPackGrain / (L * L * Blocks<A>::kMost * (plan_.splits + 1)));
    parallel_for(window_.groups * plan_.blocks.count * across, grain, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; i++) {
        const int64_t group = i / across / plan_.blocks.count, block = i / across % plan_.blocks.count;
        const int64_t first = plan_.blocks.first(block) * L;
        C* to = grad_w + (group * results + first) * depth + i % across * L;
        const A* from = sums_ + sums_of(group, block) + i % across * L * plan_.blocks.width(block) * L;
        for (int v = 0; v < plan_.blocks.width(block); v++, from += L, to += L * depth) {
          add_square(from, plan_.blocks.width(block) * L, lanes_left<A>(depth - i % across * L),
                     lanes_left<A>(results - first - v * L), to, accumulate);
        }
      }
    });
  }

  // The sums over all splits of `count` elements of the window, for `lanes` channels.
  template <class C>
  void add_square(const A* from, int64_t pitch, int count, int lanes, C* to, bool accumulate) const {
    Vec<A> rows[L];
    for (int r = 0; r < L; r++) rows[r] = r < count ? load(from + r * pitch) : Vec<A>{};
    for (int64_t s = 1; s < plan_.splits; s++) {
      for (int r = 0; r < count; r++) rows[r] += load(from + s * plan_.elements + r * pitch);
    }
    transpose<A>(rows);
    for (int r = 0; r < lanes; r++, to += window_.depth()) {
      if (accumulate) rows[r] += load_wide(to, count);
      store_narrow(to, rows[r], count);
    }
  }

  Window window_;
  const T* x_;
  const T* grad_y_;
  A* sums_;
  WeightPlan<A> plan_;
};

// Nothing to sum over: gradW is 0, or what it was.
template <class C>
int no_pixels(const Sizes& s, C* grad_w) {
  if (!s.accumulate) memset(static_cast<void*>(grad_w), 0, size_t(s.weights()) * sizeof(C));
  return GR_OK;
}

template <class T, class A = accumulator_t<T>>
A* take_sums(Scratch& scratch, const Sizes& s, const Window& w) {
  if (winograd_serves<T>(w)) return scratch.take<A>(WinogradWeight<T>::elements(w));
  if (s.depthwise()) return scratch.take<A>(DepthwiseWeight<A>::elements(w));
  const WeightPlan<A> plan(w);
  return scratch.take<A>(plan.splits * plan.elements);
}

// C: the type of the result.
template <class T, class C>
int backward_weight(const Sizes& s, const T* x, const T* grad_y, C* grad_w, int64_t scratch) {
  if (s.out_pixels() == 0) return no_pixels(s, grad_w);
  const Window window = forward_window(s);
  const bool accumulate = s.accumulate != 0;
  Scratch memory(scratch);
  auto sums = take_sums<T>(memory, s, window);
  if (winograd_serves<T>(window)) return WinogradWeight<T>(window, x, grad_y, sums).run(grad_w, accumulate);
  if (!s.depthwise()) return WeightProduct<T>(window, x, grad_y, sums).run(grad_w, accumulate);
  DepthwiseWeight<T>(window, x, grad_y, sums).run(grad_w, accumulate);
  return GR_OK;
}

}  // namespace
}  // namespace gradus::cpu::conv

using namespace gradus;
using namespace gradus::cpu::conv;

extern "C" int64_t gr_conv2d_backward_weight_scratch(int64_t shape, int32_t dtype, int64_t) {
  return scratch_bytes_of(shape, dtype, [](auto type, const Sizes& s, Scratch& scratch) {
    take_sums<typename decltype(type)::type>(scratch, s, forward_window(s));
  });
}

extern "C" int gr_conv2d_backward_weight(int64_t x, int64_t grad_y, int64_t grad_w, int64_t scratch, int64_t scratch_bytes,
                                         int64_t shape, int32_t dtype, int64_t stream) {
  const int64_t needed = gr_conv2d_backward_weight_scratch(shape, dtype, stream);
  return checked(shape, dtype, scratch_bytes, needed, [&](auto type, const Sizes& s) {
    using T = typename decltype(type)::type;
    if (s.norm_mean != 0) return int(GR_UNSUPPORTED);
    if (s.weights() == 0) return int(GR_OK);
    auto source = pointer<const T>(x), grad = pointer<const T>(grad_y);
    if constexpr (sizeof(T) == 2) {
      if (s.wide_weights != 0) return backward_weight(s, source, grad, pointer<float>(grad_w), scratch);
    }
    return backward_weight(s, source, grad, pointer<T>(grad_w), scratch);
  });
}
