#!/bin/sh
# Runs on a machine with a GPU everything that shows whether the kernels are right there: conformance of hardware with the emulator's
# models, the tests of all kernels, and the tools of compute-sanitizer over both where it is found. No compiler is needed.
#   gpu-check.sh PROGRAMS REPORTS
# PROGRAMS: the folder that holds gradus_conformance and gradus_cuda_tests (targets of the same names; in a build folder it is `cuda`). A dated report goes to the folder REPORTS. GRADUS_CHECK_SECONDS limits each program under compute-sanitizer
# (600). Exit status: 0 all passed, 1 something failed, 2 nothing could be run.
set -u
if [ $# -ne 2 ]; then
  echo "usage: gpu-check.sh PROGRAMS REPORTS" >&2
  exit 2
fi
programs=$1
mkdir -p "$2" || exit 2
report=$2/gpu-check-$(date -u +%Y-%m-%dT%H%M%SZ).txt
limit=${GRADUS_CHECK_SECONDS:-600}
for program in gradus_conformance gradus_cuda_tests; do
  if [ ! -x "$programs/$program" ]; then
    echo "gpu-check: no $program in $programs; build the target of that name" >&2
    exit 2
  fi
done
scratch=$(mktemp -d) || exit 2
trap 'rm -rf "$scratch"' EXIT
failures=0
passes=0

say() { echo "$*" | tee -a "$report"; }

# check NAME COMMAND...: its output goes to the report; the screen sees the verdict.
check() {
  name=$1
  shift
  started=$(date +%s)
  "$@" > "$scratch/output" 2>&1
  status=$?
  seconds=$(($(date +%s) - started))
  { echo; echo "== $name: $*"; cat "$scratch/output"; } >> "$report"
  if [ $status -eq 0 ]; then
    passes=$((passes + 1))
    say "passed  $name (${seconds} s)"
  else
    failures=$((failures + 1))
    say "FAILED  $name (${seconds} s, exit status $status)"
    tail -n 5 "$scratch/output"
  fi
  return $status
}

find_sanitizer() {
  for candidate in "$(command -v compute-sanitizer 2> /dev/null || true)" "${CUDA_HOME:-/usr/local/cuda}/bin/compute-sanitizer"; do
    if [ -n "$candidate" ] && [ -x "$candidate" ]; then
      echo "$candidate"
      return
    fi
  done
}

say "date      $(date -u)"
say "system    $(uname -srm)"
if command -v nvidia-smi > /dev/null 2>&1; then
  nvidia-smi --query-gpu=name,driver_version,memory.total,compute_cap --format=csv,noheader 2>&1 | sed 's/^/GPU       /' | tee -a "$report"
fi

check conformance "$programs/gradus_conformance"
if [ $? -eq 2 ]; then
  say "there is no GPU that can be used; nothing was checked"
  exit 2
fi
groups=$("$programs/gradus_cuda_tests" --groups)
for group in $groups; do
  check "$group" "$programs/gradus_cuda_tests" "$group"
done

sanitizer=$(find_sanitizer)
if [ -z "$sanitizer" ]; then
  say "left out: compute-sanitizer is not on this machine (it comes with the CUDA toolkit); memory and races were not checked"
else
  say "sanitizer $("$sanitizer" --version 2>&1 | tail -n 1)"
  # The tests keep their arrays in managed memory, which not every tool follows; conformance has plain device memory.
  for tool in memcheck racecheck synccheck initcheck; do
    check "$tool conformance" timeout "$limit" "$sanitizer" --tool "$tool" --error-exitcode 9 "$programs/gradus_conformance"
    for group in $groups; do
      check "$tool $group" timeout "$limit" "$sanitizer" --tool "$tool" --error-exitcode 9 "$programs/gradus_cuda_tests" "$group"
    done
  done
fi

say "$passes passed, $failures failed; see $report"
[ $failures -eq 0 ]
