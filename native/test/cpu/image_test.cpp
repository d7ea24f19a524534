// The functions are those of the kernels, and so are the tests; here is what vectors and threads add.
#include "kernels/image_test.cpp"

#include "cpu/threads.h"

TEST(channels_and_pixels_around_the_width_of_vectors) {
  for (int64_t channels : {1, 2, 3, 4, 5, 7, 8, 16, 17, 64, 513, 1030}) {
    for (int64_t n : {1, 2, 15, 33}) check_normalise<float>(n, channels);
    check_normalise<bfloat16>(9, channels, 1, 1);
  }
  check_normalise<float>(30'001, 3);
  for (int64_t channels : {2, 5, 8}) {
    gr_augment a = sizes(4, 9, 13, channels, 11, 17, 3);
    a.flip = a.crop = 1;
    a.translate = 2;
    a.cutout = 6;
    check_augment<float>(a, 3);
  }
}

TEST(images_do_not_depend_on_threads) {
  CHECK(test::same_for_all_threads([] {
    gr_augment a = sizes(60, 32, 32, 3, 32, 32, 4);
    a.flip = a.crop = a.reflect = 1;
    a.cutout = 8;
    auto images = pixels(10 * 32 * 32 * 3);
    Array<int64_t> index(60), rng(2, 77);
    for (int64_t i = 0; i < 60; i++) index.set(i, double(i * 7 % 10));
    Array<float> y(60 * 32 * 32 * 3);
    CALL(gr_image_augment(images.address(), index.address(), 0, 0, rng.address(), y.address(),
                          int64_t(reinterpret_cast<uintptr_t>(&a)), GR_FLOAT32, 0));
    return test::bytes_of(y);
  }));
}
