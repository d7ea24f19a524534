// Gather and embedding: copies of rows, or of single elements where every element has an index of its own.
#include "gradus/indexing.h"

#include "cpu/element_loops.h"

namespace gradus::cpu {
namespace {

constexpr int64_t kRowBytes = 1 << 17;  // worth a chunk

// Rows of a size that the compiler knows are moved in registers.
template <size_t kBytes>
struct KnownRow {
  GRADUS_INLINE void operator()(char* to, const char* from) const { memcpy(to, from, kBytes); }
};
struct AnyRow {
  size_t bytes;
  void operator()(char* to, const char* from) const { memcpy(to, from, bytes); }
};

template <class Copy>
void gather_rows(const char* x, const int64_t* index, char* out, const gr_index_shape& s, int64_t bytes, Copy copy) {
  int64_t grain = std::max<int64_t>(1, kRowBytes / std::max<int64_t>(32, bytes));
  parallel_for(s.outer * s.count, grain, [&](int64_t begin, int64_t end) {
    int64_t o = begin / s.count, j = begin % s.count;
    for (int64_t row = begin; row < end; row++) {
      int64_t from = o * s.size + index[o * s.index_outer + j * s.index_count];
      copy(out + row * bytes, x + from * bytes);
      if (++j == s.count) {
        j = 0;
        o++;
      }
    }
  });
}

template <class T>
void gather_elements(const T* x, const int64_t* index, T* out, const gr_index_shape& s) {
  parallel_for(s.outer * s.count, std::max<int64_t>(1, kDearGrain / s.inner), [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; row++) {
      int64_t o = row / s.count, j = row % s.count;
      const int64_t* list = index + o * s.index_outer + j * s.index_count;
      const T* from = x + o * s.size * s.inner;
      for (int64_t i = 0; i < s.inner; i++) out[row * s.inner + i] = from[list[i * s.index_inner] * s.inner + i];
    }
  });
}

}  // namespace
}  // namespace gradus::cpu

using namespace gradus;

extern "C" int gr_gather(int64_t x, int64_t index_at, int64_t out, int64_t shape, int32_t element_bytes, int64_t) {
  const auto& s = *pointer<const gr_index_shape>(shape);
  if (element_bytes != 1 && element_bytes != 2 && element_bytes != 4 && element_bytes != 8) return GR_UNSUPPORTED;
  if (s.outer * s.count * s.inner == 0) return GR_OK;
  auto* index = pointer<const int64_t>(index_at);
  if (s.index_inner == 0 || s.inner == 1) {
    int64_t bytes = s.inner * element_bytes;
    auto run = [&](auto copy) { cpu::gather_rows(pointer<const char>(x), index, pointer<char>(out), s, bytes, copy); };
    switch (bytes) {
      case 1: run(cpu::KnownRow<1>{}); break;
      case 2: run(cpu::KnownRow<2>{}); break;
      case 4: run(cpu::KnownRow<4>{}); break;
      case 8: run(cpu::KnownRow<8>{}); break;
      case 16: run(cpu::KnownRow<16>{}); break;
      case 32: run(cpu::KnownRow<32>{}); break;
      case 64: run(cpu::KnownRow<64>{}); break;
      case 128: run(cpu::KnownRow<128>{}); break;
      default: run(cpu::AnyRow{size_t(bytes)});
    }
    return GR_OK;
  }
  auto run = [&](auto type) {
    using T = typename decltype(type)::type;
    cpu::gather_elements(pointer<const T>(x), index, pointer<T>(out), s);
  };
  switch (element_bytes) {
    case 1: run(Type<uint8_t>{}); break;
    case 2: run(Type<uint16_t>{}); break;
    case 4: run(Type<uint32_t>{}); break;
    default: run(Type<uint64_t>{});
  }
  return GR_OK;
}

extern "C" int gr_embedding_forward(int64_t weight, int64_t index, int64_t y, int64_t vocabulary, int64_t count, int64_t dim,
                                    int32_t dtype, int64_t) {
  gr_index_shape shape{1, vocabulary, count, dim, 0, 1, 0};
  return cpu::with_any(dtype, [&](auto type) {
    constexpr auto kBytes = int32_t(sizeof(typename decltype(type)::type));
    return gr_gather(weight, index, y, int64_t(reinterpret_cast<uintptr_t>(&shape)), kBytes, 0);
  });
}
