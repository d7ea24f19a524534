# gradus_cpu_plugin(sources...): lib/libgradus_cpu.so of the SIMD sources for any processor of this kind, and beside it
# libgradus_cpu_ISA.so for every wider instruction set that the compiler knows; the first chooses when it is loaded.
# With GRADUS_CPU=native there is one library for this machine alone, which is built in a third of the time.
# gradus_cpu_objects(target isa sources...): the sources for an instruction set, for the plug-ins and for tests.
set(GRADUS_CPU_FLAGS -O3 -fno-math-errno -fno-trapping-math -Wno-psabi)
set(GRADUS_CPU_avx2_FLAGS -mavx2 -mfma -mf16c -mbmi2)
# GCC 12 warns of its own intrinsics.
set(GRADUS_CPU_avx512_FLAGS ${GRADUS_CPU_avx2_FLAGS} -mavx512f -mavx512bw -mavx512dq -mavx512vl -mprefer-vector-width=512
    -Wno-uninitialized -Wno-maybe-uninitialized)
set(GRADUS_CPU_avx2_NAME "AVX2")
set(GRADUS_CPU_avx512_NAME "AVX-512")
set(GRADUS_CPU "all" CACHE STRING "instruction sets of the SIMD plug-in: all, or native for this machine's alone")

# Whether a program for an instruction set runs on this machine.
include(CheckCXXSourceRuns)
function(gradus_cpu_check isa features)
  check_cxx_source_runs("int main() { return ${features} ? 0 : 1; }" GRADUS_CPU_HAS_${isa})
endfunction()

set(GRADUS_CPU_best portable)
if(CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|AMD64)$")
  set(GRADUS_CPU_ISAS avx2 avx512)
  set(GRADUS_CPU_portable_NAME "SSE2")
  set(avx2 "__builtin_cpu_supports(\"avx2\") && __builtin_cpu_supports(\"fma\")")
  gradus_cpu_check(avx2 "${avx2}")
  gradus_cpu_check(avx512 "${avx2} && __builtin_cpu_supports(\"avx512bw\") && __builtin_cpu_supports(\"avx512dq\") && __builtin_cpu_supports(\"avx512vl\")")
  foreach(isa IN LISTS GRADUS_CPU_ISAS)
    if(GRADUS_CPU_HAS_${isa})
      set(GRADUS_CPU_best ${isa})
    endif()
  endforeach()
elseif(CMAKE_SYSTEM_PROCESSOR MATCHES "^(aarch64|arm64)$")
  set(GRADUS_CPU_portable_NAME "NEON")
else()
  set(GRADUS_CPU_portable_NAME "portable")
endif()

function(gradus_cpu_options target isa)
  target_compile_options(${target} PRIVATE ${GRADUS_CPU_FLAGS} ${GRADUS_CPU_${isa}_FLAGS})
  target_include_directories(${target} PRIVATE ${PROJECT_SOURCE_DIR}/src ${PROJECT_SOURCE_DIR}/include)
  target_compile_definitions(${target} PRIVATE GRADUS_ISA_NAME="${GRADUS_CPU_${isa}_NAME}")
endfunction()

function(gradus_cpu_objects target isa)
  add_library(${target} OBJECT ${ARGN})
  gradus_warnings(${target})
  gradus_cpu_options(${target} ${isa})
  gradus_sanitize(${target})
endfunction()

# name: of the plug-in; variant: what its objects are called; isa: what they are compiled for.
function(gradus_cpu_library name variant isa)
  gradus_cpu_objects(gradus_cpu_objects_${variant} ${isa} ${ARGN})
  gradus_plugin(${name} $<TARGET_OBJECTS:gradus_cpu_objects_${variant}>)
  target_compile_definitions(gradus_${name} PRIVATE GRADUS_PARTIAL GRADUS_RECORDS_CALLS)
  target_link_libraries(gradus_${name} PRIVATE Threads::Threads ${CMAKE_DL_LIBS})
endfunction()

function(gradus_cpu_plugin)
  if(GRADUS_CPU STREQUAL "native")
    gradus_cpu_library(cpu native ${GRADUS_CPU_best} ${ARGN})
    return()
  endif()
  gradus_cpu_library(cpu portable portable ${ARGN})
  target_sources(gradus_cpu PRIVATE src/cpu/dispatch.cpp)
  target_compile_definitions(gradus_cpu PRIVATE GRADUS_TABLE=gr_portable_table)
  foreach(isa IN LISTS GRADUS_CPU_ISAS)
    gradus_cpu_library(cpu_${isa} ${isa} ${isa} ${ARGN})
  endforeach()
endfunction()
