#!/bin/sh
# Builds and tests the native part where a C++ compiler and CMake are at hand; where they are not, says so in one line and
# succeeds, since the engine works without it.
#   build.sh build DIR [option=value...]    configure and compile
#   build.sh test DIR [tests=OFF]           run what was built
#   build.sh sanitizers DIR                 build and test under each sanitizer
# Options of build:
#   sanitizer=none|address|thread|undefined|initcheck
#   tests=ON|OFF          whether to build the tests
#   emulated=ON|OFF       whether to build the plug-in of the emulated device
#   cuda=auto|off         whether to build the CUDA plug-in where nvcc is found
#   cpu=all|native        instruction sets of the SIMD plug-in: all, or this machine's alone
#   gpu_tests=ON|OFF      whether to build the programs of gpu-check.sh even without the tests
#   architectures=LIST    what it is compiled for: all, or as CMAKE_CUDA_ARCHITECTURES
#   java=HOME binding=DIR the JDK and JavaCPP's output, to build the JNI library
#   libraries=DIR         where the finished libraries go
set -eu
source=$(cd "$(dirname "$0")" && pwd)
action=$1
dir=$2
shift 2
sanitizer=none
tests=ON
emulated=ON
cpu=all
cuda=auto
gpu_tests=OFF
architectures=all
java=
binding=
libraries=
for option in "$@"; do
  case $option in
    sanitizer=*) sanitizer=${option#*=} ;;
    tests=*) tests=${option#*=} ;;
    cuda=*) cuda=${option#*=} ;;
    emulated=*) emulated=${option#*=} ;;
    cpu=*) cpu=${option#*=} ;;
    gpu_tests=*) gpu_tests=${option#*=} ;;
    architectures=*) architectures=${option#*=} ;;
    java=*) java=${option#*=} ;;
    binding=*) binding=${option#*=} ;;
    libraries=*) libraries=${option#*=} ;;
    *)
      echo "build.sh: unknown option '$option'" >&2
      exit 2
      ;;
  esac
done
jobs=${GRADUS_BUILD_JOBS:-$(nproc 2> /dev/null || echo 2)}

missing=
for tool in cmake:cmake c++:g++ make:make; do
  command -v "${tool%%:*}" > /dev/null 2>&1 || missing="$missing ${tool#*:}"
done
if [ -n "$missing" ]; then
  echo "native plug-ins left out: not on PATH:$missing (Debian and Ubuntu: apt install$missing); the Java backend does their work"
  exit 0
fi

# Shows the end of a log when a step fails, nothing when it works: the compiler's first errors rather than what follows.
quietly() {
  log=$dir/$1.log
  shift
  if ! "$@" > "$log" 2>&1; then
    grep -n -m 20 -E 'error|Error|undefined reference|not found|No such file' "$log" || tail -n 60 "$log"
    echo "native build failed; all of its output is in $log"
    exit 1
  fi
}

find_nvcc() {
  for candidate in "$(command -v nvcc 2> /dev/null || true)" "${CUDA_HOME:-/usr/local/cuda}/bin/nvcc"; do
    if [ -n "$candidate" ] && [ -x "$candidate" ]; then
      echo "$candidate"
      return
    fi
  done
}

case $action in
  build)
    mkdir -p "$dir"
    optimise=-O2
    [ "$sanitizer" = none ] || optimise=-O1
    nvcc=
    [ "$cuda" = off ] || nvcc=$(find_nvcc)
    [ -n "$nvcc" ] || rm -f "$dir/lib/libgradus_cuda.so"
    [ "$emulated" = ON ] || rm -f "$dir/lib/libgradus_emulated.so"
    [ "$cpu" = all ] || rm -f "$dir"/lib/libgradus_cpu_*.so
    quietly configure cmake -S "$source" -B "$dir" -DGRADUS_SANITIZER="$sanitizer" -DCMAKE_CXX_FLAGS_RELEASE="$optimise" \
      -DBUILD_TESTING="$tests" -DGRADUS_EMULATED="$emulated" -DGRADUS_NVCC="$nvcc" \
      -DGRADUS_CUDA_ARCHITECTURES="$architectures" -DGRADUS_CPU="$cpu" -DGRADUS_JAVA_HOME="$java" -DGRADUS_BINDING="$binding"
    quietly build cmake --build "$dir" -j "$jobs"
    if [ "$gpu_tests" = ON ] && [ -n "$nvcc" ]; then
      quietly gpu-tests cmake --build "$dir" -j "$jobs" --target gradus_conformance gradus_cuda_tests
    fi
    if [ -n "$libraries" ]; then
      mkdir -p "$libraries"
      rm -f "$libraries"/*.so "$libraries"/gradus_probe
      cp -p "$dir"/lib/*.so "$dir"/lib/gradus_probe "$libraries"
    fi
    ;;
  test)
    if [ "$tests" = OFF ]; then exit 0; fi
    (cd "$dir" && ctest -j "$jobs" --output-on-failure > test.log 2>&1) || { tail -n 80 "$dir/test.log"; exit 1; }
    grep -E 'tests passed|Total Test time' "$dir/test.log"
    ;;
  sanitizers)
    for sanitizer in address thread undefined initcheck; do
      echo "under the $sanitizer sanitizer:"
      sh "$0" build "$dir/$sanitizer" "sanitizer=$sanitizer" cuda=off
      sh "$0" test "$dir/$sanitizer"
    done
    ;;
  *)
    echo "build.sh: 'build', 'test' or 'sanitizers', not '$action'" >&2
    exit 2
    ;;
esac
