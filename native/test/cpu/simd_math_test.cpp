// The elementary functions of vectors, over numbers of all exponents and both signs, against float64.
#include "cpu/simd_math.h"

#include "harness.h"

using namespace gradus;
using namespace gradus::cpu;

namespace {

// In units of the last place of the nearest float, or of the smallest one.
double ulps(float actual, double expected) {
  int exponent;
  std::frexp(float(expected), &exponent);
  return std::fabs(double(actual) - expected) / std::ldexp(1.0, std::max(exponent - 24, -149));
}

template <class F, class G>
void check(const char* name, double allowed, F f, G exact) {
  constexpr uint64_t kStep = 29989;  // a prime: some 140 thousand numbers
  double worst = 0;
  float place = 0;
  int wrong = 0;
  for (uint64_t bits = 0; bits < uint64_t(1) << 32; bits += kStep * kLanes) {
    float x[kLanes], y[kLanes];
    for (int i = 0; i < kLanes; i++) x[i] = bits_to_float(uint32_t(bits + kStep * uint64_t(i)));
    store(y, f(load(x)));
    for (int i = 0; i < kLanes; i++) {
      double e = exact(double(x[i]));
      auto rounded = float(e);
      if (std::isnan(e) || std::isinf(rounded) || rounded == 0) {
        bool same = std::isnan(e) ? std::isnan(y[i]) : y[i] == rounded && std::signbit(y[i]) == std::signbit(rounded);
        // Half way to the end of the range either neighbour will do.
        bool near = (std::isinf(rounded) && !std::isinf(e) && std::fabs(y[i]) >= 3.4028e38f) || ulps(y[i], e) <= 1;
        wrong += !same && !(near && !std::isnan(e) && !std::isinf(e) && e != 0);
      } else {
        double error = ulps(y[i], e);
        if (!(error <= worst)) {
          worst = error;
          place = x[i];
        }
      }
    }
  }
  if (worst <= allowed && wrong == 0) return;
  test::report(__FILE__, __LINE__, std::string(name) + ": " + test::text(worst) + " ulp at " + test::text(double(place)) + ", " +
                                       std::to_string(wrong) + " special values");
}

double logistic_of(double x) { return x < 0 ? std::exp(x) / (1 + std::exp(x)) : 1 / (1 + std::exp(-x)); }

}  // namespace

TEST(functions_are_as_exact_as_they_say) {
  check("exp", 2, [](Floats x) { return exp(x); }, [](double x) { return std::exp(x); });
  check("log", 2, [](Floats x) { return log(x); }, [](double x) { return std::log(x); });
  check("tanh", 2, [](Floats x) { return tanh(x); }, [](double x) { return std::tanh(x); });
  check("expm1", 4, [](Floats x) { return expm1(x); }, [](double x) { return std::expm1(x); });
  check("log1p", 4, [](Floats x) { return log1p(x); }, [](double x) { return std::log1p(x); });
  check("sigmoid", 4, [](Floats x) { return sigmoid(x); }, logistic_of);
  check("softplus", 4, [](Floats x) { return softplus(x); },
        [](double x) { return x != x ? x : std::fmax(x, 0.0) + std::log1p(std::exp(-std::fabs(x))); });
  check("erf", 4, [](Floats x) { return erf(x); }, [](double x) { return std::erf(x); });
  check("gelu", 8, [](Floats x) { return gelu(x); }, [](double x) { return 0.5 * x * std::erfc(-x * 0.70710678118654752440); });
  check("sin", 4, [](Floats x) { return sin(x); }, [](double x) { return std::sin(x); });
  check("cos", 4, [](Floats x) { return cos(x); }, [](double x) { return std::cos(x); });
  check("sqrt", 0.5, [](Floats x) { return sqrt(x); }, [](double x) { return std::sqrt(x); });
  check("floor", 0, [](Floats x) { return floor(x); }, [](double x) { return std::floor(x); });
  check("ceil", 0, [](Floats x) { return ceil(x); }, [](double x) { return std::ceil(x); });
  check("round", 0, [](Floats x) { return round_to_even(x); }, [](double x) { return std::rint(x); });
}

TEST(gelu_keeps_its_lower_tail) {
  for (float x = -12.5f; x < 12; x += 0.0371f) {
    CHECK(ulps(gelu(broadcast(x))[0], 0.5 * double(x) * std::erfc(-double(x) * 0.70710678118654752440)) <= 4);
  }
}

TEST(powers) {
  for (float b : {2.5f, -3.0f, 0.0f, -0.0f, 1e-3f, 7.0f, 16777216.0f, 3e7f, INFINITY, -INFINITY, NAN}) {
    check("pow", 2, [b](Floats x) { return pow(x, broadcast(b)); }, [b](double x) {
      return b != b || (std::fabs(x) == 1 && std::isinf(b)) ? double(NAN) : std::pow(x, double(b));
    });
  }
  for (float a : {1.7f, -2.0f, 0.0f, -0.0f, 1.0f, -1.0f, 0.3f, INFINITY, -INFINITY, NAN}) {
    check("pow", 2, [a](Floats x) { return pow(broadcast(a), x); }, [a](double x) {
      return x != x || (std::fabs(a) == 1 && std::isinf(x)) ? double(NAN) : std::pow(double(a), x);
    });
  }
}

TEST(sines_of_multiples_of_pi_keep_their_digits) {
  for (int i = -2000; i < 2000; i++) {
    float x = float(i) * 0.25f + 1e-4f;
    Floats sine, cosine;
    sincospi(broadcast(x), sine, cosine);
    double angle = 3.14159265358979323846 * (double(x) - std::rint(double(x) / 2) * 2);
    CHECK(std::fabs(double(sine[0]) - std::sin(angle)) <= 3e-7);
    CHECK(std::fabs(double(cosine[0]) - std::cos(angle)) <= 3e-7);
  }
}
