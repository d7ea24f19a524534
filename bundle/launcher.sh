#!/bin/sh
# Runs Gradus on a machine that has neither Java nor Maven nor a network. "gradus help" lists the commands.
set -u

say() { printf '%s\n' "$*" >&2; }
die() {
  say "gradus: $*"
  exit 2
}

self=$0
while [ -h "$self" ]; do
  link=$(readlink "$self") || die "cannot read the link $self"
  case $link in
    /*) self=$link ;;
    *) self=${self%/*}/$link ;;
  esac
done
case $self in
  */*) folder=${self%/*} ;;
  *) folder=. ;;
esac
root=$(CDPATH='' cd "$folder" && pwd -P) || die "cannot open the folder of $self"
java=$root/runtime/bin/java
[ -x "$java" ] || die "$java is missing: unpack the whole bundle again"

# run CLASS_PATH ARGUMENT...: the runtime's Java on a class path below the bundle's folder; it takes this shell's place, and
# with it its signals, where the command has set "launch".
launch=
run() {
  path=$1
  shift
  # shellcheck disable=SC2086 # several arguments in one variable
  $launch "$java" @"$root/runtime/options" -Dorg.bytedeco.javacpp.cachedir="$root/cache" ${GRADUS_JAVA_OPTS:-} -cp "$path" "$@"
}
engine="$root/lib/*"
tests="$root/lib/*:$root/test/*"

# The number of tests in a summary of JUnit's console, which has the line "[        42 tests successful      ]".
count_successful() {
  while read -r _ count what successful _; do
    if [ "$what $successful" = 'tests successful' ]; then
      printf '%s' "$count"
      return
    fi
  done << END
$1
END
}

# print_start COUNT TEXT: the first lines of a text.
print_start() {
  lines=0
  while IFS= read -r line && [ "$lines" -lt "$1" ]; do
    lines=$((lines + 1))
    say "    $line"
  done << END
$2
END
}

test_operations() {
  usage='usage: gradus test [--device NAME] [--reports DIR] [CLASS...]'
  device=
  reports=
  classes=
  while [ $# -gt 0 ]; do
    case $1 in
      --device | --reports)
        [ $# -ge 2 ] || die "$1 wants a value; $usage"
        if [ "$1" = --device ]; then device=$2; else reports=$2; fi
        shift
        ;;
      --device=*) device=${1#*=} ;;
      --reports=*) reports=${1#*=} ;;
      -*) die "unknown option $1; $usage" ;;
      *) classes="$classes $1" ;;
    esac
    shift
  done
  known=
  while IFS= read -r class; do known="$known $class"; done < "$root/test/operations"
  for class in $classes; do
    case "$known " in
      *" $class "*) ;;
      *) die "no test class $class; there are$known" ;;
    esac
  done
  classes=${classes:-$known}
  property=
  if [ -n "$device" ]; then
    property=-Dgradus.test.device=$device
    run "$tests" "$property" io.gradus.testing.TestedDevice || exit 2
  fi
  [ -z "$reports" ] || mkdir -p "$reports" || exit 2
  failed=0
  # One Java for each class: a fault that takes the device away from a process then fails that class alone.
  for class in $classes; do
    if output=$(run "$tests" ${property:+"$property"} org.junit.platform.console.ConsoleLauncher execute \
      --select-class="io.gradus.tensor.$class" --details=summary --disable-banner --disable-ansi-colors --fail-if-no-tests 2>&1); then
      say "  passed  $class ($(count_successful "$output") tests)"
    else
      failed=$((failed + 1))
      say "  FAILED  $class"
      print_start 40 "$output"
    fi
    [ -z "$reports" ] || printf '%s\n' "$output" > "$reports/$class.txt"
  done
  [ "$failed" -eq 0 ] || say "$failed test classes failed${reports:+; all of the output is in $reports}"
  [ "$failed" -eq 0 ]
}

command=${1:-help}
case $command in
  test)
    shift
    test_operations "$@"
    ;;
  bench)
    shift
    launch='exec'
    export GRADUS_PEERS="$root/peers"
    run "$tests" io.gradus.benchmarks.Bench "$@"
    ;;
  gpu-check)
    shift
    [ -f "$root/gpu-check/gpu-check.sh" ] || die "this bundle was packed where the programs of gpu-check were not built"
    sh "$root/gpu-check/gpu-check.sh" "$@"
    ;;
  gpu-report)
    shift
    exec sh "$root/gpu-report.sh" "$@"
    ;;
  *)
    launch='exec'
    run "$engine" io.gradus.cli.Main "$@"
    ;;
esac
