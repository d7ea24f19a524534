// Wrapper-by-wrapper conformance of a GPU with the emulator's models.
//   gradus_conformance           compares
//   gradus_conformance --model   runs the models twice, which shows that the cases themselves are sound where there is no GPU
// Exit status: 0 all agree, 1 some do not, 2 there is no GPU.
#include <cmath>
#include <cstdio>
#include <cstring>

#include "conformance.h"

namespace {

using conformance::Case;
using conformance::Compare;
using conformance::Input;

class Bits {
 public:
  uint32_t next() {
    state_ = state_ * 6364136223846793005u + 1442695040888963407u;
    return uint32_t(state_ >> 32);
  }

 private:
  uint64_t state_ = 12345;
};

template <class T>
T float_bits(float x) {
  uint32_t bits;
  memcpy(&bits, &x, 4);
  return T(bits >> (32 - 8 * sizeof(T)));
}

// Of numbers on [-1, 1) that the type holds.
uint16_t float16_bits(float x) {
  if (std::fabs(x) < 0x1p-14f) return 0;
  uint32_t bits = float_bits<uint32_t>(x);
  return uint16_t((bits >> 16 & 0x8000) | (((bits >> 23 & 255) - 112) << 10) | (bits >> 13 & 0x3FF));
}

std::vector<unsigned char> input_of(const Case& c) {
  std::vector<unsigned char> bytes(size_t(c.input_bytes));
  Bits random;
  bool wide = c.input == Input::bits || c.input == Input::eighths_float32 || c.input == Input::float32;
  size_t step = wide ? 4 : 2;
  for (size_t i = 0; i * step < bytes.size(); i++) {
    uint32_t r = random.next();
    float any = float(int32_t(r)) * 0x1p-31f, eighth = float(int32_t(r >> 28) - 8) / 8;
    bool eighths = c.input == Input::eighths_float32 || c.input == Input::eighths_bfloat16 || c.input == Input::eighths_float16;
    float x = eighths ? eighth : any;
    uint32_t value = r;
    if (c.input == Input::indices) value = uint32_t(i);
    if (c.input == Input::eighths_float32 || c.input == Input::float32) value = float_bits<uint32_t>(x);
    if (c.input == Input::eighths_bfloat16 || c.input == Input::bfloat16) value = float_bits<uint16_t>(x);
    if (c.input == Input::eighths_float16 || c.input == Input::float16) value = float16_bits(x);
    memcpy(&bytes[i * step], &value, step);
  }
  return bytes;
}

// Where two outputs differ first, or -1.
int64_t difference(const Case& c, const std::vector<unsigned char>& a, const std::vector<unsigned char>& b) {
  for (size_t i = 0; i + 4 <= a.size(); i += 4) {
    if (memcmp(&a[i], &b[i], 4) == 0) continue;
    float x, y;
    memcpy(&x, &a[i], 4);
    memcpy(&y, &b[i], 4);
    if (c.compare != Compare::bits && std::isnan(x) && std::isnan(y)) continue;
    if (c.compare == Compare::near && std::fabs(double(x) - double(y)) <= c.absolute + c.relative * std::fabs(double(y))) continue;
    return int64_t(i);
  }
  return -1;
}

}  // namespace

int main(int argc, char** argv) {
  bool model_only = argc > 1 && strcmp(argv[1], "--model") == 0;
  std::string device = "the emulator";
  int capability = model_only ? 90 : conformance::hardware(&device);
  if (capability == 0) {
    printf("no GPU: %s\n", device.c_str());
    return 2;
  }
  printf("%s\n", device.c_str());
  std::vector<Case> models = conformance::model_cases();
  std::vector<Case> others = model_only ? models : conformance::hardware_cases();
  int agree = 0, differ = 0, skipped = 0;
  for (size_t i = 0; i < models.size(); i++) {
    const Case& c = models[i];
    if (c.hopper && capability != 90) {
      printf("skipped  %s: needs compute capability 9.0\n", c.name.c_str());
      skipped++;
      continue;
    }
    std::vector<unsigned char> in = input_of(c), expected(size_t(c.output_bytes)), actual(size_t(c.output_bytes));
    std::string problem = c.run(c, in.data(), expected.data());
    if (!problem.empty()) problem = "the model: " + problem;
    if (problem.empty()) {
      problem = others[i].run(others[i], in.data(), actual.data());
      int64_t at = problem.empty() ? difference(c, actual, expected) : -1;
      if (at >= 0) {
        uint32_t a, e;
        float x, y;
        memcpy(&a, &actual[size_t(at)], 4);
        memcpy(&e, &expected[size_t(at)], 4);
        memcpy(&x, &a, 4);
        memcpy(&y, &e, 4);
        char text[160];
        snprintf(text, sizeof text, "byte %lld: hardware 0x%08x (%.9g), model 0x%08x (%.9g)", static_cast<long long>(at), a, double(x), e, double(y));
        problem = text;
      }
    }
    bool blank = problem.empty() && expected == std::vector<unsigned char>(expected.size());
    if (blank) problem = "the output is all zeros: nothing was compared";
    printf("%s %s%s%s\n", problem.empty() ? "agree   " : "DIFFER  ", c.name.c_str(), problem.empty() ? "" : ": ", problem.c_str());
    problem.empty() ? agree++ : differ++;
    fflush(stdout);
  }
  printf("%d agree, %d differ, %d skipped\n", agree, differ, skipped);
  return differ == 0 && agree > 0 ? 0 : 1;
}
