#!/bin/sh
# Everything that shows on a GPU whether Gradus is right there and how fast it is, in steps, the most telling first:
#   gpu-report.sh --out DIR [--minutes 9] [--device cuda] [--cifar DIR] [--runs 20]
# A step that is done is kept in DIR and not done again, so the command is repeated until it says that nothing is left; what a
# step prints is there at once, and DIR/summary.txt and DIR/report.tgz after each call. --cifar names a folder with CIFAR-10, on
# which the recipe cifar10-fast then runs with so many seeds, beside PyTorch. `--device emulated` tries the whole without a GPU, at small sizes.
# Exit status: 0 all passed, 1 something failed, 2 bad use or no device, 3 not done yet: call it again.
set -u

folder=$(CDPATH='' cd "${0%/*}" && pwd -P) || exit 2
gradus=$folder/gradus
programs=$folder/gpu-check
out=
minutes=9
device=cuda
cifar=
runs=20

say() { printf '%s\n' "$*"; }
die() {
  printf 'gpu-report: %s\n' "$*" >&2
  exit 2
}

usage='usage: gpu-report --out DIR [--minutes N] [--device NAME] [--cifar DIR] [--runs N]'
while [ $# -gt 0 ]; do
  [ $# -ge 2 ] || die "$1 wants a value; $usage"
  case $1 in
    --out) out=$2 ;;
    --minutes) minutes=$2 ;;
    --device) device=$2 ;;
    --cifar) cifar=$2 ;;
    --runs) runs=$2 ;;
    *) die "unknown option $1; $usage" ;;
  esac
  shift 2
done
[ -n "$out" ] || die "$usage"
case $minutes$runs in
  *[!0-9]*) die "--minutes and --runs are whole numbers" ;;
esac
command -v timeout > /dev/null || die "there is no 'timeout' here (from coreutils)"
mkdir -p "$out/done" "$out/logs" || exit 2
out=$(CDPATH='' cd "$out" && pwd -P) || exit 2

deadline=$(($(date +%s) + 60 * minutes))
passed=0
failed=0
left=0
lines=$out/lines.tmp
: > "$lines"

# note TEXT: a line of the summary, which the screen sees at once.
note() { say "$*" | tee -a "$lines"; }

# step NAME SECONDS COMMAND...: does a step that is not done yet. One that the end of this call's time cuts off is done again
# in the next call; one that its own limit cuts off has failed.
step() {
  name=$1
  budget=$2
  shift 2
  if [ ! -f "$out/done/$name" ]; then
    now=$(date +%s)
    limit=$((deadline - now))
    # What could only begin is not begun.
    if [ "$limit" -lt 10 ]; then
      left=$((left + 1))
      return
    fi
    [ "$limit" -le "$budget" ] || limit=$budget
    timeout -k 5 "$limit" "$@" > "$out/logs/$name.log" 2>&1
    status=$?
    seconds=$(($(date +%s) - now))
    case $status in
      0) say "passed  $name (${seconds} s)" > "$out/done/$name" ;;
      124 | 137)
        if [ "$limit" -lt "$budget" ]; then
          left=$((left + 1))
          note "cut off $name after ${seconds} s: goes on in the next call"
          return
        fi
        say "FAILED  $name: not done in $budget s" > "$out/done/$name"
        ;;
      *) say "FAILED  $name (exit status $status): $(tail -n 1 "$out/logs/$name.log" | cut -c 1-160)" > "$out/done/$name" ;;
    esac
  fi
  note "$(cat "$out/done/$name")"
  case $(cat "$out/done/$name") in
    passed*) passed=$((passed + 1)) ;;
    *) failed=$((failed + 1)) ;;
  esac
}

left_out() { note "left out $*"; }

find_sanitizer() {
  for candidate in "$(command -v compute-sanitizer 2> /dev/null || true)" "${CUDA_HOME:-/usr/local/cuda}/bin/compute-sanitizer"; do
    if [ -n "$candidate" ] && [ -x "$candidate" ]; then
      say "$candidate"
      return
    fi
  done
}

# The native tests' groups; none where the programs are not packed or find no device.
native_groups() {
  if [ "$device" != cuda ]; then
    left_out "native tests: they are for hardware"
  elif [ ! -x "$programs/gradus_cuda_tests" ]; then
    left_out "native tests: this bundle was packed where they were not built"
  else
    groups=$("$programs/gradus_cuda_tests" --groups) || groups=
  fi
}

check_native() {
  [ -z "$groups" ] || step conformance 120 "$programs/gradus_conformance"
  for group in $groups; do
    step "native-$group" 120 "$programs/gradus_cuda_tests" "$group"
  done
}

check_operations() {
  while IFS= read -r class; do
    step "operations-$class" 180 "$gradus" test --device "$device" "$class" < /dev/null
  done < "$folder/test/operations"
}

measure_kernels() {
  step kernels 900 "$gradus" bench kernels --device "$device" --peers pytorch,pytorch-compile,pytorch-cudnn,cublas,cudnn \
    --rounds 5 --resume --out "$out/kernels" $trial
}

# measure_steps PRECISION WORKLOAD...
measure_steps() {
  precision=$1
  shift
  for workload in "$@"; do
    step "steps-$workload-$precision" 420 "$gradus" bench steps --device "$device" --capture --precision "$precision" --workloads "$workload" \
      --peers pytorch,pytorch-compile --threads 1 --rounds 5 --out "$out/steps-$workload-$precision" $trial
  done
}

tune() {
  if grep -q "^$device.*capability 9\.0" "$out/machine.txt"; then
    step tune 900 "$gradus" bench tune --device "$device" --out "$out/tune"
  else
    left_out "tune: its tiles are for compute capability 9.0"
  fi
}

run_cifar() {
  if [ -z "$cifar" ]; then
    left_out "cifar10-fast: name a folder with CIFAR-10 by --cifar"
    return
  fi
  step cifar10-fast 1800 "$gradus" bench recipe --data "$cifar" --device "$device" --peers pytorch,pytorch-compile --rounds "$runs" --resume \
    --out "$out/recipe" $trial
}

sanitize() {
  [ -n "$groups" ] || return 0
  sanitizer=$(find_sanitizer)
  if [ -z "$sanitizer" ]; then
    left_out "compute-sanitizer: it is not on this machine (it comes with the CUDA toolkit)"
    return
  fi
  # The tests keep their arrays in managed memory, which not every tool follows; conformance has plain device memory.
  for tool in memcheck racecheck synccheck initcheck; do
    step "$tool-conformance" 300 "$sanitizer" --tool "$tool" --error-exitcode 9 "$programs/gradus_conformance"
  done
  for tool in memcheck racecheck synccheck initcheck; do
    for group in $groups; do
      step "$tool-$group" 300 "$sanitizer" --tool "$tool" --error-exitcode 9 "$programs/gradus_cuda_tests" "$group"
    done
  done
}

# The tables of a report, if it is there.
tables() {
  [ ! -f "$1" ] || { say; cat "$1"; }
}

summarize() {
  {
    say "date      $(date -u)"
    say "system    $(uname -srm)"
    cat "$out/machine.txt"
    say
    cat "$lines"
    say
    say "$passed passed, $failed failed, $left not done yet"
    tables "$out/kernels/kernels.md"
    [ ! -f "$out/done/tune" ] || tables "$out/logs/tune.log"
    for report in "$out"/steps-*/steps.md; do
      tables "$report"
    done
    tables "$out/recipe/recipe.md"
  } > "$out/summary.txt"
  rm -f "$lines"
  # One file to take home; weights and the processes' scripts and arrays stay.
  command -v tar > /dev/null && (cd "$out" && tar --exclude=report.tgz --exclude=work -czf report.tgz .)
  say "$passed passed, $failed failed, $left not done yet; see $out/summary.txt"
}

{
  "$gradus" devices 2>&1
  command -v nvidia-smi > /dev/null && nvidia-smi --query-gpu=name,driver_version,memory.total,clocks.sm,clocks.max.sm --format=csv,noheader 2>&1
  python3 -c 'import torch; print("torch", torch.__version__, torch.cuda.is_available())' 2>&1 | tail -n 1
} > "$out/machine.txt"
cat "$out/machine.txt"
if ! grep "^$device" "$out/machine.txt" | grep -qv 'cannot be used'; then
  die "the device $device cannot be used, so nothing was checked: $(grep "^$device" "$out/machine.txt" | sed 1q)"
fi

groups=
trial=
native_groups
check_native
if [ "$device" = cuda ]; then
  measure_kernels
  measure_steps bf16 resnet50 gpt
  check_operations
  measure_steps float32 cnn mlp
  measure_steps bf16 resnet20 resnet18 gpt2
else
  trial=--quick
  measure_kernels
  measure_steps bf16 tiny-gpt
  check_operations
fi
run_cifar
tune
sanitize
summarize
[ "$failed" -eq 0 ] || exit 1
[ "$left" -eq 0 ] || exit 3
