// How the producer of the Hopper convolution (conv_hopper.h) finds its operands: patches of an image by im2col maps, everything
// else by tiled maps. One slice of K is a box of channels of one tap, or as many pixels; what lies outside of an image, behind the
// last channel, tap or image, arrives as zeros, of both operands, so that no infinity meets a made-up zero but those of the border.
#pragma once

#include "kernels/conv_hopper_plan.h"
#include "kernels/matmul_hopper_pipeline.h"

namespace gradus::conv {

#if GRADUS_SM90A

GRADUS_DEVICE void load_patches(unsigned char* to, const tensor_map& map, int channel, const HopperPatches::Place& at, int offset_w,
                                int offset_h, uint64_t* full, uint16_t ranks) {
  auto w = uint16_t(offset_w), h = uint16_t(offset_h);
  if (ranks == 0) {
    ptx::tma_load_im2col_4d(to, map, channel, at.w, at.h, at.n, w, h, full);
  } else {
    ptx::tma_load_im2col_4d_multicast(to, map, channel, at.w, at.h, at.n, w, h, full, ranks);
  }
}

// A: patches, rows are pixels. B: weights [o, tap, channel], columns are o and lie along K as they do in memory, or are input
// channels, which lie beside each other, unless the weights are transposed.
template <class Config, Major kMajorB>
class PixelLoads {
 public:
  GRADUS_DEVICE PixelLoads(const tensor_map& a, const tensor_map& b, const HopperPatches& patches)
      : a_(a), b_(b), patches_(patches), at_{0, 0, 0}, column_(0) {}
  GRADUS_DEVICE void begin(const HopperUnit&, int row, int column) {
    at_ = patches_.place(row);
    column_ = column;
  }
  GRADUS_DEVICE void load(int slice, unsigned char* to_a, unsigned char* to_b, uint64_t* full, const HopperShare& share) const {
    int box, v;
    int u = patches_.taps_w.divide(patches_.channel_boxes.divide(slice, box), v);
    int channel = box * Config::kDepth;
    load_patches(to_a, a_, channel, at_, v * patches_.step_w, u * patches_.step_h, full, 0);
    int tap = patches_.weight + u * patches_.weight_h + v * patches_.weight_w;
    if constexpr (kMajorB == Major::k) {
      int lines = Config::kN / share.parts * share.part;
      load_box(to_b + lines * Config::kLine, b_, channel, tap, column_ + lines, full, share.ranks);
    } else {
      constexpr int kBoxes = Config::kN / Config::kWide, kBytes = Config::kDepth * Config::kLine;
      for (int i = kBoxes / share.parts * share.part; i < kBoxes / share.parts * (share.part + 1); i++) {
        load_box(to_b + i * kBytes, b_, column_ + i * Config::kWide, tap, channel, full, share.ranks);
      }
    }
  }

 private:
  const tensor_map& a_;
  const tensor_map& b_;
  const HopperPatches& patches_;
  HopperPatches::Place at_;
  int column_;
};

// A: gradY, rows are its channels. B: patches of x, columns are 64 channels of a tap after the others. K are pixels.
template <class Config>
class TapLoads {
 public:
  GRADUS_DEVICE TapLoads(const tensor_map& a, const tensor_map& b, const HopperPatches& patches)
      : a_(a), b_(b), patches_(patches), row_(0), column_(0) {}
  GRADUS_DEVICE void begin(const HopperUnit&, int row, int column) {
    row_ = row;
    column_ = column;
  }
  GRADUS_DEVICE void load(int slice, unsigned char* to_a, unsigned char* to_b, uint64_t* full, const HopperShare& share) const {
    constexpr int kBoxes = Config::kN / Config::kWide, kBytes = Config::kDepth * Config::kLine;
    HopperCopy<Config, Major::mn, Config::kM>::load(to_a, a_, row_, slice, 0, full, {0, 1, 0});
    HopperPatches::Place at = patches_.place(slice * Config::kDepth);
    for (int i = kBoxes / share.parts * share.part; i < kBoxes / share.parts * (share.part + 1); i++) {
      int box, v;
      int tap = patches_.channel_boxes.divide(column_ / Config::kWide + i, box);
      int u = patches_.taps_w.divide(tap, v);
      HopperPatches::Place from = at;
      if (tap >= patches_.taps) from.n = patches_.images, u = v = 0;  // nothing: the image behind the last
      load_patches(to_b + i * kBytes, b_, box * Config::kWide, from, v * patches_.step_w, u * patches_.step_h, full, share.ranks);
    }
  }

 private:
  const tensor_map& a_;
  const tensor_map& b_;
  const HopperPatches& patches_;
  int row_, column_;
};

#endif

}  // namespace gradus::conv
