#!/bin/sh
# compile.sh [CACHE] NVCC ARGUMENTS...: runs nvcc, and keeps beside an object what the checks of kernels read:
#   OBJECT.ptxas     all that the compiler said
#   OBJECT.cubins/   the machine code, a file per architecture, with their names in `list`
# They live and die with the object, so that a build that compiles little still reports on everything.
set -u
object=
previous=
for argument in "$@"; do
  [ "$previous" != -o ] || object=$argument
  previous=$argument
done
case $object in
  *.o) ;;
  *) exec "$@" ;;
esac

cubins=$object.cubins
rm -rf "$cubins" "$object.ptxas"
mkdir -p "$cubins"
status=0
"$@" --resource-usage --keep --keep-dir "$cubins" > "$cubins/output" 2>&1 || status=$?
# Of what ptxas says of each kernel, only performance advisories (C7508 and the like) are worth a screen.
grep -v -E '^ptxas info +: ([0-9]+ bytes gmem|Compiling|Function properties|Used|Compile time|Overriding)|bytes stack frame|^$' "$cubins/output" >&2
if [ $status -ne 0 ]; then
  rm -rf "$cubins"
  exit $status
fi
mv "$cubins/output" "$object.ptxas"
find "$cubins" -type f ! -name '*.cubin' -exec rm -f {} +
(cd "$cubins" && find . -name '*.cubin' | sed 's|^\./||' | sort > list)
