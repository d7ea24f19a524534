// The functions are those of the kernels, and so are the tests; here is what vectors and threads add.
#include "kernels/optim_test.cpp"

#include "cpu/threads.h"

TEST(sizes_around_the_width_of_vectors) {
  for (int64_t n = 1; n <= 35; n++) check_steps<float>(n, n % 3, kDecay);
  for (int64_t n : {1, 3, 7, 9, 17}) check_steps<double>(n, 0, kDecay);
  check_extras<float, bfloat16, float16>(19, 1);
  check_extras<float, float16, bfloat16>(33, 0);
}

TEST(several_chunks_of_the_arena) {
  check_steps<float>(40'003, 1, kDecay);
  check_extras<float, bfloat16, bfloat16>(20'001, 0);
}

// A chunk of the table that goes over the limits of the chunks that threads take.
TEST(a_long_chunk_among_short_ones) {
  Memory<gr_chunk> chunks;
  for (gr_chunk c : {gr_chunk{5, 10, 0.5}, gr_chunk{15, 30'000, 0.25}, gr_chunk{30'020, 1, 0}, gr_chunk{30'021, 9'000, 0.125}}) {
    chunks.push_back(c);
  }
  Arena<float> actual(40'000, 21), expected = actual;
  gr_optim_extras extras{};
  extras.chunks = host(chunks.data());
  extras.chunk_count = int64_t(chunks.size());
  CALL(actual.step(Kind::adamw, 2, 77, &extras));
  for (const gr_chunk& c : chunks) expected.expect(Kind::adamw, 2, c.weight_decay, 1, c.begin, c.begin + c.length);
  check_same(actual, expected);
}

TEST(unscale_finds_what_is_not_finite_anywhere) {
  const int64_t n = 50'001;
  Array<float> scale(1, 0.5);
  for (int64_t at : {int64_t(0), int64_t(7), int64_t(16'384), n - 1}) {
    for (double bad : {double(NAN), double(INFINITY), -double(INFINITY)}) {
      auto grad = Array<float>::random(n, 31);
      Array<int32_t> found(1, 0);
      CALL(gr_unscale_check(grad.address(), found.address(), scale.address(), n, GR_FLOAT32, 0));
      CHECK_EQUAL(found[0], 0.0);
      grad.set(at, bad);
      CALL(gr_unscale_check(grad.address(), found.address(), scale.address(), n, GR_FLOAT32, 0));
      CHECK_EQUAL(found[0], 1.0);
    }
  }
}

TEST(steps_do_not_depend_on_threads) {
  for (Kind kind : kAll) {
    CHECK(same_for_all_threads([kind] {
      Arena<float> arena(30'011, 41);
      CALL(arena.step(kind, 3, kDecay));
      auto out = bytes_of(arena.param), state = bytes_of(arena.state[0]);
      out.insert(out.end(), state.begin(), state.end());
      return out;
    }));
  }
}
