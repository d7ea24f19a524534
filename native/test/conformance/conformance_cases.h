// Kernels around each PTX wrapper, and the list of cases. Included by one source for the emulator and one for hardware, which name
// the function that returns the list. The body of a kernel that needs sm_90a is left out elsewhere.
#include <cstdlib>
#include <cstring>

#include "conformance.h"
#include "device/grid.h"
#include "device/math.h"
#include "device/philox.h"
#include "device/ptx/exp2.h"
#include "gemm_kernels.h"

namespace gradus::conformance_kernels {

using conformance::Case;
using conformance::Compare;
using conformance::Input;

constexpr int kWarp = 32;

template <int Bytes>
__global__ void cp_async_kernel(const unsigned char* in, unsigned char* out) {
  GRADUS_SHARED(unsigned char, line, [32][16]);
  int t = int(threadIdx.x);
  ptx::cp_async<Bytes>(line[t], in + 16 * t, t % (Bytes + 1));
  ptx::cp_async_commit();
  ptx::cp_async_wait<0>();
  for (int i = 0; i < Bytes; i++) out[16 * t + i] = line[t][i];
}

template <int Count, bool Transposed>
__global__ void ldmatrix_kernel(const uint16_t* in, uint32_t* out) {
  GRADUS_SHARED(uint16_t, source, [32][8]);
  int t = int(threadIdx.x);
  for (int i = 0; i < 8; i++) source[t][i] = in[8 * t + i];
  __syncwarp();  // all rows are there before ldmatrix reads them
  uint32_t f[Count];
  ptx::ldmatrix<Count, Transposed>(f, source[t]);
  for (int j = 0; j < Count; j++) out[Count * t + j] = f[j];
}

template <int Count, bool Transposed>
__global__ void stmatrix_kernel(const uint32_t* in, uint16_t* out) {
#if GRADUS_SM90A
  GRADUS_SHARED(uint16_t, target, [32][8]);
  int t = int(threadIdx.x);
  uint32_t f[Count];
  for (int j = 0; j < Count; j++) f[j] = in[Count * t + j];
  ptx::stmatrix<Count, Transposed>(target[t], f);
  __syncwarp();  // all rows are stored before they are copied out
  for (int i = 0; i < 8 && t < 8 * Count; i++) out[8 * t + i] = target[t][i];
#endif
}

template <class T>
__global__ void mma_kernel(const uint32_t* in, float* out) {
  int t = int(threadIdx.x);
  uint32_t a[4], b[2];
  for (int i = 0; i < 4; i++) a[i] = in[6 * t + i];
  for (int i = 0; i < 2; i++) b[i] = in[6 * t + 4 + i];
  float sum[4] = {0.5f, 1, 1.5f, 2};
  if constexpr (std::is_same_v<T, float>) ptx::mma_m16n8k8_tf32(sum, a, b);
  else ptx::mma_m16n8k16(T{}, sum, a, b);
  for (int i = 0; i < 4; i++) out[4 * t + i] = sum[i];
}

constexpr int kFloats = 1 << 16;

__global__ void to_tf32_kernel(const float* in, uint32_t* out) {
  int i = int(blockIdx.x * blockDim.x + threadIdx.x);
  out[i] = ptx::to_tf32(in[i]);
}
__global__ void exp2_kernel(const float* in, float* out) {
  int i = int(blockIdx.x * blockDim.x + threadIdx.x);
  out[i] = ptx::exp2_approximate(in[i] * 64);
}
// Of every 16-bit pattern.
template <class T>
__global__ void widen_kernel(const uint16_t* in, float* out) {
  int i = int(blockIdx.x * blockDim.x + threadIdx.x);
  out[i] = to_float(reinterpret_cast<const T*>(in)[i]);
}
// Of any 32 bits, and of floats about halfway between neighbours.
template <class T>
__global__ void narrow_kernel(const float* in, float* out) {
  int i = int(blockIdx.x * blockDim.x + threadIdx.x);
  out[i] = to_float(from_float<T>(in[i]));
}

__global__ void philox_kernel(const uint64_t* in, uint32_t* out) {
  int i = int(blockIdx.x * blockDim.x + threadIdx.x);
  PhiloxWords words = philox(in[3 * i], in[3 * i + 1], in[3 * i + 2]);
  for (int j = 0; j < 4; j++) out[5 * i + j] = words.word[j];
  out[5 * i + 4] = uint32_t(philox_uniform(words.word[0]) * 0x1p24f);
}

__global__ void warp_kernel(const int* in, int* out) {
  int t = int(threadIdx.x), x = in[t];
  int* to = out + 10 * t;
  to[0] = __shfl_xor_sync(0xFFFFFFFFu, x, 5);
  to[1] = __shfl_up_sync(0xFFFFFFFFu, x, 3);
  to[2] = __shfl_down_sync(0xFFFFFFFFu, x, 7);
  to[3] = __shfl_sync(0xFFFFFFFFu, x, x & 31);
  to[4] = __shfl_xor_sync(0xFFFFFFFFu, x, 3, 8);
  to[5] = int(__ballot_sync(0xFFFFFFFFu, x > 0));
  to[6] = __any_sync(0xFFFFFFFFu, x > 0x7FFF0000);
  to[7] = __all_sync(0xFFFFFFFFu, x > 0);
  to[8] = warp_max(x);
  to[9] = int(warp_sum(unsigned(x) & 0xFFFF));
}

__global__ void grid_kernel(const int* in, int* out) {
  int blocks = int(gridDim.x), i = int(blockIdx.x);
  if (threadIdx.x == 0) out[i] = in[i];
  grid_sync();
  if (threadIdx.x == 0) out[blocks + i] = out[(i + 1) % blocks];
}

// A box of a tensor of 16-bit elements, as it lies in shared memory, and stored again elsewhere.
struct Tensor {
  static constexpr int kX = 44, kY = 11, kZ = 3, kPitch = 48;
  static constexpr int kElements = kPitch * kY * kZ, kBoxY = 9, kBoxZ = 2, kBoxBytes = 64 * kBoxY * kBoxZ * 2;
  static constexpr int kOutputBytes = kElements * 2 + kBoxBytes;
};
template <int Rank>
__global__ void tma_kernel(const __grid_constant__ tensor_map in, const __grid_constant__ tensor_map out, unsigned char* raw, int bytes) {
#if GRADUS_SM90A
  GRADUS_DYNAMIC_SHARED(unsigned char, box);
  GRADUS_SHARED(uint64_t, full, [1]);
  int x = 32, y = -2, z = 2;
  if (threadIdx.x == 0) {
    ptx::mbarrier_init(full, 1);
    ptx::fence_mbarrier_init();
    ptx::mbarrier_arrive_expect_tx(full, unsigned(bytes));
    if (Rank == 4) ptx::tma_load_4d(box, in, x, y, z, 0, full);
    if (Rank == 3) ptx::tma_load_3d(box, in, x, y, z, full);
    if (Rank == 2) ptx::tma_load_2d(box, in, x, y, full);
  }
  __syncthreads();  // the barrier is initialised before anyone waits on it
  ptx::mbarrier_wait(full, 0);
  for (int i = int(threadIdx.x); i < bytes; i += int(blockDim.x)) raw[i] = box[i];
  __syncthreads();  // all have read the box before thread 0 ends
  if (threadIdx.x == 0) {
    if (Rank == 4) ptx::tma_store_4d(out, box, x, y, z, 0);
    if (Rank == 3) ptx::tma_store_3d(out, box, x, y, z);
    if (Rank == 2) ptx::tma_store_2d(out, box, x, y);
    ptx::bulk_commit();
    ptx::bulk_wait<0>();
  }
#endif
}
template <int Rank, int Mode>
int tma(const void* in, void* out) {
  uint32_t inner = Mode == 0 ? 24 : 8u << Mode;
  constexpr uint64_t kLine = Tensor::kPitch * 2, kPlane = kLine * Tensor::kY;
  uint64_t extent[4] = {Tensor::kX, Tensor::kY, Tensor::kZ, 1}, pitch[3] = {kLine, kPlane, kPlane * Tensor::kZ};
  uint32_t box[4] = {inner, Tensor::kBoxY, Tensor::kBoxZ, 1};
  tensor_map from, to;
  for (tensor_map* map : {&from, &to}) {
    const void* base = map == &from ? in : out;
    if (!encode_tensor_map(map, TensorMapType::f16, Rank, base, extent, pitch, box, TensorMapSwizzle(Mode)).empty()) return 1;
  }
  int bytes = int(inner) * Tensor::kBoxY * (Rank > 2 ? Tensor::kBoxZ : 1) * 2;
  return GRADUS_LAUNCH(tma_kernel<Rank>, LaunchConfig(1, 64).shared(8192), from, to, static_cast<unsigned char*>(out) + Tensor::kElements * 2, bytes);
}

// The pixels that a convolution with stride 2 multiplies with one tap, over the ends of rows and images.
struct Im2col {
  static constexpr int kN = 3, kH = 5, kW = 7, kChannels = 72, kPixels = 24;
  static constexpr int kInputBytes = kN * kH * kW * kChannels * 2, kOutputBytes = kPixels * 128;
};
__global__ void im2col_kernel(const __grid_constant__ tensor_map map, unsigned char* out, int channel, int offset_w, int offset_h) {
#if GRADUS_SM90A
  GRADUS_SHARED_ALIGNED(1024, unsigned char, box, [Im2col::kOutputBytes]);
  GRADUS_SHARED(uint64_t, full, [1]);
  if (threadIdx.x == 0) {
    ptx::mbarrier_init(full, 1);
    ptx::fence_mbarrier_init();
    ptx::mbarrier_arrive_expect_tx(full, Im2col::kOutputBytes);
    ptx::tma_load_im2col_4d(box, map, channel, 3, -1, 1, uint16_t(offset_w), uint16_t(offset_h), full);
  }
  __syncthreads();  // the barrier is initialised before anyone waits on it
  ptx::mbarrier_wait(full, 0);
  for (int i = int(threadIdx.x); i < Im2col::kOutputBytes; i += int(blockDim.x)) out[i] = box[i];
#endif
}
template <int Channel, int OffsetW, int OffsetH, TensorMapType Type = TensorMapType::f16>
int im2col(const void* in, void* out) {
  constexpr uint64_t kPixel = Im2col::kChannels * (Type == TensorMapType::f16 ? 2 : 4);
  uint64_t extent[4] = {Im2col::kChannels, Im2col::kW, Im2col::kH, Im2col::kN};
  uint64_t pitch[3] = {kPixel, Im2col::kW * kPixel, Im2col::kH * Im2col::kW * kPixel};
  Im2colBox box{{-1, -1}, {-1, -1}, {2, 2}, 128 * Im2col::kChannels / kPixel, Im2col::kPixels};
  tensor_map map;
  if (!encode_im2col_map(&map, Type, in, extent, pitch, box, TensorMapSwizzle::bytes128).empty()) return 1;
  return GRADUS_LAUNCH(im2col_kernel, LaunchConfig(1, 64), map, static_cast<unsigned char*>(out), Channel, OffsetW, OffsetH);
}

__global__ void im2col_multicast_kernel(const __grid_constant__ tensor_map map, unsigned char* out) {
#if GRADUS_SM90A
  GRADUS_SHARED_ALIGNED(1024, unsigned char, box, [Im2col::kOutputBytes]);
  GRADUS_SHARED(uint64_t, full, [1]);
  if (threadIdx.x == 0) {
    ptx::mbarrier_init(full, 1);
    ptx::fence_mbarrier_init();
    ptx::mbarrier_arrive_expect_tx(full, Im2col::kOutputBytes);
  }
  cluster_sync();  // every block's barrier expects its bytes
  if (threadIdx.x == 0 && ptx::cluster_rank() == 1) ptx::tma_load_im2col_4d_multicast(box, map, 0, 1, 2, 0, 1, 0, full, 3);
  ptx::mbarrier_wait(full, 0);
  for (int i = int(threadIdx.x); i < Im2col::kOutputBytes; i += 64) out[int(blockIdx.x) * Im2col::kOutputBytes + i] = box[i];
  cluster_sync();  // no block exits while a copy to it is on its way
#endif
}
inline int im2col_multicast(const void* in, void* out) {
  uint64_t extent[4] = {Im2col::kChannels, Im2col::kW, Im2col::kH, Im2col::kN};
  uint64_t pitch[3] = {Im2col::kChannels * 2, Im2col::kW * Im2col::kChannels * 2, Im2col::kH * Im2col::kW * Im2col::kChannels * 2};
  Im2colBox box{{0, 0}, {-1, 0}, {1, 1}, 64, Im2col::kPixels};
  tensor_map map;
  if (!encode_im2col_map(&map, TensorMapType::f16, in, extent, pitch, box, TensorMapSwizzle::bytes128).empty()) return 1;
  return GRADUS_LAUNCH(im2col_multicast_kernel, LaunchConfig(2, 64).cluster(2), map, static_cast<unsigned char*>(out));
}

__global__ void multicast_kernel(const __grid_constant__ tensor_map map, float* out) {
#if GRADUS_SM90A
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
#endif
}

// One wgmma on two operands of 32 KB that lie in shared memory as they lie in the input: whatever elements the descriptors select,
// hardware and model must select the same.
constexpr int kOperand = 32768;
template <class T, int N, int Width, bool TransposeA, bool TransposeB>
__global__ void __launch_bounds__(128) wgmma_kernel(const uint4* in, float* out) {
#if GRADUS_SM90A
  constexpr auto kMode = Width == 16 ? ptx::MatrixSwizzle::none : Width == 32 ? ptx::MatrixSwizzle::bytes32
                         : Width == 64 ? ptx::MatrixSwizzle::bytes64 : ptx::MatrixSwizzle::bytes128;
  GRADUS_DYNAMIC_SHARED(unsigned char, memory);
  int t = int(threadIdx.x);
  for (int i = t; i < 2 * kOperand / 16; i += 128) reinterpret_cast<uint4*>(memory)[i] = in[i];
  ptx::fence_proxy_async();
  __syncthreads();  // the operands are complete before wgmma reads them
  constexpr uint32_t kLeading = 4096, kGroup = Width == 16 ? 128 : 8 * Width;
  uint64_t a = ptx::matrix_descriptor(ptx::shared_address(memory), kLeading, kGroup, kMode);
  uint64_t b = ptx::matrix_descriptor(ptx::shared_address(memory + kOperand), kLeading, kGroup, kMode);
  float sum[N / 2];
  for (float& s : sum) s = 2;
  ptx::wgmma_fence();
  ptx::wgmma<N, T, TransposeA, TransposeB>(sum, a, b, true);
  ptx::wgmma_commit();
  ptx::wgmma_wait<0>();
  for (int i = 0; i < N / 2; i++) out[N / 2 * t + i] = sum[i];
#endif
}

// Device memory of the two sides.
#if GRADUS_EMULATED
struct Device {
  explicit Device(int64_t bytes) : memory(std::aligned_alloc(1024, (size_t(bytes) + 1023) / 1024 * 1024)), bytes(size_t(bytes)) {
    memset(memory, 0, this->bytes);
  }
  ~Device() { std::free(memory); }
  int write(const void* from) { return memcpy(memory, from, bytes), 0; }
  int read(void* to) { return memcpy(to, memory, bytes), 0; }
  void* memory;
  size_t bytes;
};
#else
struct Device {
  explicit Device(int64_t bytes) : bytes(size_t(bytes)) {
    if (cudaMalloc(&memory, this->bytes) == cudaSuccess) cudaMemset(memory, 0, this->bytes);
  }
  ~Device() { cudaFree(memory); }
  int write(const void* from) { return int(cudaMemcpy(memory, from, bytes, cudaMemcpyHostToDevice)); }
  int read(void* to) { return int(cudaMemcpy(to, memory, bytes, cudaMemcpyDeviceToHost)); }
  void* memory = nullptr;
  size_t bytes;
};
#endif

inline std::string run(const Case& c, const void* in, void* out) {
  Device input(c.input_bytes), output(c.output_bytes);
  int status = input.write(in);
  if (status == 0) status = c.launch(input.memory, output.memory);
  if (status == 0) status = output.read(out);
  return status == 0 ? "" : launch_error(status);
}

class Cases {
 public:
  void exact(const std::string& name, Input input, int64_t input_bytes, int64_t output_bytes, int (*launch)(const void*, void*), bool hopper = false) {
    all.push_back({name, hopper, input, input_bytes, output_bytes, Compare::bits, 0, 0, launch, run});
  }
  void floats(const std::string& name, Input input, int64_t input_bytes, int64_t output_bytes, int (*launch)(const void*, void*)) {
    all.push_back({name, false, input, input_bytes, output_bytes, Compare::floats, 0, 0, launch, run});
  }
  void near(const std::string& name, Input input, int64_t input_bytes, int64_t output_bytes, double relative, double absolute,
            int (*launch)(const void*, void*), bool hopper = false) {
    all.push_back({name, hopper, input, input_bytes, output_bytes, Compare::near, relative, absolute, launch, run});
  }
  std::vector<Case> all;
};

template <int Bytes>
void add_cp_async(Cases& cases) {
  cases.exact("cp.async of " + std::to_string(Bytes) + " bytes", Input::bits, 512, 512, [](const void* in, void* out) {
    return GRADUS_LAUNCH(cp_async_kernel<Bytes>, LaunchConfig(1, kWarp), static_cast<const unsigned char*>(in), static_cast<unsigned char*>(out));
  });
}
template <int Count, bool Transposed>
void add_matrix(Cases& cases) {
  std::string form = ".x" + std::to_string(Count) + (Transposed ? ".trans" : "");
  cases.exact("ldmatrix" + form, Input::bits, 512, 128 * Count, [](const void* in, void* out) {
    return GRADUS_LAUNCH((ldmatrix_kernel<Count, Transposed>), LaunchConfig(1, kWarp), static_cast<const uint16_t*>(in), static_cast<uint32_t*>(out));
  });
  cases.exact("stmatrix" + form, Input::bits, 128 * Count, 512, [](const void* in, void* out) {
    return GRADUS_LAUNCH((stmatrix_kernel<Count, Transposed>), LaunchConfig(1, kWarp), static_cast<const uint32_t*>(in), static_cast<uint16_t*>(out));
  }, true);
}
// Exact where sums are; else 16 products of numbers below 1 in float32, however they are rounded while they are summed.
template <class T>
void add_mma(Cases& cases, const char* name, Input exact, Input any) {
  auto launch = [](const void* in, void* out) {
    return GRADUS_LAUNCH(mma_kernel<T>, LaunchConfig(1, kWarp), static_cast<const uint32_t*>(in), static_cast<float*>(out));
  };
  cases.exact(std::string(name) + ", exact sums", exact, 32 * 6 * 4, 32 * 4 * 4, launch);
  cases.near(std::string(name) + ", any sums", any, 32 * 6 * 4, 32 * 4 * 4, 0, 16 * 0x1p-22, launch);
}
template <class T>
void add_conversions(Cases& cases, const char* name) {
  cases.floats(std::string(name) + " to float32, every pattern", Input::indices, kFloats * 2, kFloats * 4, [](const void* in, void* out) {
    return GRADUS_LAUNCH(widen_kernel<T>, LaunchConfig(kFloats / 256, 256), static_cast<const uint16_t*>(in), static_cast<float*>(out));
  });
  auto narrow = [](const void* in, void* out) {
    return GRADUS_LAUNCH(narrow_kernel<T>, LaunchConfig(kFloats / 256, 256), static_cast<const float*>(in), static_cast<float*>(out));
  };
  cases.floats(std::string("float32 to ") + name + ", any bits", Input::bits, kFloats * 4, kFloats * 4, narrow);
  cases.floats(std::string("float32 to ") + name + ", numbers", Input::float32, kFloats * 4, kFloats * 4, narrow);
}
template <int Mode>
void add_tma(Cases& cases) {
  std::string swizzle = ", swizzle " + std::to_string(Mode == 0 ? 0 : 16 << Mode);
  cases.exact("TMA 2D load and store" + swizzle, Input::bits, Tensor::kElements * 2, Tensor::kOutputBytes, tma<2, Mode>, true);
  cases.exact("TMA 3D load and store" + swizzle, Input::bits, Tensor::kElements * 2, Tensor::kOutputBytes, tma<3, Mode>, true);
  cases.exact("TMA 4D load and store" + swizzle, Input::bits, Tensor::kElements * 2, Tensor::kOutputBytes, tma<4, Mode>, true);
}
template <class T, int N, int Width, bool TransposeA, bool TransposeB>
void add_wgmma(Cases& cases, const char* type, Input input) {
  std::string name = std::string("wgmma n") + std::to_string(N) + " " + type + ", swizzle " + std::to_string(Width) +
                     (TransposeA ? ", A MN-major" : "") + (TransposeB ? ", B MN-major" : "");
  cases.exact(name, input, 2 * kOperand, 64 * N * 4, [](const void* in, void* out) {
    return GRADUS_LAUNCH((wgmma_kernel<T, N, Width, TransposeA, TransposeB>), LaunchConfig(1, 128).shared(2 * kOperand),
                         static_cast<const uint4*>(in), static_cast<float*>(out));
  }, true);
}
template <class T>
void add_gemm_mma(Cases& cases, const char* name, Input input) {
  constexpr int kM = 64, kN = 128, kK = 96;
  cases.exact(name, input, (kM + kN) * kK * 2, kM * kN * 4, [](const void* in, void* out) {
    auto a = static_cast<const T*>(in);
    return GRADUS_LAUNCH((test_kernels::gemm_mma_kernel<T>), LaunchConfig(dim3(kN / 64, kM / 64), 128), a, a + kM * kK, static_cast<float*>(out), int(kN), int(kK));
  });
}
inline int gemm_wgmma(const void* in, void* out) {
  constexpr int kM = 256, kN = 128, kK = 168, kWidth = 64;
  uint64_t extent_a[2] = {kK, kM}, extent_b[2] = {kK, kN}, extent_c[2] = {kN, kM}, pitch[1] = {kK * 2}, pitch_c[1] = {kN * 4};
  uint32_t box_a[2] = {64, 128}, box_b[2] = {64, kWidth}, box_c[2] = {32, 64};
  tensor_map a, b, c;
  auto second = static_cast<const bfloat16*>(in) + kM * kK;
  if (!encode_tensor_map(&a, TensorMapType::bf16, 2, in, extent_a, pitch, box_a, TensorMapSwizzle::bytes128).empty() ||
      !encode_tensor_map(&b, TensorMapType::bf16, 2, second, extent_b, pitch, box_b, TensorMapSwizzle::bytes128).empty() ||
      !encode_tensor_map(&c, TensorMapType::f32, 2, out, extent_c, pitch_c, box_c, TensorMapSwizzle::none).empty()) {
    return 1;
  }
#if GRADUS_SM90A  // as in every pass over host code that counts
  LaunchConfig config(dim3(kN / kWidth, kM / 128), 384);
  return GRADUS_LAUNCH((test_kernels::gemm_wgmma_kernel<kWidth>), config.shared(2 * (128 + kWidth) * 128 + 128 * 32 * 4), a, b, c, int(kK));
#else
  return 1;
#endif
}

inline std::vector<Case> all_cases() {
  Cases cases;
  add_cp_async<4>(cases);
  add_cp_async<8>(cases);
  add_cp_async<16>(cases);
  add_matrix<1, false>(cases);
  add_matrix<2, false>(cases);
  add_matrix<4, false>(cases);
  add_matrix<1, true>(cases);
  add_matrix<2, true>(cases);
  add_matrix<4, true>(cases);
  add_mma<bfloat16>(cases, "mma m16n8k16 bf16", Input::eighths_bfloat16, Input::bfloat16);
  add_mma<float16>(cases, "mma m16n8k16 fp16", Input::eighths_float16, Input::float16);
  add_mma<float>(cases, "mma m16n8k8 tf32", Input::eighths_float32, Input::float32);
  cases.exact("float32 to tf32", Input::float32, kFloats * 4, kFloats * 4, [](const void* in, void* out) {
    return GRADUS_LAUNCH(to_tf32_kernel, LaunchConfig(kFloats / 256, 256), static_cast<const float*>(in), static_cast<uint32_t*>(out));
  });
  cases.near("ex2.approx", Input::float32, kFloats * 4, kFloats * 4, 0x1p-22, 0, [](const void* in, void* out) {
    return GRADUS_LAUNCH(exp2_kernel, LaunchConfig(kFloats / 256, 256), static_cast<const float*>(in), static_cast<float*>(out));
  });
  add_conversions<bfloat16>(cases, "bf16");
  add_conversions<float16>(cases, "fp16");
  cases.exact("philox", Input::bits, 1024 * 24, 1024 * 20, [](const void* in, void* out) {
    return GRADUS_LAUNCH(philox_kernel, LaunchConfig(4, 256), static_cast<const uint64_t*>(in), static_cast<uint32_t*>(out));
  });
  cases.exact("warp shuffles, votes and reductions", Input::bits, 128, 1280, [](const void* in, void* out) {
    return GRADUS_LAUNCH(warp_kernel, LaunchConfig(1, kWarp), static_cast<const int*>(in), static_cast<int*>(out));
  });
  cases.exact("grid synchronisation", Input::bits, 32, 64, [](const void* in, void* out) {
    return GRADUS_LAUNCH(grid_kernel, LaunchConfig(8, 64).cooperative(), static_cast<const int*>(in), static_cast<int*>(out));
  });
  add_tma<0>(cases);
  add_tma<1>(cases);
  add_tma<2>(cases);
  add_tma<3>(cases);
  cases.exact("TMA im2col, first tap", Input::bits, Im2col::kInputBytes, Im2col::kOutputBytes, im2col<0, 0, 0>, true);
  cases.exact("TMA im2col, last tap", Input::bits, Im2col::kInputBytes, Im2col::kOutputBytes, im2col<8, 2, 2>, true);
  cases.exact("TMA im2col, beyond the image", Input::bits, Im2col::kInputBytes, Im2col::kOutputBytes, im2col<64, 4, 0>, true);
  cases.exact("TMA im2col, rounded to tf32", Input::float32, 2 * Im2col::kInputBytes, Im2col::kOutputBytes,
              im2col<56, 2, 2, TensorMapType::tf32>, true);
  cases.exact("TMA im2col multicast", Input::bits, Im2col::kInputBytes, 2 * Im2col::kOutputBytes, im2col_multicast, true);
  cases.exact("TMA multicast, remote arrival", Input::bits, 128, 256, [](const void* in, void* out) {
    uint64_t extent[2] = {32, 1}, pitch[1] = {128};
    uint32_t box[2] = {32, 1};
    tensor_map map;
    if (!encode_tensor_map(&map, TensorMapType::f32, 2, in, extent, pitch, box, TensorMapSwizzle::none).empty()) return 1;
    return GRADUS_LAUNCH(multicast_kernel, LaunchConfig(2, 32).cluster(2), map, static_cast<float*>(out));
  }, true);
  add_wgmma<bfloat16, 64, 128, false, false>(cases, "bf16", Input::eighths_bfloat16);
  add_wgmma<bfloat16, 16, 64, false, false>(cases, "bf16", Input::eighths_bfloat16);
  add_wgmma<float16, 128, 32, false, false>(cases, "fp16", Input::eighths_float16);
  add_wgmma<float16, 32, 16, false, false>(cases, "fp16", Input::eighths_float16);
  add_wgmma<ptx::tf32, 64, 128, false, false>(cases, "tf32", Input::eighths_float32);
  add_wgmma<ptx::tf32, 256, 16, false, false>(cases, "tf32", Input::eighths_float32);
  add_wgmma<bfloat16, 64, 128, true, true>(cases, "bf16", Input::eighths_bfloat16);
  add_wgmma<bfloat16, 128, 64, false, true>(cases, "bf16", Input::eighths_bfloat16);
  add_wgmma<bfloat16, 96, 32, true, false>(cases, "bf16", Input::eighths_bfloat16);
  add_gemm_mma<bfloat16>(cases, "product by cp.async, ldmatrix, mma bf16", Input::eighths_bfloat16);
  add_gemm_mma<float16>(cases, "product by cp.async, ldmatrix, mma fp16", Input::eighths_float16);
  cases.exact("product by TMA, mbarrier, wgmma bf16", Input::eighths_bfloat16, (256 + 128) * 168 * 2, 256 * 128 * 4, gemm_wgmma, true);
  return std::move(cases.all);
}

}  // namespace gradus::conformance_kernels
