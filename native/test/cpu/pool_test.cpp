// The functions are those of the kernels, and so are the tests; here is what vectors and threads add.
#include "kernels/pool_test.cpp"

#include "cpu/threads.h"

TEST(channels_around_the_width_of_vectors) {
  for (int64_t c : {1, 2, 7, 9, 15, 16, 17, 31, 33, 48, 63, 64, 65, 96, 130}) {
    gr_pool_shape s = regular(2, 7, 6, c, 3, 3, 2, 2, 1, 1);
    check_max<float>(s);
    check_max<float>(s, 1, true);
    check_avg<float>(s, c % 2 == 0);
  }
}

TEST(several_chunks) {
  gr_pool_shape s = regular(5, 33, 31, 20, 3, 3, 2, 2, 1, 1);
  check_max<float>(s, 0, true);
  check_avg<float>(s, true);
  check_avg<float>(adaptive(40, 7, 7, 64, 1, 1), false);
}

TEST(pools_do_not_depend_on_threads) {
  CHECK(same_for_all_threads([] {
    gr_pool_shape s = regular(6, 40, 40, 12, 3, 3, 2, 2, 1, 1);
    auto x = Array<float>::random(s.n * s.h * s.w * s.c, 51);
    Array<float> y(s.n * s.oh * s.ow * s.c), average(y.size()), grad_max(x.size()), grad_average(x.size());
    Array<int32_t> index(y.size());
    CALL(gr_max_pool2d_forward(x.address(), y.address(), index.address(), host(s), GR_FLOAT32, 0));
    CALL(gr_avg_pool2d_forward(x.address(), average.address(), host(s), 1, GR_FLOAT32, 0));
    CALL(gr_max_pool2d_backward(y.address(), index.address(), grad_max.address(), host(s), GR_FLOAT32, 0));
    CALL(gr_avg_pool2d_backward(y.address(), grad_average.address(), host(s), 1, GR_FLOAT32, 0));
    std::vector<uint8_t> out = bytes_of(index);
    for (const auto* array : {&y, &average, &grad_max, &grad_average}) {
      auto more = bytes_of(*array);
      out.insert(out.end(), more.begin(), more.end());
    }
    return out;
  }));
}
