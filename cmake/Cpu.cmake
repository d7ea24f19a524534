# gradus_cpu_plugin(sources...): lib/libgradus_cpu.so of the SIMD sources for any processor of this kind, and beside it
# libgradus_cpu_ISA.so for every wider instruction set that the compiler knows; the first chooses when it is loaded.

set(GRADUS_CPU_FLAGS -O3 -fno-math-errno -fno-trapping-math -Wno-psabi)
set(GRADUS_CPU_avx2_FLAGS -mavx2 -mfma -mf16c -mbmi2)
set(GRADUS_CPU_avx512_FLAGS ${GRADUS_CPU_avx2_FLAGS} -mavx512f -mavx512bw -mavx512dq -mavx512vl -mprefer-vector-width=512)
set(GRADUS_CPU_avx2_NAME "AVX2")
set(GRADUS_CPU_avx512_NAME "AVX-512")
if(CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|AMD64)$")
  set(GRADUS_CPU_ISAS avx2 avx512)
  set(GRADUS_CPU_portable_NAME "SSE2")
  # Whether the tests of a width can run on this machine.
  include(CheckCXXSourceRuns)
  check_cxx_source_runs("int main() { return __builtin_cpu_supports(\"avx2\") && __builtin_cpu_supports(\"fma\") ? 0 : 1; }"
                        GRADUS_CPU_HAS_avx2)
elseif(CMAKE_SYSTEM_PROCESSOR MATCHES "^(aarch64|arm64)$")
  set(GRADUS_CPU_portable_NAME "NEON")
else()
  set(GRADUS_CPU_portable_NAME "portable")
endif()

function(gradus_cpu_library target isa)
  target_compile_options(${target} PRIVATE ${GRADUS_CPU_FLAGS} ${GRADUS_CPU_${isa}_FLAGS})
  target_compile_definitions(${target} PRIVATE GRADUS_ISA_NAME="${GRADUS_CPU_${isa}_NAME}")
  target_link_libraries(${target} PRIVATE Threads::Threads ${CMAKE_DL_LIBS})
endfunction()

function(gradus_cpu_plugin)
  gradus_plugin(cpu ${ARGN} src/cpu/dispatch.cpp)
  gradus_cpu_library(gradus_cpu portable)
  target_compile_definitions(gradus_cpu PRIVATE GRADUS_PARTIAL GRADUS_TABLE=gr_portable_table)
  foreach(isa IN LISTS GRADUS_CPU_ISAS)
    gradus_plugin(cpu_${isa} ${ARGN})
    gradus_cpu_library(gradus_cpu_${isa} ${isa})
    target_compile_definitions(gradus_cpu_${isa} PRIVATE GRADUS_PARTIAL)
  endforeach()
endfunction()
