// The innermost part of matrix products: a tile of C that stays in registers while one column of a packed A and one row of a packed
// B after another are multiplied into it.
// Source: Van Zee, van de Geijn, "BLIS: A framework for rapidly instantiating BLAS functionality", ACM TOMS, 2015.
#pragma once

#include "cpu/simd.h"

namespace gradus::cpu {

// A tile is up to kRows x kColumns, in registers: two vectors wide, so that the loads of a step are fewer than its products, and as
// high as the registers allow beside two vectors of B and one of A.
template <class A>
struct GemmTile {
  static constexpr int kVectors = 2;
#if defined(__aarch64__)
  static constexpr int kRows = 12;
#else
  static constexpr int kRows = kRegisters == 32 || kVectorBytes == 64 ? 14 : 6;
#endif
  static constexpr int kColumns = kVectors * lanes_of<A>;
};

// C = sum over depth of a's columns times b's rows, or with add C += that. a: [rows][depth], or turned [depth][rows], its stored
// rows a_pitch apart; b: [depth][columns], its rows b_pitch apart; c: rows x columns, any alignment. Every element's sum is formed
// in the order of the depth.
template <class A>
using GemmKernel = void (*)(int64_t depth, const A* a, int64_t a_pitch, const A* b, int64_t b_pitch, A* c, int64_t c_pitch,
                            bool add);

// The kernel for 1 to GemmTile<A>::kRows rows, 1 or 2 vectors of columns, and such a. float and double.
template <class A>
GemmKernel<A> gemm_kernel(int rows, int vectors, bool turned);

}  // namespace gradus::cpu
