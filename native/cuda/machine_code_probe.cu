// Kernels of known PTX. Their machine code is counted by the test machine_code_probe, which fails where an architecture or a compiler
// encodes the counted instructions otherwise than tools/machine_code.cpp supposes.
#include "device/ptx/cp_async.h"
#include "device/ptx/matrix.h"
#include "device/ptx/mma.h"
#include "device/ptx/registers.h"
#include "device/ptx/tma.h"
#include "device/ptx/wgmma.h"

using namespace gradus;

// cp.async once, ldmatrix twice, mma.sync of bf16, fp16 and tf32.
extern "C" __global__ void __launch_bounds__(128) probe_mma(const unsigned* from, float* to) {
  __shared__ __align__(128) unsigned stage[1024];
  unsigned* mine = &stage[threadIdx.x * 4];
  ptx::cp_async<16>(mine, from + threadIdx.x * 4);
  ptx::cp_async_commit();
  ptx::cp_async_wait<0>();
  __syncthreads();  // all copies have landed before other threads' words are read
  unsigned a[4], b[2];
  float sum[4] = {};
  ptx::ldmatrix(a, mine);
  ptx::ldmatrix<2, true>(b, mine);
  ptx::mma_m16n8k16(bfloat16{}, sum, a, b);
  ptx::mma_m16n8k16(float16{}, sum, a, b);
  ptx::mma_m16n8k8_tf32(sum, a, b);
  for (int i = 0; i < 4; i++) to[threadIdx.x * 4 + i] = sum[i];
}

// Four multiply-adds, no local memory.
extern "C" __global__ void probe_multiply_add(const float* x, float* y) {
  for (int i = 0; i < 4; i++) y[i] = __fmaf_rn(x[i], x[i + 4], y[i]);
}

// Two loads and a store of 16 bytes, a load and a store of 4.
extern "C" __global__ void probe_wide(const uint4* x, uint4* y, const unsigned* narrow) {
  uint4 first = x[threadIdx.x], second = x[threadIdx.x + blockDim.x];
  y[threadIdx.x] = make_uint4(first.x + second.x, first.y + second.y, first.z + second.z, first.w + second.w);
  reinterpret_cast<unsigned*>(y + 4096)[threadIdx.x] = narrow[threadIdx.x];
}

// An array with indices that the compiler does not know: local memory.
extern "C" __global__ void probe_local(const float* x, float* y, int n) {
  float held[64];
  for (int i = 0; i < 64; i++) held[i] = x[i * n];
  held[n & 63] = 3;
  for (int i = 0; i < 64; i++) y[i] = held[(i * n) & 63];
}

extern "C" __global__ void __launch_bounds__(128) probe_wgmma(float* to, unsigned long long a, unsigned long long b) {
#if GRADUS_SM90A
  float sum[32] = {};
  ptx::wgmma_fence();
  ptx::wgmma<64, bfloat16>(sum, a, b, true);
  ptx::wgmma<64, bfloat16>(sum, a + 2, b + 2, true);
  ptx::wgmma_commit();
  ptx::wgmma_wait<0>();
  for (int i = 0; i < 32; i++) to[threadIdx.x * 32 + i] = sum[i];
#endif
}

// TMA four times in, twice by im2col maps, and once out, stmatrix once, setmaxnreg once.
extern "C" __global__ void __launch_bounds__(128, 1) probe_tma(const __grid_constant__ tensor_map map, unsigned* from) {
#if GRADUS_SM90A
  __shared__ __align__(128) unsigned box[1024];
  __shared__ uint64_t barrier;
  ptx::registers_decrease<40>();
  unsigned fragment[4] = {from[0], from[1], from[2], from[3]};
  ptx::stmatrix(&box[threadIdx.x * 4], fragment);
  ptx::tma_load_3d(box, map, 0, 0, 0, &barrier);
  ptx::tma_load_3d_multicast(box, map, 0, 0, 0, &barrier, 3);
  ptx::tma_load_im2col_4d(box, map, 0, 0, 0, 0, 1, 2, &barrier);
  ptx::tma_load_im2col_4d_multicast(box, map, 0, 0, 0, 0, 1, 2, &barrier, 3);
  ptx::tma_store_3d(map, box, 0, 0, 0);
#endif
}
