#include "gradus/indexing.h"

#include "cpu/threads.h"
#include "kernels/arrays.h"

using namespace gradus;
using test::Array;

namespace {

int64_t host(const gr_index_shape& shape) { return int64_t(reinterpret_cast<uintptr_t>(&shape)); }

// Rows shared or each with its own index; an index for every element; few entries of many rows and many of few.
const gr_index_shape kShapes[] = {
    {0, 3, 4, 2, 4, 1, 0},   {1, 5, 0, 3, 0, 1, 0},      {1, 7, 20, 3, 0, 1, 0},     {3, 7, 20, 16, 20, 1, 0},
    {2, 9, 300, 5, 0, 1, 0}, {3, 50, 4, 33, 4, 1, 0},    {2, 6, 90, 4, 360, 4, 1},   {2, 10, 5, 3, 15, 3, 1},
    {1, 3, 9000, 7, 0, 1, 0}, {1, 90'000, 70, 3, 0, 1, 0}, {1, 4, 300, 600, 0, 1, 0}, {4, 8, 1, 1, 1, 1, 1},
};

Array<int64_t> index_of(const gr_index_shape& s) {
  Array<int64_t> out(s.outer * s.count * s.inner + 1);
  auto* p = reinterpret_cast<int64_t*>(uintptr_t(out.address()));
  test::Numbers numbers(uint64_t(s.size + s.count));
  for (int64_t i = 0; i < out.size(); i++) p[i] = int64_t((double(numbers.next()) + 1) / 2 * double(s.size)) % s.size;
  return out;
}
int64_t place_of(const gr_index_shape& s, const Array<int64_t>& index, int64_t o, int64_t j, int64_t i) {
  return (o * s.size + index.raw(o * s.index_outer + j * s.index_count + i * s.index_inner)) * s.inner + i;
}

// The sum of summands in order by the rule of the header, in the type that it is formed in.
template <class A>
A sum_of(A start, const std::vector<A>& summands) {
  auto n = int64_t(summands.size());
  if (n <= GR_SCATTER_RUN) {
    for (A x : summands) start += x;
    return start;
  }
  int64_t pieces = (n + GR_SCATTER_RUN - 1) / GR_SCATTER_RUN, share = (pieces + 31) / 32;
  for (int64_t group = 0; group < pieces; group += share) {
    A of_group = 0;
    for (int64_t p = group; p < std::min(pieces, group + share); p++) {
      A of_piece = 0;
      for (int64_t i = p * GR_SCATTER_RUN; i < std::min(n, (p + 1) * GR_SCATTER_RUN); i++) of_piece += summands[size_t(i)];
      of_group += of_piece;
    }
    start += of_group;
  }
  return start;
}

template <class T>
auto sum_type() {
  if constexpr (Array<T>::dtype() <= GR_FLOAT16) return accumulator_t<T>{};
  else return uint64_t{};
}
template <class T>
auto to_sum(T x) {
  if constexpr (Array<T>::dtype() <= GR_FLOAT16) return to_float(x);
  else return uint64_t(x);
}

template <class T>
std::vector<T> scattered(const gr_index_shape& s, const Array<int64_t>& index, const Array<T>& src, const Array<T>& x) {
  using A = decltype(sum_type<T>());
  std::vector<std::vector<A>> summands(size_t(x.size()));
  for (int64_t o = 0; o < s.outer; o++) {
    for (int64_t j = 0; j < s.count; j++) {
      for (int64_t i = 0; i < s.inner; i++) {
        summands[size_t(place_of(s, index, o, j, i))].push_back(to_sum(src.raw((o * s.count + j) * s.inner + i)));
      }
    }
  }
  std::vector<T> out(size_t(x.size()));
  for (int64_t i = 0; i < x.size(); i++) {
    A sum = sum_of<A>(to_sum(x.raw(i)), summands[size_t(i)]);
    if constexpr (Array<T>::dtype() <= GR_FLOAT16) out[size_t(i)] = from_accumulator<T>(sum);
    else out[size_t(i)] = T(sum);
  }
  return out;
}

template <class F>
void for_types(F f) {
  f(float{}), f(double{}), f(bfloat16{}), f(float16{}), f(int32_t{}), f(int64_t{}), f(uint8_t{});
}

template <class T>
bool same_bytes(const Array<T>& actual, const std::vector<T>& expected) {
  auto* begin = reinterpret_cast<const void*>(uintptr_t(actual.address()));
  return expected.empty() || memcmp(begin, expected.data(), size_t(actual.bytes())) == 0;
}

}  // namespace

TEST(gather_of_all_element_sizes) {
  for (const gr_index_shape& s : kShapes) {
    auto index = index_of(s);
    for (int bytes : {1, 2, 4, 8}) {
      auto x = Array<uint8_t>::random(s.outer * s.size * s.inner * bytes, 6, 0, 256);
      int64_t n = s.outer * s.count * s.inner;
      Array<uint8_t> out(n * bytes + 1, 3);
      CALL(gr_gather(x.address(), index.address(), out.address(), host(s), bytes, 0));
      bool same = out[n * bytes] == 3;
      for (int64_t at = 0; at < n; at++) {
        int64_t from = place_of(s, index, at / s.inner / s.count, at / s.inner % s.count, at % s.inner);
        for (int byte = 0; byte < bytes; byte++) same = same && out[at * bytes + byte] == x[from * bytes + byte];
      }
      CHECK(same);
    }
  }
  CHECK(gr_gather(0, 0, 0, host(kShapes[2]), 3, 0) == GR_UNSUPPORTED);
}

TEST(scatter_add_of_all_types_in_the_order_of_the_rule) {
  for_types([](auto type) {
    using T = decltype(type);
    for (const gr_index_shape& s : kShapes) {
      auto index = index_of(s);
      auto src = Array<T>::random(s.outer * s.count * s.inner, 7, std::is_same_v<T, uint8_t> ? 0 : -50, 50);
      auto x = Array<T>::random(s.outer * s.size * s.inner, 8, 0, 9);
      auto expected = scattered(s, index, src, x);
      Array<uint8_t> scratch(gr_scatter_add_scratch(host(s), x.dtype(), 0));
      CALL(gr_scatter_add(src.address(), index.address(), x.address(), scratch.address(), scratch.bytes(), host(s), x.dtype(), 0));
      CHECK(same_bytes(x, expected));
    }
  });
  gr_index_shape s{1, 3, 200, 2, 0, 1, 0};
  auto index = index_of(s);
  Array<uint8_t> src(400, 1), x(6, 0), scratch(gr_scatter_add_scratch(host(s), GR_BOOL, 0));
  CALL(gr_scatter_add(src.address(), index.address(), x.address(), scratch.address(), scratch.bytes(), host(s), GR_BOOL, 0));
  for (int64_t i = 0; i < 6; i++) CHECK(x[i] == 1);
  CHECK(gr_scatter_add(src.address(), index.address(), x.address(), 0, 8, host(s), GR_BOOL, 0) == GR_ERROR);
}

TEST(embedding_and_its_gradient) {
  for_types([](auto type) {
    using T = decltype(type);
    struct Sizes {
      int64_t vocabulary, count, dim;
    };
    for (const Sizes& e : {Sizes{5, 0, 4}, {7, 30, 3}, {3, 5000, 19}, {400, 20, 700}, {2000, 9, 8}}) {
      gr_index_shape s{1, e.vocabulary, e.count, e.dim, 0, 1, 0};
      auto index = index_of(s);
      auto weight = Array<T>::random(e.vocabulary * e.dim, 9, 0, 100), g = Array<T>::random(e.count * e.dim, 4, 0, 9);
      Array<T> y(e.count * e.dim), gradient(weight.size(), 55);
      CALL(gr_embedding_forward(weight.address(), index.address(), y.address(), e.vocabulary, e.count, e.dim, y.dtype(), 0));
      for (int64_t i = 0; i < y.size(); i++) CHECK(y[i] == weight[index.raw(i / e.dim) * e.dim + i % e.dim]);
      for (int64_t padding : {-1, 2}) {
        Array<uint8_t> scratch(gr_embedding_backward_scratch(e.vocabulary, e.count, e.dim, y.dtype(), 0));
        CALL(gr_embedding_backward(g.address(), index.address(), gradient.address(), scratch.address(), scratch.bytes(),
                                   e.vocabulary, e.count, e.dim, padding, y.dtype(), 0));
        auto expected = scattered(s, index, g, Array<T>(weight.size()));
        for (int64_t i = 0; padding >= 0 && i < e.dim; i++) expected[size_t(padding * e.dim + i)] = T{};
        CHECK(same_bytes(gradient, expected));
      }
    }
  });
}

TEST(scatter_add_is_the_same_for_all_threads) {
  gr_index_shape s{1, 50, 20'000, 24, 0, 1, 0};
  auto index = index_of(s);
  auto src = Array<float>::random(s.count * s.inner, 7);
  CHECK(test::same_for_all_threads([&] {
    Array<float> x(s.size * s.inner, 1);
    Array<uint8_t> scratch(gr_scatter_add_scratch(host(s), GR_FLOAT32, 0));
    CALL(gr_scatter_add(src.address(), index.address(), x.address(), scratch.address(), scratch.bytes(), host(s), GR_FLOAT32, 0));
    return test::bytes_of(x);
  }));
}
