#!/bin/sh
# Builds and tests the native part where a C++ compiler and CMake are at hand; where they are not, says so in one line and
# succeeds, since the engine works without it.
#   build.sh build DIR [sanitizer]    configure and compile (sanitizer: none, address, thread, undefined)
#   build.sh test  DIR                run what was built
set -eu
source=$(cd "$(dirname "$0")" && pwd)
action=$1
dir=$2
sanitizer=${3:-none}
jobs=${GRADUS_BUILD_JOBS:-2}

for tool in cmake:cmake c++:g++; do
  if ! command -v "${tool%%:*}" > /dev/null 2>&1; then
    echo "native part left out: ${tool%%:*} is not on PATH (Debian and Ubuntu: apt install cmake g++ make)"
    exit 0
  fi
done

# Shows the end of a log when a step fails, nothing when it works.
quietly() {
  log=$dir/$1.log
  shift
  if ! "$@" > "$log" 2>&1; then
    tail -n 60 "$log"
    exit 1
  fi
}

mkdir -p "$dir"
case $action in
  build)
    optimise=-O2
    [ "$sanitizer" = none ] || optimise=-O1
    quietly configure cmake -S "$source" -B "$dir" -DGRADUS_SANITIZER="$sanitizer" -DCMAKE_CXX_FLAGS_RELEASE="$optimise"
    quietly build cmake --build "$dir" -j "$jobs"
    ;;
  test)
    (cd "$dir" && ctest -j "$jobs" --output-on-failure > test.log 2>&1) || { tail -n 80 "$dir/test.log"; exit 1; }
    grep -E 'tests passed|Total Test time' "$dir/test.log"
    ;;
  *)
    echo "build.sh: 'build' or 'test', not '$action'" >&2
    exit 2
    ;;
esac
