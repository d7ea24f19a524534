// Each PTX wrapper against what the PTX ISA says it does.

#include "device/grid.h"
#include "gemm_runs.h"
#include "peek.h"

using namespace gradus;
using namespace gradus::test_kernels;

namespace {

__global__ void cp_async_kernel(const unsigned char* in, unsigned char* out, unsigned char* before) {
  GRADUS_SHARED(unsigned char, line, [32][16]);
  int t = int(threadIdx.x);
  if (t < 8) ptx::cp_async<16>(line[t], in + 16 * t, t * 2);
  else if (t < 16) ptx::cp_async<8>(line[t], in + 16 * t);
  else ptx::cp_async<4>(line[t], in + 16 * t, t % 5);
  ptx::cp_async_commit();
  for (int i = 0; i < 16; i++) before[16 * t + i] = test::peek(&line[t][i]);
  ptx::cp_async_wait<0>();
  for (int i = 0; i < 16; i++) out[16 * t + i] = test::peek(&line[t][i]);
}

TEST(cp_async_sizes_and_zero_fill) {
  alignas(16) unsigned char in[512], out[512], before[512];
  for (int i = 0; i < 512; i++) in[i] = static_cast<unsigned char>(i * 7 % 251);
  RUN(GRADUS_LAUNCH(cp_async_kernel, LaunchConfig(1, 32), in, out, before));
  for (int t = 0; t < 32; t++) {
    int size = t < 8 ? 16 : t < 16 ? 8 : 4;
    int valid = t < 8 ? 2 * t : t < 16 ? 8 : t % 5;
    for (int i = 0; i < 16; i++) {
      CHECK_EQUAL(int(before[16 * t + i]), 255);
      CHECK_EQUAL(int(out[16 * t + i]), i < valid ? int(in[16 * t + i]) : i < size ? 0 : 255);
    }
  }
}

template <int Count, bool Transposed>
__global__ void matrix_kernel(const uint16_t* in, uint32_t* fragments, uint16_t* out) {
  GRADUS_SHARED(uint16_t, source, [32][8]);
  GRADUS_SHARED(uint16_t, target, [32][8]);
  int t = int(threadIdx.x);
  for (int i = 0; i < 8; i++) source[t][i] = in[8 * t + i];
  __syncwarp();  // all rows are there before ldmatrix reads them
  uint32_t f[Count];
  ptx::ldmatrix<Count, Transposed>(f, source[t]);
  for (int j = 0; j < Count; j++) fragments[Count * t + j] = f[j];
  ptx::stmatrix<Count, Transposed>(target[t], f);
  __syncwarp();  // all rows are stored before they are copied out
  for (int i = 0; i < 8; i++) out[8 * t + i] = t < 8 * Count ? target[t][i] : uint16_t(0);
}

template <int Count, bool Transposed>
void check_matrix() {
  std::vector<uint16_t> in(256), out(256);
  std::vector<uint32_t> fragments(32 * Count);
  for (size_t i = 0; i < 256; i++) in[i] = uint16_t(i * 37 + 5);
  RUN(GRADUS_LAUNCH((matrix_kernel<Count, Transposed>), LaunchConfig(1, 32), in.data(), fragments.data(), out.data()));
  for (size_t i = 0; i < size_t(64 * Count); i++) CHECK_EQUAL(out[i], in[i]);
  for (int l = 0; l < 32; l++) {
    for (int j = 0; j < Count; j++) {
      int row = l / 4, pair = l % 4 * 2;
      auto at = [&](int r, int c) { return uint32_t(in[size_t(64 * j + (Transposed ? 8 * c + r : 8 * r + c))]); };
      CHECK_EQUAL(fragments[size_t(Count * l + j)], at(row, pair) | at(row, pair + 1) << 16);
    }
  }
}

TEST(ldmatrix_and_stmatrix) {
  check_matrix<1, false>();
  check_matrix<2, false>();
  check_matrix<4, false>();
  check_matrix<1, true>();
  check_matrix<2, true>();
  check_matrix<4, true>();
}

__global__ void mma_tf32_kernel(const float* a, const float* b, float* d) {
  int l = int(threadIdx.x), g = l / 4, t = l % 4;
  uint32_t fa[4], fb[2];
  for (int i = 0; i < 4; i++) fa[i] = ptx::to_tf32(a[(g + i % 2 * 8) * 8 + t + i / 2 * 4]);
  for (int i = 0; i < 2; i++) fb[i] = ptx::to_tf32(b[(t + 4 * i) * 8 + g]);
  float sum[4] = {1, 1, 1, 1};
  ptx::mma_m16n8k8_tf32(sum, fa, fb);
  for (int i = 0; i < 4; i++) d[(g + i / 2 * 8) * 8 + 2 * t + i % 2] = sum[i];
}

__global__ void to_tf32_kernel(const uint32_t* in, uint32_t* out) {
  out[threadIdx.x] = ptx::to_tf32(bits_to_float(in[threadIdx.x]));
}

TEST(rounding_to_tf32) {
  std::vector<uint32_t> in = {0, 0x80000000, 0x3F800000, 0x3F800FFF, 0x3F801000, 0xBF801000, 0x7F7FFFFF, 0x7F800000, 0xFF800000, 0x7FFFFFFF, ~0u, 0x7F800001};
  std::vector<uint32_t> out(in.size());
  RUN(GRADUS_LAUNCH(to_tf32_kernel, LaunchConfig(1, unsigned(in.size())), in.data(), out.data()));
  std::vector<uint32_t> expected = {0, 0x80000000, 0x3F800000, 0x3F800000, 0x3F802000, 0xBF802000, 0x7F800000, 0x7F800000, 0xFF800000};
  for (size_t i = 0; i < in.size(); i++) {
    if (i < expected.size()) CHECK_EQUAL(out[i], expected[i]);
    else CHECK(std::isnan(bits_to_float(out[i])));
  }
}

TEST(mma_tf32) {
  std::vector<float> a(128), b(64), d(128);
  for (size_t i = 0; i < 128; i++) a[i] = float(int(i * 5 % 13)) - 6;
  for (size_t i = 0; i < 64; i++) b[i] = float(int(i * 3 % 11)) - 4;
  RUN(GRADUS_LAUNCH(mma_tf32_kernel, LaunchConfig(1, 32), a.data(), b.data(), d.data()));
  for (size_t i = 0; i < 16; i++) {
    for (size_t j = 0; j < 8; j++) {
      float sum = 1;
      for (size_t k = 0; k < 8; k++) sum += a[8 * i + k] * b[8 * k + j];
      CHECK_EQUAL(d[8 * i + j], sum);
    }
  }
}

// A box goes in with one swizzle and comes out with the same: the tensor is unchanged but where it is outside.
__global__ void copy_3d_kernel(const __grid_constant__ tensor_map in, const __grid_constant__ tensor_map out, unsigned char* raw, int bytes, int x, int y, int z) {
  GRADUS_DYNAMIC_SHARED(unsigned char, box);
  GRADUS_SHARED(uint64_t, full, [1]);
  if (threadIdx.x == 0) {
    ptx::mbarrier_init(full, 1);
    ptx::fence_mbarrier_init();
    ptx::mbarrier_arrive_expect_tx(full, unsigned(bytes));
    ptx::tma_load_3d(box, in, x, y, z, full);
  }
  __syncthreads();  // the barrier is initialised before anyone waits on it
  ptx::mbarrier_wait(full, 0);
  for (int i = int(threadIdx.x); i < bytes; i += int(blockDim.x)) raw[i] = box[i];
  __syncthreads();  // all have read the box before thread 0 ends
  if (threadIdx.x == 0) {
    ptx::tma_store_3d(out, box, x, y, z);
    ptx::bulk_commit();
    ptx::bulk_wait<0>();
  }
}

TEST(tma_swizzles_and_edges) {
  constexpr int kX = 44, kY = 11, kZ = 3;
  alignas(16) static uint16_t in[kZ][kY][kX + 4], out[kZ][kY][kX + 4];
  for (int mode = 0; mode < 4; mode++) {
    for (auto& plane : in) for (auto& row : plane) for (auto& v : row) v = uint16_t(&v - &in[0][0][0] + 1);
    memset(out, 0, sizeof out);
    uint32_t inner = mode == 0 ? 24 : 8u << mode;
    uint64_t extent[3] = {kX, kY, kZ}, pitch[2] = {(kX + 4) * 2, (kX + 4) * 2 * kY};
    uint32_t box[3] = {inner, 9, 2};
    tensor_map map_in, map_out;
    CHECK_EQUAL(encode_tensor_map(&map_in, TensorMapType::f16, 3, in, extent, pitch, box, TensorMapSwizzle(mode)), std::string());
    CHECK_EQUAL(encode_tensor_map(&map_out, TensorMapType::f16, 3, out, extent, pitch, box, TensorMapSwizzle(mode)), std::string());
    int bytes = int(inner) * 9 * 2 * 2, x = 36, y = -2, z = 2;
    std::vector<unsigned char> raw(size_t(bytes), 0xEE);
    RUN(GRADUS_LAUNCH(copy_3d_kernel, LaunchConfig(1, 64).shared(8192), map_in, map_out, raw.data(), bytes, x, y, z));
    for (int i = 0; i < int(inner) * 9 * 2; i++) {
      int bx = i % int(inner), by = i / int(inner) % 9, bz = i / int(inner) / 9;
      bool inside = x + bx < kX && y + by >= 0 && z + bz < kZ;
      int byte = 2 * i;
      if (mode > 0) byte ^= (byte >> 7 & ((1 << mode) - 1)) << 4;
      int value = raw[size_t(byte)] | raw[size_t(byte + 1)] << 8;
      CHECK_EQUAL(value, inside ? int(in[z][y + by][x + bx]) : 0);
    }
    for (int i = 0; i < kZ; i++) for (int j = 0; j < kY; j++) for (int k = 0; k < kX + 4; k++) {
      bool stored = i == 2 && j < 7 && k >= 36 && k < kX && k < 36 + int(inner);
      CHECK_EQUAL(out[i][j][k], stored ? in[i][j][k] : uint16_t(0));
    }
  }
}

TEST(tensor_maps_are_checked) {
  alignas(16) static float x[64];
  uint64_t extent[2] = {8, 8}, pitch[1] = {32}, odd[1] = {36};
  uint32_t box[2] = {8, 8}, wide[2] = {64, 1};
  tensor_map map;
  CHECK_CONTAINS(encode_tensor_map(&map, TensorMapType::f32, 2, x + 1, extent, pitch, box, TensorMapSwizzle::none), "multiple of 16");
  CHECK_CONTAINS(encode_tensor_map(&map, TensorMapType::f32, 2, x, extent, odd, box, TensorMapSwizzle::none), "pitch 0");
  CHECK_CONTAINS(encode_tensor_map(&map, TensorMapType::f32, 2, x, extent, pitch, wide, TensorMapSwizzle::bytes128), "wider than the swizzle");
}

__global__ void im2col_kernel(const __grid_constant__ tensor_map in, unsigned char* raw, int bytes, int channel, int w, int h, int n, int offset_w, int offset_h) {
  GRADUS_DYNAMIC_SHARED(unsigned char, box);
  GRADUS_SHARED(uint64_t, full, [1]);
  if (threadIdx.x == 0) {
    ptx::mbarrier_init(full, 1);
    ptx::fence_mbarrier_init();
    ptx::mbarrier_arrive_expect_tx(full, unsigned(bytes));
    ptx::tma_load_im2col_4d(box, in, channel, w, h, n, uint16_t(offset_w), uint16_t(offset_h), full);
  }
  __syncthreads();  // the barrier is initialised before anyone waits on it
  ptx::mbarrier_wait(full, 0);
  for (int i = int(threadIdx.x); i < bytes; i += int(blockDim.x)) raw[i] = box[i];
}

struct Images {
  static constexpr int kN = 3, kH = 5, kW = 7, kChannels = 24;
  alignas(16) uint16_t data[kN][kH][kW][kChannels];
  uint64_t extent[4] = {kChannels, kW, kH, kN}, pitch[3] = {kChannels * 2, kW * kChannels * 2, kH * kW * kChannels * 2};
  Images() {
    for (auto& image : data) for (auto& row : image) for (auto& pixel : row) for (auto& v : pixel) v = uint16_t(&v - &data[0][0][0][0] + 1);
  }
};

// Every tap of a convolution, from a pixel in the middle of a row on, over the ends of rows and images: what the definition of a
// convolution says, y[n, i, j] from x[n, i stride + tap dilation - pad, ...].
TEST(tma_im2col) {
  static Images x;
  struct Window { int kernel, stride, pad, dilation; };
  for (auto [kernel, stride, pad, dilation] : {Window{3, 1, 1, 1}, {3, 2, 1, 1}, {1, 2, 0, 1}, {3, 1, 2, 2}, {2, 3, 0, 1}, {1, 1, 3, 1}}) {
    for (int mode : {0, 2, 3}) {
      int reach = dilation * (kernel - 1) + 1;
      int oh = (Images::kH + 2 * pad - reach) / stride + 1, ow = (Images::kW + 2 * pad - reach) / stride + 1;
      Im2colBox box{{-pad, -pad}, {(ow - 1) * stride + 1 - Images::kW - pad, (oh - 1) * stride + 1 - Images::kH - pad},
                    {uint32_t(stride), uint32_t(stride)}, mode == 0 ? 24u : 8u << mode, 40};
      tensor_map map;
      CHECK_EQUAL(encode_im2col_map(&map, TensorMapType::f16, x.data, x.extent, x.pitch, box, TensorMapSwizzle(mode)), std::string());
      int bytes = int(box.channels * box.pixels) * 2, first = oh * ow - 3, channel = mode == 0 ? 0 : 8;
      for (int tap = 0; tap < kernel * kernel; tap++) {
        int u = tap / kernel * dilation, v = tap % kernel * dilation;
        std::vector<unsigned char> raw(size_t(bytes), 0xEE);
        int n = first / (oh * ow), i = first / ow % oh, j = first % ow;
        RUN(GRADUS_LAUNCH(im2col_kernel, LaunchConfig(1, 64).shared(8192), map, raw.data(), bytes, channel, j * stride - pad, i * stride - pad, n, v, u));
        for (int p = 0; p < int(box.pixels); p++) {
          int image = (first + p) / (oh * ow), row = (first + p) / ow % oh * stride - pad + u, column = (first + p) % ow * stride - pad + v;
          bool inside = image < Images::kN && row >= 0 && row < Images::kH && column >= 0 && column < Images::kW;
          for (int c = 0; c < int(box.channels); c++) {
            int byte = 2 * (p * int(box.channels) + c);
            if (mode > 0) byte ^= (byte >> 7 & ((1 << mode) - 1)) << 4;
            bool exists = inside && channel + c < Images::kChannels;
            CHECK_EQUAL(raw[size_t(byte)] | raw[size_t(byte + 1)] << 8, exists ? int(x.data[image][row][column][channel + c]) : 0);
          }
        }
      }
    }
  }
}

TEST(im2col_maps_are_checked) {
  static Images x;
  tensor_map map;
  auto refused = [&](const Im2colBox& box, TensorMapSwizzle swizzle = TensorMapSwizzle::none) {
    std::string reason = encode_im2col_map(&map, TensorMapType::f16, x.data, x.extent, x.pitch, box, swizzle);
    int none[2] = {};
    if (swizzle == TensorMapSwizzle::none && box.channels % 8 == 0) CHECK_EQUAL(box.fits(&x.extent[1], none), reason.empty());
    return reason;
  };
  CHECK_EQUAL(refused({{-128, -1}, {127, 0}, {8, 1}, 24, 1024}), std::string());
  CHECK_CONTAINS(refused({{-129, 0}, {0, 0}, {1, 1}, 24, 64}), "corner -129");
  CHECK_CONTAINS(refused({{0, 0}, {0, 128}, {1, 1}, 24, 64}), "corner 128");
  CHECK_CONTAINS(refused({{0, 0}, {0, 0}, {1, 9}, 24, 64}), "step 1");
  CHECK_CONTAINS(refused({{0, 0}, {0, 0}, {0, 1}, 24, 64}), "step 0");
  CHECK_CONTAINS(refused({{3, 0}, {-4, 0}, {1, 1}, 24, 64}), "must not be empty");
  CHECK_CONTAINS(refused({{0, 0}, {0, 0}, {1, 1}, 264, 64}), "channels");
  CHECK_CONTAINS(refused({{0, 0}, {0, 0}, {1, 1}, 24, 1025}), "pixels");
  CHECK_CONTAINS(refused({{0, 0}, {0, 0}, {1, 1}, 20, 64}), "multiple of 16");
  CHECK_CONTAINS(refused({{0, 0}, {0, 0}, {1, 1}, 64, 64}, TensorMapSwizzle::bytes64), "wider than the swizzle");
  int wide[2] = {0, 256};
  CHECK(!(Im2colBox{{0, 0}, {0, 0}, {1, 1}, 24, 64}).fits(&x.extent[1], wide));
  auto fails = [&](const tensor_map& used, int w, int offset, const char* words) {
    std::vector<unsigned char> raw(3072);
    CHECK(GRADUS_LAUNCH(im2col_kernel, LaunchConfig(1, 64).shared(8192), used, raw.data(), 3072, 0, w, 0, 0, offset, 0) != 0);
    CHECK_CONTAINS(emulator::last_error(), words);
  };
  CHECK_EQUAL(refused({{-1, 0}, {-2, 0}, {1, 1}, 24, 64}), std::string());
  fails(map, 6, 0, "bounding box");
  fails(map, -2, 0, "bounding box");
  fails(map, 0, 256, "offset 256");
  fails(make_map(TensorMapType::f16, x.data, 64, 24, 64, 24, TensorMapSwizzle::none), 0, 0, "not an im2col map");
}

// One block of two gathers for both.
__global__ void im2col_multicast_kernel(const __grid_constant__ tensor_map map, uint16_t* out) {
  GRADUS_SHARED_ALIGNED(128, uint16_t, box, [16 * 24]);
  GRADUS_SHARED(uint64_t, full, [1]);
  if (threadIdx.x == 0) {
    ptx::mbarrier_init(full, 1);
    ptx::fence_mbarrier_init();
    ptx::mbarrier_arrive_expect_tx(full, sizeof box);
  }
  cluster_sync();  // every block's barrier expects its bytes
  if (threadIdx.x == 0 && ptx::cluster_rank() == 1) ptx::tma_load_im2col_4d_multicast(box, map, 0, 2, 1, 0, 1, 0, full, 3);
  ptx::mbarrier_wait(full, 0);
  for (int i = int(threadIdx.x); i < 16 * 24; i += 32) out[blockIdx.x * 16 * 24 + i] = box[i];
  cluster_sync();  // no block exits while a copy to it is on its way
}

TEST(tma_im2col_multicast) {
  static Images x;
  tensor_map map;
  Im2colBox box{{0, 0}, {-1, 0}, {1, 1}, 24, 16};
  CHECK_EQUAL(encode_im2col_map(&map, TensorMapType::f16, x.data, x.extent, x.pitch, box, TensorMapSwizzle::none), std::string());
  std::vector<uint16_t> out(2 * 16 * 24);
  RUN(GRADUS_LAUNCH(im2col_multicast_kernel, LaunchConfig(2, 32).cluster(2), map, out.data()));
  for (int i = 0; i < int(out.size()); i++) {
    int pixel = 1 * 6 + 2 + i / 24 % 16;  // of rows of 6: the last pixel of a row is no place of tap 0
    CHECK_EQUAL(out[size_t(i)], x.data[0][pixel / 6][pixel % 6 + 1][i % 24]);
  }
}

__global__ void multicast_kernel(const __grid_constant__ tensor_map map, float* out) {
  GRADUS_SHARED_ALIGNED(128, float, box, [32]);
  GRADUS_SHARED(uint64_t, full, [1]);
  if (threadIdx.x == 0) {
    ptx::mbarrier_init(full, 2);
    ptx::fence_mbarrier_init();
    ptx::mbarrier_arrive_expect_tx(full, 128);
  }
  cluster_sync();  // every block's barrier expects its bytes
  if (threadIdx.x == 0 && ptx::cluster_rank() == 0) ptx::tma_load_2d_multicast(box, map, 0, 0, full, 3);
  if (threadIdx.x == 0) ptx::mbarrier_arrive_remote(full, ptx::cluster_rank() ^ 1);
  ptx::mbarrier_wait(full, 0);
  out[blockIdx.x * 32 + threadIdx.x] = box[threadIdx.x];
  cluster_sync();  // no block exits while a peer's arrival or copy is on its way
}

TEST(tma_multicast_and_remote_arrival) {
  alignas(16) static float x[32];
  for (int i = 0; i < 32; i++) x[i] = float(i) + 0.5f;
  tensor_map map = make_map(TensorMapType::f32, x, 1, 32, 1, 32, TensorMapSwizzle::none);
  std::vector<float> out(64);
  RUN(GRADUS_LAUNCH(multicast_kernel, LaunchConfig(2, 32).cluster(2), map, out.data()));
  for (size_t i = 0; i < 64; i++) CHECK_EQUAL(out[i], x[i % 32]);
}

// One wgmma on operands that every thread writes itself, in the canonical layout of the descriptor.
// Source of the layouts: PTX ISA, "Strides", in units of 16 bytes.
template <class T, int N, int Width, bool TransposeA, bool TransposeB, bool ARegisters = false>
__global__ void wgmma_kernel(const float* a, const float* b, float* d) {
  constexpr bool kTf32 = std::is_same_v<T, ptx::tf32>;
  constexpr int kBytes = kTf32 ? 4 : 2, kDepth = 32 / kBytes, kPiece = 16 / kBytes;
  constexpr auto kMode = Width == 16 ? ptx::MatrixSwizzle::none : Width == 32 ? ptx::MatrixSwizzle::bytes32
                         : Width == 64 ? ptx::MatrixSwizzle::bytes64 : ptx::MatrixSwizzle::bytes128;
  GRADUS_DYNAMIC_SHARED(unsigned char, memory);
  unsigned char* memory_b = memory + 32768;
  auto offset = [](int mn, int k, bool transpose) {
    if (Width == 16) {  // core matrices of 8 rows of 16 bytes: 128 bytes each; along MN 128 bytes apart, along K 4096
      return transpose ? mn / kPiece * 128 + mn % kPiece * kBytes + k / 8 * 4096 + k % 8 * 16 : mn / 8 * 128 + mn % 8 * 16 + k / kPiece * 4096 + k % kPiece * kBytes;
    }
    constexpr int kRow = Width / kBytes;
    int linear = transpose ? mn / kRow * 4096 + mn % kRow * kBytes + k % 8 * Width + k / 8 * (8 * Width) : mn / 8 * (8 * Width) + mn % 8 * Width + k * kBytes;
    int bits = Width == 32 ? 1 : Width == 64 ? 3 : 7;
    return linear ^ (linear >> 7 & bits) << 4;
  };
  auto put = [](unsigned char* to, float x) {
    if constexpr (kTf32) {
      *reinterpret_cast<float*>(to) = x;
    } else {
      *reinterpret_cast<T*>(to) = from_float<T>(x);
    }
  };
  int t = int(threadIdx.x);
  for (int i = t; i < 64 * kDepth; i += 128) put(memory + offset(i / kDepth, i % kDepth, TransposeA), a[i]);
  for (int i = t; i < N * kDepth; i += 128) put(memory_b + offset(i / kDepth, i % kDepth, TransposeB), b[i]);
  ptx::fence_proxy_async();
  __syncthreads();  // the operands are complete before wgmma reads them
  auto describe = [&](unsigned char* p, bool transpose) {
    uint32_t group = Width == 16 ? 128 : 8 * Width;
    uint32_t leading = 4096;
    (void)transpose;
    return ptx::matrix_descriptor(ptx::shared_address(p), leading, group, kMode);
  };
  float sum[N / 2];
  for (float& s : sum) s = 2;
  uint32_t fragment[4];
  for (int i = 0; i < 4; i++) {
    int row = t / 32 * 16 + t % 32 / 4 + i % 2 * 8, column = (t % 4 * 4 + i / 2 * 16) / kBytes;
    fragment[i] = 0;
    for (int j = 0; j < 4 / kBytes; j++) {
      float x = a[row * kDepth + column + j];
      if constexpr (kTf32) {
        fragment[i] = ptx::to_tf32(x);
      } else {
        fragment[i] |= uint32_t(from_float<T>(x).bits) << (16 * j);
      }
    }
  }
  ptx::wgmma_fence();
  if constexpr (ARegisters) {
    ptx::wgmma_a_registers<N, T, TransposeB>(sum, fragment, describe(memory_b, TransposeB), true);
  } else {
    ptx::wgmma<N, T, TransposeA, TransposeB>(sum, describe(memory, TransposeA), describe(memory_b, TransposeB), true);
  }
  ptx::wgmma_commit();
  ptx::wgmma_wait<0>();
  for (int i = 0; i < N / 2; i++) {
    int row = t / 32 * 16 + t % 32 / 4 + i % 4 / 2 * 8, column = i / 4 * 8 + t % 4 * 2 + i % 2;
    d[row * N + column] = sum[i];
  }
}

template <class T, int N, int Width, bool TransposeA, bool TransposeB, bool ARegisters = false>
void check_wgmma() {
  constexpr int kDepth = std::is_same_v<T, ptx::tf32> ? 8 : 16;
  std::vector<float> a(64 * kDepth), b(size_t(N * kDepth)), d(size_t(64 * N), NAN);
  for (size_t i = 0; i < a.size(); i++) a[i] = float(int(i * 7 % 19)) - 9;
  for (size_t i = 0; i < b.size(); i++) b[i] = float(int(i * 5 % 23)) - 11;
  RUN(GRADUS_LAUNCH((wgmma_kernel<T, N, Width, TransposeA, TransposeB, ARegisters>), LaunchConfig(1, 128).shared(65536), a.data(), b.data(), d.data()));
  for (size_t i = 0; i < 64; i++) {
    for (size_t j = 0; j < size_t(N); j++) {
      float sum = 2;
      for (size_t k = 0; k < kDepth; k++) sum += a[i * kDepth + k] * b[j * kDepth + k];
      CHECK_EQUAL(d[i * size_t(N) + j], sum);
    }
  }
}

TEST(wgmma_k_major_swizzles) {
  check_wgmma<bfloat16, 64, 128, false, false>();
  check_wgmma<bfloat16, 16, 64, false, false>();
  check_wgmma<float16, 128, 32, false, false>();
  check_wgmma<float16, 32, 16, false, false>();
  check_wgmma<ptx::tf32, 64, 128, false, false>();
  check_wgmma<ptx::tf32, 256, 16, false, false>();
}

TEST(wgmma_with_a_in_registers) {
  check_wgmma<bfloat16, 64, 128, false, false, true>();
  check_wgmma<bfloat16, 16, 64, false, true, true>();
  check_wgmma<float16, 96, 32, false, false, true>();
  check_wgmma<ptx::tf32, 32, 128, false, false, true>();
}

TEST(wgmma_mn_major_swizzles) {
  check_wgmma<bfloat16, 64, 128, true, true>();
  check_wgmma<bfloat16, 128, 64, false, true>();
  check_wgmma<bfloat16, 96, 32, true, false>();
}

// Twice the line, through shared memory, by bulk copies.
__global__ void bulk_kernel(const float* x, float* y, unsigned bytes) {
  GRADUS_SHARED_ALIGNED(128, float, line, [512]);
  GRADUS_SHARED(uint64_t, full, [1]);
  if (threadIdx.x == 0) {
    ptx::mbarrier_init(full, 1);
    ptx::fence_mbarrier_init();
    ptx::mbarrier_arrive_expect_tx(full, bytes);
    ptx::bulk_load(line, x, bytes, full);
  }
  __syncthreads();  // the barrier is initialised before anyone waits on it
  ptx::mbarrier_wait(full, 0);
  for (unsigned i = threadIdx.x; i < bytes / 4; i += blockDim.x) line[i] *= 2;
  ptx::fence_proxy_async();
  __syncthreads();  // the line is doubled before one thread stores it
  if (threadIdx.x == 0) {
    ptx::bulk_store(y, line, bytes);
    ptx::bulk_commit();
    ptx::bulk_wait<0>();
  }
}

TEST(bulk_copies_of_bytes_in_a_row) {
  alignas(16) static float x[512], y[512];
  for (int i = 0; i < 512; i++) x[i] = float(i);
  for (unsigned bytes : {16u, 1200u, 2048u}) {
    for (float& v : y) v = -1;
    RUN(GRADUS_LAUNCH(bulk_kernel, LaunchConfig(1, 64), x, y, bytes));
    for (unsigned i = 0; i < 512; i++) CHECK_EQUAL(y[i], i < bytes / 4 ? 2 * x[i] : -1);
  }
  CHECK(GRADUS_LAUNCH(bulk_kernel, LaunchConfig(1, 64), x, y, 24u) != 0);
  CHECK_CONTAINS(emulator::last_error(), "a multiple of 16 bytes");
  CHECK(GRADUS_LAUNCH(bulk_kernel, LaunchConfig(1, 64), x + 1, y, 32u) != 0);
  CHECK_CONTAINS(emulator::last_error(), "the global address is not aligned");
}

// A warp of producers fills two stages by cp.async, a warp of consumers waits for their barriers.
__global__ void async_arrival_kernel(const float* x, float* y) {
  GRADUS_SHARED(float, line, [2][32]);
  GRADUS_SHARED(uint64_t, full, [2]);
  int t = int(threadIdx.x) % 32;
  if (threadIdx.x == 0) {
    for (int s = 0; s < 2; s++) ptx::mbarrier_init(&full[s], 32);
  }
  __syncthreads();  // the barriers are initialised before anyone arrives
  if (threadIdx.x < 32) {
    for (int s = 0; s < 2; s++) {
      ptx::cp_async<4>(&line[s][t], x + 32 * s + t);
      ptx::cp_async_mbarrier_arrive(&full[s]);
    }
    ptx::mbarrier_wait(&full[1], 0);
  } else {
    for (int s = 0; s < 2; s++) {
      ptx::mbarrier_wait(&full[s], 0);
      y[32 * s + t] = test::peek(&line[s][31 - t]);
    }
  }
}

TEST(cp_async_arrives_at_an_mbarrier) {
  std::vector<float> x(64), y(64);
  for (size_t i = 0; i < 64; i++) x[i] = float(i);
  RUN(GRADUS_LAUNCH(async_arrival_kernel, LaunchConfig(1, 64), x.data(), y.data()));
  for (size_t i = 0; i < 64; i++) CHECK_EQUAL(y[i], x[i / 32 * 32 + 31 - i % 32]);
}

__global__ void cluster_shape_kernel(unsigned* out) {
  GRADUS_SHARED(unsigned, own, [1]);
  own[0] = blockIdx.x + 16 * blockIdx.y + 256 * blockIdx.z;
  cluster_sync();  // every block's word is written before its neighbour reads it
  unsigned rank = ptx::cluster_rank();
  unsigned linear = blockIdx.x + gridDim.x * (blockIdx.y + gridDim.y * blockIdx.z);
  out[2 * linear] = rank;
  out[2 * linear + 1] = *static_cast<unsigned*>(ptx::map_shared(own, (rank + 1) % ptx::cluster_size()));
  cluster_sync();  // no block exits while its neighbour reads its word
}

TEST(clusters_along_every_axis) {
  dim3 grid(4, 6, 2), cluster(2, 2, 2);
  std::vector<unsigned> out(2 * 4 * 6 * 2);
  RUN(GRADUS_LAUNCH(cluster_shape_kernel, LaunchConfig(grid, 1).cluster(cluster), out.data()));
  for (unsigned i = 0; i < 48; i++) {
    unsigned x = i % 4, y = i / 4 % 6, z = i / 24;
    unsigned rank = x % 2 + 2 * (y % 2) + 4 * z, next = (rank + 1) % 8;
    CHECK_EQUAL(out[2 * i], rank);
    CHECK_EQUAL(out[2 * i + 1], x / 2 * 2 + next % 2 + 16 * (y / 2 * 2 + next / 2 % 2) + 256 * (next / 4));
  }
  CHECK(GRADUS_LAUNCH(cluster_shape_kernel, LaunchConfig(dim3(4, 5), 1).cluster(dim3(1, 2)), out.data()) != 0);
  CHECK_CONTAINS(emulator::last_error(), "divide the grid");
}

__global__ void uncovered_kernel(bool fence, int base_offset) {
  GRADUS_DYNAMIC_SHARED(unsigned char, memory);
  for (unsigned i = threadIdx.x; i < 4096; i += blockDim.x) memory[i] = 0;
  __syncthreads();  // the operands are written before they are multiplied
  float sum[8] = {};
  uint64_t d = ptx::matrix_descriptor(ptx::shared_address(memory), 16, 1024, ptx::MatrixSwizzle::bytes128);
  if (fence) ptx::wgmma_fence();
  ptx::wgmma<16, bfloat16>(sum, d | uint64_t(base_offset) << 49, d, false);
  ptx::wgmma_commit();
  ptx::wgmma_wait<0>();
}

TEST(what_a_model_does_not_cover_fails) {
  CHECK(GRADUS_LAUNCH(uncovered_kernel, LaunchConfig(1, 128).shared(4096), false, 0) != 0);
  CHECK_CONTAINS(emulator::last_error(), "without a wgmma fence");
  CHECK(GRADUS_LAUNCH(uncovered_kernel, LaunchConfig(1, 128).shared(4096), true, 1) != 0);
  CHECK_CONTAINS(emulator::last_error(), "base offset");
  CHECK_CONTAINS(emulator::last_error(), "wrapper_test.cpp:");
  CHECK(GRADUS_LAUNCH(uncovered_kernel, LaunchConfig(1, 64).shared(4096), true, 0) != 0);
  CHECK_CONTAINS(emulator::last_error(), "multiple of 128");
}

}  // namespace
