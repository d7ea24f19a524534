#!/bin/sh
# Runs a bundle as on a machine that has nothing: unpacked elsewhere, with an empty environment but a PATH of sh and readlink,
# under a user without a home folder where that can be had.
#   check.sh FILE
set -eu
file=$1

say() { printf '%s\n' "$*" >&2; }

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM
chmod 755 "$work"
mkdir "$work/path" "$work/runs"
ln -s "$(command -v sh)" "$(command -v readlink)" "$work/path/"
tar -C "$work" -xJf "$file"
bundle=$(find "$work" -name runtime -prune -o -name gradus -type f -print)
[ -x "$bundle" ] || {
  say "gradus bundle: $file holds no launcher"
  exit 1
}

as_nobody=
if [ "$(id -u)" = 0 ] && command -v setpriv > /dev/null; then
  as_nobody="$(command -v setpriv) --reuid=65534 --regid=65534 --clear-groups --no-new-privs"
  chmod 777 "$work/runs"
fi

# try NAME STATUS TEXT ARGUMENT...: runs the bundle; it must end with the status and print the text.
try() {
  name=$1
  status=$2
  text=$3
  shift 3
  ended=0
  # shellcheck disable=SC2086 # several arguments in one variable
  # shellcheck disable=SC2016 # the inner sh expands them
  (cd "$work/runs" && env -i $as_nobody "$work/path/sh" -c 'PATH=$0 exec "$@"' "$work/path" "$bundle" "$@") > "$work/log" 2>&1 || ended=$?
  if [ "$ended" -ne "$status" ] || ! grep -q -- "$text" "$work/log"; then
    say "gradus bundle: the check '$name' failed: status $ended instead of $status, or no '$text' in:"
    tail -n 40 "$work/log" >&2
    exit 1
  fi
  say "  passed  $name"
}

# try_device NAME: trains and tests there.
try_device() {
  try "train on $1" 0 'test accuracy' train --subset 256 --epochs 1 --batch 32 --seed 1 --device "$1" --out "$1"
  [ -s "$work/runs/$1/curves.png" ] || {
    say "gradus bundle: 'train' drew no curves.png"
    exit 1
  }
  try "test on $1" 0 'passed  SoftmaxTest' test --device "$1" LinearTest SoftmaxTest
}

say "Checking $file..."
try devices 0 '^cpu' devices
cp "$work/log" "$work/devices"
try_device cpu
for device in emulated cuda; do
  line=$(grep "^$device" "$work/devices" | sed 1q)
  case $line in
    '') say "  left out  $device: not known to this bundle" ;;
    *'cannot be used'*)
      say "  left out  $line"
      try "refuses $device" 2 "^gradus: \[device\] $device:0 cannot be used" test --device "$device" LinearTest
      ;;
    *) try_device "$device" ;;
  esac
done
try benchmarks 0 Benchmark bench -l
# Where there is no GPU, or no such library, a line says so.
try cublas 0 '^cublas: ' bench kernels --device cpu --groups softmax --quick --rounds 1 --peers cublas --out kernels
# The folder of commands has no timeout, so this shows that the report is packed and says what it lacks.
try gpu-report 2 "there is no 'timeout' here" gpu-report --out report
