// Gather, scatter-add and embedding against plain loops. Sums of up to GR_SCATTER_RUN summands must have the bits of a loop in
// the order of src.

#include "gradus/indexing.h"

#include "arrays.h"
#include "device/wide_divide.h"

using namespace test;
using gradus::bfloat16;
using gradus::float16;

namespace {

int64_t host(const gr_index_shape& s) { return int64_t(reinterpret_cast<uintptr_t>(&s)); }

gr_index_shape rows(int64_t outer, int64_t size, int64_t count, int64_t inner) { return {outer, size, count, inner, 0, 1, 0}; }
gr_index_shape own_rows(int64_t outer, int64_t size, int64_t count, int64_t inner) {
  return {outer, size, count, inner, count, 1, 0};
}
gr_index_shape elements(int64_t outer, int64_t size, int64_t count, int64_t inner) {
  return {outer, size, count, inner, count * inner, inner, 1};
}

int64_t index_length(const gr_index_shape& s) {
  return 1 + (s.outer - 1) * s.index_outer + (s.count - 1) * s.index_count + (s.inner - 1) * s.index_inner;
}
Array<int64_t> indices(const gr_index_shape& s, uint64_t seed) {
  Array<int64_t> out(index_length(s));
  Numbers numbers(seed);
  for (int64_t k = 0; k < out.size(); k++) {
    out.set(k, double(int64_t((double(numbers.next()) + 1) / 2 * double(s.size)) % s.size));
  }
  return out;
}

// Calls f(position in the selected part, position in x), in order.
template <class F>
void each(const gr_index_shape& s, const Array<int64_t>& index, F&& f) {
  for (int64_t o = 0; o < s.outer; o++) {
    for (int64_t j = 0; j < s.count; j++) {
      for (int64_t i = 0; i < s.inner; i++) {
        int64_t row = index.raw(o * s.index_outer + j * s.index_count + i * s.index_inner);
        f((o * s.count + j) * s.inner + i, (o * s.size + row) * s.inner + i);
      }
    }
  }
}

template <class T>
void check_gather(const gr_index_shape& s, int64_t offset = 0) {
  Array<T> x(s.outer * s.size * s.inner + offset), out(s.outer * s.count * s.inner + offset);
  for (int64_t k = 0; k < x.size(); k++) x.set(k, double(k % 251));
  Array<int64_t> index = indices(s, 3);
  int64_t shift = offset * int64_t(sizeof(T));
  CALL(gr_gather(x.address() + shift, index.address(), out.address() + shift, host(s), int32_t(sizeof(T)), 0));
  each(s, index, [&](int64_t from, int64_t at) { CHECK_EQUAL(out[offset + from], x[offset + at]); });
}

TEST(gather) {
  for (const gr_index_shape& s : {rows(1, 1, 1, 1), rows(1, 9, 70, 16), rows(3, 5, 11, 24), rows(2, 7, 5, 3),
                                  own_rows(3, 6, 4, 8), own_rows(2, 3, 40, 1), elements(2, 5, 7, 9), elements(1, 300, 1100, 1),
                                  gr_index_shape{3, 5, 4, 6, 0, 6, 1}, gr_index_shape{2, 4, 3, 5, 1, 2, 7}}) {
    check_gather<uint8_t>(s);
    check_gather<bfloat16>(s);
    check_gather<float>(s);
    check_gather<int64_t>(s);
  }
  check_gather<float>(rows(2, 7, 5, 8), 1);
  check_gather<bfloat16>(rows(2, 7, 5, 8), 3);
}

// Adds in order where runs are short, in whatever way float64 does it elsewhere.
template <class T>
struct Sums {
  std::vector<double> value, size;
  std::vector<int64_t> count;
};
template <class T>
double add_once(double sum, double x) {
  if constexpr (sizeof(T) == 8) return sum + x;
  else if constexpr (std::is_integral_v<T>) return sum + x;
  else return double(float(sum) + float(x));
}
template <class T>
Sums<T> sums(const gr_index_shape& s, const Array<int64_t>& index, const Array<T>& src, const Array<T>& x, int64_t offset) {
  auto n = size_t(s.outer * s.size * s.inner);
  Sums<T> out{std::vector<double>(n), std::vector<double>(n), std::vector<int64_t>(n, 0)};
  for (size_t k = 0; k < n; k++) out.size[k] = std::fabs(out.value[k] = x[offset + int64_t(k)]);
  each(s, index, [&](int64_t from, int64_t at) {
    double v = src[offset + from];
    auto k = size_t(at);
    out.value[k] = add_once<T>(out.value[k], v);
    out.size[k] += std::fabs(v);
    out.count[k]++;
  });
  return out;
}

template <class T>
void compare(const Array<T>& actual, int64_t offset, const Sums<T>& expected, int32_t dtype) {
  for (size_t k = 0; k < expected.value.size(); k++) {
    double a = actual[offset + int64_t(k)], e = expected.value[k];
    if (expected.count[k] <= GR_SCATTER_RUN || std::is_integral_v<T>) {
      double rounded = 0;
      if constexpr (std::is_integral_v<T>) rounded = dtype == GR_BOOL ? double(e != 0) : double(T(int64_t(e)));
      else rounded = wide(narrow<T>(e));
      CHECK_EQUAL(a, rounded);
    } else {
      // The order differs: both may be off by some roundings of the whole.
      CHECK_NEAR(a, e, 2 * unit<T>(), expected.size[k] * std::min(unit<T>(), 0x1p-24) * 64);
    }
  }
}

template <class T>
Array<T> numbers(int64_t n, uint64_t seed, int32_t dtype = Array<T>::dtype()) {
  // Bytes overflow.
  return std::is_integral_v<T> ? Array<T>::random(n, seed, 0, dtype == GR_BOOL ? 2 : 200) : Array<T>::random(n, seed);
}

template <class T>
void check_scatter(const gr_index_shape& s, const Array<int64_t>& index, int64_t offset = 0,
                   int32_t dtype = Array<T>::dtype()) {
  int64_t shift = offset * int64_t(sizeof(T));
  Array<T> src = numbers<T>(s.outer * s.count * s.inner + offset, 7, dtype);
  Array<T> x = numbers<T>(s.outer * s.size * s.inner + offset, 8, dtype);
  Sums<T> expected = sums(s, index, src, x, offset);
  Array<uint8_t> scratch(gr_scatter_add_scratch(host(s), dtype, 0));
  Array<T> again = x;
  for (Array<T>* target : {&x, &again}) {
    CALL(gr_scatter_add(src.address() + shift, index.address(), target->address() + shift, scratch.address(), scratch.size(),
                        host(s), dtype, 0));
  }
  compare(x, offset, expected, dtype);
  for (int64_t k = 0; k < x.size(); k++) CHECK_EQUAL(again[k], x[k]);
}
template <class T>
void check_scatter(const gr_index_shape& s, int64_t offset = 0) {
  check_scatter<T>(s, indices(s, 5), offset);
}

TEST(scatter_by_scanning) {
  for (const gr_index_shape& s : {rows(1, 1, 1, 1), rows(1, 9, 60, 16), rows(3, 5, 11, 24), rows(2, 7, 5, 3),
                                  own_rows(3, 6, 4, 8), elements(2, 5, 7, 9), gr_index_shape{3, 5, 4, 6, 0, 6, 1},
                                  gr_index_shape{2, 4, 3, 5, 1, 2, 7}}) {
    CHECK_EQUAL(gr_scatter_add_scratch(host(s), GR_FLOAT32, 0), int64_t(0));
    check_scatter<float>(s);
    check_scatter<double>(s);
    check_scatter<bfloat16>(s);
    check_scatter<float16>(s);
    check_scatter<int64_t>(s);
    check_scatter<int32_t>(s);
    check_scatter<uint8_t>(s);
    check_scatter<uint8_t>(s, indices(s, 5), 0, GR_BOOL);
  }
  check_scatter<float>(rows(2, 7, 5, 8), 1);
}

TEST(scatter_by_sorting) {
  // Many keys: three passes; a shared list; lists of their own; an index of its own for every element.
  for (const gr_index_shape& s : {rows(1, 70000, 1500, 4), rows(2, 300, 1030, 9), own_rows(3, 40, 1100, 3), rows(1, 9, 70, 16),
                                  elements(1, 90, 1200, 3), rows(1, 1100, 1100, 136)}) {
    CHECK(gr_scatter_add_scratch(host(s), GR_FLOAT32, 0) > 0);
    check_scatter<float>(s);
    check_scatter<bfloat16>(s);
  }
  check_scatter<double>(rows(1, 500, 1100, 2));
  check_scatter<double>(rows(1, 500, 1100, 3));
  check_scatter<int32_t>(rows(1, 20, 1100, 2));
  check_scatter<int64_t>(rows(1, 20, 1100, 2));
  check_scatter<uint8_t>(rows(1, 300, 1100, 1));
  check_scatter<uint8_t>(rows(1, 300, 1100, 1), indices(rows(1, 300, 1100, 1), 5), 0, GR_BOOL);
  check_scatter<float>(rows(1, 60, 2100, 8), 1);
}

// Runs around the borders of chunks: lengths of 1, of GR_SCATTER_RUN and a few more or less, one after the other, in an order
// that mixes them.
TEST(scatter_of_long_runs) {
  std::vector<int64_t> list;
  int64_t key = 0;
  for (int64_t length : {1, 63, 64, 65, 127, 3, 128, 129, 1, 640, 200, 64, 64, 90, 4100, 5}) {
    for (int64_t k = 0; k < length; k++) list.push_back(key);
    key++;
  }
  for (size_t k = 0; k < list.size(); k++) std::swap(list[k], list[k * 7919 % list.size()]);
  auto count = int64_t(list.size());
  Array<int64_t> index(count);
  for (int64_t k = 0; k < count; k++) index.set(k, double(list[size_t(k)]));
  for (int64_t inner : {1, 3, 8}) {
    check_scatter<float>(rows(1, key, count, inner), index);
    check_scatter<bfloat16>(rows(2, key, count, inner), index);
  }
  check_scatter<double>(rows(1, key, count, 34), index);
  check_scatter<int32_t>(rows(1, key, count, 2), index);
  check_scatter<float16>(own_rows(1, key, count, 8), index);

  // The sum of a run does not depend on what else is in the list, nor on alignment.
  gr_index_shape alone = rows(1, 1, 4100, 8), among = rows(1, 3, 4100 + 70, 8);
  Array<int64_t> zeros(4100), mixed(4170);
  Array<float> src = numbers<float>(4100 * 8, 9), wider(4170 * 8 + 1), one(8), three(24 + 1);
  for (int64_t k = 0, at = 0; k < 4170; k++) {
    bool other = k % 59 == 0 && k / 59 < 70;
    if (at >= 4100 || (other && k - at < 70)) {
      mixed.set(k, k % 2 == 0 ? 0 : 2);
      continue;
    }
    mixed.set(k, 1);
    for (int64_t i = 0; i < 8; i++) wider.set(k * 8 + i + 1, src[at * 8 + i]);
    at++;
  }
  Array<uint8_t> scratch(gr_scatter_add_scratch(host(alone), GR_FLOAT32, 0));
  Array<uint8_t> more(gr_scatter_add_scratch(host(among), GR_FLOAT32, 0));
  CALL(gr_scatter_add(src.address(), zeros.address(), one.address(), scratch.address(), scratch.size(), host(alone),
                      GR_FLOAT32, 0));
  CALL(gr_scatter_add(wider.address() + 4, mixed.address(), three.address() + 4, more.address(), more.size(), host(among),
                      GR_FLOAT32, 0));
  for (int64_t i = 0; i < 8; i++) CHECK_EQUAL(three[1 + 8 + i], one[i]);
}

#if !defined(__CUDACC__)  // calls device code from the host, as only the emulator can
TEST(wide_division) {
  constexpr int64_t kMost = INT64_MAX;
  for (int64_t divisor : {int64_t(1), int64_t(2), int64_t(3), int64_t(7), int64_t(96), int64_t(1000003), int64_t(1) << 31}) {
    gradus::WideDivide by(divisor);
    int64_t limit = divisor == 1 ? kMost : int64_t(~uint64_t(0) / uint64_t(divisor) / 2);
    CHECK(by.serves(limit));
    int64_t multiple = limit / divisor * divisor;
    for (int64_t n : {int64_t(0), int64_t(1), divisor - 1, divisor, divisor + 1, multiple - 1, multiple, limit}) {
      int64_t remainder;
      CHECK_EQUAL(by.quotient(n, remainder), n / divisor);
      CHECK_EQUAL(remainder, n % divisor);
    }
  }
  CHECK(!gradus::WideDivide(int64_t(1) << 31).serves(int64_t(1) << 34));
}
#endif

TEST(too_little_scratch_is_an_error) {
  gr_index_shape s = rows(1, 10, 1500, 1);
  Array<float> src(1500), x(10);
  Array<int64_t> index(1500);
  Array<uint8_t> scratch(gr_scatter_add_scratch(host(s), GR_FLOAT32, 0));
  CHECK_EQUAL(gr_scatter_add(src.address(), index.address(), x.address(), scratch.address(), scratch.size() - 1, host(s),
                             GR_FLOAT32, 0),
              int(GR_ERROR));
  CHECK_CONTAINS(gradus::error_text(), "[scatterAdd] has");
}

TEST(nothing_to_do) {
  CALL(gr_gather(0, 0, 0, host(rows(1, 5, 0, 3)), 4, 0));
  CALL(gr_scatter_add(0, 0, 0, 0, 0, host(rows(0, 5, 2, 3)), GR_FLOAT32, 0));
  CALL(gr_scatter_add(0, 0, 0, 0, 0, host(rows(1, 5, 2, 0)), GR_FLOAT32, 0));
  CALL(gr_embedding_forward(0, 0, 0, 5, 0, 3, GR_FLOAT32, 0));
  CALL(gr_embedding_backward(0, 0, 0, 0, 0, 5, 2, 0, -1, GR_FLOAT32, 0));
  CHECK_EQUAL(gr_gather(0, 0, 0, host(rows(1, 5, 2, 3)), 3, 0), int(GR_UNSUPPORTED));
  CHECK_EQUAL(gr_scatter_add(0, 0, 0, 0, 0, host(rows(1, 5, 2, 3)), 99, 0), int(GR_UNSUPPORTED));
}

template <class T>
void check_embedding(int64_t vocabulary, int64_t count, int64_t dim, int64_t padding, int64_t frequent = 0, int64_t offset = 0) {
  int64_t shift = offset * int64_t(sizeof(T));
  gr_index_shape s = rows(1, vocabulary, count, dim);
  Array<int64_t> index = count == 0 ? Array<int64_t>(0) : indices(s, 11);
  for (int64_t k = 0; k < frequent; k++) index.set(k * 3 % count, double(std::min<int64_t>(2, vocabulary - 1)));
  Array<T> weight = Array<T>::random(vocabulary * dim + offset, 12), y(count * dim + offset);
  CALL(gr_embedding_forward(weight.address() + shift, index.address(), y.address() + shift, vocabulary, count, dim, y.dtype(),
                            0));
  for (int64_t k = 0; k < count * dim; k++) CHECK_EQUAL(y[offset + k], weight[offset + index.raw(k / dim) * dim + k % dim]);

  Array<T> grad_y = Array<T>::random(count * dim + offset, 13);
  Array<T> grad(vocabulary * dim + offset, NAN), zero(vocabulary * dim + offset);
  Sums<T> expected = sums(s, index, grad_y, zero, offset);
  for (int64_t i = 0; padding >= 0 && i < dim; i++) {
    expected.value[size_t(padding * dim + i)] = 0;
    expected.count[size_t(padding * dim + i)] = 0;
  }
  Array<uint8_t> scratch(gr_embedding_backward_scratch(vocabulary, count, dim, grad.dtype(), 0));
  CALL(gr_embedding_backward(grad_y.address() + shift, index.address(), grad.address() + shift, scratch.address(), scratch.size(),
                             vocabulary, count, dim, padding, grad.dtype(), 0));
  compare(grad, offset, expected, grad.dtype());
}

TEST(embedding) {
  check_embedding<float>(1, 1, 1, -1);
  check_embedding<float>(11, 7, 5, -1);
  check_embedding<float>(11, 40, 8, 3);
  check_embedding<float>(6, 0, 4, -1);
  check_embedding<bfloat16>(300, 100, 24, 0);
  check_embedding<float>(900, 1200, 12, -1);
  check_embedding<float>(900, 1200, 12, 2, 300);
  check_embedding<float>(900, 1200, 12, 5, 300);
  check_embedding<bfloat16>(500, 2500, 8, -1, 700);
  check_embedding<float16>(70, 1100, 17, 69);
  check_embedding<double>(600, 1100, 6, 2, 200);
  check_embedding<float>(90, 1100, 12, 4, 0, 1);
}

}  // namespace
