// Streams of the emulator that are recorded, as gradus/runtime.h says: what a CUDA graph does.
#include "gradus/runtime.h"
#include "harness.h"
#include "kernels/launcher.h"

using namespace gradus;

namespace {

__global__ void scale_add_kernel(float* x, const float* by, float plus, int64_t n) {
  int64_t i = int64_t(blockIdx.x) * blockDim.x + threadIdx.x;
  if (i < n) x[i] = x[i] * by[0] + plus;
}

__global__ void fail_kernel() { emulator::fail("made to fail", Site::here()); }

constexpr int64_t kSize = 300;

template <class T>
int64_t address(T* p) {
  return int64_t(reinterpret_cast<uintptr_t>(p));
}

struct Fixture {
  int64_t stream = 0;
  int64_t graph = 0;
  int64_t ran = -1;
  std::vector<float> x = std::vector<float>(kSize, 1);
  std::vector<float> y = std::vector<float>(kSize, 0);
  float by = 2;

  Fixture() { CHECK_EQUAL(gr_stream_create(0, address(&stream), 0), int(GR_OK)); }
  ~Fixture() {
    if (graph != 0) gr_graph_destroy(graph, 0);
    gr_stream_destroy(stream);
  }
  void begin() { CHECK_EQUAL(gr_capture_begin(0, 0, stream), int(GR_OK)); }
  void end() { CHECK_EQUAL(gr_capture_end(address(&graph), address(&ran), stream), int(GR_OK)); }
  int launch(float plus) {
    return finish(GRADUS_LAUNCH(scale_add_kernel, LaunchConfig(blocks_for(kSize, 128), 128).stream(stream_of(stream)), x.data(), &by, plus,
                                kSize));
  }
};

}  // namespace

TEST(nothing_runs_before_the_first_launch) {
  Fixture f;
  f.begin();
  CHECK_EQUAL(f.launch(3), int(GR_OK));
  CHECK_EQUAL(gr_device_copy(address(f.x.data()), address(f.y.data()), kSize * 4, f.stream), int(GR_OK));
  f.end();
  CHECK_EQUAL(f.ran, int64_t(0));
  CHECK_EQUAL(f.x[kSize - 1], 1.0f);
  CHECK_EQUAL(f.y[kSize - 1], 0.0f);
  CHECK_EQUAL(gr_graph_launch(f.graph, f.stream), int(GR_OK));
  CHECK_EQUAL(f.x[0], 5.0f);
  CHECK_EQUAL(f.y[kSize - 1], 5.0f);
}

TEST(scalars_are_kept_and_memory_is_read_at_each_launch) {
  Fixture f;
  f.begin();
  for (float plus : {1.0f, 10.0f}) CHECK_EQUAL(f.launch(plus), int(GR_OK));
  f.end();
  float expected = 1;
  for (float by : {2.0f, 3.0f, -1.0f}) {
    f.by = by;
    expected = (expected * by + 1) * by + 10;
    CHECK_EQUAL(gr_graph_launch(f.graph, f.stream), int(GR_OK));
    CHECK_EQUAL(f.x[kSize / 2], expected);
  }
}

TEST(copies_read_and_write_host_memory_at_each_launch) {
  Fixture f;
  std::vector<float> in(kSize, 7), out(kSize, 0);
  f.begin();
  CHECK_EQUAL(gr_upload(address(in.data()), address(f.x.data()), kSize * 4, f.stream), int(GR_OK));
  CHECK_EQUAL(f.launch(0), int(GR_OK));
  CHECK_EQUAL(gr_download(address(f.x.data()), address(out.data()), kSize * 4, f.stream), int(GR_OK));
  f.end();
  CHECK_EQUAL(gr_graph_launch(f.graph, f.stream), int(GR_OK));
  CHECK_EQUAL(out[0], 14.0f);
  in.assign(kSize, 8);
  CHECK_EQUAL(gr_graph_launch(f.graph, f.stream), int(GR_OK));
  CHECK_EQUAL(out[kSize - 1], 16.0f);
}

TEST(other_streams_go_on_meanwhile) {
  Fixture f, other;
  f.begin();
  CHECK_EQUAL(f.launch(1), int(GR_OK));
  CHECK_EQUAL(other.launch(1), int(GR_OK));
  CHECK_EQUAL(f.x[0], 1.0f);
  CHECK_EQUAL(other.x[0], 3.0f);
  f.end();
  // A graph can be launched in any stream, and the stream that it came from works as before.
  CHECK_EQUAL(gr_graph_launch(f.graph, other.stream), int(GR_OK));
  CHECK_EQUAL(f.launch(1), int(GR_OK));
  CHECK_EQUAL(f.x[0], 7.0f);
}

TEST(what_is_thrown_away_leaves_nothing) {
  Fixture f;
  f.begin();
  CHECK_EQUAL(f.launch(1), int(GR_OK));
  CHECK_EQUAL(gr_capture_end(0, 0, f.stream), int(GR_OK));
  CHECK_EQUAL(f.x[0], 1.0f);
  CHECK_EQUAL(f.launch(1), int(GR_OK));
  CHECK_EQUAL(f.x[0], 3.0f);
}

TEST(misuse_is_an_error) {
  Fixture f;
  CHECK_EQUAL(gr_capture_end(address(&f.graph), address(&f.ran), f.stream), int(GR_ERROR));
  f.begin();
  CHECK_EQUAL(gr_capture_begin(0, 0, f.stream), int(GR_ERROR));
  CHECK_EQUAL(gr_stream_synchronize(f.stream), int(GR_ERROR));
  CHECK_CONTAINS(error_text(), "recorded");
  f.end();
  CHECK_EQUAL(gr_stream_synchronize(f.stream), int(GR_OK));
}

TEST(a_launch_ends_at_the_first_kernel_that_fails) {
  Fixture f;
  f.begin();
  CHECK_EQUAL(f.launch(1), int(GR_OK));
  CHECK_EQUAL(finish(GRADUS_LAUNCH(fail_kernel, LaunchConfig(1, 1).stream(stream_of(f.stream)))), int(GR_OK));
  CHECK_EQUAL(f.launch(1), int(GR_OK));
  f.end();
  CHECK_EQUAL(gr_graph_launch(f.graph, f.stream), int(GR_ERROR));
  CHECK_CONTAINS(error_text(), "made to fail");
  CHECK_EQUAL(f.x[0], 3.0f);
}
