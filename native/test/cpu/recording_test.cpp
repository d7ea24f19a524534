// Streams of the SIMD plug-in that are recorded: calls run and are kept, with the structs that they point to.
#include "gradus/optim.h"
#include "gradus/runtime.h"
#include "harness.h"
#include "plugin/handle.h"
#include "plugin/recorded_call.h"

using namespace gradus;

namespace {

constexpr auto sgd = RecordedCall<gr_sgd>::call;

template <class T>
int64_t address(T* p) {
  return int64_t(reinterpret_cast<uintptr_t>(p));
}

struct Fixture {
  int64_t stream = 0;
  int64_t graph = 0;
  int64_t ran = -1;
  double structs[64] = {};
  std::vector<float> grad = std::vector<float>(100, 1);
  std::vector<float> param = std::vector<float>(100, 10);
  double lr = 1;
  int64_t step = 1;

  Fixture() { CHECK_EQUAL(gr_stream_create(0, address(&stream), 0), int(GR_OK)); }
  ~Fixture() {
    if (graph != 0) gr_graph_destroy(graph, 0);
    gr_stream_destroy(stream);
  }
  void begin() { CHECK_EQUAL(gr_capture_begin(address(structs), sizeof structs, stream), int(GR_OK)); }
  void end() { CHECK_EQUAL(gr_capture_end(address(&graph), address(&ran), stream), int(GR_OK)); }
  int update(double weight_decay, int32_t dtype = GR_FLOAT32) {
    auto& scalars = *reinterpret_cast<gr_sgd_scalars*>(structs + 8);
    scalars = {};
    scalars.weight_decay = weight_decay;
    return sgd(address(grad.data()), address(param.data()), 0, address(&lr), address(&step), 100, address(&scalars), 0, dtype, stream);
  }
};

}  // namespace

TEST(recorded_calls_run_and_run_again) {
  Fixture f;
  f.begin();
  CHECK_EQUAL(f.update(0), int(GR_OK));
  CHECK_EQUAL(f.update(0.5), int(GR_OK));
  f.end();
  CHECK_EQUAL(f.ran, int64_t(1));
  CHECK_EQUAL(f.param[99], 3.5f);  // 10 - 1, then 9 - (1 + 4.5)
  memset(f.structs, 0x7F, sizeof f.structs);
  f.lr = 0.5;
  CHECK_EQUAL(gr_graph_launch(f.graph, f.stream), int(GR_OK));
  CHECK_EQUAL(f.param[0], 1.75f);  // 3.5 - 0.5, then 3 - 0.5 (1 + 1.5)
}

TEST(calls_that_are_refused_are_not_recorded) {
  Fixture f;
  f.begin();
  CHECK_EQUAL(f.update(0, GR_INT32), int(GR_UNSUPPORTED));
  CHECK_EQUAL(f.update(0), int(GR_OK));
  f.end();
  CHECK_EQUAL(gr_graph_launch(f.graph, f.stream), int(GR_OK));
  CHECK_EQUAL(f.param[0], 8.0f);
}

TEST(recorded_copies_run_and_run_again) {
  Fixture f;
  f.begin();
  CHECK_EQUAL(gr_device_copy(address(f.grad.data()), address(f.param.data()), 40, f.stream), int(GR_OK));
  f.end();
  CHECK_EQUAL(f.param[9], 1.0f);
  CHECK_EQUAL(f.param[10], 10.0f);
  f.grad.assign(100, 4);
  CHECK_EQUAL(gr_graph_launch(f.graph, f.stream), int(GR_OK));
  CHECK_EQUAL(f.param[9], 4.0f);
}

TEST(calls_of_a_stream_that_is_not_recorded_are_not_kept) {
  Fixture f, other;
  f.begin();
  CHECK_EQUAL(other.update(0), int(GR_OK));
  CHECK_EQUAL(other.param[0], 9.0f);
  f.end();
  CHECK_EQUAL(gr_graph_launch(f.graph, f.stream), int(GR_OK));
  CHECK_EQUAL(other.param[0], 9.0f);
}
