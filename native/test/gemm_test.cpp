// Whole kernels on the models of the asynchronous and tensor-core instructions.

#include "gemm_runs.h"

using namespace gradus;
using namespace gradus::test_kernels;

namespace {

TEST(simt) {
  Problem<float> p(37, 50, 29);
  RUN(run_simt(p));
  CHECK(p.error() < 1e-5);
}

TEST(mma_bf16) {
  Problem<bfloat16> p(64, 128, 96);
  RUN(run_mma(p));
  CHECK(p.error() < 1e-4);
}

TEST(mma_f16) {
  Problem<float16> p(128, 64, 32);
  RUN(run_mma(p));
  CHECK(p.error() < 1e-4);
}

TEST(tma_wgmma_pipeline) {
  Problem<bfloat16> p(128, 128, 320);
  RUN(run_wgmma<64>(p));
  CHECK(p.error() < 1e-4);
}

TEST(tma_wgmma_ragged_depth) {
  Problem<bfloat16> p(256, 128, 168);
  RUN(run_wgmma<128>(p));
  CHECK(p.error() < 1e-4);
}

}  // namespace
