// Random numbers and narrow floats: known answers, and every value where that is possible.

#include "device/half.h"
#include "device/launch.h"
#include "device/math.h"
#include "device/philox.h"
#include "harness.h"

using namespace gradus;

namespace {

// Source: the known-answer vectors of Random123 (kat_vectors, philox4x32 10).
TEST(philox_known_answers) {
  auto check = [](uint64_t seed, uint64_t stream, uint64_t block, uint32_t a, uint32_t b, uint32_t c, uint32_t d) {
    PhiloxWords w = philox(seed, stream, block);
    CHECK_EQUAL(w.word[0], a);
    CHECK_EQUAL(w.word[1], b);
    CHECK_EQUAL(w.word[2], c);
    CHECK_EQUAL(w.word[3], d);
  };
  check(0, 0, 0, 0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8);
  check(~0ull, ~0ull, ~0ull, 0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd);
  check(0x299f31d0a4093822, 0x0370734413198a2e, 0x85a308d3243f6a88, 0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1);
}

TEST(dropout_takes_lower_half_words_first) {
  PhiloxWords w = philox(7, 11, 3);
  for (int i = 0; i < 8; i++) {
    uint32_t half = i % 2 == 0 ? w.word[i / 2] & 0xFFFF : w.word[i / 2] >> 16;
    CHECK_EQUAL(philox_half(w, i), half);
    CHECK(dropout_keeps(7, 11, uint64_t(24 + i), half));
    CHECK(!dropout_keeps(7, 11, uint64_t(24 + i), half + 1));
  }
}

TEST(uniform_numbers_stay_below_one) {
  CHECK_EQUAL(philox_uniform(0u), 0.0f);
  CHECK_EQUAL(philox_uniform(~0u), 1.0f - 0x1p-24f);
  CHECK(philox_uniform(~0u, ~0u) < 1.0);
  CHECK_EQUAL(philox_below(~0u, 10), 9u);
}

// Every 16-bit pattern survives the way to float and back; halfway cases go to even.
template <class T>
void round_trip() {
  for (uint32_t i = 0; i < 65536; i++) {
    T h{uint16_t(i)};
    float f = to_float(h);
    if (std::isnan(f)) {
      CHECK(std::isnan(to_float(from_float<T>(f))));
    } else {
      CHECK_EQUAL(from_float<T>(f).bits, uint16_t(i));
    }
  }
  for (uint32_t i = 0; i < 0x7800; i++) {
    float low = to_float(T{uint16_t(i)});
    float high = to_float(T{uint16_t(i + 1)});
    if (std::isinf(high)) continue;
    float middle = float((double(low) + double(high)) / 2);
    uint16_t even = uint16_t(i % 2 == 0 ? i : i + 1);
    CHECK_EQUAL(from_float<T>(middle).bits, even);
    CHECK_EQUAL(from_float<T>(-middle).bits, uint16_t(even | 0x8000));
    CHECK_EQUAL(from_float<T>(std::nextafter(middle, INFINITY)).bits, uint16_t(i + 1));
    CHECK_EQUAL(from_float<T>(std::nextafter(middle, 0.0f)).bits, uint16_t(i));
  }
}

TEST(bfloat16_rounds_to_nearest_even) { round_trip<bfloat16>(); }

TEST(float16_rounds_to_nearest_even) {
  round_trip<float16>();
  CHECK_EQUAL(from_float<float16>(65519.0f).bits, uint16_t(0x7BFF));
  CHECK_EQUAL(from_float<float16>(65520.0f).bits, uint16_t(0x7C00));
  CHECK_EQUAL(from_float<float16>(-1e30f).bits, uint16_t(0xFC00));
  CHECK_EQUAL(from_float<float16>(0x1p-25f).bits, uint16_t(0));
  CHECK_EQUAL(from_float<float16>(0x1.8p-25f).bits, uint16_t(1));
}

}  // namespace
